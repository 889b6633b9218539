//! When an edge has failed for an epoch: by whom it is judged, and how many must say so.
//!
//! The judges are drawn for each edge and epoch, operators and not nodes, so that nobody gets more votes by more nodes
//! and nobody chooses whom he judges. Each may sign *failed* or *answered*. The edge has failed when two thirds of **all**
//! that were drawn say so: silence counts for the edge, and so do the liars that would have to be most of the judges.
//!
//! How safe it is, for honest edges, when 30 % of many operators lie: with 41 judges 28 must lie, which is 5.3 standard
//! deviations away (about 10⁻⁷); with 21 it would be 10⁻⁴. With up to 41 operators all are judges, and the chance is 0.
//! A verdict takes readers away for an epoch. It never takes money.

use std::collections::BTreeMap;

use crate::rendezvous::Key;

/// An operator's public key: whoever registered the edge.
pub type Operator = [u8; 32];

/// The most judges of one edge.
pub const JUDGES_MAX: usize = 41;
/// With fewer operators than these nobody is judged: each knows by its own measurements.
pub const JUDGES_MIN: usize = 5;

/// What a judge signed of an edge in an epoch. The signature was verified before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The operator that signed.
    pub judge: Operator,
    /// Whether the edge failed.
    pub failed: bool,
}

/// What a judge saw of an edge in an epoch. It signs *failed* only if the edge was failing at most looks: a partition that
/// ended is no reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    looks: u32,
    failing: u32,
}

/// Fewer looks than these say nothing of an epoch.
pub const LOOKS_MIN: u32 = 10;

impl Tally {
    /// Counts a look of a judge that was well: [`crate::ladder::Standing::may_accuse`] says whether the edge was failing.
    pub fn note(&mut self, failing: bool) {
        self.looks = self.looks.saturating_add(1);
        self.failing = self.failing.saturating_add(u32::from(failing));
    }

    /// What the judge may sign; `None` if it did not see enough.
    #[must_use]
    pub fn failed(&self) -> Option<bool> {
        (self.looks >= LOOKS_MIN).then_some(u64::from(self.failing) * 2 > u64::from(self.looks))
    }
}

/// What became of an epoch for an edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nobody may judge: too few operators.
    Unjudged,
    /// It keeps its readers.
    Stands,
    /// It loses them for the next epoch.
    Failed,
}

/// The judges of `edge` in an epoch with this unpredictable seed: never its own operator, at most [`JUDGES_MAX`],
/// by rendezvous, so that an operator that comes or goes changes one place. `operators` need not be sorted.
#[must_use]
pub fn judges(seed: &[u8; 32], edge: &[u8; 32], own: &Operator, operators: &[Operator]) -> Vec<Operator> {
    let key = Key::of(&[seed.as_slice(), edge].concat());
    let mut others: Vec<Operator> = operators
        .iter()
        .filter(|operator| *operator != own)
        .copied()
        .collect();
    others.sort_unstable();
    others.dedup();
    let mut drawn: Vec<_> = others
        .into_iter()
        .map(|operator| (key.draw(&operator, 1), operator))
        .collect();
    drawn.sort_by(|(a, left), (b, right)| a.compare(b).then(left.cmp(right)));
    drawn.truncate(JUDGES_MAX);
    drawn.into_iter().map(|(_, operator)| operator).collect()
}

/// The judgement. Statements of others than the judges do not count; a judge that signed both counts for the edge, as it
/// has shown that its word is worth nothing.
#[must_use]
pub fn judge(judges: &[Operator], statements: &[Statement]) -> Judgement {
    if judges.len() < JUDGES_MIN {
        return Judgement::Unjudged;
    }
    let mut said: BTreeMap<Operator, bool> = BTreeMap::new();
    for statement in statements
        .iter()
        .filter(|statement| judges.contains(&statement.judge))
    {
        let failed = said.entry(statement.judge).or_insert(true);
        *failed &= statement.failed;
    }
    let failed = said.values().filter(|failed| **failed).count();
    match failed * 3 >= judges.len() * 2 {
        true => Judgement::Failed,
        false => Judgement::Stands,
    }
}
