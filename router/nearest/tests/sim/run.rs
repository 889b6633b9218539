//! A run: readers ask, one policy decides, and what came of it is counted. All policies see the same world and the same
//! readers.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use nearest::measure::Outcome;

use crate::content::{Caches, Demand};
use crate::report::Counts;
use crate::router::{Loads, Router, SECOND, told};
use crate::world::{CITIES_COUNT, Config, Random, World};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decider {
    /// The crate, at the router in the reader's city.
    Ours(nearest::Policy),
    /// As ours, but with the reference's rule for hot content: 2, 4, 8 homes while the first are above a half.
    Doubling,
    /// The nearest that lives.
    Nearest,
    Random,
    /// Of two at random the one with less load, which it knows at once.
    PowerOfTwo,
    /// The first of the content's order over all nodes.
    Rendezvous,
    /// The nearest below three quarters of its capacity, with knowledge of everything at this moment.
    OracleNearest,
    /// The least time to the first byte below three quarters of its capacity, with knowledge of all caches too.
    OracleBest,
}

/// A miss is fetched from far away.
const MISS_US: u64 = 80_000;
/// The queue of an idle edge; it grows as 1 / (1 − load).
const QUEUE_US: u64 = 5_000;
/// After so long without a byte who does not know better asks another.
const TIMEOUT_US: u64 = 500_000;
/// How long the others go on choosing a stopped edge: they are given for nothing what ours has to find out.
const KNOWN_DEAD_US: u64 = 5 * SECOND;
/// Tries before a reader is sent away.
const TRIES: usize = 4;

pub struct Run<'a> {
    pub world: &'a World,
    config: &'a Config,
    decider: Decider,
    caches: Caches,
    pub inflight: Vec<u32>,
    /// By city: who is below three quarters, nearest first.
    room: Vec<BTreeSet<(u32, u32)>>,
    ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    pub routers: Vec<Router>,
    loads: Loads,
    random: Random,
    pub counts: Counts,
    object_orders: Vec<Option<Vec<u32>>>,
}

impl<'a> Run<'a> {
    pub fn new(world: &'a World, config: &'a Config, decider: Decider) -> Self {
        let routers = match decider {
            Decider::Ours(policy) => (0..CITIES_COUNT)
                .map(|city| Router::new(city, config, policy))
                .collect(),
            Decider::Doubling => {
                let policy = nearest::Policy {
                    warm_percent: 75,
                    ..nearest::Policy::DEFAULT
                };
                (0..CITIES_COUNT)
                    .map(|city| Router::new(city, config, policy))
                    .collect()
            }
            _ => Vec::new(),
        };
        let mut room = vec![BTreeSet::new(); CITIES_COUNT];
        for (n, node) in world.nodes.iter().enumerate() {
            room[node.city].insert((node.access_us, n as u32));
        }
        Self {
            world,
            config,
            decider,
            caches: Caches::new(world.nodes.len(), config.objects, config.cached),
            inflight: vec![0; world.nodes.len()],
            room,
            ends: BinaryHeap::new(),
            routers,
            loads: Loads::default(),
            random: Random::new(config.seed ^ 0x0072_756e),
            counts: Counts::default(),
            object_orders: vec![None; config.objects],
        }
    }

    /// All readers, and what they got.
    pub fn go(mut self, demand: &Demand) -> Counts {
        let mut readers = Random::new(self.config.seed ^ 0x7265_6164);
        let end = self.config.warm_us + self.config.measured_us;
        let wanted = self.world.capacity() * u64::from(self.config.demand) / 100;
        let gap_us = (self.config.transfer_us + 100_000) * 1_000 / wanted.max(1);
        let (mut now_ns, mut control) = (0, 0);
        while now_ns / 1_000 < end {
            let now = now_ns / 1_000;
            while control <= now {
                self.control(control);
                control += SECOND / 4;
            }
            self.finish(now);
            let site = readers.weighted(&self.world.demand);
            let (object, transfer_us) = (
                demand.draw(&mut readers),
                readers.exponential(self.config.transfer_us),
            );
            self.ask(site, object, transfer_us, now);
            now_ns += readers.exponential(2 * gap_us).min(20 * gap_us).max(1);
        }
        self.counts
    }

    /// What happens by the clock, each quarter of a second.
    fn control(&mut self, now: u64) {
        self.finish(now);
        let quarter = now / (SECOND / 4);
        if quarter.is_multiple_of(4) {
            self.loads.note(now, &self.inflight);
            self.lose_caches(now);
        }
        let asked = |city: &usize| self.world.sites.iter().any(|site| site.city == *city);
        for (n, router) in self
            .routers
            .iter_mut()
            .enumerate()
            .filter(|(city, _)| asked(city))
        {
            if quarter.is_multiple_of(16) || (quarter.is_multiple_of(8) && router.is_short()) {
                router.refresh(self.world, &self.loads, now);
            }
            // Routers do not probe all at the same moment.
            if (quarter + n as u64).is_multiple_of(4) {
                router.beat(self.world, &self.inflight, now);
            }
            if (quarter + n as u64) % 8 == 1 {
                router.take_adverts(self.world, &self.loads, now);
            }
            if quarter.is_multiple_of(2) {
                router.look(now);
            }
        }
    }

    fn lose_caches(&mut self, now: u64) {
        for (n, node) in self.world.nodes.iter().enumerate() {
            if node
                .stops
                .is_some_and(|(stops, _)| stops <= now && now < stops + SECOND)
            {
                self.caches.lose(n);
            }
        }
    }

    fn finish(&mut self, now: u64) {
        while let Some(Reverse((end, node, router))) = self.ends.peek().copied().filter(|end| end.0.0 <= now)
        {
            self.ends.pop();
            self.inflight[node as usize] -= 1;
            self.mark(node);
            if let Some(router) = self.routers.get_mut(router as usize) {
                router.ended(node, end);
            }
        }
    }

    /// Notes whether a node is below three quarters.
    fn mark(&mut self, n: u32) {
        let node = &self.world.nodes[n as usize];
        let has_room = self.inflight[n as usize] * 4 < node.capacity * 3;
        match has_room {
            true => self.room[node.city].insert((node.access_us, n)),
            false => self.room[node.city].remove(&(node.access_us, n)),
        };
    }

    fn ask(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) {
        let measured = now >= self.config.warm_us;
        let got = match self.decider {
            Decider::Ours(_) | Decider::Doubling => self.ask_ours(site, object, transfer_us, now),
            _ => self.ask_other(site, object, transfer_us, now),
        };
        if measured {
            self.counts.note(got);
        }
    }

    fn ask_ours(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) -> Got {
        let city = self.world.sites[site].city;
        let request = self.random.next();
        let choice = self.routers[city].choose(object, request);
        self.routers[city].hedge.asked();
        let mut order: Vec<u32> = choice
            .usable()
            .map(|edge| self.routers[city].node_of(edge))
            .collect();
        self.check_answer(&order, now);
        if self.decider == Decider::Doubling {
            order = self.routers[city].doubled(&choice, request);
        }
        // When those fail, the full ones are tried, and at last those that are not trusted.
        let all = choice
            .ranked
            .iter()
            .map(|verdict| self.routers[city].node_of(&verdict.edge));
        let rest: Vec<u32> = all.filter(|n| !order.contains(n)).collect();
        order.extend(rest);
        let (mut waited_us, mut got) = (0, Got::default());
        for n in order.into_iter().take(TRIES) {
            let delay_us = self.routers[city].hedge.delay_us();
            let rtt_us = self.rtt_us(site, n);
            match self.serve(n, city as u32, object, transfer_us, now) {
                Served::Dead => {
                    let hedged = self.routers[city].hedge.may(delay_us);
                    let failed = Outcome {
                        failed: true,
                        ..Outcome::default()
                    };
                    self.routers[city].learn(n, &failed, false, 0, now);
                    waited_us += u64::from(delay_us) * if hedged { 1 } else { 2 };
                    got.hedged += 1;
                }
                Served::Busy => {
                    let load = told(&self.world.nodes[n as usize], self.inflight[n as usize]);
                    self.routers[city].learn(n, &Outcome::default(), true, load, now);
                    waited_us += rtt_us;
                }
                Served::Yes { took_us, hit } => {
                    let ttfb_us = rtt_us + took_us;
                    let outcome = Outcome {
                        ttfb_us: Some(ttfb_us as u32),
                        ..Outcome::default()
                    };
                    let load = told(&self.world.nodes[n as usize], self.inflight[n as usize]);
                    self.routers[city].begun(n, now);
                    self.routers[city].learn(n, &outcome, false, load, now);
                    return Got {
                        ttfb_us: Some(waited_us + ttfb_us),
                        waited_us,
                        hit,
                        ..got
                    };
                }
            }
        }
        got.waited_us = waited_us;
        got
    }

    /// A stopped edge may be among the first three, which DNS would name, for five seconds.
    fn check_answer(&mut self, order: &[u32], now: u64) {
        for n in order.iter().take(3) {
            let node = &self.world.nodes[*n as usize];
            if let Some((stops, _)) = node.stops.filter(|_| !node.is_up(now)) {
                self.counts.stopped_named_us = self.counts.stopped_named_us.max(now - stops);
            }
        }
    }

    fn ask_other(&mut self, site: usize, object: u32, transfer_us: u64, now: u64) -> Got {
        let mut waited_us = 0;
        for attempt in 0..TRIES {
            let Some(n) = self.pick(site, object, attempt, now) else {
                break;
            };
            match self.serve(n, u32::MAX, object, transfer_us, now) {
                Served::Yes { took_us, hit } => {
                    return Got {
                        ttfb_us: Some(waited_us + self.rtt_us(site, n) + took_us),
                        waited_us,
                        hit,
                        hedged: 0,
                    };
                }
                Served::Dead => waited_us += TIMEOUT_US,
                Served::Busy => waited_us += self.rtt_us(site, n),
            }
        }
        Got {
            waited_us,
            ..Got::default()
        }
    }

    fn rtt_us(&self, site: usize, n: u32) -> u64 {
        let site = &self.world.sites[site];
        u64::from(
            self.world
                .rtt_us(site.city, site.access_us, &self.world.nodes[n as usize]),
        )
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
            Decider::Ours(_) | Decider::Doubling => None,
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

    fn nearest_with_room(&self, site: usize, now: u64) -> Option<u32> {
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

    /// In thousandths of the capacity.
    fn load(&self, n: u32) -> u64 {
        u64::from(self.inflight[n as usize]) * 1_000 / u64::from(self.world.nodes[n as usize].capacity)
    }

    /// A node does what it is asked. Honest or not, it turns away what is above its capacity if it was chosen by a rule
    /// that counts; the others' readers wait in its queue.
    fn serve(&mut self, n: u32, router: u32, object: u32, transfer_us: u64, now: u64) -> Served {
        let node = &self.world.nodes[n as usize];
        if !node.is_up(now) {
            return Served::Dead;
        }
        let load = self.load(n);
        if now >= self.config.warm_us {
            self.counts.load(load, node.lie);
        }
        if load >= 1_000 && router != u32::MAX {
            return Served::Busy;
        }
        let hit = self.caches.serve(n as usize, object);
        let took_us = queue_us(load) + if hit { 0 } else { MISS_US };
        self.inflight[n as usize] += 1;
        self.mark(n);
        self.ends.push(Reverse((now + took_us + transfer_us, n, router)));
        Served::Yes { took_us, hit }
    }
}

/// How long a request waits at this load, in thousandths.
fn queue_us(load: u64) -> u64 {
    match load {
        0..=979 => QUEUE_US * 1_000 / (1_000 - load),
        _ => QUEUE_US * 50 * load / 1_000,
    }
}

enum Served {
    Yes { took_us: u64, hit: bool },
    Busy,
    Dead,
}

/// What a reader got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Got {
    /// Until the first byte; `None`: nothing.
    pub ttfb_us: Option<u64>,
    /// Of that, for edges that did not serve.
    pub waited_us: u64,
    pub hit: bool,
    /// Stopped edges that were waited for.
    pub hedged: u32,
}
