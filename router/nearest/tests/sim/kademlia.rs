//! A Kademlia look-up (Maymounkov and Mazières, IPTPS 2002) beside ours: k = 20, three questions at a time, content at the 20
//! nodes whose ids are nearest to its own. The reader's city asks for itself, so the first hop is free of charge.
//!
//! No table is kept: what a node knows follows from its id. Of each distance (so many first bits in common) it knows up to
//! 20 nodes, drawn from those that there are by a hash of both, as a table that is filled at random would. Like the
//! other policies it is given for nothing that a stopped node is gone from all tables after five seconds.

use nearest::rendezvous::mix;

use crate::world::World;

const K: usize = 20;
const ALPHA: usize = 3;
/// Rounds before a look-up is given up.
const ROUNDS_MAX: usize = 32;

pub struct Kademlia {
    /// Ids and their nodes, sorted.
    ids: Vec<(u64, u32)>,
    of_node: Vec<u64>,
}

/// What came of a look-up.
pub struct Found {
    /// Who has the content, in the order in which they are tried.
    pub holders: Vec<u32>,
    pub took_us: u64,
    /// Rounds of questions.
    pub hops: u64,
    pub messages: u64,
    pub silent: u32,
}

impl Kademlia {
    pub fn new(world: &World) -> Self {
        let of_node: Vec<u64> = (0..world.nodes.len() as u64)
            .map(|n| mix(n ^ 0x6b61_6465_6d6c))
            .collect();
        let mut ids: Vec<(u64, u32)> = of_node.iter().zip(0..).map(|(id, n)| (*id, n)).collect();
        ids.sort_unstable();
        Self { ids, of_node }
    }

    /// Looks up an object from `asker`; `ask` says how long a node takes to answer, or that it does not and how long that
    /// was waited for.
    pub fn find(
        &self,
        asker: u64,
        object: u32,
        seems_up: impl Fn(u32) -> bool,
        ask: impl Fn(u32) -> Result<u64, u64>,
    ) -> Found {
        let key = mix(u64::from(object) ^ 0x636f_6e74);
        let holders = self.nearest(key, &seems_up);
        let mut known = self.told_by(asker, key, &seems_up);
        let mut asked: Vec<u32> = Vec::new();
        let mut found = Found {
            holders: Vec::new(),
            took_us: 0,
            hops: 0,
            messages: 0,
            silent: 0,
        };
        while found.hops < ROUNDS_MAX as u64 {
            known.sort_unstable_by_key(|n| self.of_node[*n as usize] ^ key);
            known.dedup();
            let next = known.iter().filter(|n| !asked.contains(n)).take(ALPHA);
            let next: Vec<u32> = next.copied().collect();
            if next.is_empty() {
                break;
            }
            (found.hops, found.messages) = (found.hops + 1, found.messages + next.len() as u64);
            let mut round_us = 0;
            for n in next {
                asked.push(n);
                match ask(n) {
                    Ok(us) => {
                        round_us = round_us.max(us);
                        known.extend(self.told_by(self.of_node[n as usize], key, &seems_up));
                        found.holders.extend(holders.contains(&n).then_some(n));
                    }
                    Err(us) => {
                        round_us = round_us.max(us);
                        found.silent += 1;
                    }
                }
            }
            found.took_us += round_us;
            if !found.holders.is_empty() {
                break;
            }
        }
        // The one that answered serves; when it cannot, the other holders are known from it.
        let others = holders
            .into_iter()
            .filter(|n| !found.holders.contains(n))
            .collect::<Vec<_>>();
        if !found.holders.is_empty() {
            found.holders.extend(others);
        }
        found
    }

    /// The 20 with the nearest ids.
    fn nearest(&self, key: u64, seems_up: &impl Fn(u32) -> bool) -> Vec<u32> {
        (0..=64)
            .rev()
            .map(|bits| self.sharing(key, bits))
            .map(|all| {
                all.iter()
                    .map(|(_, n)| *n)
                    .filter(|n| seems_up(*n))
                    .collect::<Vec<u32>>()
            })
            .find(|all| all.len() >= K)
            .map(|mut all| {
                all.sort_unstable_by_key(|n| self.of_node[*n as usize] ^ key);
                all.truncate(K);
                all
            })
            .unwrap_or_default()
    }

    /// What a node with this id answers: of those that it knows the 20 nearest to the key.
    fn told_by(&self, id: u64, key: u64, seems_up: &impl Fn(u32) -> bool) -> Vec<u32> {
        let common = (id ^ key).leading_zeros();
        let mut told = self.known_of(id, self.sharing(key, (common + 1).min(64)), seems_up);
        // Its own neighbours share as many bits with the key as it does itself.
        let mut bits = common + 1;
        while told.len() < K && bits < 64 {
            let bucket = self.sharing(id ^ 1 << (63 - bits), bits + 1);
            told.extend(self.known_of(id, bucket, seems_up));
            bits += 1;
        }
        told.sort_unstable_by_key(|n| self.of_node[*n as usize] ^ key);
        told.truncate(K);
        told
    }

    /// Up to 20 of a bucket.
    fn known_of(&self, id: u64, bucket: &[(u64, u32)], seems_up: &impl Fn(u32) -> bool) -> Vec<u32> {
        if bucket.len() <= K {
            return bucket.iter().map(|(_, n)| *n).filter(|n| seems_up(*n)).collect();
        }
        let drawn = (0..3 * K as u64).map(|draw| {
            let at = (u128::from(mix(id ^ mix(draw ^ bucket[0].0))) * bucket.len() as u128) >> 64;
            bucket[at as usize].1
        });
        let mut known: Vec<u32> = Vec::with_capacity(K);
        for n in drawn.filter(|n| seems_up(*n)) {
            if known.len() < K && !known.contains(&n) {
                known.push(n);
            }
        }
        known
    }

    /// Those that have this many first bits in common with an id.
    fn sharing(&self, id: u64, bits: u32) -> &[(u64, u32)] {
        let rest = u64::MAX.checked_shr(bits).unwrap_or(0);
        let from = self.ids.partition_point(|(other, _)| *other < id & !rest);
        let to = self.ids.partition_point(|(other, _)| *other <= id | rest);
        &self.ids[from..to]
    }
}
