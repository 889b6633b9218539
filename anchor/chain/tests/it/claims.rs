//! The delegate who orders the blocks sees every claim first. It gains nothing by it.

use chain::{Fate, SubmitError};
use ledger::{Action, Hash, Label, Records};

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_claim_is_worth_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, rival) = (secret(20), delegate());
    let genesis = genesis("claims", &[&alice, &rival]);
    let chain = start(&genesis, dir.path()).await;
    let label = Label::parse("alice").unwrap();
    let claim = Action::NameRegister {
        label: label.clone(),
        secret: Hash([9; 32]),
        records: Records::default(),
    };
    let hash = claim.commitment(&genesis.chain_id, &alice.address()).unwrap();

    // The rival copies the commit that it sees, into the same block if it can.
    let commit = chain
        .submit(next(&chain, &alice, Action::Commit { hash }))
        .unwrap();
    let copy = chain
        .submit(next(&chain, &rival, Action::Commit { hash }))
        .unwrap();
    included(&chain, &commit).await;
    included(&chain, &copy).await;

    // It copies the reveal, ahead of the original: its commit was not to this claim by this account.
    let stolen = next(&chain, &rival, claim.clone());
    let error = chain.submit(stolen.clone()).unwrap_err();
    assert!(matches!(error, SubmitError::Refused(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("this account has no open commit for it"),
        "{error}"
    );
    assert!(matches!(chain.fate(&stolen.cid()).unwrap(), Fate::Refused { .. }));

    // It commits for itself once it has seen the reveal: too late, whichever comes first into a block.
    let own = claim.commitment(&genesis.chain_id, &rival.address()).unwrap();
    let late = chain
        .submit(next(&chain, &rival, Action::Commit { hash: own }))
        .unwrap();
    let reveal = chain.submit(next(&chain, &alice, claim.clone())).unwrap();
    included(&chain, &reveal).await;
    included(&chain, &late).await;
    let error = chain.submit(next(&chain, &rival, claim)).unwrap_err().to_string();
    assert!(error.contains("name alice.ddn is taken"), "{error}");
    assert_eq!(
        chain.state().name(&label).unwrap().unwrap().owner,
        alice.address()
    );
    check_history(&chain);
    chain.shutdown().await;
}
