//! Who should serve whom: pure selection rules.
//!
//! Given what a node knows about the edges (its own measured round-trip times, their advertised capacity, the work
//! they have in hand), [`choose`] says which edge should serve a piece of content, in which order the others follow,
//! and why. It is not a membership list, measures nothing and opens no sockets.
//!
//! The rule, in three steps:
//!
//! 1. Of the edges that are alive, the [`Policy::near`] with the lowest round-trip time are *near*.
//! 2. The near edges are ranked by capacity-weighted rendezvous hashing of the content key: each edge wins a share of
//!    the keys in proportion to its capacity, and always the same keys, so that caches stay warm ([`rendezvous`]).
//! 3. The first in that order with less work in hand than [`Policy::bound_percent`] of its capacity serves: bounded
//!    loads, after Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018. When
//!    all near edges are at their bound the others follow, nearest first.
//!
//! Invariants, each with a property test:
//!
//! * no edge at its bound is chosen; if any usable edge has room, one is chosen;
//! * the answer depends on the set of edges, not on the order in which they are given;
//! * an edge that leaves moves only the keys that it had, and those that its successor among the near wins;
//! * all arithmetic is on integers, so every machine gives the same answer.

mod choice;
mod network;
pub mod rendezvous;

pub use choice::{Choice, Edge, EdgeId, Policy, Verdict, Why, choose};
pub use network::Network;
