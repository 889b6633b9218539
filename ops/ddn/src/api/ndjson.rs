//! Answers of one JSON value a line, for work that takes a while.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Lines ahead of a slow reader.
pub const LINES_AHEAD: usize = 16;
/// The media type.
pub const MEDIA_TYPE: &str = "application/x-ndjson";

/// An answer that has a line for each event, until the last sender is gone.
pub fn answer<T: Serialize + Send + 'static>(events: mpsc::Receiver<T>) -> Response {
    let lines = ReceiverStream::new(events).map(|event| {
        let mut line = serde_json::to_vec(&event).map_err(std::io::Error::other)?;
        line.push(b'\n');
        Ok::<_, std::io::Error>(Bytes::from(line))
    });
    (
        [(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")],
        Body::from_stream(lines),
    )
        .into_response()
}
