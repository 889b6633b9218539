//! Whether somebody answers at an address, and speaks what should be spoken there: a word of each protocol, before any of
//! them makes a connection that would cost something.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::ServerName;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

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
/// The most domains on a card, and the longest.
const DOMAINS_MAX: usize = 32;
const DOMAIN_BYTES_MAX: usize = 253;
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
        stream.write_all(card_request(host).as_bytes()).await?;
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

/// What a gateway says of itself, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Until its port was open, in microseconds: a round trip.
    pub rtt_us: u32,
    /// From the question to the first byte of the answer, in microseconds.
    pub ttfb_us: u32,
    /// The domains that it serves beside those of its chain.
    pub domains: Vec<String>,
}

/// The card of the node `node_id`, at the port of its gateway. Errors as [`mesh`].
pub async fn card(address: SocketAddr, node_id: &str) -> io::Result<Card> {
    let ask = async {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address).await?;
        let rtt_us = micros(start);
        let request = card_request(&address.to_string());
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; 1];
        stream.read_exact(&mut answer).await?;
        let ttfb_us = micros(asked);
        stream.take(HTTP_BYTES_MAX).read_to_end(&mut answer).await?;
        let domains = domains(&answer, node_id).ok_or_else(another)?;
        Ok(Card {
            rtt_us,
            ttfb_us,
            domains,
        })
    };
    in_time(ask).await
}

/// What is read of a card.
#[derive(Deserialize)]
struct Said {
    node_id: String,
    #[serde(default)]
    domains: Vec<String>,
}

/// The domains on the card of this node, if it is one.
fn domains(answer: &[u8], node_id: &str) -> Option<Vec<String>> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let is_good = answer.starts_with(b"HTTP/1.1 200 ");
    let said: Said = serde_json::from_slice(&answer[end + 4..]).ok()?;
    let is_domain = |domain: &String| {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        (1..=DOMAIN_BYTES_MAX).contains(&domain.len()) && domain.bytes().all(is_plain)
    };
    let is_sound = said.domains.len() <= DOMAINS_MAX && said.domains.iter().all(is_domain);
    (is_good && said.node_id == node_id && is_sound).then_some(said.domains)
}

/// Somebody speaks TLS there, for hosts below `domain` if one is given. Whether its certificate is good is for readers to
/// say: it is enough that it answers to the first message. Errors as [`mesh`].
pub async fn tls(address: SocketAddr, domain: Option<&String>) -> io::Result<()> {
    let name = domain.and_then(|domain| ServerName::try_from(domain.clone()).ok());
    let hello = hello(name.unwrap_or_else(|| address.ip().into()))?;
    let greet = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&hello).await?;
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).await?;
        // A record of a handshake or an alert, of version 3 (RFC 8446, section 5.1).
        match matches!(answer, [21 | 22, 3, _]) {
            true => Ok(()),
            false => Err(another()),
        }
    };
    in_time(greet).await
}

/// The gateway of the node `node_id` shows a certificate that `verifier` takes, for `domain` or for hosts below it. Its card
/// has to come by that connection: whoever passes bytes on to the one who has the certificate shows it too. Errors as
/// [`mesh`].
pub async fn certificate(
    address: SocketAddr,
    domain: &str,
    node_id: &str,
    verifier: Arc<ClientConfig>,
) -> io::Result<()> {
    let connector = TlsConnector::from(verifier);
    let shows = async |host: String| {
        let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
        let stream = TcpStream::connect(address).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(card_request(&host).as_bytes()).await?;
        let mut answer = Vec::new();
        // Not everybody says goodbye as TLS wants it.
        let _ = stream.take(HTTP_BYTES_MAX).read_to_end(&mut answer).await;
        domains(&answer, node_id).map(drop).ok_or_else(another)
    };
    let shown = async {
        match shows(domain.to_owned()).await {
            Ok(()) => Ok(()),
            Err(error) => shows(format!("www.{domain}")).await.map_err(|_| error),
        }
    };
    in_time(shown).await
}

/// The question for a node's card.
fn card_request(host: &str) -> String {
    format!("GET /.well-known/ddn/node HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// The first message of a client.
fn hello(name: ServerName<'static>) -> io::Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

fn micros(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX)
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

async fn in_time<T>(asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
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
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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
    async fn a_card_says_who_is_there_and_what_it_serves() {
        let cards: [(&'static [u8], Option<&[&str]>); 6] = [
            (
                b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"abcd\",\"tld\":\"ddn\"}",
                Some(&[]),
            ),
            (
                b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"abcd\",\"domains\":[\"gw.example\",\"b.example\"]}",
                Some(&["gw.example", "b.example"]),
            ),
            (b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"other\"}", None),
            (
                b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"abcd\",\"domains\":[\"GW example\"]}",
                None,
            ),
            (b"HTTP/1.1 503 No\r\n\r\n{\"node_id\":\"abcd\"}", None),
            (b"SSH-2.0-x\r\n", None),
        ];
        for (answer, expected) in cards {
            let seen = card(server(answer).await, "abcd").await;
            let domains = seen.as_ref().ok().map(|card| card.domains.clone());
            let expected = expected.map(|domains| domains.iter().map(|d| (*d).to_owned()).collect());
            assert_eq!(domains, expected, "{seen:?}");
        }
    }

    #[tokio::test]
    async fn who_speaks_tls_answers_to_a_hello() {
        for (answer, is_tls) in [
            (&b"\x16\x03\x03\x00\x7a"[..], true),
            (b"\x15\x03\x03\x00\x02\x02\x70", true),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", false),
        ] {
            let domain = "gw.example".to_owned();
            for domain in [Some(&domain), None] {
                assert_eq!(tls(server(answer).await, domain).await.is_ok(), is_tls);
            }
        }
    }

    /// A TLS server with a certificate for these hosts, by an authority of its own.
    async fn secure_server(hosts: &[&str]) -> (SocketAddr, CertificateDer<'static>) {
        let key = || KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new([]).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("a certificate");
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let (own, params) = (key(), CertificateParams::new(hosts).expect("names"));
        let certificate = params.signed_by(&own, &authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(own.serialize_der()).expect("a key"),
            )
            .expect("a pair");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a client");
                // Who does not trust it hangs up.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let card = b"HTTP/1.1 200 OK\r\n\r\n{\"node_id\":\"abcd\"}";
                    stream.write_all(card).await.expect("a client that listens");
                    let _ = stream.shutdown().await;
                }
            }
        });
        (address, authority.der().clone())
    }

    #[tokio::test]
    async fn a_certificate_proves_a_domain_only() {
        let (exact, exact_root) = secure_server(&["gw.example"]).await;
        let (below, below_root) = secure_server(&["*.zone.example"]).await;
        let trusting = |roots: &[&CertificateDer<'static>]| {
            gateway::verifying(roots.iter().map(|root| (*root).clone()).collect()).expect("roots")
        };
        let both = trusting(&[&exact_root, &below_root]);
        for (address, domain, is_proven) in [
            (exact, "gw.example", true),
            (exact, "other.example", false),
            (exact, "example", false),
            (below, "zone.example", true),
            (below, "gw.example", false),
        ] {
            let shown = certificate(address, domain, "abcd", Arc::clone(&both)).await;
            assert_eq!(shown.is_ok(), is_proven, "{domain}: {shown:?}");
        }
        let other = trusting(&[&below_root]);
        assert!(certificate(exact, "gw.example", "abcd", other).await.is_err());
        let shown = certificate(exact, "gw.example", "who passes it on", both).await;
        assert_eq!(
            shown.expect_err("another node").to_string(),
            "another program answers there"
        );
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
