//! What clients cannot do: stay for ever, take all places, lose an answer at shutdown.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gateway::{Config, Gateway};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::client::{DEADLINE, keeping, open, raw, request, until};
use crate::site::{Site, backend};

const SHORT: Duration = Duration::from_millis(200);
/// More than the sockets' buffers hold, so that the server cannot send it to a client that does not read.
const HUGE: usize = 48 << 20;
/// The most that memory answers as a whole.
const MUCH: usize = 2 << 20;

/// Starts a download of a huge file and reads its first bytes.
async fn download(site: &Site, cid: cid::Cid) -> TcpStream {
    let mut stream = open(
        site.address(),
        &request("GET", "127.0.0.1", &format!("/ipfs/{cid}/x.bin"), &[]),
    )
    .await;
    let mut first = [0; 64];
    stream
        .read_exact(&mut first)
        .await
        .expect("the head of an answer");
    stream
}

fn huge(site: &Site) -> cid::Cid {
    let bytes: Vec<u8> = (0..HUGE as u32 / 4)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    site.publish(&[("x.bin", &bytes)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_stops_the_reading() {
    let site = Site::new().await;
    let cid = huge(&site);
    drop(download(&site, cid).await);
    until("the request ends", || {
        site.metric("gateway_requests_in_flight") == 0.0
    })
    .await;
    let read = site.reads.load(Ordering::SeqCst);
    assert!(read < 40, "{read} blocks were read for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut() {
    let site = Site::with(|config| config.limits.stall_timeout = SHORT).await;
    let cid = huge(&site);
    let _stream = download(&site, cid).await;
    until("the connection is cut", || {
        site.metric("gateway_connections") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trickles_its_request_is_cut() {
    let site = Site::with(|config| config.limits.head_timeout = SHORT).await;
    for text in [
        "",
        "GET / HTTP/1.1\r\nHost: ",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ] {
        let mut stream = open(site.address(), text).await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{text:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_too_long_is_refused() {
    let site = Site::new().await;
    let long = "x".repeat(40 << 10);
    assert_eq!(
        site.ask("GET", "127.0.0.1", "/", &[("X-Long", &long)])
            .await
            .status,
        431
    );
}

/// A socket that is closed with something unread is reset, and its answer may be lost (RFC 9112, 9.6).
#[tokio::test(flavor = "multi_thread")]
async fn who_still_sends_hears_why_it_is_refused() {
    let site = Site::new().await;
    let long = "x".repeat(2 << 20);
    let length = long.len().to_string();
    let post = [
        ("Content-Type", "application/dns-message"),
        ("Content-Length", length.as_str()),
    ];
    for (text, status) in [
        (request("GET", "127.0.0.1", "/", &[("X-Long", &long)]), "431"),
        (request("GET", "127.0.0.1", &format!("/{long}"), &[]), "431"),
        (request("POST", "localhost", "/dns-query", &post) + &long, "413"),
        (request("PUT", "localhost", "/", &post) + &long, "405"),
    ] {
        let mut stream = open(site.address(), &text).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        read.expect("an end in time").expect("an end, not a reset");
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{answer:.200}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_too_deep_is_refused() {
    let site = Site::new().await;
    for (times, status) in [(500, 404), (600, 400)] {
        let path = format!("/ipfs/{}/{}", site.root, "a/".repeat(times));
        assert_eq!(
            site.ask("GET", "127.0.0.1", &path, &[]).await.status,
            status,
            "{times}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_told_to_come_again() {
    let site = Site::with(|config| config.limits.requests_max = 1).await;
    let cid = huge(&site);
    let first = download(&site, cid).await;
    let second = site.get("/ascii.txt", &[]).await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    drop(first);
    until("the first ends", || {
        site.metric("gateway_requests_in_flight") == 0.0
    })
    .await;
    assert_eq!(site.get("/ascii.txt", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_connections_are_told_to_come_again() {
    let site = Site::with(|config| config.limits.connections_max = 1).await;
    let _first = open(site.address(), "").await;
    until("the first is in", || site.metric("gateway_connections") == 1.0).await;
    let second = raw(site.address(), "").await;
    assert_eq!((second.status, second.header("retry-after")), (503, "1"));
    assert_eq!(site.metric("gateway_refused_connections_total"), 1.0);
}

/// How many bytes come while the gateway shuts down, read once it listens no more.
async fn rest_after_shutdown(site: &Site, stream: &mut TcpStream) -> usize {
    let read = async {
        until("the listener is closed", || {
            std::net::TcpStream::connect(site.address()).is_err()
        })
        .await;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("the rest");
        rest.len()
    };
    let ((), rest) = tokio::join!(site.gateway.shutdown(), read);
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_answers_end() {
    let site = Site::new().await;
    let cid = huge(&site);
    let mut stream = download(&site, cid).await;
    let rest = rest_after_shutdown(&site, &mut stream).await;
    assert!(rest > HUGE, "{rest} bytes of head and body");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_ever() {
    let site = Site::with(|config| config.limits.drain_timeout = SHORT).await;
    let cid = huge(&site);
    let _stream = download(&site, cid).await;
    let _idle = open(site.address(), "").await;
    tokio::time::timeout(DEADLINE, site.gateway.shutdown())
        .await
        .expect("an end in time");
    assert_eq!(site.metric("gateway_connections"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept() {
    let site = Site::new().await;
    let text = format!(
        "GET /ipfs/{}/ascii.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        site.root
    );
    let both = raw(
        site.address(),
        &format!(
            "{text}{}",
            text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")
        ),
    )
    .await;
    assert_eq!(String::from_utf8_lossy(&both.body).matches("hello").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let site = Site::new().await;
    let config = Config {
        listen: site.address(),
        ..Config::default()
    };
    let blocks = Arc::new(site.store.clone());
    let error = Gateway::bind(config, backend(blocks, Arc::default()), &mut Registry::default()).await;
    let text = error.expect_err("the port is taken").to_string();
    assert!(
        text.contains(&site.address().to_string()) && text.contains("gateway.listen"),
        "{text}"
    );
    assert!(text.contains("in use") && !text.contains('\n'), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_counted() {
    let site = Site::new().await;
    site.get("/ascii.txt", &[]).await;
    site.get("/nothing", &[]).await;
    assert_eq!(site.metric("gateway_requests_total{status=\"2xx\"}"), 1.0);
    assert_eq!(site.metric("gateway_requests_total{status=\"4xx\"}"), 1.0);
    assert!(site.metric("gateway_sent_bytes_total") >= 31.0);
}

/// Asks for two answers that memory has as a whole and that no socket takes at once, and reads the first bytes. Returns
/// the connection, what was asked twice, and the first bytes.
async fn stuck(site: &Site) -> (TcpStream, String, Vec<u8>) {
    let bytes: Vec<u8> = (0..MUCH as u32 / 4)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let path = format!("/ipfs/{}/x.bin", site.publish(&[("x.bin", &bytes)]));
    for _ in 0..2 {
        assert_eq!(site.ask("GET", "127.0.0.1", &path, &[]).await.body.len(), MUCH);
    }
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 << 10).expect("a small buffer");
    let mut stream = socket.connect(site.address()).await.expect("a connection");
    let asked = keeping("GET", "127.0.0.1", &path, &[]);
    let twice = asked.repeat(2);
    stream.write_all(twice.as_bytes()).await.expect("two requests");
    let mut begun = vec![0; 1 << 10];
    stream.read_exact(&mut begun).await.expect("the head");
    (stream, asked, begun)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_memory_waits_for_its_reader() {
    let site = Site::new().await;
    let (mut stream, asked, mut first) = stuck(&site).await;
    stream
        .write_all(asked.as_bytes())
        .await
        .expect("one more request");
    assert_eq!(site.metric("gateway_resting_connections"), 1.0);
    let (begun, head) = (
        first.len(),
        first.windows(4).position(|w| w == b"\r\n\r\n").expect("a head") + 4,
    );
    first.resize(head + MUCH, 0);
    stream
        .read_exact(&mut first[begun..])
        .await
        .expect("the rest of the first");
    for _ in 0..2 {
        let mut next = vec![0; first.len()];
        stream.read_exact(&mut next).await.expect("the next");
        assert!(next[head..] == first[head..], "the same file");
    }
    assert_eq!(site.metric("gateway_resting_connections"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_from_memory_that_nobody_takes_is_cut() {
    let site = Site::with(|config| config.limits.stall_timeout = SHORT).await;
    let _stuck = stuck(&site).await;
    until("the connection is cut", || {
        site.metric("gateway_connections") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_answers_from_memory_end() {
    let site = Site::new().await;
    let (mut stream, _, begun) = stuck(&site).await;
    let rest = rest_after_shutdown(&site, &mut stream).await;
    assert!(begun.len() + rest > 2 * MUCH, "{rest} bytes");
}
