//! Real meshes on loopback: operators 2 to 8, of whom the last has an edge that fails.

use std::collections::BTreeSet;

use async_trait::async_trait;
use named::mesh::Handler;
use tempfile::TempDir;

use super::*;
use crate::node::hearsay::world::{self, CHAIN, HEIGHT, entry, key, until};

const TURN: Turn = Turn {
    epoch: 3,
    seed: [7; 32],
};
const FAILING: u8 = 8;

struct Ear {
    verdicts: Arc<Verdicts>,
    /// From whom a greeting came.
    greeted: Greeted,
}

type Greeted = Arc<Mutex<BTreeSet<[u8; 32]>>>;

#[async_trait]
impl Handler for Ear {
    async fn gossip(&self, topic: Topic, from: PublicKey, data: Vec<u8>) -> Verdict {
        match topic {
            Topic::Failures => self.verdicts.heard(&from, &data),
            _ => {
                self.greeted.lock().expect("sound").insert(*from.as_bytes());
                Verdict::Ignore
            }
        }
    }

    async fn request(&self, _: PublicKey, _: Vec<u8>) -> Vec<u8> {
        Vec::new()
    }
}

struct Peer {
    key: SecretKey,
    mesh: Mesh,
    verdicts: Arc<Verdicts>,
    greeted: Greeted,
    registry: Registry,
    _folder: TempDir,
}

impl Peer {
    async fn start(seed: u8, join: &[&Self]) -> Self {
        let (key, mut registry) = (key(seed), Registry::default());
        let ledger: Ledger = Box::new(|node| Ok(entry(node)));
        let verdicts = Arc::new(Verdicts::new(key.clone(), CHAIN, ledger, &mut registry));
        let join: Vec<&Mesh> = join.iter().map(|peer| &peer.mesh).collect();
        let greeted = Greeted::default();
        let ear = Ear {
            verdicts: verdicts.clone(),
            greeted: greeted.clone(),
        };
        let (mesh, folder) = world::mesh(&key, &join, Arc::new(ear), &mut registry).await;
        verdicts.connect(mesh.clone());
        Self {
            key,
            mesh,
            verdicts,
            greeted,
            registry,
            _folder: folder,
        }
    }

    fn turns(&self, failing: &[u8]) {
        let operators = (2..=FAILING).filter_map(|seed| entry(&key(seed).public()).owner);
        let failing: Vec<PublicKey> = failing.iter().map(|seed| key(*seed).public()).collect();
        self.verdicts
            .turn(TURN, operators.map(|owner| operator(&owner)).collect(), &failing);
    }

    fn convicts(&self) -> bool {
        let failing = *key(FAILING).public().as_bytes();
        self.verdicts.convicted() == Some((TURN.epoch, vec![failing]))
    }

    fn count(&self, fate: &str) -> u64 {
        world::count(&self.registry, "edge_failures", fate)
    }

    fn says(&self, epoch: u64, edge: u8) {
        let time_ms = now_ms();
        let failures = Failures {
            node: self.key.public(),
            height: HEIGHT,
            epoch,
            edges: vec![key(edge).public()],
            time_ms,
            until_ms: time_ms + 60_000,
        };
        self.mesh
            .publish(Topic::Failures, Signed::sign(failures, CHAIN, &self.key).encode());
    }
}

async fn peers(seeds: impl IntoIterator<Item = u8>) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for seed in seeds {
        let peer = Peer::start(seed, &peers.iter().collect::<Vec<_>>()).await;
        peers.push(peer);
    }
    acquainted(&peers.iter().collect::<Vec<_>>()).await;
    peers
}

/// Waits until each hears each: a connection is there before gossip knows what the other side listens to.
async fn acquainted(peers: &[&Peer]) {
    let mut greeting = 0_u64;
    until("each hears each", || {
        greeting += 1;
        for peer in peers {
            let text = [&peer.key.public().as_bytes()[..], &greeting.to_be_bytes()].concat();
            peer.mesh.publish(Topic::Headers, text);
        }
        let greeted = |peer: &&Peer| peer.greeted.lock().expect("sound").len();
        peers.iter().all(|peer| greeted(peer) == peers.len() - 1)
    })
    .await;
}

#[tokio::test]
async fn two_thirds_of_the_judges_convict_with_everybody() {
    // Six judges; one of them saw nothing, and one is not there yet.
    let peers = peers(2..=6).await;
    for peer in &peers[1..4] {
        peer.turns(&[FAILING]);
    }
    for peer in [&peers[0], &peers[4]] {
        peer.turns(&[]);
    }
    let heard = |peer: &Peer, count: u64| peer.count("taken") == count;
    until("three statements are heard", || {
        [0, 4].iter().all(|at| heard(&peers[*at], 3))
    })
    .await;
    assert!(peers.iter().all(|peer| !peer.convicts()), "half of the judges");

    let late = Peer::start(7, &peers.iter().collect::<Vec<_>>()).await;
    let all: Vec<&Peer> = peers.iter().chain([&late]).collect();
    acquainted(&all).await;
    late.turns(&[FAILING]);
    until("all who were there convict", || peers.iter().all(Peer::convicts)).await;
    assert!(!late.convicts(), "it heard nobody else");
    for peer in &peers[1..4] {
        peer.verdicts.say();
    }
    until("what is said again convicts with the last too", || {
        late.convicts()
    })
    .await;
}

#[tokio::test]
async fn who_is_no_judge_is_not_counted_and_who_is_no_edge_loses_points() {
    let [hearer, own, stranger] = peers([2, FAILING, 30]).await.try_into().ok().expect("three");
    hearer.turns(&[]);
    own.says(TURN.epoch - 1, FAILING);
    until("it is heard", || hearer.count("unknown") == 1).await;
    own.says(TURN.epoch + 1, 3);
    until("it is heard, too soon", || hearer.count("unknown") == 2).await;
    stranger.says(TURN.epoch - 1, FAILING);
    until("it is refused", || hearer.count("no_edge") == 1).await;
    let score = |of: &Peer| {
        let peers = hearer.mesh.peers();
        let found = peers.into_iter().find(|peer| peer.node == of.key.public());
        found.map_or(i64::MIN, |peer| peer.score)
    };
    assert!(score(&stranger) < score(&own));
    assert_eq!(hearer.verdicts.convicted(), Some((TURN.epoch, Vec::new())));
}
