//! One connection in a lobby: what it is asked, and what it answers at once.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::Instant;

use http::Version;
use mio::net::TcpStream;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::fast::Way;
use crate::metrics::Counting;
use crate::server::accept::Stay;
use crate::server::clock;
use crate::server::connection::Limited;
use crate::server::echo::Echo;
use crate::server::given::{Given, SLICES_MAX, after_all};
use crate::server::line::{Began, Buffers};
use crate::server::request::{Parsed, parse, room};
use crate::server::sending::Sending;
use crate::server::service::{Quick, Served};

/// One connection.
pub(super) struct Seat {
    pub stream: TcpStream,
    pub served: Served,
    pub stay: Stay,
    /// The rest of an answer that the client did not take at once.
    pub sending: Option<Box<Sending>>,
    way: Way,
    /// When its client did something last.
    since: Instant,
    _counted: Counting,
}

/// What becomes of a connection of which something was heard.
pub(super) enum Turn {
    Rests,
    Ends,
    Leaves(Began),
}

impl Seat {
    pub(super) fn new(stream: TcpStream, served: Served, stay: Stay, counted: Counting) -> Self {
        Self {
            stream,
            way: served.way(Version::HTTP_11),
            served,
            stay,
            sending: None,
            since: clock::now(),
            _counted: counted,
        }
    }

    /// Whether the client has done nothing for too long.
    pub(super) fn is_overdue(&self, limits: &Limited, now: Instant) -> bool {
        let limit = match self.sending {
            Some(_) => limits.stall_timeout,
            None => limits.head_timeout,
        };
        now.saturating_duration_since(self.since) >= limit
    }

    /// Goes on with an answer, and answers what has come. With `is_last` nothing is heard of the connection again.
    pub(super) fn turn(&mut self, buffers: &mut Buffers, echo: &mut Echo, is_last: bool) -> Turn {
        if self.sending.is_some() {
            match self.go_on() {
                Ok(true) => self.sending = None,
                Ok(false) => return Turn::Rests,
                Err(_) => return Turn::Ends,
            }
        }
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
                Turn::Rests if self.sending.is_some() || (is_all && !is_last) => return Turn::Rests,
                Turn::Rests => {}
                turn => return turn,
            }
        }
    }

    /// Sends more of an answer; true when that was all of it.
    fn go_on(&mut self) -> io::Result<bool> {
        let Some(sending) = &mut self.sending else {
            return Ok(true);
        };
        let mut moved = false;
        let is_all = sending.go_on(&mut (&self.stream), &mut moved);
        if moved {
            self.since = clock::now();
        }
        is_all
    }

    /// Answers what was asked lately with the same bytes.
    fn repeat(&mut self, bytes: &[u8], echo: &mut Echo) -> Option<Turn> {
        let said = echo.find(echo.spot(bytes)?, self.way, bytes)?;
        if !self.served.again(&said.again) {
            return None;
        }
        let answer = said.answer();
        Some(match written(write(&self.stream, answer)) {
            Err(_) => Turn::Ends,
            Ok(written) => {
                self.sending = after_all(written, answer);
                Turn::Rests
            }
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
                Ok(rest) if bytes.is_empty() => self.sending = rest,
                Ok(rest) => return leaves(bytes, rest),
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

fn leaves(bytes: &[u8], sending: Option<Box<Sending>>) -> Turn {
    Turn::Leaves(Began {
        held: bytes.to_vec(),
        sending,
    })
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
