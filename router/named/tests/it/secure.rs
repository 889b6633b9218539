//! Questions over TLS (RFC 7858): a client of others, and one of ours that does what none should.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use named::dns::{Config, DnsServer};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey as Certified, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::book::serve;
use crate::dnssec::{held, signed};
use crate::tools::{output, tool};
use crate::wire::*;

const HOST: &str = "dns.test";

/// A server with a certificate for [`HOST`], where it listens, and the certificate.
async fn secure(config: Config) -> (DnsServer, SocketAddr, CertifiedKey<rcgen::KeyPair>) {
    let made = generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let key = ring::sign::any_supported_type(&key).expect("a key");
    let certified = Certified::new(vec![made.cert.der().clone()], key);
    let server = serve(config, &held()).await;
    let address = server
        .serve_tls(
            "127.0.0.1:0".parse().expect("an address"),
            Arc::new(SingleCertAndKey::from(certified)),
        )
        .await
        .expect("a free port");
    (server, address, made)
}

async fn connect(
    address: SocketAddr,
    made: &CertifiedKey<rcgen::KeyPair>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from(HOST).expect("a name");
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// One message there, one back.
async fn exchange_over(stream: &mut TlsStream<TcpStream>, packet: &[u8]) -> Vec<u8> {
    let framed = [&(packet.len() as u16).to_be_bytes()[..], packet].concat();
    stream.write_all(&framed).await.expect("sent");
    let mut reply = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
    stream.read_exact(&mut reply).await.expect("a reply");
    reply
}

#[tokio::test]
async fn kdig_asks_over_tls() {
    let Some(kdig) = tool("kdig") else { return };
    let (_server, address, made) = secure(signed()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let ask = async |host: &str| {
        let (ip, port) = (address.ip(), address.port());
        let line = format!(
            "@{ip} -p {port} +tls +tls-ca={} +tls-hostname={host} +dnssec alice.ddn A nobody.ddn A",
            file.display()
        );
        output(&kdig, &line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await
    };
    let said = ask(HOST).await;
    for words in ["TLS session (TLS1.3)", "192.0.2.1", "RRSIG", "NSEC"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
    let said = ask("other.test").await;
    assert!(!said.contains("192.0.2.1"), "{said}");
}

#[tokio::test]
async fn one_connection_carries_many_questions() {
    let (server, address, made) = secure(signed()).await;
    for (protocols, is_taken) in [
        (&[&b"dot"[..]][..], true),
        (&[], true),
        (&[b"h2", b"dot"], true),
        (&[b"h2"], false),
    ] {
        let stream = connect(address, &made, protocols).await;
        assert_eq!(stream.is_ok(), is_taken, "{protocols:?}");
        let Ok(mut stream) = stream else { continue };
        for id in 0..20 {
            let packet = ask("alice.ddn", A).id(id).bytes();
            let reply = Answer(exchange_over(&mut stream, &packet).await);
            assert_eq!((reply.id(), reply.counts()[1]), (id, 1));
        }
    }
    server.shutdown().await;
}

/// RFC 7830 and RFC 8467: who fills up gets replies of whole blocks, where nobody else reads them; from memory as from the
/// slow path (a subnet makes a question unusual).
#[tokio::test]
async fn padded_questions_get_padded_replies() {
    let (server, address, made) = secure(signed()).await;
    let mut stream = connect(address, &made, &[]).await.expect("connected");
    let subnet = [0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113];
    let padding = [0, 12, 0, 3, 0, 0, 0];
    let cookie = [0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    for (options, is_padded) in [
        (vec![], false),
        (padding.to_vec(), true),
        (cookie.to_vec(), false),
        ([&padding[..], &cookie].concat(), true),
        ([&cookie[..], &padding].concat(), true),
        (subnet.to_vec(), false),
        ([&subnet[..], &padding].concat(), true),
    ] {
        for (name, kind) in [("alice.ddn", A), ("nobody.ddn", A), ("ddn", SOA)] {
            let mut question = ask(name, kind).edns(0, 1232, 0x8000);
            question.rest[10] = options.len() as u8;
            question.rest.extend(&options);
            for _ in 0..2 {
                let reply = Answer(exchange_over(&mut stream, &question.bytes()).await);
                let edns = reply.message().edns.expect("EDNS comes back");
                let option = edns.option(hickory_proto::rr::rdata::opt::EdnsCode::Padding);
                assert_eq!(option.is_some(), is_padded, "{name} {options:?}");
                assert_eq!(reply.0.len().is_multiple_of(468), is_padded, "{name} {options:?}");
            }
            // Over TCP it would help nobody.
            let plain = question.tcp(server.local_addr()).await;
            assert_ne!(plain.0.len() % 468, 0, "{name} {options:?}");
        }
    }
}

/// Who does not shake hands is cut as who does not ask, and nobody takes all places.
#[tokio::test]
async fn connections_are_bounded_as_over_tcp() {
    let config = Config {
        tcp_connections: 2,
        tcp_connections_per_source: 2,
        tcp_idle: Duration::from_secs(1),
        ..signed()
    };
    let (_server, address, made) = secure(config).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(address).await.expect("it listens"));
    }
    assert!(connect(address, &made, &[]).await.is_err(), "no place is left");
    for stream in &mut silent {
        let ended = timeout(DEADLINE, stream.read(&mut [0; 1])).await;
        assert!(matches!(ended.expect("cut"), Ok(0) | Err(_)));
    }
    // The places are free again.
    let started = std::time::Instant::now();
    while connect(address, &made, &[]).await.is_err() {
        assert!(started.elapsed() < DEADLINE, "no place came free");
    }
}
