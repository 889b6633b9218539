use std::net::IpAddr;

use ledger::{Amount, EdgeEntry, PublicKey, SecretKey};
use named::mesh::Advert as Said;
use nearest::candidates::{Distance, Limits, Out};
use nearest::{EdgeId, Why};

use super::book::Book;
use super::dns::addresses;
use super::track::Sighting;
use super::view::{Known, Ranking, View, load_step};
use crate::node::notices;

const SECOND: u64 = 1_000_000;
/// The wall clock's beginning.
const THEN: u64 = 1_800_000_000 * SECOND;

fn node(seed: u8) -> PublicKey {
    SecretKey::from_seed([seed; 32]).public()
}

fn id(seed: u8) -> EdgeId {
    *node(seed).as_bytes()
}

fn entry(capacity: u32) -> EdgeEntry {
    let owner = SecretKey::from_seed([99; 32]).address();
    EdgeEntry {
        owner,
        payout: owner,
        price: Amount::from_units(1),
        capacity,
        traffic_max: 0,
        registered: 1,
        bond: Amount::ZERO,
    }
}

/// An edge that advertises itself at a second.
fn said(seed: u8, load: u32, second: u64) -> Said {
    let time_ms = (THEN / SECOND + second) * 1000;
    Said {
        node: node(seed),
        addresses: vec![format!("198.51.{seed}.1:4102").parse().expect("an address")],
        home_relay: None,
        relay: None,
        payee: SecretKey::from_seed([seed; 32]).address(),
        price: Amount::from_units(1),
        capacity: 10,
        load,
        height: 1,
        health: 0,
        gateway: format!("http://198.51.{seed}.1").parse().ok(),
        provider: None,
        tls_port: None,
        position: None,
        time_ms,
        until_ms: time_ms + 300_000,
    }
}

fn me() -> Known {
    Known {
        node: node(100),
        is_here: true,
        is_registered: false,
        distance: Distance::Measured(0),
        edge: nearest::Edge {
            id: id(100),
            rtt_us: 0,
            capacity: 10,
            inflight: 0,
            alive: true,
        },
        gateway: None,
        provider: Vec::new(),
        addresses: Vec::new(),
        doors: Vec::new(),
        port: 80,
        tls_port: None,
        domains: Vec::new(),
    }
}

/// A world in which each edge answers after its time, or not at all.
struct World {
    book: Book,
    rtt_ms: [Option<u32>; 3],
    /// Whether the edges show good certificates for the domains that they name.
    has_certificates: bool,
    second: u64,
}

impl World {
    /// Edges 1, 2 and 3 at 10, 50 and 120 ms.
    fn new() -> Self {
        let mut world = Self {
            book: Book::default(),
            rtt_ms: [Some(10), Some(50), Some(120)],
            has_certificates: true,
            second: 0,
        };
        for seed in 1..=3 {
            world.tell(seed, 0);
        }
        world
    }

    fn tell(&mut self, seed: u8, load: u32) {
        let wall_us = THEN + self.second * SECOND;
        self.book
            .hear(said(seed, load, self.second), Some(entry(10)), wall_us);
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            let now_us = self.second * SECOND;
            for errand in self.book.errands(THEN + now_us) {
                let seed = (1..=3).find(|seed| node(*seed) == errand.node).expect("known");
                let seen = match self.rtt_ms[usize::from(seed) - 1] {
                    None => Sighting::default(),
                    Some(ms) => Sighting {
                        rtt_us: Some(ms * 1000),
                        is_wrong: false,
                        ttfb_us: Some(ms * 1000),
                        doors: vec![errand.gateways[0].ip()],
                        domains: vec!["gw.example".to_owned()],
                        proof: errand.domain.map(|domain| (domain, self.has_certificates)),
                    },
                };
                self.book.seen(&errand.node, seen, now_us);
            }
            self.book.look(now_us);
        }
    }

    /// As [`World::pass`], with an advert of each in each second.
    fn live(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.pass(1);
            for seed in 1..=3 {
                self.tell(seed, 0);
            }
        }
    }

    fn view(&self) -> View {
        let now_us = self.second * SECOND;
        self.book.view(me(), &Limits::default(), (now_us, THEN + now_us))
    }

    fn rank(&self, view: &View) -> Ranking {
        view.rank(b"content", None, |_, _| None, 0, |known| known.is_registered)
    }

    /// Who serves, and who else would, in the order of the choice.
    fn check(&self, expected: &[u8]) {
        let ranking = self.rank(&self.view());
        let usable: Vec<u8> = ranking
            .choice
            .usable()
            .filter_map(|edge| (1..=3).find(|seed| id(*seed) == edge.id))
            .collect();
        assert_eq!(usable, expected, "after {} s: {ranking:?}", self.second);
    }
}

#[test]
fn the_nearest_serves_and_spills_before_it_is_full() {
    let mut world = World::new();
    world.pass(2);
    world.check(&[1, 2, 3]);
    world.tell(1, 5);
    world.check(&[1, 2, 3]);
    world.pass(1);
    // Three quarters of what it can.
    world.tell(1, 8);
    world.check(&[2, 3]);
    let ranked = world.rank(&world.view()).choice.ranked;
    let why = ranked.iter().find(|verdict| verdict.edge.id == id(1));
    assert!(
        matches!(why.map(|verdict| verdict.why), Some(Why::Full { bound: 8, .. })),
        "{ranked:?}"
    );
    world.pass(1);
    world.tell(1, 0);
    world.check(&[1, 2, 3]);
}

#[test]
fn readers_of_a_known_place_have_another_nearest() {
    let mut world = World::new();
    world.pass(2);
    let view = world.view();
    let reader: IpAddr = "203.0.113.7".parse().expect("an address");
    let rank = |known: &[(u8, u32)], reader| {
        let places = |_, edge: &EdgeId| {
            let found = known.iter().find(|(seed, _)| id(*seed) == *edge);
            found.map(|(_, ms)| ms * 1000)
        };
        let ranking = view.rank(b"content", Some(reader), places, 0, |known| known.is_registered);
        let chosen = ranking.choice.chosen().copied().expect("one serves");
        let seed = (1..=3).find(|seed| id(*seed) == chosen.id);
        (seed.unwrap_or(0), chosen.rtt_us / 1000, ranking.bits)
    };
    assert_eq!(rank(&[], reader), (1, 10, 0), "as if it were here");
    assert_eq!(rank(&[(3, 5)], reader), (3, 5, 24));
    assert_eq!(rank(&[(1, 90), (2, 15)], reader), (2, 15, 24));
    // It is far from here: whoever is near to it by measurement is nearer than by way of here.
    assert_eq!(rank(&[(100, 80), (3, 60)], reader), (3, 60, 24));
    assert_eq!(rank(&[(100, 80)], reader), (1, 90, 24));
    let neighbour = "198.51.3.200".parse().expect("an address");
    assert_eq!(rank(&[], neighbour), (3, 0, 24), "in one network with it");
}

#[test]
fn who_falls_silent_is_out_within_five_seconds_and_comes_back() {
    let mut world = World::new();
    world.pass(20);
    world.rtt_ms[0] = None;
    world.pass(4);
    world.check(&[2, 3]);
    let view = world.view();
    let (known, why) = view.passed_over.first().expect("it is passed over");
    assert!(known.node == node(1) && matches!(why, Out::Stands(_)), "{why}");
    // Silence is over with the first words, however long it was, and one could be the last.
    world.pass(12);
    world.rtt_ms[0] = Some(10);
    world.pass(2);
    world.check(&[2, 3]);
    world.pass(1);
    world.check(&[1, 2, 3]);
}

#[test]
fn who_turns_a_delivery_away_rests_and_is_believed_less() {
    let mut world = World::new();
    world.pass(2);
    let capacity = |world: &World| world.view().find(&id(1)).expect("known").edge.capacity;
    assert_eq!(capacity(&world), 10);
    world.book.turned_away(&node(1), world.second * SECOND);
    world.check(&[2, 3]);
    assert_eq!(capacity(&world), 5);
    world.pass(1);
    world.check(&[1, 2, 3]);
    let went = nearest::measure::Outcome::default();
    for _ in 0..700 {
        world.book.delivered(&node(1), &went, world.second * SECOND);
    }
    assert!(capacity(&world) >= 9, "{}", capacity(&world));
}

#[test]
fn who_fails_for_this_node_loses_its_readers() {
    let mut world = World::new();
    world.pass(20);
    let failed = nearest::measure::Outcome {
        failed: true,
        ..Default::default()
    };
    for _ in 0..4 {
        world.book.delivered(&node(1), &failed, world.second * SECOND);
    }
    world.pass(1);
    world.check(&[2, 3]);
}

#[test]
fn who_watches_and_finds_most_gone_puts_nobody_on_probation() {
    let mut world = World::new();
    world.pass(20);
    world.rtt_ms = [None; 3];
    world.pass(100);
    world.check(&[]);
    world.rtt_ms = [Some(10), Some(50), Some(120)];
    world.pass(20);
    // It was this node's own line: nobody has to wait for two minutes.
    world.check(&[1, 2, 3]);
}

#[test]
fn what_the_ledger_says_counts() {
    let mut world = World::new();
    world.pass(2);
    let wall_us = THEN + world.second * SECOND;
    world.book.register(&node(1), None, wall_us);
    world.check(&[2, 3]);
    // More than it has registered nobody takes it to serve.
    world.book.register(&node(1), Some(entry(4)), wall_us);
    let view = world.view();
    let known = view.find(&id(1)).expect("known");
    assert_eq!((known.edge.capacity, known.is_registered), (4, true));
    assert_eq!(world.book.nodes().count(), 3);
}

#[test]
fn answers_name_the_chosen_one_and_somebody_to_turn_to() {
    let mut world = World::new();
    world.pass(2);
    let named = |world: &World| {
        let view = world.view();
        let reader = "203.0.113.7".parse().expect("an address");
        let addresses = addresses(&view, &world.rank(&view), reader);
        let third = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets()[2],
            IpAddr::V6(_) => 0,
        };
        addresses.iter().map(third).collect::<Vec<u8>>()
    };
    // The third is much farther: who takes any of them should not end there.
    assert_eq!(named(&world), [1, 2]);
    world.rtt_ms = [Some(10), Some(20), Some(30)];
    world.pass(60);
    let mut all = named(&world);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
    for seed in 1..=3 {
        world.tell(seed, 10);
    }
    assert_eq!(named(&world), [1, 2, 3], "nobody has room: by distance");
    world.rtt_ms = [None; 3];
    world.pass(1);
    assert!(named(&world).is_empty(), "no door was reached");
}

#[test]
fn loads_in_steps() {
    let steps: Vec<u32> = [0, 29, 30, 59, 60, 63, 74, 75, 200]
        .iter()
        .map(|load| load_step(*load, 100))
        .collect();
    assert_eq!(steps, [0, 0, 1, 1, 2, 3, 6, u32::MAX, u32::MAX]);
}

#[test]
fn hosts_and_doors() {
    let known = Known {
        doors: vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([198, 51, 100, 1])],
        domains: vec!["gw.example".to_owned()],
        ..me()
    };
    for (host, expected) in [
        ("alice.ddn", true),
        ("docs.alice.ddn", true),
        ("notddn", false),
        ("gw.example", true),
        ("bafy.ipfs.gw.example", true),
        ("notgw.example", false),
        ("alice.ddn.example", false),
    ] {
        assert_eq!(known.serves(host, "ddn"), expected, "{host}");
    }
    let doors = |reader: [u8; 4]| known.doors_for(reader.into()).collect::<Vec<_>>();
    assert_eq!(doors([203, 0, 113, 1]), [IpAddr::from([198, 51, 100, 1])]);
    assert_eq!(doors([10, 9, 9, 9]), known.doors);
    for (port, own_port, tls_port, expected) in [
        (80, 8080, None, true),
        (8080, 8080, None, true),
        (8081, 8080, None, false),
        (8081, 8080, Some(443), true),
    ] {
        let known = Known {
            port,
            tls_port,
            ..me()
        };
        assert_eq!(known.is_found_by_address(own_port), expected, "{port}");
    }
}

/// The edges that serve a host of the domain that all of them name.
fn serving(world: &World) -> Vec<u8> {
    let view = world.view();
    let serves = |seed: &u8| {
        view.find(&id(*seed))
            .is_some_and(|known| known.serves("site.gw.example", "ddn"))
    };
    (1..=3).filter(serves).collect()
}

#[test]
fn a_domain_is_not_believed_without_a_certificate() {
    let mut world = World::new();
    world.pass(5);
    assert_eq!(serving(&world), [0; 0], "strangers without an encrypted port");
    world.book.belong(Some(&entry(10)));
    assert_eq!(serving(&world), [1, 2, 3], "edges of the same operator");
    let mut secure = said(2, 0, 6);
    secure.tls_port = std::num::NonZeroU16::new(443);
    world.has_certificates = false;
    world.book.hear(secure, Some(entry(10)), THEN + 6 * SECOND);
    world.pass(5);
    assert_eq!(serving(&world), [1, 3], "readers would be warned");
    world.book.belong(None);
    world.has_certificates = true;
    world.pass(11);
    assert_eq!(serving(&world), [2], "it was proven");
}

#[test]
fn who_fails_through_an_epoch_is_told_named_and_out_until_the_next() {
    let mut world = World::new();
    world.pass(20);
    world.rtt_ms[0] = None;
    let mut told = Vec::new();
    for _ in 0..300 {
        world.live(1);
        let notices = world.book.count(world.second * SECOND);
        told.extend(notices.into_iter().map(|notice| (notice, world.second)));
    }
    let expected = |second| ((node(1), notices::Why::Silent), second);
    // It fell silent after 20 s, was away after 22, and in quarantine a minute later.
    assert_eq!(told, [expected(83), expected(173), expected(263)], "now and then");
    assert_eq!(world.book.turn(8, world.second * SECOND), [node(1)]);
    // Of the second they lie: it is seen here that it serves.
    world.book.convict(&[id(1), id(2)], 8, world.second * SECOND);
    world.rtt_ms[0] = Some(10);
    world.live(300);
    world.check(&[2, 3]);
    let view = world.view();
    let (_, why) = view.passed_over.first().expect("it is passed over");
    assert_eq!(
        why.to_string(),
        "not asked: a quorum found that it failed, out until epoch 9"
    );
    assert!(world.book.turn(9, world.second * SECOND).is_empty(), "it is well");
    world.live(100);
    world.check(&[2, 3]);
    world.live(30);
    world.check(&[1, 2, 3]);
}

#[test]
fn who_is_ill_itself_names_nobody() {
    let mut world = World::new();
    world.pass(20);
    world.rtt_ms = [None; 3];
    for _ in 0..300 {
        world.live(1);
        assert!(world.book.count(world.second * SECOND).is_empty());
    }
    assert!(world.book.turn(8, world.second * SECOND).is_empty());
}
