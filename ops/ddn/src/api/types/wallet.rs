//! Accounts, coins, and what is common to all that sends a transaction.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Body of `POST /v1/names/{name}/transfer` and of `POST /v1/assets/{cid}/transfer`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferTo {
    /// Address of the new owner, or the name of a wallet of this node.
    pub to: String,
    /// The wallet that owns it now.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/names/{name}/release` and of `POST /v1/assets/{cid}/tombstone`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ByWallet {
    /// The wallet.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Answer of everything that sends a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sent {
    /// The transaction; `null` if `wait=false` and a commit has to be final first (`name register`).
    pub tx: Option<String>,
    /// Height of its block; `null` with `wait=false`.
    pub height: Option<u64>,
    /// The commit that came before it, if it is a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_tx: Option<String>,
}

/// An account whose key this node holds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WalletView {
    /// Its name on this node.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its public key, hex.
    pub public_key: String,
    /// What it has at the newest block.
    #[schema(value_type = String)]
    pub balance: Amount,
    /// Transactions sent so far.
    pub nonce: u64,
}

/// Answer of `GET /v1/wallet`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WalletList {
    /// The wallets, by name.
    pub wallets: Vec<WalletView>,
}

/// Any account. Answer of `GET /v1/accounts/{address}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Its address.
    pub address: String,
    /// What it has at `height`.
    #[schema(value_type = String)]
    pub balance: Amount,
    /// Transactions sent so far.
    pub nonce: u64,
    /// The height at which this is so.
    pub height: u64,
}

/// Body of `POST /v1/wallet/new`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletNew {
    /// A free name: 1 to 32 of `a-z 0-9 - _`.
    pub name: String,
}

/// Body of `POST /v1/wallet/import`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletImport {
    /// A free name: 1 to 32 of `a-z 0-9 - _`.
    pub name: String,
    /// The seed: 64 hex digits.
    pub seed: String,
}

/// Answer of `GET /v1/wallet/{name}/export`. Whoever reads it has the coins.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct WalletExport {
    /// The wallet's name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The seed: 64 hex digits.
    pub seed: String,
}

/// Body of `POST /v1/wallet/send`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletSend {
    /// Address that gets it, or the name of a wallet of this node.
    pub to: String,
    /// How much.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The wallet that pays.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}
