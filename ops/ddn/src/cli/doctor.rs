//! `ddn node doctor`: what is wrong with the node, if anything, and what to do.
//!
//! The node looks at itself from inside; this program tries its listeners from outside.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    Context,
    client::{Call, Node, reachable},
    failure::{Failure, Outcome},
    screen,
};
use crate::api::{
    paths,
    types::{Check, CheckVerdict, Diagnosis},
};

/// What an answer may take on this machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A lost packet is sent again so often.
const PACKETS: usize = 3;
/// How every libp2p connection begins, on both sides: multistream-select, with its length before it.
const MULTISTREAM: &[u8] = b"\x13/multistream/1.0.0\n";
/// The smallest packet that a QUIC server answers (RFC 9000, 14.1).
const QUIC_PACKET_BYTES: usize = 1200;
/// A version that no server speaks, so that each says which it does (RFC 9000, 6.3).
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];

/// Runs it.
pub async fn run(context: &Context, node: &Node) -> Outcome {
    let inside: Diagnosis = node.call(Call::get(paths::DOCTOR, &[])).await?;
    let (mesh, delivery) = tokio::join!(mesh(&node.file.mesh), delivery(&node.file.delivery));
    let checks: Vec<Check> = inside.checks.into_iter().chain([mesh, delivery]).collect();
    let failed = checks
        .iter()
        .filter(|check| check.verdict == CheckVerdict::Fail)
        .count() as u64;
    context.screen.show(&Diagnosis { checks }, tell)?;
    match failed {
        0 => Ok(()),
        _ => {
            let text = format!(
                "{} failed: what to do is said above",
                screen::count(failed, "check")
            );
            Err(Failure::new("unwell", text))
        }
    }
}

fn tell(out: &mut dyn Write, diagnosis: &Diagnosis) -> io::Result<()> {
    let width = diagnosis
        .checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    for Check { name, verdict, text } in &diagnosis.checks {
        let verdict = match verdict {
            CheckVerdict::Ok => "ok",
            CheckVerdict::Warn => "warn",
            CheckVerdict::Fail => "fail",
        };
        writeln!(out, "{verdict:<4}  {name:<width$}  {text}")?;
    }
    Ok(())
}

/// Whether somebody speaks libp2p where the mesh should be.
async fn mesh(addresses: &[String]) -> Check {
    let Some(address) = addresses.iter().find_map(|address| socket_of(address)) else {
        return Check::fail("mesh", "the node says no address of its mesh: look at its log");
    };
    match timeout(ANSWER_WITHIN, greet(address)).await {
        Ok(Ok(())) => Check::ok("mesh", format!("answers at {address} (TCP)")),
        Ok(Err(error)) => Check::fail("mesh", unreached(address, "TCP", &error.to_string())),
        Err(_) => Check::fail("mesh", unreached(address, "TCP", "no answer")),
    }
}

async fn greet(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(MULTISTREAM).await?;
    let mut answer = [0; MULTISTREAM.len()];
    stream.read_exact(&mut answer).await?;
    match answer == MULTISTREAM {
        true => Ok(()),
        false => Err(io::Error::other("another program answers there")),
    }
}

/// Whether somebody speaks QUIC where deliveries should come from.
async fn delivery(address: &str) -> Check {
    let Some(address) = reachable(address) else {
        return Check::fail(
            "delivery",
            "the node says no address for deliveries: look at its log",
        );
    };
    match negotiate(address).await {
        Ok(()) => Check::ok("delivery", format!("answers at {address} (UDP)")),
        Err(error) => Check::fail("delivery", unreached(address, "UDP", &error.to_string())),
    }
}

/// Offers a version that nobody speaks: a QUIC server answers with those that it does, and no connection is made.
async fn negotiate(address: SocketAddr) -> io::Result<()> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let mut answer = [0; 2048];
    for _ in 0..PACKETS {
        socket.send(&probe()).await?;
        match timeout(ANSWER_WITHIN / PACKETS as u32, socket.recv(&mut answer)).await {
            Ok(Ok(length)) if is_negotiation(&answer[..length]) => return Ok(()),
            Ok(Ok(_)) => return Err(io::Error::other("another program answers there")),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Err(io::Error::other("no answer"))
}

/// A long header with an unknown version and two connection ids of 8 bytes (RFC 8999, 5.1), padded.
fn probe() -> Vec<u8> {
    let mut packet = vec![0xc0];
    packet.extend(NO_VERSION);
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet.extend([8, 8, 7, 6, 5, 4, 3, 2, 1]);
    packet.resize(QUIC_PACKET_BYTES, 0);
    packet
}

/// A long header with version 0 (RFC 8999, 6).
fn is_negotiation(packet: &[u8]) -> bool {
    packet.len() > 5 && packet[0] & 0x80 != 0 && packet[1..5] == [0; 4]
}

fn unreached(address: SocketAddr, protocol: &str, reason: &str) -> String {
    format!(
        "nobody is reached at {address} over {protocol} ({reason}): look at the node's log and at the firewall"
    )
}

/// The address in `/ip4/127.0.0.1/tcp/4101/p2p/…`.
fn socket_of(multiaddr: &str) -> Option<SocketAddr> {
    let parts: Vec<&str> = multiaddr.split('/').collect();
    let (ip, port) = match parts[..] {
        ["", "ip4", ip, "tcp", port, ..] => (ip.to_owned(), port),
        ["", "ip6", ip, "tcp", port, ..] => (format!("[{ip}]"), port),
        _ => return None,
    };
    reachable(&format!("{ip}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_multiaddrs() {
        for (text, expected) in [
            ("/ip4/127.0.0.1/tcp/4101/p2p/12D3", Some("127.0.0.1:4101")),
            ("/ip6/::1/tcp/1", Some("[::1]:1")),
            ("/ip4/0.0.0.0/tcp/5", Some("127.0.0.1:5")),
            ("/dns4/a.example/tcp/1", None),
            ("/ip4/127.0.0.1/udp/1", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().expect("an address"));
            assert_eq!(socket_of(text), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_does_not_answer_fails() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = silent.local_addr().expect("an address");
        assert_eq!(delivery(&address.to_string()).await.verdict, CheckVerdict::Fail);
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let port = closed.local_addr().expect("an address").port();
        drop(closed);
        let check = mesh(&[format!("/ip4/127.0.0.1/tcp/{port}/p2p/x")]).await;
        assert_eq!(check.verdict, CheckVerdict::Fail);
    }
}
