//! The floor: what a server costs that does nothing but read a request, find its bytes in a small table and write them.
//! One thread, one epoll, no allocation, no library of HTTP: not a server for the world, but a bound for all that are.

use std::collections::HashMap;
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// All files, and the header lines that every answer carries.
struct Files {
    kept: HashMap<String, Kept>,
    lines: String,
}

/// A file with the head of its answer.
struct Kept {
    head: Vec<u8>,
    bytes: Vec<u8>,
}

/// One connection, and what is left of its answer.
struct Line {
    stream: TcpStream,
    file: String,
    head: Vec<u8>,
    sent: usize,
    from: usize,
    to: usize,
    writing: bool,
}

/// Serves the files of `folder`, each with the header lines of `head`, and says where on the first line of its output.
pub fn serve(folder: &Path, head: Option<&Path>) -> Result<()> {
    let lines = head.map_or(Ok(String::new()), fs::read_to_string)?;
    let files = Files {
        kept: kept(folder, &lines)?,
        lines,
    };
    listen(&files)
}

fn kept(folder: &Path, lines: &str) -> Result<HashMap<String, Kept>> {
    let mut files = HashMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let head = head("200 OK", bytes.len(), None, lines);
        files.insert(name, Kept { head, bytes });
    }
    Ok(files)
}

fn listen(files: &Files) -> Result<()> {
    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    println!("{}", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut lines: Vec<Option<Line>> = Vec::new();
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 16 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut lines)?;
                continue;
            }
            let Some(slot) = lines.get_mut(event.token().0) else {
                continue;
            };
            let goes = slot
                .as_mut()
                .is_some_and(|line| line.step(files, &mut buffer).is_ok());
            if !goes {
                *slot = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, lines: &mut Vec<Option<Line>>) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let free = lines.iter().position(Option::is_none).unwrap_or(lines.len());
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(free), interest)?;
        let line = Line {
            stream,
            file: String::new(),
            head: Vec::new(),
            sent: 0,
            from: 0,
            to: 0,
            writing: false,
        };
        match lines.get_mut(free) {
            Some(slot) => *slot = Some(line),
            None => lines.push(Some(line)),
        }
    }
}

impl Line {
    fn step(&mut self, files: &Files, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            if self.writing && !self.write(files)? {
                return Ok(());
            }
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.ask(files, &buffer[..read])
                .ok_or(io::ErrorKind::InvalidData)?;
            if self.write(files)? && read < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Looks the answer up. One request in each piece that comes: the clients send no more.
    fn ask(&mut self, files: &Files, request: &[u8]) -> Option<()> {
        let rest = request.strip_prefix(b"GET /")?;
        let end = rest.iter().position(|byte| *byte == b' ')?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        let kept = files.kept.get(name)?;
        if self.file != name {
            name.clone_into(&mut self.file);
        }
        let range = range(rest);
        (self.from, self.to) = range.unwrap_or((0, kept.bytes.len()));
        self.head.clear();
        match range {
            None => self.head.extend_from_slice(&kept.head),
            Some(place) => {
                let length = place.1.checked_sub(place.0)?;
                self.head.extend(head(
                    "206 Partial Content",
                    length,
                    Some((place, kept.bytes.len())),
                    &files.lines,
                ));
            }
        }
        self.sent = 0;
        self.writing = true;
        Some(())
    }

    /// Writes as much as goes at once. Returns whether it was all.
    fn write(&mut self, files: &Files) -> io::Result<bool> {
        let Some(kept) = files.kept.get(&self.file) else {
            return Ok(true);
        };
        let body = kept.bytes.get(self.from..self.to).unwrap_or_default();
        while self.sent < self.head.len() + body.len() {
            let head = &self.head[self.sent.min(self.head.len())..];
            let body = &body[self.sent.saturating_sub(self.head.len())..];
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let first = usize::from(head.is_empty());
            match self.stream.write_vectored(&slices[first..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.writing = false;
        Ok(true)
    }
}

fn head(status: &str, length: usize, place: Option<((usize, usize), usize)>, lines: &str) -> Vec<u8> {
    let place = place.map(|((from, to), size)| format!("Content-Range: bytes {from}-{}/{size}\r\n", to - 1));
    let place = place.unwrap_or_default();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{place}{lines}\r\n").into_bytes()
}

/// The first byte of `Range: bytes=A-B`, and the one after the last.
fn range(request: &[u8]) -> Option<(usize, usize)> {
    let mark = b"bytes=";
    let at = request.windows(mark.len()).position(|window| window == mark)?;
    let text = &request[at + mark.len()..];
    let end = text.iter().position(|byte| *byte == b'\r')?;
    let (from, last) = std::str::from_utf8(&text[..end]).ok()?.split_once('-')?;
    Some((from.parse().ok()?, last.parse::<usize>().ok()? + 1))
}

const LISTENER: Token = Token(usize::MAX - 1);
