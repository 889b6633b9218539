//! Whether somebody answers at an address, and speaks what should be spoken there: a word of each protocol, before any of
//! them makes a connection that would cost something.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What an answer may take: halfway around the world and back, and one lost packet.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// A lost packet is sent again so often.
const PACKETS: u32 = 3;
/// How every libp2p connection begins, on both sides: multistream-select, with its length before it.
const MULTISTREAM: &[u8] = b"\x13/multistream/1.0.0\n";
/// What a private network says first: a nonce, then only what its key makes readable.
const NONCE_BYTES: usize = 24;
/// The smallest packet that a QUIC server answers (RFC 9000, 14.1).
const QUIC_PACKET_BYTES: usize = 1200;
/// A version that no server speaks, so that each says which it does (RFC 9000, 6.3).
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];
/// The most that is read of an HTTP answer: the card of a node has some hundred bytes.
const HTTP_BYTES_MAX: u64 = 16 << 10;
/// The type SOA and the class IN of a DNS question.
const SOA_IN: [u8; 4] = [0, 6, 0, 1];
/// The id of a question. The socket is connected and new, so that nobody else answers it.
const DNS_ID: [u8; 2] = [0x64, 0x6e];

/// Somebody speaks libp2p there. In a private network what it says cannot be read; then it is enough that it says as much
/// as a node would.
///
/// # Errors
/// When nobody answers in time, or somebody else.
pub async fn mesh(address: SocketAddr, is_private: bool) -> io::Result<()> {
    let greet = async {
        let mut stream = TcpStream::connect(address).await?;
        if is_private {
            return stream.read_exact(&mut [0; NONCE_BYTES]).await.map(|_| ());
        }
        stream.write_all(MULTISTREAM).await?;
        let mut answer = [0; MULTISTREAM.len()];
        stream.read_exact(&mut answer).await?;
        match answer == MULTISTREAM {
            true => Ok(()),
            false => Err(another()),
        }
    };
    in_time(greet).await
}

/// Somebody speaks QUIC there. It is offered a version that nobody speaks: a server answers with those that it does, and no
/// connection is made. Errors as [`mesh`].
pub async fn delivery(address: SocketAddr) -> io::Result<()> {
    // A long header with an unknown version and two connection ids of 8 bytes (RFC 8999, 5.1), padded.
    let mut packet = vec![0xc0];
    packet.extend(NO_VERSION);
    packet.extend([8, 1, 2, 3, 4, 5, 6, 7, 8]);
    packet.extend([8, 8, 7, 6, 5, 4, 3, 2, 1]);
    packet.resize(QUIC_PACKET_BYTES, 0);
    // A long header with version 0 (RFC 8999, 6).
    let is_negotiation = |answer: &[u8]| answer.len() > 5 && answer[0] & 0x80 != 0 && answer[1..5] == [0; 4];
    exchange(address, &packet, is_negotiation).await
}

/// The gateway of the node `node_id` answers for the site `host`. A gateway that sends readers to its encrypted side is one
/// too. Errors as [`mesh`].
pub async fn gateway(address: SocketAddr, host: &str, node_id: &str) -> io::Result<()> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /.well-known/ddn/node HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(HTTP_BYTES_MAX).read_to_end(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let is_card = answer.starts_with("http/1.1 200 ") && answer.contains(&format!("\"{node_id}\""));
        let is_secured =
            answer.starts_with("http/1.1 30") && answer.contains(&format!("\nlocation: https://{host}"));
        match is_card || is_secured {
            true => Ok(()),
            false => Err(another()),
        }
    };
    in_time(ask).await
}

/// A name server answers for `zone`, and with authority. Errors as [`mesh`].
pub async fn dns(address: SocketAddr, zone: &str) -> io::Result<()> {
    let mut question = DNS_ID.to_vec();
    question.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in zone.split('.').filter(|label| (1..=63).contains(&label.len())) {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.push(0);
    question.extend(SOA_IN);
    // The same id, a reply with authority and no error, with one answer at least (RFC 1035, 4.1.1).
    let is_authority = |answer: &[u8]| {
        answer.len() > question.len()
            && answer[..2] == DNS_ID
            && answer[2] & 0x84 == 0x84
            && answer[3] & 0x0f == 0
            && answer[6..8] != [0, 0]
    };
    exchange(address, &question, is_authority).await
}

/// Sends a packet until something comes back, which must be right.
async fn exchange(address: SocketAddr, packet: &[u8], is_right: impl Fn(&[u8]) -> bool) -> io::Result<()> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    let mut answer = [0; 2048];
    for _ in 0..PACKETS {
        socket.send(packet).await?;
        match timeout(ANSWER_WITHIN / PACKETS, socket.recv(&mut answer)).await {
            Ok(Ok(length)) if is_right(&answer[..length]) => return Ok(()),
            Ok(Ok(_)) => return Err(another()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Err(silence())
}

async fn in_time(asked: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(ANSWER_WITHIN, asked)
        .await
        .unwrap_or_else(|_| Err(silence()))
}

fn silence() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer")
}

fn another() -> io::Error {
    io::Error::other("another program answers there")
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(answer).await.expect("an answer");
        });
        address
    }

    #[tokio::test]
    async fn a_gateway_is_known_by_its_card() {
        let card = b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"abcd\"}";
        let site = b"HTTP/1.1 200 OK\r\n\r\nhello abcd";
        let secured = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: https://a.example/x\r\n\r\n";
        let elsewhere = b"HTTP/1.1 302 Found\r\nlocation: https://b.example/\r\n\r\n";
        assert!(gateway(server(card).await, "a.example", "abcd").await.is_ok());
        assert!(gateway(server(secured).await, "a.example", "abcd").await.is_ok());
        for other in [&site[..], elsewhere, b"", b"SSH-2.0-x\r\n"] {
            let address = server(Box::leak(other.to_vec().into_boxed_slice())).await;
            let error = gateway(address, "a.example", "abcd").await.expect_err("another");
            assert_eq!(error.to_string(), "another program answers there");
        }
        let error = gateway(server(card).await, "a.example", "other")
            .await
            .expect_err("another node");
        assert_eq!(error.to_string(), "another program answers there");
    }

    #[tokio::test]
    async fn who_is_silent_or_gone_does_not_answer() {
        let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = silent.local_addr().expect("an address");
        for asked in [delivery(address).await, dns(address, "ddn").await] {
            assert_eq!(asked.expect_err("silence").to_string(), "no answer");
        }
        let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = closed.local_addr().expect("an address");
        drop(closed);
        assert_eq!(
            mesh(address, false).await.expect_err("refused").kind(),
            io::ErrorKind::ConnectionRefused
        );
    }

    #[tokio::test]
    async fn a_name_server_answers_with_authority() {
        let (good, other) = (
            [0x64, 0x6e, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0],
            [0x64, 0x6e, 0x80, 5, 0, 1, 0, 0, 0, 0, 0, 0],
        );
        for (head, is_good) in [(good, true), (other, false)] {
            let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
            let address = socket.local_addr().expect("an address");
            tokio::spawn(async move {
                let (_, from) = socket.recv_from(&mut [0; 512]).await.expect("a question");
                let answer = [&head[..], &[0; 40]].concat();
                socket.send_to(&answer, from).await.expect("an answer");
            });
            assert_eq!(dns(address, "ddn").await.is_ok(), is_good);
        }
    }
}
