//! Which edges to measure next, of very many.
//!
//! Coordinates put edges in an order that is a little wrong for each of them, and for a liar wrong altogether. So the search
//! goes down that order, remembers how far everybody was found to be, and measures nobody twice for it: an edge that
//! was found far is out of the way of those behind it, one that was found near comes back as soon as there is a place for it.
//! In the simulator a router of a world of 100,000 that forgot whom it had measured saw half of the edges of its own city
//! never, and sent every second reader more than 15 ms too far.

use std::collections::BTreeMap;

use crate::EdgeId;

/// How long a measured distance counts here, in microseconds: ten minutes.
pub const AGE_US_MAX: u64 = 600_000_000;
/// How long an edge is left alone that was measured, or did not answer, in microseconds.
pub const AGAIN_US_MIN: u64 = 10_000_000;
/// Edges that are remembered: as many as adverts are kept.
pub const FOUND_MAX: usize = crate::advert::EDGES_MAX;

/// How far the edges were that were measured and are not watched.
#[derive(Clone, Debug, Default)]
pub struct Search {
    found: BTreeMap<EdgeId, Found>,
}

/// What came of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// `None`: it did not answer.
    rtt_us: Option<u32>,
    at_us: u64,
}

impl Search {
    /// Takes note of how far an edge is, in microseconds; `None` if it did not answer.
    pub fn note(&mut self, edge: EdgeId, rtt_us: Option<u32>, now_us: u64) {
        if self.found.len() >= FOUND_MAX && !self.found.contains_key(&edge) {
            self.found.retain(|_, found| found.is_fresh(now_us));
        }
        if self.found.len() < FOUND_MAX || self.found.contains_key(&edge) {
            self.found.insert(
                edge,
                Found {
                    rtt_us,
                    at_us: now_us,
                },
            );
        }
    }

    /// Edges that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether nobody was measured yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// At most `most` edges to measure next, those that are watched left out: for at most half of the places those that were
    /// found within `within_us`, nearest first, and for the rest those of `expected`, which is in the order in which they
    /// are likely to be near, of which nothing is known.
    #[must_use]
    pub fn next(
        &self,
        expected: impl IntoIterator<Item = EdgeId>,
        is_watched: impl Fn(&EdgeId) -> bool,
        within_us: u32,
        most: usize,
        now_us: u64,
    ) -> Vec<EdgeId> {
        let near = |(edge, found): (&EdgeId, &Found)| {
            let rtt_us = found.rtt_us.filter(|rtt_us| *rtt_us < within_us)?;
            (found.is_fresh(now_us) && found.is_due(now_us) && !is_watched(edge)).then_some((rtt_us, *edge))
        };
        let mut again: Vec<(u32, EdgeId)> = self.found.iter().filter_map(near).collect();
        again.sort_unstable();
        let mut next: Vec<EdgeId> = again.into_iter().take(most / 2).map(|(_, edge)| edge).collect();
        let left = most - next.len();
        let unknown = |edge: &EdgeId| self.found.get(edge).is_none_or(|found| !found.is_known(now_us));
        let new = expected
            .into_iter()
            .filter(|edge| unknown(edge) && !is_watched(edge));
        next.extend(new.take(left));
        next
    }
}

impl Found {
    fn is_fresh(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.at_us) < AGE_US_MAX
    }

    /// Whether it may be measured again.
    fn is_due(&self, now_us: u64) -> bool {
        now_us.saturating_sub(self.at_us) >= AGAIN_US_MIN
    }

    /// Whether there is no need to measure it: who did not answer is tried again before long.
    fn is_known(&self, now_us: u64) -> bool {
        match self.rtt_us {
            Some(_) => self.is_fresh(now_us),
            None => !self.is_due(now_us),
        }
    }
}
