//! Peers that give what does not hold. Each is refused with the reason and counted against, and nothing of it is kept.

use std::sync::Arc;

use chain::{Chain, Error, Fault};
use ledger::{Action, Certificate, Genesis, Hash, Validator, ValidatorSet, encode};
use tokio::task::JoinSet;

use crate::net::{Net, Tamper, sent};
use crate::wire::{Answer, Request, Sealed, certify};
use crate::world::*;

/// A follower that knows this peer alone, and keeps so many blocks of it. Returns the reason of the refusal.
async fn refusal(genesis: &Genesis, peer: &Chain, tamper: Option<Tamper>, kept: u64) -> String {
    let (reason, found) = refusal_after(genesis, peer, tamper).await;
    assert_eq!(found, kept, "{reason}");
    reason
}

async fn refusal_after(genesis: &Genesis, peer: &Chain, tamper: Option<Tamper>) -> (String, u64) {
    let dir = tempfile::tempdir().unwrap();
    let net = Net::without_gossip();
    net.serve("liar", peer);
    if let Some(tamper) = tamper {
        net.tamper("liar", move |request, answer| tamper(request, answer));
    }
    let follower = start_follower(genesis, dir.path()).await;
    net.join("me", &follower, &["liar"]);
    let refused = tokio::time::timeout(DEADLINE, follower.synced()).await;
    let error = refused.expect("an end of the wait").unwrap_err();
    let reason = match &net.faults("me")[..] {
        [(peer, Fault::Severe(reason))] if peer == "liar" => reason.clone(),
        other => panic!("{other:?}"),
    };
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    let expected = format!(
        "no peer gives the chain {:?} that began with genesis {}: liar: {reason}",
        genesis.chain_id,
        genesis.cid()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(
        follower.sync_status().refused,
        [("liar".to_owned(), reason.clone())]
    );
    assert_eq!(follower.health().failure, None);
    follower.shutdown().await;
    agree(&follower, peer);
    (reason, follower.tip().height)
}

/// Changes the blocks of an answer.
fn blocks(change: impl Fn(&mut Vec<Sealed>) + Send + Sync + 'static) -> Tamper {
    Arc::new(move |_, answer| match answer {
        Answer::Blocks { mut blocks } => {
            change(&mut blocks);
            sent(&Answer::Blocks { blocks })
        }
        other => sent(&other),
    })
}

/// Changes the certificate of the first block.
fn certificate(change: impl Fn(&mut Certificate) + Send + Sync + 'static) -> Tamper {
    blocks(move |blocks| {
        let mut certificate = blocks[0].certificate();
        change(&mut certificate);
        blocks[0].certificate = encode(&certificate).into();
    })
}

/// Changes the header of the first block, which the delegate signs anew: as if the delegates were corrupt.
fn header(genesis: &Genesis, change: impl Fn(&mut ledger::Header) + Send + Sync + 'static) -> Tamper {
    let genesis = genesis.clone();
    blocks(move |blocks| {
        let mut header = blocks[0].header();
        change(&mut header);
        blocks[0] = blocks[0].recertified(&genesis, &delegate(), &header);
    })
}

/// Changes the bytes of the answer that gives blocks.
fn bytes(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Tamper {
    Arc::new(move |request, answer| {
        let mut bytes = encode(&answer);
        if matches!(request, Request::Blocks { .. }) {
            change(&mut bytes);
        }
        Some(bytes)
    })
}

/// Who lies, what the beginning of the reason is, and how many good blocks come before.
type Case = (&'static str, Tamper, u64);

fn cases(genesis: &Genesis) -> Vec<Case> {
    let mut cases = certificates(genesis);
    cases.extend(headers(genesis));
    cases.extend(lists());
    cases.extend(encodings());
    cases
}

fn certificates(genesis: &Genesis) -> Vec<Case> {
    let (foreign, foreign_set) = (genesis.clone(), genesis.clone());
    vec![
        (
            "block 1: certificate of height 1: signed with power 0 of 1, 1 are needed",
            certificate(|certificate| {
                certificate.signers = vec![0];
                certificate.signatures.clear();
            }),
            0,
        ),
        (
            "block 1: certificate of height 1: 1 signers, but 0 signatures",
            certificate(|certificate| certificate.signatures.clear()),
            0,
        ),
        (
            "block 1: certificate of height 1: its bitmap has 0 bytes for 1 validators",
            certificate(|certificate| certificate.signers.clear()),
            0,
        ),
        (
            "block 1: certificate of height 1: its bitmap names validators that are not in the set",
            certificate(|certificate| certificate.signers = vec![3]),
            0,
        ),
        (
            "block 1: certificate of height 1: the signature of",
            blocks(move |blocks| {
                let header = blocks[0].header();
                blocks[0] = blocks[0].recertified(&foreign, &secret(9), &header);
            }),
            0,
        ),
        (
            "block 1: certificate of height 1: the signature of",
            certificate(|certificate| certificate.round += 1),
            0,
        ),
        (
            "block 1: its certificate is of another header",
            blocks(|blocks| blocks[0].certificate = blocks[1].certificate.clone()),
            0,
        ),
        (
            "block 1: its certificate is of another header",
            certificate(|certificate| certificate.height = 2),
            0,
        ),
        (
            "block 1: it names validators",
            blocks(move |blocks| {
                let mut header = blocks[0].header();
                let (key, power) = (secret(9).public(), 1);
                header.validators = ValidatorSet::new(vec![Validator { key, power }]).unwrap().hash();
                blocks[0] = blocks[0].recertified(&foreign_set, &secret(9), &header);
            }),
            0,
        ),
    ]
}

fn headers(genesis: &Genesis) -> Vec<Case> {
    vec![
        (
            "block 1: the state root is",
            header(genesis, |header| header.state_root = Hash([7; 32])),
            0,
        ),
        (
            "block 1: its parent is",
            header(genesis, |header| header.parent = Hash([7; 32]).cid().into()),
            0,
        ),
        (
            "block 1: its body is",
            header(genesis, |header| header.body = Hash([7; 32]).cid().into()),
            0,
        ),
        (
            "block 1: the next validators are not those of the state",
            header(genesis, |header| header.next_validators = Hash([7; 32])),
            0,
        ),
        (
            r#"block 1: it is of the chain "other", this is "liars""#,
            header(genesis, |header| header.chain = "other".into()),
            0,
        ),
        (
            "block 1: its genesis is",
            header(genesis, |header| header.genesis = Hash([7; 32]).cid().into()),
            0,
        ),
        ("block 1: transaction", forged_transaction(genesis), 0),
        (
            "block 1: its body is",
            blocks(|blocks| blocks[0].body = blocks[1].body.clone()),
            0,
        ),
    ]
}

/// A block with a transaction that its sender did not sign so, certified by the delegate.
fn forged_transaction(genesis: &Genesis) -> Tamper {
    let genesis = genesis.clone();
    blocks(move |blocks| {
        let mut tx = sign(&genesis, &secret(20), 0, Action::Faucet {});
        tx.body.action = transfer(&secret(21).address(), 1);
        let mut body = blocks[0].body();
        body.txs.push(tx);
        let mut header = blocks[0].header();
        header.body = body.cid().into();
        blocks[0].body = encode(&body).into();
        blocks[0] = blocks[0].recertified(&genesis, &delegate(), &header);
    })
}

fn lists() -> Vec<Case> {
    vec![
        (
            "it gives block 2 for block 1",
            blocks(|blocks| drop(blocks.remove(0))),
            0,
        ),
        (
            "it gives block 3 for block 2",
            blocks(|blocks| drop(blocks.remove(1))),
            1,
        ),
        (
            "it gives block 1 for block 2",
            blocks(|blocks| blocks[1] = blocks[0].clone()),
            1,
        ),
        ("it gives block ", blocks(|blocks| blocks.reverse()), 0),
        (
            "it said that it has block 1, and does not give it",
            blocks(Vec::clear),
            0,
        ),
        (
            "it gives 129 blocks for 128",
            blocks(|blocks| *blocks = vec![blocks[0].clone(); 129]),
            0,
        ),
        (
            r#"it answers another question: "taken""#,
            Arc::new(|request, answer| match request {
                Request::Blocks { .. } => sent(&Answer::Taken {}),
                _ => sent(&answer),
            }),
            0,
        ),
        (
            r#"it answers another question: "blocks""#,
            Arc::new(|_, _| sent(&Answer::Blocks { blocks: vec![] })),
            0,
        ),
        (
            "its block 0 is 0707",
            Arc::new(|_, answer| match answer {
                Answer::Status { chain, genesis, .. } => sent(&Answer::Status {
                    chain,
                    genesis,
                    height: 0,
                    header: Hash([7; 32]),
                }),
                other => sent(&other),
            }),
            0,
        ),
    ]
}

fn encodings() -> Vec<Case> {
    let part = |change: fn(&mut Sealed)| blocks(move |blocks| change(&mut blocks[0]));
    vec![
        (
            "its answer is malformed: decode Answer",
            bytes(|bytes| bytes.truncate(bytes.len() / 2)),
            0,
        ),
        (
            "its answer is malformed: decode Answer",
            bytes(|bytes| bytes.truncate(bytes.len() - 1)),
            0,
        ),
        (
            "its answer is malformed: decode Answer: byte ",
            bytes(|bytes| bytes.push(0)),
            0,
        ),
        ("its answer is malformed: decode Answer", bytes(Vec::clear), 0),
        (
            "its answer has 4194305 bytes, at most 4194304 are allowed",
            bytes(|bytes| bytes.resize((4 << 20) + 1, 0)),
            0,
        ),
        ("header 1 is malformed", part(|sealed| sealed.header.push(0)), 0),
        (
            "header 1 is malformed",
            part(|sealed| sealed.header.truncate(100)),
            0,
        ),
        (
            "header 1 has 100000 bytes",
            part(|sealed| sealed.header.resize(100_000, 0)),
            0,
        ),
        (
            "the certificate of block 1 is malformed",
            part(|sealed| sealed.certificate.push(0)),
            0,
        ),
        (
            "the certificate of block 1 has 100000 bytes",
            part(|sealed| sealed.certificate.resize(100_000, 0)),
            0,
        ),
        (
            "the body of block 1 is malformed",
            part(|sealed| sealed.body.push(0)),
            0,
        ),
        (
            "the body of block 1 has 2097153 bytes",
            part(|sealed| sealed.body.resize((2 << 20) + 1, 0)),
            0,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_hold_is_refused_and_counted_against_the_peer() {
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("liars", &[]);
    let one = start(&genesis, dir.path()).await;
    reach(&one, 4).await;
    let mut running = JoinSet::new();
    for (expected, tamper, kept) in cases(&genesis) {
        let (genesis, one) = (genesis.clone(), one.clone());
        running.spawn(async move {
            let reason = refusal(&genesis, &one, Some(tamper), kept).await;
            assert!(reason.starts_with(expected), "{reason}\nexpected {expected}");
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    one.shutdown().await;
}

/// Wherever a bit of an answer is wrong, it is found.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_bit_gets_through() {
    const FLIPS: usize = 24;
    const BLOCKS: u64 = 3;
    let dir = tempfile::tempdir().unwrap();
    let genesis = genesis("flips", &[]);
    let one = start(&genesis, dir.path()).await;
    include(&one, next(&one, &secret(20), Action::Faucet {})).await;
    reach(&one, BLOCKS).await;
    let mut running = JoinSet::new();
    for flip in 0..FLIPS {
        let tamper: Tamper = Arc::new(move |_, answer| {
            let Answer::Blocks { mut blocks } = answer else {
                return sent(&answer);
            };
            blocks.truncate(BLOCKS as usize);
            let mut bytes = encode(&Answer::Blocks { blocks });
            let place = bytes.len() * flip / FLIPS;
            bytes[place] ^= 1 << (flip % 8);
            Some(bytes)
        });
        let (genesis, one) = (genesis.clone(), one.clone());
        running.spawn(async move { refusal_after(&genesis, &one, Some(tamper)).await });
    }
    while let Some(done) = running.join_next().await {
        let (_, kept) = done.unwrap();
        assert!(kept < BLOCKS, "one of them was wrong");
    }
    one.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_another_chain_or_genesis_are_refused() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ours = genesis("ours", &[]);
    let mut later = ours.clone();
    later.time_ms += 1;
    for (dir, theirs, expected, in_block) in [
        (
            &dirs[0],
            genesis("theirs", &[]),
            r#"it is of the chain "theirs", this is "ours""#.to_owned(),
            r#"block 1: it is of the chain "theirs", this is "ours""#.to_owned(),
        ),
        (
            &dirs[1],
            later.clone(),
            format!("its genesis is {}, this chain's is {}", later.cid(), ours.cid()),
            format!(
                "block 1: its genesis is {}, this chain's is {}",
                later.cid(),
                ours.cid()
            ),
        ),
    ] {
        let other = start(&theirs, dir.path()).await;
        reach(&other, 2).await;
        assert_eq!(refusal(&ours, &other, None, 0).await, expected);
        // One that says that it is of ours is found out by its first block.
        let (chain_id, cid) = (ours.chain_id.clone(), ours.cid());
        let pretends: Tamper = Arc::new(move |_, answer| match answer {
            Answer::Status { height, header, .. } => sent(&Answer::Status {
                chain: chain_id.clone(),
                genesis: cid.into(),
                height,
                header,
            }),
            other => sent(&other),
        });
        assert_eq!(refusal(&ours, &other, Some(pretends), 0).await, in_block);
        other.shutdown().await;
    }
}

/// One that lies beside one that does not costs nothing but the question.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_the_next_peer_is_asked() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("next-peer", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    reach(&one, 3).await;
    let net = Net::new();
    net.serve("a-liar", &one);
    let tamper = header(&genesis, |header| header.state_root = Hash([7; 32]));
    net.tamper("a-liar", move |request, answer| tamper(request, answer));
    // Another shows more than there is.
    net.serve("b-braggart", &one);
    net.tamper("b-braggart", |_, answer| match answer {
        Answer::Status {
            chain,
            genesis,
            header,
            ..
        } => sent(&Answer::Status {
            chain,
            genesis,
            height: 1_000_000,
            header,
        }),
        other => sent(&other),
    });
    net.serve("one", &one);
    let two = start_follower(&genesis, dirs[1].path()).await;
    net.join("two", &two, &["a-liar", "b-braggart", "one"]);
    synced(&two).await;
    reach(&two, one.tip().height + 2).await;
    agree(&one, &two);
    until("both to be refused", || {
        (two.sync_status().refused.len() == 2).then_some(())
    })
    .await;
    let refused: Vec<String> = two
        .sync_status()
        .refused
        .into_iter()
        .map(|(peer, _)| peer)
        .collect();
    assert!(refused.contains(&"a-liar".to_owned()) && refused.contains(&"b-braggart".to_owned()));
    assert!(
        net.faults("two")
            .iter()
            .all(|(_, fault)| matches!(fault, Fault::Severe(_)))
    );
    one.shutdown().await;
    two.shutdown().await;
}

/// Two nodes with one delegate key make two histories. Whoever has one of them says so, and keeps it.
#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_refused() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let genesis = genesis("histories", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let twin = start(&genesis, dirs[1].path()).await;
    reach(&one, 2).await;
    let two = start_follower(&genesis, dirs[2].path()).await;
    let net = Net::new();
    net.serve("one", &one);
    net.join("two", &two, &["one"]);
    reach(&two, 2).await;
    one.shutdown().await;
    reach(&two, one.tip().height).await;
    net.leave("one");
    reach(&twin, two.tip().height + 3).await;
    net.serve("twin", &twin);
    net.link("two", "twin");
    until("the twin to be refused", || net.faults("two").pop()).await;
    let (_, reason) = two.sync_status().refused.pop().unwrap();
    let next = two.tip().height + 1;
    assert!(
        reason.starts_with(&format!("block {next}: its parent is ")),
        "{reason}"
    );
    agree(&one, &two);

    // Also by gossip.
    let (block, certificate) = twin.block(1).unwrap().unwrap();
    let announcement = crate::wire::Announcement {
        header: block.header.clone(),
        certificate,
    };
    let verdict = two.heard(chain::Gossip::Header, "twin", &encode(&announcement));
    assert_eq!(
        verdict,
        chain::Verdict::Ignore,
        "it is certified: no peer is at fault"
    );
    let mut false_one = announcement;
    false_one.certificate = certify(&genesis, &secret(9), &block.header);
    let verdict = two.heard(chain::Gossip::Header, "twin", &encode(&false_one));
    assert!(matches!(verdict, chain::Verdict::Reject(_)), "{verdict:?}");
    twin.shutdown().await;
    two.shutdown().await;
}
