//! Who failed for how many: what this node signs of edges that failed through an epoch, what others signed, and whom that
//! convicts ([`nearest::court`]).
//!
//! An epoch is an hour of blocks. The judges of the epoch that is over are drawn by the first block of the next one. Who
//! are the operators is as this node knows it, by the adverts of registered edges: nodes that know other ones draw almost
//! the same judges. A statement is said again until the next epoch is over, for whoever was not there.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use ledger::{PublicKey, SecretKey, Signed};
use named::mesh::{FAILURES_LIFE_MS_MAX, FAILURES_MAX, Failures, Flaw, Mesh, Topic, Verdict};
use nearest::EdgeId;
use nearest::court::Court;
use nearest::quorum::Operator;
use prometheus_client::registry::Registry;

use super::Node;
use super::hearsay::{Fates, Judged, Ledger, Turns, now_ms, operator};

/// How often statements are said again: while one holds, the next is said.
const SAY_AGAIN_EVERY: Duration = Duration::from_millis(FAILURES_LIFE_MS_MAX / 2);
/// An epoch, in milliseconds of the chain's usual pace.
const EPOCH_MS: u64 = 3_600_000;

/// The end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The epoch that begins.
    pub epoch: u64,
    /// The id of its first block.
    pub seed: [u8; 32],
}

/// Blocks in an epoch, of a chain with so many milliseconds between blocks.
pub fn epoch_blocks(block_time_ms: u64) -> u64 {
    EPOCH_MS.div_ceil(block_time_ms.max(1))
}

/// What is said of the epoch that is over.
pub struct Verdicts {
    key: SecretKey,
    chain: String,
    ledger: Ledger,
    /// Set when the mesh runs.
    mesh: OnceLock<Mesh>,
    sitting: Mutex<Option<Sitting>>,
    turns: Turns,
    fates: Fates,
}

struct Sitting {
    court: Court,
    /// Of which edges this node says so, rising.
    own: Vec<PublicKey>,
}

impl Verdicts {
    /// Of the node with this key on this chain. Nothing is said or heard before it is connected and an epoch has ended.
    pub fn new(key: SecretKey, chain: &str, ledger: Ledger, registry: &mut Registry) -> Self {
        Self {
            key,
            chain: chain.to_owned(),
            ledger,
            mesh: OnceLock::new(),
            sitting: Mutex::default(),
            turns: Turns::default(),
            fates: Fates::register(
                registry,
                "edge_failures",
                "Statements that edges failed through an epoch",
            ),
        }
    }

    /// The mesh runs.
    pub fn connect(&self, mesh: Mesh) {
        // Set once; nobody else does.
        let _ = self.mesh.set(mesh);
    }

    /// An epoch is over in which these edges failed for this node; `operators` are those of all edges. Says so of those
    /// whose judge this node's operator is. Reads a disk.
    pub fn turn(&self, turn: Turn, operators: Vec<Operator>, failing: &[PublicKey]) {
        let mut court = Court::new(turn.epoch.saturating_sub(1), turn.seed, operators);
        let me = self.owner(&self.key.public());
        let mut own: Vec<PublicKey> = failing
            .iter()
            .filter(|edge| {
                let (Some(me), Some(owner)) = (me, self.owner(edge)) else {
                    return false;
                };
                court.failed(edge.as_bytes(), &owner, me)
            })
            .copied()
            .collect();
        own.sort_unstable_by_key(|edge| *edge.as_bytes());
        own.truncate(FAILURES_MAX);
        *self.sitting() = Some(Sitting { court, own });
        self.say();
    }

    /// Says what this node has to say of the epoch that is over, if anything. Reads a disk.
    pub fn say(&self) {
        let statement = self
            .sitting()
            .as_ref()
            .map(|sitting| (sitting.court.epoch(), sitting.own.clone()));
        let Some((epoch, edges)) = statement.filter(|(_, edges)| !edges.is_empty()) else {
            return;
        };
        let (Some(mesh), Ok(entry)) = (self.mesh.get(), (self.ledger)(&self.key.public())) else {
            return;
        };
        let time_ms = now_ms();
        let failures = Failures {
            node: self.key.public(),
            height: entry.height,
            epoch,
            edges,
            time_ms,
            until_ms: time_ms + FAILURES_LIFE_MS_MAX,
        };
        mesh.publish(
            Topic::Failures,
            Signed::sign(failures, &self.chain, &self.key).encode(),
        );
        self.fates.count("told");
    }

    /// Judges a message of [`Topic::Failures`] that `from` passed on, and takes it if it is good. Reads a disk.
    pub fn heard(&self, from: &PublicKey, message: &[u8]) -> Verdict {
        let Some(mesh) = self.mesh.get() else {
            return Verdict::Ignore;
        };
        let judged = self.judge(message).unwrap_or_else(|judged| judged);
        self.fates.count(judged.word());
        judged.verdict(mesh, from, "statements")
    }

    fn judge(&self, message: &[u8]) -> Result<Judged, Judged> {
        let failures = Failures::read(message, &self.chain, now_ms()).map_err(|flaw| match flaw {
            Flaw::Wrong(reason) => Judged::Wrong(reason),
            Flaw::Stale { .. } => Judged::Late,
        })?;
        let entry = (self.ledger)(&failures.node).map_err(|_| Judged::Unknown)?;
        let judge = operator(&entry.owner(failures.height)?);
        self.turns.admit(&failures.node, failures.time_ms)?;
        let owners: Vec<(EdgeId, Operator)> = failures
            .edges
            .iter()
            .filter_map(|edge| Some((*edge.as_bytes(), self.owner(edge)?)))
            .collect();
        let mut sitting = self.sitting();
        // Another node's ledger may be a block ahead, or behind: it will say it again.
        let sitting = sitting
            .as_mut()
            .filter(|sitting| sitting.court.epoch() == failures.epoch)
            .ok_or(Judged::Unknown)?;
        let mut is_judge = false;
        for (edge, owner) in owners {
            sitting.court.failed(&edge, &owner, judge);
            is_judge |= sitting.court.has_said(&edge, &judge);
        }
        // What is said again is passed on too: it is for those who did not hear it.
        is_judge.then_some(Judged::Taken).ok_or(Judged::Unknown)
    }

    /// The edges that a quorum found to have failed in the epoch that is over, and the epoch now, in which they are out.
    pub fn convicted(&self) -> Option<(u64, Vec<EdgeId>)> {
        let sitting = self.sitting();
        let court = &sitting.as_ref()?.court;
        Some((court.epoch() + 1, court.convicted().collect()))
    }

    fn owner(&self, node: &PublicKey) -> Option<Operator> {
        let entry = (self.ledger)(node).ok()?;
        entry.owner.as_ref().map(operator)
    }

    fn sitting(&self) -> MutexGuard<'_, Option<Sitting>> {
        // Each statement is one change: a panic leaves nothing half-done.
        self.sitting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the node stops: what was said is said again.
pub async fn keep_up(node: &Arc<Node>) {
    let mut beat = tokio::time::interval(SAY_AGAIN_EVERY);
    loop {
        beat.tick().await;
        let node = Arc::clone(node);
        // One that broke down says it again later.
        let _ = tokio::task::spawn_blocking(move || node.verdicts.say()).await;
    }
}

#[cfg(test)]
mod tests;
