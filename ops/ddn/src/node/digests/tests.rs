//! Real meshes on loopback.

use async_trait::async_trait;
use ledger::Amount;
use named::mesh::{Advert, DISTANCES_LIFE_MS_MAX, Handler};
use nearest::digest::{DISTANCES_MAX, Step, Told};
use nearest::table::READERS_MIN;
use tempfile::TempDir;

use super::*;
use crate::node::hearsay::world::{self, CHAIN, HEIGHT, entry, key, until};

const NEAR_US: u32 = 20_000;

struct Ear(Arc<Digests>);

#[async_trait]
impl Handler for Ear {
    async fn gossip(&self, topic: Topic, from: PublicKey, data: Vec<u8>) -> Verdict {
        match topic {
            Topic::Places => self.0.heard(&from, &data),
            _ => Verdict::Ignore,
        }
    }

    async fn request(&self, _: PublicKey, _: Vec<u8>) -> Vec<u8> {
        Vec::new()
    }
}

struct Peer {
    key: SecretKey,
    mesh: Mesh,
    places: Places,
    digests: Arc<Digests>,
    registry: Registry,
    _folder: TempDir,
}

impl Peer {
    async fn start(seed: u8, join: &[&Peer]) -> Self {
        let (key, mut registry) = (key(seed), Registry::default());
        let places = Places::new(*key.public().as_bytes(), 2_048);
        let ledger: Ledger = Box::new(|node| Ok(entry(node)));
        let digests = Digests::new(key.clone(), CHAIN, places.clone(), ledger, &mut registry);
        let digests = Arc::new(digests);
        let join: Vec<&Mesh> = join.iter().map(|peer| &peer.mesh).collect();
        let (mesh, folder) = world::mesh(&key, &join, Arc::new(Ear(digests.clone())), &mut registry).await;
        digests.connect(mesh.clone());
        Self {
            key,
            mesh,
            places,
            digests,
            registry,
            _folder: folder,
        }
    }

    fn id(&self) -> [u8; 32] {
        *self.key.public().as_bytes()
    }

    fn advertise(&self) {
        let time_ms = now_ms();
        let advert = Advert {
            node: self.key.public(),
            addresses: vec!["127.0.0.1:4102".parse().expect("an address")],
            home_relay: None,
            relay: None,
            payee: self.key.address(),
            price: Amount::from_units(1_000),
            capacity: 64,
            load: 0,
            height: HEIGHT,
            health: 0,
            gateway: None,
            provider: None,
            tls_port: None,
            position: None,
            time_ms,
            until_ms: time_ms + 600_000,
        };
        self.mesh.advertise(Signed::sign(advert, CHAIN, &self.key));
    }

    /// What this node tells of one place at this time.
    fn says(&self, edge: [u8; 32], rtt_us: u32, time_ms: u64) -> Signed<Distances> {
        let distances = Distances {
            node: self.key.public(),
            height: HEIGHT,
            time_ms,
            until_ms: time_ms + 600_000,
            told: vec![told(edge, rtt_us)],
        };
        Signed::sign(distances, CHAIN, &self.key)
    }

    fn publish(&self, signed: &Signed<Distances>) {
        self.mesh.publish(Topic::Places, signed.encode());
    }

    fn rtt_us(&self, edge: [u8; 32]) -> Option<u32> {
        self.digests.refresh();
        self.places.rtt_us(reader(9), &edge)
    }

    fn score(&self, other: &Self) -> i64 {
        let peers = self.mesh.peers();
        let peer = peers.iter().find(|peer| peer.node == other.key.public());
        peer.map_or(0, |peer| peer.score)
    }

    fn count(&self, fate: &str) -> u64 {
        world::count(&self.registry, "places_digests", fate)
    }
}

fn reader(host: u8) -> IpAddr {
    [10, 1, 2, host].into()
}

fn told(edge: [u8; 32], rtt_us: u32) -> Told {
    Told {
        place: Prefix::place(reader(0)),
        edge,
        step: Step::of(rtt_us),
    }
}

/// Nodes with these numbers, all connected to all, each with the adverts of the others.
async fn crowd<const N: usize>(seeds: [u8; N]) -> [Peer; N] {
    let mut peers: Vec<Peer> = Vec::new();
    for seed in seeds {
        let all: Vec<&Peer> = peers.iter().collect();
        peers.push(Peer::start(seed, &all).await);
    }
    until("all know all", || {
        peers.iter().all(|peer| peer.mesh.peers().len() == N - 1)
    })
    .await;
    peers.iter().for_each(Peer::advertise);
    until("all know what all offer", || {
        peers.iter().all(|peer| peer.mesh.adverts().len() == N - 1)
    })
    .await;
    peers.try_into().ok().expect("as many as seeds")
}

#[tokio::test]
async fn what_a_node_measured_its_operators_other_node_knows() {
    let [a, b, stranger] = crowd([1, 2, 3]).await;
    (1..60).for_each(|host| a.places.note(reader(host), NEAR_US));
    // Of a place with few readers nothing is told: one could be told from the others.
    (1..READERS_MIN as u8).for_each(|host| a.places.note([10, 9, 9, host].into(), NEAR_US));
    b.places.note(reader(1), 90_000);
    a.digests.tell().expect("a ledger");
    until("it is told", || {
        b.rtt_us(a.id()) == Some(Step::of(NEAR_US).rtt_us())
    })
    .await;
    assert_eq!(b.rtt_us(b.id()), Some(90_000), "what it measured itself stays");
    assert_eq!(b.places.rtt_us([10, 9, 9, 1].into(), &a.id()), None);
    assert_eq!((a.count("told"), b.count("taken")), (1, 1));
    // To a stranger it would say that it is near; and it tells nothing twice.
    until("the stranger heard it", || stranger.count("taken") == 1).await;
    assert_eq!(stranger.rtt_us(a.id()), None);
    a.digests.tell().expect("a ledger");
    assert_eq!((a.count("told"), stranger.score(&a), b.score(&a)), (1, 0, 0));
}

#[tokio::test]
async fn strangers_are_believed_when_several_say_it_of_a_third_and_most_of_them_do_not_lie() {
    let [me, one, two, three, liar] = crowd([1, 3, 4, 5, 6]).await;
    let (edge, now) = (*key(19).public().as_bytes(), now_ms());
    for (peer, heard) in [(&one, 1), (&two, 2)] {
        peer.publish(&peer.says(edge, NEAR_US, now));
        until("it is heard", || me.count("taken") == heard).await;
        assert_eq!(me.rtt_us(edge), None);
    }
    three.publish(&three.says(edge, NEAR_US, now));
    until("they are enough", || {
        me.rtt_us(edge) == Some(Step::of(NEAR_US).rtt_us())
    })
    .await;
    liar.publish(&liar.says(edge, 100, now));
    until("the liar is heard", || me.count("taken") == 4).await;
    assert_eq!(me.rtt_us(edge), Some(Step::of(NEAR_US).rtt_us()));
    // And nobody is told by others how far this node itself is.
    liar.publish(&liar.says(me.id(), 100, now + 20_000));
    until("the liar is heard again", || me.count("taken") == 5).await;
    assert_eq!(me.rtt_us(me.id()), None);
}

#[tokio::test]
async fn forged_ones_and_those_of_no_edge_are_refused_and_cost_ten_points_each() {
    let [a, b] = crowd([1, 2]).await;
    let now = now_ms();
    let good = a.says(a.id(), NEAR_US, now);
    a.publish(&good);
    until("b listens", || b.count("taken") == 1).await;
    let known = b.rtt_us(a.id());
    let edge = key(3);
    let forged = Signed {
        key: edge.public(),
        ..good.clone()
    };
    let wrong = |change: &dyn Fn(&mut Distances)| {
        let mut body = a.says(a.id(), 100, now + 15_000).body;
        change(&mut body);
        Signed::sign(body, CHAIN, &a.key)
    };
    let many = |n: usize| {
        let place = |n: usize| Prefix::place([11, (n >> 8) as u8, n as u8, 0].into());
        let told = (0..n).map(|n| Told {
            place: place(n),
            ..told(a.id(), 100)
        });
        told.collect::<Vec<_>>()
    };
    for (bad, fate, count) in [
        (forged, "wrong", 1),
        (wrong(&|body| body.node = edge.public()), "wrong", 2),
        (wrong(&|body| body.told = many(DISTANCES_MAX + 1)), "wrong", 3),
        (wrong(&|body| body.told = many(DISTANCES_MAX * 8)), "wrong", 4),
        (wrong(&|body| body.told.clear()), "wrong", 5),
        (wrong(&|body| body.until_ms += DISTANCES_LIFE_MS_MAX), "wrong", 6),
        (
            Signed::sign(a.says(a.id(), 100, now + 15_000).body, "test-2", &a.key),
            "wrong",
            7,
        ),
    ] {
        a.publish(&bad);
        until("it is refused", || b.count(fate) == count).await;
    }
    until("seven messages cost", || b.score(&a) == -70).await;
    let nobody = key(20);
    let body = Distances {
        node: nobody.public(),
        ..a.says(a.id(), 100, now).body
    };
    a.publish(&Signed::sign(body.clone(), CHAIN, &nobody));
    until("one of no edge costs too", || b.score(&a) == -80).await;
    assert_eq!(b.count("no_edge"), 1);
    // Who was registered in a block that is not here yet is no liar.
    let body = Distances {
        height: HEIGHT + 1,
        ..body
    };
    a.publish(&Signed::sign(body, CHAIN, &nobody));
    until("it is left for later", || b.count("unknown") == 1).await;
    assert_eq!((b.score(&a), b.rtt_us(a.id())), (-80, known));
}

#[tokio::test]
async fn what_was_replaced_or_is_over_costs_a_point() {
    let [a, b] = crowd([1, 2]).await;
    let now = now_ms();
    a.publish(&a.says(a.id(), NEAR_US, now - 20_000));
    until("b listens", || b.count("taken") == 1).await;
    a.publish(&a.says(a.id(), 40_000, now));
    until("the newer one counts", || {
        b.rtt_us(a.id()) == Some(Step::of(40_000).rtt_us())
    })
    .await;
    a.publish(&a.says(a.id(), 100, now - 5_000));
    until("what was replaced is not taken", || b.count("replayed") == 1).await;
    until("and costs a point", || b.score(&a) == -1).await;
    // Too soon after the last is no offence: the last may have come late.
    a.publish(&a.says(a.id(), 100, now + 5_000));
    until("one too soon is not taken", || b.count("unknown") == 1).await;
    // What is out of its time may be the fault of this clock, while nobody has said that it is right.
    a.publish(&a.says(a.id(), 100, now - 700_000));
    until("what is over is not taken", || b.count("late") == 1).await;
    assert_eq!(b.score(&a), -1);
    // A second advert says how late the first was, and so what time it is.
    let clock = || b.mesh.clock().is_some();
    a.advertise();
    until("the clocks are compared", clock).await;
    a.publish(&a.says(a.id(), 100, now + 600_000));
    until("nor what has not begun", || b.count("late") == 2).await;
    until("and that costs a point", || b.score(&a) == -2).await;
    assert_eq!(b.rtt_us(a.id()), Some(Step::of(40_000).rtt_us()));
}
