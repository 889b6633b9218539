//! The node as a whole: errors, the address file, status, settings.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every answer whose status is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorText,
}

/// A failure: a stable word for programs and one line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorText {
    /// A stable word: `bad_request`, `unauthorized`, `forbidden_host`, `not_found`, `no_such_method`, `bad_name`,
    /// `name_taken`, `name_reserved`, `not_yours`, `not_enough_coins`, `refused`, `missing_block`, `unavailable`, `disk_full`,
    /// `upload_broken`, `too_large`, `busy`, `stopping`, `timeout`, `internal`.
    pub code: String,
    /// One line: what was wrong, on which object, what to do.
    pub message: String,
    /// For `unavailable`: what each provider did, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// `DIR/node.json`: where the running node listens. It exists while the node is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeFile {
    /// The process.
    pub pid: u32,
    /// The node key's public half, hex.
    pub node_id: String,
    /// The chain that the node keeps.
    pub chain_id: String,
    /// The HTTP gateway, `IP:PORT`.
    pub gateway: String,
    /// The DNS server, UDP and TCP, `IP:PORT`.
    pub dns: String,
    /// This API, `IP:PORT`.
    pub admin: String,
    /// Deliveries of blocks to other nodes, UDP, `IP:PORT`.
    pub delivery: String,
    /// The relay, TCP, `IP:PORT`; left out if the node is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// The consensus engine, `IP:PORT`; `null` on a follower, which has none.
    #[serde(default)]
    pub engine: Option<String>,
    /// Addresses by which other nodes join: multiaddrs.
    pub mesh: Vec<String>,
    /// Whether only those join who have the key of the private network; left out if anybody may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private: bool,
}

/// Answer of `GET /v1/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NodeStatus {
    /// The program's version.
    pub version: String,
    /// The data folder.
    pub data: String,
    /// Seconds since the node became ready.
    pub uptime_s: u64,
    /// Whether the node does its work; as `/readyz`.
    pub ready: bool,
    /// If not ready: why.
    pub problem: Option<String>,
    /// Where it listens, and who it is.
    pub node: NodeFile,
    /// What it does on its chain.
    pub role: NodeRole,
    /// The chain's top-level domain, without dots.
    pub tld: String,
    /// By what a validator believes the signed zones of the DNS server.
    #[serde(default)]
    pub zones: Vec<ZoneAnchor>,
    /// Height of the newest block here.
    pub height: u64,
    /// Height of the newest block that any peer has told of, or of ours if that is newer.
    pub best: u64,
    /// Peers that it is connected to.
    pub peers: u64,
    /// Time of the newest block.
    pub time_ms: u64,
    /// Publishes under way.
    pub jobs: u64,
    /// Address of the default wallet.
    pub wallet: String,
    /// Its balance.
    #[schema(value_type = String)]
    pub balance: Amount,
}

/// By what a validator believes a signed zone, as lines of a zone file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ZoneAnchor {
    /// The zone, with a dot at its end.
    pub zone: String,
    /// The DS record: for the zone above, or for a resolver that starts to trust here.
    pub ds: String,
    /// The DNSKEY record.
    pub dnskey: String,
}

/// What a node does on its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// It makes blocks.
    Delegate,
    /// It verifies and keeps the blocks that delegates make.
    Follower,
}

/// Answer of `GET /v1/config` and of `ddn config show`: the settings in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigReport {
    /// The configuration file that was read.
    pub file: Option<String>,
    /// Every setting, by key.
    pub settings: Vec<ConfigSetting>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigSetting {
    /// `SECTION.KEY`.
    pub key: String,
    /// The value in force, as TOML.
    pub value: String,
    /// The default, as TOML.
    pub default: String,
    /// Where the value comes from: `default`, `file PATH`, `environment DDN_…` or `--set`.
    pub origin: String,
    /// What it does.
    pub help: String,
}
