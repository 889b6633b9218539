//! How nodes agree on the ledger, and what each keeps of it.
//!
//! A [`Chain`] is a seat on a chain: it takes part in consensus through the embedded engine (`engine`), runs every
//! block (`execute`), keeps blocks and state with their Merkle tree on RocksDB (`store`), collects transactions
//! (`mempool`), and watches whether all of this lives (`monitor`). What the ledger means is the `ledger` crate's
//! business; this crate adds clock, disk and network.
//!
//! Invariants:
//! * A block that a certificate decided is durable before anybody hears of it, in one atomic write with its state.
//! * Nothing is signed twice, whatever files are lost: the signer's journal is on the disk before a signature leaves.
//! * A tip never goes back.

mod chain;
mod config;
mod engine;
mod error;
mod execute;
mod mempool;
mod metrics;
mod monitor;
mod store;
mod tip;

pub use chain::{Chain, Fate};
pub use config::Config;
pub use engine::engine_peer_id;
pub use error::{Error, SubmitError};
pub use monitor::{Failure, Health};
pub use store::View;
pub use tip::Tip;
