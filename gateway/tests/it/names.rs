//! Content by name, by path and by host name; the pages of the gateway itself.

use ledger::Records;

use crate::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_paths() {
    let site = Site::new().await;
    site.book.point("alice", "docs", site.cid(&["docs"]));
    let cid_host = format!("{}.ipfs.localhost:8080", site.root);
    for (host, target, content) in [
        ("alice.ddn", "/", "Alice"),
        ("ALICE.ddn.:8080", "/", "Alice"),
        ("alice.ddn.localhost:8080", "/ascii.txt", "hello"),
        ("docs.alice.ddn.localhost", "/", "docs"),
        ("alice-ddn.ipns.localhost", "/ascii.txt", "hello"),
        ("127.0.0.1", "/ipns/alice.ddn/ascii.txt", "hello"),
        ("127.0.0.1:8080", "/ipns/docs.alice.ddn/", "docs"),
        ("elsewhere.example", "/ipns/alice.ddn/ascii.txt", "hello"),
        (&cid_host, "/ascii.txt", "hello"),
        (&cid_host, "/", "Alice"),
    ] {
        let answer = site.ask("GET", host, target, &[]).await;
        assert_eq!(answer.status, 200, "{host}{target}");
        assert!(answer.text().contains(content), "{host}{target}");
    }
    let absolute = site.ask("GET", "x", "http://alice.ddn/ascii.txt", &[]).await;
    assert_eq!(absolute.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_with_the_next_request() {
    let site = Site::new().await;
    let first = site.ask("GET", "alice.ddn", "/", &[]).await;
    assert_eq!(first.header("cache-control"), "no-cache");
    assert_eq!(first.header("etag"), format!("\"{}\"", site.root));
    assert_eq!(first.header("x-ipfs-path"), "/ipns/alice.ddn/");
    let same = site
        .ask(
            "GET",
            "alice.ddn",
            "/",
            &[("If-None-Match", first.header("etag"))],
        )
        .await;
    assert_eq!((same.status, same.header("cache-control")), (304, "no-cache"));

    let second = site.publish(&[("index.html", b"second")]);
    site.book.point("alice", "", second);
    let changed = site
        .ask(
            "GET",
            "alice.ddn",
            "/",
            &[("If-None-Match", first.header("etag"))],
        )
        .await;
    assert_eq!((changed.status, changed.text().as_str()), (200, "second"));
    assert!(
        site.get("/", &[]).await.text().contains("Alice"),
        "the old CID still shows the old page"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_nowhere() {
    let site = Site::new().await;
    site.book.set(
        "empty",
        "",
        Records {
            txt: vec!["x".into()],
            ..Records::default()
        },
    );
    for (host, target, status, text) in [
        ("nobody.ddn.localhost", "/", 404, "nobody.ddn is not registered"),
        ("x.alice.ddn", "/", 404, "x.alice.ddn is not registered"),
        ("empty.ddn", "/", 404, "points to no content"),
        (
            "127.0.0.1",
            "/ipns/nobody.ddn/",
            404,
            "nobody.ddn is not registered",
        ),
        ("127.0.0.1", "/ipns/example.org/", 404, "no DNSLink"),
        ("127.0.0.1", "/ipns/-x-.ddn", 400, "cannot be a name"),
        ("127.0.0.1", "/ipns/a%20b.ddn", 400, "cannot be a name"),
        ("broken.ddn", "/", 500, "fault"),
        ("nonsense.ipfs.localhost", "/", 400, "not a CID"),
    ] {
        let answer = site.ask("GET", host, target, &[]).await;
        assert_eq!(answer.status, status, "{host}{target}: {}", answer.text());
        let told = answer.text().contains(text) || status == 500;
        assert!(told, "{host}{target}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    assert!(
        !site
            .ask("GET", "broken.ddn", "/", &[])
            .await
            .text()
            .contains("disk")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_followed() {
    let site = Site::new().await;
    let alias = |to: &str| Records {
        cname: Some(to.into()),
        ..Records::default()
    };
    site.book.set("bob", "", alias("alice.ddn"));
    site.book.set("loop", "", alias("loop.ddn"));
    site.book.set("away", "", alias("example.org"));
    assert!(
        site.ask("GET", "bob.ddn", "/", &[])
            .await
            .text()
            .contains("Alice")
    );
    assert_eq!(site.ask("GET", "loop.ddn", "/", &[]).await.status, 400);
    assert_eq!(site.ask("GET", "away.ddn", "/", &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_and_listings_of_names_are_not_kept() {
    let site = Site::new().await;
    let moved = site.ask("GET", "alice.ddn.localhost", "/files", &[]).await;
    assert_eq!((moved.status, moved.header("location")), (301, "/files/"));
    assert_eq!(moved.header("cache-control"), "no-cache");
    let listing = site.ask("GET", "alice.ddn.localhost:8080", "/files/", &[]).await;
    assert_eq!(listing.header("cache-control"), "no-cache");
    assert!(listing.text().contains("<a href=\"/files/sub\">sub</a>"));
    assert!(listing.text().contains("href=\"//localhost:8080/ipfs/"));
    let evil = site.ask("GET", "alice.ddn", "//files", &[]).await;
    assert_eq!(evil.header("location"), "/files/");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_pages() {
    let site = Site::new().await;
    let landing = site.ask("GET", "localhost:8080", "/", &[]).await;
    assert_eq!(landing.status, 200);
    assert!(landing.text().contains("http://NAME.ddn.localhost:8080/"));
    assert!(
        landing
            .header("content-security-policy")
            .contains("default-src 'none'")
    );
    let card = site.ask("GET", "alice.ddn", "/.well-known/ddn/node", &[]).await;
    assert_eq!(card.header("content-type"), "application/json");
    let expected = format!(
        "{{\"software\":\"ddn/{}\",\"tld\":\"ddn\",\"height\":7}}",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(card.text(), expected);
    let link = site
        .ask("GET", "127.0.0.1", "/ipns/?uri=ipns%3A%2F%2Falice.ddn%2Fx", &[])
        .await;
    assert_eq!((link.status, link.header("location")), (301, "/ipns/alice.ddn/x"));
}
