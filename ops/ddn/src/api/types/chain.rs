//! The ledger: status, blocks, transactions, proofs.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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
    /// What to prove: `name/alice` or `name/alice.ddn`, `asset/CID`, `tag/TAG/CID`, `licence/CID/ADDRESS`,
    /// `account/ADDRESS`, `escrow/ID`, `line/ESCROW/ADDRESS`, `meter/ESCROW/ADDRESS`, `claim/ADDRESS/ROOT`, `edge/NODE`, or
    /// `0x` and the key in hex.
    pub key: String,
    /// After which block, of the last 1000; the newest if it is not given.
    pub height: Option<u64>,
}

/// Answer of `GET /v1/chains`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ChainList {
    /// By their ids.
    pub chains: Vec<OtherChain>,
}

/// A chain that the ledger follows.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct OtherChain {
    /// Its id.
    pub chain_id: String,
    /// CID of its genesis, as who registered it said.
    pub genesis: String,
    /// What its names end with.
    pub tld: String,
    /// What its addresses start with.
    pub prefix: String,
    /// Who registered it.
    pub owner: String,
    /// At which height of this ledger.
    pub registered: u64,
    /// Its newest height that is known here.
    pub height: u64,
    /// The time of that.
    pub time_ms: u64,
    /// Its heights through which entries can be proved.
    pub anchors: Vec<u64>,
    /// The height at which its validators signed two histories.
    pub forked: Option<u64>,
}

/// Body of `POST /v1/chains`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChainRegisterOrder {
    /// A checkpoint file of the other chain.
    #[schema(value_type = Object)]
    pub checkpoint: serde_json::Value,
    /// What its names end with.
    pub tld: String,
    /// What its addresses start with.
    pub prefix: String,
    /// The wallet.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Query of `POST /v1/chains/anchor`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AnchorQuery {
    /// The wallet.
    pub wallet: Option<String>,
    /// See the conventions.
    pub wait: Option<bool>,
}

/// Body of `POST /v1/chain/backup`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupOrder {
    /// The new folder: a whole path on the node's machine.
    pub dir: String,
}

/// Answer of `POST /v1/chain/backup`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BackupMade {
    /// The folder: a data folder with the chain and its genesis.
    pub dir: String,
    /// Height of the newest block in it.
    pub height: u64,
}
