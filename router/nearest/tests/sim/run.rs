//! A run: readers ask, one policy decides, and what came of it is counted. All policies see the same world and the same
//! readers.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use nearest::measure::Outcome;

use crate::adverts::Loads;
use crate::cities::CITIES_COUNT;
use crate::content::{Caches, Demand};
use crate::kademlia::Kademlia;
use crate::random::Random;
use crate::report::Counts;
use crate::router::{Router, SECOND};
use crate::world::{Config, World};

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
    /// Who is found to have the content by a look-up of its id.
    Kademlia,
    /// The nearest below three quarters of its capacity, with knowledge of everything at this moment.
    OracleNearest,
    /// The least time to the first byte below three quarters of its capacity, with knowledge of all caches too.
    OracleBest,
}

/// A miss is fetched from far away.
pub const MISS_US: u64 = 80_000;
/// The queue of an idle edge; it grows as 1 / (1 − load).
const QUEUE_US: u64 = 5_000;
/// Tries before a reader is sent away.
pub const TRIES: usize = 8;

pub struct Run<'a> {
    pub world: &'a World,
    pub config: &'a Config,
    pub decider: Decider,
    pub caches: Caches,
    pub inflight: Vec<u32>,
    /// By city: who is below three quarters, nearest first.
    pub room: Vec<BTreeSet<(u32, u32)>>,
    pub ends: BinaryHeap<Reverse<(u64, u32, u32)>>,
    /// When a router learns that a node did not answer: it waited for that.
    pub failures: BinaryHeap<Reverse<(u64, u32, u32)>>,
    pub routers: Vec<Router>,
    pub loads: Loads,
    pub random: Random,
    pub counts: Counts,
    pub object_orders: Vec<Option<Vec<u32>>>,
    pub kademlia: Option<Kademlia>,
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
            failures: BinaryHeap::new(),
            routers,
            loads: Loads::default(),
            random: Random::new(config.seed ^ 0x0072_756e),
            counts: Counts::default(),
            object_orders: vec![None; config.objects],
            kademlia: (decider == Decider::Kademlia).then(|| Kademlia::new(world)),
        }
    }

    /// All readers, and what they got.
    pub fn go(mut self, demand: &Demand) -> Counts {
        let mut readers = Random::new(self.config.seed ^ 0x7265_6164);
        let end = self.config.warm_us + self.config.measured_us;
        let wanted = self.world.capacity() * u64::from(self.config.demand) / 100;
        let gap_ns = (self.config.transfer_us + 100_000) * 1_000 / wanted.max(1);
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
            now_ns += readers.exponential(gap_ns).min(20 * gap_ns).max(1);
        }
        self.counts.probes = self.routers.iter().map(|router| router.sent).sum();
        self.counts
    }

    /// What happens by the clock, each quarter of a second.
    fn control(&mut self, now: u64) {
        self.finish(now);
        if now == self.config.warm_us {
            self.routers.iter_mut().for_each(|router| router.sent = 0);
        }
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
        let failed = Outcome {
            failed: true,
            ..Outcome::default()
        };
        while let Some(Reverse((at, node, router))) = self.failures.peek().copied().filter(|it| it.0.0 <= now)
        {
            self.failures.pop();
            self.routers[router as usize].ended(node, at);
            self.routers[router as usize].learn(node, &failed, false, 0, at);
        }
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
    pub fn mark(&mut self, n: u32) {
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
            Decider::Kademlia => self.ask_kademlia(site, object, transfer_us, now),
            _ => self.ask_other(site, object, transfer_us, now),
        };
        if measured {
            self.counts.note(got);
        }
    }

    pub fn rtt_us(&self, site: usize, n: u32) -> u64 {
        let site = &self.world.sites[site];
        u64::from(
            self.world
                .rtt_us(site.city, site.access_us, &self.world.nodes[n as usize]),
        )
    }

    /// In thousandths of the capacity.
    pub fn load(&self, n: u32) -> u64 {
        u64::from(self.inflight[n as usize]) * 1_000 / u64::from(self.world.nodes[n as usize].capacity)
    }

    /// A node does what it is asked. Honest or not, it turns away what is above its capacity if it was chosen by a rule
    /// that counts; the others' readers wait in its queue.
    pub fn serve(&mut self, n: u32, router: u32, object: u32, transfer_us: u64, now: u64) -> Served {
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
pub fn queue_us(load: u64) -> u64 {
    match load {
        0..=979 => QUEUE_US * 1_000 / (1_000 - load),
        _ => QUEUE_US * 50 * load / 1_000,
    }
}

pub enum Served {
    Yes { took_us: u64, hit: bool },
    Busy,
    Dead,
}
