//! One port for both transports.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

use crate::Error;

/// A port that is free for TCP may be taken for UDP; with port 0 another one is tried, this often.
const FREE_PORT_ATTEMPTS: usize = 32;

/// Binds both. With port 0 the system chooses one for TCP and UDP follows.
pub async fn bind(address: SocketAddr) -> Result<(UdpSocket, TcpListener), Error> {
    let attempts = if address.port() == 0 {
        FREE_PORT_ATTEMPTS
    } else {
        1
    };
    let mut last = None;
    for _ in 0..attempts {
        match bind_once(address).await {
            Ok(pair) => return Ok(pair),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| failed(address, "UDP", io::ErrorKind::AddrInUse.into())))
}

async fn bind_once(address: SocketAddr) -> Result<(UdpSocket, TcpListener), Error> {
    let tcp = TcpListener::bind(address)
        .await
        .map_err(|source| failed(address, "TCP", source))?;
    let taken = tcp
        .local_addr()
        .map_err(|source| failed(address, "TCP", source))?;
    let udp = UdpSocket::bind(taken)
        .await
        .map_err(|source| failed(taken, "UDP", source))?;
    Ok((udp, tcp))
}

/// The error for an address that cannot be listened on.
pub fn failed(address: SocketAddr, protocol: &'static str, source: io::Error) -> Error {
    Error::Listen {
        address,
        protocol,
        source,
    }
}
