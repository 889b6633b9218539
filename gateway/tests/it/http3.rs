//! HTTP/3: many requests on a connection, and what clients cannot do with that.

use std::time::Duration;

use bytes::Buf;
use http::Method;

use crate::client::{DEADLINE, until};
use crate::site::{Site, big};
use crate::wire::{Http3, Identity, get, method, quic, secured};

const SHORT: Duration = Duration::from_millis(200);

async fn site(identity: &Identity) -> Site {
    Site::with(|config| secured(config, &[identity])).await
}

async fn client(site: &Site, identity: &Identity) -> Http3 {
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    Http3::new(address, "localhost", identity).await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once() {
    let identity = Identity::new(&["localhost", "alice.ddn.localhost"]);
    let site = site(&identity).await;
    let client = std::sync::Arc::new(client(&site, &identity).await);
    let path = |file: &str| format!("/ipfs/{}/{file}", site.root);
    let mut asked = tokio::task::JoinSet::new();
    for at in 0..80 {
        let large = at % 20 == 0;
        let path = path(if large { "big.bin" } else { "ascii.txt" });
        let client = client.clone();
        asked.spawn(async move { (large, client.ask(get("127.0.0.1", &path)).await) });
    }
    while let Some(answered) = asked.join_next().await {
        let (large, answer) = answered.expect("no panic");
        let answer = answer.expect("an answer");
        assert!(answer.complete && answer.status == 200 && !answer.header("date").is_empty());
        match large {
            true => assert!(answer.body == big()),
            false => assert_eq!(answer.text(), "hello application/vnd.ipld.raw\n"),
        }
        // Who is here needs not be told of it.
        assert_eq!(answer.header("alt-svc"), "");
    }
    let head = client
        .ask(method(Method::HEAD, "127.0.0.1", &path("ascii.txt")))
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
    assert_eq!(
        (none.status, none.header("content-length")),
        (404, none.body.len().to_string().as_str())
    );
    let name = client
        .ask(get("alice.ddn.localhost", "/style.css"))
        .await
        .expect("an answer");
    assert_eq!(name.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(
        site.metric("gateway_requests_by_version_total{version=\"3\"}"),
        83.0
    );
    assert_eq!(site.metric("gateway_connections"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_wants_no_more_stops_the_reading() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity).await;
    let client = client(&site, &identity).await;
    let path = format!("/ipfs/{}/big.bin", site.root);
    let mut stream = client
        .send
        .clone()
        .send_request(get("127.0.0.1", &path))
        .await
        .expect("a stream");
    stream.finish().await.expect("a request");
    assert_eq!(stream.recv_response().await.expect("a head").status(), 200);
    stream.stop_sending(h3::error::Code::H3_REQUEST_CANCELLED);
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
async fn a_head_too_long_is_refused() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity).await;
    let client = client(&site, &identity).await;
    let mut request = get("127.0.0.1", "/");
    let long = "x".repeat(40 << 10).parse().expect("a header");
    request.headers_mut().insert("x-long", long);
    match client.ask(request).await {
        Ok(answer) => assert_eq!(answer.status, 431),
        // Ours knows the limit from the settings.
        Err(error) => assert!(error.to_string().contains("too big"), "{error}"),
    }
    assert_eq!(
        client.ask(get("127.0.0.1", "/")).await.expect("an answer").status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_without_end_ends_its_stream() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let (_endpoint, connection) = quic(address, "localhost", &identity).await;
    let (mut send, _receive) = connection.open_bi().await.expect("a stream");
    // HEADERS of 2^30 bytes (RFC 9114, section 7.1).
    send.write_all(&[0x01, 0xc0, 0, 0, 0, 0x40, 0, 0, 0])
        .await
        .expect("a frame");
    let flood = async {
        let mut sent = 0;
        while send.write_all(&[0; 16 << 10]).await.is_ok() {
            sent += 16 << 10;
        }
        sent
    };
    let sent = tokio::time::timeout(DEADLINE, flood)
        .await
        .expect("an end in time");
    assert!(sent < 1 << 20, "{sent} bytes were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_at_once_are_bounded_and_a_reset_gains_none() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(|config| {
        secured(config, &[&identity]);
        config.limits.connection_requests_max = 4;
    })
    .await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let (_endpoint, connection) = quic(address, "localhost", &identity).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let (mut send, receive) = connection.open_bi().await.expect("a stream");
        send.write_all(&[0x01]).await.expect("the begin of a frame");
        open.push((send, receive));
    }
    let fifth = tokio::time::timeout(SHORT, connection.open_bi()).await;
    assert!(fifth.is_err(), "a fifth stream before one of the four has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_its_streams_is_sent_away() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let (_endpoint, connection) = quic(address, "localhost", &identity).await;
    let flood = async {
        while let Ok((mut send, _receive)) = connection.open_bi().await {
            // The begin of HEADERS.
            let begun = send.write_all(&[0x01, 0x40, 0x80]).await;
            let _ = begun.map(|()| send.reset(0x10c_u32.into()));
        }
        connection.closed().await
    };
    let ended = tokio::time::timeout(DEADLINE, flood)
        .await
        .expect("an end in time");
    // H3_EXCESSIVE_LOAD
    let quinn::ConnectionError::ApplicationClosed(close) = ended else {
        panic!("{ended}");
    };
    assert_eq!(close.error_code, 0x107_u32.into());
    until("its place is free", || site.metric("gateway_connections") == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_nothing_is_sent_away() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(|config| {
        secured(config, &[&identity]);
        config.limits.head_timeout = SHORT;
    })
    .await;
    let client = client(&site, &identity).await;
    let ended = tokio::time::timeout(DEADLINE, client.connection.closed()).await;
    ended.expect("an end in time");
    until("its place is free", || site.metric("gateway_connections") == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_answers_end_and_takes_no_more() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&identity).await;
    let mut client = client(&site, &identity).await;
    let path = format!("/ipfs/{}/big.bin", site.root);
    let mut stream = client
        .send
        .clone()
        .send_request(get("127.0.0.1", &path))
        .await
        .expect("a stream");
    stream.finish().await.expect("a request");
    assert_eq!(stream.recv_response().await.expect("a head").status(), 200);
    let read = async {
        until("the listener is closed", || {
            std::net::TcpStream::connect(site.address()).is_err()
        })
        .await;
        let mut body = Vec::new();
        while let Some(mut data) = stream.recv_data().await.expect("the rest") {
            body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
        }
        body
    };
    let ((), body) = tokio::join!(site.gateway.shutdown(), read);
    assert!(body == big());
    let error = tokio::time::timeout(DEADLINE, &mut client.end)
        .await
        .expect("in time")
        .expect("no panic");
    assert!(error.is_h3_no_error(), "{error}");
    assert!(client.ask(get("127.0.0.1", "/")).await.is_err());
}
