//! Names: resolved, listed, changed.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Answer of `GET /v1/resolve/{name}`: what the named router says. Absence is an answer, with status 200.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// The whole name in lower-case ASCII, without a final dot.
    pub name: String,
    /// Whether somebody holds it, and has records under it.
    pub status: ResolvedStatus,
    /// The chain that it is of, if that is another than the node's own.
    pub chain: Option<String>,
    /// The height of its chain at which this is the answer.
    pub height: u64,
    /// The time of that block.
    pub time_ms: u64,
    /// How long the answer may be kept, in seconds.
    pub ttl: u32,
    /// CID of the content; the same as `records.content`.
    pub content: Option<String>,
    /// All records; `null` if absent.
    pub records: Option<RecordSet>,
    /// Address of the owner.
    pub owner: Option<String>,
    /// Height of the last change.
    pub changed: Option<u64>,
    /// Height at which the name expires.
    pub expires: Option<u64>,
    /// What whoever registers the name in the next block pays beyond the rent: only of a name of this chain that has not been
    /// free for long.
    #[schema(value_type = Option<String>)]
    pub premium: Option<Amount>,
    /// Height from which that is nothing.
    pub premium_until: Option<u64>,
    /// The edge that should serve it: this node's gateway if it holds the content, else where the nearest other edge
    /// delivers (UDP). `null` if there is no content, or nobody to serve it.
    pub edge: Option<String>,
    /// Every edge that this node knows of, the chosen one first, and why it is chosen or not. Empty without content.
    pub edges: Vec<ResolvedEdge>,
    /// Gateways of nodes that can be asked, if it is delegated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ask: Vec<String>,
    /// Why: one line each, in the order in which it was found.
    pub why: Vec<String>,
}

/// An edge in the choice of who should serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResolvedEdge {
    /// Its node key, hex.
    pub node: String,
    /// This node's gateway, or where another one delivers (UDP).
    pub address: Option<String>,
    /// Where readers reach its gateway.
    pub gateway: Option<String>,
    /// Whether it is on the ledger.
    pub registered: bool,
    /// Round-trip time from here in microseconds; `null` if it was not measured.
    pub rtt_us: Option<u32>,
    /// Requests that it has in hand, as it says.
    pub load: u32,
    /// Requests that it serves at once: its weight in the choice.
    pub capacity: u32,
    /// Whether it should serve.
    pub chosen: bool,
    /// Why, or why not.
    pub why: String,
}

/// What a resolution says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedStatus {
    /// The owner's records.
    Found,
    /// Nobody holds the name, or its owner has no such undername.
    Absent,
    /// It is of another chain, and none of that chain's nodes has proven what it says.
    Delegated,
    /// It is no name of a chain that the node knows.
    Foreign,
}

/// The records of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordSet {
    /// CID of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// IPv4 addresses, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub a: Vec<Ipv4Addr>,
    /// IPv6 addresses, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub aaaa: Vec<Ipv6Addr>,
    /// Another name that this one stands for; not together with other records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Texts, at most 16 of at most 255 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub txt: Vec<String>,
    /// Mail servers, at most 16, as in `10 mail.example.org`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mx: Vec<String>,
    /// Servers of the service that the undername says, at most 16, as in `10 5 5060 sip.example.org`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub srv: Vec<String>,
    /// Who may issue certificates, at most 16, as in `0 issue letsencrypt.org`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caa: Vec<String>,
    /// How the name is reached by HTTPS, at most 16, as in `1 . alpn=h3,h2 port=8443`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub https: Vec<String>,
    /// The HTTP site that gateways serve under this name, where it has no content, as in `https://www.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Seconds that a resolver may keep these records, 1 to 604,800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u32>,
}

/// A registered name. Answer of `GET /v1/names/{name}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NameView {
    /// The registered name with the TLD, such as `alice.ddn`.
    pub name: String,
    /// Address of the owner.
    pub owner: String,
    /// Height of its registration.
    pub registered: u64,
    /// Height at which it expires.
    pub expires: u64,
    /// Whether it has expired at the newest block.
    pub expired: bool,
    /// Height from which anybody can register it, unless it is renewed before.
    pub free_at: u64,
    /// What whoever registers it in the next block pays beyond the rent; 0 while it is held, and once it is free for long.
    #[schema(value_type = String)]
    pub premium: Amount,
    /// Height from which there is no premium, unless it is renewed before.
    pub premium_until: u64,
    /// Height of the last change.
    pub changed: u64,
    /// How often it was changed.
    pub seq: u64,
    /// Records by undername; `""` is the name itself.
    pub records: BTreeMap<String, RecordSet>,
    /// The height at which this is so.
    pub height: u64,
}

/// Answer of `GET /v1/names`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NameList {
    /// The names, by label.
    pub names: Vec<NameView>,
}

/// Query of the list of names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OwnerQuery {
    /// Only what this address owns, or this wallet by its name. Left out: of all wallets of this node. `*`: of anybody.
    pub owner: Option<String>,
}

/// Answer of `GET /v1/names/{name}/history`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NameHistory {
    /// The registered name.
    pub name: String,
    /// Its changes, oldest first.
    pub changes: Vec<NameChange>,
}

/// One transaction that changed a name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NameChange {
    /// Height of the block.
    pub height: u64,
    /// Time of the block.
    pub time_ms: u64,
    /// The transaction.
    pub tx: String,
    /// Who sent it.
    pub sender: String,
    /// `name_register`, `name_set`, `name_renew`, `name_transfer` or `name_release`.
    pub kind: String,
    /// The undername, for `name_set`; `""` is the name itself.
    pub under: Option<String>,
    /// The new records, for `name_register` and `name_set`.
    pub records: Option<RecordSet>,
    /// The new owner, for `name_transfer`.
    pub to: Option<String>,
    /// Periods paid, for `name_renew`.
    pub periods: Option<u32>,
}

/// Body of `POST /v1/names/{name}/register` and `…/set`. `register` takes a registered name (`alice.ddn`) with its first
/// records; `set` replaces the record set of the name or undername, an empty set removes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameRecords {
    /// The whole new record set.
    pub records: RecordSet,
    /// The wallet.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/names/{name}/renew`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameRenew {
    /// How many periods to pay, at least 1.
    pub periods: u32,
    /// The wallet.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}
