//! Proof bundles: what they prove, and that nothing else can be made of one.

use ledger::{
    Bundle, Error, Genesis, GenesisDelegate, Hash, Header, LightBlock, ValidatorSet, decode, encode, key,
    verify,
};

use crate::blocks::{certify, header, set};
use crate::tree::Tree;
use crate::world::*;

/// A genesis whose validators are `set(4)`.
pub fn genesis_of_four() -> Genesis {
    let mut genesis = genesis();
    genesis.seats = 101;
    let engine = "/ip4/10.0.0.1/tcp/1/p2p/12D3KooW".to_string();
    let delegate = |v: &ledger::Validator| GenesisDelegate {
        key: v.key,
        engine: engine.clone(),
        tip: None,
    };
    genesis.delegates = set(4).validators().iter().map(delegate).collect();
    genesis.validate().unwrap();
    genesis
}

/// A state with some names, and a tree over it.
fn tree() -> Tree {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.claim(2, register("bob", 1));
    Tree::of(&world.state)
}

pub fn header_at(genesis: &Genesis, height: u64, root: Hash, set: &ValidatorSet) -> Header {
    let header = header(genesis, None, &Default::default(), set);
    Header {
        height,
        state_root: root,
        ..header
    }
}

/// A proof for `key` by the validators of the genesis.
pub fn bundle(key: Vec<u8>) -> Bundle {
    let (genesis, tree) = (genesis_of_four(), tree());
    let (value, proof) = tree.prove(&key);
    let header = header_at(&genesis, 9, tree.root, &set(4));
    let certificate = certify(&header, &set(4), 3);
    Bundle {
        key,
        value: value.map(Into::into),
        proof,
        header,
        certificate,
        set_changes: vec![],
        foreign: None,
    }
}

/// The same, after the set has changed at heights 3 and 5.
pub fn bundle_after_changes(key: Vec<u8>) -> Bundle {
    let (genesis, tree) = (genesis_of_four(), tree());
    let (value, proof) = tree.prove(&key);
    let sets = [set(4), set(5), set(7)];
    let change = |height, from: &ValidatorSet, to: &ValidatorSet| {
        let header = Header {
            next_validators: to.hash(),
            time_ms: TIME_MS + height,
            ..header_at(&genesis, height, Hash::of(b"s"), from)
        };
        let certificate = certify(&header, from, from.len());
        LightBlock::new(header, certificate, from, to)
    };
    let set_changes = vec![change(3, &sets[0], &sets[1]), change(5, &sets[1], &sets[2])];
    let header = Header {
        time_ms: TIME_MS + 9,
        ..header_at(&genesis, 9, tree.root, &sets[2])
    };
    let certificate = certify(&header, &sets[2], 5);
    Bundle {
        key,
        value: value.map(Into::into),
        proof,
        header,
        certificate,
        set_changes,
        foreign: None,
    }
}

fn present() -> Vec<u8> {
    key::name(&label("alice"))
}

fn absent() -> Vec<u8> {
    key::name(&label("carol"))
}

#[test]
fn presence_and_absence_are_proved() {
    let genesis = genesis_of_four();
    for (make, after_ms) in [(bundle as fn(_) -> _, 1), (bundle_after_changes, 9)] {
        let bytes = make(present()).encode();
        let verified = verify(&Bundle::decode(&bytes).unwrap(), &genesis).unwrap();
        assert_eq!((verified.key.clone(), verified.height), (present(), 9));
        assert_eq!(verified.time_ms, TIME_MS + after_ms);
        let entry: ledger::NameEntry = decode(verified.value.as_ref().unwrap()).unwrap();
        assert_eq!(entry.owner, at(1));
        assert_eq!(verified.to_string(), "name/alice is in the state at height 9");
        let verified = verify(&Bundle::decode(&make(absent()).encode()).unwrap(), &genesis).unwrap();
        assert_eq!((verified.key.clone(), verified.value.clone()), (absent(), None));
        assert_eq!(
            verified.to_string(),
            "name/carol is absent in the state at height 9"
        );
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    let genesis = genesis_of_four();
    for make in [bundle, bundle_after_changes] {
        for key in [present(), absent()] {
            let good = make(key).encode();
            for place in 0..good.len() {
                for mask in [0x01, 0x80] {
                    let mut bytes = good.clone();
                    bytes[place] ^= mask;
                    let verdict = Bundle::decode(&bytes).and_then(|bundle| verify(&bundle, &genesis));
                    assert!(verdict.is_err(), "byte {place} ^ {mask:#x}: {verdict:?}");
                }
            }
        }
    }
}

/// The seal finds damage; this is about malice: whoever flips a byte can also make a new seal. Then only a statement
/// that is true may come out, and there is one kind that can: the absence of another key on the same empty branch.
#[test]
fn a_new_seal_does_not_help() {
    let genesis = genesis_of_four();
    let tree = tree();
    for make in [bundle, bundle_after_changes] {
        for key in [present(), absent()] {
            let good = encode(&make(key));
            for place in 0..good.len() {
                for mask in [0x01] {
                    let mut bytes = good.clone();
                    bytes[place] ^= mask;
                    let Ok(forged) = decode::<Bundle>(&bytes) else {
                        continue;
                    };
                    let Ok(verified) = verify(&forged, &genesis) else {
                        continue;
                    };
                    let (value, _) = tree.prove(&verified.key);
                    assert_eq!(verified.value, value, "byte {place} made a lie");
                    assert_eq!(verified.value, None, "byte {place} moved a proof of presence");
                }
            }
        }
    }
}

#[test]
fn truncated_and_extended_bundles_are_refused() {
    let good = bundle(present()).encode();
    for end in 0..good.len() {
        assert!(Bundle::decode(&good[..end]).is_err());
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(Bundle::decode(&longer).is_err());
    assert!(
        Bundle::decode(&vec![0; 9 * 1024 * 1024])
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
}

#[test]
fn each_link_of_a_bundle_is_checked() {
    let check = |change: fn(&mut Bundle), words: &str| {
        let mut bundle = bundle_after_changes(present());
        change(&mut bundle);
        let error = verify(&bundle, &genesis_of_four()).expect_err(words).to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(|b| b.value = None, "its path does not lead");
    check(|b| b.value = Some(b"x".to_vec().into()), "its path does not lead");
    check(|b| b.key = absent(), "its path does not lead");
    check(|b| b.header.state_root = Hash::of(b"x"), "is of another header");
    check(|b| b.header.time_ms += 1, "is of another header");
    check(|b| b.certificate.height += 1, "is of another header");
    check(
        |b| b.set_changes.clear(),
        "header of height 9: its validators do not follow from what is known of height",
    );
    check(
        |b| drop(b.set_changes.pop()),
        "header of height 9: its validators do not follow from what is known of height",
    );
    check(
        |b| drop(b.set_changes.remove(0)),
        "header of height 5: its validators do not follow from what is known of height 0",
    );
    check(
        |b| b.set_changes.swap(0, 1),
        "header of height 5: its validators do not follow from what is known of height 0",
    );
    check(
        |b| b.set_changes[1].joined.truncate(1),
        "header of height 5: the validators after it are not those that it names",
    );
    check(
        |b| b.set_changes[1].header.height = 3,
        "header of height 3: it is not later than what is known of height 3",
    );
    check(
        |b| b.header.height = 5,
        "header of height 5: it is not later than what is known of height 5",
    );
    check(
        |b| b.set_changes[0].left.push(4),
        "header of height 3: those who leave are not places of its set, in order",
    );
    check(
        |b| b.set_changes[1].left = vec![1, 0],
        "header of height 5: those who leave are not places of its set, in order",
    );
    check(
        |b| b.set_changes[0].certificate.signatures.clear(),
        "3 signers, but 0 signatures",
    );
}

#[test]
fn only_the_validators_of_before_can_change_the_set() {
    let genesis = genesis_of_four();
    let (old, own) = (set(4), set(8));
    let mut bundle = bundle(present());
    // Four strangers, and the one delegate that they have, declare themselves the next set.
    let change = Header {
        next_validators: own.hash(),
        ..header_at(&genesis, 3, Hash::of(b"s"), &old)
    };
    let certificate = certify(&change, &old, 1);
    bundle.set_changes = vec![LightBlock::new(change, certificate, &old, &own)];
    bundle.header.validators = own.hash();
    bundle.certificate = certify(&bundle.header, &own, 8);
    let error = verify(&bundle, &genesis).unwrap_err().to_string();
    assert_eq!(
        error,
        "certificate of height 3: signed with power 1 of 4, 3 are needed"
    );
}

#[test]
fn a_change_that_changes_nothing_is_refused() {
    let genesis = genesis_of_four();
    let mut bundle = bundle(present());
    let same = header_at(&genesis, 3, Hash::of(b"s"), &set(4));
    let certificate = certify(&same, &set(4), 4);
    bundle.set_changes = vec![LightBlock::new(same, certificate, &set(4), &set(4))];
    let error = verify(&bundle, &genesis).unwrap_err().to_string();
    assert_eq!(error, "proof bundle: the set change at height 3 changes nothing");
}

#[test]
fn another_genesis_is_another_chain() {
    let bundle = bundle(present());
    let mut other = genesis_of_four();
    other.chain_id = "other".into();
    let error = verify(&bundle, &other).unwrap_err().to_string();
    assert_eq!(
        error,
        "header of height 9: it is of chain 'test', what is trusted is of 'other'"
    );
    let mut edited = genesis_of_four();
    edited.commit_ttl += 1;
    let error = verify(&bundle, &edited).unwrap_err();
    assert!(matches!(error, Error::Header { .. }));
    assert!(
        error
            .to_string()
            .starts_with("header of height 9: it is under genesis bafy"),
        "{error}"
    );
}

#[test]
fn the_bundle_in_json_is_the_same_bundle() {
    let bundle = bundle_after_changes(absent());
    let json = serde_json::to_string(&bundle).unwrap();
    assert_eq!(serde_json::from_str::<Bundle>(&json).unwrap(), bundle);
}
