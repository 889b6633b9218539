//! What the ledger means: keys, amounts, names, assets, transactions, the state transition, certificates, proofs.
//!
//! Everything here is pure: no clock, no disk, no sockets, no task runtime, no consensus engine. Time, state and
//! randomness come in as arguments, so every node that is given the same input comes to the same result, and a light
//! client can link this crate alone.
//!
//! Invariants:
//! * The sum of all balances, pools, escrows, votes and bonds equals the supply of the genesis, after every block.
//! * A transaction that is refused leaves the state exactly as it was.
//! * What does not re-encode to the same bytes is not decoded: one meaning, one encoding, one CID.
//! * Every signature covers a domain tag and the chain id.

// `cargo fuzz` sets `fuzzing`.
#![allow(unexpected_cfgs)]

mod amount;
mod audit;
mod block;
mod bundle;
mod certificate;
mod codec;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod genesis;
mod hash;
mod keys;
mod light;
mod name;
mod origin;
pub mod payment;
mod proposer;
mod records;
mod reveals;
mod service;
mod signed;
mod state;
mod transition;
mod tx;
mod validators;

pub use amount::{Amount, COIN};
pub use audit::{Audit, audit};
pub use block::{Block, Body, Header};
pub use bundle::{Bundle, Foreign, MAX_BUNDLE_BYTES, StateProof, Through, Verified, verify, verify_through};
pub use certificate::{Certificate, VoteKind, proposal_bytes, vote_bytes};
pub use codec::{DecodeError, Link, MAX_DEPTH, MAX_OBJECT_BYTES, cid_of, decode, decode_within, encode};
pub use error::Error;
pub use genesis::{
    Balance, Delivery, Election, Faucet, Genesis, GenesisDelegate, KindFee, MAX_BLOCK_BYTES, Parts, Phase,
    Preset, Rent, Rewards,
};
pub use hash::Hash;
pub use keys::{Address, PublicKey, SecretKey, Signature, signed_bytes, verify_batch};
pub use light::{Checkpoint, LightBlock, Trust};
pub use name::{Label, NamePath};
pub use origin::Origin;
pub use payment::{
    ClaimTerms, CreditTerms, DeliveryProof, FEES_WORTH, FraudProof, MAX_RECEIPT_BYTES, Offence, Owed, Purse,
    Quote, Receipt, SessionTerms, Share, Split, Statement, Tab, Unclaimed, VerifiedDelivery, Voucher,
    VoucherError, check_path, collectible, contradict, is_claim_due, receipt_path, receipts_root,
    split_account, verify_delivery,
};
pub use proposer::{Order, proposer};
pub use records::Records;
pub use reveals::{REVEALS, Reveals};
pub use service::{Caa, Https, Mx, Srv};
pub use signed::{Message, Signed};
pub use state::{
    Account, Anchored, Asset, AssetMeta, Ballot, Bond, ChainEntry, ClaimEntry, CommitEntry, Conviction,
    Delegate, EdgeEntry, Entry, Escrow, Freed, Index, Leaving, Licence, Line, MemoryState, NameEntry,
    Ownership, Round, Standing, State, StateError, Tag, Tagged, Turns, escrow_id, key,
};
pub use transition::{
    Equivocation, MAX_CANDIDATES, Refusal, SignedVote, Step, Transition, check_form, reveal_tip,
};
pub use tx::{
    Action, Kind, MAX_CLAIM_VOUCHERS, MAX_TX_BYTES, Metered, Receipts, Tx, TxBody, edge_consent, first_forged,
};
pub use validators::{MAX_VALIDATORS, Validator, ValidatorSet};
