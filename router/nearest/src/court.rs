//! What one node collected of the judges' statements about one epoch, and whom that convicts.
//!
//! Judges are drawn when the epoch is over, by a seed that nobody knew before: who watches does not know whom he will judge,
//! and nobody knows whom to bribe. Only *failed* is ever said, since silence counts for the edge ([`crate::quorum`]).
//!
//! Bounds: at most [`CASES_MAX`] edges, each with at most [`crate::quorum::JUDGES_MAX`] judges and as many statements.

use std::collections::BTreeMap;

use crate::EdgeId;
use crate::quorum::{Judgement, Operator, Statement, judge, judges};

/// The most edges of which statements are kept: far more than fail in an epoch.
pub const CASES_MAX: usize = 1024;

/// The statements about one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Court {
    epoch: u64,
    seed: [u8; 32],
    operators: Vec<Operator>,
    cases: BTreeMap<EdgeId, Case>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Case {
    judges: Vec<Operator>,
    said: Vec<Statement>,
}

impl Case {
    fn judgement(&self) -> Judgement {
        judge(&self.judges, &self.said)
    }
}

impl Court {
    /// About `epoch`, which is over; `seed` came with its end. `operators` are those of all edges that are known.
    #[must_use]
    pub fn new(epoch: u64, seed: [u8; 32], operators: Vec<Operator>) -> Self {
        Self {
            epoch,
            seed,
            operators,
            cases: BTreeMap::new(),
        }
    }

    /// The epoch that it is about.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Takes the statement that this edge of `own` failed. Returns whether it is news: of one of its judges, and not said
    /// before.
    pub fn failed(&mut self, edge: &EdgeId, own: &Operator, judge: Operator) -> bool {
        if !self.cases.contains_key(edge) {
            let judges = self.draw(edge, own);
            if !judges.contains(&judge) || !self.has_room() {
                return false;
            }
            let said = Vec::new();
            self.cases.insert(*edge, Case { judges, said });
        }
        let Some(case) = self.cases.get_mut(edge) else {
            return false;
        };
        let statement = Statement { judge, failed: true };
        let is_news = case.judges.contains(&judge) && !case.said.contains(&statement);
        if is_news {
            case.said.push(statement);
        }
        is_news
    }

    /// Whether this judge's statement of an edge counts.
    #[must_use]
    pub fn has_said(&self, edge: &EdgeId, judge: &Operator) -> bool {
        let case = self.cases.get(edge);
        case.is_some_and(|case| case.said.iter().any(|statement| statement.judge == *judge))
    }

    /// The edges that a quorum found to have failed.
    pub fn convicted(&self) -> impl Iterator<Item = EdgeId> {
        let failed = |case: &Case| case.judgement() == Judgement::Failed;
        self.cases
            .iter()
            .filter(move |(_, case)| failed(case))
            .map(|(edge, _)| *edge)
    }

    /// Whether there is room for one more edge. One of which a single judge spoke makes room: who names everybody hides
    /// nobody that way.
    fn has_room(&mut self) -> bool {
        if self.cases.len() < CASES_MAX {
            return true;
        }
        let idle = self.cases.iter().find(|(_, case)| case.said.len() <= 1);
        let idle = idle.map(|(edge, _)| *edge);
        idle.is_some_and(|edge| self.cases.remove(&edge).is_some())
    }

    fn draw(&self, edge: &EdgeId, own: &Operator) -> Vec<Operator> {
        judges(&self.seed, edge, own, &self.operators)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: EdgeId = [1; 32];
    const OWN: Operator = [200; 32];

    fn operators(count: u8) -> Vec<Operator> {
        (0..count).map(|seed| [seed; 32]).chain([OWN]).collect()
    }

    fn court(count: u8) -> Court {
        Court::new(7, [9; 32], operators(count))
    }

    #[test]
    fn two_thirds_of_the_judges_convict() {
        let mut court = court(9);
        assert!(!court.failed(&EDGE, &OWN, OWN), "nobody judges himself");
        for judge in 0..6 {
            assert!(court.convicted().next().is_none());
            assert!(court.failed(&EDGE, &OWN, [judge; 32]));
        }
        assert_eq!(court.convicted().collect::<Vec<_>>(), [EDGE]);
    }

    #[test]
    fn who_speaks_twice_counts_once_and_strangers_do_not() {
        let mut court = court(9);
        assert!(court.failed(&EDGE, &OWN, [0; 32]));
        for judge in [[0; 32], OWN, [77; 32]] {
            assert!(!court.failed(&EDGE, &OWN, judge), "{judge:?}");
        }
        assert!(court.convicted().next().is_none());
    }

    #[test]
    fn few_operators_judge_nobody() {
        let mut court = court(4);
        for judge in operators(4) {
            court.failed(&EDGE, &OWN, judge);
        }
        assert!(court.convicted().next().is_none());
    }

    #[test]
    fn cases_are_bounded() {
        let mut court = court(9);
        let edge = |at: usize| {
            let mut edge = [0; 32];
            edge[..8].copy_from_slice(&at.to_be_bytes());
            edge
        };
        assert!(court.failed(&EDGE, &OWN, [1; 32]) && court.failed(&EDGE, &OWN, [2; 32]));
        for at in 0..2 * CASES_MAX {
            assert!(court.failed(&edge(at), &OWN, [0; 32]), "who names everybody");
        }
        assert_eq!(court.cases.len(), CASES_MAX);
        assert_eq!(court.cases[&EDGE].said.len(), 2, "and hides nobody");
    }
}
