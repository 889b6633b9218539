//! What nobody has, remembered for some seconds: a page with a hundred dead links, or a reader who tries again and again,
//! does not make the node ask all others each time.
//!
//! Absence is only believed while the others can be asked: when fetches fail, or there is nobody to ask, "nobody has it"
//! means nothing, and is neither remembered nor repeated. What is found on the node itself is never looked up here.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::flights::Wanted;

/// Whether there is anybody who could be asked for content.
pub trait Upstream: Send + Sync {
    /// False while this node knows nobody.
    fn is_there(&self) -> bool;
}

/// How a fetch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The block came.
    Came,
    /// Nobody has it.
    Absent,
    /// Somebody may have it, and did not give it.
    Failed,
}

/// Absences, and whether they can be believed.
#[derive(Debug)]
pub(crate) struct Absences {
    ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Until when something is absent. When `young` is full, it becomes `old`, and what was there is forgotten.
    young: HashMap<Wanted, Instant>,
    old: HashMap<Wanted, Instant>,
    /// The share of failures among the last fetches, from 0 to 1.
    failing: f64,
    failed_last: Option<Instant>,
}

impl Absences {
    /// `ttl`: how long absence is remembered; zero for not at all.
    pub(crate) fn new(ttl: Duration) -> Self {
        let state = State {
            young: HashMap::new(),
            old: HashMap::new(),
            failing: 0.0,
            failed_last: None,
        };
        Self {
            ttl,
            state: Mutex::new(state),
        }
    }

    /// Whether nobody had it a moment ago.
    pub(crate) fn is_known(&self, wanted: &Wanted, now: Instant) -> bool {
        let state = self.state();
        let until = state.young.get(wanted).or_else(|| state.old.get(wanted));
        until.is_some_and(|until| now < *until) && !state.is_ill(now)
    }

    /// Remembers how a fetch ended. `is_there`: whether there was anybody to ask.
    pub(crate) fn note(&self, wanted: Wanted, outcome: Outcome, is_there: bool, now: Instant) {
        let mut state = self.state();
        match outcome {
            Outcome::Came => state.failing -= state.failing * WEIGHT,
            Outcome::Failed => {
                state.failing = state.failing_at(now) * (1.0 - WEIGHT) + WEIGHT;
                state.failed_last = Some(now);
            }
            Outcome::Absent if is_there && !state.is_ill(now) => state.remember(wanted, now + self.ttl),
            Outcome::Absent => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remember(&mut self, wanted: Wanted, until: Instant) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(wanted, until);
    }

    fn is_ill(&self, now: Instant) -> bool {
        self.failing_at(now) > FAILING_MAX
    }

    /// Failures of long ago say nothing about now.
    fn failing_at(&self, now: Instant) -> f64 {
        let recent = |failed: &Instant| now.saturating_duration_since(*failed) < FORGOTTEN_AFTER;
        self.failed_last.filter(recent).map_or(0.0, |_| self.failing)
    }
}

/// Entries of a generation, of two: some 2 MiB in all.
const GENERATION: usize = 8192;
/// What one fetch counts among the last: about eight of them matter.
const WEIGHT: f64 = 0.125;
/// More than two failures in a row, or one fetch in four.
const FAILING_MAX: f64 = 0.25;
/// A minute without a failure is health.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use cid::Cid;

    const TTL: Duration = Duration::from_secs(10);

    fn wanted(number: u32) -> Wanted {
        let hash = cid::multihash::Multihash::wrap(0, &number.to_be_bytes()).unwrap();
        Wanted {
            root: Cid::new_v1(0x55, hash),
            block: Cid::new_v1(0x70, hash),
        }
    }

    #[test]
    fn absence_is_remembered_for_a_while() {
        let (absences, now) = (Absences::new(TTL), Instant::now());
        assert!(!absences.is_known(&wanted(1), now));
        absences.note(wanted(1), Outcome::Absent, true, now);
        assert!(absences.is_known(&wanted(1), now) && !absences.is_known(&wanted(2), now));
        assert!(absences.is_known(&wanted(1), now + TTL - Duration::from_millis(1)));
        assert!(!absences.is_known(&wanted(1), now + TTL));
        absences.note(wanted(2), Outcome::Absent, false, now);
        assert!(!absences.is_known(&wanted(2), now), "nobody was asked");
        let never = Absences::new(Duration::ZERO);
        never.note(wanted(1), Outcome::Absent, true, now);
        assert!(!never.is_known(&wanted(1), now));
    }

    #[test]
    fn absence_is_not_believed_while_others_fail() {
        let (absences, now) = (Absences::new(TTL), Instant::now());
        absences.note(wanted(1), Outcome::Absent, true, now);
        for _ in 0..2 {
            absences.note(wanted(9), Outcome::Failed, true, now);
        }
        assert!(absences.is_known(&wanted(1), now), "two may be chance");
        absences.note(wanted(9), Outcome::Failed, true, now);
        assert!(!absences.is_known(&wanted(1), now));
        absences.note(wanted(2), Outcome::Absent, true, now);
        for _ in 0..4 {
            absences.note(wanted(8), Outcome::Came, true, now);
        }
        assert!(absences.is_known(&wanted(1), now), "they are well again");
        assert!(!absences.is_known(&wanted(2), now), "this was not to be believed");
    }

    #[test]
    fn failures_are_forgotten() {
        let (absences, now) = (Absences::new(10 * FORGOTTEN_AFTER), Instant::now());
        absences.note(wanted(1), Outcome::Absent, true, now);
        for _ in 0..100 {
            absences.note(wanted(9), Outcome::Failed, true, now);
        }
        assert!(!absences.is_known(&wanted(1), now));
        let later = now + FORGOTTEN_AFTER;
        assert!(absences.is_known(&wanted(1), later));
        absences.note(wanted(9), Outcome::Failed, true, later);
        assert!(absences.is_known(&wanted(1), later), "one is not a hundred");
    }

    #[test]
    fn a_flood_takes_no_more_memory() {
        let (absences, now) = (Absences::new(TTL), Instant::now());
        for number in 0..5 * GENERATION as u32 {
            absences.note(wanted(number), Outcome::Absent, true, now);
        }
        let state = absences.state();
        assert!(state.young.len() + state.old.len() <= 2 * GENERATION);
        drop(state);
        assert!(absences.is_known(&wanted(5 * GENERATION as u32 - 1), now));
    }
}
