//! A client that costs little: it learns once how long an answer is, and then only counts what comes. Those that take each
//! head apart cost more than a server of small files does, and then the rate is theirs.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::stream::{self, Load};

/// How an answer begins.
const STATUS: &[u8] = b"HTTP/1.1 200 ";
/// What is read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What to ask for.
#[derive(Args)]
pub struct Wanted {
    /// `IP:PORT` of the server.
    #[arg(value_parser = crate::address)]
    server: SocketAddr,
    /// The path of the file.
    path: String,
    /// Connections.
    connections: usize,
    /// Seconds after which it ends.
    seconds: f64,
}

/// One connection, which waits for the rest of an answer.
struct Line {
    stream: TcpStream,
    left: usize,
    asked: Instant,
}

/// Asks on every connection as soon as it was answered, and prints a [`Load`] as JSON.
pub fn load(wanted: &Wanted) -> Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", wanted.path, wanted.server);
    let length = length(wanted.server, &request)?;
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    let mut lines = Vec::new();
    for at in 0..wanted.connections {
        let stream = std::net::TcpStream::connect(wanted.server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry()
            .register(&mut stream, Token(at), Interest::READABLE)?;
        lines.push(Line {
            stream,
            left: 0,
            asked: Instant::now(),
        });
    }
    let (begun, time) = (Instant::now(), Duration::from_secs_f64(wanted.seconds));
    let (mut times, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
    for line in &mut lines {
        line.ask(&request, length)?;
    }
    while begun.elapsed() < time {
        poll.poll(&mut events, Some(time))?;
        for event in &events {
            let line = lines.get_mut(event.token().0).context("an event of nobody")?;
            line.hear(&mut buffer, length)?;
            if line.left == 0 {
                times.push(line.asked.elapsed().as_nanos() as u64);
                line.ask(&request, length)?;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize);
    let load = Load {
        requests: times.len() as u64,
        bytes: (times.len() * length) as u64,
        seconds,
        p50_us: at(0.5).map(|nanos| *nanos as f64 / 1e3),
        p99_us: at(0.99).map(|nanos| *nanos as f64 / 1e3),
    };
    println!("{}", serde_json::to_string(&load)?);
    Ok(())
}

/// How long an answer is, head and body; of two, since the first may be another one.
fn length(server: SocketAddr, request: &str) -> Result<usize> {
    let mut stream = std::net::TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut length = 0;
    for _ in 0..2 {
        stream.write_all(request.as_bytes())?;
        (length, _) = stream::answer(&mut stream, &mut |_| {})?;
    }
    Ok(length)
}

impl Line {
    fn ask(&mut self, request: &str, length: usize) -> Result<()> {
        let written = self.stream.write(request.as_bytes())?;
        ensure!(written == request.len(), "a request did not go out at once");
        (self.left, self.asked) = (length, Instant::now());
        Ok(())
    }

    fn hear(&mut self, buffer: &mut [u8], length: usize) -> Result<()> {
        while self.left > 0 {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if self.left == length {
                ensure!(buffer.starts_with(STATUS), "an answer is no 200");
            }
            ensure!(read <= self.left, "an answer is longer than the one before");
            self.left -= read;
        }
        Ok(())
    }
}
