//! What a client sends, for code that reads and blocks.

use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tokio_util::sync::CancellationToken;

/// The pieces of an upload as they come in.
pub type Upload = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Pieces between the connection and the reading thread; a piece is what came in one read.
const PIECES_AHEAD: usize = 16;

/// The body of a request as an upload.
pub fn of(body: axum::body::Body) -> Upload {
    Box::pin(
        body.into_data_stream()
            .map(|piece| piece.map_err(io::Error::other)),
    )
}

/// The upload as a blocking reader, and the future that feeds it, which must be polled while the reader is read. The
/// reader ends with the upload, and with an error if it breaks, brings nothing for `patience`, or `stop` begins. When the
/// reader is dropped early, the rest of the upload is not read.
pub fn reader(
    upload: &mut Upload,
    stop: CancellationToken,
    patience: Duration,
) -> (impl Read + Send + 'static, impl Future<Output = ()>) {
    let (pieces, read) = mpsc::channel::<io::Result<Bytes>>(PIECES_AHEAD);
    let feed = async move {
        loop {
            let piece = tokio::select! {
                piece = next(upload, &stop, patience) => piece,
                () = pieces.closed() => return,
            };
            let Some(piece) = piece else { return };
            let broken = piece.is_err();
            if pieces.send(piece).await.is_err() || broken {
                return;
            }
        }
    };
    (
        SyncIoBridge::new(StreamReader::new(ReceiverStream::new(read))),
        feed,
    )
}

async fn next(
    upload: &mut Upload,
    stop: &CancellationToken,
    patience: Duration,
) -> Option<io::Result<Bytes>> {
    tokio::select! {
        () = stop.cancelled() => Some(Err(io::Error::other("the node is stopping"))),
        piece = tokio::time::timeout(patience, upload.next()) => piece.unwrap_or_else(|_| {
            let text = format!("no byte came for {} s", patience.as_secs());
            Some(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
        }),
    }
}
