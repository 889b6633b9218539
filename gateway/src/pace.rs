//! A connection that is cut when its client takes nothing for too long, and that gives way to others when its client
//! sends without end.
//!
//! Without this, a client that stops reading would hold the blocks of its answer, and its place among the requests,
//! for as long as it likes. One that takes a byte now and then is no better: only [`PROGRESS_BYTES`], or the end of what
//! there is to write, start the time again. Reading needs no such guard: the HTTP server has its own for the head of a
//! request.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop;
use tokio::time::{Instant, Sleep, sleep};

/// A stream whose writes fail once nothing could be written for `limit`.
pub(crate) struct Paced<S> {
    inner: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
    /// Bytes written since the time began.
    written: usize,
}

/// A reader that takes less than this in the whole time is none: 270 bytes a second with the default of a minute.
pub(crate) const PROGRESS_BYTES: usize = 16 << 10;

/// Bytes that are read for one of the 128 steps of a task's turn: a turn is 8 KiB, or what was read at once.
const TURN_BYTES: usize = 64;

impl<S> Paced<S> {
    pub(crate) fn new(inner: S, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            timer: Box::pin(sleep(limit)),
            waiting: false,
            written: 0,
        }
    }

    /// Looks at a write: `took` bytes have gone, or all that there were.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        took: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = polled {
            self.written = self.written.saturating_add(result.as_ref().map_or(0, took));
            if self.written >= PROGRESS_BYTES {
                self.waiting = false;
            }
            return Poll::Ready(result);
        }
        if !self.waiting {
            self.waiting = true;
            self.written = 0;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.get_mut().inner).poll_read(cx, buffer))?;
        give_way(cx, buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

/// Counts what was read against what a task may do before others have their turn. Small frames and requests are many in
/// few bytes, so a client that sends them without a pause would have the thread for itself.
pub(crate) fn give_way(cx: &mut Context<'_>, bytes: usize) {
    for _ in 0..bytes / TURN_BYTES {
        match coop::poll_proceed(cx) {
            Poll::Ready(turn) => turn.made_progress(),
            // The next operation on a socket ends the turn.
            Poll::Pending => return,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.watch(cx, polled, |bytes| *bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, parts);
        this.watch(cx, polled, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(cx, polled, |()| PROGRESS_BYTES)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.watch(cx, polled, |()| PROGRESS_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Waker;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_cut() {
        let (ours, _theirs) = duplex(16);
        let mut paced = Paced::new(ours, Duration::from_millis(20));
        let error = paced.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_sends_without_end_lets_others_have_their_turn() {
        let (ours, mut theirs) = duplex(1 << 20);
        theirs.write_all(&[0; 1 << 20]).await.expect("room");
        let mut paced = Paced::new(ours, Duration::from_secs(60));
        let (mut turns, mut came) = (0, 0);
        let mut sink = [0; 8 << 10];
        poll_fn(|cx| {
            turns += 1;
            while came < 1 << 20 {
                let mut buffer = ReadBuf::new(&mut sink);
                ready!(Pin::new(&mut paced).poll_read(cx, &mut buffer)).expect("bytes");
                came += buffer.filled().len();
            }
            Poll::Ready(())
        })
        .await;
        assert!((64..=256).contains(&turns), "{turns} turns");
    }

    #[tokio::test]
    async fn progress_starts_the_time_again_and_single_bytes_do_not() {
        let (ours, _theirs) = duplex(16);
        let mut paced = Paced::new(ours, Duration::from_secs(60));
        let mut cx = Context::from_waker(Waker::noop());
        let mut step = |polled: Poll<io::Result<usize>>| {
            drop(paced.watch(&mut cx, polled, |bytes| *bytes));
            paced.timer.deadline()
        };
        let first = step(Poll::Pending);
        for _ in 0..100 {
            step(Poll::Ready(Ok(1)));
            assert_eq!(step(Poll::Pending), first);
        }
        step(Poll::Ready(Ok(PROGRESS_BYTES)));
        assert!(step(Poll::Pending) > first);
    }
}
