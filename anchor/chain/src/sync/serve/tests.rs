//! Answers are bounded, whatever is asked.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Address, Block, Body, Certificate, Genesis, Hash, Header, SecretKey};
use tokio::sync::watch;

use super::super::wire::Announcement;
use super::*;
use crate::Config;
use crate::committer::Committer;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::store::{Changes, Store};

/// A follower with a store that is filled by hand: the store checks no rule.
struct World {
    exchange: Exchange,
    committer: Committer,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let genesis = Arc::new(Genesis::dev("test-1", 1, SecretKey::from_seed([1; 32]).public()));
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), &genesis).unwrap());
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (config, nobody) = (Config::default(), Address::from_bytes([0; 20]));
        let mempool = Mempool::new(
            Arc::clone(&genesis),
            nobody,
            &config,
            metrics.clone(),
            Arc::clone(&store),
        );
        let committer = Committer {
            mempool: Arc::new(mempool),
            monitor: Arc::new(Monitor::new(Duration::from_secs(60), 30, Default::default(), 0)),
            metrics,
            tips: watch::Sender::new(store.tip()),
            store,
        };
        World {
            exchange: Exchange::new(genesis, &committer, true),
            committer,
            _dir: dir,
        }
    }

    /// Keeps a block whose certificate has a bitmap of `bytes`.
    fn keep(&self, bytes: usize) {
        let (tip, genesis) = (self.exchange.store.tip(), &self.exchange.genesis);
        let body = Body::default();
        let header = Header {
            chain: genesis.chain_id.clone(),
            genesis: genesis.cid().into(),
            height: tip.height + 1,
            time_ms: tip.time_ms + 1,
            parent: tip.cid.into(),
            body: body.cid().into(),
            state_root: tip.state_root,
            proposer: Address::from_bytes([0; 20]),
            reveal: None,
            validators: Hash([0; 32]),
            next_validators: Hash([0; 32]),
        };
        let certificate = Certificate {
            height: header.height,
            round: 0,
            header: header.id(),
            signers: vec![0; bytes],
            signatures: vec![],
        };
        let executed = self.exchange.store.execute(Changes::new()).unwrap();
        let block = Block { header, body };
        self.committer
            .commit(&block, &certificate, &executed, "test")
            .unwrap();
    }

    fn ask(&self, from: u64, max: u32) -> (usize, Vec<Sealed>) {
        let bytes = self
            .exchange
            .answer(&ledger::encode(&Request::Blocks { from, max }));
        match Answer::decode(&bytes).unwrap() {
            Answer::Blocks { blocks } => (bytes.len(), blocks),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_answer_has_at_most_4_mib_and_at_least_one_block() {
    let world = World::new();
    let mib = 1 << 20;
    for bytes in [mib, mib, mib, mib, 3 * mib, 100] {
        world.keep(bytes);
    }
    for (from, blocks) in [(1, 3), (2, 3), (4, 1), (5, 2), (6, 1), (7, 0), (u64::MAX, 0)] {
        let (bytes, found) = world.ask(from, 1000);
        assert_eq!(found.len(), blocks, "from {from}");
        assert!(bytes <= ANSWER_BYTES_MAX);
        for (place, sealed) in found.iter().enumerate() {
            let header: Header = ledger::decode(&sealed.header).unwrap();
            assert_eq!(header.height, from + place as u64);
        }
    }
    assert!(world.ask(0, 9).1.is_empty(), "the genesis is no block");
}

#[test]
fn an_answer_has_as_many_blocks_as_were_asked_for_and_at_most_128() {
    let world = World::new();
    (0..140).for_each(|_| world.keep(1));
    for (max, blocks) in [(0, 0), (1, 1), (7, 7), (128, 128), (129, 128), (u32::MAX, 128)] {
        assert_eq!(world.ask(1, max).1.len(), blocks);
    }
    assert_eq!(world.ask(100, 128).1.len(), 41);
}

#[test]
fn what_is_no_question_gets_an_answer_too() {
    let world = World::new();
    for junk in [
        &b""[..],
        b"\xa0",
        b"junk",
        &[0; REQUEST_BYTES_MAX + 1],
        &ledger::encode(&Answer::Taken {}),
    ] {
        let answer = Answer::decode(&world.exchange.answer(junk)).unwrap();
        assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    }
}

#[test]
fn the_largest_certificate_and_header_fit_their_bounds() {
    let world = World::new();
    world.keep(128);
    let (header, mut certificate) = {
        let (block, certificate) = world.exchange.store.block(1).unwrap().unwrap();
        (block.header, certificate)
    };
    certificate.signatures = vec![ledger::Signature::from_bytes([9; 64]); ledger::MAX_VALIDATORS];
    let bytes = ledger::encode(&Announcement { header, certificate }).len();
    assert!(bytes < super::super::wire::ANNOUNCEMENT_BYTES_MAX, "{bytes}");
}
