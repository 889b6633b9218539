//! Bodies: what is there already, or blocks read one by one while the client takes them.
//!
//! A stream reads one part ahead and no further: a client that is slow holds two parts, and a client that is gone
//! stops the reading, since nothing polls the body any more. Reads run on the runtime's blocking threads, one part at
//! a time, so that a slow client occupies no thread.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;

use crate::metrics::Receipt;

/// Where the parts of a streamed body come from. `next` may block on a disk.
pub(crate) type Parts = Box<dyn Iterator<Item = Result<Bytes, storage::Error>> + Send>;

/// The body of an answer.
pub(crate) struct Body {
    state: State,
    held: Option<Held>,
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
    Ready(Bytes, Parts),
    Reading(JoinHandle<Read>),
    Channel(Option<Bytes>, mpsc::Receiver<Result<Bytes, storage::Error>>),
}

type Read = (Option<Result<Bytes, storage::Error>>, Parts);

impl Body {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self {
            state: State::Done,
            held: None,
        }
    }

    /// These bytes.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let state = if bytes.is_empty() {
            State::Done
        } else {
            State::Whole(bytes)
        };
        Self { state, held: None }
    }

    /// `first`, then what `rest` gives.
    pub(crate) fn stream(first: Bytes, rest: Parts) -> Self {
        Self {
            state: State::Ready(first, rest),
            held: None,
        }
    }

    /// `first`, then what comes through a channel. An empty part is the end: a channel that closes without it has lost
    /// its sender, and the client must not take what it has got for the whole.
    pub(crate) fn channel(first: Bytes, rest: mpsc::Receiver<Result<Bytes, storage::Error>>) -> Self {
        Self {
            state: State::Channel(Some(first), rest),
            held: None,
        }
    }

    /// The same body, which lets go of `held` when it ends.
    pub(crate) fn holding(self, held: Held) -> Self {
        Self {
            held: Some(held),
            ..self
        }
    }

    fn give(&self, part: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(held) = &self.held {
            held.receipt.sent(part.len());
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn read(mut parts: Parts) -> State {
        State::Reading(tokio::task::spawn_blocking(move || (parts.next(), parts)))
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
                State::Ready(part, parts) => {
                    this.state = Self::read(parts);
                    if !part.is_empty() {
                        return this.give(part);
                    }
                }
                State::Reading(mut handle) => match Pin::new(&mut handle).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(handle);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((Some(Ok(part)), parts))) => this.state = State::Ready(part, parts),
                    Poll::Ready(Ok((None, _))) => return Poll::Ready(None),
                    Poll::Ready(Ok((Some(Err(error)), _))) => return Poll::Ready(Some(Err(cut(&error)))),
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                },
                State::Channel(Some(part), parts) if part.is_empty() => {
                    drop(parts);
                    return Poll::Ready(None);
                }
                State::Channel(Some(part), parts) => {
                    this.state = State::Channel(None, parts);
                    return this.give(part);
                }
                State::Channel(None, mut parts) => match parts.poll_recv(cx) {
                    Poll::Pending => {
                        this.state = State::Channel(None, parts);
                        return Poll::Pending;
                    }
                    Poll::Ready(Some(Ok(part))) => this.state = State::Channel(Some(part), parts),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(cut(&error)))),
                    Poll::Ready(None) => {
                        return Poll::Ready(Some(Err(io::Error::other("the stream has lost its source"))));
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
            State::Ready(..) | State::Reading(_) | State::Channel(..) => SizeHint::default(),
        }
    }
}

/// The status is out already, so all that is left is to cut the connection: the client sees that the body is short.
fn cut(error: &storage::Error) -> io::Error {
    tracing::warn!(%error, "an answer was cut short");
    io::Error::other(error.to_string())
}
