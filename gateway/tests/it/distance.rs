//! How far readers are is told to the node: of each connection when it ends, and not of those that are no reader's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use crate::client::{Kept, keeping, raw, request, until};
use crate::site::Site;
use crate::wire::{Http2, Http3, Identity, get, secured};

/// What the slow way takes in each direction.
const ONE_WAY: Duration = Duration::from_millis(40);

async fn site(identity: &Identity, trusts_this_machine: bool) -> Site {
    Site::with(|config| {
        secured(config, &[identity]);
        config.provider.listen = "127.0.0.1:0".parse().ok();
        if !trusts_this_machine {
            config.guarding.proxies = Vec::new();
        }
    })
    .await
}

/// What was told until now.
fn told(site: &Site) -> Vec<u32> {
    let measured = site.node.measured.read().expect("no panic holds it");
    assert!(measured.iter().all(|(reader, _)| reader.is_loopback()));
    measured.iter().map(|(_, rtt_us)| *rtt_us).collect()
}

#[tokio::test]
async fn each_connection_of_a_reader_tells_once_at_its_end() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity, false).await;
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    let mut kept = Kept::open(site.address()).await;
    for _ in 0..3 {
        let answer = kept.ask(&keeping("GET", "127.0.0.1", &path, &[])).await;
        assert_eq!(answer.status, 200);
    }
    assert!(told(&site).is_empty(), "not while it lasts");
    drop(kept);
    until("the first tells", || told(&site).len() == 1).await;
    let http2 = Http2::plain(site.address()).await;
    assert_eq!(
        http2
            .ask(get("127.0.0.1", &path))
            .await
            .expect("an answer")
            .status,
        200
    );
    drop(http2);
    until("that of HTTP/2 tells", || told(&site).len() == 2).await;
    // On one machine it is microseconds, or milliseconds if that is busy.
    assert!(told(&site).iter().all(|rtt_us| (1..1_000_000).contains(rtt_us)));
}

#[tokio::test]
async fn proxies_and_other_nodes_are_no_readers() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity, true).await;
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    let asked = request("GET", "127.0.0.1", &path, &[("X-Forwarded-For", "192.0.2.7")]);
    assert_eq!(raw(site.address(), &asked).await.status, 200);
    until("the proxy has gone", || site.metric("gateway_connections") == 0.0).await;
    let http3 = Http3::new(tls(&site), "localhost", &identity).await;
    assert_eq!(
        http3
            .ask(get("127.0.0.1", &path))
            .await
            .expect("an answer")
            .status,
        200
    );
    http3.connection.close(0u32.into(), b"");
    until("and that of HTTP/3", || site.metric("gateway_connections") == 0.0).await;
    assert!(told(&site).is_empty());

    let site = self::site(&identity, false).await;
    let face = site.gateway.provider_addr().expect("a listener");
    let asked = request("GET", "localhost", "/ipfs/bafkqaaa?format=raw", &[]);
    assert_eq!(raw(face, &asked).await.status, 200);
    until("the other node has gone", || {
        site.metric("gateway_connections") == 0.0
    })
    .await;
    assert!(told(&site).is_empty());
}

#[tokio::test]
async fn over_quic_it_is_the_time_that_the_way_takes() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity, false).await;
    let slow = slow_way(tls(&site)).await;
    let http3 = Http3::new(slow, "localhost", &identity).await;
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    for _ in 0..3 {
        let answer = http3.ask(get("127.0.0.1", &path)).await.expect("an answer");
        assert_eq!(answer.status, 200);
    }
    http3.connection.close(0u32.into(), b"");
    until("it is told", || told(&site).len() == 1).await;
    let rtt = Duration::from_micros(told(&site)[0].into());
    assert!(rtt >= 2 * ONE_WAY && rtt < 8 * ONE_WAY, "{rtt:?}");
}

fn tls(site: &Site) -> SocketAddr {
    site.gateway.tls_addr().expect("an encrypted listener")
}

/// An address from which packets of one client take their time to `server`, and back.
async fn slow_way(server: SocketAddr) -> SocketAddr {
    let own = "127.0.0.1:0";
    let front = Arc::new(UdpSocket::bind(own).await.expect("a socket"));
    let back = Arc::new(UdpSocket::bind(own).await.expect("a socket"));
    let address = front.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut there, mut here, mut client) = ([0; 2_048], [0; 2_048], None);
        loop {
            tokio::select! {
                Ok((length, from)) = front.recv_from(&mut there) => {
                    client = Some(from);
                    send_later(&back, there[..length].to_vec(), server);
                }
                Ok((length, _)) = back.recv_from(&mut here) => {
                    if let Some(client) = client {
                        send_later(&front, here[..length].to_vec(), client);
                    }
                }
                else => return,
            }
        }
    });
    address
}

fn send_later(socket: &Arc<UdpSocket>, packet: Vec<u8>, to: SocketAddr) {
    let (socket, at) = (Arc::clone(socket), Instant::now() + ONE_WAY);
    tokio::spawn(async move {
        sleep_until(at).await;
        // A packet that is lost is sent again by whom it matters to.
        let _ = socket.send_to(&packet, to).await;
    });
}
