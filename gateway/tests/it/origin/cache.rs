//! What is kept, for whom, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::world::*;
use crate::client::until;

/// How often each page was asked for.
fn times(origin: &Origin, target: &str) -> usize {
    let line = format!(" {target} HTTP/1.1\r\n");
    origin.asked().iter().filter(|head| head.contains(&line)).count()
}

#[tokio::test]
async fn what_may_be_kept_is() {
    let origin = Origin::new(|target, _| match target {
        "/kept" => ok("Cache-Control: max-age=60\r\n", "kept"),
        "/chunked" => say(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nkept\r\n0\r\n\r\n",
        ),
        "/gone" => answer("404 Not Found", "Cache-Control: max-age=60\r\n", "gone"),
        "/private" => ok("Cache-Control: private, max-age=60\r\n", "private"),
        "/no-store" => ok("Cache-Control: no-store\r\n", "no-store"),
        "/error" => answer("500 Oops", "Cache-Control: max-age=60\r\n", "error"),
        _ => ok("", "nothing said"),
    })
    .await;
    let front = Front::of(&origin).await;
    for (target, asked) in [
        ("/kept", 1),
        ("/chunked", 1),
        ("/gone", 1),
        ("/private", 3),
        ("/no-store", 3),
        ("/error", 3),
        ("/else", 3),
    ] {
        for _ in 0..3 {
            front.get(target).await;
        }
        assert_eq!(times(&origin, target), asked, "{target}");
    }
    let hit = front.get("/kept").await;
    assert_eq!(
        (hit.text().as_str(), hit.header("age"), hit.header("cache-status")),
        ("kept", "0", "ddn; hit")
    );
    // The query is part of the page.
    front.get("/kept?a").await;
    assert_eq!(times(&origin, "/kept?a"), 1);
    // Readers do not make the owner pay for the same page again.
    front
        .ask(
            "GET",
            "/kept",
            &[("Cache-Control", "no-cache"), ("Pragma", "no-cache")],
        )
        .await;
    assert_eq!(times(&origin, "/kept"), 1);
}

#[tokio::test]
async fn many_readers_make_one_fetch() {
    let origin = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", vec![b'x'; 500_000])).await;
    let front = Arc::new(Front::of(&origin).await);
    let readers: Vec<_> = (0..30)
        .map(|_| {
            let front = front.clone();
            tokio::spawn(async move { front.get("/").await })
        })
        .collect();
    for reader in readers {
        let answer = reader.await.unwrap();
        assert!(answer.complete && answer.body.len() == 500_000);
    }
    assert_eq!((origin.asked().len(), origin.heads().len()), (1, 2));
}

#[tokio::test]
async fn a_shared_fetch_outlives_the_reader_who_began_it() {
    let origin = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", vec![b'x'; 900_000])).await;
    let front = Front::of(&origin).await;
    let text = crate::client::request("GET", NAME, "/", &[]);
    let reader = crate::client::open(front.address(), &text).await;
    until("the origin is asked", || origin.asked().len() == 1).await;
    drop(reader);
    let answer = front.get("/").await;
    assert!(answer.complete && answer.body.len() == 900_000);
    assert_eq!(origin.asked().len(), 1);
}

#[tokio::test]
async fn what_is_stale_is_asked_for_again() {
    let origin = Origin::new(|target, head| {
        let tag = "ETag: \"1\"\r\nCache-Control: no-cache\r\n";
        match (target, head.contains("if-none-match: \"1\"\r\n")) {
            ("/same", true) => {
                Step::Say(format!("HTTP/1.1 304 Not Modified\r\n{tag}X-Fresh: 1\r\n\r\n").into())
            }
            ("/changed", true) => ok("ETag: \"2\"\r\n", "two"),
            ("/lies", true) => say("HTTP/1.1 304 Not Modified\r\nETag: \"9\"\r\n\r\n"),
            _ => ok(tag, "one"),
        }
    })
    .await;
    let front = Front::of(&origin).await;
    for target in ["/same", "/changed", "/lies"] {
        assert_eq!(front.get(target).await.text(), "one", "{target}");
    }
    let same = front.get("/same").await;
    assert_eq!(
        (same.status, same.text().as_str(), same.header("x-fresh")),
        (200, "one", "1")
    );
    assert_eq!(same.header("cache-status"), "ddn; fwd=stale; fwd-status=304");
    assert_eq!(front.get("/changed").await.text(), "two");
    // It speaks of a version that is not here, so all is asked for.
    let lies = front.get("/lies").await;
    assert_eq!((lies.status, lies.text().as_str()), (200, "one"));
    assert_eq!(times(&origin, "/lies"), 3);
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_refused() {
    let origin = Origin::new(|_, _| say("HTTP/1.1 304 Not Modified\r\nETag: \"9\"\r\n\r\n")).await;
    let front = Front::of(&origin).await;
    let headers = [("If-None-Match", "\"9\"")];
    assert_eq!(front.ask("GET", "/", &headers).await.status, 502);
}

#[tokio::test]
async fn an_ill_origin_is_stood_in_for_as_it_said() {
    let ill = Arc::new(AtomicU64::new(0));
    let origin = Origin::new({
        let ill = ill.clone();
        move |target, _| match (ill.load(Ordering::SeqCst), target) {
            (0, "/stands-in") => ok("Cache-Control: max-age=0, stale-if-error=60\r\n", "old"),
            (0, _) => ok("Cache-Control: max-age=0\r\n", "old"),
            (1, _) => answer("503 Ill", "", "ill"),
            (2, _) => say("garbage"),
            (_, _) => Step::Hold(vec![]),
        }
    })
    .await;
    let front = Front::of(&origin).await;
    front.get("/stands-in").await;
    front.get("/else").await;
    for (kind, status) in [(1, 503), (2, 502), (3, 504)] {
        ill.store(kind, Ordering::SeqCst);
        let old = front.get("/stands-in").await;
        assert_eq!((old.status, old.text().as_str()), (200, "old"), "{kind}");
        assert_eq!(front.get("/else").await.status, status);
    }
}

#[tokio::test]
async fn variants_are_told_apart_by_what_the_page_says() {
    let origin = Origin::new(|target, head| {
        let value = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or("none").to_owned()
        };
        match target {
            "/language" => ok(
                "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n",
                value("accept-language: "),
            ),
            "/coding" => ok(
                "Cache-Control: max-age=60\r\nVary: accept-encoding\r\n",
                value("accept-encoding: "),
            ),
            "/all" => ok("Cache-Control: max-age=60\r\nVary: *\r\n", "all"),
            "/cookie" => ok(
                "Cache-Control: max-age=60\r\nVary: Cookie, X-Forwarded-Host\r\n",
                value("cookie: "),
            ),
            // It depends on the language, and does not say so.
            _ => ok("Cache-Control: max-age=60\r\n", value("accept-language: ")),
        }
    })
    .await;
    let front = Front::of(&origin).await;
    let ask = |target: &'static str, name: &'static str, value: &'static str| {
        let front = &front;
        async move { front.ask("GET", target, &[(name, value)]).await.text() }
    };
    for _ in 0..2 {
        for language in ["de", "fr", "de"] {
            assert_eq!(ask("/language", "Accept-Language", language).await, language);
        }
        assert_eq!(front.get("/language").await.text(), "none");
        assert_eq!(ask("/coding", "Accept-Encoding", "gzip, zstd").await, "gzip");
        assert_eq!(ask("/coding", "Accept-Encoding", "deflate").await, "identity");
        assert_eq!(ask("/cookie", "Cookie", "evil").await, "none");
        assert_eq!(ask("/silent", "Accept-Language", "evil").await, "none");
        front.get("/all").await;
    }
    // Once without any, to learn of it, then once for each.
    assert_eq!(times(&origin, "/language"), 3);
    assert_eq!(times(&origin, "/coding"), 3);
    assert_eq!(
        (
            times(&origin, "/cookie"),
            times(&origin, "/silent"),
            times(&origin, "/all")
        ),
        (1, 1, 2)
    );
}

#[tokio::test]
async fn cookies_are_neither_kept_nor_passed_on() {
    let number = AtomicU64::new(0);
    let origin = Origin::new(move |_, _| {
        let number = number.fetch_add(1, Ordering::SeqCst);
        let head = format!("Cache-Control: public, max-age=60\r\nSet-Cookie: session={number}\r\n");
        ok(&head, format!("for {number}"))
    })
    .await;
    let front = Front::of(&origin).await;
    for number in 0..3 {
        let answer = front.get("/").await;
        assert_eq!(
            (answer.text(), answer.header("set-cookie")),
            (format!("for {number}"), "")
        );
    }
}

#[tokio::test]
async fn a_new_origin_is_served_at_once() {
    let one = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", "one")).await;
    let two = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", "two")).await;
    let front = Front::with(&one, |config| config.origins.allow.push(two.address)).await;
    assert_eq!(front.get("/").await.text(), "one");
    front.name(&two.url(), &["ddn-origin=token"]);
    assert_eq!(front.get("/").await.text(), "two");
    front.book.set("shop", "", ledger::Records::default());
    assert_eq!(front.get("/").await.status, 404);
}

#[tokio::test]
async fn only_what_is_here_if_that_is_asked() {
    let origin = Origin::new(|_, _| ok("Cache-Control: max-age=60\r\n", "page")).await;
    let front = Front::of(&origin).await;
    let only = [("Cache-Control", "only-if-cached")];
    assert_eq!(front.ask("GET", "/", &only).await.status, 504);
    assert!(origin.asked().is_empty());
    front.get("/").await;
    assert_eq!(front.ask("GET", "/", &only).await.text(), "page");
}
