//! Links between nodes: each with its distance, jitter and loss. A lost packet is sent again, as TCP does, so loss is
//! delay; a partition breaks connections, and what is sent meanwhile is gone.

use crate::random::Random;

/// Microseconds of virtual time.
pub type Micros = u64;
/// One second.
pub const SECOND: Micros = 1_000_000;
const MILLI: Micros = 1_000;
/// After how long a lost packet is sent again the first time; then twice as long each time.
const RESEND: Micros = 300 * MILLI;
const RESENDS_MAX: u32 = 4;

pub struct Network {
    random: Random,
    /// Where each node is on a ring of 120 ms of travel.
    places: Vec<Micros>,
    /// What a slow node's messages take more.
    slow: Vec<Micros>,
    jitter: Micros,
    loss_percent: u64,
    /// Only nodes of one group hear each other.
    pub groups: Vec<u8>,
}

impl Network {
    pub fn new(seed: u64, nodes: usize, jitter_ms: u64, slow_ms: u64, loss_percent: u64) -> Self {
        let mut random = Random::new(seed);
        let places = (0..nodes).map(|_| random.below(120 * MILLI)).collect();
        let mut slow = vec![0; nodes];
        for node in random.some(nodes / 4, nodes) {
            slow[node] = random.below(slow_ms * MILLI + 1);
        }
        Self {
            random,
            places,
            slow,
            jitter: jitter_ms * MILLI,
            loss_percent,
            groups: vec![0; nodes],
        }
    }

    /// From now on every message takes a few milliseconds more than the distance.
    pub fn calm(&mut self) {
        self.slow.fill(0);
        self.groups.fill(0);
        (self.jitter, self.loss_percent) = (10 * MILLI, 0);
    }

    /// How long a message takes; none if it does not arrive.
    pub fn delay(&mut self, from: usize, to: usize) -> Option<Micros> {
        if self.groups[from] != self.groups[to] {
            return None;
        }
        let apart = self.places[from].abs_diff(self.places[to]);
        let travel = 2 * MILLI + apart.min(120 * MILLI - apart);
        let jitter = self.random.below(self.jitter + 1);
        // Now and then a message takes ten times as long.
        let jitter = if self.random.percent(1) {
            jitter * 10
        } else {
            jitter
        };
        Some(travel + jitter + self.slow[from] + self.slow[to] + self.resends())
    }

    fn resends(&mut self) -> Micros {
        let mut sum = 0;
        for attempt in 0..RESENDS_MAX {
            if !self.random.percent(self.loss_percent) {
                break;
            }
            sum += RESEND << attempt;
        }
        sum
    }
}
