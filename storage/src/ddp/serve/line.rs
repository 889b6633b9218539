//! The stream of one session, from the side that serves.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::FutureExt as _;
use iroh::endpoint::{RecvStream, SendStream};
use ledger::{Amount, Link};
use tokio::time::timeout;

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
    reading: Reading,
    timeout: Duration,
}

/// A frame that is being read; it goes on where it was, however often it is waited for.
type Reading = Pin<Box<dyn Future<Output = (RecvStream, Result<ToServer, WireError>)> + Send>>;

impl Line {
    pub fn new(send: SendStream, recv: RecvStream, timeout: Duration) -> Line {
        Line {
            send,
            reading: Box::pin(read(recv)),
            timeout,
        }
    }

    /// The next frame, waited for. May be cancelled.
    pub async fn next(&mut self) -> Result<ToServer, End> {
        let (recv, frame) = (&mut self.reading).await;
        self.reading = Box::pin(read(recv));
        frame.map_err(End::from)
    }

    /// The next frame, if it is here.
    pub fn next_here(&mut self) -> Option<Result<ToServer, End>> {
        self.next().now_or_never()
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

async fn read(mut recv: RecvStream) -> (RecvStream, Result<ToServer, WireError>) {
    let frame = wire::read(&mut recv).await;
    (recv, frame)
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

/// How long a refusal may take to arrive.
const LAST_WORDS_TIME: Duration = Duration::from_secs(2);
const RETRY_UNABLE_MS: u64 = 60_000;
