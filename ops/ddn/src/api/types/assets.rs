//! Assets: who owns content, and where a file is found.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
