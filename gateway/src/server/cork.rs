//! Writes of one connection, gathered: what is written while the connection's task runs goes out when it has run.
//!
//! The HTTP/2 library flushes after each frame of data, which would be a record of TLS and a call of the system for each
//! of many small answers. Here a flush is only promised, and kept by [`Cork::gather`]. What waits is bounded: more is
//! handed on at once, together with it.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::talk::Talk;

/// The largest record of TLS. More at once gains nothing.
const HELD_BYTES_MAX: usize = 16 << 10;
/// Parts of one write; the HTTP/2 library has two.
const PARTS_MAX: usize = 8;

/// A stream whose writes are gathered; a clone is the same stream. All of them belong to one task.
pub(super) struct Cork<S>(Arc<Mutex<Corked<S>>>);

struct Corked<S> {
    stream: S,
    /// Written, and not handed on.
    held: BytesMut,
    /// Whether everything that was written is to go out.
    flush: bool,
    /// What the client may still say.
    talk: Talk,
    /// Whether it said more.
    excess: bool,
}

impl<S> Clone for Cork<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Corked {
            stream,
            held: BytesMut::new(),
            flush: false,
            talk: Talk::new(),
            excess: false,
        })))
    }

    /// A request has come, which may be so many bytes.
    pub(super) fn asked(&self, bytes: u64) {
        self.lock().talk.asked(bytes);
    }

    /// Whether the client said more than it may, which breaks the stream.
    pub(super) fn is_excess(&self) -> bool {
        self.lock().excess
    }

    /// Does `work`, which writes to this stream. What it flushes goes out whenever it waits, and when it ends; that the
    /// stream broke then is told at the end, if `work` does not tell before.
    pub(super) async fn gather<T, E: From<io::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            match self.lock().release(cx) {
                Poll::Ready(Err(error)) if polled.is_pending() => Poll::Ready(Err(error.into())),
                _ => polled,
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, Corked<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(self.take(cx, parts))?;
        self.talk.sent(written as u64);
        Poll::Ready(Ok(written))
    }

    /// Holds `parts`, or hands them on with what is held.
    fn take(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = parts.iter().map(|part| part.len()).sum::<usize>();
        if self.held.len() + bytes <= HELD_BYTES_MAX {
            parts.iter().for_each(|part| self.held.extend_from_slice(part));
            return Poll::Ready(Ok(bytes));
        }
        loop {
            let held = self.held.len();
            let mut all = [IoSlice::new(&self.held); PARTS_MAX];
            let count = parts.len().min(PARTS_MAX - 1);
            all[1..=count].copy_from_slice(&parts[..count]);
            let all = &all[usize::from(held == 0)..=count];
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, all))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written.min(held));
            if written > held {
                return Poll::Ready(Ok(written - held));
            }
        }
    }

    /// Keeps the promise of a flush.
    fn release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flush {
            return Poll::Ready(Ok(()));
        }
        while !self.held.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.held.advance(written),
            }
        }
        // A connection that waits holds no buffer.
        self.held = BytesMut::new();
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.flush = false;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (mut corked, before) = (self.lock(), buffer.filled().len());
        ready!(Pin::new(&mut corked.stream).poll_read(cx, buffer))?;
        if !corked.talk.hear(&buffer.filled()[before..]) {
            corked.excess = true;
            return Poll::Ready(Err(io::Error::other(
                "the client says more than its requests need",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lock().write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lock().write(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().flush = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut corked = self.lock();
        corked.flush = true;
        ready!(corked.release(cx))?;
        Pin::new(&mut corked.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn what_is_written_in_one_turn_comes_at_once() {
        let (ours, mut theirs) = duplex(64 << 10);
        let cork = Cork::new(ours);
        let mut stream = cork.clone();
        let mut buffer = [0; 16];
        let both = cork.gather(async {
            for part in ["one ", "two ", "three"] {
                stream.write_all(part.as_bytes()).await?;
                stream.flush().await?;
            }
            let read = theirs.read(&mut buffer).await?;
            Ok::<_, io::Error>(read)
        });
        let read = both.await.expect("a stream");
        assert_eq!(&buffer[..read], b"one two three");
    }

    #[tokio::test]
    async fn what_is_too_much_to_hold_goes_on_in_order() {
        let (ours, mut theirs) = duplex(1 << 10);
        let cork = Cork::new(ours);
        let mut stream = cork.clone();
        let sent: Vec<u8> = (0..5 * HELD_BYTES_MAX).map(|at| (at % 251) as u8).collect();
        let write = cork.gather(async {
            for part in sent.chunks(HELD_BYTES_MAX * 2 / 3) {
                stream.write_all(part).await?;
                stream.flush().await?;
            }
            stream.shutdown().await
        });
        let mut came = Vec::new();
        let (written, read) = tokio::join!(write, theirs.read_to_end(&mut came));
        written.and(read).expect("a stream");
        assert!(came == sent);
    }

    #[tokio::test]
    async fn a_broken_stream_ends_the_work() {
        let (ours, theirs) = duplex(1 << 10);
        drop(theirs);
        let cork = Cork::new(ours);
        let mut stream = cork.clone();
        let ended = cork.gather(async {
            stream.write_all(b"lost").await?;
            stream.flush().await?;
            std::future::pending::<io::Result<()>>().await
        });
        assert!(ended.await.is_err());
    }
}
