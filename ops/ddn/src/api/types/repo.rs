//! The block store.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ErrorText;

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

/// Query of `POST /v1/repo/import`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ImportQuery {
    /// Whether the roots are pinned, all of whose blocks must be there then; default true.
    pub pin: Option<bool>,
}

/// Answer of `POST /v1/repo/import`, whose body is a CARv1 stream.
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
