//! What edges tell each other of their tables, and what is made of it when some lie.
//!
//! A digest says how far readers of a place are from edges, in steps of about a fifth, for places with many readers only.
//! It is worth nothing alone: a distance counts when at least [`REPORTERS_MIN`] independent reporters (other operators,
//! other places) tell it, and then it is their median, so that as long as most of them are honest it lies between what
//! honest ones say. What an edge says of its own distance does not count at all: it would say that it is near. Only who
//! has several edges may believe each of them, also of itself: nobody lies to himself ([`Hearsay::take_own`]).

use std::collections::BTreeMap;

use crate::EdgeId;
use crate::prefix::Prefix;
use crate::quorum::Operator;
use crate::rendezvous::mix;

/// The most distances in a digest: about 50 bytes each on the wire.
pub const DISTANCES_MAX: usize = 1_024;
/// The longest that a digest may hold, in microseconds: an hour.
pub const LIFE_US_MAX: u64 = 3_600_000_000;
/// Fewer independent reporters are none.
pub const REPORTERS_MIN: usize = 3;
/// Reporters of one distance that are kept, a sample of all that nobody can choose: whoever comes first in great numbers
/// must not keep the others out.
const REPORTERS_MAX: usize = 15;
/// Pairs of a place and an edge that are kept: with all their reporters 20 MB.
const PAIRS_MAX: usize = 32_768;
/// Reporters within an hour.
const REPORTS_MAX: usize = 16_384;
/// Pairs of which an operator may be the only reporter.
const ALONE_MAX: u32 = DISTANCES_MAX as u32 * 2;

/// A distance on a scale of quarters of an octave, so that no exact time is told: 0 is 100 µs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step(u8);

impl Step {
    /// The farthest, more than 5 seconds.
    pub const MAX: u8 = 63;

    /// A step by its number; `None` above [`Step::MAX`].
    #[must_use]
    pub fn new(step: u8) -> Option<Self> {
        (step <= Self::MAX).then_some(Self(step))
    }

    /// The nearest step that is not below a round-trip time.
    #[must_use]
    pub fn of(rtt_us: u32) -> Self {
        let above = (0..Self::MAX).find(|step| Self(*step).rtt_us() >= rtt_us);
        Self(above.unwrap_or(Self::MAX))
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// The round-trip time that it stands for, in microseconds.
    #[must_use]
    pub fn rtt_us(self) -> u32 {
        [100u32, 119, 141, 168][usize::from(self.0 % 4)] << (self.0 / 4)
    }
}

/// One distance as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Where the readers are.
    pub place: Prefix,
    /// From which edge.
    pub edge: EdgeId,
    /// How far.
    pub step: Step,
}

/// What an edge tells, of which the signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Who tells.
    pub reporter: EdgeId,
    /// Whose node it is.
    pub operator: Operator,
    /// Where it is.
    pub place: Prefix,
    /// When it was made, in microseconds since 1970.
    pub issued_us: u64,
    /// Until when it holds, at most [`LIFE_US_MAX`] later.
    pub expires_us: u64,
    /// At most [`DISTANCES_MAX`].
    pub distances: Vec<Told>,
}

/// Why a digest is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is over, or not begun.
    OutOfTime,
    /// It holds for too long, or says too much.
    OutOfBounds,
    /// A later one of this reporter was taken.
    Replayed,
    /// There are too many reporters.
    Crowded,
}

/// Who is who is kept as a secret hash.
#[derive(Clone, Copy, Debug)]
struct Report {
    reporter: u64,
    operator: u64,
    from: u64,
    /// Those with the lowest are the sample.
    lot: u64,
    step: Step,
    expires_us: u64,
}

/// What was told by others, at most 32,768 distances of at most 15 reporters each.
#[derive(Clone, Debug)]
pub struct Hearsay {
    told: BTreeMap<(Prefix, EdgeId), Vec<Report>>,
    /// What edges of this node's own operator told, and until when it holds.
    own: BTreeMap<(Prefix, EdgeId), (Step, u64)>,
    latest: BTreeMap<EdgeId, u64>,
    alone: BTreeMap<u64, u32>,
    tidied_us: u64,
    secret: u64,
}

impl Hearsay {
    /// Nothing yet, with a secret of the process.
    #[must_use]
    pub fn new(secret: u64) -> Self {
        Self {
            told: BTreeMap::new(),
            own: BTreeMap::new(),
            latest: BTreeMap::new(),
            alone: BTreeMap::new(),
            tidied_us: 0,
            secret,
        }
    }

    /// Takes a digest, of `now_us` in microseconds since 1970. What a reporter says of itself is left out.
    ///
    /// # Errors
    /// If it is out of its time or bounds, or was replaced.
    pub fn take(&mut self, digest: &Digest, now_us: u64) -> Result<(), Refused> {
        self.admit(digest, now_us)?;
        for told in digest
            .distances
            .iter()
            .filter(|told| told.edge != digest.reporter)
        {
            self.put(digest, told, now_us);
        }
        Ok(())
    }

    /// As [`Hearsay::take`], of an edge of this node's own operator: each of its distances counts alone, also its own.
    ///
    /// # Errors
    /// As [`Hearsay::take`].
    pub fn take_own(&mut self, digest: &Digest, now_us: u64) -> Result<(), Refused> {
        self.admit(digest, now_us)?;
        for told in &digest.distances {
            let pair = (told.place, told.edge);
            if self.own.len() < PAIRS_MAX || self.own.contains_key(&pair) {
                self.own.insert(pair, (told.step, digest.expires_us));
            }
        }
        Ok(())
    }

    fn admit(&mut self, digest: &Digest, now_us: u64) -> Result<(), Refused> {
        if digest.issued_us > now_us.saturating_add(crate::advert::AHEAD_US_MAX)
            || digest.expires_us <= now_us
        {
            return Err(Refused::OutOfTime);
        }
        let life = digest.expires_us.saturating_sub(digest.issued_us);
        if life > LIFE_US_MAX || digest.distances.len() > DISTANCES_MAX {
            return Err(Refused::OutOfBounds);
        }
        if self
            .latest
            .get(&digest.reporter)
            .is_some_and(|latest| *latest >= digest.issued_us)
        {
            return Err(Refused::Replayed);
        }
        self.tidy(now_us);
        if self.latest.len() >= REPORTS_MAX && !self.latest.contains_key(&digest.reporter) {
            return Err(Refused::Crowded);
        }
        self.latest.insert(digest.reporter, digest.issued_us);
        Ok(())
    }

    /// How far a place is from an edge, in microseconds, if an edge of the own operator or enough independent reporters
    /// say so.
    #[must_use]
    pub fn rtt_us(&self, place: &Prefix, edge: &EdgeId, now_us: u64) -> Option<u32> {
        let pair = (*place, *edge);
        let own = self.own.get(&pair).filter(|(_, until_us)| *until_us > now_us);
        own.map(|(step, _)| step.rtt_us())
            .or_else(|| median_us(self.told.get(&pair)?, now_us))
    }

    /// All that [`Hearsay::rtt_us`] has an answer to, with the answer, in microseconds.
    pub fn answers(&self, now_us: u64) -> impl Iterator<Item = ((Prefix, EdgeId), u32)> {
        let others = self.told.keys().filter(|pair| !self.own.contains_key(pair));
        let all = self.own.keys().chain(others);
        all.filter_map(move |pair| Some((*pair, self.rtt_us(&pair.0, &pair.1, now_us)?)))
    }

    /// Distances that are kept, of however many reporters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.told.len() + self.own.len()
    }

    /// Whether nothing was told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn put(&mut self, digest: &Digest, told: &Told, now_us: u64) {
        let pair = (told.place, told.edge);
        let report = self.report(digest, told);
        let Some(reports) = self.told.get_mut(&pair) else {
            let alone = self.alone.entry(report.operator).or_default();
            if self.told.len() < PAIRS_MAX && *alone < ALONE_MAX {
                *alone += 1;
                self.told.insert(pair, vec![report]);
            }
            return;
        };
        reports.retain(|known| known.expires_us > now_us && known.reporter != report.reporter);
        if reports.iter().any(|known| known.depends_on(&report)) {
            return;
        }
        reports.push(report);
        if reports.len() > REPORTERS_MAX {
            reports.sort_unstable_by_key(|report| report.lot);
            reports.truncate(REPORTERS_MAX);
        }
    }

    fn report(&self, digest: &Digest, told: &Told) -> Report {
        let reporter = self.hash(&digest.reporter);
        let operator = self.hash(&digest.operator);
        let pair = self.hash(&told.edge) ^ mix(told.place.number());
        Report {
            reporter,
            operator,
            // In private networks each reporter is in a place of its own.
            from: match digest.place.is_private() {
                true => reporter,
                false => mix(digest.place.number() ^ self.secret),
            },
            lot: mix(operator ^ pair ^ self.secret),
            step: told.step,
            expires_us: digest.expires_us,
        }
    }

    fn hash(&self, id: &[u8; 32]) -> u64 {
        let words = id
            .chunks(8)
            .map(|word| word.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        words.fold(self.secret, |hash, word: u64| mix(hash ^ word))
    }

    /// Once a minute, and when there is little room: forgets what is over, and counts who is the only reporter of how much.
    fn tidy(&mut self, now_us: u64) {
        let is_full = |told: &BTreeMap<_, _>| told.len() + DISTANCES_MAX > PAIRS_MAX;
        if now_us.saturating_sub(self.tidied_us) < TIDY_EVERY_US && !is_full(&self.told) {
            return;
        }
        self.tidied_us = now_us;
        self.own.retain(|_, (_, until_us)| *until_us > now_us);
        self.told.retain(|_, reports| {
            reports.retain(|report| report.expires_us > now_us);
            !reports.is_empty()
        });
        if is_full(&self.told) {
            // What only one tells is of no use yet, and makes room for what several will tell.
            self.told.retain(|_, reports| reports.len() > 1);
        }
        self.latest
            .retain(|_, issued_us| now_us.saturating_sub(*issued_us) <= LIFE_US_MAX);
        self.alone.clear();
        for reports in self.told.values().filter(|reports| reports.len() == 1) {
            *self.alone.entry(reports[0].operator).or_default() += 1;
        }
    }
}

/// What the reports come to, in microseconds, if they are enough.
fn median_us(reports: &[Report], now_us: u64) -> Option<u32> {
    let mut steps: Vec<Step> = reports
        .iter()
        .filter(|report| report.expires_us > now_us)
        .map(|report| report.step)
        .collect();
    steps.sort_unstable();
    // Of two in the middle the farther: who lies to get readers says near.
    (steps.len() >= REPORTERS_MIN).then(|| steps[steps.len() / 2].rtt_us())
}

impl Report {
    /// Whether two reporters may be one.
    fn depends_on(&self, other: &Self) -> bool {
        self.operator == other.operator || self.from == other.from
    }
}

const TIDY_EVERY_US: u64 = 60_000_000;
