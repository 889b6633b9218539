//! A router as it runs: it watches the edges near it with the crate's own records, and chooses with the crate's own rule.
//! It knows only what reached it: answers to its own probes and requests, and adverts that are seconds old.

use std::collections::{HashMap, HashSet};

use nearest::advert::{Advert, Adverts, Belongs, Health};
use nearest::candidates::{Candidate, Distance, Limits, select, watched_next};
use nearest::coordinate::{Anchor, Vivaldi, is_contradicted, predict_us};
use nearest::hedge::Hedge;
use nearest::ladder::{Event, Standing};
use nearest::liveness::is_ill;
use nearest::load::{Credit, Own};
use nearest::measure::{Outcome, Peer};
use nearest::{Choice, Edge, EdgeId, Edges, Policy};

use crate::world::{Config, Lie, Node, Random, World};

pub const SECOND: u64 = 1_000_000;
/// Nodes that are measured at the start.
const ANCHORS: usize = 160;
/// Edges that are probed because chance says so.
const PROBED_ANYWHERE: u64 = 8;
/// Edges that are ranked for a request, if there are as many.
const MOST: usize = 32;
/// Nodes that are remembered for being far.
const FAR_MAX: usize = 1_024;
const LIFE_US: u64 = 60 * SECOND;

/// An edge that this router watches.
struct Watch {
    node: u32,
    id: EdgeId,
    /// What it last said of its load, and when.
    said: (u32, u64),
    peer: Peer,
    standing: Standing,
    credit: Credit,
    own: Own,
}

pub struct Router {
    pub city: usize,
    access_us: u32,
    vivaldi: Vivaldi,
    /// Nodes anywhere that it measured, for predictions.
    anchors: Vec<Anchor>,
    watched: Vec<Watch>,
    /// What the rule is asked with.
    edges: Edges,
    /// By node: its place among the usable edges.
    places: HashMap<u32, usize>,
    limits: Limits,
    slots: HashMap<u32, usize>,
    by_id: HashMap<EdgeId, u32>,
    adverts: Adverts,
    /// Whose coordinates were found to be wrong.
    discredited: HashSet<u32>,
    /// Who was measured and found too far: not measured again so soon.
    far: HashSet<u32>,
    pub hedge: Hedge,
    /// When its own line loses most packets.
    ill: Option<(u64, u64)>,
    random: Random,
    policy: Policy,
    eviction: bool,
    tells_load: bool,
    /// How late adverts are here, in microseconds.
    late_us: u64,
}

impl Router {
    pub fn new(city: usize, config: &Config, policy: Policy) -> Self {
        let mut random = Random::new(config.seed ^ (city as u64) << 40 ^ 0x0072_6f75);
        let ill = random.percent(config.ill).then(|| {
            let from = config.warm_us + random.below(config.measured_us);
            (from, from + 10 * SECOND)
        });
        Self {
            city,
            access_us: 500,
            vivaldi: Vivaldi::default(),
            anchors: Vec::new(),
            watched: Vec::new(),
            edges: Edges::default(),
            places: HashMap::new(),
            limits: Limits::default(),
            slots: HashMap::new(),
            by_id: HashMap::new(),
            adverts: Adverts::default(),
            discredited: HashSet::new(),
            far: HashSet::new(),
            hedge: Hedge::default(),
            ill,
            late_us: SECOND / 2 + random.below(2 * SECOND),
            random,
            policy,
            eviction: config.eviction,
            tells_load: config.tells_load,
        }
    }

    pub fn node_of(&self, edge: &Edge) -> u32 {
        self.by_id[&edge.id]
    }

    pub fn choose(&self, object: u32, request: u64) -> Choice {
        self.policy
            .choose_among(&object.to_be_bytes(), &self.edges, request, MOST)
    }

    /// The order by doubling homes: of the first 2, 4, 8 of the content's order, doubled while they are above a half on
    /// average, one by the room that they have; of the first two the first while it is below a half.
    pub fn doubled(&self, choice: &Choice, request: u64) -> Vec<u32> {
        let ranked: Vec<&Edge> = choice
            .ranked
            .iter()
            .map(|verdict| &verdict.edge)
            .filter(|edge| edge.alive)
            .collect();
        let load = |edge: &Edge| edge.inflight * 100 / edge.capacity.max(1);
        let mut homes = 2.min(ranked.len());
        while homes < 8.min(ranked.len())
            && ranked[..homes].iter().map(|edge| load(edge)).sum::<u32>() > 50 * homes as u32
        {
            homes = (homes * 2).min(ranked.len());
        }
        let room = |edge: &Edge| u64::from(self.policy.bound(edge.capacity).saturating_sub(edge.inflight));
        let first = match homes {
            2 if load(ranked[0]) < 50 => 0,
            _ => {
                let sums: Vec<u64> = ranked[..homes]
                    .iter()
                    .scan(0, |sum, edge| {
                        *sum += room(edge);
                        Some(*sum)
                    })
                    .collect();
                let drawn = Random::new(request).below(sums.last().copied().unwrap_or(1));
                sums.partition_point(|sum| *sum <= drawn)
            }
        };
        let with_room = ranked
            .iter()
            .enumerate()
            .filter(|(at, edge)| *at != first && room(edge) > 0)
            .map(|(at, _)| at);
        let first = Some(first).filter(|at| ranked.get(*at).is_some_and(|edge| room(edge) > 0));
        first
            .into_iter()
            .chain(with_room)
            .map(|at| self.node_of(ranked[at]))
            .collect()
    }

    /// Which edges to watch: those near by coordinate and some others are probed, and the nearest as measured are taken.
    pub fn refresh(&mut self, world: &World, loads: &Loads, now: u64) {
        if self.vivaldi == Vivaldi::default() {
            self.find_itself(world);
        }
        let enough = self.enough();
        if enough > self.limits.watched {
            self.far.clear();
        }
        self.limits.watched = enough;
        for n in self.worth_a_probe(world) {
            self.probe(world, n, now);
        }
        self.take_adverts(world, loads, now);
        self.keep_the_nearest(now);
        self.look(now);
    }

    /// Its own coordinate, from nodes anywhere, which are its anchors from then on.
    fn find_itself(&mut self, world: &World) {
        for round in 0..ANCHORS.min(world.nodes.len()) as u64 {
            let n = self.random.below(world.nodes.len() as u64) as usize;
            let peer = Anchor {
                coordinate: world.nodes[n].coordinate,
                rtt_us: world.rtt_us(self.city, self.access_us, &world.nodes[n]),
            };
            // One that is refused, because the others contradict it, is no anchor.
            let taken = self.vivaldi.note(&peer, &self.anchors, round * SECOND, round);
            self.anchors.extend(taken.is_ok().then_some(peer));
        }
    }

    /// Whether it should watch more edges than it does.
    pub fn is_short(&self) -> bool {
        self.enough() > self.limits.watched
    }

    /// How many edges to watch, by the room that those have which it watches.
    fn enough(&self) -> usize {
        let room = self
            .edges
            .usable()
            .iter()
            .map(|edge| self.policy.bound(edge.capacity).saturating_sub(edge.inflight));
        let own: u64 = self.watched.iter().map(|watch| u64::from(watch.own.now())).sum();
        match self.watched.is_empty() {
            true => self.limits.watched,
            false => watched_next(self.limits.watched, room.map(u64::from).sum(), own),
        }
    }

    fn worth_a_probe(&mut self, world: &World) -> Vec<u32> {
        let here = self.vivaldi.here();
        let mut near: Vec<(u32, u32)> = (0..world.nodes.len() as u32)
            .filter(|n| !self.slots.contains_key(n) && !self.discredited.contains(n) && !self.far.contains(n))
            .map(|n| {
                (
                    predict_us(&here, &self.anchors, &world.nodes[n as usize].coordinate),
                    n,
                )
            })
            .collect();
        let most = (self.limits.watched * 4 / 3).saturating_sub(self.watched.len() / 2);
        if near.len() > most {
            near.select_nth_unstable(most);
            near.truncate(most);
        }
        let anywhere = (0..PROBED_ANYWHERE).map(|_| self.random.below(world.nodes.len() as u64) as u32);
        let mut probed: Vec<u32> = near.into_iter().map(|(_, n)| n).chain(anywhere).collect();
        probed.sort_unstable();
        probed.dedup();
        probed
    }

    fn probe(&mut self, world: &World, n: u32, now: u64) {
        let node = &world.nodes[n as usize];
        if self.slots.contains_key(&n) || !node.is_up(now) {
            return;
        }
        let mut watch = Watch {
            node: n,
            id: node.id,
            said: (0, 0),
            peer: Peer::new(SECOND),
            standing: Standing::Serving,
            credit: Credit::default(),
            own: Own::default(),
        };
        for _ in 0..3 {
            let rtt_us = Some(self.sample_us(world, node));
            watch.peer.note(
                &Outcome {
                    rtt_us,
                    ..Outcome::default()
                },
                now,
            );
        }
        let predicted = predict_us(&self.vivaldi.here(), &self.anchors, &node.coordinate);
        if is_contradicted(predicted, watch.peer.rtt_us().unwrap_or(u32::MAX)) {
            self.discredited.insert(n);
        }
        self.slots.insert(n, self.watched.len());
        self.by_id.insert(node.id, n);
        self.watched.push(watch);
    }

    /// A round-trip time as it is measured: up to a tenth and a millisecond more, and one in fifty much more.
    fn sample_us(&mut self, world: &World, node: &Node) -> u32 {
        let rtt_us = world.rtt_us(self.city, self.access_us, node);
        let late = if self.random.percent(2) {
            self.random.below(100_000) as u32
        } else {
            0
        };
        rtt_us + self.random.below(u64::from(rtt_us / 10 + 1_000)) as u32 + late
    }

    fn keep_the_nearest(&mut self, now: u64) {
        let all = self.watched.iter().filter_map(|watch| {
            let advert = self.adverts.get(&watch.id, now)?;
            Some(Candidate {
                advert,
                distance: Distance::best(watch.peer.rtt_us(), None, None),
                standing: watch.standing,
            })
        });
        let (taken, out) = select(all.collect(), &self.limits);
        // Whoever is away is watched on: it may come back, or be accused.
        let away = out.iter().filter(|(candidate, _)| !candidate.standing.serves());
        let kept = taken
            .iter()
            .chain(away.map(|(candidate, _)| candidate).take(self.limits.watched));
        let kept: HashSet<u32> = kept.map(|candidate| self.by_id[&candidate.advert.edge]).collect();
        if self.far.len() > FAR_MAX {
            self.far.clear();
        }
        self.far.extend(
            self.watched
                .iter()
                .map(|watch| watch.node)
                .filter(|n| !kept.contains(n)),
        );
        self.watched.retain(|watch| kept.contains(&watch.node));
        let place = |(slot, watch): (usize, &Watch)| (watch.node, slot);
        self.slots = self.watched.iter().enumerate().map(place).collect();
        let gone: Vec<EdgeId> = self
            .by_id
            .iter()
            .filter(|(_, n)| !kept.contains(n))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.adverts.remove(&id);
            self.by_id.remove(&id);
        }
    }

    /// Probes all that are watched: their signs of life.
    pub fn beat(&mut self, world: &World, loads: &[u32], now: u64) {
        let loses = if self.is_ill(now) { 70 } else { 1 };
        for slot in 0..self.watched.len() {
            let node = &world.nodes[self.watched[slot].node as usize];
            let answered = node.is_up(now) && !self.random.percent(loses);
            let rtt_us = self.sample_us(world, node);
            let watch = &mut self.watched[slot];
            if answered {
                let outcome = Outcome {
                    rtt_us: Some(rtt_us),
                    ..Outcome::default()
                };
                watch.peer.note(&outcome, now + u64::from(rtt_us));
                if self.tells_load {
                    watch.said = (told(node, loads[watch.node as usize]), now);
                }
            }
            let event = if answered { Event::Answered } else { Event::Failed };
            watch.standing = watch.standing.after(event, now);
        }
    }

    fn is_ill(&self, now: u64) -> bool {
        self.ill.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    /// Looks at the measurements, and prepares what the rule is asked with.
    pub fn look(&mut self, now: u64) {
        let suspect = self
            .watched
            .iter()
            .filter(|watch| watch.peer.is_suspect(now))
            .count();
        let ill = is_ill(suspect, self.watched.len());
        for watch in self.watched.iter_mut().filter(|_| self.eviction) {
            let looked = Event::Looked {
                phi_milli: watch.peer.phi_milli(now),
                errors_permille: watch.peer.errors_permille(now),
                ill,
            };
            watch.standing = watch.standing.after(looked, now);
        }
        let edge = |watch: &Watch| {
            let capacity = self
                .adverts
                .get(&watch.id, now)
                .map_or(0, |advert| advert.capacity);
            Edge {
                id: watch.id,
                rtt_us: watch.peer.rtt_us().unwrap_or(u32::MAX),
                capacity: watch.credit.of(capacity),
                inflight: watch.own.in_hand(watch.said.0, watch.said.1),
                alive: watch.standing.serves(),
            }
        };
        self.edges = Edges::new(self.watched.iter().map(edge).collect());
        let place = |(place, edge): (usize, &Edge)| (self.by_id[&edge.id], place);
        self.places = self.edges.usable().iter().enumerate().map(place).collect();
    }

    /// Takes the adverts that have come by now.
    pub fn take_adverts(&mut self, world: &World, loads: &Loads, now: u64) {
        let (issued_us, loads) = loads.at(now.saturating_sub(self.late_us));
        for watch in &mut self.watched {
            let n = watch.node as usize;
            let advert = advert(&world.nodes[n], loads[n], issued_us);
            // One that is no newer is refused, as it should be.
            if self.adverts.take(&advert, now).is_ok() && issued_us > watch.said.1 {
                watch.said = (advert.load, issued_us);
            }
        }
    }

    /// A request was sent to a node.
    pub fn begun(&mut self, node: u32, now: u64) {
        self.count(node, now, Own::begun);
    }

    /// A request to a node was done.
    pub fn ended(&mut self, node: u32, now: u64) {
        self.count(node, now, Own::ended);
    }

    fn count(&mut self, node: u32, now: u64, what: fn(&mut Own, u64)) {
        let Some(slot) = self.slots.get(&node) else { return };
        let watch = &mut self.watched[*slot];
        what(&mut watch.own, now);
        if let Some(place) = self.places.get(&node) {
            self.edges
                .set_inflight(*place, watch.own.in_hand(watch.said.0, watch.said.1));
        }
    }

    /// What came of a request, and the load of which the answer told.
    pub fn learn(&mut self, node: u32, outcome: &Outcome, busy: bool, load: u32, now: u64) {
        let Some(slot) = self.slots.get(&node) else { return };
        let watch = &mut self.watched[*slot];
        if busy {
            watch.credit.broke_its_word();
        } else {
            watch.peer.note(outcome, now);
            if !outcome.failed {
                watch.credit.served();
            }
        }
        if !outcome.failed && self.tells_load {
            watch.said = (load, now);
        }
        if let Some(ttfb_us) = outcome.ttfb_us {
            self.hedge.note(ttfb_us);
        }
        self.count(node, now, |_, _| {});
    }
}

/// The load that a node tells.
pub fn told(node: &Node, load: u32) -> u32 {
    if node.lie == Lie::Load { 0 } else { load }
}

/// What a node says of itself.
fn advert(node: &Node, load: u32, issued_us: u64) -> Advert {
    let (capacity, load) = match node.lie {
        Lie::Load => (node.capacity * 4, 0),
        _ => (node.capacity, load),
    };
    let mut operator = [0; 32];
    operator[..4].copy_from_slice(&node.operator.to_be_bytes());
    Advert {
        edge: node.id,
        belongs: Belongs {
            operator: Some(operator),
            place: node.place,
            network: None,
        },
        capacity,
        load,
        price: 1,
        coordinate: node.coordinate,
        health: Health::default(),
        issued_us,
        expires_us: issued_us + LIFE_US,
    }
}

/// The loads of all nodes at each of the last seconds.
#[derive(Default)]
pub struct Loads(std::collections::VecDeque<(u64, Vec<u32>)>);

impl Loads {
    pub fn note(&mut self, now: u64, loads: &[u32]) {
        self.0.push_front((now, loads.to_vec()));
        self.0.truncate(5);
    }

    /// The latest at that time.
    fn at(&self, time: u64) -> (u64, &[u32]) {
        let latest = self.0.iter().find(|(at, _)| *at <= time).or(self.0.back());
        latest
            .map(|(at, loads)| (*at, loads.as_slice()))
            .expect("noted before it is read")
    }
}
