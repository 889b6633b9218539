//! A client that opens many connections, asks once on each, and holds them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Stream};

use crate::quic::anybody;

/// What to open.
#[derive(Args)]
pub struct Wanted {
    /// `IP:PORT` of the server.
    #[arg(value_parser = crate::address)]
    server: SocketAddr,
    /// The path of a small file.
    path: String,
    /// How many connections.
    connections: usize,
    /// Encrypt them.
    #[arg(long)]
    tls: bool,
}

/// Says on its output when all are open, and ends when its input does.
pub fn hold(wanted: &Wanted) -> Result<()> {
    let config = Arc::new(anybody(b"http/1.1")?);
    let mut held = Vec::with_capacity(wanted.connections);
    for _ in 0..wanted.connections {
        let mut stream = TcpStream::connect(wanted.server)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        // The request must not wait until the end of the handshake is acknowledged: 40 ms for each connection.
        stream.set_nodelay(true)?;
        let session = match wanted.tls {
            false => {
                ask(&mut stream, wanted)?;
                None
            }
            true => {
                let mut session =
                    ClientConnection::new(Arc::clone(&config), ServerName::try_from("localhost")?)?;
                ask(&mut Stream::new(&mut session, &mut stream), wanted)?;
                Some(session)
            }
        };
        held.push((stream, session));
    }
    println!("open");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn ask(stream: &mut (impl Read + Write), wanted: &Wanted) -> Result<()> {
    let Wanted { server, path, .. } = wanted;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n").as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4 << 10];
    loop {
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "the server closed the connection");
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.with_context(|| head.clone())?.trim().parse()?;
        if bytes.len() >= end + 4 + length {
            return Ok(());
        }
    }
}
