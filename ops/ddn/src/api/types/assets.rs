//! Assets: who owns content, and where a file is found.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

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
    /// What its owner calls it.
    pub title: Option<String>,
    /// The import profile, as its first owner said.
    pub profile: Option<String>,
    /// Bytes of all files, as its first owner said.
    pub bytes: Option<u64>,
    /// Files, as its first owner said.
    pub files: Option<u64>,
    /// What it is found by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What a licence of it allows.
    pub licence: Option<String>,
    /// What a licence costs; `null` if none is sold.
    #[schema(value_type = Option<String>)]
    pub price: Option<Amount>,
    /// The licences of it that wallets of this node hold. Empty in lists.
    #[serde(default)]
    pub licences: Vec<AssetLicenceHeld>,
    /// Who gets a part of what deliveries of it earn.
    #[serde(default)]
    pub split: Vec<AssetShare>,
    /// All owners so far, oldest first; the last one is `owner`.
    pub history: Vec<AssetOwner>,
    /// Height at which the owner withdrew it.
    pub tombstone: Option<u64>,
    /// Whether this node holds the root block.
    pub held: bool,
    /// The height at which this is so.
    pub height: u64,
}

/// A part of what deliveries of an asset earn.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetShare {
    /// Address; `null` for whoever owns the asset.
    pub to: Option<String>,
    /// Basis points: hundredths of a percent.
    pub points: u16,
}

/// A licence that a wallet of this node holds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetLicenceHeld {
    /// The wallet.
    pub wallet: String,
    /// Its address.
    pub address: String,
    /// Height at which it was bought.
    pub height: u64,
    /// What was paid.
    #[schema(value_type = String)]
    pub price: Amount,
    /// What it allows, as the owner said then.
    pub licence: Option<String>,
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

/// Query of the list of assets. What is given must all be so.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AssetQuery {
    /// Only what this address owns, or this wallet by its name; `*`: of anybody. Left out: of all wallets of this node, or of
    /// anybody if something else is given.
    pub owner: Option<String>,
    /// Only what has this tag; withdrawn assets have none.
    pub tag: Option<String>,
    /// Only what this name of the chain points to, such as `alice.ddn` or `docs.alice.ddn`.
    pub name: Option<String>,
    /// Only the asset with this CID, of either version; or with this sha2-256 of its root block, 64 hex digits.
    pub hash: Option<String>,
}

/// Answer of `GET /v1/assets`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AssetList {
    /// The assets, by CID.
    pub assets: Vec<AssetView>,
}

/// Body of `POST /v1/assets/{cid}/set`: all that the owner says from now on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetTerms {
    /// A title, at most 128 bytes.
    #[serde(default)]
    pub title: Option<String>,
    /// Words that it is found by: at most 16, each 1 to 32 of `a-z`, `0-9` and `-`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What a licence allows: an SPDX identifier or other words, 1 to 64 bytes.
    #[serde(default)]
    pub licence: Option<String>,
    /// What a licence costs; none is sold without.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub price: Option<Amount>,
    /// The wallet.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
}

/// Body of `POST /v1/assets/{cid}/license`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssetLicense {
    /// Exactly what a licence costs now, so that nobody pays more than was meant.
    #[schema(value_type = String)]
    pub price: Amount,
    /// The wallet that pays and holds the licence.
    #[serde(default)]
    pub wallet: Option<String>,
    /// See the conventions.
    #[serde(default)]
    pub wait: Option<bool>,
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
