//! Many versions of a state: proofs hold at every kept one, and what no kept one needs is gone.

use std::collections::BTreeMap;

use jmt::{KeyHash, RootHash};
use ledger::{Address, Link, SecretKey};
use proptest::prelude::*;
use sha2::Sha256;

use super::columns::UNDECIDED;
use super::*;

const KEPT: u64 = 4;

/// A store that keeps few versions, with a second opinion about each of them.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    genesis: Genesis,
    /// State by height.
    states: Vec<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl World {
    fn new() -> World {
        let genesis = Genesis::dev("test-1", 1, SecretKey::from_seed([1; 32]).public());
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir, &genesis);
        let states = vec![genesis.initial_state().unwrap().into_iter().collect()];
        World {
            dir,
            store,
            genesis,
            states,
        }
    }

    fn commit(&mut self, changes: Changes) {
        let mut state = self.states.last().unwrap().clone();
        for (key, value) in &changes {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        self.states.push(state);
        let executed = self.store.execute(changes).unwrap();
        let (block, certificate) = block(&self.store.tip(), &self.genesis, executed.root);
        self.store.commit(&block, &certificate, &executed).unwrap();
    }

    fn restart(self) -> World {
        let World {
            dir,
            store,
            genesis,
            states,
        } = self;
        drop(store);
        let store = open(&dir, &genesis);
        World {
            dir,
            store,
            genesis,
            states,
        }
    }

    /// Every key that ever was, proven and read at every version that is kept.
    fn check(&self) {
        let tip = self.store.tip().height;
        let keys: Vec<_> = self.states.iter().flat_map(|state| state.keys()).collect();
        for height in tip.saturating_sub(KEPT)..=tip {
            let state = &self.states[height as usize];
            let root = Tree(&self.store.db).root(height).unwrap();
            for key in &keys {
                let expected = state.get(*key);
                let (value, proof) = self.store.prove(key, height).unwrap();
                assert_eq!(value.as_ref(), expected, "height {height} of {tip}");
                let hash = KeyHash::with::<Sha256>(key);
                proof.verify(RootHash(root), hash, expected).unwrap();
                let read = ledger::State::get(&self.store.version(height), key).unwrap();
                assert_eq!(read.as_ref(), expected, "height {height} of {tip}");
            }
        }
        let scanned: BTreeMap<_, _> = self.store.view().scan(&[]).unwrap().map(Result::unwrap).collect();
        assert_eq!(&scanned, self.states.last().unwrap());
    }

    fn rows(&self, table: &'static str) -> usize {
        self.store.db.rows_from(table, &[]).unwrap().count()
    }
}

fn open(dir: &tempfile::TempDir, genesis: &Genesis) -> Store {
    let mut store = Store::open(dir.path(), genesis).unwrap();
    store.kept = KEPT;
    store
}

/// A block that says nothing but its state root. The store checks no rule.
fn block(tip: &Tip, genesis: &Genesis, state_root: Hash) -> (Block, Certificate) {
    let body = Body {
        txs: vec![],
        last_certificate: None,
    };
    let header = Header {
        chain: genesis.chain_id.clone(),
        genesis: Link(genesis.cid()),
        height: tip.height + 1,
        time_ms: tip.time_ms + 1,
        parent: Link(tip.cid),
        body: Link(body.cid()),
        state_root,
        proposer: Address::from_bytes([0; 20]),
        reveal: None,
        validators: Hash([0; 32]),
        next_validators: Hash([0; 32]),
    };
    let (height, id) = (header.height, header.id());
    let certificate = Certificate {
        height,
        round: 0,
        header: id,
        signers: vec![],
        signatures: vec![],
    };
    (Block { header, body }, certificate)
}

fn key(number: u8) -> Vec<u8> {
    format!("test/{number}").into_bytes()
}

#[test]
fn an_idle_chain_does_not_grow_its_state() {
    let mut world = World::new();
    for height in 0..KEPT + 2 {
        world.commit([(key(0), Some(vec![height as u8]))].into());
    }
    let rows = |world: &World| [NODES, VALUES, STALE, STATE, UNDECIDED].map(|table| world.rows(table));
    for _ in 0..2 * KEPT {
        world.commit(Changes::new());
    }
    let idle = rows(&world);
    for _ in 0..50 {
        world.commit(Changes::new());
    }
    assert_eq!(rows(&world), idle);
    world.check();
}

#[test]
fn what_comes_and_goes_leaves_nothing_behind() {
    let mut world = World::new();
    for _ in 0..2 * KEPT {
        world.commit(Changes::new());
    }
    let before = [NODES, VALUES, STATE].map(|table| world.rows(table));
    for number in 0..20 {
        world.commit(
            [
                (key(number), Some(vec![number])),
                (key(number.wrapping_sub(1)), None),
            ]
            .into(),
        );
    }
    world.commit([(key(19), None)].into());
    for _ in 0..2 * KEPT {
        world.commit(Changes::new());
    }
    assert_eq!([NODES, VALUES, STATE].map(|table| world.rows(table)), before);
    world.check();
}

#[test]
fn a_key_comes_back_in_the_block_that_drops_its_tombstone() {
    for empty_blocks in KEPT - 2..KEPT + 2 {
        let mut world = World::new();
        world.commit([(key(0), Some(b"a".to_vec()))].into());
        world.commit([(key(0), None)].into());
        (0..empty_blocks).for_each(|_| world.commit(Changes::new()));
        world.commit([(key(0), Some(b"b".to_vec()))].into());
        world.check();
    }
}

#[test]
fn a_view_keeps_its_state_while_blocks_come() {
    let mut world = World::new();
    world.commit([(key(0), Some(b"a".to_vec())), (key(1), Some(b"b".to_vec()))].into());
    let view = world.store.view();
    world.commit(
        [
            (key(0), None),
            (key(1), Some(b"c".to_vec())),
            (key(2), Some(b"d".to_vec())),
        ]
        .into(),
    );
    let seen: Vec<_> = view.scan(b"test/").unwrap().map(Result::unwrap).collect();
    assert_eq!(seen, [(key(0), b"a".to_vec()), (key(1), b"b".to_vec())]);
    assert_eq!(view.value(&key(2)).unwrap(), None);
}

fn changes() -> impl Strategy<Value = Changes> {
    let value = prop_oneof![
        Just(None),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(Some)
    ];
    proptest::collection::btree_map((0u8..12).prop_map(key), value, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn kept_versions_stay_provable(
        blocks in proptest::collection::vec((changes(), proptest::bool::weighted(0.1)), 1..25),
    ) {
        let mut world = World::new();
        for (changes, restart) in blocks {
            world.commit(changes);
            if restart {
                world = world.restart();
            }
        }
        world.check();
    }
}
