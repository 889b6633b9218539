//! The stream of one session, from the side that serves.

use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use iroh::endpoint::{RecvStream, SendStream};
use ledger::{Amount, Link};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::Error;
use crate::ddp::wire::{self, Code, Refuse, ToClient, ToServer, WireError};

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// It ended in order.
    #[error("in order")]
    Done,
    /// The other side is gone.
    #[error("the other side is gone: {0}")]
    Gone(WireError),
    /// This side ends it, and says why.
    #[error("refused: {}", .0.reason)]
    Refused(Refuse),
}

/// One stream.
pub(super) struct Line {
    send: SendStream,
    frames: mpsc::Receiver<Result<ToServer, WireError>>,
    _listening: AbortOnDropHandle<()>,
    timeout: Duration,
}

impl Line {
    pub fn new(send: SendStream, recv: RecvStream, timeout: Duration) -> Line {
        let (heard, frames) = mpsc::channel(FRAMES_MAX);
        let listening = tokio::spawn(listen(recv, heard));
        Line {
            send,
            frames,
            _listening: AbortOnDropHandle::new(listening),
            timeout,
        }
    }

    /// The next frame, waited for. May be cancelled.
    pub async fn next(&mut self) -> Result<ToServer, End> {
        let frame = self.frames.recv().await.unwrap_or(Err(WireError::Ended));
        frame.map_err(End::from)
    }

    /// The next frame, if it is here.
    pub fn next_here(&mut self) -> Option<Result<ToServer, End>> {
        match self.frames.try_recv() {
            Ok(frame) => Some(frame.map_err(End::from)),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(Err(End::Gone(WireError::Ended))),
        }
    }

    pub async fn write(&mut self, message: &ToClient) -> Result<(), End> {
        in_time(self.timeout, wire::write(&mut self.send, message)).await
    }

    pub async fn write_block(&mut self, cid: &Cid, block: &Bytes) -> Result<(), End> {
        in_time(self.timeout, wire::write_block(&mut self.send, Link(*cid), block)).await
    }

    /// Sends nothing more.
    pub fn finish(&mut self) {
        // It fails only if that was said before.
        let _ = self.send.finish();
    }

    /// Says why the session is over, and waits until that has arrived.
    pub async fn refuse(mut self, refuse: Refuse) {
        if self.write(&ToClient::Refuse(refuse)).await.is_ok() {
            self.finish();
            let _ = timeout(LAST_WORDS_TIME, self.send.stopped()).await;
        }
    }
}

/// Reads frames until the stream ends or sends what is none.
async fn listen(mut recv: RecvStream, heard: mpsc::Sender<Result<ToServer, WireError>>) {
    loop {
        let frame = wire::read(&mut recv).await;
        let is_last = frame.is_err();
        if heard.send(frame).await.is_err() || is_last {
            return;
        }
    }
}

async fn in_time(limit: Duration, writing: impl Future<Output = Result<(), WireError>>) -> Result<(), End> {
    match timeout(limit, writing).await {
        Ok(written) => written.map_err(End::from),
        Err(_) => Err(End::Gone(WireError::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// Ends a session for this reason; it will not go better.
pub(super) fn refuse(code: Code, reason: impl Into<String>) -> End {
    End::Refused(Refuse {
        code,
        reason: reason.into(),
        retry_ms: 0,
        missing: Amount::ZERO,
    })
}

/// As [`refuse`], but it may go better after a while.
pub(super) fn refuse_for_now(code: Code, reason: impl Into<String>, retry_ms: u64) -> End {
    End::Refused(Refuse {
        code,
        reason: reason.into(),
        retry_ms,
        missing: Amount::ZERO,
    })
}

impl From<WireError> for End {
    fn from(error: WireError) -> End {
        match error {
            WireError::TooLarge { .. } | WireError::Malformed(_) => refuse(Code::Protocol, error.to_string()),
            WireError::Ended | WireError::Io(_) => End::Gone(error),
        }
    }
}

impl From<Error> for End {
    /// What is wrong with the disk of this node is nobody else's business.
    fn from(error: Error) -> End {
        tracing::error!(%error, "cannot deliver");
        refuse_for_now(Code::Unable, "this node cannot read its disk", RETRY_UNABLE_MS)
    }
}

/// Frames that were read and not looked at yet: 1 MiB at most.
const FRAMES_MAX: usize = 16;
/// How long a refusal may take to arrive.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);
const RETRY_UNABLE_MS: u64 = 60_000;
