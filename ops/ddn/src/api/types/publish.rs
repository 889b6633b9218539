//! Publishing: what is asked, what is told on the way, how it ends.

use ledger::Amount;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::ErrorText;

/// Query of `POST /v1/publish`. The body is a tar stream of one file, folder or symlink.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PublishQuery {
    /// The name to point to the content, such as `alice.ddn`; taken if it is free. None: anchor the ownership only.
    pub name: Option<String>,
    /// `unixfs-v1-2025` (default) or `unixfs-v0-2015`.
    pub profile: Option<String>,
    /// Whether hidden files (`.name`) of the stream are taken too; left out by default.
    pub hidden: Option<bool>,
    /// Title of the asset, told with its ownership.
    pub title: Option<String>,
    /// Words that the asset is found by, with commas between them: at most 16, each 1 to 32 of `a-z`, `0-9` and `-`. Tags,
    /// licence and price count when the content is anchored; `POST /v1/assets/{cid}/set` changes them later.
    pub tag: Option<String>,
    /// What a licence of it allows: an SPDX identifier or other words, 1 to 64 bytes.
    pub licence: Option<String>,
    /// What a licence costs; none is sold without.
    #[param(value_type = Option<String>)]
    pub price: Option<Amount>,
    /// Who gets a part of what deliveries of it earn, for ever: `owner` (whoever owns it then), addresses or wallets, with
    /// percents, such as `owner=10,ddn1…=2.5`. At most 4 shares and 50 % in all. It counts when the content is anchored.
    pub share: Option<String>,
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
