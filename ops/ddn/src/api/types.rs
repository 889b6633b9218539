//! The JSON that the admin API and its clients exchange: requests, answers, events, the error body.
//!
//! Both sides use these types, and the OpenAPI document is made from them, so none of the three can drift. They hold
//! no logic beyond conversions.
//!
//! Conventions:
//! * Amounts ([`Amount`]) are decimal strings of base units (1 coin = 10^8). Addresses are bech32m with the chain's
//!   prefix. CIDs are strings; hashes and keys are hex. Heights count blocks, `…_ms` are milliseconds since 1970.
//! * What is not known or does not apply is `null` in answers and may be left out of requests.
//! * `wallet` names the account that pays and owns; left out, it is `default`.
//! * `wait` (default true): answer when the transaction is final; otherwise answer as soon as it is on its way.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The body of every answer whose status is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorText,
}

/// A failure: a stable word for programs and one line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorText {
    /// A stable word: `bad_request`, `unauthorized`, `forbidden_host`, `not_found`, `bad_name`, `name_taken`, `not_yours`,
    /// `not_enough_coins`, `refused`, `missing_block`, `disk_full`, `upload_broken`, `too_large`, `busy`, `stopping`,
    /// `timeout`, `internal`.
    pub code: String,
    /// One line: what was wrong, on which object, what to do.
    pub message: String,
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
    /// The consensus engine, `IP:PORT`; `null` while it does not listen (a chain of one seat).
    pub engine: Option<String>,
    /// Addresses by which other nodes join; empty until the node has a mesh.
    #[serde(default)]
    pub mesh: Vec<String>,
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
    /// The chain's top-level domain, without dots.
    pub tld: String,
    /// Height of the newest block.
    pub height: u64,
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

/// Query of `POST /v1/publish`. The body is a tar stream of one file, folder or symlink.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PublishQuery {
    /// The name to point to the content, such as `alice.ddn`; taken if it is free. None: anchor the ownership only.
    pub name: Option<String>,
    /// `unixfs-v1-2025` (default) or `unixfs-v0-2015`.
    pub profile: Option<String>,
    /// Title of the asset, told with its ownership.
    pub title: Option<String>,
    /// The wallet that pays and owns.
    pub wallet: Option<String>,
    /// Whether to answer only when everything is final. Otherwise `done` comes as soon as the content is stored and
    /// served, without transactions.
    pub wait: Option<bool>,
}

/// One line of the answer to `POST /v1/publish` (application/x-ndjson). The last line is `done` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishEvent {
    /// How far it is.
    Progress(PublishProgress),
    /// It is done.
    Done(Published),
    /// It failed; nothing of it stays.
    Error(ErrorText),
}

/// How far a publish is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PublishProgress {
    /// What is being done.
    pub stage: PublishStage,
    /// Files stored.
    pub files: u64,
    /// Bytes of files stored.
    pub bytes: u64,
}

/// The stages of a publish, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PublishStage {
    /// The content is being received, chunked, hashed and stored.
    Storing,
    /// The content is stored and served; the commits are on their way into a block.
    Committing,
    /// The commits are final; the claims (ownership, name) are on their way into a block.
    Claiming,
}

/// The result of a publish. Also what `ddn publish --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Root of the content.
    pub cid: String,
    /// The name that points to it.
    pub name: Option<String>,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and symlinks.
    pub files: u64,
    /// The transaction that anchored the ownership; `null` if it was anchored before, or with `wait=false`.
    pub asset_tx: Option<String>,
    /// The transaction that pointed the name to it; `null` without a name, if it pointed there already, or with
    /// `wait=false`.
    pub name_tx: Option<String>,
    /// Height of the block that has the last of these transactions, or of the newest block if there was none to send;
    /// `null` with `wait=false`.
    pub height: Option<u64>,
    /// Something to know that is no failure: for example, that the content belongs to somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// With `wait=false`: the job that goes on, see `GET /v1/publish`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}

/// Answer of `GET /v1/publish`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublishJobs {
    /// Publishes under way, oldest first.
    pub jobs: Vec<PublishJob>,
    /// How the last ones ended since the node started, newest first, at most 64. Names that were registered without content
    /// are among them only if that failed.
    pub recent: Vec<PublishOutcome>,
}

/// A publish under way.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublishJob {
    /// The job.
    pub id: String,
    /// How far it is.
    pub stage: PublishStage,
    /// Root of the content, once it is stored.
    pub cid: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// When it began.
    pub started_ms: u64,
    /// Why it does not advance, if it meets an obstacle that may pass.
    pub problem: Option<String>,
}

/// How a publish ended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PublishOutcome {
    /// The job.
    pub id: String,
    /// Its last event: `done` or `error`.
    pub outcome: PublishEvent,
}

/// Answer of `GET /v1/resolve/{name}`: what the named router says. Absence is an answer, with status 200.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Resolved {
    /// The whole name in lower-case ASCII, without a final dot.
    pub name: String,
    /// Whether somebody holds it, and has records under it.
    pub status: ResolvedStatus,
    /// The height at which this is the answer.
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
    /// The edge that should serve it: the gateway's address. `null` if there is no content.
    pub edge: Option<String>,
    /// Why: one line each, in the order in which it was found.
    pub why: Vec<String>,
}

/// What a resolution says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedStatus {
    /// The owner's records.
    Found,
    /// Nobody holds the name, or its owner has no such undername.
    Absent,
    /// It is no name of this chain.
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

/// Query of the lists of names and assets.
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
    #[serde(default)]
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

/// The ownership of content. Answer of `GET /v1/assets/{cid}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetView {
    /// Root of the content.
    pub cid: String,
    /// Address of the owner.
    pub owner: String,
    /// Height of its anchoring.
    pub anchored: u64,
    /// Time of that block.
    pub anchored_ms: u64,
    /// What its first owner called it.
    pub title: Option<String>,
    /// The import profile, as its first owner said.
    pub profile: Option<String>,
    /// Bytes of all files, as its first owner said.
    pub bytes: Option<u64>,
    /// Files, as its first owner said.
    pub files: Option<u64>,
    /// All owners so far, oldest first; the last one is `owner`.
    pub history: Vec<AssetOwner>,
    /// Height at which the owner withdrew it.
    pub tombstone: Option<u64>,
    /// Whether this node holds the root block.
    pub held: bool,
    /// The height at which this is so.
    pub height: u64,
}

/// An owner in the history of an asset.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetOwner {
    /// Height since when.
    pub height: u64,
    /// Time of that block.
    pub time_ms: u64,
    /// Address.
    pub owner: String,
}

/// Answer of `GET /v1/assets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetList {
    /// The assets, by CID.
    pub assets: Vec<AssetView>,
}

/// Body of `POST /v1/assets/verify`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetVerify {
    /// The CIDs that the file or folder has, one for each import profile; 1 to 16.
    pub cids: Vec<String>,
}

/// Answer of `POST /v1/assets/verify`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetVerified {
    /// Where it was found: assets that it is, then assets that contain it.
    pub found: Vec<AssetFound>,
    /// How many anchored folders this node could look into.
    pub searched: u64,
    /// How many anchored folders it could not look into, since it does not hold (all of) them.
    pub not_held: u64,
}

/// An asset that is or contains what was asked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetFound {
    /// Which of the CIDs.
    pub cid: String,
    /// Where in the asset; empty if it is the asset itself.
    pub path: String,
    /// The asset.
    pub asset: AssetView,
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

/// Query of `GET /v1/chain/status`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChainStatusQuery {
    /// Whether to count all coins (default true), which reads the whole state.
    pub audit: Option<bool>,
}

/// Answer of `GET /v1/chain/status`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChainStatus {
    /// The chain's id.
    pub chain_id: String,
    /// CID of the genesis.
    pub genesis: String,
    /// The preset of the genesis.
    pub preset: String,
    /// Top-level domain of its names.
    pub tld: String,
    /// Prefix of its addresses.
    pub prefix: String,
    /// Height of the newest block; 0 is the genesis.
    pub height: u64,
    /// Time of that block.
    pub time_ms: u64,
    /// CID of its header.
    pub cid: String,
    /// Hash of its header, hex: what the delegates signed.
    pub header: String,
    /// Root of the state after it, hex.
    pub state_root: String,
    /// Usual time between blocks, in milliseconds.
    pub block_time_ms: u64,
    /// Seats of delegates.
    pub seats: u32,
    /// Addresses of the delegates that vote now.
    pub delegates: Vec<String>,
    /// What a transaction costs at least.
    #[schema(value_type = String)]
    pub fee: Amount,
    /// All coins by the genesis; `null` with `audit=false`.
    #[schema(value_type = Option<String>)]
    pub supply: Option<Amount>,
    /// All coins by counting accounts and pools; equals `supply`.
    #[schema(value_type = Option<String>)]
    pub accounted: Option<Amount>,
    /// Whether blocks go on.
    pub healthy: bool,
    /// If not: why.
    pub problem: Option<String>,
}

/// Answer of `GET /v1/chain/blocks/{height|latest}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BlockView {
    /// Height.
    pub height: u64,
    /// CID of the header.
    pub cid: String,
    /// Hash of the header, hex.
    pub header: String,
    /// Time.
    pub time_ms: u64,
    /// CID of the header before; of the genesis for height 1.
    pub parent: String,
    /// CID of the body.
    pub body: String,
    /// Root of the state after the block, hex.
    pub state_root: String,
    /// Address of the delegate that proposed it.
    pub proposer: String,
    /// Hash of the set that votes on it, hex.
    pub validators: String,
    /// Hash of the set that votes on the next, hex.
    pub next_validators: String,
    /// The round in which it was decided; above 0 if proposers missed their turn.
    pub round: u32,
    /// How many delegates signed it.
    pub signatures: u64,
    /// Its transactions, in order.
    pub txs: Vec<TxView>,
}

/// A transaction and what became of it. Answer of `GET /v1/chain/txs/{cid}`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TxView {
    /// CID of the transaction.
    pub cid: String,
    /// What became of it.
    pub status: TxStatus,
    /// Height of its block.
    pub height: Option<u64>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Address of the sender; this and the following are `null` for a transaction of which only the fate is known.
    pub sender: Option<String>,
    /// How many transactions of the sender came before it.
    pub nonce: Option<u64>,
    /// What the block's proposer gets.
    #[schema(value_type = Option<String>)]
    pub fee: Option<Amount>,
    /// `transfer`, `faucet`, `commit`, `name_register`, `asset_anchor`, …
    pub kind: Option<String>,
    /// The action with its arguments, as in the ledger; addresses in it are hex.
    #[schema(value_type = Option<Object>)]
    pub action: Option<serde_json::Value>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TxStatus {
    /// It is in a block, for ever.
    Included,
    /// It waits for a block.
    Pending,
    /// It was refused.
    Refused,
}

/// Answer of `POST /v1/chain/txs`, whose body is one transaction in DAG-CBOR.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TxSubmitted {
    /// CID of the transaction.
    pub tx: String,
}

/// Query of `GET /v1/chain/proof`, which answers with a proof bundle (application/cbor).
#[derive(Clone, Debug, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ProofQuery {
    /// What to prove: `name/alice` or `name/alice.ddn`, `asset/CID`, `account/ADDRESS`, or `0x` and the key in hex.
    pub key: String,
}

/// Answer of `GET /v1/repo/stat`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RepoStat {
    /// Blocks in the store.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Pinned roots.
    pub pins: u64,
}

/// One line of the answer to `POST /v1/repo/verify` and `POST /v1/repo/gc` (application/x-ndjson). The last line is
/// `verified`, `freed` or `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepoEvent {
    /// Blocks looked at so far.
    Progress(RepoAmount),
    /// The store was checked.
    Verified(RepoReport),
    /// Garbage was removed.
    Freed(RepoAmount),
    /// It failed.
    Error(ErrorText),
}

/// An amount of blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepoAmount {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a check of the store found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RepoReport {
    /// Blocks checked.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that are damaged.
    pub bad: Vec<RepoBad>,
    /// Blocks below pins that are not here.
    pub missing: Vec<RepoMissing>,
}

/// A damaged block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepoBad {
    /// Its CID.
    pub cid: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A block that is not here though it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepoMissing {
    /// The pinned root above it; `null` if it is not known which.
    pub root: Option<String>,
    /// Its CID.
    pub cid: String,
}

/// Answer of `GET /v1/repo/pins`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PinList {
    /// The pins, by CID.
    pub pins: Vec<PinView>,
}

/// A pinned root: it and all below it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinView {
    /// The root.
    pub cid: String,
    /// Why it is pinned, as whoever did it said.
    pub label: String,
}

/// Query of `POST /v1/repo/pins/{cid}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PinQuery {
    /// Why; default `user`.
    pub label: Option<String>,
}

/// Answer of `POST /v1/repo/import`, whose body is a CARv1 stream. Its roots are pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CarImported {
    /// Roots of the CAR.
    pub roots: Vec<String>,
    /// Blocks read.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Answer of requests that have nothing to tell: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Empty {}
