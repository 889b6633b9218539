//! What the consensus engine is told of the ledger: its context, what is signed, and how long it waits.
//!
//! Everything here is pure: no runtime, no sockets, no clock, no disk. `chain` runs the engine with it; the simulator in
//! `tests/sim` runs the engine's core with it, a whole network in one thread. What the ledger means is not decided here.
//!
//! Invariants:
//! * The engine accepts a precommit exactly if a certificate with it verifies.
//! * Two votes that the engine shows as an equivocation convict their signer on the ledger.
//! * Who proposes depends on the height, the round and the set alone.

mod certify;
mod context;
mod patience;
mod sign;

pub use certify::{certificate, commit_certificate, double_proposal, equivocation};
pub use context::{
    Address, Chain, Ed25519, Height, Key, Part, Proposal, Sig, Validator, ValidatorSet, Value, Vote,
    round_number,
};
pub use patience::height_params;
pub use sign::{Checker, proposal_bytes, sign_part, vote_bytes};
