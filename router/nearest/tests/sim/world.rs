//! The world: cities with supply and demand, nodes and readers in them, and how far they are from each other.
//!
//! A distance is the great circle at 200 km/ms, there and back, times a factor of the pair of cities between 1.2 and 1.7,
//! which makes triangles that do not close, plus the lines of both ends. It is computed when asked, so 100,000 nodes
//! need no matrix. Supply is where data centres are, demand where people are.

use nearest::coordinate::{Anchor, Coordinate, SETTLED_BELOW, Vivaldi};
use nearest::{EdgeId, Prefix};

use crate::cities::{CITIES, CITIES_COUNT, base};
use crate::random::Random;

/// What a node says that is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// It is honest.
    None,
    /// Four times its capacity and never any load.
    Load,
    /// To be where many readers are.
    Coordinate,
}

/// An edge.
#[derive(Clone, Debug)]
pub struct Node {
    pub id: EdgeId,
    pub city: usize,
    pub access_us: u32,
    pub capacity: u32,
    pub operator: u32,
    pub place: Prefix,
    pub lie: Lie,
    /// As it tells it.
    pub coordinate: Coordinate,
    /// When it stops, and when it is back, in microseconds.
    pub stops: Option<(u64, u64)>,
}

impl Node {
    pub fn is_up(&self, now_us: u64) -> bool {
        self.stops
            .is_none_or(|(stops, back)| now_us < stops || now_us >= back)
    }
}

/// Readers in one place.
#[derive(Clone, Debug)]
pub struct Site {
    pub city: usize,
    pub access_us: u32,
}

/// What is different from one run to another.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub seed: u64,
    pub nodes: usize,
    pub sites: usize,
    /// Of all capacity, in percent.
    pub demand: u32,
    /// Nodes that stop in the measured time, in percent; half of them come back.
    pub churn: u32,
    /// Nodes that lie, in percent: half about load, half about where they are.
    pub liars: u32,
    /// Routers that lose most packets for a while, in percent.
    pub ill: u32,
    pub objects: usize,
    pub cached: usize,
    /// How long a transfer lasts on average, in microseconds.
    pub transfer_us: u64,
    /// Rounds in which coordinates are found.
    pub rounds: u64,
    pub warm_us: u64,
    pub measured_us: u64,
    /// Whether answers tell the load, or only adverts, which are seconds old.
    pub tells_load: bool,
    /// Whether stopped edges are routed around.
    pub eviction: bool,
}

/// All that is true.
#[derive(Clone, Debug)]
pub struct World {
    pub nodes: Vec<Node>,
    pub sites: Vec<Site>,
    /// Cumulative demand of the sites.
    pub demand: Vec<u64>,
    base_us: Vec<[u32; CITIES_COUNT]>,
    /// The nodes of each city, those with the shortest line first.
    pub by_city: Vec<Vec<u32>>,
    /// For each city all cities, nearest first.
    pub nearest_cities: Vec<Vec<usize>>,
}

impl World {
    pub fn new(config: &Config) -> Self {
        let mut random = Random::new(config.seed);
        let mut world = Self {
            nodes: Vec::new(),
            sites: Vec::new(),
            demand: Vec::new(),
            base_us: base(&mut random),
            by_city: vec![Vec::new(); CITIES_COUNT],
            nearest_cities: Vec::new(),
        };
        world.nodes = (0..config.nodes).map(|n| node(n, config, &mut random)).collect();
        world.sort();
        let mut sum = 0;
        for _ in 0..config.sites {
            // Every city has its share of the demand, and within a city some networks are much larger than others.
            let city = random.below(CITIES_COUNT as u64) as usize;
            sum += CITIES[city].3 * (1 + random.exponential(20));
            world.demand.push(sum);
            let access_us = 1_000 + random.exponential(4_000).min(30_000) as u32;
            world.sites.push(Site { city, access_us });
        }
        world.settle(config, &mut random);
        world
    }

    /// Between two cities, in microseconds.
    pub fn cities_us(&self, from: usize, to: usize) -> u32 {
        self.base_us[from][to]
    }

    /// Between readers and an edge, in microseconds.
    pub fn rtt_us(&self, city: usize, access_us: u32, node: &Node) -> u32 {
        self.base_us[city][node.city] + access_us + node.access_us
    }

    pub fn capacity(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.capacity)).sum()
    }

    fn sort(&mut self) {
        for (n, node) in self.nodes.iter().enumerate() {
            self.by_city[node.city].push(n as u32);
        }
        for city in &mut self.by_city {
            city.sort_by_key(|n| self.nodes[*n as usize].access_us);
        }
        let sorted = |base: &[u32; CITIES_COUNT]| {
            let mut cities: Vec<usize> = (0..CITIES_COUNT).collect();
            cities.sort_by_key(|city| base[*city]);
            cities
        };
        self.nearest_cities = self.base_us.iter().map(sorted).collect();
    }

    /// The nodes find their coordinates in rounds, in each of which each asks one of 12 others. Liars stay where they say.
    fn settle(&mut self, config: &Config, random: &mut Random) {
        let count = self.nodes.len() as u64;
        let mut states = vec![Vivaldi::default(); self.nodes.len()];
        let mut anchors: Vec<Vec<(usize, u32)>> = vec![Vec::new(); self.nodes.len()];
        let lies: Vec<Coordinate> = self.nodes.iter().map(|_| lie(random)).collect();
        let says = |states: &[Vivaldi], nodes: &[Node], n: usize| match nodes[n].lie {
            Lie::Coordinate => lies[n],
            _ => states[n].here(),
        };
        for round in 0..config.rounds {
            for n in 0..self.nodes.len() {
                let other = match round < 12 {
                    true => random.below(count) as usize,
                    false => anchors[n][random.below(12) as usize].0,
                };
                let rtt_us = self.rtt_us(self.nodes[n].city, self.nodes[n].access_us, &self.nodes[other]);
                if round < 12 {
                    anchors[n].push((other, rtt_us));
                }
                let anchor = |(n, rtt_us): &(usize, u32)| Anchor {
                    coordinate: says(&states, &self.nodes, *n),
                    rtt_us: *rtt_us,
                };
                // Who has not settled judges nobody, and needs none to judge by.
                let judges = states[n].here().error_permille < SETTLED_BELOW;
                let known: Vec<Anchor> = anchors[n].iter().filter(|_| judges).map(anchor).collect();
                let peer = anchor(&(other, rtt_us));
                // A refused sample is one of those that the liars made.
                let _ = states[n].note(&peer, &known, round * 10_000_000, config.seed ^ n as u64);
            }
        }
        for n in 0..self.nodes.len() {
            self.nodes[n].coordinate = says(&states, &self.nodes, n);
        }
    }
}

/// Anywhere, and very sure of it.
fn lie(random: &mut Random) -> Coordinate {
    Coordinate {
        position: std::array::from_fn(|_| random.below(100_000) as i32 - 50_000),
        height_us: 100,
        error_permille: 1,
    }
}

fn node(n: usize, config: &Config, random: &mut Random) -> Node {
    let supply: Vec<u64> = CITIES
        .iter()
        .scan(0, |sum, city| {
            *sum += city.2;
            Some(*sum)
        })
        .collect();
    let mut id = [0; 32];
    id[..8].copy_from_slice(&random.next().to_be_bytes());
    id[8..16].copy_from_slice(&(n as u64).to_be_bytes());
    let operator = random.below((config.nodes as u64 / 3).max(1)) as u32;
    let lie = match random.below(200) {
        drawn if drawn < u64::from(config.liars) => Lie::Load,
        drawn if drawn < u64::from(config.liars) * 2 => Lie::Coordinate,
        _ => Lie::None,
    };
    let stops = random.percent(config.churn).then(|| {
        let stops = config.warm_us + random.below(config.measured_us);
        let away = if random.percent(50) {
            8_000_000 + random.below(8_000_000)
        } else {
            u64::MAX / 2
        };
        (stops, stops + away)
    });
    // Each operator has its own /24: 1.0.0.0/8 and following.
    let address = std::net::Ipv4Addr::from_bits((operator + (1 << 16)) << 8);
    Node {
        id,
        city: random.weighted(&supply),
        access_us: 200 + random.exponential(1_500).min(15_000) as u32,
        capacity: [8, 8, 16, 16, 32, 64][random.below(6) as usize],
        operator,
        place: Prefix::place(address.into()),
        lie,
        coordinate: Coordinate::default(),
        stops,
    }
}
