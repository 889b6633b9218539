//! The answer: which edge serves, who follows, and why each was chosen or not.

use std::fmt;

use crate::edges::Edge;

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
    /// It has room, but it is warm, and this reader is of the part that it sends on.
    Warm {
        /// Its place in the order.
        rank: usize,
        /// Its load in percent of its capacity.
        percent: u32,
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
                "chosen: number {rank} for this content, those before it are full or warm"
            ),
            Self::Spare { rank } => write!(
                f,
                "spare: number {rank} for this content, an earlier one has room"
            ),
            Self::Warm { rank, percent } => write!(
                f,
                "warm: number {rank} for this content, at {percent} % of its capacity, sends a part of its readers on"
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

    /// The edges to try, best first: the chosen one, then the others with room in the order of their places.
    pub fn usable(&self) -> impl Iterator<Item = &Edge> {
        let others = self
            .ranked
            .iter()
            .filter(|v| matches!(v.why, Why::Spare { .. } | Why::Warm { .. }))
            .map(|v| &v.edge);
        self.chosen().into_iter().chain(others)
    }
}
