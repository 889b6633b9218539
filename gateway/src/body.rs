//! Bodies: what is there already, or parts that are read one by one while the client takes them.
//!
//! A stream reads one part ahead and no further: a client that is slow holds two parts, and a client that is gone
//! stops the reading, since nothing polls the body any more. Reads run on the runtime's blocking threads, one part at
//! a time, so that a slow client occupies no thread. A part that is not on this node is fetched once there is a place
//! for it, and only then occupies a thread for longer. A part that does not come in time ends the body, and so does the
//! end of the time that the whole may take.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use storage::{Error, Leaves};
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::DropGuard;
use tokio_util::task::AbortOnDropHandle;

use crate::fetches::{Fetches, Place};
use crate::flights::{Lead, Turn, Wanted};
use crate::metrics::Receipt;
use crate::origin::Meter;
use crate::pack::Encoder;
use crate::problem::Problem;
use crate::server::admission::{Admission, Note};
use crate::trail::{Reach, Trail};

/// Where the parts of a streamed body come from. `next` may block on a disk, or on others if its trail goes so far.
/// After [`Error::Missing`] it can be asked again.
pub(crate) type Parts = Box<dyn Iterator<Item = Part> + Send>;

type Part = Result<Bytes, Error>;

/// The body of an answer.
pub(crate) struct Body {
    state: State,
    /// The blocks that it is made of, if it is a file of several or a part of one.
    leaves: Option<Arc<Leaves>>,
    held: Option<Held>,
    onlooker: Option<Box<dyn Onlooker>>,
    watch: Option<Watch>,
    meter: Option<Arc<dyn Meter>>,
    _reading: Option<DropGuard>,
}

/// Sees a body go out; it is dropped when that is over, whether the body came to its end or not.
pub(crate) trait Onlooker: Send {
    /// So many bytes were handed over.
    fn sent(&mut self, bytes: usize);

    /// That was the end of the body.
    fn ended(&mut self) {}
}

/// What a request holds until its body has ended.
pub(crate) struct Held {
    /// The request in the metrics.
    pub receipt: Receipt,
    /// The request in the access log.
    pub note: Option<Note>,
    /// The places among the requests in flight and among the long answers, as far as it has them.
    pub _places: (Option<Admission>, Option<Admission>),
}

enum State {
    Done,
    Piped(mpsc::Receiver<io::Result<Bytes>>, Option<u64>),
    Whole(Bytes),
    Several(std::vec::IntoIter<Bytes>),
    Ready(Bytes, Box<Stream>),
    Reading(AbortOnDropHandle<Read>),
    Failed(Error),
}

type Read = Result<(Option<Part>, Box<Stream>), JoinError>;

impl Body {
    fn new(state: State) -> Self {
        Self {
            state,
            leaves: None,
            held: None,
            onlooker: None,
            watch: None,
            meter: None,
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

    /// These bytes, one after the other.
    pub(crate) fn several(parts: Vec<Bytes>) -> Self {
        Self::new(State::Several(parts.into_iter()))
    }

    /// `first`, then what `rest` gives.
    pub(crate) fn stream(first: Bytes, rest: Stream) -> Self {
        Self::new(State::Ready(first, Box::new(rest)))
    }

    /// The same body, which is known to be of the file with these blocks.
    pub(crate) fn of(self, leaves: Arc<Leaves>) -> Self {
        Self {
            leaves: Some(leaves),
            ..self
        }
    }

    /// What comes through `parts`, of which the length may be known.
    pub(crate) fn piped(parts: mpsc::Receiver<io::Result<Bytes>>, length: Option<u64>) -> Self {
        Self::new(match length {
            Some(0) => State::Done,
            length => State::Piped(parts, length),
        })
    }

    /// The same body, which is counted, and ends where it is not paid for.
    pub(crate) fn metered(self, meter: Arc<dyn Meter>) -> Self {
        Self {
            meter: Some(meter),
            ..self
        }
    }

    /// The blocks of the file that it is, or is a part of.
    pub(crate) fn leaves(&self) -> Option<&Arc<Leaves>> {
        self.leaves.as_ref()
    }

    /// All of it, if that is in memory.
    pub(crate) fn bytes(&self) -> Option<Bytes> {
        match &self.state {
            State::Done => Some(Bytes::new()),
            State::Whole(bytes) => Some(bytes.clone()),
            State::Several(_)
            | State::Piped(..)
            | State::Ready(..)
            | State::Reading(_)
            | State::Failed(_) => None,
        }
    }

    /// The same body, which lets go of `held` when it ends.
    pub(crate) fn holding(self, held: Held) -> Self {
        Self {
            held: Some(held),
            ..self
        }
    }

    /// The same body, seen by `onlooker`.
    pub(crate) fn seen_by(self, onlooker: Box<dyn Onlooker>) -> Self {
        Self {
            onlooker: Some(onlooker),
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

    /// Whether there is more of it than what is here.
    pub(crate) fn is_stream(&self) -> bool {
        self.length().is_none()
    }

    /// How many bytes it has, if all of them are there.
    pub(crate) fn length(&self) -> Option<usize> {
        match &self.state {
            State::Done => Some(0),
            State::Whole(bytes) => Some(bytes.len()),
            State::Several(parts) => Some(parts.as_slice().iter().map(Bytes::len).sum()),
            State::Piped(..) | State::Ready(..) | State::Reading(_) | State::Failed(_) => None,
        }
    }

    /// The same body, compressed. Its first part is compressed at once, the others as they are read.
    pub(crate) fn packed(self, mut encoder: Encoder) -> Self {
        let state = match self.state {
            State::Whole(bytes) => State::Whole(encoder.whole(bytes)),
            State::Ready(first, mut stream) => {
                let first = encoder.part(first);
                stream.parts = encoder.all(stream.parts);
                // Packing is waited for, which the threads of the connections are not for.
                stream.plain = false;
                State::Ready(first, stream)
            }
            // What has begun, or comes from memory as it was sent before, is not changed any more.
            state => state,
        };
        Self {
            state,
            leaves: None,
            ..self
        }
    }

    /// The same body, which ends with an error when a part takes longer than `silence` or the whole longer than to
    /// `end`.
    pub(crate) fn within(self, silence: Duration, end: Instant) -> Self {
        let watch = matches!(
            self.state,
            State::Several(_) | State::Ready(..) | State::Reading(_)
        )
        .then(|| Watch {
            silence,
            end,
            timer: None,
        });
        Self { watch, ..self }
    }

    fn give(&mut self, part: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(watch) = &mut self.watch {
            watch.timer = None;
            if watch.end <= Instant::now() {
                return self.late();
            }
        }
        if let Some(meter) = &self.meter
            && !meter.count(part.len() as u64)
        {
            return Poll::Ready(Some(Err(io::Error::other("nobody pays for the rest"))));
        }
        if let Some(held) = &mut self.held {
            held.receipt.sent(part.len());
            if let Some(note) = &mut held.note {
                note.sent(part.len());
            }
        }
        if let Some(onlooker) = &mut self.onlooker {
            onlooker.sent(part.len());
        }
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn end(&mut self) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(note) = self.held.as_mut().and_then(|held| held.note.as_mut()) {
            note.end();
        }
        if let Some(onlooker) = &mut self.onlooker {
            onlooker.ended();
        }
        Poll::Ready(None)
    }

    /// The next part is not there yet.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(watch) = &mut self.watch {
            ready!(watch.poll(cx));
            return self.late();
        }
        Poll::Pending
    }

    fn late(&mut self) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.state = State::Done;
        tracing::warn!("an answer was cut short: it took too long");
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn read(mut stream: Box<Stream>) -> State {
        match stream.at_hand() {
            Some(None) => return State::Done,
            Some(Some(Ok(part))) => return State::Ready(part, stream),
            Some(Some(Err(error))) => return State::Failed(error),
            None => {}
        }
        State::Reading(AbortOnDropHandle::new(tokio::spawn(stream.next())))
    }
}

/// Watches the time of a body.
struct Watch {
    silence: Duration,
    end: Instant,
    /// Runs while a part is waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = || self.end.min(Instant::now() + self.silence);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until())));
        timer.as_mut().poll(cx)
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
    /// Whether its parts are blocks and nothing is to be done for them: then one that is in memory is not worth a thread.
    pub plain: bool,
}

impl Stream {
    /// The next part, or the end, if it is in memory.
    fn at_hand(&mut self) -> Option<Option<Part>> {
        if !self.plain {
            return None;
        }
        self.trail.reach(Reach::Memory);
        match self.parts.next() {
            Some(Err(Error::Missing(_))) => None,
            part => Some(part),
        }
    }

    /// The next part: what is here at once, what is not when there was a place to fetch it and it has come.
    async fn next(self: Box<Self>) -> Read {
        let (mut part, mut stream) = self.step(None).await?;
        while let Some(Err(Error::Missing(block))) = part
            && stream.trail.may_fetch()
        {
            let root = *stream.trail.root();
            match stream.fetches.turn(Wanted { root, block }) {
                Turn::Lead(lead) => return stream.fetch(lead).await,
                Turn::Follow(follow) => {
                    if follow.end().await.is_err() {
                        break;
                    }
                    (part, stream) = stream.step(None).await?;
                }
            }
        }
        Ok((part, stream))
    }

    /// Fetches the block of `lead` for all who wait for it, and the part that begins with it.
    async fn fetch(self: Box<Self>, lead: Lead) -> Read {
        let place = self.fetches.place().await;
        let (part, stream) = self.step(place).await?;
        let error = part.as_ref().and_then(|part| part.as_ref().err());
        let problem = error.and_then(|error| Problem::absence(error, false));
        stream
            .fetches
            .ended(*stream.trail.root(), Some(lead), problem.as_ref());
        Ok((part, stream))
    }

    /// Reads on a thread for it; from others if there is a `place`, which the thread keeps to its end.
    async fn step(mut self: Box<Self>, place: Option<Place>) -> Read {
        tokio::task::spawn_blocking(move || {
            self.trail
                .reach(if place.is_some() { Reach::Far } else { Reach::Here });
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
                State::Done => return this.end(),
                State::Whole(bytes) => return this.give(bytes),
                State::Several(mut parts) => {
                    let Some(part) = parts.next() else {
                        return this.end();
                    };
                    if parts.len() > 0 {
                        this.state = State::Several(parts);
                    }
                    return this.give(part);
                }
                State::Piped(mut parts, length) => match parts.poll_recv(cx) {
                    Poll::Pending => {
                        this.state = State::Piped(parts, length);
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Some(Ok(part))) => {
                        let left = length.map(|length| length.saturating_sub(part.len() as u64));
                        this.state = State::Piped(parts, left);
                        return this.give(part);
                    }
                },
                State::Ready(part, stream) => {
                    this.state = Self::read(stream);
                    if !part.is_empty() {
                        return this.give(part);
                    }
                }
                State::Failed(error) => return Poll::Ready(Some(Err(cut(&error)))),
                State::Reading(mut handle) => match Pin::new(&mut handle).poll(cx) {
                    Poll::Pending => {
                        this.state = State::Reading(handle);
                        return this.wait(cx);
                    }
                    Poll::Ready(Ok(Ok((Some(Ok(part)), stream)))) => this.state = State::Ready(part, stream),
                    Poll::Ready(Ok(Ok((None, _)))) => return this.end(),
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
            State::Several(parts) => {
                SizeHint::with_exact(parts.as_slice().iter().map(|part| part.len() as u64).sum())
            }
            State::Piped(_, Some(length)) => SizeHint::with_exact(*length),
            State::Piped(_, None) | State::Ready(..) | State::Reading(_) | State::Failed(_) => {
                SizeHint::default()
            }
        }
    }
}

/// The status is out already, so all that is left is to cut the connection: the client sees that the body is short.
fn cut(error: &Error) -> io::Error {
    tracing::warn!(%error, "an answer was cut short");
    io::Error::other(error.to_string())
}
