//! What nodes say of other edges: what all such messages have in common when they come over the mesh.
//!
//! Only registered edges are heard. Who passes on what could never have been right loses points as for any such message; who
//! says again what was replaced loses one. What only comes at the wrong time may be this node's own clock's fault, and
//! costs a point if other nodes say that this clock is right.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::{Address, PublicKey, StateError};
use named::mesh::{Mesh, Verdict};
use nearest::quorum::Operator;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::health;

/// Two messages of one kind and edge are at least so far apart, in milliseconds of its own clock: else one edge could flood
/// all.
const PAUSE_MS: u64 = 10_000;
/// Edges of which it is known when they spoke last; with more, those are forgotten that spoke longest ago.
const TELLERS_MAX: usize = 16_384;

/// What the ledger says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The height of the ledger that says so.
    pub height: u64,
    /// Who registered the node as an edge, if anybody did.
    pub owner: Option<Address>,
}

/// Looks a node up in the ledger; may read a disk.
pub type Ledger = Box<dyn Fn(&PublicKey) -> Result<Entry, StateError> + Send + Sync>;

/// What a message is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is taken, and passed on.
    Taken,
    /// It could never have been right.
    Wrong(String),
    /// It is not of an edge, as far as the ledger goes that it knows itself.
    NoEdge,
    /// It is over, or not begun.
    Late,
    /// It was replaced by a later one before.
    Replayed,
    /// Nothing is known against it, nor is it known who says it, or there is no room for it now.
    Unknown,
}

impl Judged {
    /// For the counters.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Wrong(_) => "wrong",
            Self::NoEdge => "no_edge",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown",
        }
    }

    /// What becomes of it, and of who passed it on; `what` it is, in plural.
    pub fn verdict(self, mesh: &Mesh, from: &PublicKey, what: &str) -> Verdict {
        match self {
            Self::Taken => return Verdict::Accept,
            Self::Wrong(reason) => return Verdict::Reject(reason),
            Self::NoEdge => return Verdict::Reject(format!("{what} of a node that is no edge")),
            Self::Replayed => mesh.fault(from, false, &format!("{what} that were replaced before")),
            Self::Late if is_clock_right(mesh) => {
                mesh.fault(from, false, &format!("{what} out of their time"));
            }
            Self::Late | Self::Unknown => {}
        }
        Verdict::Ignore
    }
}

impl Entry {
    /// Who registered the node that said this at `height` of its ledger.
    ///
    /// # Errors
    /// It is no edge, or was registered in a block that is not here yet.
    pub fn owner(&self, height: u64) -> Result<Address, Judged> {
        let is_ahead = height > self.height;
        let nobody = if is_ahead { Judged::Unknown } else { Judged::NoEdge };
        self.owner.ok_or(nobody)
    }
}

/// Each edge in its turn: the newest, and not too many.
#[derive(Debug, Default)]
pub struct Turns(Mutex<HashMap<PublicKey, u64>>);

impl Turns {
    /// Takes note that an edge said something at this time of its clock, in milliseconds.
    ///
    /// # Errors
    /// It said something later before, or a moment ago.
    pub fn admit(&self, node: &PublicKey, time_ms: u64) -> Result<(), Judged> {
        let mut latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.get(node).copied();
        match before {
            Some(before_ms) if time_ms <= before_ms => return Err(Judged::Replayed),
            Some(before_ms) if time_ms < before_ms.saturating_add(PAUSE_MS) => return Err(Judged::Unknown),
            _ => {}
        }
        if latest.len() >= TELLERS_MAX && before.is_none() {
            let oldest = latest.iter().min_by_key(|(_, time_ms)| **time_ms);
            if let Some(node) = oldest.map(|(node, _)| *node) {
                latest.remove(&node);
            }
        }
        latest.insert(*node, time_ms);
        Ok(())
    }
}

/// What became of messages, counted.
#[derive(Debug, Default)]
pub struct Fates(Family<Fate, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

impl Fates {
    /// Registers the counters under a name; `what` they count.
    pub fn register(registry: &mut Registry, name: &str, what: &str) -> Self {
        let fates = Self::default();
        let help = format!("{what}: told, or of others: taken, wrong, no_edge, late, replayed, unknown");
        registry.register(name, help, fates.0.clone());
        fates
    }

    /// One more.
    pub fn count(&self, fate: &'static str) {
        self.0.get_or_create(&Fate { fate }).inc();
    }
}

/// An account as routing names operators, which is shorter than a key.
pub fn operator(owner: &Address) -> Operator {
    let mut operator = [0; 32];
    operator[..owner.as_bytes().len()].copy_from_slice(owner.as_bytes());
    operator
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Whether others say that this node's clock is right.
fn is_clock_right(mesh: &Mesh) -> bool {
    let is_near = |ahead_ms: i64| Duration::from_millis(ahead_ms.unsigned_abs()) <= health::CLOCK_OFF_MAX;
    mesh.clock().is_some_and(|clock| is_near(clock.others_ahead_ms))
}

#[cfg(test)]
pub mod world;
