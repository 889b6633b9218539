//! What edges say of themselves, and how much of it is taken.
//!
//! An advert is believed as far as it can be checked: the newest of an edge counts, it is short-lived, and nobody gets
//! more places by more identities than its operator, its place in the Internet and its network may have. What an edge
//! says of its load is held against how it behaves ([`crate::load::Credit`]). Signatures were verified before.

use std::collections::BTreeMap;
use std::fmt;

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

/// What an edge knows to be wrong with itself: it says so before others find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health(u8);

impl Health {
    /// Its clock is off.
    pub const CLOCK: Self = Self(1);
    /// Its disk is full or failing.
    pub const DISK: Self = Self(2);
    /// Its ledger is behind: names may be old.
    pub const BEHIND: Self = Self(4);
    /// Its ports are not reached from outside: it delivers to nodes, readers cannot come.
    pub const UNREACHABLE: Self = Self(8);
    /// It is about to stop.
    pub const LEAVING: Self = Self(16);

    /// Flags from their bits; `None` if there are unknown ones.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        (bits < 32).then_some(Self(bits))
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one of these flags.
    #[must_use]
    pub fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (Self::CLOCK, "its clock is off"),
            (Self::DISK, "its disk is full or failing"),
            (Self::BEHIND, "its ledger is behind"),
            (Self::UNREACHABLE, "its ports are not reached"),
            (Self::LEAVING, "it is about to stop"),
        ];
        let says: Vec<&str> = all
            .into_iter()
            .filter(|(flag, _)| self.has(*flag))
            .map(|(_, says)| says)
            .collect();
        f.write_str(if says.is_empty() { "well" } else { "" })?;
        f.write_str(&says.join(", "))
    }
}

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

/// The newest advert of each edge.
#[derive(Clone, Debug, Default)]
pub struct Adverts {
    newest: BTreeMap<EdgeId, Advert>,
    by_operator: BTreeMap<Option<Operator>, u32>,
    by_place: BTreeMap<Prefix, u32>,
    by_network: BTreeMap<u32, u32>,
}

impl Adverts {
    /// Takes an advert, of `now_us` in microseconds since 1970.
    ///
    /// # Errors
    /// If it is out of its time or bounds, replaced, or one too many.
    pub fn take(&mut self, advert: &Advert, now_us: u64) -> Result<(), Refused> {
        check(advert, now_us)?;
        match self.newest.get(&advert.edge) {
            Some(known) if known.issued_us >= advert.issued_us => return Err(Refused::Replayed),
            Some(known) if known.issued_us + GAP_US_MIN > advert.issued_us => return Err(Refused::TooOften),
            _ => {}
        }
        let before = self.remove(&advert.edge);
        let taken = self.has_room(&advert.belongs, now_us);
        // Whoever moves to where there is no room keeps what it said before.
        let stays = if taken.is_ok() { Some(*advert) } else { before };
        stays.into_iter().for_each(|advert| self.insert(advert));
        taken
    }

    /// The newest advert of an edge, if it holds.
    #[must_use]
    pub fn get(&self, edge: &EdgeId, now_us: u64) -> Option<&Advert> {
        self.newest.get(edge).filter(|advert| advert.expires_us > now_us)
    }

    /// All that hold, by edge.
    pub fn iter(&self, now_us: u64) -> impl Iterator<Item = &Advert> {
        self.newest
            .values()
            .filter(move |advert| advert.expires_us > now_us)
    }

    /// Forgets an edge.
    pub fn remove(&mut self, edge: &EdgeId) -> Option<Advert> {
        let advert = self.newest.remove(edge)?;
        let Belongs {
            operator,
            place,
            network,
        } = advert.belongs;
        less(&mut self.by_operator, &operator);
        less(&mut self.by_place, &place);
        if let Some(network) = network {
            less(&mut self.by_network, &network);
        }
        Some(advert)
    }

    fn insert(&mut self, advert: Advert) {
        let Belongs {
            operator,
            place,
            network,
        } = advert.belongs;
        *self.by_operator.entry(operator).or_default() += 1;
        *self.by_place.entry(place).or_default() += 1;
        if let Some(network) = network {
            *self.by_network.entry(network).or_default() += 1;
        }
        self.newest.insert(advert.edge, advert);
    }

    fn has_room(&mut self, belongs: &Belongs, now_us: u64) -> Result<(), Refused> {
        if self.crowd(belongs).is_err() || self.newest.len() >= EDGES_MAX {
            self.forget_expired(now_us);
        }
        self.crowd(belongs)?;
        match self.newest.len() < EDGES_MAX {
            true => Ok(()),
            false => Err(Refused::Full),
        }
    }

    fn crowd(&self, belongs: &Belongs) -> Result<(), Refused> {
        let Belongs {
            operator,
            place,
            network,
        } = belongs;
        let of_network = network.and_then(|network| self.by_network.get(&network));
        let is_crowded = self.by_operator.get(operator) >= Some(&CROWD_MAX.operator)
            || (self.by_place.get(place) >= Some(&CROWD_MAX.place) && !place.is_private())
            || of_network >= Some(&CROWD_MAX.network);
        if is_crowded { Err(Refused::Crowded) } else { Ok(()) }
    }

    fn forget_expired(&mut self, now_us: u64) {
        let over = self.newest.values().filter(|advert| advert.expires_us <= now_us);
        let over: Vec<EdgeId> = over.map(|advert| advert.edge).collect();
        for edge in &over {
            self.remove(edge);
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

fn less<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    let left = counts.get_mut(key).map(|count| {
        *count -= 1;
        *count
    });
    if left == Some(0) {
        counts.remove(key);
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
