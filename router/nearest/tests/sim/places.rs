//! Readers far from the router that answers for them, as behind a public DNS resolver: only what was measured between
//! their places and the edges can tell it who is near them. Readers race the edges of an answer and tell each of them how
//! far all were; edges share digests; some of them lie for an edge of theirs.

use std::net::{IpAddr, Ipv4Addr};

use nearest::digest::{DISTANCES_MAX, Digest, Hearsay, Step, Told};
use nearest::table::Table;
use nearest::{EdgeId, Prefix};

use crate::random::Random;
use crate::world::{Config, Lie, World};

const MINUTE_US: u64 = 60_000_000;
/// Requests of each place in a minute.
const REQUESTS: u64 = 64;
const READERS: u64 = 40;

/// What the resolver's answers are worth, in one minute.
#[derive(Clone, Copy, Debug)]
pub struct Worth {
    /// The mean of the round-trip times to the first edge of each answer, in hundredths of that to the true nearest.
    pub stretch: u64,
    /// Answers whose first edge is the one that the liars speak for, in thousandths.
    pub to_liar: u64,
}

/// Goes through so many minutes, and says what the first and the last were worth.
pub fn go(config: &Config, minutes: u64) -> (Worth, Worth) {
    let world = World::new(config);
    let mut resolver = Resolver::new(&world, config.seed);
    let worth: Vec<Worth> = (0..minutes).map(|minute| resolver.minute(minute)).collect();
    (worth[0], worth[worth.len() - 1])
}

struct Resolver<'a> {
    world: &'a World,
    tables: Vec<Table>,
    hearsay: Hearsay,
    /// By place: the nodes by round-trip time as this resolver hears, nearest first.
    known: Vec<Vec<u32>>,
    random: Random,
}

impl<'a> Resolver<'a> {
    fn new(world: &'a World, seed: u64) -> Self {
        Self {
            world,
            tables: vec![Table::new(512, seed); world.nodes.len()],
            hearsay: Hearsay::new(3),
            known: vec![Vec::new(); world.sites.len()],
            random: Random::new(seed ^ 0x706c_6163),
        }
    }

    fn minute(&mut self, minute: u64) -> Worth {
        let now = (minute + 1) * MINUTE_US;
        let (mut got, mut best, mut to_liar) = (0, 0, 0);
        for site in 0..self.world.sites.len() {
            for _ in 0..REQUESTS {
                let raced = self.answer(site);
                got += u64::from(self.rtt_us(site, raced[0]));
                best += (0..self.tables.len() as u32)
                    .map(|n| u64::from(self.rtt_us(site, n)))
                    .min()
                    .unwrap_or(0);
                to_liar += u64::from(raced[0] == LIARS_EDGE);
                self.race(site, &raced, now);
            }
        }
        self.share(now);
        Worth {
            stretch: got * 100 / best.max(1),
            to_liar: to_liar * 1_000 / (REQUESTS * self.world.sites.len() as u64),
        }
    }

    /// Three edges: the two nearest that it knows of, and one that is near them by its coordinate, or anywhere.
    fn answer(&mut self, site: usize) -> Vec<u32> {
        let count = self.tables.len() as u64;
        let anywhere = |random: &mut Random| random.below(count) as u32;
        let mut answer: Vec<u32> = self.known[site].iter().copied().take(2).collect();
        let third = match answer.first() {
            Some(first) if self.random.percent(50) => self.beside(*first),
            _ => anywhere(&mut self.random),
        };
        answer.push(third);
        while answer.len() < 3 {
            answer.push(anywhere(&mut self.random));
        }
        answer
    }

    /// One of the twelve that are nearest to an edge by their coordinates.
    fn beside(&mut self, edge: u32) -> u32 {
        let here = self.world.nodes[edge as usize].coordinate;
        let mut all: Vec<(u32, u32)> = (0..self.tables.len() as u32)
            .map(|n| (here.distance_us(&self.world.nodes[n as usize].coordinate), n))
            .collect();
        all.sort_unstable();
        all[self.random.below(all.len().min(12) as u64) as usize].1
    }

    /// A reader measures all three, and tells each of them.
    fn race(&mut self, site: usize, raced: &[u32], now: u64) {
        let host = 1 + self.random.below(READERS) as u32;
        for told in raced {
            for edge in raced {
                let rtt_us = self.rtt_us(site, *edge);
                let id = self.world.nodes[*edge as usize].id;
                self.tables[*told as usize].note(reader(site, host), id, rtt_us, now);
            }
        }
    }

    /// Everybody shares what it may.
    fn share(&mut self, now: u64) {
        for n in 0..self.tables.len() {
            let digest = self.digest(n, now);
            self.hearsay.take(&digest, now).expect("made as it should be");
        }
        for site in 0..self.known.len() {
            let place = Prefix::place(reader(site, 0));
            let told = |(n, node): (usize, &crate::world::Node)| {
                let rtt_us = self.hearsay.rtt_us(&place, &node.id, now)?;
                Some((rtt_us, n as u32))
            };
            let mut known: Vec<(u32, u32)> = self.world.nodes.iter().enumerate().filter_map(told).collect();
            known.sort_unstable();
            self.known[site] = known.into_iter().map(|(_, n)| n).collect();
        }
    }

    fn digest(&self, n: usize, now: u64) -> Digest {
        let node = &self.world.nodes[n];
        let told = |(place, edge, rtt_us): (Prefix, EdgeId, u32)| Told {
            place,
            edge,
            step: Step::of(rtt_us),
        };
        let mut distances: Vec<Told> = self.tables[n]
            .shareable(now, DISTANCES_MAX)
            .into_iter()
            .map(told)
            .collect();
        if node.lie != Lie::None {
            let lie = |site: usize| Told {
                place: Prefix::place(reader(site, 0)),
                edge: self.world.nodes[LIARS_EDGE as usize].id,
                step: Step::of(100),
            };
            distances = (0..self.world.sites.len()).map(lie).collect();
        }
        let mut operator = [0; 32];
        operator[..4].copy_from_slice(&node.operator.to_be_bytes());
        Digest {
            reporter: node.id,
            operator,
            place: node.place,
            issued_us: now,
            expires_us: now + 30 * MINUTE_US,
            distances,
        }
    }

    fn rtt_us(&self, site: usize, n: u32) -> u32 {
        let site = &self.world.sites[site];
        self.world
            .rtt_us(site.city, site.access_us, &self.world.nodes[n as usize])
    }
}

/// For which the liars speak.
const LIARS_EDGE: u32 = 0;

fn reader(site: usize, host: u32) -> IpAddr {
    // Each in a network of its own provider.
    Ipv4Addr::from_bits((site as u32 * 5_000 + (100 << 16)) << 8 | host).into()
}
