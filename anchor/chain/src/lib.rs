//! How nodes agree on the ledger, and what each keeps of it.
//!
//! A [`Chain`] is one node's copy of a chain. A delegate takes part in consensus through the embedded engine (`engine`);
//! a follower fetches and verifies what they decided (`sync`). Both run every block (`execute`), keep blocks and state
//! with their Merkle tree on RocksDB (`committer`, `store`), collect transactions (`mempool`), and watch whether all of
//! this lives (`monitor`). What the ledger means is the `ledger` crate's business; this crate adds clock, disk and
//! network.
//!
//! Invariants:
//! * A block that a certificate decided is durable before anybody hears of it, in one atomic write with its state.
//! * Nothing is signed twice, whatever files are lost: the signer's journal is on the disk before a signature leaves.
//! * A tip never goes back.
//! * A follower keeps no block that is not certified by the delegates of its own state, or that ends in another state.

mod chain;
mod clock;
mod committer;
mod config;
mod engine;
mod error;
mod execute;
mod level;
mod mempool;
mod metrics;
mod monitor;
mod signatures;
mod store;
mod sync;
mod tip;

pub use chain::{Chain, Fate, Role, restore};
pub use config::Config;
pub use engine::{REVEAL_GENERATIONS, engine_peer_id};
pub use error::{Error, SubmitError};
pub use monitor::{Failure, Health};
pub use store::View;
pub use sync::{Fault, Gossip, Peers, SyncStatus, Verdict};
pub use tip::Tip;
