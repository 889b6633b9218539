//! One question to one server: over UDP, and over TCP if the answer was cut.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::question::Outgoing;

/// The longest message. Bytes.
const MESSAGE_BYTES_MAX: usize = 65_535;

/// After so many packets that do not fit, somebody is guessing: then only TCP is believed (RFC 5452, section 9.3).
const MISFITS_MAX: usize = 8;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    #[error("no answer in time")]
    Late(#[from] tokio::time::error::Elapsed),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the answer does not fit the question")]
    Misfit,
}

/// Asks `server`; both ways together take no longer than twice the patience.
pub async fn ask(server: SocketAddr, question: &Outgoing, patience: Duration) -> Result<Message, Silence> {
    match timeout(patience, over_udp(server, question)).await?? {
        Some(answer) if !answer.metadata.truncation => Ok(answer),
        _ => timeout(patience, over_tcp(server, question)).await?,
    }
}

/// `None`: what came did not fit. The socket is a new one, so the system takes a random port for it, and is connected, so
/// that it takes packets of the server alone.
async fn over_udp(server: SocketAddr, question: &Outgoing) -> Result<Option<Message>, Silence> {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&question.bytes).await?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    for _ in 0..MISFITS_MAX {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = question.answer(&buffer[..length]) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

async fn over_tcp(server: SocketAddr, question: &Outgoing) -> Result<Message, Silence> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.bytes.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], &question.bytes].concat();
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    question.answer(&message).ok_or(Silence::Misfit)
}
