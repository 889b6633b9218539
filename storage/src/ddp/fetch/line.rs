//! The stream of one session: frames in, frames out, and when the other side was heard last.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use iroh::endpoint::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;
use crate::ddp::wire::{self, ToClient, ToServer, WireError};

/// What the server sent.
pub(super) enum Frame {
    /// A block, not verified.
    Block(Cid, Bytes),
    /// Anything else.
    Other(Box<ToClient>),
}

/// One open stream.
pub(super) struct Line {
    send: SendStream,
    reading: Reading,
    heard: Arc<Heard>,
    silence: Duration,
}

/// A frame that is being read; it goes on where it was, however often it is waited for.
type Reading = Pin<Box<dyn Future<Output = (Ear, Result<Frame, WireError>)> + Send>>;

impl Line {
    /// Opens a stream. The server sees it with the first frame.
    pub async fn open(connection: &Connection, silence: Duration) -> Result<Line, Failure> {
        let streams = timeout(silence, connection.open_bi()).await;
        let streams = streams.map_err(|_| Failure::silent("took no stream", silence))?;
        let (send, recv) = streams.map_err(|error| Failure::lost(&error))?;
        let heard = Arc::new(Heard::new());
        let ear = Ear {
            recv,
            heard: Arc::clone(&heard),
        };
        Ok(Line {
            send,
            reading: Box::pin(read(ear)),
            heard,
            silence,
        })
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &ToServer) -> Result<(), Failure> {
        let sent = timeout(self.silence, wire::write(&mut self.send, frame)).await;
        sent.map_err(|_| Failure::silent("took nothing", self.silence))?
            .map_err(Failure::from)
    }

    /// The next frame; may be cancelled and called again. Waits for ever.
    pub async fn next(&mut self) -> Result<Frame, WireError> {
        let (ear, frame) = (&mut self.reading).await;
        self.reading = Box::pin(read(ear));
        frame
    }

    /// The next frame, if the server does not fall silent or take for ever.
    pub async fn next_in_time(&mut self, patience: Duration) -> Result<Frame, Failure> {
        let began = Instant::now();
        loop {
            let deadline = (self.heard().max(began) + self.silence).min(began + patience);
            match timeout_at(deadline, self.next()).await {
                Ok(frame) => return frame.map_err(Failure::from),
                Err(_) if self.heard() + self.silence > deadline && deadline < began + patience => {}
                Err(_) => return Err(Failure::silent("did not answer", began.elapsed())),
            }
        }
    }

    /// When the last byte came, or the stream was opened.
    pub fn heard(&self) -> Instant {
        self.heard.at()
    }

    /// Ends this side, and waits until the server has everything.
    pub async fn finish(mut self) {
        if self.send.finish().is_ok() {
            // A server that does not take its last voucher loses it.
            let _ = timeout(self.silence, self.send.stopped()).await;
        }
    }
}

async fn read(mut ear: Ear) -> (Ear, Result<Frame, WireError>) {
    let frame = read_frame(&mut ear).await;
    (ear, frame)
}

async fn read_frame(ear: &mut Ear) -> Result<Frame, WireError> {
    match wire::read(ear).await? {
        ToClient::Block { cid, bytes } => Ok(Frame::Block(cid.0, wire::read_block(ear, bytes).await?)),
        other => Ok(Frame::Other(Box::new(other))),
    }
}

/// Reads, and notes when something came.
struct Ear {
    recv: RecvStream,
    heard: Arc<Heard>,
}

impl AsyncRead for Ear {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = AsyncRead::poll_read(Pin::new(&mut self.recv), context, buffer);
        if buffer.filled().len() > before {
            self.heard.now();
        }
        polled
    }
}

/// A point in time that both ends of a line see.
struct Heard {
    began: Instant,
    ms: AtomicU64,
}

impl Heard {
    fn new() -> Heard {
        Heard {
            began: Instant::now(),
            ms: AtomicU64::new(0),
        }
    }

    fn now(&self) {
        self.ms
            .store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    fn at(&self) -> Instant {
        self.began + Duration::from_millis(self.ms.load(Ordering::Relaxed))
    }
}
