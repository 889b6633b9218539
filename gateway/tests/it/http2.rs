//! HTTP/2: many requests on a connection, and what clients cannot do with that.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::{DEADLINE, request, until};
use crate::site::{Site, big};
use crate::wire::{self, GET, HELLO, Http2, frame, get, method};

const SHORT: Duration = Duration::from_millis(200);

/// Writes to a connection of its own until the server ends it; how many writes it took.
async fn flood(site: &Site, parts: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let stream = TcpStream::connect(site.address()).await.expect("a connection");
    wire::flood(stream, parts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let site = Site::new().await;
    let client = Http2::plain(site.address()).await;
    let path = |file: &str| format!("/ipfs/{}/{file}", site.root);
    let (text, large) = (path("ascii.txt"), path("big.bin"));
    let asked = (0..80).map(|at| {
        let path = if at % 20 == 0 { &large } else { &text };
        client.ask(get("127.0.0.1", path))
    });
    for (at, answer) in futures(asked).await.into_iter().enumerate() {
        let answer = answer.expect("an answer");
        assert!(answer.complete && answer.status == 200);
        match at % 20 {
            0 => assert!(answer.body == big()),
            _ => assert_eq!(answer.text(), "hello application/vnd.ipld.raw\n"),
        }
        assert!(!answer.header("date").is_empty());
    }
    let head = client
        .ask(method(Method::HEAD, "127.0.0.1", &text))
        .await
        .expect("an answer");
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "31", 0)
    );
    let none = client
        .ask(get("127.0.0.1", &path("nothing")))
        .await
        .expect("an answer");
    assert_eq!(none.status, 404);
    assert_eq!(none.header("content-length"), none.body.len().to_string());
    let name = client
        .ask(get("alice.ddn.localhost", "/style.css"))
        .await
        .expect("an answer");
    assert_eq!(name.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(
        site.metric("gateway_requests_by_version_total{version=\"2\"}"),
        83.0
    );
}

async fn futures<F: Future + Send>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (one, output) in &mut all {
            if output.is_none() {
                match one.as_mut().poll(cx) {
                    std::task::Poll::Ready(ended) => *output = Some(ended),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    all.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_no_more_stops_the_reading() {
    let site = Site::new().await;
    let client = Http2::plain(site.address()).await;
    let path = format!("/ipfs/{}/big.bin", site.root);
    let (parts, stream) = client.begin(get("127.0.0.1", &path)).await.expect("a head");
    assert_eq!(parts.status, 200);
    drop(stream);
    until("the request ends", || {
        site.metric("gateway_requests_in_flight") == 0.0
    })
    .await;
    assert_eq!(site.metric("gateway_connections"), 1.0);
    assert_eq!(
        client.ask(get("127.0.0.1", "/")).await.expect("an answer").status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_takes_nothing_is_cut_alone() {
    let site = Site::with(|config| config.limits.stall_timeout = SHORT).await;
    let client = Http2::plain(site.address()).await;
    let path = format!("/ipfs/{}/big.bin", site.root);
    let (_, mut stalled) = client.begin(get("127.0.0.1", &path)).await.expect("a head");
    until("it is cut", || site.metric("gateway_requests_in_flight") == 0.0).await;
    let ended = loop {
        match stalled.data().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        }
    };
    assert!(ended.expect_err("an end before the end").is_reset());
    assert_eq!(
        client.ask(get("127.0.0.1", "/")).await.expect("an answer").status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_too_long_is_refused() {
    let site = Site::new().await;
    let client = Http2::plain(site.address()).await;
    let mut request = get("127.0.0.1", "/");
    let long = "x".repeat(40 << 10).parse().expect("a header");
    request.headers_mut().insert("x-long", long);
    match client.ask(request).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        Err(error) => assert!(error.is_reset() || error.is_go_away(), "{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_sent_away() {
    let site = Site::with(|config| config.limits.head_timeout = SHORT).await;
    // One that never says hello, one that never asks.
    let mut silent = TcpStream::connect(site.address()).await.expect("a connection");
    silent.write_all(&HELLO[..20]).await.expect("a part of a hello");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, silent.read_to_end(&mut rest)).await;
    ended.expect("an end in time").expect("an end");
    let idle = Http2::plain(site.address()).await;
    let ended = tokio::time::timeout(DEADLINE, idle.end).await;
    ended.expect("an end in time").expect("no panic").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_end_their_connection_and_no_other() {
    let site = Site::new().await;
    let honest = Http2::plain(site.address()).await;
    // Streams that are reset as soon as they are opened.
    let resets = flood(&site, |at| {
        let stream = at * 2 + 1;
        let mut both = frame(1, 0x5, stream, GET);
        both.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        both
    });
    assert!(resets.await < 100_000, "rapid reset");
    // What asks for an answer without being a request.
    let pings = flood(&site, |_| {
        [frame(4, 0, 0, &[]), frame(6, 0, 0, &[0; 8])]
            .concat()
            .repeat(100)
    });
    assert!(pings.await < 100_000, "PING and SETTINGS flood");
    // A head that never ends.
    let heads = flood(&site, |at| match at {
        0 => frame(1, 0x1, 1, GET),
        _ => frame(9, 0, 1, &[0; 0]),
    });
    assert!(heads.await < 100_000, "CONTINUATION flood");
    // A head whose list is long: a literal of 4 KiB in each frame.
    let mut literal = vec![0, 1, b'x', 0x7f, 0x81, 0x1f];
    literal.extend(vec![b'y'; 4096]);
    let lists = flood(&site, |at| match at {
        0 => frame(1, 0x1, 1, GET),
        _ => frame(9, 0, 1, &literal),
    });
    // What the sockets hold beside what was read is some thousands of these.
    assert!(lists.await < 10_000, "a header list without end");
    assert_eq!(
        honest.ask(get("127.0.0.1", "/")).await.expect("an answer").status,
        200
    );
    until("the floods have gone", || {
        site.metric("gateway_connections") == 1.0
    })
    .await;
    assert_eq!(site.metric("gateway_requests_in_flight"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_connections_are_floods_may_open_no_more_of_them() {
    let site = Site::with(|config| {
        config.guarding.uncounted = Vec::new();
        config.guarding.proxies = Vec::new();
    })
    .await;
    let (client, other) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let mut answer = says(&site, client);
    // Some are let pass, and one more for each second that this takes.
    for _ in 0..200 {
        if !answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        flood(&site, |_| frame(6, 0, 0, &[0; 8]).repeat(100)).await;
        answer = says(&site, client);
    }
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\nRetry-After: "), "{answer}");
    assert!(site.metric("gateway_refused_connections_total") >= 1.0);
    let answer = says(&site, other);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    until("it may come again", || {
        says(&site, client).starts_with("HTTP/1.1 200 ")
    })
    .await;
}

/// What a gateway says to this address of this machine.
fn says(site: &Site, own: Ipv4Addr) -> String {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let own = SocketAddr::from((own, 0));
    socket
        .bind(&own.into())
        .expect("an address of the loopback network");
    socket.connect(&site.address().into()).expect("a connection");
    let (mut stream, mut answer) = (std::net::TcpStream::from(socket), Vec::new());
    // A refusal may come before the question.
    let _ = stream.write_all(request("GET", "127.0.0.1", "/", &[]).as_bytes());
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_answers_end_and_takes_no_more() {
    let site = Site::new().await;
    let client = Http2::plain(site.address()).await;
    let path = format!("/ipfs/{}/big.bin", site.root);
    let (_, mut stream) = client.begin(get("127.0.0.1", &path)).await.expect("a head");
    let read = async {
        until("the listener is closed", || {
            std::net::TcpStream::connect(site.address()).is_err()
        })
        .await;
        let refused = client.ask(get("127.0.0.1", "/")).await;
        assert!(refused.is_err(), "GOAWAY came before");
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            let data: Bytes = data.expect("the rest");
            stream.flow_control().release_capacity(data.len()).expect("room");
            body.extend_from_slice(&data);
        }
        body
    };
    let ((), body) = tokio::join!(site.gateway.shutdown(), read);
    assert!(body == big());
    assert!(site.reads.load(Ordering::SeqCst) > 0);
}
