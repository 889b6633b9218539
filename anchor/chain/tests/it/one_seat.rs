//! One seat: blocks, transactions, what is told about them, restarts, proofs.

use chain::{Fate, SubmitError};
use ledger::{Action, Amount, Bundle, Tx};

use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn transactions_come_into_blocks_and_their_fate_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21).address());
    let genesis = genesis("fate", &[]);
    let chain = start(&genesis, dir.path()).await;

    let draw = next(&chain, &alice, Action::Faucet {});
    assert_eq!(chain.fate(&draw.cid()).unwrap(), Fate::Unknown);
    let height = include(&chain, draw.clone()).await;
    assert_eq!(
        chain.transaction(&draw.cid()).unwrap(),
        Some((draw.clone(), height))
    );
    assert_eq!(chain.object(&draw.cid()).unwrap(), Some(draw.encode()));
    // Again, by somebody who is not sure: no effect, no complaint.
    assert_eq!(chain.submit(draw.clone()).unwrap(), draw.cid());
    assert_eq!(chain.fate(&draw.cid()).unwrap(), Fate::Included { height });

    include(&chain, next(&chain, &alice, transfer(&bob, 5))).await;
    assert_eq!(
        chain.state().account(&bob).unwrap().balance,
        Amount::from_coins(5).unwrap()
    );

    let dear = next(&chain, &alice, transfer(&bob, 5_000));
    let error = chain.submit(dear.clone()).unwrap_err();
    assert!(matches!(error, SubmitError::Refused(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("not enough coins: it costs 5000.001"),
        "{error}"
    );
    assert_eq!(
        chain.fate(&dear.cid()).unwrap(),
        Fate::Refused {
            reason: error.to_string()
        }
    );

    check_history(&chain);
    assert!(chain.health().is_good());
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_at_the_next_height() {
    let dir = tempfile::tempdir().unwrap();
    let alice = secret(20);
    let genesis = genesis("restart", &[]);
    let mut draws: Vec<(Tx, u64)> = Vec::new();
    let mut before = None;
    for round in 1..=3 {
        let chain = start(&genesis, dir.path()).await;
        let tip = chain.tip();
        if let Some(before) = before {
            assert!(tip.height >= before, "the tip went back");
        }
        for (draw, height) in &draws {
            assert_eq!(
                chain.fate(&draw.cid()).unwrap(),
                Fate::Included { height: *height }
            );
        }
        let key = if round == 1 {
            alice.clone()
        } else {
            secret(30 + round)
        };
        let draw = next(&chain, &key, Action::Faucet {});
        let height = include(&chain, draw.clone()).await;
        draws.push((draw, height));
        reach(&chain, tip.height + 3).await;
        check_history(&chain);
        chain.shutdown().await;
        assert_eq!(chain.engine_addr(), None);
        // What was shut down can still be read.
        before = Some(chain.tip().height);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proofs_need_nothing_but_the_genesis() {
    let dir = tempfile::tempdir().unwrap();
    let alice = secret(20);
    let genesis = genesis("proofs", &[&alice]);
    let chain = start(&genesis, dir.path()).await;
    include(&chain, next(&chain, &alice, transfer(&secret(21).address(), 1))).await;

    let (there, missing) = (
        ledger::key::account(&alice.address()),
        ledger::key::account(&secret(99).address()),
    );
    for (key, expected) in [(&there, chain.state().value(&there).unwrap()), (&missing, None)] {
        let bytes = chain.prove(key).unwrap().encode();
        let bundle = Bundle::decode(&bytes).unwrap();
        let verified = ledger::verify(&bundle, &genesis).unwrap();
        assert_eq!((&verified.key, &verified.value), (key, &expected));
        let (block, _) = chain.block(verified.height).unwrap().unwrap();
        assert_eq!(verified.time_ms, block.header.time_ms);
    }

    let mut lie = chain.prove(&there).unwrap();
    lie.value = None;
    ledger::verify(&lie, &genesis).unwrap_err();
    let mut other = genesis.clone();
    other.time_ms += 1;
    ledger::verify(&chain.prove(&there).unwrap(), &other).unwrap_err();
    chain.shutdown().await;
}
