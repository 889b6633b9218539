//! How long things may take: what each limit ends, in each version of HTTP.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Buf;
use gateway::Config;
use storage::Walk;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{Answer, DEADLINE, open, raw, request, until};
use crate::network::{Fate, Second};
use crate::site::Site;
use crate::wire::{GET, HELLO, Http2, Http3, Identity, frame, get, quic, secured};

const SHORT: Duration = Duration::from_millis(200);
/// More than the sockets' buffers hold.
const HUGE: usize = 32 << 20;

/// The settings of a gateway that speaks all versions.
fn all(identity: &Identity, configure: impl FnOnce(&mut Config)) -> impl FnOnce(&mut Config) {
    move |config| {
        secured(config, &[identity]);
        configure(config);
    }
}

/// The answers by HTTP/1.1, HTTP/2 and HTTP/3.
async fn ask_all(
    plain: SocketAddr,
    secure: Option<SocketAddr>,
    identity: &Identity,
    path: &str,
) -> [Answer; 3] {
    let secure = secure.expect("an encrypted listener");
    let wanted = || get("127.0.0.1", path);
    let (http2, http3) = (
        Http2::plain(plain).await,
        Http3::new(secure, "localhost", identity).await,
    );
    [
        raw(plain, &request("GET", "127.0.0.1", path, &[])).await,
        http2.ask(wanted()).await.expect("an answer"),
        http3.ask(wanted()).await.expect("an answer"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_begin() {
    let (site, identity) = (Site::new().await, Identity::new(&["localhost"]));
    let set = all(&identity, |config| config.limits.first_byte_timeout = SHORT);
    let second = Second::with(&site, set).await;
    second.network.set_all(Fate::Held);
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    for answer in ask_all(second.address(), second.gateway.tls_addr(), &identity, &path).await {
        assert_eq!((answer.status, answer.complete), (504, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_go_on() {
    let (site, identity) = (Site::new().await, Identity::new(&["localhost"]));
    let set = all(&identity, |config| config.limits.silence_timeout = SHORT);
    let second = Second::with(&site, set).await;
    let file = Walk::new(&site.store, &[site.cid(&["big.bin"])]);
    let file: Vec<_> = file.map(|block| block.expect("a block").0).collect();
    second.network.set(file[3], Fate::Held);
    let path = format!("/ipfs/{}", file[0]);
    for answer in ask_all(second.address(), second.gateway.tls_addr(), &identity, &path).await {
        assert_eq!((answer.status, answer.complete), (200, false));
    }
}

/// A file that no socket holds, at a path.
fn huge(site: &Site) -> String {
    let bytes: Vec<u8> = (0..HUGE as u32 / 4)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    format!("/ipfs/{}/x.bin", site.publish(&[("x.bin", &bytes)]))
}

/// Waits for longer than an answer may take.
async fn too_long() {
    let since = Instant::now();
    until("the time is over", || since.elapsed() > SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_in_all() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(all(&identity, |config| config.limits.request_timeout = SHORT)).await;
    let path = huge(&site);
    // Each begins to read, and reads the rest when it is too late.
    let mut line = open(site.address(), &request("GET", "127.0.0.1", &path, &[])).await;
    line.read_exact(&mut [0; 64])
        .await
        .expect("the head of an answer");
    too_long().await;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(DEADLINE, line.read_to_end(&mut rest)).await;
    drop(read.expect("an end in time"));
    assert!(rest.len() < HUGE, "HTTP/1.1: all of it came");

    let client = Http2::plain(site.address()).await;
    let (_, mut body) = client.begin(get("127.0.0.1", &path)).await.expect("a head");
    too_long().await;
    let ended = loop {
        match body.data().await {
            Some(Ok(data)) => body.flow_control().release_capacity(data.len()).expect("room"),
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(ended.expect("HTTP/2: an end before the end").is_reset());

    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let client = Http3::new(address, "localhost", &identity).await;
    let mut stream = client
        .send
        .clone()
        .send_request(get("127.0.0.1", &path))
        .await
        .expect("a stream");
    stream.finish().await.expect("a request");
    assert_eq!(stream.recv_response().await.expect("a head").status(), 200);
    too_long().await;
    let mut came = 0;
    while let Ok(Some(data)) = stream.recv_data().await {
        came += data.remaining();
    }
    assert!(came < HUGE, "HTTP/3: all of it came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_by_http3_that_takes_nothing() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(all(&identity, |config| config.limits.stall_timeout = SHORT)).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let client = Http3::new(address, "localhost", &identity).await;
    let asked = get("127.0.0.1", &huge(&site));
    let mut stream = client.send.clone().send_request(asked).await.expect("a stream");
    stream.finish().await.expect("a request");
    assert_eq!(stream.recv_response().await.expect("a head").status(), 200);
    until("it is cut", || site.metric("gateway_requests_in_flight") == 0.0).await;
    let ended = loop {
        match stream.recv_data().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(ended.is_err(), "an end before the end");
    // It is cut alone.
    let answer = client.ask(get("127.0.0.1", "/")).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(all(&identity, |config| config.limits.head_timeout = SHORT)).await;
    // HTTP/1.1, by us and by the library: one is usual so far, the other is not.
    for begun in [
        "GET / HTTP/1.1\r\nHost: a",
        "POST / HTTP/1.1\r\nExpect: 100-continue\r\nHost: a",
    ] {
        let mut line = open(site.address(), begun).await;
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, line.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{begun:?}");
    }
    // HTTP/2: HEADERS without END_HEADERS.
    let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
    stream.write_all(HELLO).await.expect("a hello");
    stream.write_all(&frame(1, 0x1, 1, GET)).await.expect("a frame");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "HTTP/2");
    // HTTP/3: the begin of a frame.
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let (_endpoint, connection) = quic(address, "localhost", &identity).await;
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream");
    send.write_all(&[0x01]).await.expect("the begin of a frame");
    let ended = tokio::time::timeout(DEADLINE, receive.read(&mut [0; 64])).await;
    assert!(ended.is_ok(), "HTTP/3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_not_sent_to_its_end() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(all(&identity, |config| config.limits.first_byte_timeout = SHORT)).await;
    let headers = [
        ("Content-Type", "application/dns-message"),
        ("Content-Length", "100"),
    ];
    let answer = raw(
        site.address(),
        &request("POST", "localhost", "/dns-query", &headers),
    )
    .await;
    assert_eq!(answer.status, 504);
    let client = Http2::plain(site.address()).await;
    let question = http::Request::post("https://localhost/dns-query")
        .header("content-type", "application/dns-message")
        .body(())
        .expect("a request");
    let mut send = client.send.clone().ready().await.expect("a stream");
    let (answer, _open) = send.send_request(question, false).expect("a stream");
    let answer = tokio::time::timeout(DEADLINE, answer).await.expect("in time");
    assert_eq!(answer.expect("an answer").status(), 504);
}
