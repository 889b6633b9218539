//! What handlers take from a request, with errors in the API's own form.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query};
use axum::http::StatusCode;
use cid::Cid;

use super::failure::Failed;

/// A JSON body.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Failed))]
pub struct Body<T>(pub T);

/// Path parameters.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Failed))]
pub struct Segments<T>(pub T);

/// Query parameters.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Failed))]
pub struct Params<T>(pub T);

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new("too_large", "the body is larger than admin.body_bytes_max")
            }
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
