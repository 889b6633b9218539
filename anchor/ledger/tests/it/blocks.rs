//! Blocks and certificates: what holds, and what each change of them breaks.

use std::sync::LazyLock;

use ledger::{
    Action, Block, Body, Certificate, Genesis, Hash, Header, Link, SecretKey, Signature, Validator,
    ValidatorSet, VoteKind, vote_bytes,
};

use crate::world::*;

/// A set of `count` delegates, from account number 10 on.
pub fn set(count: u8) -> ValidatorSet {
    let seat = |n| Validator {
        key: who(n).public(),
        power: 1,
    };
    ValidatorSet::new((10..10 + count).map(seat).collect()).unwrap()
}

/// The keys of a set, in its order.
pub fn keys_of(set: &ValidatorSet) -> Vec<SecretKey> {
    static ALL: LazyLock<Vec<SecretKey>> = LazyLock::new(|| (0..=255).map(who).collect());
    let find = |validator: &Validator| {
        let key = ALL.iter().find(|key| key.public() == validator.key);
        key.unwrap().clone()
    };
    set.validators().iter().map(find).collect()
}

/// A certificate by the first `signers` of the set.
pub fn certify(header: &Header, set: &ValidatorSet, signers: usize) -> Certificate {
    let bytes = vote_bytes(
        VoteKind::Precommit,
        &header.chain,
        header.height,
        0,
        Some(header.id()),
    );
    let votes = keys_of(set)
        .into_iter()
        .take(signers)
        .map(|key| (key.address(), key.sign_bytes(&bytes)));
    Certificate::build(set, header.height, 0, header.id(), votes).unwrap()
}

/// A header that fits after `parent`.
pub fn header(genesis: &Genesis, parent: Option<&Header>, body: &Body, set: &ValidatorSet) -> Header {
    Header {
        chain: genesis.chain_id.clone(),
        genesis: Link(genesis.cid()),
        height: parent.map_or(0, |parent| parent.height) + 1,
        time_ms: parent.map_or(genesis.time_ms, |parent| parent.time_ms) + 1,
        parent: Link(parent.map_or_else(|| genesis.cid(), Header::cid)),
        body: Link(body.cid()),
        state_root: Hash::of(b"state"),
        proposer: set.validators()[0].address(),
        reveal: None,
        validators: set.hash(),
        next_validators: set.hash(),
    }
}

fn first() -> (Genesis, ValidatorSet, Block) {
    let (genesis, set) = (genesis(), set(4));
    let body = Body {
        txs: vec![sign(1, 0, genesis.fee, Action::Faucet {})],
        last_certificate: None,
    };
    let header = header(&genesis, None, &body, &set);
    (genesis, set, Block { header, body })
}

#[test]
fn a_chain_of_two_holds() {
    let (genesis, set, one) = first();
    one.check(&genesis, None, &set, &set).unwrap();
    let body = Body {
        txs: vec![],
        last_certificate: Some(certify(&one.header, &set, 3)),
    };
    let two = Block {
        header: header(&genesis, Some(&one.header), &body, &set),
        body,
    };
    two.check(&genesis, Some(&one.header), &set, &set).unwrap();
    assert_eq!(two.header.cid(), two.header.id().cid());
}

#[test]
fn each_link_of_a_block_is_checked() {
    let check = |change: fn(&mut Block), words: &str| {
        let (genesis, set, mut block) = first();
        change(&mut block);
        let error = block
            .check(&genesis, None, &set, &set)
            .expect_err(words)
            .to_string();
        assert!(error.starts_with("block at height "), "{error}");
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(
        |b| b.header.chain = "x".into(),
        "it is of chain 'x', this is 'test'",
    );
    check(|b| b.header.genesis = content("x"), "its genesis is");
    check(|b| b.header.height = 2, "its parent has height 0");
    check(|b| b.header.height = 0, "its parent has height 0");
    check(|b| b.header.time_ms = TIME_MS, "is not after its parent's");
    check(|b| b.header.parent = content("x"), "its parent is");
    check(|b| b.header.body = content("x"), "the header says");
    check(|b| b.body.txs.clear(), "the header says");
    check(|b| b.header.validators = Hash::of(b"x"), "it names validators");
    check(|b| b.header.proposer = at(1), "has no seat");
    check(
        |b| {
            let set = set(4);
            b.body.last_certificate = Some(certify(&b.header, &set, 4));
            b.header.body = Link(b.body.cid());
        },
        "the first block carries a certificate",
    );
    check(
        |b| {
            let records = ledger::Records {
                txt: vec!["x".repeat(20_000)],
                ..Default::default()
            };
            let action = Action::NameSet {
                label: label("a"),
                under: String::new(),
                records,
            };
            b.body.txs = vec![sign(1, 0, coins("1"), action)];
            b.header.body = Link(b.body.cid());
        },
        "is larger than 16384 bytes",
    );
    check(
        |b| {
            let records = ledger::Records {
                txt: vec!["x".repeat(16_000)],
                ..Default::default()
            };
            let action = Action::NameSet {
                label: label("a"),
                under: String::new(),
                records,
            };
            b.body.txs = vec![sign(1, 0, coins("1"), action); 132];
            b.header.body = Link(b.body.cid());
        },
        "bytes, at most 2097152",
    );
}

#[test]
fn the_certificate_of_the_parent_is_checked() {
    let (genesis, set, one) = first();
    let good = certify(&one.header, &set, 3);
    let check = |last: Option<Certificate>, words: &str| {
        let body = Body {
            txs: vec![],
            last_certificate: last,
        };
        let two = Block {
            header: header(&genesis, Some(&one.header), &body, &set),
            body,
        };
        let error = two
            .check(&genesis, Some(&one.header), &set, &set)
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(None, "it carries no certificate of its parent");
    check(
        Some(Certificate {
            height: 2,
            ..good.clone()
        }),
        "is not of its parent",
    );
    check(
        Some(Certificate {
            header: Hash::of(b"x"),
            ..good
        }),
        "is not of its parent",
    );
    check(
        Some(certify(&one.header, &set, 2)),
        "signed with power 2 of 4, 3 are needed",
    );
}

#[test]
fn a_certificate_needs_strictly_more_than_two_thirds() {
    for count in 1..=10u8 {
        let (genesis, set) = (genesis(), set(count));
        let header = header(&genesis, None, &Body::default(), &set);
        for signers in 0..=usize::from(count) {
            let verdict = certify(&header, &set, signers).verify(CHAIN, &set);
            assert_eq!(
                verdict.is_ok(),
                signers * 3 > usize::from(count) * 2,
                "{signers} of {count}: {verdict:?}"
            );
        }
    }
}

#[test]
fn each_part_of_a_certificate_is_checked() {
    let (genesis, set) = (genesis(), set(9));
    let header = header(&genesis, None, &Body::default(), &set);
    let good = certify(&header, &set, 8);
    good.verify(CHAIN, &set).unwrap();
    assert!((0..8).all(|place| good.signed_by(place)) && !good.signed_by(8) && !good.signed_by(99));
    let check = |change: fn(&mut Certificate), words: &str| {
        let mut certificate = good.clone();
        change(&mut certificate);
        let error = certificate.verify(CHAIN, &set).expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(|c| c.height += 1, "does not hold");
    check(|c| c.round += 1, "does not hold");
    check(|c| c.header = Hash::of(b"x"), "does not hold");
    check(|c| c.signers.push(0), "its bitmap has 3 bytes for 9 validators");
    check(
        |c| c.signers.truncate(1),
        "its bitmap has 1 bytes for 9 validators",
    );
    check(
        |c| c.signers[1] |= 4,
        "its bitmap names validators that are not in the set",
    );
    check(|c| c.signers[1] |= 1, "9 signers, but 8 signatures");
    check(|c| c.signatures.swap(0, 1), "does not hold");
    // Also a signature that the quorum does not need must hold.
    check(
        |c| c.signatures[7] = Signature::from_bytes([1; 64]),
        "does not hold",
    );
    assert!(good.verify("other", &set).is_err());
}

#[test]
fn nobody_counts_twice_and_strangers_not_at_all() {
    let (genesis, set) = (genesis(), set(4));
    let header = header(&genesis, None, &Body::default(), &set);
    let key = &keys_of(&set)[0];
    let bytes = vote_bytes(VoteKind::Precommit, CHAIN, 1, 0, Some(header.id()));
    let vote = (key.address(), key.sign_bytes(&bytes));
    let certificate = Certificate::build(&set, 1, 0, header.id(), [vote; 4]).unwrap();
    assert_eq!(certificate.signatures.len(), 1);
    let stranger = (at(99), who(99).sign_bytes(&bytes));
    assert!(Certificate::build(&set, 1, 0, header.id(), [stranger]).is_err());
}
