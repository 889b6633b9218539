//! Listeners, one for each worker, on the same address: the system deals the connections out.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, at most.
const BACKLOG: i32 = 1024;

/// Listens `count` times on `address`; port 0 takes a free one for all.
///
/// # Errors
/// The address cannot be had; also when another program listens there with the same wish to share it.
pub(super) fn listeners(address: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = socket(address)?;
    // Sharing is allowed only now: an address that somebody else shares is in use.
    first.bind(&address.into())?;
    first.set_reuse_port(count > 1)?;
    let taken = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = socket(address)?;
        next.set_reuse_port(true)?;
        next.bind(&taken)?;
        sockets.push(next);
    }
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok(sockets.into_iter().map(Into::into).collect())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // After a restart, connections of before may still be winding down.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_share_a_port_and_nobody_else_does() {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let ours = listeners(free, 3).expect("a free port");
        let taken = ours[0].local_addr().expect("an address");
        assert!(
            ours.iter()
                .all(|listener| listener.local_addr().is_ok_and(|address| address == taken))
        );
        for count in [1, 2] {
            let error = listeners(taken, count).expect_err("a port in use");
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
