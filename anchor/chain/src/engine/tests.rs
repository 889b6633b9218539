//! Whole networks on loopback with one delegate that signs two things: the others see it, bring it to the ledger, and go
//! on.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use ledger::{Genesis, GenesisDelegate, Reveals, SecretKey, Standing, State as _};
use prometheus_client::registry::Registry;
use tempfile::TempDir;

use crate::{Chain, Config, Role, engine_peer_id};

const DEADLINE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Blocks in a round.
const ROUND: u64 = 12;
const TWO_FACED: [u8; 32] = [66; 32];

pub(super) fn is_two_faced(delegate: &SecretKey) -> bool {
    delegate.seed() == TWO_FACED
}

/// Delegates by number; the last of them is two-faced.
struct Cluster {
    genesis: Genesis,
    keys: Vec<SecretKey>,
    chains: BTreeMap<usize, Chain>,
    dirs: Vec<TempDir>,
    ports: Vec<u16>,
}

impl Cluster {
    async fn start(seats: usize) -> Cluster {
        let mut keys: Vec<_> = (1..seats as u8)
            .map(|byte| SecretKey::from_seed([byte; 32]))
            .collect();
        keys.push(SecretKey::from_seed(TWO_FACED));
        let held: Vec<_> = (0..seats)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = held
            .iter()
            .map(|held| held.local_addr().unwrap().port())
            .collect();
        drop(held);
        let chain_id = format!("byzantine-{seats}");
        let mut genesis = Genesis::dev(&chain_id, 1, keys[0].public());
        genesis.seats = seats as u32;
        genesis.block_time_ms = 200;
        genesis.election.round = ROUND;
        let delegate = |(key, port): (&SecretKey, &u16)| GenesisDelegate {
            key: key.public(),
            engine: format!("/ip4/127.0.0.1/tcp/{port}/p2p/{}", engine_peer_id(&key.public())),
            tip: Some(Reveals::new(key, &chain_id, 0).tip()),
        };
        genesis.delegates = keys.iter().zip(&ports).map(delegate).collect();
        genesis.delegates.sort_by_key(|delegate| delegate.key.address());
        let dirs = (0..seats).map(|_| tempfile::tempdir().unwrap()).collect();
        let mut cluster = Cluster {
            genesis,
            keys,
            chains: BTreeMap::new(),
            dirs,
            ports,
        };
        for number in 0..seats {
            cluster.begin(number).await;
        }
        cluster
    }

    async fn begin(&mut self, number: usize) {
        let config = Config {
            dir: self.dirs[number].path().to_owned(),
            engine_listen: ([127, 0, 0, 1], self.ports[number]).into(),
            ..Config::default()
        };
        let role = Role::Delegate(self.keys[number].clone());
        let chain = Chain::start(self.genesis.clone(), role, config, &mut Registry::default()).await;
        self.chains.insert(number, chain.unwrap());
    }

    async fn end(&mut self, number: usize) {
        let chain = self.chains.remove(&number).unwrap();
        chain.shutdown().await;
    }

    fn standing(&self, of: usize) -> Standing {
        let state = self.chains[&0].state();
        state
            .delegate(&self.keys[of].address())
            .unwrap()
            .unwrap()
            .standing
    }

    /// Waits until the first has so many blocks more.
    async fn go_on(&self, blocks: u64) {
        let wanted = self.chains[&0].height() + blocks;
        until("more blocks", || self.chains[&0].height() >= wanted).await;
    }

    /// The liar is convicted and loses its seat, the others are what they were, and all have the same blocks.
    async fn convicts(&mut self) {
        let liar = self.keys.len() - 1;
        until("a conviction", || self.standing(liar) == Standing::Tombstoned).await;
        let address = self.keys[liar].address();
        let chain = self.chains[&0].clone();
        until("its seat to be empty", || {
            chain.state().validators().unwrap().find(&address).is_none()
        })
        .await;
        self.end(liar).await;
        self.go_on(ROUND + 2).await;
        for honest in self.chains.keys() {
            assert_eq!(self.standing(*honest), Standing::Candidate, "delegate {honest}");
        }
        let after = chain.audit().unwrap();
        assert!(after.holds(), "{after:?}");
        self.agree();
    }

    fn agree(&self) {
        let common = self.chains.values().map(Chain::height).min().unwrap();
        let header = |chain: &Chain, height| chain.block(height).unwrap().unwrap().0.header;
        for height in 1..=common {
            let first = header(&self.chains[&0], height);
            assert!(
                self.chains.values().all(|chain| header(chain, height) == first),
                "height {height}"
            );
        }
    }

    async fn stop(mut self) {
        let all: Vec<usize> = self.chains.keys().copied().collect();
        for number in all {
            self.end(number).await;
        }
    }
}

async fn until(what: &str, mut check: impl FnMut() -> bool) {
    let looks = async {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while !check() {
            ticks.tick().await;
        }
    };
    let waited = tokio::time::timeout(DEADLINE, looks).await;
    waited.unwrap_or_else(|_| panic!("{what} within {DEADLINE:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_convict_the_one_that_signs_two_things() {
    let mut cluster = Cluster::start(4).await;
    cluster.convicts().await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_of_seven_convict_it_while_another_is_away() {
    let mut cluster = Cluster::start(7).await;
    cluster.go_on(2).await;
    cluster.end(5).await;
    cluster.convicts().await;
    cluster.stop().await;
}
