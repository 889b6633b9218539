//! What readers want, and what an edge remembers.

use std::collections::BTreeSet;

use crate::random::Random;

/// How often each object is wanted: the k-th in proportion to k^-0.9.
#[derive(Clone, Debug)]
pub struct Demand(Vec<u64>);

impl Demand {
    pub fn new(objects: usize) -> Self {
        let weight = |rank: usize| (1e9 / (rank as f64).powf(0.9)) as u64;
        let sum = |sum: &mut u64, rank: usize| {
            *sum += weight(rank);
            Some(*sum)
        };
        Self((1..=objects).scan(0, sum).collect())
    }

    /// As [`Demand::new`], but so many of a hundred readers want the first object.
    pub fn with_hot(objects: usize, percent: u64) -> Self {
        let mut demand = Self::new(objects);
        let all = demand.0[objects - 1];
        let more = all * percent / (100 - percent);
        demand.0.iter_mut().for_each(|sum| *sum += more);
        demand
    }

    pub fn draw(&self, random: &mut Random) -> u32 {
        random.weighted(&self.0) as u32
    }
}

/// What each node has: the objects that it served last. And who has an object, for the oracle.
#[derive(Clone, Debug)]
pub struct Caches {
    /// The latest last.
    kept: Vec<Vec<u32>>,
    pub holders: Vec<BTreeSet<u32>>,
    most: usize,
}

impl Caches {
    pub fn new(nodes: usize, objects: usize, most: usize) -> Self {
        Self {
            kept: vec![Vec::new(); nodes],
            holders: vec![BTreeSet::new(); objects],
            most,
        }
    }

    /// Serves an object; says whether it was there.
    pub fn serve(&mut self, node: usize, object: u32) -> bool {
        let kept = &mut self.kept[node];
        let at = kept.iter().rposition(|held| *held == object);
        match at {
            Some(at) => {
                kept[at..].rotate_left(1);
            }
            None => {
                if kept.len() >= self.most {
                    let gone = kept.remove(0);
                    self.holders[gone as usize].remove(&(node as u32));
                }
                kept.push(object);
                self.holders[object as usize].insert(node as u32);
            }
        }
        at.is_some()
    }

    /// A node that stops has nothing when it is back.
    pub fn lose(&mut self, node: usize) {
        for object in std::mem::take(&mut self.kept[node]) {
            self.holders[object as usize].remove(&(node as u32));
        }
    }
}
