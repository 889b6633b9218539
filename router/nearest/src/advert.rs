//! What edges say of themselves, and how much of it is taken.
//!
//! An advert is believed as far as it can be checked: the newest of an edge counts, it is short-lived, and nobody gets
//! more places by more identities than its operator, its place in the Internet and its network may have. What an edge
//! says of its load is held against how it behaves ([`crate::load::Credit`]). Signatures were verified before.

use std::fmt;

mod health;
mod newest;

pub use health::Health;
pub use newest::Adverts;

use crate::EdgeId;
use crate::coordinate::Coordinate;
use crate::prefix::Prefix;
use crate::quorum::Operator;

/// How far ahead of ours another clock may be, in microseconds.
pub const AHEAD_US_MAX: u64 = 30_000_000;
/// The longest life of an advert, in microseconds: 10 minutes.
pub const LIFE_US_MAX: u64 = 600_000_000;
/// The shortest time from one advert of an edge to its next, in microseconds.
pub const GAP_US_MIN: u64 = 500_000;
/// The most requests at once that anybody may say it serves.
pub const CAPACITY_MAX: u32 = 1_000_000;
/// Edges that are kept.
pub const EDGES_MAX: usize = 131_072;
/// Edges of one operator, in one place (/24, /48), in one network (AS). Edges without an operator count as one operator's.
pub const CROWD_MAX: Crowd<u32> = Crowd {
    operator: 1_024,
    place: 64,
    network: 16_384,
};

/// Something for each of the three ways in which edges may belong together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd<T> {
    /// Of one operator.
    pub operator: T,
    /// Of one /24 or /48. Private places do not count.
    pub place: T,
    /// Of one autonomous system, where it is known.
    pub network: T,
}

/// To whom and where an edge belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongs {
    /// Who registered it; `None` if it is not registered.
    pub operator: Option<Operator>,
    /// The place of its first address.
    pub place: Prefix,
    /// The number of its autonomous system, if known.
    pub network: Option<u32>,
}

/// What an edge says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advert {
    /// Who it is.
    pub edge: EdgeId,
    /// To whom and where it belongs: not its own word, but the ledger's and its address's.
    pub belongs: Belongs,
    /// Requests at once, 1 to [`CAPACITY_MAX`].
    pub capacity: u32,
    /// Requests in hand.
    pub load: u32,
    /// Its price of a MiB, in base units.
    pub price: u64,
    /// Where it is.
    pub coordinate: Coordinate,
    /// What is wrong with it.
    pub health: Health,
    /// When it was signed, in microseconds since 1970.
    pub issued_us: u64,
    /// Until when it holds, at most [`LIFE_US_MAX`] later.
    pub expires_us: u64,
}

/// Why an advert is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is over.
    Expired,
    /// It is from the future, by so many microseconds: one of two clocks is wrong ([`clock_off_us`]).
    Future(u64),
    /// One as new was taken.
    Replayed,
    /// It comes too soon after the last.
    TooOften,
    /// Its numbers are out of their bounds: no honest edge signs that.
    OutOfBounds,
    /// There are enough edges of this operator, place or network already.
    Crowded,
    /// There are enough edges.
    Full,
}

impl Refused {
    /// What the edge that signed it is worth less for: 0 for what gossip, clocks and crowds bring about by themselves.
    #[must_use]
    pub fn demerit(self) -> u32 {
        match self {
            Self::Expired | Self::Replayed | Self::Future(_) | Self::Crowded | Self::Full => 0,
            Self::TooOften => 1,
            Self::OutOfBounds => 10,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => write!(f, "it is over"),
            Self::Future(by) => write!(
                f,
                "it is {} s from the future: a clock is wrong",
                by.div_ceil(1_000_000)
            ),
            Self::Replayed => write!(f, "one as new was taken"),
            Self::TooOften => write!(f, "it comes too soon after the last"),
            Self::OutOfBounds => write!(f, "its numbers are out of their bounds"),
            Self::Crowded => write!(f, "its operator, place or network has enough edges"),
            Self::Full => write!(f, "there are enough edges"),
        }
    }
}

fn check(advert: &Advert, now_us: u64) -> Result<(), Refused> {
    let life = advert.expires_us.checked_sub(advert.issued_us);
    let in_bounds = (1..=CAPACITY_MAX).contains(&advert.capacity)
        && advert.load <= CAPACITY_MAX
        && advert.coordinate.is_sane()
        && life.is_some_and(|life| life <= LIFE_US_MAX);
    let ahead_us = advert.issued_us.saturating_sub(now_us);
    match (in_bounds, ahead_us > AHEAD_US_MAX, advert.expires_us <= now_us) {
        (false, ..) => Err(Refused::OutOfBounds),
        (_, true, _) => Err(Refused::Future(ahead_us)),
        (.., true) => Err(Refused::Expired),
        _ => Ok(()),
    }
}

/// By how many microseconds our clock is behind those of others (negative: ahead), if at least three different edges'
/// newest adverts, `issued − received`, say so by more than [`AHEAD_US_MAX`] in the median. Then it is ours that is wrong.
#[must_use]
pub fn clock_off_us(offsets_us: &[i64]) -> Option<i64> {
    let mut sorted = offsets_us.to_vec();
    sorted.sort_unstable();
    let median = *sorted.get(sorted.len() / 2)?;
    (sorted.len() >= 3 && median.unsigned_abs() > AHEAD_US_MAX).then_some(median)
}
