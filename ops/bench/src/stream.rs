//! A client that reads a large file over one connection: it takes what comes by the MiB and looks at none of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

/// What to read.
#[derive(Args)]
pub struct Wanted {
    /// `IP:PORT` of the server.
    #[arg(value_parser = crate::address)]
    server: SocketAddr,
    /// The path of the file.
    path: String,
    /// Seconds after which no other time is begun.
    seconds: f64,
}

/// What came of a load.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Load {
    /// Requests that were answered.
    pub requests: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    pub seconds: f64,
    /// Latencies, where they are told.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
}

/// Reads, and prints a [`Load`] as JSON.
pub fn load(wanted: &Wanted) -> Result<()> {
    let mut stream = TcpStream::connect(wanted.server)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let begun = Instant::now();
    let mut load = Load::default();
    while load.requests == 0 || begun.elapsed().as_secs_f64() < wanted.seconds {
        load.bytes += get(&mut stream, wanted.server, &wanted.path, &mut |_| {})?;
        load.requests += 1;
    }
    load.seconds = begun.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&load)?);
    Ok(())
}

/// Asks for `path` and gives the body to `take`, piece by piece. Returns its length.
pub fn get(
    stream: &mut TcpStream,
    server: SocketAddr,
    path: &str,
    take: &mut dyn FnMut(&[u8]),
) -> Result<u64> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n").as_bytes())?;
    let (_, length) = answer(stream, take)?;
    Ok(length)
}

/// Reads an answer and gives the body to `take`. Returns its length with the head, and without.
pub fn answer(stream: &mut TcpStream, take: &mut dyn FnMut(&[u8])) -> Result<(usize, u64)> {
    let mut buffer = vec![0; 1 << 20];
    let (mut filled, end) = (0, b"\r\n\r\n");
    let head = loop {
        let read = stream.read(&mut buffer[filled..])?;
        ensure!(read > 0, "the server closed the connection before the head");
        filled += read;
        if let Some(at) = buffer[..filled]
            .windows(end.len())
            .position(|window| window == end)
        {
            break at + end.len();
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: u64 = length.context("no content-length")?.trim().parse()?;
    take(&buffer[head..filled]);
    let mut come = (filled - head) as u64;
    while come < length {
        let read = stream.read(&mut buffer)?;
        ensure!(
            read > 0,
            "the server closed the connection after {come} of {length} bytes"
        );
        take(&buffer[..read]);
        come += read as u64;
    }
    Ok((head + length as usize, length))
}
