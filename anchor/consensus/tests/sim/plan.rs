//! What happens in a world: all of it follows from the seed.

use crate::random::Random;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Calm,
    Delay,
    Loss,
    Partition,
    Crash,
    Skew,
    Equivocation,
    Dead,
    Everything,
}

impl Kind {
    pub const ALL: [Kind; 9] = [
        Kind::Calm,
        Kind::Delay,
        Kind::Loss,
        Kind::Partition,
        Kind::Crash,
        Kind::Skew,
        Kind::Equivocation,
        Kind::Dead,
        Kind::Everything,
    ];

    fn has(self, kind: Kind) -> bool {
        self == kind || self == Kind::Everything
    }
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kind: Kind,
    pub seats: usize,
    /// Delegates who register later.
    pub standby: usize,
    pub block_time_ms: u64,
    /// Blocks in a round of delegates.
    pub round: u64,
    /// Faults end after this height.
    pub heights: u64,
    pub jitter_ms: u64,
    pub slow_ms: u64,
    pub loss_percent: u64,
    /// Nodes that sign two things.
    pub equivocators: usize,
    /// Nodes, in a row, that are down from the beginning until the faults end.
    pub dead: usize,
    /// Nodes whose clock is wrong by more than others tolerate.
    pub wrong_clocks: usize,
    /// Milliseconds by which other clocks differ from the time, at most.
    pub skew_ms: u64,
    /// Seconds between two partitions; 0: never.
    pub partition_s: u64,
    /// Seconds between two crashes; 0: never.
    pub crash_s: u64,
    /// Whether more nodes may be down or cut off than a chain goes on with.
    pub beyond: bool,
    /// Whether equivocators stop where they would be a third of a set or more, for which nothing is promised.
    pub bounded: bool,
    /// Whether nodes that are ahead of the others wait for them.
    pub paced: bool,
    /// Whether nodes bring evidence to the ledger. Without, equivocators must be found unpunished.
    pub slashing: bool,
}

impl Plan {
    /// The world of a seed.
    pub fn of(seed: u64) -> Self {
        let kind = Kind::ALL[(seed % 9) as usize];
        let mut random = Random::new(seed);
        let seats = match random.below(40) {
            0..16 => 4,
            16..26 => 7,
            26..32 => 10,
            32..36 => 13,
            36..39 => 22,
            _ => 31,
        };
        Self::new(seed, kind, seats)
    }

    /// A world of so many seats in which one kind of thing goes wrong.
    pub fn new(seed: u64, kind: Kind, seats: usize) -> Self {
        let mut random = Random::new(seed ^ 0x51ed);
        let faulty = (seats - 1) / 3;
        let shared = kind == Kind::Everything;
        let equivocators = match kind {
            Kind::Equivocation => random.within(1, faulty as u64) as usize,
            // The others may be down.
            Kind::Everything => faulty.div_ceil(2),
            _ => 0,
        };
        // Large worlds cost a second for each few blocks.
        let (longest, rounds) = if seats > 31 { (1, 2) } else { (2, 4) };
        let round = random.within(seats as u64, longest * seats as u64).max(8);
        let block_time_ms = *random.pick(&[1_000, 3_000, 10_000]);
        let mut when = |wanted: Kind, from: u64, to: u64| {
            let drawn = random.within(from, to);
            if kind.has(wanted) { drawn } else { 0 }
        };
        Self {
            seed,
            kind,
            seats,
            standby: (seats / 4).max(1),
            block_time_ms,
            round,
            heights: rounds * round,
            jitter_ms: 20 + when(Kind::Delay, 50, if shared { 200 } else { 600 }),
            slow_ms: when(Kind::Delay, 0, if shared { 100 } else { 500 }),
            loss_percent: when(Kind::Loss, 1, if shared { 5 } else { 25 }),
            partition_s: when(Kind::Partition, 10, 60),
            crash_s: when(Kind::Crash, 3, 30),
            skew_ms: when(Kind::Skew, 0, 2_000),
            wrong_clocks: if kind == Kind::Skew { faulty } else { 0 },
            dead: if kind == Kind::Dead { faulty } else { 0 },
            equivocators,
            beyond: kind != Kind::Everything && seed % 4 == 3,
            bounded: true,
            paced: true,
            slashing: true,
        }
    }
}
