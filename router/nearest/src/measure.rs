//! What is measured of one peer: how far it is, how fast, how often it fails, and whether it is there.
//!
//! Integers only; every record has a fixed size. Times are microseconds of any clock that does not go back; one that
//! does is taken as standing still. What a peer says of itself is not in here.

use crate::liveness::Beats;

/// An exponentially weighted mean: the newest value has the weight of an eighth, as in TCP (RFC 6298, section 2.3). Three
/// bits of fraction are kept, so that it arrives where the values are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ewma(Option<u64>);

impl Ewma {
    /// Takes a value; the first one is the mean.
    pub fn note(&mut self, value: u64) {
        let value = value.min(VALUE_MAX);
        self.0 = Some(match self.0 {
            None => value * 8,
            Some(eighths) => eighths - eighths / 8 + value,
        });
    }

    /// The mean; `None` if there was no value.
    #[must_use]
    pub fn get(&self) -> Option<u64> {
        self.0.map(|eighths| eighths / 8)
    }
}

/// The largest value that is averaged: more is taken as this.
const VALUE_MAX: u64 = 1 << 48;

/// A value that jumps to each higher sample at once and comes down by half in each half-life: whoever gets slow is
/// noticed by the first slow answer, whoever gets fast again by many (`PeakEwma`, as in Finagle and tower).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    value: u64,
    at_us: u64,
    half_us: u64,
}

impl Peak {
    /// Zero, with this half-life in microseconds (at least 1).
    #[must_use]
    pub fn new(half_us: u64) -> Self {
        Self {
            value: 0,
            at_us: 0,
            half_us: half_us.max(1),
        }
    }

    /// Takes a value.
    pub fn note(&mut self, value: u64, now_us: u64) {
        let value = value.min(VALUE_MAX);
        let before = if self.at_us == 0 { value } else { self.value };
        let above = halved(
            before.saturating_sub(value),
            now_us.saturating_sub(self.at_us),
            self.half_us,
        );
        (self.value, self.at_us) = (value + above, now_us.max(self.at_us).max(1));
    }

    /// The value as it was after the last sample.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value
    }

    /// The value as it has come down since.
    #[must_use]
    pub fn at(&self, now_us: u64) -> u64 {
        halved(self.value, now_us.saturating_sub(self.at_us), self.half_us)
    }
}

/// `value` × 2^-(elapsed / half): whole half-lives by shifts, the rest by a straight line (at most 6 % too high).
fn halved(value: u64, elapsed: u64, half: u64) -> u64 {
    let whole = u32::try_from(elapsed / half).unwrap_or(u32::MAX);
    let start = value.checked_shr(whole).unwrap_or(0);
    let rest = u128::from(start) * u128::from(elapsed % half) / u128::from(half) / 2;
    start - rest as u64
}

/// How often a peer fails, in thousandths. A failure counts a quarter of what is left to 1000, a success takes off a
/// sixteenth: three failures in a row after a good time are [`FAILS_PERMILLE`], and it takes ten successes to be
/// forgiven. Without any news it halves every 30 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    permille: u32,
    at_us: u64,
}

/// From this error rate on a peer is routed around, in thousandths.
pub const FAILS_PERMILLE: u32 = 500;
const ERRORS_HALF_US: u64 = 30_000_000;

impl Errors {
    /// Takes an outcome.
    pub fn note(&mut self, failed: bool, now_us: u64) {
        let before = self.permille(now_us);
        self.permille = match failed {
            true => before + (1000 - before) / 4,
            false => before - before.div_ceil(16),
        };
        self.at_us = now_us.max(self.at_us);
    }

    /// The rate now.
    #[must_use]
    pub fn permille(&self, now_us: u64) -> u32 {
        halved(
            u64::from(self.permille),
            now_us.saturating_sub(self.at_us),
            ERRORS_HALF_US,
        ) as u32
    }
}

/// The median of the last three round-trip times: one late packet does not count (as in Serf).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Median3 {
    last: [u32; 3],
    count: u8,
}

impl Median3 {
    /// Takes a value and says the median of the last three, of fewer the lowest.
    pub fn note(&mut self, value: u32) -> u32 {
        self.last[usize::from(self.count % 3)] = value;
        // 3, 4, 5 and then 3 again: full, and the place of the oldest.
        self.count = if self.count < 5 { self.count + 1 } else { 3 };
        let mut sorted = self.last;
        match self.count {
            1 => value,
            2 => self.last[0].min(self.last[1]),
            _ => {
                sorted.sort_unstable();
                sorted[1]
            }
        }
    }
}

/// How one exchange with a peer went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Round-trip time of the handshake or of a ping, in microseconds.
    pub rtt_us: Option<u32>,
    /// Time from the question to the first byte, in microseconds.
    pub ttfb_us: Option<u32>,
    /// Bytes, and in how many microseconds they came after the first.
    pub transfer: Option<(u64, u64)>,
    /// It did not answer, broke off, or answered something wrong.
    pub failed: bool,
}

/// Fewer bytes say more about the start of a transfer than about its speed.
const TRANSFER_BYTES_MIN: u64 = 64 * 1024;
/// How fast a slow first byte is forgotten.
const TTFB_HALF_US: u64 = 5_000_000;

/// All that is measured of one peer, below 200 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    rtt: Ewma,
    recent: Median3,
    ttfb: Peak,
    goodput: Ewma,
    errors: Errors,
    beats: Beats,
    doubted: bool,
}

impl Peer {
    /// A peer of which a sign of life is expected every `interval_us`.
    #[must_use]
    pub fn new(interval_us: u64) -> Self {
        Self {
            rtt: Ewma::default(),
            recent: Median3::default(),
            ttfb: Peak::new(TTFB_HALF_US),
            goodput: Ewma::default(),
            errors: Errors::default(),
            beats: Beats::new(interval_us),
            doubted: false,
        }
    }

    /// Takes note of an exchange. One that did not fail is a sign of life.
    pub fn note(&mut self, outcome: &Outcome, now_us: u64) {
        self.errors.note(outcome.failed, now_us);
        self.doubted = outcome.failed;
        if !outcome.failed {
            self.beats.note(now_us);
        }
        if let Some(rtt_us) = outcome.rtt_us {
            let median = self.recent.note(rtt_us);
            self.rtt.note(u64::from(median));
        }
        if let Some(ttfb_us) = outcome.ttfb_us {
            self.ttfb.note(u64::from(ttfb_us), now_us);
        }
        if let Some((bytes, took_us)) = outcome.transfer.filter(|(bytes, _)| *bytes >= TRANSFER_BYTES_MIN) {
            self.goodput
                .note(bytes.saturating_mul(1_000_000) / took_us.max(1));
        }
    }

    /// Takes note that a probe was not answered when it should have been. That is no failure, packets are lost; silence is
    /// counted by the beats that do not come.
    pub fn missed(&mut self) {
        self.doubted = true;
    }

    /// Whether the last that it was asked was not answered. Until it gives a sign of life readers go to others, if there
    /// are others: so a stopped edge costs one reader of each router and not all of those who come before φ has risen. A
    /// lost packet costs an honest edge its readers until the next probe.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// The smoothed round-trip time in microseconds; `None` if it was never measured.
    #[must_use]
    pub fn rtt_us(&self) -> Option<u32> {
        self.rtt.get().map(|rtt| u32::try_from(rtt).unwrap_or(u32::MAX))
    }

    /// The time to the first byte in microseconds: the slowest of late, forgotten by half every 5 seconds.
    #[must_use]
    pub fn ttfb_us(&self, now_us: u64) -> u64 {
        self.ttfb.at(now_us)
    }

    /// Bytes a second of transfers of at least 64 KiB; `None` without one.
    #[must_use]
    pub fn goodput(&self) -> Option<u64> {
        self.goodput.get()
    }

    /// The error rate in thousandths.
    #[must_use]
    pub fn errors_permille(&self, now_us: u64) -> u32 {
        self.errors.permille(now_us)
    }

    /// The suspicion in thousandths of φ ([`Beats::phi_milli`]).
    #[must_use]
    pub fn phi_milli(&self, now_us: u64) -> u32 {
        self.beats.phi_milli(now_us)
    }

    /// Whether traffic should go around it at this moment.
    #[must_use]
    pub fn is_suspect(&self, now_us: u64) -> bool {
        self.phi_milli(now_us) >= crate::liveness::PHI_ROUTE_AWAY
            || self.errors_permille(now_us) >= FAILS_PERMILLE
    }
}
