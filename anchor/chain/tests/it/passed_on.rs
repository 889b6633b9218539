//! Transactions from a follower to a delegate, over other followers, and what is told of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chain::{Chain, Fate, Gossip, SubmitError, Verdict};
use ledger::{Action, Genesis, Tx};

use crate::net::Net;
use crate::wire::{Answer, Request};
use crate::world::*;

/// one — two — three: a delegate and two followers.
struct Line {
    genesis: Genesis,
    net: Arc<Net>,
    one: Chain,
    two: Chain,
    three: Chain,
    _dirs: Vec<tempfile::TempDir>,
}

impl Line {
    async fn new(genesis: Genesis, net: Arc<Net>) -> Line {
        let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let one = start(&genesis, dirs[0].path()).await;
        let two = start_follower(&genesis, dirs[1].path()).await;
        let three = start_follower(&genesis, dirs[2].path()).await;
        net.join("one", &one, &[]);
        net.join("two", &two, &["one"]);
        net.join("three", &three, &["two"]);
        synced(&two).await;
        synced(&three).await;
        Line {
            genesis,
            net,
            one,
            two,
            three,
            _dirs: dirs,
        }
    }

    async fn end(self) {
        for (name, chain) in [("one", &self.one), ("two", &self.two), ("three", &self.three)] {
            assert_eq!(self.net.rejected(name), Vec::<String>::new());
            chain.shutdown().await;
            assert_eq!(chain.health().failure, None);
        }
        agree(&self.one, &self.three);
    }
}

async fn a_transaction_goes_all_the_way(net: Arc<Net>, chain_id: &str) {
    let line = Line::new(genesis(chain_id, &[]), net).await;
    let alice = secret(20);
    let draw = next(&line.three, &alice, Action::Faucet {});
    let cid = line.three.submit(draw.clone()).unwrap();
    let height = included(&line.three, &cid).await;
    for chain in [&line.one, &line.two] {
        assert_eq!(chain.transaction(&cid).unwrap(), Some((draw.clone(), height)));
    }
    // Several of one account, in their order, without waiting.
    let many: Vec<Tx> = (1..=5)
        .map(|nonce| {
            sign(
                &line.genesis,
                &alice,
                nonce,
                transfer(&secret(21).address(), nonce),
            )
        })
        .collect();
    for tx in &many {
        line.three.submit(tx.clone()).unwrap();
        // Again, by somebody who is not sure.
        line.three.submit(tx.clone()).unwrap();
    }
    for tx in &many {
        included(&line.three, &tx.cid()).await;
    }
    assert_eq!(line.three.next_nonce(&alice.address()).unwrap(), 6);
    // What the ledger refuses here is refused at once.
    let dear = sign(&line.genesis, &alice, 6, transfer(&secret(21).address(), 5_000));
    let error = line.three.submit(dear.clone()).unwrap_err();
    assert!(matches!(error, SubmitError::Refused(_)), "{error:?}");
    let reason = error.to_string();
    assert_eq!(line.three.fate(&dear.cid()).unwrap(), Fate::Refused { reason });
    line.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_reaches_the_delegate_by_gossip_and_by_hand() {
    a_transaction_goes_all_the_way(Net::new(), "gossip").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_reaches_the_delegate_without_gossip() {
    a_transaction_goes_all_the_way(Net::without_gossip(), "by-hand").await;
}

/// Gossip may bring a transaction to a follower and not further. Being asked to pass it on, the follower does.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_by_gossip_before_is_passed_on_too() {
    let line = Line::new(genesis("half-way", &[&secret(20)]), Net::without_gossip()).await;
    let tx = sign(&line.genesis, &secret(20), 0, transfer(&secret(21).address(), 1));
    let heard = line.two.heard(Gossip::Tx, "somebody", &tx.encode());
    assert_eq!(heard, Verdict::Accept);
    line.three.submit(tx.clone()).unwrap();
    included(&line.three, &tx.cid()).await;
    line.end().await;
}

/// The delegate has another one of the same nonce: the block that has it tells the follower that its own is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_the_delegate_refuses_is_told_as_refused() {
    let mut genesis = genesis("conflict", &[&secret(20)]);
    genesis.block_time_ms = 3_000;
    let line = Line::new(genesis, Net::without_gossip()).await;
    let (alice, bob) = (secret(20), secret(21).address());
    let (first, second) = (
        sign(&line.genesis, &alice, 0, transfer(&bob, 1)),
        sign(&line.genesis, &alice, 0, transfer(&bob, 2)),
    );
    line.one.submit(first.clone()).unwrap();
    line.three.submit(second.clone()).unwrap();
    included(&line.one, &first.cid()).await;
    let reason = until("the refusal", || match line.three.fate(&second.cid()).unwrap() {
        Fate::Refused { reason } => Some(reason),
        Fate::Pending { .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert!(
        reason.starts_with("nonce 0 of account ") && reason.ends_with("its next one is 1"),
        "{reason}"
    );
    line.end().await;
}

/// Makes a node give this answer to every transaction, instead of looking at it. Returns how often it did.
fn answer_all(net: &Net, name: &str, answer: Answer) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    net.instead(name, move |request| {
        let Request::Submit { .. } = request else {
            return None;
        };
        counted.fetch_add(1, Ordering::Relaxed);
        Some(answer.clone())
    });
    count
}

/// A peer's word does not end a transaction at once; the same word again and again does.
#[tokio::test(flavor = "multi_thread")]
async fn what_peers_refuse_again_and_again_is_given_up() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("stubborn", &[&secret(20)]);
    let one = start(&genesis, dirs[0].path()).await;
    let two = start_follower(&genesis, dirs[1].path()).await;
    let net = Net::without_gossip();
    net.serve("one", &one);
    let no_thanks = Answer::Refused {
        reason: "no\nthanks".into(),
    };
    let tries = answer_all(&net, "one", no_thanks);
    net.join("two", &two, &["one"]);
    synced(&two).await;
    let bob = secret(21).address();
    let (tx, after) = (
        sign(&genesis, &secret(20), 0, transfer(&bob, 1)),
        sign(&genesis, &secret(20), 1, transfer(&bob, 2)),
    );
    two.submit(tx.clone()).unwrap();
    two.submit(after.clone()).unwrap();
    assert_eq!(two.fate(&tx.cid()).unwrap(), Fate::Pending { missing: None });
    let reason = until("the end of it", || match two.fate(&tx.cid()).unwrap() {
        Fate::Refused { reason } => Some(reason),
        Fate::Pending { .. } => None,
        other => panic!("{other:?}"),
    })
    .await;
    assert_eq!(reason, "no thanks");
    assert!(tries.load(Ordering::Relaxed) >= 3);
    // What waited behind it is refused as well, or waits for another one in its place.
    let fate = two.fate(&after.cid()).unwrap();
    let behind = matches!(&fate, Fate::Pending { missing: Some(0) } | Fate::Refused { .. });
    assert!(behind, "{fate:?}");
    assert_eq!(two.next_nonce(&secret(20).address()).unwrap(), 0);
    assert!(net.faults("two").is_empty());
    one.shutdown().await;
    two.shutdown().await;
}

/// Said to be taken, and lost: it is handed over again until a block has it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_on_the_way_is_handed_over_again() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("lost", &[&secret(20)]);
    let one = start(&genesis, dirs[0].path()).await;
    let two = start_follower(&genesis, dirs[1].path()).await;
    let net = Net::without_gossip();
    net.join("two", &two, &[]);
    // Nobody is there yet.
    let tx = sign(&genesis, &secret(20), 0, transfer(&secret(21).address(), 1));
    let cid = two.submit(tx).unwrap();
    net.serve("one", &one);
    net.serve("thief", &one);
    // It takes everything and passes nothing on.
    let stolen = answer_all(&net, "thief", Answer::Taken {});
    net.link("two", "thief");
    until("it to be stolen again", || {
        (stolen.load(Ordering::Relaxed) >= 3).then_some(())
    })
    .await;
    assert_eq!(two.fate(&cid).unwrap(), Fate::Pending { missing: None });
    net.link("two", "one");
    included(&two, &cid).await;
    one.shutdown().await;
    two.shutdown().await;
}
