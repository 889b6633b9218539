//! DDP, the data delivery protocol: blocks from node to node, verified and paid for.
//!
//! * [`Delivery`] is both halves of a node on one QUIC endpoint: it serves what its store holds (`serve`), and fetches
//!   what it does not hold (`fetch`, read through [`Remote`]).
//! * [`wire`] is what the two sides say to each other.
//! * `books` is what they remember: who had and promised what, and the receipts. It is in the store's database, so that a
//!   block and the debt for it are written together.
//!
//! Every rule of money is in [`ledger::payment`]. Whom to ask ([`Finder`]), who pays ([`Payer`]) and what the ledger says
//! ([`Funds`]) comes from outside.

mod books;
mod delivery;
mod endpoint;
mod fetch;
mod parts;
mod relay;
mod remote;
mod seats;
mod serve;
pub mod wire;

use std::time::{SystemTime, UNIX_EPOCH};

pub use books::{Batch, Count, CountRow, Purpose, PurseRow, ReceiptRow, TabRow, Traffic};
pub use delivery::Delivery;
pub use parts::{Budget, Config, Congestion, Finder, Funds, Outcome, Payer, Provider, RelayNode};
pub use relay::RelayConfig;
pub use remote::Remote;

/// Milliseconds since 1970, by this machine's clock.
fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
