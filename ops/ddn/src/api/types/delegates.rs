//! Delegates: who decides the blocks, who stands for it, and votes.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/delegates`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DelegateList {
    /// The round that goes on, from 0.
    pub round: u64,
    /// Its first height.
    pub first: u64,
    /// Its last height.
    pub last: u64,
    /// How many seats there are.
    pub seats: u32,
    /// Everybody who can be elected, or sits: those who sit first, then by what counts for them.
    pub delegates: Vec<DelegateView>,
    /// The height at which this is so.
    pub height: u64,
}

/// A delegate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelegateView {
    /// Address of its account.
    pub address: String,
    /// Its delegate key, hex.
    pub key: String,
    /// Where its consensus engine is reached.
    pub engine: String,
    /// Whether it has a seat now.
    pub seat: bool,
    /// Whether it is this node.
    pub here: bool,
    /// `candidate`, `resigned`, `jailed` or `tombstoned`.
    pub standing: String,
    /// The first round in which it may return from jail; `null` if it is not jailed.
    pub until_round: Option<u64>,
    /// What it has locked for itself.
    #[schema(value_type = String)]
    pub own: Amount,
    /// All that is locked for it.
    #[schema(value_type = String)]
    pub votes: Amount,
    /// What of that counts.
    #[schema(value_type = String)]
    pub weight: Amount,
    /// What this node's wallets have locked for it.
    #[schema(value_type = String)]
    pub voted: Amount,
    /// What their votes have earned and not collected.
    #[schema(value_type = String)]
    pub earned: Amount,
    /// Height of its registration; 0 for those of the genesis.
    pub registered: u64,
}

/// Body of `POST /v1/delegates/register`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateRegister {
    /// Where others reach this node's consensus engine: `IP:PORT` or a multiaddr.
    pub engine: String,
    /// How many coins it locks for itself; they come from the wallet.
    #[schema(value_type = String)]
    pub stake: Amount,
    /// The wallet that pays.
    #[serde(default)]
    pub wallet: Option<String>,
}

/// Body of `POST /v1/delegates/update`: what is not given stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateUpdate {
    /// Where others reach this node's consensus engine.
    #[serde(default)]
    pub engine: Option<String>,
    /// Whether reveals begin anew, from a chain that was not used yet: a chain lasts for years.
    #[serde(default)]
    pub new_reveals: bool,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/delegates/{delegate}/vote` and `…/unvote`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoteOrder {
    /// How many coins are locked, or taken back.
    #[schema(value_type = String)]
    pub amount: Amount,
    /// The wallet whose coins they are.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}
