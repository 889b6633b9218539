//! Bodies: what is there already, or parts that are read one by one while the client takes them.
//!
//! A stream reads one part ahead and no further: a client that is slow holds two parts, and a client that is gone
//! stops the reading, since nothing polls the body any more. Reads run on the runtime's blocking threads, one part at
//! a time, so that a slow client occupies no thread. A part that is not on this node is fetched once there is a place
//! for it, and only then occupies a thread for longer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use storage::Error;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use crate::fetches::{Fetches, Place};
use crate::metrics::Receipt;
use crate::trail::Trail;

/// Where the parts of a streamed body come from. `next` may block on a disk, or on others if its trail goes so far.
/// After [`Error::Missing`] it can be asked again.
pub(crate) type Parts = Box<dyn Iterator<Item = Part> + Send>;

type Part = Result<Bytes, Error>;

/// The body of an answer.
pub(crate) struct Body {
    state: State,
    held: Option<Held>,
    _reading: Option<DropGuard>,
}

/// What a request holds until its body has ended.
pub(crate) struct Held {
    /// The request in the metrics.
    pub receipt: Receipt,
    /// The place among the requests in flight, unless the request was refused for want of one.
    pub _place: Option<OwnedSemaphorePermit>,
}

enum State {
    Done,
    Whole(Bytes),
    Ready(Bytes, Box<Stream>),
    Reading(AbortOnDropHandle<Read>),
}

type Read = Result<(Option<Part>, Box<Stream>), JoinError>;

impl Body {
    fn new(state: State) -> Self {
        Self {
            state,
            held: None,
            _reading: None,
        }
    }

    /// No body.
    pub(crate) fn empty() -> Self {
        Self::new(State::Done)
    }

    /// These bytes.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(if bytes.is_empty() {
            State::Done
        } else {
            State::Whole(bytes)
        })
    }

    /// `first`, then what `rest` gives.
    pub(crate) fn stream(first: Bytes, rest: Stream) -> Self {
        Self::new(State::Ready(first, Box::new(rest)))
    }

    /// The same body, which lets go of `held` when it ends.
    pub(crate) fn holding(self, held: Held) -> Self {
        Self {
            held: Some(held),
            ..self
        }
    }

    /// The same body, which tells with `reading` when nobody takes it any more.
    pub(crate) fn guarded(self, reading: DropGuard) -> Self {
        Self {
            _reading: Some(reading),
            ..self
        }
    }

    fn give(&self, part: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(held) = &self.held {
            held.receipt.sent(part.len());
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn read(stream: Box<Stream>) -> State {
        State::Reading(AbortOnDropHandle::new(tokio::spawn(stream.next())))
    }
}

/// The rest of a body.
pub(crate) struct Stream {
    /// Its parts.
    pub parts: Parts,
    /// What they are read through.
    pub trail: Arc<Trail>,
    /// Where to wait for what is not here.
    pub fetches: Fetches,
}

impl Stream {
    /// The next part: what is here at once, what is not when there was a place to fetch it and it has come.
    async fn next(self: Box<Self>) -> Read {
        let (part, stream) = self.step(None).await?;
        match part {
            Some(Err(Error::Missing(_))) if stream.trail.may_fetch() => {
                let place = stream.fetches.place().await;
                stream.step(place).await
            }
            part => Ok((part, stream)),
        }
    }

    /// Reads on a thread for it; from others if there is a `place`, which the thread keeps to its end.
    async fn step(mut self: Box<Self>, place: Option<Place>) -> Read {
        tokio::task::spawn_blocking(move || {
            self.trail.reach(place.is_some());
            let part = self.parts.next();
            drop(place);
            (part, self)
        })
        .await
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(&mut this.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Whole(bytes) => return this.give(bytes),
                State::Ready(part, stream) => {
                    this.state = Self::read(stream);
                    if !part.is_empty() {
                        return this.give(part);
                    }
                }
                State::Reading(mut handle) => match Pin::new(&mut handle).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(handle);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(Ok((Some(Ok(part)), stream)))) => this.state = State::Ready(part, stream),
                    Poll::Ready(Ok(Ok((None, _)))) => return Poll::Ready(None),
                    Poll::Ready(Ok(Ok((Some(Err(error)), _)))) => return Poll::Ready(Some(Err(cut(&error)))),
                    Poll::Ready(Ok(Err(error)) | Err(error)) => {
                        return Poll::Ready(Some(Err(io::Error::other(error))));
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Done => SizeHint::with_exact(0),
            State::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            State::Ready(..) | State::Reading(_) => SizeHint::default(),
        }
    }
}

/// The status is out already, so all that is left is to cut the connection: the client sees that the body is short.
fn cut(error: &Error) -> io::Error {
    tracing::warn!(%error, "an answer was cut short");
    io::Error::other(error.to_string())
}
