//! The chain as others may begin with it: checkpoints, snapshots, backups.

use std::path::PathBuf;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::extract::{Body, blocking};
use super::failure::Failed;
use super::types::{BackupMade, BackupOrder, ErrorBody};
use super::{Answer, Shared, download, paths};

/// The media type of a snapshot.
const SNAPSHOT: &str = "application/vnd.ddn.snapshot";

/// All that a light client must know of the newest block: a checkpoint file.
#[utoipa::path(
    get, path = paths::CHAIN_CHECKPOINT,
    responses((status = 200, body = Vec<u8>, content_type = "application/json"), (status = "default", body = ErrorBody))
)]
pub async fn checkpoint(State(node): Shared) -> Result<Response, Failed> {
    let json = blocking(move || match node.chain.checkpoint() {
        Ok(checkpoint) => Ok(checkpoint.to_json()),
        Err(error @ chain::Error::NoBlock { .. }) => Err(Failed::new("busy", error.to_string())),
        Err(error) => Err(error.into()),
    })
    .await?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

/// The state at the tip, provable with the genesis alone: a node can begin with it.
#[utoipa::path(
    get, path = paths::CHAIN_SNAPSHOT,
    responses((status = 200, body = Vec<u8>, content_type = "application/vnd.ddn.snapshot"), (status = "default", body = ErrorBody))
)]
pub async fn snapshot(State(node): Shared) -> Response {
    let chain = node.chain.clone();
    let body = download::body(move |out| chain.write_snapshot(out).map(drop));
    ([(CONTENT_TYPE, SNAPSHOT)], body).into_response()
}

/// Copies the chain into a new data folder of this machine, from which a node can go on.
#[utoipa::path(
    post, path = paths::CHAIN_BACKUP, request_body = BackupOrder,
    responses((status = 200, body = BackupMade), (status = "default", body = ErrorBody))
)]
pub async fn backup(State(node): Shared, Body(order): Body<BackupOrder>) -> Answer<BackupMade> {
    let dir = PathBuf::from(order.dir);
    if !dir.is_absolute() {
        let text = format!("{}: a backup needs the whole path of its folder", dir.display());
        return Err(Failed::bad_request(text));
    }
    blocking(move || {
        let height = node.chain.backup(&dir)?.height;
        let dir = dir.display().to_string();
        Ok(BackupMade { dir, height })
    })
    .await
    .map(Json)
}
