//! The payer's side: escrows, what is set aside for whom, what was signed away.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/pay`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PayStatus {
    /// The escrows of this node's wallets, oldest first.
    pub escrows: Vec<EscrowView>,
    /// The most that this node pays for a MiB; dearer providers are not used.
    #[schema(value_type = String)]
    pub price_max: Amount,
    /// What deliveries have cost this node today (UTC).
    #[serde(default)]
    #[schema(value_type = String)]
    pub spent_today: Amount,
    /// The most that they cost in a day; "0": any amount.
    #[serde(default)]
    #[schema(value_type = String)]
    pub budget_day: Amount,
    /// The height at which this is so.
    pub height: u64,
}

/// An escrow: coins of a wallet from which deliveries are paid by vouchers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EscrowView {
    /// Its id, hex.
    pub escrow: String,
    /// Address that opened it and gets back what is left.
    pub payer: String,
    /// The key whose vouchers spend it, hex.
    pub voucher_key: String,
    /// Whether this node holds that key, so that it can pay from it.
    pub usable: bool,
    /// Whether this node pays from it now.
    pub in_use: bool,
    /// All that is in it.
    #[schema(value_type = String)]
    pub balance: Amount,
    /// The part of it that is set aside for certain payees.
    #[schema(value_type = String)]
    pub reserved: Amount,
    /// What this node has signed vouchers for that are not claimed yet, over all payees.
    #[schema(value_type = String)]
    pub signed_unclaimed: Amount,
    /// Height at which it was opened.
    pub opened: u64,
    /// Height at which its exit was asked for.
    pub exit: Option<u64>,
    /// The first height at which the exit can be finished, if it was asked for.
    pub closes_at: Option<u64>,
    /// Its payees, by address.
    pub payees: Vec<PayeeView>,
}

/// What one payee has of an escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayeeView {
    /// Address.
    pub payee: String,
    /// The asset whose shares are taken off when it is claimed; `null` for deliveries of all others.
    #[serde(default)]
    pub asset: Option<String>,
    /// Whether it counts by itself, and is trusted in that as far as `reserved` goes. A payee may be here twice.
    #[serde(default)]
    pub metered: bool,
    /// What is set aside for it.
    #[schema(value_type = String)]
    pub reserved: Amount,
    /// Height at which that ends; `null` if nothing was ever set aside.
    pub expires: Option<u64>,
    /// What it has claimed so far.
    #[schema(value_type = String)]
    pub claimed: Amount,
    /// What this node has signed vouchers for so far, claimed or not.
    #[schema(value_type = String)]
    pub signed: Amount,
    /// What of that is not claimed yet.
    #[schema(value_type = String)]
    pub unclaimed: Amount,
    /// What this node has verified and not signed for yet.
    #[schema(value_type = String)]
    pub due: Amount,
}

/// Body of `POST /v1/pay/open`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayOpen {
    /// How much goes into it.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The wallet that pays.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/pay/{escrow}/top-up`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayTopUp {
    /// How much is added.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The wallet that pays; left out, the one that opened the escrow.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/pay/{escrow}/allot`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayAllot {
    /// For whom: an address, a wallet of this node, or the node key of a registered edge.
    pub payee: String,
    /// How much is set aside for it from now on.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// For how many blocks; left out, those of a day.
    #[serde(default)]
    pub blocks: Option<u64>,
    /// For what the payee counts by itself, as a gateway does for its readers: it claims that without vouchers, and this
    /// is the most that it can claim so.
    #[serde(default)]
    pub metered: bool,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/pay/{escrow}/exit`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PayExit {
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Answer of what changes an escrow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EscrowSent {
    /// The escrow's id, hex.
    pub escrow: String,
    /// What was done: `open`, `top_up`, `allot`, `exit` (its first step) or `close` (its second).
    pub step: EscrowStep,
    /// The transaction.
    pub tx: String,
    /// Height of its block; `null` with `wait=false`.
    pub height: Option<u64>,
    /// After `exit`: the first height at which it can be finished; `null` with `wait=false`.
    pub closes_at: Option<u64>,
    /// After `allot`: the height at which what was set aside ends.
    pub expires: Option<u64>,
    /// After `close`: what goes back to the payer.
    #[schema(value_type = Option<String>)]
    pub returned: Option<Amount>,
}

/// A change of an escrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EscrowStep {
    /// It was opened.
    Open,
    /// Coins were added.
    TopUp,
    /// Coins were set aside for a payee.
    Allot,
    /// Its exit was asked for: payees have some time left to claim.
    Exit,
    /// What is left went back.
    Close,
}
