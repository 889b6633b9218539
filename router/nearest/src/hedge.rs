//! When to ask a second edge as well: after the time within which 95 of 100 answers come, and for a few percent at most.
//!
//! The time is learned for each class of requests (small blocks come faster than large ones), from a histogram of fixed
//! size that forgets: after each 1,024 answers all counts are halved.

/// Buckets to an octave: a bucket is at most an eighth wide.
const PER_OCTAVE: usize = 8;
/// 2^32 µs is more than an hour.
const OCTAVES: usize = 32;
const FORGETS_AT: u32 = 1024;
/// Fewer answers say nothing about the slowest twentieth.
const ANSWERS_MIN: u32 = 20;
/// The delay while nothing is known: what AR.IO takes always.
pub const DELAY_UNKNOWN_US: u32 = 500_000;
/// The bounds of the delay. Below, a second question would cost more than it can win; above, the reader waits.
pub const DELAY_US: (u32, u32) = (5_000, 2_000_000);
/// Hedges in a hundred requests.
pub const HEDGES_PERCENT: u32 = 3;
/// Hedges that may be saved up for a bad moment: a stopped edge is hedged away from at once.
const HEDGES_SAVED_MAX: u32 = 32;

/// After how long without any sign that a question arrived, neither a handshake nor an acknowledgement, the next edge is asked,
/// in microseconds, when a packet to this one and back takes `rtt_us`. How long the answer takes says nothing about that: a
/// stopped edge is so found out in the time of two packets. Nobody works for nothing by it, so it is no hedge and needs
/// none to be left.
#[must_use]
pub fn silence_us(rtt_us: u32) -> u32 {
    rtt_us
        .saturating_mul(2)
        .saturating_add(SILENCE_SLACK_US)
        .min(DELAY_US.1)
}

/// For the reader's own line. A handshake is acknowledged at once (RFC 9000, section 13.2.1).
const SILENCE_SLACK_US: u32 = 30_000;

/// What was learned of one class of requests, and how many hedges it may still make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hedge {
    counts: [u16; PER_OCTAVE * OCTAVES],
    total: u32,
    /// In hundredths of a hedge.
    saved: u32,
}

impl Default for Hedge {
    fn default() -> Self {
        Self {
            counts: [0; PER_OCTAVE * OCTAVES],
            total: 0,
            saved: HEDGES_SAVED_MAX * 100,
        }
    }
}

impl Hedge {
    /// Takes note of an answer that came `ttfb_us` after the question.
    pub fn note(&mut self, ttfb_us: u32) {
        self.counts[bucket(ttfb_us)] += 1;
        self.total += 1;
        if self.total >= FORGETS_AT {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }

    /// After how long without a first byte the next edge is asked too, in microseconds.
    #[must_use]
    pub fn delay_us(&self) -> u32 {
        if self.total < ANSWERS_MIN {
            return DELAY_UNKNOWN_US;
        }
        let wanted = (self.total * 95).div_ceil(100);
        let mut seen = 0;
        let within = self.counts.iter().position(|count| {
            seen += u32::from(*count);
            seen >= wanted
        });
        within.map_or(DELAY_US.1, upper_us).clamp(DELAY_US.0, DELAY_US.1)
    }

    /// Counts a request: each earns [`HEDGES_PERCENT`] of a hedge.
    pub fn asked(&mut self) {
        self.saved = (self.saved + HEDGES_PERCENT).min(HEDGES_SAVED_MAX * 100);
    }

    /// Whether the delay is over and a hedge is left; takes it.
    pub fn may(&mut self, waited_us: u32) -> bool {
        let may = waited_us >= self.delay_us() && self.saved >= 100;
        if may {
            self.saved -= 100;
        }
        may
    }
}

fn bucket(value: u32) -> usize {
    let value = value.max(PER_OCTAVE as u32);
    let octave = value.ilog2();
    let within = (value >> (octave - PER_OCTAVE.ilog2())) as usize - PER_OCTAVE;
    octave as usize * PER_OCTAVE + within
}

/// The largest value of a bucket.
fn upper_us(bucket: usize) -> u32 {
    let (octave, within) = (bucket / PER_OCTAVE, bucket % PER_OCTAVE);
    let next = ((PER_OCTAVE + within + 1) as u64) << octave >> PER_OCTAVE.ilog2();
    u32::try_from(next - 1).unwrap_or(u32::MAX)
}

/// Whether this request also sends a question to an edge that would not be asked, so that what was measured does not
/// grow old: one in a hundred. Its answer is for the record, not for the reader.
#[must_use]
pub fn explores(request: u64) -> bool {
    crate::rendezvous::mix(request ^ 0x6578_706c_6f72_6521).is_multiple_of(100)
}
