//! The policies beside ours, and the oracles.

use std::cmp::Reverse;

use crate::report::Got;
use crate::run::{Decider, MISS_US, Run, Served, TRIES, queue_us};

use crate::router::SECOND;

/// After so long without a byte who does not know better asks another.
const TIMEOUT_US: u64 = 500_000;
/// How long the others go on choosing a stopped edge: they are given for nothing what ours has to find out.
const KNOWN_DEAD_US: u64 = 5 * SECOND;

impl<'a> Run<'a> {
    pub fn ask_other(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) -> Got {
        let mut waited_us = 0;
        let (mut silent, mut messages) = (0, 0);
        for attempt in 0..TRIES {
            let Some(n) = self.pick(site, object, attempt, now) else {
                break;
            };
            messages += 1;
            let rtt_us = self.rtt_us(site, n);
            match self.serve(n, u32::MAX, object, transfer_us, now) {
                Served::Yes { took_us, hit } => {
                    return Got {
                        ttfb_us: Some(waited_us + rtt_us + took_us),
                        waited_us,
                        rtt_us,
                        hit,
                        silent,
                        hops: 1,
                        messages,
                    };
                }
                Served::Dead => (waited_us, silent) = (waited_us + TIMEOUT_US, silent + 1),
                Served::Busy => waited_us += rtt_us,
            }
        }
        Got {
            waited_us,
            silent,
            messages,
            ..Got::default()
        }
    }

    /// A look-up, then the holders that it found, in their order.
    pub fn ask_kademlia(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) -> Got {
        let Some(kademlia) = &self.kademlia else {
            return Got::default();
        };
        let asker = nearest::rendezvous::mix(self.world.sites[site].city as u64);
        let ask = |n: u32| match self.world.nodes[n as usize].is_up(now) {
            true => Ok(self.rtt_us(site, n)),
            false => Err(TIMEOUT_US),
        };
        let found = kademlia.find(asker, object, |n| self.seems_up(n, now), ask);
        let mut got = Got {
            waited_us: found.took_us,
            silent: found.silent,
            hops: found.hops,
            messages: found.messages,
            ..Got::default()
        };
        for n in found.holders.into_iter().take(TRIES) {
            got.messages += 1;
            match self.serve(n, u32::MAX, object, transfer_us, now) {
                Served::Yes { took_us, hit } => {
                    (got.rtt_us, got.hit, got.hops) = (self.rtt_us(site, n), hit, got.hops + 1);
                    got.ttfb_us = Some(got.waited_us + got.rtt_us + took_us);
                    return got;
                }
                Served::Dead => (got.waited_us, got.silent) = (got.waited_us + TIMEOUT_US, got.silent + 1),
                Served::Busy => got.waited_us += self.rtt_us(site, n),
            }
        }
        got
    }

    /// Whether somebody who is told after 5 s takes it for alive.
    fn seems_up(&self, n: u32, now: u64) -> bool {
        let node = &self.world.nodes[n as usize];
        node.is_up(now) || node.stops.is_some_and(|(stops, _)| now < stops + KNOWN_DEAD_US)
    }

    fn pick(&mut self, site: usize, object: u32, attempt: usize, now: u64) -> Option<u32> {
        match self.decider {
            Decider::Nearest => self.nearest(site, attempt, |run, n| run.seems_up(n, now)),
            Decider::Random => self.any(now),
            Decider::PowerOfTwo => {
                let (one, other) = (self.any(now)?, self.any(now)?);
                let load = |n: u32| self.inflight[n as usize] * 1_000 / self.world.nodes[n as usize].capacity;
                Some(if load(one) <= load(other) { one } else { other })
            }
            Decider::Rendezvous => self.home(object, attempt, now),
            Decider::OracleNearest => self.nearest_with_room(site, now),
            Decider::OracleBest => self.best(site, object, now),
            Decider::Ours(_) | Decider::Doubling | Decider::Kademlia => None,
        }
    }

    fn any(&mut self, now: u64) -> Option<u32> {
        (0..20).find_map(|_| {
            let n = self.random.below(self.inflight.len() as u64) as u32;
            self.seems_up(n, now).then_some(n)
        })
    }

    /// The nearest but `skip` that is fit, wherever its load is.
    fn nearest(&self, site: usize, skip: usize, fit: impl Fn(&Self, u32) -> bool) -> Option<u32> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        for city in self.cities_by_distance(site) {
            let all = self.world.by_city[city].iter().filter(|n| fit(self, **n));
            found.extend(all.take(skip + 1).map(|n| (self.rtt_us(site, *n), *n)));
        }
        found.sort_unstable();
        found.get(skip).map(|(_, n)| *n)
    }

    pub fn nearest_with_room(&self, site: usize, now: u64) -> Option<u32> {
        let mut best: Option<(u64, u32)> = None;
        for city in self.cities_by_distance(site) {
            if best.is_some_and(|(rtt_us, _)| rtt_us <= self.least_us(site, city)) {
                break;
            }
            let up = self.room[city]
                .iter()
                .find(|(_, n)| self.world.nodes[*n as usize].is_up(now));
            let found = up.map(|(_, n)| (self.rtt_us(site, *n), *n));
            best = [best, found].into_iter().flatten().min();
        }
        best.map(|(_, n)| n)
    }

    /// The least time of all, among those that have the object and the eight nearest of each city.
    fn best(&self, site: usize, object: u32, now: u64) -> Option<u32> {
        let holders = &self.caches.holders[object as usize];
        let time = |n: u32, miss_us: u64| (self.rtt_us(site, n) + queue_us(self.load(n)) + miss_us, n);
        let has_room = |n: &u32| {
            let node = &self.world.nodes[*n as usize];
            self.inflight[*n as usize] * 4 < node.capacity * 3 && node.is_up(now)
        };
        let held = holders.iter().filter(|n| has_room(n)).map(|n| time(*n, 0)).min();
        let mut best = held;
        for city in self.cities_by_distance(site) {
            if best.is_some_and(|(us, _)| us <= self.least_us(site, city) + MISS_US) {
                break;
            }
            let fetched = self.room[city]
                .iter()
                .map(|(_, n)| *n)
                .filter(|n| has_room(n))
                .take(8);
            best = best.into_iter().chain(fetched.map(|n| time(n, MISS_US))).min();
        }
        best.map(|(_, n)| n)
    }

    fn cities_by_distance(&self, site: usize) -> impl Iterator<Item = usize> + use<'a> {
        let world = self.world;
        world.nearest_cities[world.sites[site].city].iter().copied()
    }

    fn least_us(&self, site: usize, city: usize) -> u64 {
        let site = &self.world.sites[site];
        u64::from(self.world.cities_us(site.city, city) + site.access_us)
    }

    /// The first of the content's order that lives; the order is kept, 8 deep.
    fn home(&mut self, object: u32, skip: usize, now: u64) -> Option<u32> {
        let order = self.object_orders[object as usize].take().unwrap_or_else(|| {
            let draw = |n: &u32| Reverse(nearest::rendezvous::mix(u64::from(object) << 32 | u64::from(*n)));
            let mut all: Vec<u32> = (0..self.inflight.len() as u32).collect();
            let most = all.len().min(16);
            all.select_nth_unstable_by_key(most - 1, draw);
            all.truncate(most);
            all.sort_unstable_by_key(draw);
            all
        });
        let home = order.iter().copied().filter(|n| self.seems_up(*n, now)).nth(skip);
        self.object_orders[object as usize] = Some(order);
        home
    }
}
