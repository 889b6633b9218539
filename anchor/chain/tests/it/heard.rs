//! Verdicts on gossip. A header is believed for its certificate alone.

use chain::{Chain, Fate, Gossip, Verdict};
use ledger::{Action, Amount, Genesis, Hash, Header, SecretKey, Validator, ValidatorSet, encode};

use crate::net::Net;
use crate::wire::{Announcement, certify};
use crate::world::*;

/// What a verdict must be; a rejection begins so.
#[derive(Debug)]
enum Expected {
    Accept,
    Ignore,
    Reject(&'static str),
}
use Expected::{Accept, Ignore, Reject};

fn check(chain: &Chain, what: Gossip, bytes: &[u8], expected: &Expected) {
    let found = chain.heard(what, "somebody", bytes);
    let fits = match (&found, expected) {
        (Verdict::Accept, Accept) | (Verdict::Ignore, Ignore) => true,
        (Verdict::Reject(reason), Reject(beginning)) => reason.starts_with(beginning),
        _ => false,
    };
    assert!(fits, "{found:?}, expected {expected:?}");
}

/// A delegate, and a follower that has some of its blocks and is cut off from it.
struct World {
    genesis: Genesis,
    one: Chain,
    two: Chain,
    _dirs: [tempfile::TempDir; 2],
}

impl World {
    async fn new(chain_id: &str) -> World {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let genesis = genesis(chain_id, &[&secret(20)]);
        let one = start(&genesis, dirs[0].path()).await;
        let two = start_follower(&genesis, dirs[1].path()).await;
        let net = Net::new();
        net.serve("one", &one);
        net.join("two", &two, &["one"]);
        reach(&two, 3).await;
        net.leave("one");
        until("the loss to be noticed", || {
            (two.sync_status().peers == 0).then_some(())
        })
        .await;
        // An answer that was under way may still bring blocks.
        two.refresh(DEADLINE).await;
        reach(&one, two.tip().height + 3).await;
        World {
            genesis,
            one,
            two,
            _dirs: dirs,
        }
    }

    fn header(&self, height: u64) -> Header {
        self.one.block(height).unwrap().unwrap().0.header
    }

    /// The announcement of a header, certified by `key`.
    fn announce(&self, header: &Header, key: &SecretKey) -> Vec<u8> {
        encode(&Announcement {
            header: header.clone(),
            certificate: certify(&self.genesis, key, header),
        })
    }

    async fn end(self) {
        self.one.shutdown().await;
        self.two.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_believed_for_their_certificates() {
    let world = World::new("headers").await;
    let tip = world.two.tip().height;
    let (old, next) = (world.header(tip), world.header(tip + 1));
    let good = |header: &Header| world.announce(header, &delegate());
    let changed = |header: &Header, change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        header
    };
    let strangers = ValidatorSet::new(vec![Validator {
        key: secret(9).public(),
        power: 1,
    }])
    .unwrap()
    .hash();
    let foreign = |header: &mut Header| header.validators = strangers;
    let far = changed(&next, &|header| {
        (header.height, header.parent) = (tip + 50, Hash([1; 32]).cid().into());
    });
    let swapped = encode(&Announcement {
        header: next.clone(),
        certificate: certify(&world.genesis, &delegate(), &old),
    });
    let mut longer = good(&next);
    longer.push(0);

    for (bytes, expected) in [
        (b"junk".to_vec(), Reject("the announcement is malformed")),
        (vec![], Reject("the announcement is malformed")),
        (vec![0; 200_000], Reject("the announcement has 200000 bytes")),
        (longer, Reject("the announcement is malformed")),
        (encode(&next), Reject("the announcement is malformed")),
        (swapped, Reject("block")),
        // Of another chain, though this delegate signed it.
        (
            good(&changed(&next, &|header| header.chain = "other".into())),
            Reject(r#"it is of the chain "other""#),
        ),
        (
            good(&changed(&next, &|header| {
                header.genesis = Hash([1; 32]).cid().into();
            })),
            Reject("its genesis is"),
        ),
        // What is here already, and what claims to be.
        (good(&old), Ignore),
        (world.announce(&old, &secret(9)), Ignore),
        (
            world.announce(&changed(&old, &|header| header.time_ms += 1), &secret(9)),
            Reject("block"),
        ),
        (
            good(&changed(&old, &|header| header.height = 0)),
            Reject("there is no block 0"),
        ),
        // The next one: the state says who votes.
        (world.announce(&next, &secret(9)), Reject("block")),
        (
            world.announce(&changed(&next, &foreign), &secret(9)),
            Reject("block"),
        ),
        // Further ahead: the same, as long as the header names them; else it cannot be judged.
        (world.announce(&far, &secret(9)), Reject("block")),
        (world.announce(&changed(&far, &foreign), &secret(9)), Ignore),
        (world.announce(&changed(&far, &foreign), &delegate()), Ignore),
        // Good ones, each once; what is behind one that is known is no news.
        (good(&next), Accept),
        (good(&next), Ignore),
        (good(&far), Accept),
        (good(&world.header(tip + 2)), Ignore),
        // After all of that a false one is still false.
        (world.announce(&next, &secret(9)), Reject("block")),
    ] {
        check(&world.two, Gossip::Header, &bytes, &expected);
    }
    assert_eq!(world.two.sync_status().best, tip + 50);
    assert_eq!(world.two.tip().height, tip);

    // A delegate judges by the same rules.
    let junk = world.announce(&world.header(1), &secret(9));
    check(
        &world.one,
        Gossip::Header,
        b"junk",
        &Reject("the announcement is malformed"),
    );
    check(&world.one, Gossip::Header, &junk, &Ignore);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_blamed_only_for_what_no_state_can_heal() {
    let world = World::new("txs").await;
    let (alice, bob) = (secret(20), secret(21).address());
    let tx = |nonce, coins| sign(&world.genesis, &alice, nonce, transfer(&bob, coins));
    let mut forged = tx(0, 1);
    forged.body.action = transfer(&bob, 99);
    let mut other = world.genesis.clone();
    other.chain_id = "other".into();
    let mut cheap = world.genesis.clone();
    cheap.fee = Amount::from_units(1);
    let mut longer = tx(0, 1).encode();
    longer.push(0);

    for (bytes, expected) in [
        (b"junk".to_vec(), Reject("the transaction is malformed")),
        (vec![], Reject("the transaction is malformed")),
        (longer, Reject("the transaction is malformed")),
        (vec![0; 20_000], Reject("the transaction has 20000 bytes")),
        (
            forged.encode(),
            Reject("the transaction's signature does not hold"),
        ),
        (
            sign(&other, &alice, 0, Action::Faucet {}).encode(),
            Reject("the transaction is for chain 'other'"),
        ),
        (
            sign(&cheap, &alice, 0, Action::Faucet {}).encode(),
            Reject("a fee of 0.00000001 coins is too low"),
        ),
        // The sender's state may be ahead of ours, or behind.
        (tx(30, 1).encode(), Ignore),
        (tx(0, 5_000).encode(), Ignore),
        (tx(0, 1).encode(), Accept),
        (tx(0, 1).encode(), Ignore),
        (tx(0, 2).encode(), Ignore),
        (tx(1, 1).encode(), Accept),
    ] {
        check(&world.two, Gossip::Tx, &bytes, &expected);
    }
    assert_eq!(
        world.two.fate(&tx(1, 1).cid()).unwrap(),
        Fate::Pending { missing: None }
    );
    // What was refused was not this node's: it answers for nothing.
    assert_eq!(world.two.fate(&tx(0, 5_000).cid()).unwrap(), Fate::Unknown);

    // What is in a block is no news.
    include(&world.one, tx(0, 1)).await;
    check(&world.one, Gossip::Tx, &tx(0, 1).encode(), &Ignore);
    world.end().await;
}
