//! The payee's side: what was delivered, vouched for and claimed.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Answer of `GET /v1/earn`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EarnStatus {
    /// Address that deliveries are paid to now.
    pub payee: String,
    /// Price of a MiB that this node asks now.
    #[schema(value_type = String)]
    pub price: Amount,
    /// All escrows together.
    #[serde(flatten)]
    pub total: Earned,
    /// Each escrow that ever paid, or owes.
    pub escrows: Vec<EarnView>,
    /// Bytes of blocks that have left in this calendar month (UTC), paid or not.
    #[serde(default)]
    pub month_bytes: u64,
    /// How many may leave in a month; 0: any number.
    #[serde(default)]
    pub month_bytes_max: u64,
    /// Claims that were begun and are not settled: `earn claim` finishes them.
    pub claims_open: u64,
    /// The height at which this is so.
    pub height: u64,
}

/// What was earned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Earned {
    /// What payers have signed vouchers for, and what this node has counted for those who trust in its count.
    #[schema(value_type = String)]
    pub earned: Amount,
    /// What of that was claimed on the ledger.
    #[schema(value_type = String)]
    pub claimed: Amount,
    /// What of it was not.
    #[schema(value_type = String)]
    pub unclaimed: Amount,
    /// What was delivered and not paid for yet.
    #[schema(value_type = String)]
    pub owed: Amount,
    /// Bytes that were paid for.
    pub bytes: u64,
    /// Bytes that were delivered and given up, since their payer left.
    pub lost_bytes: u64,
}

/// What one escrow owes one payee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarnView {
    /// The escrow's id, hex.
    pub escrow: String,
    /// Address of who opened it; `null` if it is not on the ledger any more.
    pub payer: Option<String>,
    /// Address that is paid.
    pub payee: String,
    /// The asset whose shares are taken off when it is claimed; `null` for deliveries of all others.
    #[serde(default)]
    pub asset: Option<String>,
    /// Whether this node has counted it by itself, and its payer trusts in that as far as it has set coins aside for it. An
    /// escrow may be here twice.
    #[serde(default)]
    pub metered: bool,
    /// What was earned.
    #[serde(flatten)]
    pub earned: Earned,
    /// What of the unclaimed the ledger would pay now.
    #[schema(value_type = String)]
    pub collectible: Amount,
    /// The last height at which a claim is sure to be paid, if there is one: after it the escrow can be closed, or nothing
    /// is set aside any more for what was counted.
    pub claim_until: Option<u64>,
}

/// Body of `POST /v1/earn/claim`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EarnClaim {}

/// Answer of `POST /v1/earn/claim`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claimed {
    /// What the claims have paid to this node's accounts.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// What more of them went to others by the shares of assets.
    #[serde(default)]
    #[schema(value_type = String)]
    pub shared: Amount,
    /// How many transactions were sent for them; 0 if there was nothing to claim.
    pub transactions: u64,
    /// The receipts that are provable on the ledger by them.
    pub receipts: u64,
    /// Height of the last of these transactions; of the newest block if there was none.
    pub height: u64,
    /// Each claim, oldest first.
    pub claims: Vec<ClaimView>,
}

/// One claim on the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimView {
    /// Address that was paid.
    pub payee: String,
    /// Merkle root of its receipts, hex; `null` if it had none.
    pub root: Option<String>,
    /// How many receipts.
    pub receipts: u64,
    /// What it has paid to that address.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// What more of it went to others by the shares of assets.
    #[serde(default)]
    #[schema(value_type = String)]
    pub shared: Amount,
    /// Its transactions; empty if they were final before, and only the books were brought up to date.
    pub txs: Vec<String>,
    /// Height of the last of them.
    pub height: u64,
}

/// Query of `GET /v1/earn/receipts`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReceiptQuery {
    /// From this number on; default 0.
    pub from: Option<u64>,
    /// At most so many, 1 to 1000; default 100.
    pub max: Option<usize>,
}

/// Answer of `GET /v1/earn/receipts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReceiptList {
    /// The receipts, oldest first.
    pub receipts: Vec<ReceiptView>,
    /// Where the list goes on; `null` at its end.
    pub next: Option<u64>,
}

/// A delivery that its receiver has acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptView {
    /// Its number in this node's books.
    pub seq: u64,
    /// Its id, hex.
    pub id: String,
    /// When it was written.
    pub time_ms: u64,
    /// Root of what was delivered.
    pub root: String,
    /// The session, hex.
    pub session: String,
    /// Payload bytes of the session so far.
    pub bytes: u64,
    /// Blocks of the session so far.
    pub blocks: u64,
    /// Price of a MiB.
    #[schema(value_type = String)]
    pub price: Amount,
    /// Address that is paid.
    pub payee: String,
    /// The escrow that pays, hex; `null` for a delivery that was free.
    pub escrow: Option<String>,
    /// What the escrow's voucher came to with this delivery, over all sessions.
    #[schema(value_type = Option<String>)]
    pub vouched: Option<Amount>,
    /// Merkle root of the claim that it is in, hex; `null` until it is claimed.
    pub claim: Option<String>,
}
