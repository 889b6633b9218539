//! Edges: who offers to deliver for coins, as the ledger has it and as this node sees it.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /v1/edges`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EdgeQuery {
    /// Only those that this address owns, or this wallet by its name. Left out or `*`: of anybody.
    pub owner: Option<String>,
}

/// Answer of `GET /v1/edges`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EdgeList {
    /// The edges on the ledger, by node, then this node and those that it only heard of.
    pub edges: Vec<EdgeView>,
    /// The height at which this is so.
    pub height: u64,
}

/// An edge, as the ledger has it, as it advertises itself, and as this node found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeView {
    /// Its node key, hex.
    pub node: String,
    /// Whether it is this node.
    pub here: bool,
    /// What the ledger says of it; `null` if it is not registered.
    pub entry: Option<EdgeEntryView>,
    /// What it offers now; `null` if this node has not heard from it lately.
    pub offer: Option<EdgeOfferView>,
    /// Round-trip time in microseconds, as this node measured it; `null` if it was never measured.
    pub rtt_us: Option<u32>,
    /// What came of asking it; `null` if this node has not asked it since it started.
    pub record: Option<EdgeRecord>,
}

/// What came of asking an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeRecord {
    /// Bytes that it gave.
    pub bytes: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What the last failure was.
    pub last_failure: Option<String>,
    /// For so many more seconds it is asked last, since it failed.
    pub rests_s: Option<u64>,
    /// For so many more seconds it is not asked at all, since it lied.
    pub left_out_s: Option<u64>,
}

/// The registration of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeEntryView {
    /// Address that may change it.
    pub owner: String,
    /// Address that its deliveries are paid to.
    pub payout: String,
    /// Price of a MiB (2^20 bytes).
    #[schema(value_type = String)]
    pub price: Amount,
    /// Requests that it serves at once.
    pub capacity: u32,
    /// Bytes that it delivers in a month at most; 0: no cap.
    pub traffic_max: u64,
    /// Height of its registration.
    pub registered: u64,
}

/// What an edge offers now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeOfferView {
    /// Where it delivers, `IP:PORT` over UDP.
    pub addresses: Vec<String>,
    /// Address that it wants to be paid to.
    pub payee: String,
    /// Price of a MiB.
    #[schema(value_type = String)]
    pub price: Amount,
    /// Requests that it serves at once.
    pub capacity: u32,
    /// Requests that it has in hand.
    pub load: u32,
    /// Its height of the ledger.
    pub height: u64,
    /// What it says to be wrong with itself: `clock`, `disk`, `behind`, `unreached`, `leaving`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ill: Vec<String>,
}

/// Body of `POST /v1/edges/register`, by which this node becomes an edge, and of `POST /v1/edges/{node}/set`. What is left
/// out is what the node offers by its settings (`register`), or what was registered before (`set`).
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeTerms {
    /// Price of a MiB.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub price: Option<Amount>,
    /// Requests at once.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// Address or wallet that is paid.
    #[serde(default)]
    pub payout: Option<String>,
    /// Bytes in a month at most; 0: no cap.
    #[serde(default)]
    pub traffic_max: Option<u64>,
    /// What is put up for its honesty, or added to that.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub bond: Option<Amount>,
    /// The wallet that owns the registration.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}
