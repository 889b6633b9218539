//! What readers get, and what origins see.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::world::*;
use crate::client::{open, raw, request, until};

#[tokio::test]
async fn a_name_is_served_from_its_origin() {
    let origin = Origin::new(|target, _| {
        ok(
            "Content-Type: text/plain\r\nX-Own: 1\r\n",
            format!("page {target}"),
        )
    })
    .await;
    let front = Front::of(&origin).await;
    let answer = front.get("/a%2Fb//c?x=1&y=%20").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "page /a%2Fb//c?x=1&y=%20")
    );
    assert_eq!(
        (answer.header("content-type"), answer.header("x-own")),
        ("text/plain", "1")
    );
    assert_eq!(answer.header("via"), "1.1 ddn");
    // Pages of others are not open to all origins as content is.
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let seen = &origin.asked()[0];
    assert!(seen.starts_with("GET /a%2Fb//c?x=1&y=%20 HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: {HOST}:{}\r\n", origin.address.port())),
        "{seen}"
    );
    assert!(seen.contains("cdn-loop: ddn-"), "{seen}");
}

#[tokio::test]
async fn an_origin_sees_the_number_and_the_way_of_a_request() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::with(&origin, |config| {
        config.card.node_id = Some("abc".into());
        config.limits.hops_max = 2;
    })
    .await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{id}-00f067aa0ba902b7-01");
    let headers = [
        ("traceparent", parent.as_str()),
        ("CDN-Loop", "one, two;v=\"1,2\""),
    ];
    let answer = front.ask("GET", "/", &headers).await;
    let ours = answer.header("traceresponse");
    assert!(answer.status == 200 && ours.starts_with(&format!("00-{id}-")) && ours != parent);
    // Each request to it, the one for its consent too, has our part of the trace as its parent.
    let seen = origin.heads();
    assert_eq!(seen.len(), 2);
    for head in &seen {
        assert!(head.contains(&format!("traceparent: {ours}\r\n")), "{head}");
        assert!(
            head.contains("cdn-loop: one, two;v=\"1,2\", ddn-abc\r\n"),
            "{head}"
        );
        assert_eq!(head.matches("traceparent").count(), 1, "{head}");
    }
    // Who brings no number gets one; what makes no sense is not passed on.
    for (target, brought) in [("/2", &[][..]), ("/3", &[("traceparent", "00-nonsense")])] {
        assert_eq!(front.ask("GET", target, brought).await.status, 200);
        let seen = origin.asked().pop().expect("a request");
        let line = seen.lines().find_map(|line| line.strip_prefix("traceparent: "));
        let number = line.expect("a number");
        assert!(
            number.len() == 55 && !number.contains(id) && !number.contains("nonsense"),
            "{seen}"
        );
    }
    // What has come too far, or was here, goes no further.
    let asked = origin.heads().len();
    for marks in ["one, two, three", "ddn-abc"] {
        assert_eq!(front.ask("GET", "/4", &[("CDN-Loop", marks)]).await.status, 508);
    }
    assert_eq!(origin.heads().len(), asked);
}

#[tokio::test]
async fn an_origin_sees_nothing_of_a_reader() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::of(&origin).await;
    let headers = [
        ("Cookie", "secret=1"),
        ("Authorization", "Basic c2VjcmV0"),
        ("Referer", "http://secret.example/"),
        ("User-Agent", "secret"),
        ("Accept-Language", "secret"),
        ("X-Forwarded-For", "secret"),
        ("Forwarded", "for=secret"),
        ("X-Original-URL", "/secret"),
        ("X-HTTP-Method-Override", "secret"),
        ("Range", "bytes=0-1"),
    ];
    assert_eq!(front.ask("GET", "/", &headers).await.status, 200);
    let seen = &origin.asked()[0];
    assert!(
        !seen.to_lowercase().contains("secret") && !seen.contains("c2Vj"),
        "{seen}"
    );
}

#[tokio::test]
async fn bodies_of_requests_are_not_passed_on() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::of(&origin).await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        assert_eq!(
            front.ask(method, "/", &[("Content-Length", "0")]).await.status,
            405,
            "{method}"
        );
    }
    assert_eq!(origin.heads().len(), 0);
    let text = request("GET", NAME, "/", &[("Content-Length", "30")]) + "GET /smuggled HTTP/1.1\r\n\r\n....";
    assert_eq!(raw(front.address(), &text).await.text(), "page");
    assert_eq!(origin.asked().len(), 1);
    assert!(!origin.asked()[0].to_lowercase().contains("content-length"));
}

#[tokio::test]
async fn content_wins() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::of(&origin).await;
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("index.html"), "content").unwrap();
    let root = front
        .store
        .import_path(folder.path(), storage::Profile::default(), &mut |_| {})
        .unwrap()
        .root;
    let records = ledger::Records {
        content: Some(root.into()),
        origin: Some(origin.url().parse().unwrap()),
        txt: vec!["ddn-origin=token".into()],
        ..ledger::Records::default()
    };
    front.book.set("shop", "", records);
    assert_eq!(front.get("/").await.text(), "content");
    assert_eq!(front.get("/only-there").await.status, 404);
    assert_eq!(origin.heads().len(), 0);
}

#[tokio::test]
async fn it_needs_a_host_of_its_own() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::of(&origin).await;
    let by_path = raw(
        front.address(),
        &request("GET", "localhost", "/ipns/shop.ddn/", &[]),
    )
    .await;
    assert!(
        by_path.status != 200 && !by_path.text().contains("page\n"),
        "{by_path:?}"
    );
    assert_eq!(origin.heads().len(), 0);
    let by_host = raw(front.address(), &request("GET", "shop.ddn.localhost", "/", &[])).await;
    assert_eq!(by_host.text(), "page");
}

#[tokio::test]
async fn without_consent_nothing_is_fetched() {
    for (texts, file, words) in [
        (&[][..], "shop.ddn token", "no text ddn-origin=TOKEN"),
        (&["ddn-origin="], "shop.ddn token", "no text ddn-origin=TOKEN"),
        (&["ddn-origin=token"], "", "its file does not name it"),
        (
            &["ddn-origin=other"],
            "shop.ddn token",
            "its file does not name it",
        ),
        // A token that was copied from another name.
        (
            &["ddn-origin=token"],
            "victim.ddn token",
            "its file does not name it",
        ),
    ] {
        let origin = Origin::on("127.0.0.1:0", move |_, _| ok("", file)).await;
        let front = Front::of(&origin).await;
        front.name(&origin.url(), texts);
        for _ in 0..3 {
            let answer = front.get("/secret").await;
            assert_eq!(answer.status, 403, "{texts:?} {file}");
            assert!(answer.text().contains(words), "{}", answer.text());
        }
        assert!(origin.asked().is_empty(), "{:?}", origin.asked());
        assert!(origin.heads().len() <= 1, "a no is remembered");
    }
}

#[tokio::test]
async fn an_origin_that_does_not_answer_for_its_consent_is_not_served() {
    let origin = Origin::on("127.0.0.1:0", |_, _| {
        answer("404 Not Found", "", "shop.ddn token")
    })
    .await;
    let front = Front::of(&origin).await;
    let refused = front.get("/").await;
    assert!(
        refused.status == 403 && refused.text().contains("it answers 404"),
        "{}",
        refused.text()
    );
    let origin = Origin::on("127.0.0.1:0", |_, _| {
        answer("302 Found", "Location: /elsewhere\r\n", "shop.ddn token")
    })
    .await;
    assert_eq!(Front::of(&origin).await.get("/").await.status, 403);
    let origin = Origin::on("127.0.0.1:0", |_, _| Step::Hold(vec![])).await;
    assert_eq!(Front::of(&origin).await.get("/").await.status, 504);
    let origin = Origin::on("127.0.0.1:0", |_, _| {
        Step::Repeat(b"HTTP/1.1 200 OK\r\n\r\n".into(), vec![b'x'; 4096])
    })
    .await;
    assert_eq!(Front::of(&origin).await.get("/").await.status, 403);
}

#[tokio::test]
async fn redirects_are_the_readers_to_follow() {
    let trap = Origin::on("127.0.0.1:0", |_, _| ok("", "secret")).await;
    let inside = format!("http://{}/", trap.address);
    let origin = Origin::new({
        let inside = inside.clone();
        move |target, head| {
            let own = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
            let to = match target {
                "/own" => format!("http://{own}/next?x"),
                "/metadata" => "http://169.254.169.254/latest/".to_owned(),
                _ => inside.clone(),
            };
            answer("302 Found", &format!("Location: {to}\r\n"), "")
        }
    })
    .await;
    let front = Front::of(&origin).await;
    for (target, to) in [
        ("/own", "/next?x"),
        ("/metadata", "http://169.254.169.254/latest/"),
        ("/inside", &inside),
    ] {
        let answer = front.get(target).await;
        assert_eq!((answer.status, answer.header("location")), (302, to));
    }
    assert_eq!(trap.heads().len(), 0);
}

#[tokio::test]
async fn large_answers_are_passed_on_as_they_come() {
    let large: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let body = large.clone();
    let origin = Origin::new(move |target, _| match target {
        "/chunked" => {
            let mut text =
                b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_vec();
            for part in body.chunks(50_000) {
                text.extend(format!("{:x}\r\n", part.len()).bytes());
                text.extend(part);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n\r\n");
            Step::Say(text)
        }
        "/ends" => Step::Say([b"HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\n", &body[..]].concat()),
        _ => ok("Cache-Control: max-age=60\r\n", &body),
    })
    .await;
    let front = Front::with(&origin, |config| config.origins.answer_bytes_max = 1 << 20).await;
    for target in ["/length", "/chunked", "/ends"] {
        let answer = front.get(target).await;
        assert!(
            answer.complete && answer.body == large,
            "{target}: {} bytes",
            answer.body.len()
        );
        front.get(target).await;
        assert_eq!(
            origin.asked().iter().filter(|head| head.contains(target)).count(),
            2
        );
    }
}

#[tokio::test]
async fn ranges_are_passed_on_where_they_are_not_here() {
    let origin = Origin::new(|_, head| {
        let ranged = head.lines().any(|line| line == "range: bytes=2-3");
        match ranged {
            true => answer("206 Partial Content", "Content-Range: bytes 2-3/10\r\n", "23"),
            false => ok("Cache-Control: max-age=60\r\nETag: \"1\"\r\n", "0123456789"),
        }
    })
    .await;
    let front = Front::of(&origin).await;
    let part = front.ask("GET", "/", &[("Range", "bytes=2-3")]).await;
    assert_eq!(
        (part.status, part.text().as_str(), part.header("content-range")),
        (206, "23", "bytes 2-3/10")
    );
    assert_eq!(front.get("/").await.text(), "0123456789");
    let seen = origin.asked().len();
    for (range, status, body) in [
        ("bytes=2-3", 206, "23"),
        ("bytes=-2", 206, "89"),
        ("bytes=20-", 416, ""),
        ("lines=1-2", 200, "0123456789"),
    ] {
        let part = front.ask("GET", "/", &[("Range", range)]).await;
        assert_eq!((part.status, part.text().as_str()), (status, body), "{range}");
    }
    let other = [("Range", "bytes=2-3"), ("If-Range", "\"2\"")];
    assert_eq!(front.ask("GET", "/", &other).await.status, 200);
    assert_eq!(
        front.ask("GET", "/", &[("If-None-Match", "\"1\"")]).await.status,
        304
    );
    assert_eq!(origin.asked().len(), seen);
}

#[tokio::test]
async fn heads_come_alone() {
    let origin = Origin::new(|_, head| match head.starts_with("HEAD") {
        true => say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\n"),
        false => ok("Cache-Control: max-age=60\r\n", "page"),
    })
    .await;
    let front = Front::of(&origin).await;
    for _ in 0..2 {
        let head = front.ask("HEAD", "/", &[]).await;
        assert_eq!(
            (head.status, head.header("content-length"), head.body.len()),
            (200, "4", 0)
        );
        front.get("/").await;
    }
    assert_eq!(origin.asked().len(), 2);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_download() {
    let origin = Origin::new(|_, _| {
        Step::Repeat(
            b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\n\r\n".into(),
            vec![7; 65_536],
        )
    })
    .await;
    let front = Front::of(&origin).await;
    let reader = open(front.address(), &request("GET", NAME, "/", &[])).await;
    until("the origin is asked", || origin.asked().len() == 1).await;
    let closed = origin.closed();
    drop(reader);
    until("the origin's connection is closed", || origin.closed() > closed).await;
}

#[tokio::test]
async fn what_readers_get_is_counted_and_ends_where_the_money_does() {
    let origin = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", vec![b'x'; 1000])).await;
    let purse = Purse::of(2500);
    let front = Front::metered(&origin, Arc::new(Shared(purse.clone()))).await;
    for counted in [1000, 2000] {
        assert!(front.get("/").await.complete);
        assert_eq!(purse.counted.load(Ordering::SeqCst), counted);
    }
    assert_eq!(front.ask("HEAD", "/", &[]).await.status, 200);
    assert_eq!(purse.counted.load(Ordering::SeqCst), 2000, "a head costs nothing");
    let part = front.ask("GET", "/", &[("Range", "bytes=0-499")]).await;
    assert_eq!((part.status, purse.counted.load(Ordering::SeqCst)), (206, 2500));
    let refused = front.get("/").await;
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("used up"), "{}", refused.text());
    assert_eq!(origin.asked().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_paid_for_is_cut() {
    let origin = Origin::new(|target, _| match target {
        "/long" => ok("Cache-Control: no-store\r\n", vec![b'x'; 1_000_000]),
        _ => Step::Repeat(b"HTTP/1.1 200 OK\r\n\r\n".into(), vec![b'x'; 1000]),
    })
    .await;
    let purse = Purse::of(300_000);
    let front = Front::metered(&origin, Arc::new(Shared(purse.clone()))).await;
    // What is known to be too long is not begun.
    assert_eq!(
        (
            front.get("/long").await.status,
            purse.counted.load(Ordering::SeqCst)
        ),
        (503, 0)
    );
    let answer = front.get("/endless").await;
    assert!(
        !answer.complete && answer.body.len() <= 300_000,
        "{} bytes",
        answer.body.len()
    );
    assert!(purse.counted.load(Ordering::SeqCst) <= 300_000);
}

#[tokio::test]
async fn an_origin_over_tls_is_verified() {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let (certificate, key) = (made.cert.der().clone(), made.signing_key.serialize_der());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.try_into().unwrap())
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nshop.ddn token")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    let front = |roots| async move {
        let front = Front::new(
            Hosts::of(HOST, vec![vec![address]]),
            Arc::new(gateway::Free),
            |config| {
                config.origins.allow = vec![address];
                config.origins.roots = roots;
            },
        );
        let front = front.await;
        front.name(
            &format!("https://{HOST}:{}", address.port()),
            &["ddn-origin=token"],
        );
        front
    };
    let refused = front(vec![]).await.get("/").await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    let answer = front(vec![certificate]).await.get("/").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "shop.ddn token"),
        "{}",
        answer.text()
    );
}
