//! What handlers take from a request, with errors in the API's own form.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use cid::Cid;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::failure::Failed;
use crate::node::Node;

/// Bytes of a body that is too large which are still read. Whoever sends more sees a broken connection, not the answer.
const SWALLOWED_MAX: usize = 16 << 20;

/// A JSON object as the body. Serde would read an array as an object whose fields are all absent.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Node>> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &Arc<Node>) -> Result<Self, Failed> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, whole(body, state).await?.into());
        let Json(object) = Json::<serde_json::Map<_, _>>::from_request(request, state).await?;
        serde_json::from_value(object.into())
            .map(Self)
            .map_err(|error| Failed::bad_request(format!("the body does not fit: {error}")))
    }
}

/// A body of bytes, within the limit for bodies that are no uploads.
pub struct Raw(pub Bytes);

impl FromRequest<Arc<Node>> for Raw {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &Arc<Node>) -> Result<Self, Failed> {
        whole(request.into_body(), state).await.map(Self)
    }
}

/// All of a body, within the limit.
async fn whole(body: axum::body::Body, node: &Node) -> Result<Bytes, Failed> {
    let most = node.config.settings.admin.body_bytes_max.size();
    let (mut pieces, mut bytes, mut total) = (body.into_data_stream(), Vec::new(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Failed::bad_request(format!("the body broke off: {error}")))?;
        total += piece.len();
        if total <= most {
            bytes.extend_from_slice(&piece);
        } else if total > most + SWALLOWED_MAX {
            break;
        }
    }
    match total <= most {
        true => Ok(bytes.into()),
        false => Err(too_large()),
    }
}

/// Path parameters.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Failed))]
pub struct Segments<T>(pub T);

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Failed))]
pub struct Params<T>(pub T);

fn too_large() -> Failed {
    Failed::new(
        "too_large",
        "the body is larger than the setting admin.body_bytes_max allows",
    )
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Failed {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

/// A CID in text.
pub fn cid(text: &str) -> Result<Cid, Failed> {
    Cid::try_from(text).map_err(|error| Failed::bad_request(format!("`{text}` is not a CID: {error}")))
}

/// Runs blocking work on a thread for it.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    tokio::task::spawn_blocking(work).await?
}
