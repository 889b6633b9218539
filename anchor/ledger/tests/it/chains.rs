//! Other chains: who may register one, what is anchored of it, and what is proved through that.

use ledger::{
    Action, Bundle, ChainEntry, Checkpoint, Foreign, Genesis, Hash, Header, LightBlock, MemoryState, Records,
    Refusal, State, ValidatorSet, key, verify, verify_through,
};

use crate::blocks::{certify, set};
use crate::bundles::{genesis_of_four, header_at};
use crate::tree::Tree;
use crate::world::*;

/// Another chain, whose validators are `set(4)`.
pub fn far(id: &str, tld: &str) -> Genesis {
    let mut far = genesis_of_four();
    (far.chain_id, far.tld) = (id.into(), tld.into());
    far.validate().unwrap();
    far
}

pub fn register_far(id: &str, tld: &str) -> Action {
    Action::ChainRegister {
        tld: label(tld),
        prefix: "far".into(),
        checkpoint: Box::new(Checkpoint::of_genesis(&far(id, "far")).unwrap()),
    }
}

fn header(id: &str, height: u64, root: Hash, from: &ValidatorSet, to: &ValidatorSet) -> Header {
    Header {
        time_ms: TIME_MS + height,
        next_validators: to.hash(),
        ..header_at(&far(id, "far"), height, root, from)
    }
}

/// A header on which `from` has voted and after which `to` votes.
pub fn block(id: &str, height: u64, root: Hash, from: &ValidatorSet, to: &ValidatorSet) -> LightBlock {
    let header = header(id, height, root, from, to);
    let certificate = certify(&header, from, from.len());
    LightBlock::new(header, certificate, from, to)
}

pub fn anchor_of(block: LightBlock) -> Action {
    Action::ChainAnchor {
        block: Box::new(block),
    }
}

/// A header of `far-1` by its first validators.
fn at_height(height: u64, root: Hash) -> Action {
    anchor_of(block("far-1", height, root, &set(4), &set(4)))
}

fn root(n: u8) -> Hash {
    secret(n)
}

fn entry(world: &World) -> ChainEntry {
    world.state.chain("far-1").unwrap().unwrap()
}

/// A chain that follows `far-1`.
fn following() -> World {
    let mut world = World::new();
    world.pass(1, register_far("far-1", "far"));
    world
}

#[test]
fn a_chain_is_registered_once_and_pays_for_its_tld() {
    let mut world = World::new();
    let before = world.balance(1);
    world.pass(1, register_far("far-1", "far"));
    // Three characters cost 100 coins a period, and a name can be paid for three periods ahead.
    let paid = before.checked_sub(world.balance(1)).unwrap();
    assert_eq!(paid, coins("300.001"));
    assert_eq!(world.state.tld(&label("far")).unwrap().as_deref(), Some("far-1"));
    let entry = entry(&world);
    assert_eq!(
        (entry.owner, entry.registered, entry.prefix.as_str()),
        (at(1), 2, "far")
    );
    assert_eq!(
        (entry.checkpoint.height, entry.checkpoint.header),
        (0, far("far-1", "far").id())
    );

    let mut check = |action: Action, words: &str| {
        assert_eq!(world.refused(2, action).to_string(), words);
    };
    check(
        register_far("far-2", "far"),
        "the TLD 'far' belongs to chain 'far-1': a TLD is one chain's for ever",
    );
    check(
        register_far("far-2", "ddn"),
        "the TLD 'ddn' belongs to chain 'test': a TLD is one chain's for ever",
    );
    check(
        register_far("far-2", "localhost"),
        "the TLD 'localhost' is reserved: no chain can have it",
    );
    let taken = "is registered already, or is this one";
    check(register_far("far-1", "other"), &format!("chain 'far-1' {taken}"));
    check(register_far(CHAIN, "other"), &format!("chain 'test' {taken}"));
    let odd = |change: fn(&mut Checkpoint, &mut String)| {
        let mut action = register_far("far-2", "other");
        if let Action::ChainRegister {
            checkpoint, prefix, ..
        } = &mut action
        {
            change(checkpoint, prefix);
        }
        action
    };
    check(
        odd(|checkpoint, _| checkpoint.chain = "a/b".into()),
        "the chain to register: 'a/b' is not 1 to 32 characters of a-z, 0-9 and '-'",
    );
    check(
        odd(|_, prefix| *prefix = "F".into()),
        "the chain to register: 'F' is not 1 to 16 characters of a-z",
    );
}

#[test]
fn a_tld_must_be_paid_for() {
    let mut world = World::new();
    let refusal = world.refused(1, register_far("far-1", "f"));
    assert!(matches!(refusal, Refusal::Balance { .. }), "{refusal}");
    assert_eq!(world.state.tld(&label("f")).unwrap(), None);
}

/// A ledger may begin to follow a chain that is years old.
#[test]
fn a_chain_can_be_registered_from_a_later_height() {
    let mut world = World::new();
    let next = block("far-1", 7, root(7), &set(4), &set(5));
    let checkpoint = Checkpoint::new(&far("far-1", "far"), &next.header, set(5)).unwrap();
    let mut action = register_far("far-1", "far");
    if let Action::ChainRegister {
        checkpoint: place, ..
    } = &mut action
    {
        **place = checkpoint;
    }
    world.pass(1, action);
    let refusal = world.refused(2, at_height(7, root(7))).to_string();
    assert_eq!(
        refusal,
        "height 7 of chain 'far-1' is not newer than 7, which is anchored"
    );
    world.pass(2, anchor_of(block("far-1", 9, root(9), &set(5), &set(5))));
}

#[test]
fn anchors_follow_the_validators() {
    let mut world = following();
    world.pass(2, at_height(3, root(3)));
    let anchored = world.state.anchored("far-1", 3).unwrap().unwrap();
    let header = header("far-1", 3, root(3), &set(4), &set(4));
    assert_eq!((anchored.header, anchored.state_root), (header.id(), root(3)));
    assert_eq!(
        (anchored.height, anchored.time_ms, anchored.at),
        (3, TIME_MS + 3, 3)
    );
    assert_eq!((anchored.tld, anchored.genesis), (label("far"), header.genesis));
    // Heights between are passed over, since the validators are the same; then they change.
    world.pass(3, anchor_of(block("far-1", 8, root(8), &set(4), &set(7))));
    assert_eq!(entry(&world).checkpoint.validators, set(7));
    let words = world.refused(2, at_height(10, root(9))).to_string();
    assert_eq!(
        words,
        "header of height 10: its validators do not follow from what is known of height 8"
    );
    world.pass(2, anchor_of(block("far-1", 10, root(9), &set(7), &set(7))));
    assert_eq!(entry(&world).anchors, [3, 8, 10]);
}

#[test]
fn what_is_not_certified_is_not_anchored() {
    let mut world = following();
    world.pass(2, at_height(3, root(3)));
    let mut check = |change: fn(&mut LightBlock), words: &str| {
        let mut block = block("far-1", 5, root(5), &set(4), &set(5));
        change(&mut block);
        let refusal = world.refused(2, anchor_of(block)).to_string();
        assert!(refusal.contains(words), "{refusal:?} does not say {words:?}");
    };
    check(
        |b| b.certificate = certify(&b.header, &set(4), 2),
        "signed with power 2 of 4, 3 are needed",
    );
    check(
        |b| b.header.state_root = root(6),
        "the certificate beside it is of another header",
    );
    check(
        |b| b.joined.clear(),
        "the validators after it are not those that it names",
    );
    check(|b| b.left = vec![9], "those who leave are not places of its set");
    check(
        |b| b.header.genesis = content("another genesis"),
        "what is trusted is under bafy",
    );
    check(
        |b| b.header.chain = "far-2".into(),
        "chain 'far-2' is not registered",
    );
    check(
        |b| b.header.chain = CHAIN.into(),
        "chain 'test' is not registered",
    );
    check(
        |b| b.header.height = 2,
        "height 2 of chain 'far-1' is not newer than 3, which is anchored",
    );
    check(
        |b| *b = block("far-1", 3, root(3), &set(4), &set(4)),
        "height 3 of chain 'far-1' is anchored already, since height 3",
    );
    // The next height has the anchored header as its parent.
    check(
        |b| *b = block("far-1", 4, root(4), &set(4), &set(4)),
        "its parent is bafy",
    );
    assert_eq!(entry(&world).anchors, [3]);
}

#[test]
fn only_the_newest_anchors_are_kept() {
    let mut world = following();
    let most = ChainEntry::ANCHORS_MAX as u64;
    for n in 1..=most + 2 {
        world.pass(1 + (n % 4) as u8, at_height(2 * n, root(n as u8)));
    }
    assert_eq!(entry(&world).anchors.len() as u64, most);
    for (height, is_kept) in [(2, false), (4, false), (6, true), (2 * most + 4, true)] {
        let anchored = world.state.anchored("far-1", height).unwrap();
        assert_eq!(anchored.is_some(), is_kept, "{height}");
    }
}

#[test]
fn a_chain_that_has_signed_two_headers_is_followed_no_further() {
    // Of the newest height, of one before a change of the validators, of the change itself.
    for height in [3, 6, 8] {
        let mut world = following();
        world.pass(2, at_height(3, root(3)));
        world.pass(2, anchor_of(block("far-1", 6, root(6), &set(4), &set(5))));
        world.pass(2, anchor_of(block("far-1", 8, root(8), &set(5), &set(5))));
        let from = if height < 8 { set(4) } else { set(5) };
        let other = block("far-1", height, root(99), &from, &from);
        // One that too few have signed is no fork.
        let mut weak = other.clone();
        weak.certificate = certify(&weak.header, &from, 2);
        let refusal = world.refused(3, anchor_of(weak)).to_string();
        assert!(refusal.contains("signed with power 2"), "{refusal}");
        world.pass(3, anchor_of(other));
        assert_eq!(
            (entry(&world).forked, entry(&world).anchors),
            (Some(height), vec![])
        );
        assert_eq!(world.state.anchored("far-1", 8).unwrap(), None);
        let refusal = world.refused(2, anchor_of(block("far-1", 12, root(1), &set(5), &set(5))));
        assert_eq!(
            refusal.to_string(),
            format!(
                "chain 'far-1' has signed two headers of height {height}: nothing of it is anchored any more"
            )
        );
    }
}

/// Who votes today cannot break what was before: their word on an old height counts for nothing.
#[test]
fn later_validators_make_no_fork_of_an_earlier_height() {
    let mut world = following();
    world.pass(2, at_height(3, root(3)));
    world.pass(2, anchor_of(block("far-1", 6, root(6), &set(4), &set(5))));
    let refusal = world.refused(3, anchor_of(block("far-1", 3, root(9), &set(5), &set(5))));
    assert!(
        refusal.to_string().contains("its validators do not follow"),
        "{refusal}"
    );
    world.pass(2, anchor_of(block("far-1", 8, root(8), &set(5), &set(7))));
    // After two changes those of height 3 are not known any more.
    let refusal = world.refused(3, at_height(3, root(9))).to_string();
    assert_eq!(
        refusal,
        "height 3 of chain 'far-1' is not newer than 8, which is anchored"
    );
}

/// The state of the other chain: one name.
fn far_state() -> MemoryState {
    let mut far = World::new();
    let reveal = Action::NameRegister {
        label: label("bob"),
        secret: secret(1),
        records: Records::to_content(content("bob")),
    };
    far.claim(2, reveal);
    far.state
}

fn bob() -> Vec<u8> {
    key::name(&label("bob"))
}

/// A proof about the other chain at a height, for whoever follows this one.
pub fn through(name: Vec<u8>, height: u64) -> Bundle {
    let far = Tree::of(&far_state());
    let mut world = following();
    world.pass(2, at_height(3, Tree::of(&World::new().state).root));
    world.pass(2, at_height(5, far.root));
    let anchored = key::anchored("far-1", height);
    let (value, proof) = far.prove(&name);
    let foreign = Foreign {
        key: name,
        value: value.map(Into::into),
        proof,
    };
    Bundle {
        foreign: Some(Box::new(foreign)),
        ..crate::delivery::bundle_of(&world, anchored)
    }
}

#[test]
fn a_name_of_another_chain_is_proved_through_this_one() {
    let trust = genesis_of_four();
    for (name, exists) in [(bob(), true), (key::name(&label("carol")), false)] {
        let bundle = Bundle::decode(&through(name.clone(), 5).encode()).unwrap();
        let verified = verify_through(&bundle, &trust).unwrap();
        // Whoever asks for an entry of this chain does not get one of another.
        let error = verify(&bundle, &trust).unwrap_err().to_string();
        assert!(error.contains("it is about another chain"), "{error}");
        assert_eq!((&verified.key, verified.value.is_some()), (&name, exists));
        assert_eq!((verified.chain.as_str(), verified.height), ("far-1", 5));
        assert_eq!(verified.time_ms, TIME_MS + 5);
        let by = verified.through.clone().unwrap();
        assert_eq!(
            (by.chain.as_str(), by.height, by.time_ms),
            (CHAIN, 9, TIME_MS + 1)
        );
        assert_eq!((by.anchored.tld, by.anchored.at), (label("far"), 4));
        assert_eq!(by.anchored.genesis.0, far("far-1", "far").cid());
        let is = if exists { "is" } else { "is absent" };
        let words = format!("{is} in the state of far-1 at height 5, which test has anchored at height 4");
        assert!(verified.to_string().ends_with(&words), "{verified}");
    }
}

#[test]
fn each_link_through_another_chain_is_checked() {
    let check = |change: fn(&mut Bundle), words: &str| {
        let mut bundle = through(bob(), 5);
        change(&mut bundle);
        let error = verify_through(&bundle, &genesis_of_four())
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    let path = "its path does not lead from the entry to the state root";
    check(|b| b.foreign.as_mut().unwrap().value = None, path);
    check(
        |b| b.foreign.as_mut().unwrap().key = key::name(&label("carol")),
        path,
    );
    // An older header has another root.
    check(|b| *b = through(bob(), 3), path);
    // A header that was never anchored.
    check(
        |b| *b = through(bob(), 4),
        "the header of the other chain is not anchored",
    );
    // A forged one.
    check(|b| b.value = through(bob(), 3).value, path);
    check(|b| b.key = key::anchored("far-1", 3), path);
    check(|b| b.key = key::anchored("far-2", 5), path);
    check(
        |b| {
            *b = Bundle {
                foreign: b.foreign.take(),
                ..crate::bundles::bundle(bob())
            }
        },
        "what it proves of another chain hangs on no anchored header",
    );
    check(
        |b| b.certificate = certify(&b.header, &set(4), 2),
        "signed with power 2 of 4",
    );
}

#[test]
fn every_flipped_byte_of_a_foreign_proof_is_refused() {
    let (trust, good) = (genesis_of_four(), through(bob(), 5).encode());
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] ^= 0x01;
        let verdict = Bundle::decode(&bytes).and_then(|bundle| verify_through(&bundle, &trust));
        assert!(verdict.is_err(), "byte {place}: {verdict:?}");
    }
}
