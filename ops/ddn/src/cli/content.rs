//! Content on its way: local files to the node as a tar stream, blocks from the node as a CAR stream.

use std::{
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::failure::{Failure, Outcome};

/// Bytes per piece of an upload: large enough that the channel costs nothing.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces between the thread that reads files and the connection: 2 MiB hide the disk's pauses.
const PIECES_AHEAD: usize = 8;

/// How long an upload that nobody takes any more may need to notice.
const READER_ENDS_WITHIN: Duration = Duration::from_secs(5);
/// One that is about to end does so within this.
const ANSWER_BEFORE_READER: Duration = Duration::from_millis(500);

/// How reading the files of an upload goes.
pub struct Reading(tokio::task::JoinHandle<Outcome>);

/// What a body does when what it is made of cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It ends early. For a tar stream: without its end mark, which the node refuses, and it answers when all that it
    /// had stored is gone again.
    Ends,
    /// It breaks off. For a CAR stream, which has no end mark.
    BreaksOff,
}

/// The body of a request: what `write` writes, from a thread of its own. When `write` fails, [`Reading`] knows why.
pub fn upload(
    broken: Broken,
    write: impl FnOnce(&mut dyn Write) -> Outcome + Send + 'static,
) -> (reqwest::Body, Reading) {
    let (pieces, body) = mpsc::channel::<io::Result<Bytes>>(PIECES_AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let mut out = Pieces {
            filling: BytesMut::with_capacity(PIECE_BYTES),
            pieces,
        };
        let outcome = write(&mut out).and_then(|()| Ok(out.flush()?));
        if outcome.is_err() && broken == Broken::BreaksOff {
            // The receiver may be gone; then there is nothing left to break off.
            let _ = out
                .pieces
                .blocking_send(Err(io::Error::other("the upload was given up")));
        }
        outcome
    });
    (
        reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(body)),
        Reading(reader),
    )
}

impl Reading {
    /// The failure that explains a broken upload: that of the files if there is one, else that of the answer.
    pub async fn blame(self, answer: Failure) -> Failure {
        // The answer to a stream that ends early may be here before its reader has said why it ended it.
        let within = match answer.code() {
            "node_lost" | "upload_broken" => READER_ENDS_WITHIN,
            _ => ANSWER_BEFORE_READER,
        };
        match tokio::time::timeout(within, self.0).await {
            Ok(Ok(Err(own @ Failure::Said { .. }))) => own,
            _ => answer,
        }
    }
}

struct Pieces {
    filling: BytesMut,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.filling.len();
        let taken = data.len().min(room);
        self.filling.extend_from_slice(&data[..taken]);
        if self.filling.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.filling, BytesMut::with_capacity(PIECE_BYTES)).freeze();
        self.pieces
            .blocking_send(Ok(piece))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Runs blocking work on its own thread; a panic there is reported, not passed on.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Outcome<T> + Send + 'static) -> Outcome<T> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|error| Failure::new("internal", format!("a worker broke down: {error}")))?
}

/// The body of an answer as a blocking reader, for [`blocking`] work.
pub fn body_reader(response: reqwest::Response) -> impl Read + Send + 'static {
    let body = StreamReader::new(Box::pin(response.bytes_stream().map_err(io::Error::other)));
    BufReader::with_capacity(PIECE_BYTES, SyncIoBridge::new(body))
}

/// The folder that a file is in.
pub fn parent(file: &Path) -> &Path {
    file.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The file or folder that a user names. A link is followed here; below it links are content.
pub fn named(path: &Path) -> Outcome<PathBuf> {
    let failed = |error: &io::Error| Failure::file("read", path, error);
    let meta = std::fs::symlink_metadata(path).map_err(|error| failed(&error))?;
    match meta.is_symlink() {
        true => path.canonicalize().map_err(|error| failed(&error)),
        false => Ok(path.to_owned()),
    }
}
