//! Transactions that wait: order, bounds, refusals. Blocks are ten minutes apart, so that they do wait.

use chain::{Chain, Config, Fate, SubmitError};
use ledger::{Action, Amount, Genesis, Hash, Label, Records, SecretKey, Tx};

use crate::world::*;

fn slow(chain_id: &str) -> Genesis {
    let mut genesis = genesis(chain_id, &[&secret(20)]);
    genesis.block_time_ms = 600_000;
    genesis
}

/// A chain after its first block.
async fn start_slow(genesis: &Genesis, config: Config) -> Chain {
    let chain = try_start(genesis, delegate(), config).await.unwrap();
    reach(&chain, 1).await;
    chain
}

fn refusal(chain: &Chain, tx: Tx) -> String {
    let cid = tx.cid();
    let error = chain.submit(tx).unwrap_err();
    assert!(matches!(error, SubmitError::Refused(_)), "{error:?}");
    assert_eq!(
        chain.fate(&cid).unwrap(),
        Fate::Refused {
            reason: error.to_string()
        }
    );
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21).address());
    let genesis = slow("nonces");
    let chain = start_slow(&genesis, config(dir.path())).await;
    let tx = |nonce| sign(&genesis, &alice, nonce, transfer(&bob, 1));

    let reason = refusal(&chain, tx(17));
    assert!(
        reason.starts_with("nonce 17 of account ") && reason.ends_with("its next one is 0"),
        "{reason}"
    );
    for nonce in 0..3 {
        assert_eq!(chain.next_nonce(&alice.address()).unwrap(), nonce);
        let cid = chain.submit(tx(nonce)).unwrap();
        assert_eq!(chain.fate(&cid).unwrap(), Fate::Pending { missing: None });
        assert_eq!(chain.submit(tx(nonce)).unwrap(), cid);
    }
    assert_eq!(chain.next_nonce(&alice.address()).unwrap(), 3);
    // What waits is no state yet.
    assert_eq!(chain.state().account(&bob).unwrap().balance, Amount::ZERO);
    let other = sign(&genesis, &alice, 1, transfer(&bob, 2));
    let error = chain.submit(other.clone()).unwrap_err().to_string();
    assert_eq!(
        error,
        "another transaction of nonce 1 is pending: one that replaces it pays at least 0.0011 coins"
    );
    assert_eq!(chain.fate(&other.cid()).unwrap(), Fate::Unknown);
    // Coins that wait to come can be spent behind that.
    chain
        .submit(sign(&genesis, &secret(21), 0, transfer(&alice.address(), 2)))
        .unwrap();
    chain.shutdown().await;
}

/// As [`sign`], for another fee, in units.
fn bid(genesis: &Genesis, key: &SecretKey, nonce: u64, units: u64) -> Tx {
    let dear = Genesis {
        fee: Amount::from_units(units),
        ..genesis.clone()
    };
    sign(&dear, key, nonce, transfer(&secret(22).address(), 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_before_the_turn_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let alice = secret(20);
    let genesis = slow("early");
    let chain = start_slow(&genesis, config(dir.path())).await;
    let txs: Vec<Tx> = (0..4)
        .map(|nonce| bid(&genesis, &alice, nonce, 100_000))
        .collect();
    let missing = |tx: &Tx| match chain.fate(&tx.cid()).unwrap() {
        Fate::Pending { missing } => missing,
        other => panic!("{other:?}"),
    };
    for late in [3, 1] {
        chain.submit(txs[late].clone()).unwrap();
        assert_eq!(missing(&txs[late]), Some(0));
        assert_eq!(chain.next_nonce(&alice.address()).unwrap(), 0);
    }
    chain.submit(txs[0].clone()).unwrap();
    assert_eq!(chain.next_nonce(&alice.address()).unwrap(), 2);
    assert_eq!([missing(&txs[1]), missing(&txs[3])], [None, Some(2)]);
    chain.submit(txs[2].clone()).unwrap();
    assert_eq!(chain.next_nonce(&alice.address()).unwrap(), 4);
    assert_eq!(missing(&txs[3]), None);

    // Places before the turn are for accounts that can pay.
    let reason = refusal(&chain, bid(&genesis, &secret(30), 5, 100_000));
    assert!(reason.starts_with("not enough coins"), "{reason}");
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pays_more_comes_first_and_takes_the_place_of_who_pays_least() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21));
    let mut genesis = genesis("bids", &[&alice, &bob]);
    genesis.block_time_ms = 3_000;
    let few = Config {
        mempool_max_txs: 4,
        ..config(dir.path())
    };
    let chain = start_slow(&genesis, few).await;
    let cheap: Vec<Tx> = (0..4)
        .map(|nonce| bid(&genesis, &alice, nonce, 100_000))
        .collect();
    for tx in &cheap {
        chain.submit(tx.clone()).unwrap();
    }
    let error = chain
        .submit(bid(&genesis, &bob, 0, 100_001))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("submit again later, or pay at least 0.0011 coins"),
        "{error}"
    );
    // Who cannot pay what it offers takes nobody's place.
    let poor = chain.submit(bid(&genesis, &secret(30), 0, 1 << 40)).unwrap_err();
    assert!(matches!(poor, SubmitError::Refused(_)), "{poor:?}");

    let dear = bid(&genesis, &bob, 0, 200_000);
    chain.submit(dear.clone()).unwrap();
    let gone = Fate::Refused {
        reason: "the node has too many pending transactions that pay more".into(),
    };
    assert_eq!(chain.fate(&cheap[3].cid()).unwrap(), gone);
    // Another one of its nonce that pays more.
    let dearer = bid(&genesis, &bob, 0, 300_000);
    chain.submit(dearer.clone()).unwrap();
    let replaced = Fate::Refused {
        reason: "another one of its nonce pays more".into(),
    };
    assert_eq!(chain.fate(&dear.cid()).unwrap(), replaced);

    let height = include(&chain, dearer.clone()).await;
    let (block, _) = chain.block(height).unwrap().unwrap();
    assert_eq!(block.body.txs[0], dearer);
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21).address());
    let genesis = slow("refusals");
    let chain = start_slow(&genesis, config(dir.path())).await;

    let mut forged = sign(&genesis, &alice, 0, transfer(&bob, 1));
    forged.body.action = transfer(&bob, 99);
    let mut foreign = genesis.clone();
    foreign.chain_id = "other".into();
    let mut cheap = genesis.clone();
    cheap.fee = Amount::from_units(1);
    for (tx, reason) in [
        (forged, "the transaction's signature does not hold"),
        (
            sign(&foreign, &alice, 0, transfer(&bob, 1)),
            "the transaction is for chain 'other', this is 'refusals'",
        ),
        (
            sign(&cheap, &alice, 0, transfer(&bob, 1)),
            "a fee of 0.00000001 coins is too low: this chain asks for 0.001",
        ),
        (
            sign(&genesis, &alice, 0, transfer(&bob, 0)),
            "a transfer needs an amount above zero",
        ),
    ] {
        assert_eq!(refusal(&chain, tx), reason);
    }
    assert_eq!(chain.next_nonce(&alice.address()).unwrap(), 0);
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21).address());
    let genesis = slow("bounds");
    let few = Config {
        mempool_max_txs: 2,
        refusals_kept: 2,
        ..config(dir.path())
    };
    let chain = start_slow(&genesis, few).await;
    let tx = |nonce| sign(&genesis, &alice, nonce, transfer(&bob, 1));
    for nonce in 0..2 {
        chain.submit(tx(nonce)).unwrap();
    }
    let error = chain.submit(tx(2)).unwrap_err().to_string();
    assert!(
        error.starts_with("the node has 2 pending transactions ("),
        "{error}"
    );
    // No verdict of the ledger: it can be submitted again later.
    assert_eq!(chain.fate(&tx(2).cid()).unwrap(), Fate::Unknown);
    chain.shutdown().await;
    drop(chain);

    let dir = tempfile::tempdir().unwrap();
    let small = Config {
        mempool_max_bytes: tx(0).encode().len() * 3 / 2,
        ..config(dir.path())
    };
    let chain = start_slow(&genesis, small).await;
    chain.submit(tx(0)).unwrap();
    let error = chain.submit(tx(1)).unwrap_err();
    assert!(matches!(error, SubmitError::Full { txs: 1, .. }), "{error:?}");
    chain.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_refusals_are_forgotten_and_giants_are_not_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let alice = secret(20);
    let genesis = slow("giants");
    let chain = start_slow(
        &genesis,
        Config {
            refusals_kept: 2,
            ..config(dir.path())
        },
    )
    .await;
    let early: Vec<_> = (50..53)
        .map(|nonce| sign(&genesis, &alice, nonce, Action::Faucet {}))
        .collect();
    early.iter().for_each(|tx| drop(refusal(&chain, tx.clone())));
    assert_eq!(chain.fate(&early[0].cid()).unwrap(), Fate::Unknown);
    assert!(matches!(
        chain.fate(&early[1].cid()).unwrap(),
        Fate::Refused { .. }
    ));

    let records = Records {
        txt: vec!["x".repeat(255); 100],
        ..Records::default()
    };
    let label = Label::parse("alice").unwrap();
    let giant = sign(
        &genesis,
        &alice,
        0,
        Action::NameRegister {
            label,
            secret: Hash([0; 32]),
            records,
        },
    );
    let (bytes, max) = (giant.encode().len(), ledger::MAX_TX_BYTES);
    let error = chain.submit(giant).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("the transaction has {bytes} bytes, a block of this chain at most {max}")
    );
    chain.shutdown().await;
}

/// What was handed in here is known after a restart, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_no_fate() {
    let dir = tempfile::tempdir().unwrap();
    let (alice, bob) = (secret(20), secret(21).address());
    let genesis = slow("restarted");
    let chain = start_slow(&genesis, config(dir.path())).await;
    let tx = |nonce| sign(&genesis, &alice, nonce, transfer(&bob, 1));
    for nonce in [0, 1, 3] {
        chain.submit(tx(nonce)).unwrap();
    }
    let poor = sign(&genesis, &secret(30), 0, transfer(&bob, 1));
    let reason = refusal(&chain, poor.clone());
    chain.shutdown().await;
    drop(chain);

    let chain = try_start(&genesis, delegate(), config(dir.path())).await.unwrap();
    assert_eq!(chain.fate(&poor.cid()).unwrap(), Fate::Refused { reason });
    let fates = [0, 1, 3].map(|nonce| chain.fate(&tx(nonce).cid()).unwrap());
    let pending = |missing| Fate::Pending { missing };
    assert_eq!(fates, [pending(None), pending(None), pending(Some(2))]);
    chain.shutdown().await;
}
