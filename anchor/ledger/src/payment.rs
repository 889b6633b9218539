//! Paid delivery: what is owed, who promised what, and how it is proved.
//!
//! A payer puts coins into an *escrow*, which names the *voucher key* that may spend them. For each payee there is one
//! cumulative *voucher*: only the highest counts, so a copy is worth nothing and no table of serial numbers is needed.
//! What is owed is `ceil(sum of bytes × price / 2^20)`, over all sessions of a pair, computed by both sides from the same
//! integers ([`Owed`]).
//!
//! The payee keeps a [`Tab`] for each pair, the payer a [`Purse`]. Neither trusts the other:
//! * The payee lets one window leave unpaid ([`Tab::room`]), and nothing beyond what the ledger would pay
//!   ([`Tab::covered`]). So what it can lose is at most one window or the float, whichever is more. It writes losses off
//!   ([`Tab::fault`]) and remembers them: in all at most `first_window`, an eighth of what it was paid for, and one
//!   window more; from then on the payer pays ahead.
//! * The payer signs for bytes that it has verified, and for at most one window ahead where the payee asks for that.
//!
//! The payee's [`Statement`]s and the vouchers that acknowledge them make [`Receipt`]s. A claim on the ledger carries the
//! root of a tree of receipts, so that each delivery can be proved with the genesis alone ([`DeliveryProof`]).
//!
//! What a node has signed and cannot have meant honestly is a [`FraudProof`].
//!
//! Where deliveries of an asset are split between the payee and others, its vouchers name it, and are apart from all others
//! ([`Split`]).

mod claiming;
mod delivery;
mod fraud;
mod messages;
mod owed;
mod purse;
mod receipt;
mod split;
mod tab;
mod tree;

pub use claiming::{ClaimTerms, FEES_WORTH, Unclaimed, is_claim_due};
pub use delivery::{DeliveryProof, VerifiedDelivery, verify_delivery};
pub use fraud::{FraudProof, Offence};
pub(crate) use messages::same;
pub use messages::{Quote, SessionTerms, Statement, Voucher, VoucherError};
pub use owed::Owed;
pub use purse::Purse;
pub use receipt::{MAX_RECEIPT_BYTES, Receipt, contradict};
pub use split::{Share, Split, split_account};
pub use tab::{CreditTerms, Tab, collectible};
pub use tree::{check_path, receipt_path, receipts_root};
