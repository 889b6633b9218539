//! One port for both transports, and for UDP a socket for each thread.
//!
//! The sockets share the port by `SO_REUSEPORT`: the system spreads clients over them by their addresses and ports, so
//! threads share nothing. With that option a second program of the same user could take the port unnoticed. So the port is
//! first bound without it, and TCP always is: two nodes with the same settings do not start.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::Error;

/// A port that is free for TCP may be taken for UDP; with port 0 another one is tried, this often.
const FREE_PORT_ATTEMPTS: usize = 32;

/// What waits for a thread that does something else, or that the machine does not let run: as the system counts packets and
/// doubles what it is asked for, some 10,000 of them, 70 ms of as many as one thread answers. The system may allow less. Bytes.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The sockets of one address.
pub struct Sockets {
    /// One for each thread.
    pub udp: Vec<UdpSocket>,
    /// The listener.
    pub tcp: TcpListener,
}

/// Binds TCP, and UDP for so many threads. With port 0 the system chooses one for TCP and UDP follows.
pub async fn bind(address: SocketAddr, threads: usize) -> Result<Sockets, Error> {
    let attempts = if address.port() == 0 {
        FREE_PORT_ATTEMPTS
    } else {
        1
    };
    let mut last = None;
    for _ in 0..attempts {
        match bind_once(address, threads).await {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| failed(address, "UDP", io::ErrorKind::AddrInUse.into())))
}

async fn bind_once(address: SocketAddr, threads: usize) -> Result<Sockets, Error> {
    let tcp = TcpListener::bind(address)
        .await
        .map_err(|source| failed(address, "TCP", source))?;
    let taken = tcp
        .local_addr()
        .map_err(|source| failed(address, "TCP", source))?;
    let udp = share(taken, threads).map_err(|source| failed(taken, "UDP", source))?;
    Ok(Sockets { udp, tcp })
}

fn share(address: SocketAddr, threads: usize) -> io::Result<Vec<UdpSocket>> {
    let alone = UdpSocket::bind(address)?;
    if threads <= 1 {
        socket2::SockRef::from(&alone).set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        return Ok(vec![alone]);
    }
    drop(alone);
    (0..threads).map(|_| shared(address)).collect()
}

fn shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The error for an address that cannot be listened on.
pub fn failed(address: SocketAddr, protocol: &'static str, source: io::Error) -> Error {
    Error::Listen {
        address,
        protocol,
        source,
    }
}
