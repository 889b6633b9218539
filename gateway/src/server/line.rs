//! One connection of HTTP/1.1. Usual requests are read, answered and written here, with as little work as there can be:
//! an answer from memory is one look-up and one call of the system, and no memory is taken for it. Anything that is not
//! usual (`request`) is left to the HTTP library, together with the connection and the bytes that were read of it.
//!
//! A connection that waits holds no buffer: what comes is read into one of the thread's. A plain one need not wait here at
//! all (`lobby`).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, Version};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{self, Limited};
use super::given::{Given, SLICES_MAX};
use super::request::{Parsed, Usual, parse, room};
use super::sending::{Sending, Waits};
use super::service::{Quick, Served};
use super::signal::{Ear, Word};
use super::staged::Staged;
use super::watch::Watch;
use crate::body::{Body, Held};
use crate::fast::Way;
use crate::pace::give_way;

/// What a connection has behind it already.
#[derive(Default)]
pub(super) struct Began {
    /// What has come and is not answered.
    pub held: Vec<u8>,
    /// The answer that is on its way.
    pub sending: Option<Box<Sending>>,
}

/// Serves requests until the client ends the connection, or `stop` is said; an answer in flight is ended first. With
/// `rests`, until memory has answered all that was asked, too: then the connection is given back.
pub(super) async fn serve<S>(
    stream: S,
    served: Served,
    limits: Limited,
    stop: Word,
    began: Began,
    rests: bool,
) -> Option<(S, Served)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let line = Line {
        stream: Some(Staged::new(stream, stop.clone())),
        way: served.way(Version::HTTP_11),
        limits,
        unread: !began.held.is_empty(),
        held: began.held,
        phase: began.sending.map_or(Phase::Waiting, Phase::Sending),
        rests,
        watch: Watch::new(),
        stop: stop.ear(),
        served,
    };
    match line.await {
        End::Closed => {}
        End::Rests(stream, served) => return Some((stream.into_inner(), served)),
        End::Strange(stream, served, read) => {
            let rest = connection::unusual(read, stream, served, limits, stop.token());
            // Seldom, and much larger than a line: not in its place.
            Box::pin(rest).await;
        }
    }
    None
}

struct Line<S> {
    /// There until the end.
    stream: Option<Staged<S>>,
    served: Served,
    way: Way,
    limits: Limited,
    /// What has come and is not answered.
    held: Vec<u8>,
    /// Whether `held` has been looked at.
    unread: bool,
    phase: Phase,
    /// Whether it ends when memory has answered all that was asked.
    rests: bool,
    watch: Watch,
    stop: Ear,
}

enum Phase {
    Waiting,
    Deciding {
        answer: Pin<Box<dyn Future<Output = Response<Body>> + Send>>,
        head_only: bool,
    },
    Sending(Box<Sending>),
    /// The last answer has gone.
    Closing,
}

/// How a line ends.
enum End<S> {
    Closed,
    /// Memory has answered all that was asked.
    Rests(Staged<S>, Served),
    /// The HTTP library goes on, with what was read already.
    Strange(Staged<S>, Served, Vec<u8>),
}

/// What becomes of a connection next.
enum Next {
    Goes,
    Closes,
    Rests,
    Strange(Vec<u8>),
}

/// Buffers that the connections of a thread share.
pub(super) struct Buffers {
    pub input: Box<[u8]>,
    pub output: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            input: vec![0; INPUT_BYTES].into(),
            output: Vec::new(),
        }
    }
}

thread_local! {
    static SHARED: RefCell<Buffers> = RefCell::default();
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Line<S> {
    type Output = End<S>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<S>> {
        let this = self.get_mut();
        let next = loop {
            let next = match &mut this.phase {
                Phase::Waiting => this.receive(cx),
                Phase::Deciding { .. } => this.decide(cx),
                Phase::Sending(_) => this.send(cx),
                Phase::Closing => this.close(cx),
            };
            match next {
                Poll::Ready(Next::Goes) => {}
                Poll::Ready(next) => break next,
                Poll::Pending if this.is_overdue(cx) => break Next::Closes,
                Poll::Pending => return Poll::Pending,
            }
        };
        Poll::Ready(match (next, this.stream.take()) {
            (Next::Strange(read), Some(stream)) => End::Strange(stream, this.served.clone(), read),
            (Next::Rests, Some(stream)) => End::Rests(stream, this.served.clone()),
            _ => End::Closed,
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Reads requests, and answers those that memory can answer.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        SHARED.with_borrow_mut(|Buffers { input, output }| {
            if self.unread {
                self.unread = false;
                let held = std::mem::take(&mut self.held);
                return Poll::Ready(self.take(cx, &held, output));
            }
            if self.stop.hears(cx) && self.held.is_empty() {
                return Poll::Ready(Next::Closes);
            }
            let came = match ready!(self.read(cx, input)) {
                0 => return Poll::Ready(Next::Closes),
                came => &input[..came],
            };
            if self.held.is_empty() {
                // The time for the rest of a head begins with its first byte.
                self.watch.restart();
                return Poll::Ready(self.take(cx, came, output));
            }
            // A head ends with a line: what ends none is not worth another look at all of it.
            let is_more = came.contains(&b'\n') || self.held.len() + came.len() >= self.limits.head_bytes_max;
            self.held.extend_from_slice(came);
            if !is_more {
                return Poll::Ready(Next::Goes);
            }
            let held = std::mem::take(&mut self.held);
            Poll::Ready(self.take(cx, &held, output))
        })
    }

    /// Bytes that were read; none if the client has closed or broken the connection.
    fn read(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> Poll<usize> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(0);
        };
        let mut buffer = ReadBuf::new(input);
        let read = ready!(Pin::new(stream).poll_read(cx, &mut buffer));
        let came = read.map_or(0, |()| buffer.filled().len());
        give_way(cx, came);
        Poll::Ready(came)
    }

    /// Answers what is in `bytes`, and holds what is not answered yet.
    fn take(&mut self, cx: &mut Context<'_>, mut bytes: &[u8], output: &mut Vec<u8>) -> Next {
        while !bytes.is_empty() {
            let mut room = room();
            let usual = match parse(bytes, &mut room) {
                Parsed::Usual(usual) => usual,
                Parsed::Partial if bytes.len() < self.limits.head_bytes_max => {
                    self.held = bytes.to_vec();
                    return Next::Goes;
                }
                Parsed::Partial | Parsed::Strange => return Next::Strange(bytes.to_vec()),
            };
            let rest = &bytes[usual.length..];
            let next = match usual.asked(self.way).and_then(|asked| self.served.quick(&asked)) {
                Some(mut quick) => {
                    self.served.note(&usual, &mut quick);
                    self.give(cx, quick, output)
                }
                None => self.ask(&usual, bytes),
            };
            if !matches!((&next, &self.phase), (Next::Goes, Phase::Waiting)) {
                self.hold(rest);
                return next;
            }
            bytes = rest;
        }
        if self.rests { Next::Rests } else { Next::Goes }
    }

    /// Asks the usual path.
    fn ask(&mut self, usual: &Usual<'_, '_>, bytes: &[u8]) -> Next {
        let Some(request) = usual.request() else {
            return Next::Strange(bytes.to_vec());
        };
        let served = self.served.clone();
        self.phase = Phase::Deciding {
            answer: Box::pin(async move { served.answer(request).await }),
            head_only: usual.is_head(),
        };
        Next::Goes
    }

    fn hold(&mut self, rest: &[u8]) {
        self.held = rest.to_vec();
        self.unread = !rest.is_empty();
    }

    /// Writes an answer from memory; what does not go out at once is sent on later.
    fn give(&mut self, cx: &mut Context<'_>, quick: Quick, output: &mut Vec<u8>) -> Next {
        let given = Given::new(quick, self.stop.hears(cx), output);
        let written = match self.write(cx, &given, output) {
            Poll::Pending => 0,
            Poll::Ready(Some(written)) => written,
            Poll::Ready(None) => return Next::Closes,
        };
        self.watch.restart();
        match given.after(written, output) {
            Ok(held) => self.flush(cx, held),
            Err(rest) => {
                self.phase = Phase::Sending(rest);
                Next::Goes
            }
        }
    }

    /// One call: how much was written, `None` if the connection is broken.
    fn write(&mut self, cx: &mut Context<'_>, given: &Given, output: &[u8]) -> Poll<Option<usize>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        let stream = Pin::new(stream);
        let written = if given.is_one() {
            ready!(stream.poll_write(cx, output))
        } else {
            let mut slices = [IoSlice::new(output); SLICES_MAX];
            let count = given.fill(&mut slices);
            ready!(stream.poll_write_vectored(cx, &slices[..count]))
        };
        Poll::Ready(written.ok().filter(|written| *written > 0))
    }

    /// Of a plain connection, nothing is left to do.
    fn flush(&mut self, cx: &mut Context<'_>, held: Option<Held>) -> Next {
        let Some(stream) = &mut self.stream else {
            return Next::Closes;
        };
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => Next::Goes,
            Poll::Ready(Err(_)) => Next::Closes,
            Poll::Pending => {
                self.phase = Phase::Sending(Box::new(Sending::rest(VecDeque::new(), false, held)));
                Next::Goes
            }
        }
    }

    fn decide(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let Phase::Deciding { answer, head_only } = &mut self.phase else {
            return Poll::Ready(Next::Goes);
        };
        let head_only = *head_only;
        match answer.as_mut().poll(cx) {
            Poll::Pending => self.listen(cx),
            Poll::Ready(response) => {
                let last = self.stop.hears(cx);
                self.phase = Phase::Sending(Box::new(Sending::response(response, head_only, last)));
                self.watch.restart();
                Poll::Ready(Next::Goes)
            }
        }
    }

    fn send(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        let (Phase::Sending(sending), Some(stream)) = (&mut self.phase, &mut self.stream) else {
            return Poll::Ready(Next::Closes);
        };
        let mut moved = false;
        let sent = sending.poll(stream, cx, &mut moved);
        if moved {
            self.watch.restart();
        }
        match sent {
            Poll::Ready(Ok(())) if !sending.close => {
                self.phase = Phase::Waiting;
                self.watch.restart();
                Poll::Ready(Next::Goes)
            }
            Poll::Ready(Ok(())) => {
                self.phase = Phase::Closing;
                Poll::Ready(Next::Goes)
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an answer was cut short");
                Poll::Ready(Next::Closes)
            }
            Poll::Pending if sending.waits() == Waits::Body => self.listen(cx),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The client sees the end as an end.
    fn close(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if let Some(stream) = &mut self.stream {
            let _ = ready!(Pin::new(stream).poll_shutdown(cx));
        }
        Poll::Ready(Next::Closes)
    }

    /// Sees whether a client that waits for its answer has left. What it sends meanwhile is held.
    fn listen(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        SHARED.with_borrow_mut(|Buffers { input, .. }| {
            while self.held.len() < self.limits.head_bytes_max {
                match ready!(self.read(cx, input)) {
                    0 => return Poll::Ready(Next::Closes),
                    came => self.held.extend_from_slice(&input[..came]),
                }
                self.unread = true;
            }
            Poll::Pending
        })
    }

    /// Whether the client has done nothing for too long; only what it is waited for counts.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = match &self.phase {
            Phase::Waiting => self.limits.head_timeout,
            Phase::Sending(sending) if sending.waits() == Waits::Client => self.limits.stall_timeout,
            Phase::Sending(_) | Phase::Deciding { .. } | Phase::Closing => return false,
        };
        self.watch.is_over(cx, limit)
    }
}

/// A request with all that browsers send, several times over.
const INPUT_BYTES: usize = 16 << 10;
