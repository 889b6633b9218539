//! What a node sends that is made by code that writes and blocks.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

use axum::body::{Body, Bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes per piece.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces ahead of a slow reader.
const PIECES_AHEAD: usize = 8;

/// A body of what `write` writes, from a thread of its own. If it fails the body breaks off, so that nobody takes a part
/// for the whole; the reason is in the log.
pub fn body<E: Display>(write: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static) -> Body {
    let (pieces, read) = mpsc::channel::<io::Result<Bytes>>(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let broken = pieces.clone();
        let mut out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
        let written = write(&mut out);
        let flushed = out.flush();
        if broken.is_closed() {
            return;
        }
        let failure = written
            .err()
            .map(|error| error.to_string())
            .or(flushed.err().map(|error| error.to_string()));
        if let Some(failure) = failure {
            tracing::warn!("a download broke off: {failure}");
            // The reader may leave in this moment.
            let _ = broken.blocking_send(Err(io::Error::other(failure)));
        }
    });
    Body::from_stream(ReceiverStream::new(read))
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(data);
        self.0
            .blocking_send(Ok(piece))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
