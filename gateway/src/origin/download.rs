//! Bodies of origins as they come: each part in its time, without trailers.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::exchange::Line;
use super::flight::Source;

/// The next bytes of a body, as long as they come in time.
pub(super) async fn next(body: &mut Incoming, patience: Duration) -> io::Result<Option<Bytes>> {
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the origin sends nothing more");
    tokio::time::timeout(patience, part(body)).await.map_err(silent)?
}

/// The next bytes of a body; trailers are not passed on.
pub(super) async fn part(body: &mut Incoming) -> io::Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        let part = frame.map_err(io::Error::other)?.into_data().unwrap_or_default();
        if !part.is_empty() {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

/// What is left of a body, behind what was read of it already.
pub(super) struct Rest {
    pub first: std::vec::IntoIter<Bytes>,
    pub body: Incoming,
    pub patience: Duration,
    /// The connection that it comes by.
    pub _line: Line,
}

impl Source for Rest {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match self.first.next() {
            Some(part) => Ok(Some(part)),
            None => next(&mut self.body, self.patience).await,
        }
    }
}
