//! The end of a connection in stages (RFC 9112, 9.6).
//!
//! A socket that is closed while its client still sends is reset by the system, and the reset may overtake the answer:
//! the client of a refusal would then never see why. So our side is shut first, and what comes is read and forgotten
//! until the client closes too, for so long and so many bytes at most. A gateway that stops does not wait for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::signal::{Ear, Word};

/// How long the client may take to close: several round trips of any line.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is read of it meanwhile, in bytes: what the buffers of both systems may hold.
const BYTES_MAX: usize = 4 << 20;
/// What is read at once.
const SINK_BYTES: usize = 16 << 10;

/// A stream whose shutdown waits for its client.
pub(super) struct Staged<S> {
    inner: S,
    /// Said when nobody is waited for any more.
    stop: Word,
    /// There once our side is shut.
    rest: Option<Box<Rest>>,
}

struct Rest {
    stop: Ear,
    timer: Pin<Box<Sleep>>,
    bytes: usize,
}

impl<S> Staged<S> {
    pub(super) fn new(inner: S, stop: Word) -> Self {
        Self {
            inner,
            stop,
            rest: None,
        }
    }

    pub(super) fn into_inner(self) -> S {
        self.inner
    }
}

impl Rest {
    fn new(stop: &Word) -> Box<Self> {
        Box::new(Self {
            stop: stop.ear(),
            timer: Box::pin(sleep(PATIENCE)),
            bytes: BYTES_MAX,
        })
    }

    /// Ready when the client has closed, or was waited for enough.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut sink = [0; SINK_BYTES];
        while self.bytes > 0 && self.timer.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut sink);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending if self.stop.hears(cx) => break,
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) if read.is_err() || buffer.filled().is_empty() => break,
                Poll::Ready(_) => self.bytes = self.bytes.saturating_sub(buffer.filled().len()),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Staged<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Staged<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        }
        let rest = this.rest.get_or_insert_with(|| Rest::new(&this.stop));
        rest.poll(&mut this.inner, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn what_the_client_still_sends_is_read() {
        let (ours, mut theirs) = duplex(16);
        let mut staged = Staged::new(ours, Word::default());
        let client = async {
            theirs.write_all(&[0; 4096]).await.expect("it is read");
            let mut answer = String::new();
            theirs.read_to_string(&mut answer).await.expect("an answer");
            drop(theirs);
            answer
        };
        let server = async {
            staged.write_all(b"no").await.expect("room");
            staged.shutdown().await
        };
        let (answer, shut) = tokio::join!(client, server);
        assert_eq!(answer, "no");
        shut.expect("an end");
    }

    #[tokio::test]
    async fn who_stops_waits_for_nobody() {
        let (ours, _theirs) = duplex(16);
        let stop = Word::default();
        stop.say();
        let mut staged = Staged::new(ours, stop);
        let ended = tokio::time::timeout(PATIENCE / 2, staged.shutdown()).await;
        ended.expect("at once").expect("an end");
    }

    #[tokio::test(start_paused = true)]
    async fn no_client_is_waited_for_for_ever() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut staged = Staged::new(ours, Word::default());
        let since = tokio::time::Instant::now();
        staged.shutdown().await.expect("an end");
        assert!(since.elapsed() >= PATIENCE);
        let (ours, mut busy) = duplex(1 << 16);
        let mut staged = Staged::new(ours, Word::default());
        let since = tokio::time::Instant::now();
        let flood = async { while busy.write_all(&[0; 4096]).await.is_ok() {} };
        let end = async {
            staged.shutdown().await.expect("an end");
            drop(staged);
        };
        tokio::join!(flood, end);
        assert!(since.elapsed() < PATIENCE);
        theirs.shutdown().await.expect("an end");
    }
}
