//! How a router finds the edges that are near it, of all that there are.

use std::collections::HashSet;

use nearest::EdgeId;
use nearest::candidates::{Candidate, Distance, select, watched_next};
use nearest::coordinate::{Anchor, Vivaldi, predict_us};
use nearest::ladder::Standing;
use nearest::load::{Credit, Own};
use nearest::measure::{Outcome, Peer};

use crate::adverts::Loads;
use crate::router::{Router, SECOND, Watch};
use crate::world::World;

/// Nodes that are measured at the start.
const ANCHORS: usize = 160;
/// Edges that are probed because chance says so.
const PROBED_ANYWHERE: u64 = 8;
/// Edges found near that tell something of their neighbours.
const NEAR: usize = 64;
/// Nodes that are sorted anew with what was found.
const FOREMOST: usize = 16_384;

impl Router {
    /// Which edges to watch: those near by coordinate and some others are probed, and the nearest as measured are taken.
    pub fn refresh(&mut self, world: &World, loads: &Loads, now: u64) {
        if self.vivaldi == Vivaldi::default() {
            self.find_itself(world);
        } else {
            self.expect(world, FOREMOST);
        }
        self.limits.watched = self.enough();
        for n in self.worth_a_probe(world, now) {
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
        self.expected = (0..world.nodes.len() as u32).collect();
        self.expect(world, world.nodes.len());
    }

    /// Sorts the foremost that may be near anew: those that were found near tell by how much the coordinates of their
    /// neighbours are wrong.
    fn expect(&mut self, world: &World, foremost: usize) {
        let here = self.vivaldi.here();
        let mut found: Vec<(u32, u32)> = self
            .watched
            .iter()
            .filter_map(|watch| Some((watch.peer.rtt_us()?, watch.node)))
            .collect();
        found.sort_unstable();
        let near = found.into_iter().take(NEAR).map(|(rtt_us, n)| Anchor {
            coordinate: world.nodes[n as usize].coordinate,
            rtt_us,
        });
        let anchors: Vec<Anchor> = self.anchors.iter().copied().chain(near).collect();
        let foremost = foremost.min(self.expected.len());
        let predicted = |n: &u32| predict_us(&here, &anchors, &world.nodes[*n as usize].coordinate);
        self.expected[..foremost].sort_by_cached_key(|n| (predicted(n), *n));
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

    fn worth_a_probe(&mut self, world: &World, now: u64) -> Vec<u32> {
        let most = (self.limits.watched * 4 / 3).saturating_sub(self.watched.len() / 2);
        let farthest = self.watched.iter().filter_map(|watch| watch.peer.rtt_us()).max();
        let within_us = farthest
            .filter(|_| self.watched.len() >= self.limits.watched)
            .unwrap_or(u32::MAX);
        let expected = self.expected.iter().map(|n| world.nodes[*n as usize].id);
        let is_watched = |id: &EdgeId| self.by_id.contains_key(id);
        let next = self.search.next(expected, is_watched, within_us, most, now);
        let anywhere = (0..PROBED_ANYWHERE).map(|_| self.random.below(world.nodes.len() as u64) as u32);
        next.iter().map(number).chain(anywhere).collect()
    }

    fn probe(&mut self, world: &World, n: u32, now: u64) {
        let node = &world.nodes[n as usize];
        if self.slots.contains_key(&n) {
            return;
        }
        if !node.is_up(now) {
            self.search.note(node.id, None, now);
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
            missed_us: None,
        };
        self.sent += 3;
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
        self.search.note(node.id, watch.peer.rtt_us(), now);
        self.slots.insert(n, self.watched.len());
        self.by_id.insert(node.id, n);
        self.watched.push(watch);
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
        for watch in self.watched.iter().filter(|watch| !kept.contains(&watch.node)) {
            self.search.note(watch.id, watch.peer.rtt_us(), now);
        }
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
}

/// The number of a node is in its id.
fn number(id: &EdgeId) -> u32 {
    u32::from_be_bytes([id[12], id[13], id[14], id[15]])
}
