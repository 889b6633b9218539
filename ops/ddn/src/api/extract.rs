//! What handlers take from a request, with errors in the API's own form.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use cid::Cid;
use serde::de::DeserializeOwned;

use super::failure::Failed;

/// A JSON object as the body. Serde would read an array as an object whose fields are all absent.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        let Json(object) = Json::<serde_json::Map<_, _>>::from_request(request, state).await?;
        serde_json::from_value(object.into())
            .map(Self)
            .map_err(|error| Failed::bad_request(format!("the body does not fit: {error}")))
    }
}

/// A body of bytes, within the limit for bodies that are no uploads.
pub struct Raw(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = Failed;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failed> {
        Ok(Self(Bytes::from_request(request, state).await?))
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

impl From<BytesRejection> for Failed {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::bad_request(rejection.body_text()),
        }
    }
}

fn too_large() -> Failed {
    Failed::new(
        "too_large",
        "the body is larger than the setting admin.body_bytes_max allows",
    )
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::bad_request(rejection.body_text()),
        }
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
