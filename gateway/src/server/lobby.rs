//! Plain connections of HTTP/1.1 at rest: a thread beside each worker takes them from a listener and waits for all of them
//! at once.
//!
//! What memory answers as a whole is answered here, with one call of the system to read and one to write. A connection
//! that asks for anything else gets a task of its own on the worker (`line`), and comes back when memory has answered it
//! again. Here a connection is an entry of a table: it has no task, no timer and no buffer.
//!
//! The thread asks the system itself what it heard, instead of a runtime that has asked before: one table of descriptors
//! within another would have each client's request wake both.

mod seat;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use tokio::runtime::Handle;

use super::accept::{ACCEPT_AGAIN, House, Stay, is_of_the_client};
use super::clock;
use super::echo::Echo;
use super::line::{self, Began, Buffers};
use super::measured::{Measured, measure};
use super::service::{Client, Served};
use seat::{Seat, Turn};

/// Connections of which something is heard at once.
const EVENTS_MAX: usize = 256;
/// How many times the time that a client may do nothing is looked at within that time.
const LOOKS: u32 = 16;
/// How often that is, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// What is not a connection.
const LISTENER: Token = Token(usize::MAX);
const BELL: Token = Token(usize::MAX - 1);

/// Where connections come back to rest; a clone is the same place.
#[derive(Clone)]
pub(super) struct Lobby {
    coming: Sender<Resting>,
    bell: Arc<Waker>,
}

/// A connection of which nothing is left to do.
struct Resting {
    stream: std::net::TcpStream,
    served: Served,
    stay: Stay,
}

/// Opens a lobby beside a worker, which takes connections from `listener` until the house stops.
pub(super) fn open(listener: std::net::TcpListener, house: &Arc<House>, worker: &Handle) -> io::Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::from_std(listener);
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let bell = Arc::new(Waker::new(poll.registry(), BELL)?);
    let (sender, coming) = channel();
    let table = Table {
        poll,
        listener,
        seats: Slab::new(),
        buffers: Buffers::default(),
        echo: Echo::default(),
        coming,
        accepts: true,
        look: Instant::now(),
        house: Arc::clone(house),
        lobby: Lobby {
            coming: sender,
            bell: Arc::clone(&bell),
        },
    };
    let (stop, end) = (house.stop.token(), Ring(bell));
    house.tasks.spawn_on(
        async move {
            stop.cancelled().await;
            drop(end);
        },
        worker,
    );
    let (worker, lasts) = (worker.clone(), house.tasks.token());
    thread::Builder::new()
        .name("gateway-lobby".into())
        .spawn(move || {
            // Connections that leave go to the worker.
            let _there = worker.enter();
            table.run();
            drop(lasts);
        })?;
    Ok(())
}

impl Lobby {
    /// Takes a connection; after the stop it is closed.
    fn take(&self, resting: Resting) {
        if self.coming.send(resting).is_ok() {
            ring(&self.bell);
        }
    }
}

/// Wakes the thread when it is dropped.
struct Ring(Arc<Waker>);

impl Drop for Ring {
    fn drop(&mut self) {
        ring(&self.0);
    }
}

fn ring(bell: &Waker) {
    if let Err(error) = bell.wake() {
        tracing::warn!(%error, "a thread of the gateway could not be woken");
    }
}

/// The connections of a lobby.
struct Table {
    poll: Poll,
    listener: TcpListener,
    seats: Slab<Seat>,
    buffers: Buffers,
    echo: Echo,
    coming: Receiver<Resting>,
    /// Whether accepting is worth a try: after it failed, not before the next look.
    accepts: bool,
    /// When those that do nothing are looked for next.
    look: Instant,
    house: Arc<House>,
    lobby: Lobby,
}

impl Table {
    /// Serves until the house stops: whoever rests then is sent away, and who waits for more of an answer gets it from a
    /// task of its own.
    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.house.stop.is_said() {
            self.wait(&mut events);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    BELL => self.come_back(),
                    _ => self.turn(event),
                }
            }
            if clock::now() >= self.look {
                self.clear();
            }
        }
        for seat in std::mem::take(&mut self.seats) {
            self.end(seat.1);
        }
    }

    fn wait(&mut self, events: &mut Events) {
        let is_quiet = self.seats.is_empty() && self.accepts;
        let time = (!is_quiet).then(|| self.look.saturating_duration_since(clock::now()));
        if let Err(error) = self.poll.poll(events, time)
            && error.kind() != ErrorKind::Interrupted
        {
            tracing::warn!(%error, "connections could not be waited for");
            thread::sleep(ACCEPT_AGAIN);
        }
        clock::tick();
    }

    fn accept(&mut self) {
        while !self.house.stop.is_said() {
            match self.listener.accept() {
                Ok((stream, address)) => self.admit(
                    stream,
                    Client {
                        address,
                        secure: false,
                        is_node: false,
                    },
                ),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.accepts = false;
                    self.look = self.look.min(clock::now() + ACCEPT_AGAIN);
                    return;
                }
            }
        }
        self.accepts = true;
    }

    fn admit(&mut self, stream: TcpStream, client: Client) {
        match self.house.admit(client) {
            Ok((served, place)) => {
                // Small answers must not wait for the acknowledgement of the last.
                let _ = stream.set_nodelay(true);
                let stay = self.house.stay(place);
                self.seat(stream, served, stay);
            }
            Err(why) => self.house.refuse(stream.into(), why),
        }
    }

    fn come_back(&mut self) {
        while let Ok(resting) = self.coming.try_recv() {
            self.seat(TcpStream::from_std(resting.stream), resting.served, resting.stay);
        }
    }

    fn seat(&mut self, mut stream: TcpStream, served: Served, stay: Stay) {
        if self.seats.is_empty() {
            self.look = clock::now() + self.patience();
        }
        let entry = self.seats.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self
            .poll
            .registry()
            .register(&mut stream, Token(entry.key()), interest)
        {
            Ok(()) => {
                entry.insert(Seat::new(stream, served, stay, self.house.metrics.resting()));
            }
            Err(error) => tracing::warn!(%error, "a connection could not be waited for"),
        }
    }

    fn turn(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(seat) = self.seats.get_mut(key) else {
            return;
        };
        // No event tells of the end again.
        let is_last = event.is_read_closed() || event.is_error();
        if !event.is_readable() && !is_last && seat.sending.is_none() {
            return;
        }
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

    /// Closes the connections whose clients have done nothing for too long.
    fn clear(&mut self) {
        let (limits, now) = (self.house.limits, clock::now());
        self.seats.retain(|_, seat| {
            let goes = seat.is_overdue(&limits, now);
            if goes {
                seat.measure(&self.house);
            }
            !goes
        });
        self.look = now + self.patience();
        if !self.accepts {
            self.accept();
        }
    }

    /// The time to the next look.
    fn patience(&self) -> Duration {
        let limits = &self.house.limits;
        let least = limits.head_timeout.min(limits.stall_timeout);
        (least / LOOKS).clamp(LOOK_EVERY.0, LOOK_EVERY.1)
    }

    /// The house stops.
    fn end(&self, mut seat: Seat) {
        match seat.sending.take() {
            None => seat.measure(&self.house),
            sending => self.leave(
                seat,
                Began {
                    held: Vec::new(),
                    sending,
                },
            ),
        }
    }

    /// Gives a connection a task of its own.
    fn leave(&self, mut seat: Seat, began: Began) {
        let _ = self.poll.registry().deregister(&mut seat.stream);
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
}
