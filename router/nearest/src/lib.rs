//! Who should serve whom: pure selection rules.
//!
//! Given what a node knows about the edges (its own measured round-trip times, their advertised capacity, the work
//! they have in hand), [`choose`] says which edge should serve a piece of content, in which order the others follow,
//! and why. It is not a membership list and opens no sockets: measurements, adverts and the time come in as arguments,
//! and randomness as a number.
//!
//! The rule, in four steps:
//!
//! 1. Of the edges that are alive, those with the lowest round-trip time are *near*: at most [`Policy::near`] with room,
//!    none farther than [`Policy::band_us`] behind the nearest with room, and the full ones among them.
//! 2. The near edges are ranked by capacity-weighted rendezvous hashing of the content key: each edge wins a share of
//!    the keys in proportion to its capacity, and always the same keys, so that caches stay warm ([`rendezvous`]).
//! 3. The first in that order with less work in hand than [`Policy::bound_percent`] of its capacity serves: bounded
//!    loads, after Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018. The others
//!    follow, nearest first.
//! 4. From [`Policy::warm_percent`] on an edge sends a growing part of its readers on to the next in the order, so hot
//!    content gets more homes, and a report of load that is seconds old moves a part of the readers and not all.
//!
//! What goes into it, and what keeps it honest:
//!
//! * own measurements of a peer ([`measure`]), suspicion ([`liveness`]) and the ladder by which it loses readers
//!   ([`ladder`]), up to the verdict of a quorum ([`quorum`], [`court`]);
//! * what edges say of themselves ([`advert`]), how much of it is believed ([`load`]), and who of them may serve at all
//!   ([`candidates`]);
//! * how far readers of a place are from edges, measured here ([`table`]) and told by others ([`digest`]); coordinates only
//!   say who is worth measuring ([`coordinate`], [`search`]);
//! * when a second edge is asked as well ([`hedge`]).
//!
//! Who counts as one client is here too ([`Prefix`]), and how often each may do something ([`Rate`], [`Crowd`]): all that
//! serve strangers ask the same.
//!
//! Invariants, each with a property test:
//!
//! * no edge at its bound is chosen; if any usable edge has room, one is chosen;
//! * the answer depends on the set of edges, not on the order in which they are given;
//! * an edge that leaves moves only the keys that it had, and those that its successors among the near win;
//! * all arithmetic is on integers, so every machine gives the same answer.

pub mod advert;
pub mod candidates;
mod choice;
pub mod coordinate;
mod counts;
pub mod court;
pub mod digest;
mod edges;
pub mod hedge;
pub mod ladder;
pub mod liveness;
pub mod load;
pub mod measure;
mod network;
mod prefix;
pub mod quorum;
pub mod rendezvous;
pub mod search;
pub mod table;
mod verdict;

pub use choice::{Policy, choose};
pub use counts::{Cells, Crowd, Rate};
pub use edges::{Edge, EdgeId, Edges};
pub use network::Network;
pub use prefix::Prefix;
pub use verdict::{Choice, Verdict, Why};
