//! A router as it runs: it watches the edges near it with the crate's own records, and chooses with the crate's own rule.
//! It knows only what reached it: answers to its own probes and requests, and adverts that are seconds old.

use std::collections::HashMap;

use nearest::advert::{Adverts, CAPACITY_MAX};
use nearest::candidates::Limits;
use nearest::coordinate::{Anchor, Vivaldi};
use nearest::hedge::Hedge;
use nearest::ladder::{Event, Standing};
use nearest::liveness::is_ill;
use nearest::load::{Credit, Own};
use nearest::measure::{Outcome, Peer};
use nearest::search::Search;
use nearest::{Choice, Edge, EdgeId, Edges, Policy};

use crate::adverts::{Loads, advert, told};
use crate::random::Random;
use crate::world::{Config, Node, World};

pub const SECOND: u64 = 1_000_000;
/// Edges that are ranked for a request, if there are as many.
const MOST: usize = 32;
/// A probe that was not answered for twice its round-trip time and this is taken as missed.
const PROBE_US: u64 = 200_000;

/// An edge that this router watches.
pub struct Watch {
    pub node: u32,
    pub id: EdgeId,
    /// What it last said of its load, and when.
    pub said: (u32, u64),
    pub peer: Peer,
    pub standing: Standing,
    pub credit: Credit,
    pub own: Own,
    /// When the probe was sent that was not answered.
    pub missed_us: Option<u64>,
}

impl Watch {
    /// Its work in hand, as far as this router can know; who turned readers away is taken for full for a while.
    fn in_hand(&self, now: u64) -> u32 {
        match self.credit.is_resting(now) {
            true => CAPACITY_MAX,
            false => self.own.in_hand(self.said.0, self.said.1),
        }
    }
}

pub struct Router {
    pub city: usize,
    pub access_us: u32,
    pub vivaldi: Vivaldi,
    /// Nodes anywhere that it measured, for predictions.
    pub anchors: Vec<Anchor>,
    pub watched: Vec<Watch>,
    /// What the rule is asked with.
    pub edges: Edges,
    /// By node: its place among the usable edges.
    pub places: HashMap<u32, usize>,
    pub limits: Limits,
    pub slots: HashMap<u32, usize>,
    pub by_id: HashMap<EdgeId, u32>,
    pub adverts: Adverts,
    /// All nodes, those first that are near by their coordinates.
    pub expected: Vec<u32>,
    pub search: Search,
    pub hedge: Hedge,
    /// Probes that it sent.
    pub sent: u64,
    /// When its own line loses most packets.
    pub ill: Option<(u64, u64)>,
    pub random: Random,
    pub policy: Policy,
    pub eviction: bool,
    pub tells_load: bool,
    /// How late adverts are here, in microseconds.
    pub late_us: u64,
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
            expected: Vec::new(),
            search: Search::default(),
            hedge: Hedge::default(),
            sent: 0,
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

    /// How far a node is by its own measurements.
    pub fn rtt_us(&self, node: u32) -> u32 {
        let watch = self.slots.get(&node).map(|slot| &self.watched[*slot]);
        watch.and_then(|watch| watch.peer.rtt_us()).unwrap_or(u32::MAX)
    }

    pub fn choose(&self, object: u32, request: u64) -> Choice {
        self.policy
            .choose_among(&object.to_be_bytes(), &self.edges, request, MOST)
    }

    /// Probes all that are watched: their signs of life.
    pub fn beat(&mut self, world: &World, loads: &[u32], now: u64) {
        self.sent += self.watched.len() as u64;
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
                watch.missed_us = None;
                if self.tells_load {
                    watch.said = (told(node, loads[watch.node as usize]), now);
                }
            }
            if !answered {
                watch.missed_us = Some(now + PROBE_US + 2 * u64::from(rtt_us));
            }
            let event = if answered { Event::Answered } else { Event::Failed };
            watch.standing = watch.standing.after(event, now);
        }
    }

    /// A round-trip time as it is measured: up to a tenth and a millisecond more, and one in fifty much more.
    pub fn sample_us(&mut self, world: &World, node: &Node) -> u32 {
        let rtt_us = world.rtt_us(self.city, self.access_us, node);
        let late = if self.random.percent(2) {
            self.random.below(100_000) as u32
        } else {
            0
        };
        rtt_us + self.random.below(u64::from(rtt_us / 10 + 1_000)) as u32 + late
    }

    fn is_ill(&self, now: u64) -> bool {
        self.ill.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    /// Looks at the measurements, and prepares what the rule is asked with.
    pub fn look(&mut self, now: u64) {
        for watch in self.watched.iter_mut().filter(|_| self.eviction) {
            if watch.missed_us.is_some_and(|by| by <= now) {
                watch.peer.missed();
            }
        }
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
                inflight: watch.in_hand(now),
                alive: watch.standing.serves() && !(self.eviction && watch.peer.is_doubted()),
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
            self.edges.set_inflight(*place, watch.in_hand(now));
        }
    }

    /// What came of a request, and the load of which the answer told.
    pub fn learn(&mut self, node: u32, outcome: &Outcome, busy: bool, load: u32, now: u64) {
        let Some(slot) = self.slots.get(&node) else { return };
        let watch = &mut self.watched[*slot];
        if busy {
            watch.credit.turned_away(now);
        } else {
            watch.peer.note(outcome, now);
            if !outcome.failed {
                watch.credit.served();
            }
        }
        if !outcome.failed && self.tells_load {
            watch.said = (load, now);
        }
        if outcome.failed && self.eviction {
            let place = self.places.get(&node);
            place.into_iter().for_each(|place| self.edges.doubt(*place));
        }
        if let Some(ttfb_us) = outcome.ttfb_us {
            self.hedge.note(ttfb_us);
        }
        self.count(node, now, |_, _| {});
    }
}
