//! An answer of HTTP/1.1 on its way: what is written of it, and what is not.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Response, StatusCode, header};
use hyper::body::Body as _;
use tokio::io::AsyncWrite;

use super::clock;
use super::given::SLICES_MAX;
use crate::body::{Body, Held};
use crate::fast::{status_line, write_header};
use crate::pace::PROGRESS_BYTES;

/// An answer on its way.
pub(super) struct Sending {
    /// What goes out next, in order.
    pending: VecDeque<Bytes>,
    /// Where more comes from.
    body: Option<Source>,
    /// Whether the connection ends with this answer.
    pub close: bool,
    held: Option<Held>,
    /// What the client took since it was last seen to be there.
    taken: usize,
}

/// A body that is not here as a whole.
struct Source {
    body: Body,
    framing: Framing,
}

/// How a body is delimited (RFC 9112, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are to come.
    Length(u64),
    Chunked,
}

/// Why nothing more goes out at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// The client takes nothing.
    Client,
    /// The next part is not here yet.
    Body,
}

impl Sending {
    /// The rest of an answer: `pending` goes out.
    pub(super) fn rest(pending: VecDeque<Bytes>, close: bool, held: Option<Held>) -> Self {
        Self {
            pending,
            body: None,
            close,
            held,
            taken: 0,
        }
    }

    /// A whole answer. It closes the connection if it says so, or if it is to be the last.
    pub(super) fn response(response: Response<Body>, head_only: bool, last: bool) -> Self {
        let (parts, body) = response.into_parts();
        let mut head = status_line(parts.status);
        for (name, value) in &parts.headers {
            write_header(&mut head, name, value.as_bytes());
        }
        let says_close = parts
            .headers
            .get(header::CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        let framing = framing(&parts, &body, head_only, &mut head);
        if last && !says_close {
            head.extend_from_slice(CLOSE);
        }
        if !parts.headers.contains_key(header::DATE) {
            clock::write_date(&mut head);
        }
        head.extend_from_slice(b"\r\n");
        Self {
            pending: VecDeque::from([head.into()]),
            body: framing.map(|framing| Source { body, framing }),
            close: last || says_close,
            held: None,
            taken: 0,
        }
    }

    /// Sends as much as goes at once. Ready when all is sent, or with the error that ends the connection. `moved` is set
    /// when the client took enough to count as one that reads.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        moved: &mut bool,
    ) -> Poll<Result<(), Failed>> {
        loop {
            // The head goes out together with the first part, if that is here.
            let is_behind = self.pending.iter().map(Bytes::len).sum::<usize>() < LITTLE;
            let waits_for_body = is_behind && self.body.is_some() && self.fill(cx)?.is_pending();
            if !self.pending.is_empty() {
                match self.write(stream, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failed::Write(error))),
                    Poll::Ready(Ok(())) => *moved |= self.has_moved(),
                }
            } else if self.body.is_none() {
                let flushed = ready!(Pin::new(stream).poll_flush(cx));
                return Poll::Ready(flushed.map_err(Failed::Write));
            } else if waits_for_body {
                // What a stream of its own keeps back for more goes out now.
                if let Poll::Ready(Err(error)) = Pin::new(stream).poll_flush(cx) {
                    return Poll::Ready(Err(Failed::Write(error)));
                }
                return Poll::Pending;
            }
        }
    }

    /// What a pending answer waits for.
    pub(super) fn waits(&self) -> Waits {
        match (self.pending.is_empty(), &self.body) {
            (true, Some(_)) => Waits::Body,
            _ => Waits::Client,
        }
    }

    /// Takes the next part of the body.
    fn fill(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Failed> {
        let Some(source) = &mut self.body else {
            return Ok(Poll::Ready(()));
        };
        let frame = match Pin::new(&mut source.body).poll_frame(cx) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(frame) => frame,
        };
        match frame {
            Some(Ok(frame)) => {
                if let Ok(part) = frame.into_data() {
                    source.framing.wrap(part, &mut self.pending)?;
                }
            }
            Some(Err(_)) => return Err(Failed::Body),
            None => {
                source.framing.end(&mut self.pending)?;
                self.body = None;
            }
        }
        Ok(Poll::Ready(()))
    }

    fn write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = ready!(self.offer(|slices| Pin::new(stream).poll_write_vectored(cx, slices)))?;
        Poll::Ready(self.wrote(written))
    }

    /// Sends as much as `stream` takes at once, of an answer that is here as a whole; true when that was all of it.
    pub(super) fn go_on(&mut self, stream: &mut impl io::Write, moved: &mut bool) -> io::Result<bool> {
        while !self.pending.is_empty() {
            match self.offer(|slices| stream.write_vectored(slices)) {
                Ok(written) => self.wrote(written)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            *moved |= self.has_moved();
        }
        Ok(true)
    }

    /// Gives what goes out next to `write`.
    fn offer<T>(&self, write: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = self.pending.len().min(SLICES_MAX);
        for (slice, part) in slices.iter_mut().zip(&self.pending) {
            *slice = IoSlice::new(part);
        }
        write(&slices[..count])
    }

    /// So much of it was taken.
    fn wrote(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        advance(&mut self.pending, written);
        self.taken += written;
        if let Some(note) = self.held.as_mut().and_then(|held| held.note.as_mut()) {
            note.left(self.pending.iter().map(Bytes::len).sum());
        }
        Ok(())
    }

    /// Whether the client took enough to count as one that reads.
    fn has_moved(&mut self) -> bool {
        let has_moved = self.pending.is_empty() || self.taken >= PROGRESS_BYTES;
        if has_moved {
            self.taken = 0;
        }
        has_moved
    }
}

/// Why an answer could not be sent to its end: the connection ends with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// The connection.
    #[error("the connection broke: {0}")]
    Write(#[source] io::Error),
    /// The body, which has said why.
    #[error("the body has not the length that was announced, or broke off")]
    Body,
}

/// Takes `count` bytes away from the front.
pub(super) fn advance(pending: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(first) = pending.front_mut() {
        if first.len() > count {
            first.advance(count);
            return;
        }
        count -= first.len();
        pending.pop_front();
    }
}

/// How the body is delimited, and the line that says so if there is none yet; `None` if there is no body to send.
fn framing(
    parts: &http::response::Parts,
    body: &Body,
    head_only: bool,
    head: &mut Vec<u8>,
) -> Option<Framing> {
    let has_none = parts.status.is_informational()
        || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let stated = parts.headers.get(header::CONTENT_LENGTH);
    let stated = stated.and_then(|value| value.to_str().ok()?.parse().ok());
    let length = stated.or_else(|| body.size_hint().exact());
    if has_none || head_only {
        return None;
    }
    match length {
        Some(0) if stated.is_none() => head.extend_from_slice(b"content-length: 0\r\n"),
        Some(length) if stated.is_none() => {
            head.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
        }
        Some(_) => {}
        None => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    Some(length.map_or(Framing::Chunked, Framing::Length))
}

impl Framing {
    /// Adds a part of the body to what goes out.
    fn wrap(&mut self, part: Bytes, out: &mut VecDeque<Bytes>) -> Result<(), Failed> {
        if part.is_empty() {
            return Ok(());
        }
        match self {
            Self::Length(left) => {
                // More than was announced would be taken for the next answer.
                *left = left.checked_sub(part.len() as u64).ok_or(Failed::Body)?;
                out.push_back(part);
            }
            Self::Chunked => {
                out.push_back(format!("{:x}\r\n", part.len()).into());
                out.push_back(part);
                out.push_back(Bytes::from_static(b"\r\n"));
            }
        }
        Ok(())
    }

    /// The body has ended.
    fn end(self, out: &mut VecDeque<Bytes>) -> Result<(), Failed> {
        match self {
            Self::Length(0) => Ok(()),
            Self::Length(_) => Err(Failed::Body),
            Self::Chunked => {
                out.push_back(Bytes::from_static(b"0\r\n\r\n"));
                Ok(())
            }
        }
    }
}

/// The line of an answer that is the last.
pub(super) const CLOSE: &[u8] = b"connection: close\r\n";
/// With less than this to write, the next part of the body is asked for first.
const LITTLE: usize = 4 << 10;
