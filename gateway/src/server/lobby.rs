//! Plain connections of HTTP/1.1 at rest: all of a worker's in one task, which waits for any of them at once.
//!
//! What memory answers as a whole is answered here, with one call of the system to read and one to write. A connection
//! that asks for anything else gets a task of its own (`line`), and comes back when memory has answered it again. Here a
//! connection is an entry of a table: it has no task, no timer and no buffer.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Version;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Token};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use slab::Slab;
use tokio::io::Interest as Readiness;
use tokio::io::unix::AsyncFd;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Sleep, sleep};

use super::accept::{House, Stay};
use super::clock;
use super::echo::Echo;
use super::given::{Given, SLICES_MAX, after_all};
use super::line::{self, Began, Buffers};
use super::measured::{Measured, measure};
use super::request::{Parsed, parse, room};
use super::sending::Sending;
use super::service::{Quick, Served};
use super::signal::Ear;
use crate::fast::Way;
use crate::metrics::Counting;

/// Connections of which something is heard at once.
const EVENTS_MAX: usize = 256;
/// How often the table looks for more before others have their turn.
const TURNS_MAX: u32 = 16;
/// How many times the time that a client may do nothing is looked at within that time.
const LOOKS: u32 = 16;
/// How often that is, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Where connections rest; a clone is the same place. There are no more of them than there are places.
#[derive(Clone)]
pub(super) struct Lobby(UnboundedSender<Resting>);

/// A connection of which nothing is left to do.
pub(super) struct Resting {
    pub stream: std::net::TcpStream,
    pub served: Served,
    pub stay: Stay,
}

impl Lobby {
    /// Opens one on a worker, until the house stops.
    pub(super) fn open(house: &Arc<House>, worker: &Handle) -> io::Result<Self> {
        let (sender, coming) = unbounded_channel();
        let lobby = Self(sender);
        let here = worker.enter();
        let mut table = Table {
            ready: readable(mio::Poll::new()?)?,
            events: Some(Events::with_capacity(EVENTS_MAX)),
            seats: Slab::new(),
            buffers: Buffers::default(),
            echo: Echo::default(),
            coming,
            bell: Box::pin(sleep(Duration::ZERO)),
            stop: house.stop.ear(),
            house: Arc::clone(house),
            lobby: lobby.clone(),
        };
        drop(here);
        let work = std::future::poll_fn(move |cx| table.poll(cx));
        house.tasks.spawn_on(work, worker);
        Ok(lobby)
    }

    /// Takes a connection; after the stop it is closed.
    pub(super) fn take(&self, resting: Resting) {
        let _ = self.0.send(resting);
    }
}

/// The connections of a lobby.
struct Table {
    /// Readable when something is heard of one of them.
    ready: AsyncFd<mio::Poll>,
    /// Always there between two turns.
    events: Option<Events>,
    seats: Slab<Seat>,
    buffers: Buffers,
    echo: Echo,
    coming: UnboundedReceiver<Resting>,
    /// Rings when those that do nothing are to be looked for.
    bell: Pin<Box<Sleep>>,
    stop: Ear,
    house: Arc<House>,
    lobby: Lobby,
}

/// One connection.
struct Seat {
    stream: TcpStream,
    served: Served,
    way: Way,
    stay: Stay,
    /// When its client did something last.
    since: Instant,
    _counted: Counting,
}

/// What becomes of a connection of which something was heard.
enum Turn {
    Rests,
    Ends,
    Leaves(Began),
}

impl Table {
    /// Ready when the house stops: whoever rests then is sent away.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(resting)) = self.coming.poll_recv(cx) {
            self.seat(resting);
        }
        if self.stop.hears(cx) {
            return Poll::Ready(());
        }
        self.clear(cx);
        let Some(mut events) = self.events.take() else {
            return Poll::Ready(());
        };
        let mut turns = 0;
        while self.hears(cx, &mut events) {
            for event in &events {
                self.turn(event);
            }
            turns += 1;
            if turns == TURNS_MAX {
                cx.waker().wake_by_ref();
                break;
            }
        }
        self.events = Some(events);
        Poll::Pending
    }

    fn seat(&mut self, resting: Resting) {
        let entry = self.seats.vacant_entry();
        let mut stream = TcpStream::from_std(resting.stream);
        let registry = self.ready.get_ref().registry();
        match registry.register(&mut stream, Token(entry.key()), Interest::READABLE) {
            Ok(()) => {
                entry.insert(Seat {
                    stream,
                    way: resting.served.way(Version::HTTP_11),
                    served: resting.served,
                    stay: resting.stay,
                    since: clock::now(),
                    _counted: self.house.metrics.resting(),
                });
            }
            Err(error) => tracing::warn!(%error, "a connection could not be waited for"),
        }
    }

    /// Closes the connections whose clients have done nothing for too long.
    fn clear(&mut self, cx: &mut Context<'_>) {
        let limit = self.house.limits.head_timeout;
        while !self.seats.is_empty() && self.bell.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let overdue = |seat: &Seat| now.saturating_duration_since(seat.since) >= limit;
            self.seats.retain(|_, seat| {
                let goes = overdue(seat);
                if goes {
                    seat.measure(&self.house);
                }
                !goes
            });
            let next = (limit / LOOKS).clamp(LOOK_EVERY.0, LOOK_EVERY.1);
            self.bell.as_mut().reset(tokio::time::Instant::now() + next);
        }
    }

    /// Takes what was heard into `events`; false if nothing was. While something is, the runtime need not be asked.
    fn hears(&mut self, cx: &mut Context<'_>, events: &mut Events) -> bool {
        let Poll::Ready(Ok(mut ready)) = self.ready.poll_read_ready_mut(cx) else {
            return false;
        };
        match ready.get_inner_mut().poll(events, Some(Duration::ZERO)) {
            Ok(()) if events.is_empty() => {
                ready.clear_ready();
                // Is something heard later, the task is woken.
                self.ready.poll_read_ready_mut(cx).is_ready()
            }
            Ok(()) => true,
            Err(error) => {
                if error.kind() != ErrorKind::Interrupted {
                    tracing::warn!(%error, "connections could not be waited for");
                }
                cx.waker().wake_by_ref();
                false
            }
        }
    }

    fn turn(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(seat) = self.seats.get_mut(key) else {
            return;
        };
        // No event tells of the end again.
        let is_last = event.is_read_closed() || event.is_error();
        let turn = seat.turn(&mut self.buffers, &mut self.echo, is_last);
        if matches!(turn, Turn::Rests) {
            return;
        }
        let seat = self.seats.remove(key);
        match turn {
            Turn::Leaves(began) => self.leave(seat, began),
            Turn::Rests | Turn::Ends => seat.measure(&self.house),
        }
    }

    /// Gives a connection a task of its own.
    fn leave(&self, mut seat: Seat, began: Began) {
        let _ = self.ready.get_ref().registry().deregister(&mut seat.stream);
        let stream = tokio::net::TcpStream::from_std(seat.stream.into());
        let (house, lobby) = (Arc::clone(&self.house), self.lobby.clone());
        let line = async move {
            let (limits, stop) = (house.limits, house.stop.clone());
            let stream = Measured::new(stream?, seat.served.client(), &house.service);
            let rests = line::serve(stream, seat.served, limits, stop, began, true).await;
            if let Some((stream, served)) = rests {
                lobby.take(Resting {
                    stream: stream.into_inner()?.into_std()?,
                    served,
                    stay: seat.stay,
                });
            }
            io::Result::Ok(())
        };
        self.house.cuttable(async move {
            if let Err(error) = line.await {
                tracing::warn!(%error, "a connection could not change its place");
            }
        });
    }
}

impl Seat {
    /// Tells how far the client was.
    fn measure(&self, house: &House) {
        measure(&self.stream, &self.served.client(), &house.service);
    }

    /// Answers what has come.
    fn turn(&mut self, buffers: &mut Buffers, echo: &mut Echo, is_last: bool) -> Turn {
        loop {
            let Buffers { input, output } = buffers;
            let came = match read(&self.stream, input) {
                Ok(0) => return Turn::Ends,
                Ok(came) => came,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Turn::Rests,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Turn::Ends,
            };
            let is_all = came < input.len();
            self.since = clock::now();
            let bytes = &input[..came];
            let turn = self.repeat(bytes, echo);
            match turn.unwrap_or_else(|| self.answer(bytes, output, echo)) {
                Turn::Rests if is_all && !is_last => return Turn::Rests,
                Turn::Rests => {}
                turn => return turn,
            }
        }
    }

    /// Answers what was asked lately with the same bytes.
    fn repeat(&self, bytes: &[u8], echo: &mut Echo) -> Option<Turn> {
        let said = echo.find(echo.spot(bytes)?, self.way, bytes)?;
        if !self.served.again(&said.again) {
            return None;
        }
        let answer = said.answer();
        Some(match written(write(&self.stream, answer)) {
            Err(_) => Turn::Ends,
            Ok(written) => match after_all(written, answer) {
                None => Turn::Rests,
                rest => leaves(b"", rest),
            },
        })
    }

    fn answer(&mut self, mut bytes: &[u8], output: &mut Vec<u8>, echo: &mut Echo) -> Turn {
        while !bytes.is_empty() {
            let mut room = room();
            let Parsed::Usual(usual) = parse(bytes, &mut room) else {
                return leaves(bytes, None);
            };
            let asked = usual.asked(self.way);
            let Some(mut quick) = asked.and_then(|asked| self.served.quick(&asked)) else {
                return leaves(bytes, None);
            };
            self.served.note(&usual, &mut quick);
            let request;
            (request, bytes) = bytes.split_at(usual.length);
            match self.give(request, quick, output, echo) {
                Ok(None) => {}
                Ok(Some(rest)) => return leaves(bytes, Some(rest)),
                Err(_) => return Turn::Ends,
            }
        }
        Turn::Rests
    }

    /// Writes an answer, and tells what is left of it.
    fn give(
        &self,
        request: &[u8],
        quick: Quick,
        output: &mut Vec<u8>,
        echo: &mut Echo,
    ) -> io::Result<Option<Box<Sending>>> {
        let wanted = echo.spot(request).filter(|spot| echo.is_wanted(*spot));
        let again = wanted.map(|spot| (spot, quick.found.again()));
        let given = Given::new(quick, false, output);
        if !given.is_one() {
            let mut slices = [IoSlice::new(output); SLICES_MAX];
            let count = given.fill(&mut slices);
            let written = written((&self.stream).write_vectored(&slices[..count]))?;
            return Ok(given.after(written, output).err());
        }
        if let Some((spot, again)) = again {
            echo.keep(spot, self.way, request, output, given.date, again);
        }
        let written = written(write(&self.stream, output))?;
        Ok(given.after(written, output).err())
    }
}

/// Reads what is there: by the bare call of the system, which nothing of the C library is around.
fn read(stream: &TcpStream, input: &mut [u8]) -> io::Result<usize> {
    let (read, _) = recv(stream, input, RecvFlags::empty())?;
    Ok(read)
}

fn write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(send(stream, bytes, SendFlags::NOSIGNAL)?)
}

/// What was written, if the connection is sound.
fn written(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if is_passing(&error) => Ok(0),
        result => result,
    }
}

/// Lets a task wait until a poll has events.
#[allow(unsafe_code, reason = "nothing else waits for one poll in another")]
fn readable(poll: mio::Poll) -> io::Result<AsyncFd<mio::Poll>> {
    // SAFETY: a poll owns its descriptor, names no other, and closes it when it is dropped, which the result does last.
    Ok(unsafe { AsyncFd::register_with_interest(poll, Readiness::READABLE) }?)
}

fn leaves(bytes: &[u8], sending: Option<Box<Sending>>) -> Turn {
    Turn::Leaves(Began {
        held: bytes.to_vec(),
        sending,
    })
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
