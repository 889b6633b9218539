//! Numbers that follow from a seed.

use nearest::rendezvous::mix;

/// Numbers that follow from a seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in 0..below.
    pub fn below(&mut self, below: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(below.max(1))) >> 64) as u64
    }

    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// A place drawn by cumulative weights.
    pub fn weighted(&mut self, cumulative: &[u64]) -> usize {
        let drawn = self.below(*cumulative.last().expect("weights"));
        cumulative.partition_point(|sum| *sum <= drawn)
    }

    /// An exponential value with this mean.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (-(1.0 - uniform).ln() * mean as f64) as u64
    }
}
