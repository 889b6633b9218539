//! A node that begins with a state instead of the blocks that lead to it.

use chain::{Chain, Fate};
use ledger::{Checkpoint, Genesis, Trust, key};

use crate::net::Net;
use crate::world::*;

/// A chain with some accounts, and its snapshot.
async fn world(chain_id: &str) -> (Genesis, Chain, tempfile::TempDir, Vec<u8>) {
    let (dir, alice) = (tempfile::tempdir().unwrap(), secret(20));
    let genesis = genesis(chain_id, &[&alice]);
    let chain = start(&genesis, dir.path()).await;
    for number in 30..34 {
        include(
            &chain,
            next(&chain, &alice, transfer(&secret(number).address(), 1)),
        )
        .await;
    }
    let mut snapshot = Vec::new();
    chain.write_snapshot(&mut snapshot).unwrap();
    (genesis, chain, dir, snapshot)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_begins_with_a_snapshot() {
    let (genesis, chain, _dir, snapshot) = world("snapshot").await;
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    let tip = chain::restore(dir.path(), &genesis, None, &mut &*snapshot, |done, all| {
        told.push((done, all));
    });
    let tip = tip.unwrap();
    assert_eq!(told, [(1, 1)]);
    assert_eq!(
        tip.state_root,
        chain.block(tip.height).unwrap().unwrap().0.header.state_root
    );

    let follower = start_follower(&genesis, dir.path()).await;
    assert_eq!(follower.tip(), tip);
    assert!(follower.audit().unwrap().holds());
    assert_eq!(follower.block(1).unwrap(), None);
    let net = Net::new();
    net.serve("one", &chain);
    net.join("two", &follower, &["one"]);
    let sent = next(&chain, &secret(30), transfer(&secret(35).address(), 0));
    assert!(chain.submit(sent).is_err());
    let height = include(
        &chain,
        next(&chain, &secret(20), transfer(&secret(35).address(), 1)),
    )
    .await;
    reach(&follower, height + 2).await;
    let account = key::account(&secret(35).address());
    let proven = ledger::verify(&follower.prove(&account).unwrap(), Trust::Genesis(&genesis)).unwrap();
    assert!(proven.value.is_some());
    // Blocks before it are elsewhere.
    let old = chain
        .block(2)
        .unwrap()
        .unwrap()
        .0
        .body
        .txs
        .first()
        .map(ledger::Tx::cid);
    if let Some(old) = old {
        assert_eq!(follower.fate(&old).unwrap(), Fate::Unknown);
    }
    // Another one begins with its snapshot.
    let mut second = Vec::new();
    follower.write_snapshot(&mut second).unwrap();
    let dir = tempfile::tempdir().unwrap();
    chain::restore(dir.path(), &genesis, None, &mut &*second, |_, _| {}).unwrap();
    follower.shutdown().await;
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_follow_from_the_genesis_is_no_snapshot() {
    let (genesis, chain, _dir, snapshot) = world("damaged").await;
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("node");
    let refused = |genesis: &Genesis, checkpoint: Option<&Checkpoint>, bytes: &[u8]| {
        let mut input = bytes;
        let error = chain::restore(&place, genesis, checkpoint, &mut input, |_, _| {}).unwrap_err();
        assert!(!place.join("chain").exists() && !place.join("chain.new").exists());
        error.to_string()
    };
    for at in (0..snapshot.len()).step_by(snapshot.len() / 150 + 1) {
        let mut bad = snapshot.clone();
        bad[at] ^= 1;
        let reason = refused(&genesis, None, &bad);
        assert!(
            reason.starts_with("the snapshot cannot be used: "),
            "byte {at}: {reason}"
        );
    }
    for end in [0, 7, 40, snapshot.len() / 2, snapshot.len() - 1] {
        assert!(refused(&genesis, None, &snapshot[..end]).ends_with("it ends in the middle"));
    }
    let longer = [&*snapshot, b"x"].concat();
    assert!(refused(&genesis, None, &longer).ends_with("something follows its last part"));
    let other = Genesis {
        time_ms: genesis.time_ms + 1,
        ..genesis.clone()
    };
    assert!(refused(&other, None, &snapshot).contains("genesis"));
    // A checkpoint of another history.
    let mut fork = Trust::Genesis(&genesis).checkpoint().unwrap().into_owned();
    fork.header = ledger::Hash([7; 32]);
    fork.height = 1;
    fork.validators = other_set();
    assert!(refused(&genesis, Some(&fork), &snapshot).contains("validators"));

    chain::restore(&place, &genesis, None, &mut &*snapshot, |_, _| {}).unwrap();
    let again = chain::restore(&place, &genesis, None, &mut &*snapshot, |_, _| {});
    assert!(
        again
            .unwrap_err()
            .to_string()
            .starts_with("there is a chain already in ")
    );
    chain.shutdown().await;
}

fn other_set() -> ledger::ValidatorSet {
    let seat = ledger::Validator {
        key: secret(99).public(),
        power: 1,
    };
    ledger::ValidatorSet::new(vec![seat]).unwrap()
}
