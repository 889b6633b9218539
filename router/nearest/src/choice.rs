//! Choosing the edge: near, ranked, within its bound.

use std::cmp::Ordering;
use std::fmt;

use crate::rendezvous::{Draw, Key};

/// An edge's public key, as in its node identity.
pub type EdgeId = [u8; 32];

/// What is known of one edge at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Who it is. Of several entries with one id, only the first in field order counts.
    pub id: EdgeId,
    /// Measured round-trip time in microseconds, smoothed; `u32::MAX` if it was never measured.
    pub rtt_us: u32,
    /// Advertised number of requests that it serves at once. 0: takes no work.
    pub capacity: u32,
    /// Requests that it is serving now.
    pub inflight: u32,
    /// Whether the failure detector trusts it for routing.
    pub alive: bool,
}

/// The two numbers of the rule. The defaults are the best row of the routing model that the project started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many of the lowest round-trip times are near. More keeps caches warmer, fewer keeps readers closer.
    pub near: usize,
    /// The bound: an edge takes work while `inflight < capacity × bound_percent / 100`. Range 1..=100.
    pub bound_percent: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            near: 24,
            bound_percent: 75,
        }
    }
}

/// The answer for one piece of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Every edge once: first those that can serve, in the order in which they are to be tried, then the others.
    pub ranked: Vec<Verdict>,
}

/// An edge and why it was chosen or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The edge as it was given.
    pub edge: Edge,
    /// The reason.
    pub why: Why,
}

/// Why an edge was chosen or not. `rank` counts from 1, over the edges that can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It serves: the first in the order that has room.
    Chosen {
        /// Its place in the order; above 1 when the better ones are full.
        rank: usize,
    },
    /// It has room, but a better one serves: the next to try when that one fails.
    Spare {
        /// Its place in the order.
        rank: usize,
    },
    /// It is at its bound.
    Full {
        /// Its place in the order.
        rank: usize,
        /// The work in hand that it may not exceed, in requests.
        bound: u32,
    },
    /// It advertises no capacity.
    NoCapacity,
    /// The failure detector does not trust it.
    Dead,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen { rank: 1 } => write!(f, "chosen: first for this content, and has room"),
            Self::Chosen { rank } => write!(
                f,
                "chosen: number {rank} for this content, those before it are full"
            ),
            Self::Spare { rank } => write!(
                f,
                "spare: number {rank} for this content, an earlier one has room"
            ),
            Self::Full { rank, bound } => {
                write!(
                    f,
                    "full: number {rank} for this content, at its bound of {bound} requests"
                )
            }
            Self::NoCapacity => write!(f, "not asked: advertises no capacity"),
            Self::Dead => write!(f, "not asked: does not answer"),
        }
    }
}

impl Choice {
    /// The edge that should serve; `None` if none is usable or all are at their bound.
    #[must_use]
    pub fn chosen(&self) -> Option<&Edge> {
        self.ranked
            .iter()
            .find(|v| matches!(v.why, Why::Chosen { .. }))
            .map(|v| &v.edge)
    }

    /// The edges to try, best first: the chosen one and then the spare ones.
    pub fn usable(&self) -> impl Iterator<Item = &Edge> {
        self.ranked
            .iter()
            .filter(|v| matches!(v.why, Why::Chosen { .. } | Why::Spare { .. }))
            .map(|v| &v.edge)
    }
}

/// Chooses with the default [`Policy`]. `content` is the key of the content, the bytes of its root CID.
#[must_use]
pub fn choose(content: &[u8], edges: &[Edge]) -> Choice {
    Policy::default().choose(content, edges)
}

impl Policy {
    /// Chooses the edge for `content` and explains each; O(n log n) in the number of edges.
    #[must_use]
    pub fn choose(&self, content: &[u8], edges: &[Edge]) -> Choice {
        let (mut usable, unusable): (Vec<Edge>, Vec<Edge>) = distinct(edges)
            .into_iter()
            .partition(|edge| edge.alive && edge.capacity > 0);
        usable.sort_by_key(|edge| (edge.rtt_us, edge.id));
        let near = usable.len().min(self.near);
        rank(&Key::of(content), &mut usable[..near]);
        let mut ranked = self.judge(&usable);
        ranked.extend(unusable.into_iter().map(|edge| Verdict {
            edge,
            why: unusable_because(&edge),
        }));
        Choice { ranked }
    }

    /// The most work in hand that an edge of this capacity may have, in requests: the bound rounded up, so that a
    /// capacity of 1 still takes one.
    #[must_use]
    pub fn bound(&self, capacity: u32) -> u32 {
        let bound = (u64::from(capacity) * u64::from(self.bound_percent)).div_ceil(100);
        u32::try_from(bound).unwrap_or(u32::MAX)
    }

    /// Gives each usable edge, in order, its reason.
    fn judge(&self, usable: &[Edge]) -> Vec<Verdict> {
        let mut served = false;
        let verdict = |(place, edge): (usize, &Edge)| {
            let (rank, bound) = (place + 1, self.bound(edge.capacity));
            let why = match (edge.inflight < bound, served) {
                (false, _) => Why::Full { rank, bound },
                (true, true) => Why::Spare { rank },
                (true, false) => Why::Chosen { rank },
            };
            served |= matches!(why, Why::Chosen { .. });
            Verdict { edge: *edge, why }
        };
        usable.iter().enumerate().map(verdict).collect()
    }
}

/// The edges sorted and without repeated ids, whatever order they came in.
fn distinct(edges: &[Edge]) -> Vec<Edge> {
    let mut sorted = edges.to_vec();
    sorted.sort_unstable();
    sorted.dedup_by_key(|edge| edge.id);
    sorted
}

/// Sorts by the content's draws, best first; equal draws by id.
fn rank(key: &Key, near: &mut [Edge]) {
    let mut drawn: Vec<(Draw, Edge)> = near
        .iter()
        .map(|edge| (key.draw(&edge.id, edge.capacity), *edge))
        .collect();
    drawn.sort_by(|(a, left), (b, right)| match a.compare(b) {
        Ordering::Equal => left.id.cmp(&right.id),
        order => order,
    });
    for (slot, (_, edge)) in near.iter_mut().zip(drawn) {
        *slot = edge;
    }
}

fn unusable_because(edge: &Edge) -> Why {
    if edge.alive { Why::NoCapacity } else { Why::Dead }
}
