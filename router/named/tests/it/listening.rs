//! Ports, bounds, stopping, metrics.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use named::dns::{Config, DnsServer, NameServer};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::book::{Book, config, serve};
use crate::wire::*;

async fn refused(config: Config) -> String {
    DnsServer::bind(config, Book::new(), &mut Registry::default())
        .await
        .expect_err("refused")
        .to_string()
}

#[tokio::test]
async fn a_port_in_use_is_said_in_one_line() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = tcp.local_addr().unwrap();
    let advice = "the port is in use by another program; stop it, or set dns.listen to another port (0 takes a free one)";
    assert_eq!(
        refused(Config { listen, ..config() }).await,
        format!("dns.listen: cannot listen on {listen} over TCP: {advice}")
    );
    drop(tcp);
    let _udp = UdpSocket::bind(listen).await.unwrap();
    assert_eq!(
        refused(Config { listen, ..config() }).await,
        format!("dns.listen: cannot listen on {listen} over UDP: {advice}")
    );
}

#[tokio::test]
async fn settings_that_are_no_names_are_said_in_one_line() {
    let host = |host: &str| Config {
        name_servers: vec![NameServer {
            host: host.into(),
            addresses: Vec::new(),
        }],
        ..config()
    };
    let shape = "is not a host name; use letters, digits, hyphens and dots, as in `ns1.example.org`";
    for (config, expected) in [
        (host("not a name"), format!("dns.name_servers: `not a name` {shape}")),
        (host(""), format!("dns.name_servers: `` {shape}")),
        (
            Config { name_servers: Vec::new(), ..config() },
            "dns.name_servers: `[]` needs at least one host name; a zone must have a name server".into(),
        ),
        (Config { alias_zones: vec!["a..b".into()], ..config() }, format!("dns.alias_zones: `a..b` {shape}")),
        (
            Config { alias_zones: vec!["web.ddn".into()], ..config() },
            "dns.alias_zones: `web.ddn` lies in the chain's own zone `ddn.`; an alias zone is a domain of the \
             public DNS"
                .into(),
        ),
    ] {
        assert_eq!(refused(config).await, expected);
    }
}

#[tokio::test]
async fn many_servers_find_free_ports_for_both_transports() {
    let mut servers = Vec::new();
    for _ in 0..20 {
        let server = serve(config(), &Book::new()).await;
        assert_eq!(ask("x.ddn", A).udp(server.local_addr()).await.code(), NXDOMAIN);
        assert_eq!(ask("x.ddn", A).tcp(server.local_addr()).await.code(), NXDOMAIN);
        servers.push(server);
    }
}

#[tokio::test]
async fn shutdown_frees_the_port_and_closes_connections() {
    let server = serve(config(), &Book::new()).await;
    let address = server.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    exchange(&mut idle, &ask("x.ddn", A).bytes())
        .await
        .expect("it serves");
    timeout(DEADLINE, server.shutdown())
        .await
        .expect("stops though a connection is open");
    assert_eq!(read(&mut idle).await, None);
    let again = serve(
        Config {
            listen: address,
            ..config()
        },
        &Book::new(),
    )
    .await;
    assert_eq!(ask("x.ddn", A).udp(again.local_addr()).await.code(), NXDOMAIN);
}

/// A socket that knows whom it asked hears nobody else. From memory and from the threads that compose.
#[tokio::test]
async fn replies_come_from_the_address_that_was_asked() {
    for (listen, asked) in [
        ("0.0.0.0:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.77"),
        ("[::]:0", "::1"),
        ("[::]:0", "127.0.0.77"),
        ("127.0.0.77:0", "127.0.0.77"),
    ] {
        let listen = listen.parse().expect("an address");
        let server = serve(Config { listen, ..config() }, &Book::new()).await;
        let asked: IpAddr = asked.parse().expect("an address");
        let address = SocketAddr::new(asked, server.local_addr().port());
        let here = if asked.is_ipv6() { "::1" } else { "127.0.0.1" };
        let socket = UdpSocket::bind((here, 0)).await.expect("a free port");
        socket.connect(address).await.expect("an address");
        for _ in 0..3 {
            socket.send(&ask("x.ddn", A).bytes()).await.expect("sent");
            assert_eq!(Answer(receive(&socket).await).code(), NXDOMAIN, "{listen}");
        }
        timeout(DEADLINE, server.shutdown()).await.expect("it stops");
    }
}

#[tokio::test]
async fn connections_are_bounded_and_places_come_back() {
    let server = serve(
        Config {
            tcp_connections_per_source: 2,
            ..config()
        },
        &Book::new(),
    )
    .await;
    let question = ask("x.ddn", A).bytes();
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        exchange(&mut stream, &question).await.expect("a place");
        open.push(stream);
    }
    let mut third = TcpStream::connect(server.local_addr()).await.unwrap();
    assert_eq!(exchange(&mut third, &question).await, None);
    assert_eq!(
        ask("x.ddn", A).udp(server.local_addr()).await.code(),
        NXDOMAIN,
        "UDP goes on"
    );
    open.clear();
    let freed = async {
        loop {
            let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
            if exchange(&mut stream, &question).await.is_some() {
                return;
            }
        }
    };
    timeout(DEADLINE, freed).await.expect("a place is free again");
}

#[tokio::test]
async fn silent_and_slow_connections_are_closed() {
    let server = serve(
        Config {
            tcp_idle: Duration::from_millis(50),
            ..config()
        },
        &Book::new(),
    )
    .await;
    for start in [&[][..], &[0], &[0, 30, 1, 2, 3]] {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        let end = timeout(DEADLINE, stream.read_to_end(&mut rest))
            .await
            .expect("closed");
        assert!(end.is_err() || rest.is_empty());
    }
}

#[tokio::test]
async fn questions_are_counted() {
    let mut registry = Registry::with_prefix("ddn");
    let server = DnsServer::bind(config(), Book::new(), &mut registry)
        .await
        .unwrap();
    ask("x.ddn", A).udp(server.local_addr()).await;
    ask("x.ddn", A).udp(server.local_addr()).await;
    ask("example.org", MX).tcp(server.local_addr()).await;
    server.shutdown().await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "ddn_dns_replies_total{transport=\"udp\",kind=\"a\",code=\"nxdomain\"} 2",
        "ddn_dns_replies_total{transport=\"tcp\",kind=\"other\",code=\"refused\"} 1",
        "ddn_dns_answer_seconds_count 2",
        "ddn_dns_kept_total 1",
        "ddn_dns_tcp_connections 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
}
