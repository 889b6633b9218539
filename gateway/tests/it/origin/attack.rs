//! What names, origins and readers could try.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gateway::Free;

use super::world::*;

/// A front whose origin's name resolves to these addresses in turn.
async fn resolving(lists: Vec<Vec<SocketAddr>>, allow: Vec<SocketAddr>, port: u16) -> (Front, Arc<Hosts>) {
    let hosts = Hosts::of(HOST, lists);
    let front = Front::new(hosts.clone(), Arc::new(Free), |config| {
        config.origins.allow = allow;
    })
    .await;
    front.name(&format!("http://{HOST}:{port}"), &["ddn-origin=token"]);
    (front, hosts)
}

#[tokio::test]
async fn names_that_resolve_to_this_network_are_refused() {
    let inside = Origin::new(|_, _| ok("", "secret")).await;
    for ip in [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "fe80::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
    ] {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        let (front, _) = resolving(vec![vec![address]], vec![], inside.address.port()).await;
        let answer = front.get("/").await;
        assert_eq!(answer.status, 502, "{ip}");
        assert!(answer.text().contains("no public address"), "{}", answer.text());
        // Who asks does not learn what is inside.
        assert!(!answer.text().contains(&format!("//{ip}")), "{}", answer.text());
    }
    assert_eq!(inside.heads().len(), 0);
}

#[tokio::test]
async fn addresses_of_this_network_are_refused_as_origins() {
    let inside = Origin::new(|_, _| ok("", "secret")).await;
    let port = inside.address.port();
    let (front, hosts) = resolving(vec![], vec![], port).await;
    for url in [
        format!("http://127.0.0.1:{port}"),
        format!("http://[::1]:{port}"),
        format!("http://[::ffff:7f00:1]:{port}"),
        "http://169.254.169.254".to_owned(),
        "http://10.0.0.1".to_owned(),
        "http://0.0.0.0".to_owned(),
    ] {
        let Ok(_) = url.parse::<ledger::Origin>() else {
            continue;
        };
        front.name(&url, &["ddn-origin=token"]);
        assert_eq!(front.get("/").await.status, 502, "{url}");
    }
    assert_eq!((inside.heads().len(), hosts.looked()), (0, 0));
}

#[tokio::test]
async fn a_name_that_is_bound_anew_between_check_and_use_gains_nothing() {
    let good = Origin::new(|_, _| ok("", "page")).await;
    let port = good.address.port();
    // The same port on another address of this machine, which is not allowed.
    let inside = Origin::on(&format!("127.0.0.2:{port}"), |_, _| ok("", "secret")).await;
    let lists = vec![vec![good.address], vec![inside.address]];
    let (front, hosts) = resolving(lists, vec![good.address], port).await;
    // The first look-up was for the consent, the second is for the page.
    assert_eq!(front.get("/").await.status, 502);
    assert_eq!((inside.heads().len(), hosts.looked()), (0, 2));
    // Whatever else is in the answer of the resolver, only what was checked is connected to.
    let lists = vec![vec![inside.address, good.address]];
    let (front, hosts) = resolving(lists, vec![good.address], port).await;
    assert_eq!(front.get("/").await.text(), "page");
    // One look-up for each connection: there is no second one whose answer is not checked.
    assert_eq!((inside.heads().len(), hosts.looked()), (0, 2));
}

#[tokio::test]
async fn packed_bodies_are_passed_on_as_they_are() {
    // A kilobyte that unpacks to a megabyte, packed a few times over.
    let bomb = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff".repeat(100);
    let body = bomb.clone();
    let origin = Origin::new(move |_, _| {
        ok(
            "Content-Encoding: gzip, gzip, br\r\nCache-Control: max-age=60\r\nVary: Accept-Encoding\r\n",
            &body,
        )
    })
    .await;
    let front = Front::of(&origin).await;
    for _ in 0..2 {
        let answer = front.ask("GET", "/", &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(
            (answer.header("content-encoding"), &answer.body),
            ("gzip, gzip, br", &bomb)
        );
    }
}

#[tokio::test]
async fn answers_that_mean_two_things_are_refused() {
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, identity\r\n\r\n4\r\npage\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n4\r\npage\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-A: 1\r\n folded: 2\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\n Content-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 099 Low\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/1.1 999 High\r\nContent-Length: 4\r\n\r\npage",
        "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\npage",
        "ICY 200 OK\r\n\r\npage",
        "page",
        "",
    ] {
        let origin = Origin::new(move |_, _| say(bad)).await;
        let front = Front::of(&origin).await;
        let answer = front.get("/").await;
        assert_eq!(answer.status, 502, "{bad:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_an_answer_leaves_behind_is_nobodys() {
    let number = AtomicU64::new(0);
    let origin = Origin::new(move |target, _| match number.fetch_add(1, Ordering::SeqCst) {
        0 => Step::Hold(
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npageHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".into(),
        ),
        _ => ok("", format!("page {target}")),
    })
    .await;
    let front = Front::of(&origin).await;
    assert_eq!(front.get("/first").await.text(), "page");
    for target in ["/a", "/b"] {
        assert_eq!(front.get(target).await.text(), format!("page {target}"));
    }
}

#[tokio::test]
async fn bodies_that_are_shorter_than_they_say_are_cut_and_not_kept() {
    for short in [
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 9\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 9\r\n\r\npage",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\n",
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npage\r\nzz\r\n",
    ] {
        let origin = Origin::new(move |_, _| say(short)).await;
        let front = Front::of(&origin).await;
        for asked in 1..=2 {
            let answer = front.get("/").await;
            assert!(!answer.complete || answer.status == 502, "{short:?}: {answer:?}");
            assert_eq!(origin.asked().len(), asked);
        }
    }
}

#[tokio::test]
async fn origins_that_stall_are_left() {
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nCache-Control: ";
    for (start, status) in [
        (String::new(), 504),
        ("HTTP/1.1 200 OK\r\nX-".to_owned(), 504),
        ("HTTP/1.1 103 Early Hints\r\n\r\n".to_owned(), 504),
        (format!("{page}max-age=60\r\n\r\npage"), 200),
        (format!("{page}no-store\r\n\r\npage"), 200),
    ] {
        let bytes = start.clone();
        let origin = Origin::new(move |_, _| Step::Hold(bytes.clone().into())).await;
        let front = Front::of(&origin).await;
        let began = Instant::now();
        let answer = front.get("/").await;
        assert!(
            answer.status == status && (status != 200 || !answer.complete),
            "{start:?}: {answer:?}"
        );
        assert!(began.elapsed() < PATIENCE * 8, "{:?}", began.elapsed());
        crate::client::until("the origin is let go", || origin.closed() == 2).await;
    }
}

#[tokio::test]
async fn heads_without_an_end_are_refused() {
    for (first, again) in [
        ("HTTP/1.1 200 OK\r\n", "X-Line: 0123456789\r\n"),
        ("HTTP/1.1 200 OK\r\nX-Long: ", "0123456789"),
        ("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        ("", "\r\n"),
    ] {
        let origin = Origin::new(move |_, _| Step::Repeat(first.into(), again.repeat(100).into())).await;
        let front = Front::of(&origin).await;
        let answer = front.get("/").await;
        assert!(matches!(answer.status, 502 | 504), "{again:?}: {answer:?}");
    }
}

#[tokio::test]
async fn one_origin_does_not_stand_in_the_way_of_another() {
    let good = Origin::new(|_, _| ok("", "page")).await;
    let bad = Origin::on("127.0.0.1:0", |target, _| match target {
        "/.well-known/ddn-origin" => ok("", "bad.ddn token"),
        _ => Step::Hold(vec![]),
    })
    .await;
    let front = Front::with(&good, |config| {
        config.origins.allow.push(bad.address);
        config.origins.requests_max = 8;
    })
    .await;
    let records = ledger::Records {
        origin: Some(bad.url().parse().unwrap()),
        txt: vec!["ddn-origin=token".into()],
        ..ledger::Records::default()
    };
    front.book.set("bad", "", records);
    let stuck: Vec<_> = (0..20)
        .map(|number| {
            let text = crate::client::request("GET", "bad.ddn", &format!("/{number}"), &[]);
            let address = front.address();
            tokio::spawn(async move { crate::client::raw(address, &text).await })
        })
        .collect();
    crate::client::until("the bad origin has its share", || bad.asked().len() == 2).await;
    assert_eq!(front.get("/").await.text(), "page");
    let mut statuses: Vec<u16> = Vec::new();
    for answer in stuck {
        statuses.push(answer.await.unwrap().status);
    }
    assert!(
        statuses.iter().all(|status| matches!(status, 503 | 504)),
        "{statuses:?}"
    );
    assert_eq!(statuses.iter().filter(|status| **status == 504).count(), 2);
}

#[tokio::test]
async fn no_reader_changes_what_another_gets() {
    let origin = Origin::new(|target, head| {
        ok(
            "Cache-Control: max-age=60\r\n",
            format!("{target} {}", head.to_lowercase().replace('\r', "")),
        )
    })
    .await;
    let front = Front::of(&origin).await;
    // `X-Forwarded-Host` is not among them: a proxy on this machine may say by it which site is asked for.
    let poison = [
        ("X-Host", "evil.example"),
        ("X-Original-URL", "/evil"),
        ("X-Rewrite-URL", "/evil"),
        ("X-Forwarded-Scheme", "evil"),
        ("Accept", "evil/evil"),
        ("Origin", "https://evil.example"),
        ("If-None-Match", "\"evil\""),
        ("Expect", "evil"),
        ("TE", "trailers, evil"),
        ("Transfer-Coding", "evil"),
    ];
    let first = front.ask("GET", "/page", &poison).await;
    assert!(!first.text().contains("evil"), "{}", first.text());
    // Nor by how it writes the host.
    for host in ["SHOP.ddn", "shop.ddn:9999", "shop.ddn."] {
        let answer = crate::client::raw(
            front.address(),
            &crate::client::request("GET", host, "/page", &[]),
        )
        .await;
        assert!(answer.status != 200 || answer.text() == first.text(), "{host}");
    }
    assert_eq!(front.get("/page").await.text(), first.text());
    assert_eq!(origin.asked().len(), 1);
    // Nor by the text of the path.
    for (target, other) in [("/a", "/a?"), ("/a/", "/a//"), ("/A", "/a"), ("/%61", "/a")] {
        let (one, two) = (front.get(target).await.text(), front.get(other).await.text());
        assert!(
            one.starts_with(&format!("{target} ")) && two.starts_with(&format!("{other} ")),
            "{one} {two}"
        );
    }
}

#[tokio::test]
async fn a_target_that_is_no_target_never_reaches_an_origin() {
    let origin = Origin::new(|_, _| ok("", "page")).await;
    let front = Front::of(&origin).await;
    for target in [
        "/a b",
        "/\u{1}",
        "/a\rb",
        "*",
        "http://evil.example/",
        "//evil.example/",
    ] {
        let answer = front.get(target).await;
        for head in origin.asked() {
            let line = head.lines().next().unwrap_or_default();
            assert!(line.split(' ').count() == 3, "{line}");
            assert!(head.contains(&format!("host: {HOST}:")), "{head}");
        }
        drop(answer);
    }
    assert_eq!(front.get(&format!("/{}", "a".repeat(9000))).await.status, 414);
}
