//! The JSON that the admin API and its clients exchange: requests, answers, events, the error body.
//!
//! Both sides use these types, and the OpenAPI document is made from them, so none of the three can drift. They hold
//! no logic beyond conversions.
//!
//! Conventions:
//! * Amounts ([`ledger::Amount`]) are decimal strings of base units (1 coin = 10^8). Addresses are bech32m with the chain's
//!   prefix. CIDs are strings; hashes and keys are hex. Heights count blocks, `…_ms` are milliseconds since 1970.
//! * What is not known or does not apply is `null` in answers and may be left out of requests.
//! * `wallet` names the account that pays and owns; left out, it is `default`.
//! * `wait` (default true): answer when the transaction is final; otherwise answer as soon as it is on its way.

mod assets;
mod chain;
mod delegates;
mod earn;
mod edges;
mod mesh;
mod names;
mod node;
mod pay;
mod publish;
mod repo;
mod wallet;

pub use assets::*;
pub use chain::*;
pub use delegates::*;
pub use earn::*;
pub use edges::*;
pub use mesh::*;
pub use names::*;
pub use node::*;
pub use pay::*;
pub use publish::*;
pub use repo::*;
pub use wallet::*;
