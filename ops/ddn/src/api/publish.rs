//! Publishing: an upload in, progress out.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use super::extract::{Params, blocking};
use super::failure::Failed;
use super::types::{ErrorBody, PublishEvent, PublishJobs, PublishQuery};
use super::{Answer, Shared, ndjson, paths};
use crate::node::upload::{self, Upload};
use crate::node::{Phase, preflight};

/// How long the rest of an upload that was refused is read away. A client that is cut off while it sends may lose the
/// answer that lies in its receive buffer.
const READ_AWAY: Duration = Duration::from_secs(30);

/// Stores a tar stream of one file, folder or symlink, anchors its ownership and points a name to it.
///
/// The answer is a line for each event. Its status is 200 also when the last event is an `error`. If the client leaves
/// during the upload, nothing stays; if it leaves later, the publish goes on.
#[utoipa::path(
    post, path = paths::PUBLISH, params(PublishQuery),
    request_body(content = Vec<u8>, content_type = "application/x-tar"),
    responses(
        (status = 200, body = PublishEvent, content_type = "application/x-ndjson"),
        (status = "default", body = ErrorBody),
    )
)]
pub async fn publish(
    State(node): Shared,
    Params(query): Params<PublishQuery>,
    body: Body,
) -> Result<Response, Failed> {
    if node.phase() != Phase::Ready {
        return Err(Failed::new("busy", node.problem().unwrap_or_default()));
    }
    preflight::profile(&query).map_err(Failed::bad_request)?;
    let (tell, events) = mpsc::channel::<PublishEvent>(ndjson::LINES_AHEAD);
    let mut upload = upload::of(body);
    let tasks = node.tasks.clone();
    let node = Arc::clone(&node);
    tasks.spawn(async move {
        crate::node::publish::publish(&node, query, &mut upload, &tell).await;
        read_away(&node.stop, upload, &tell).await;
    });
    Ok(ndjson::answer(events))
}

async fn read_away(
    stop: &tokio_util::sync::CancellationToken,
    mut upload: Upload,
    tell: &mpsc::Sender<PublishEvent>,
) {
    let rest = async { while let Some(Ok(_)) = upload.next().await {} };
    tokio::select! {
        () = rest => {}
        () = tell.closed() => {}
        () = stop.cancelled() => {}
        () = tokio::time::sleep(READ_AWAY) => {}
    }
}

/// The publishes under way, and how the last ones ended.
#[utoipa::path(get, path = paths::PUBLISH, responses((status = 200, body = PublishJobs), (status = "default", body = ErrorBody)))]
pub async fn jobs(State(node): Shared) -> Answer<PublishJobs> {
    blocking(move || Ok(node.claims.list())).await.map(Json)
}
