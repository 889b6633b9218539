//! Readers who are sent on to the edge that should serve them.

use std::sync::atomic::Ordering;

use gateway::Neighbour;
use ledger::SecretKey;

use crate::client::{Answer, raw, request};
use crate::site::Site;

/// What a browser says when somebody opens a page.
const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn edge(web: &str) -> Neighbour {
    Neighbour {
        node: SecretKey::from_seed([1; 32]).public(),
        gateway: web.parse().ok(),
        provider: Vec::new(),
    }
}

/// A site that should be read elsewhere.
async fn far(web: &str) -> Site {
    let site = Site::with(|config| {
        config.sends_on = true;
        config.provider.hosts = vec!["blocks.example".into()];
        config.dnslinks = [("site.example.org".into(), "/ipns/alice.ddn".into())].into();
    })
    .await;
    leads(&site, web);
    site
}

/// From now on `web` is nearer to all readers of `site`.
fn leads(site: &Site, web: &str) {
    *site.node.others.write().expect("no panic") = vec![edge(web)];
    site.node.chosen.store(1, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_page_is_sent_to_the_nearer_edge() {
    let site = far("https://edge.example").await;
    let root = site.root;
    for (host, target, to) in [
        (
            "127.0.0.1",
            format!("/ipfs/{root}/docs/?x=1&y"),
            format!("/ipfs/{root}/docs/?x=1&y&ddn-sent=1"),
        ),
        (
            &format!("{root}.ipfs.localhost"),
            "/files/%C4%85/".into(),
            format!("/ipfs/{root}/files/%C4%85/?ddn-sent=1"),
        ),
        (
            "alice.ddn.localhost:8080",
            "/".into(),
            "/ipns/alice.ddn/?ddn-sent=1".into(),
        ),
        (
            "site-example-org.ipns.localhost",
            "/docs".into(),
            "/ipns/site.example.org/docs?ddn-sent=1".into(),
        ),
    ] {
        let navigates = [
            PAGE,
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        for (method, headers) in [
            ("GET", &navigates[..1]),
            ("HEAD", &navigates),
            ("GET", &navigates),
        ] {
            let answer = site.ask(method, host, &target, headers).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (307, &*format!("https://edge.example{to}")),
                "{method} {host}{target}"
            );
            assert_eq!(answer.header("cache-control"), "no-store");
            assert_eq!(answer.header("vary"), "Accept, Sec-Fetch-Mode, Sec-Fetch-Dest");
            assert_eq!(answer.header("content-length"), "0");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_served_where_they_are() {
    let site = far("https://edge.example").await;
    let page = format!("/ipfs/{}/docs/", site.root);
    let sent = format!("{page}?ddn-sent=1");
    let raw_form = format!("{page}?format=raw");
    for (host, target, headers) in [
        // Whoever opens no page, or not as one.
        ("127.0.0.1", &page, &[][..]),
        ("127.0.0.1", &page, &[("Accept", "*/*")]),
        ("127.0.0.1", &page, &[PAGE, ("Sec-Fetch-Mode", "cors")]),
        ("127.0.0.1", &page, &[PAGE, ("Sec-Fetch-Mode", "no-cors")]),
        ("127.0.0.1", &page, &[PAGE, ("Sec-Fetch-Dest", "iframe")]),
        ("127.0.0.1", &raw_form, &[PAGE]),
        ("127.0.0.1", &page, &[PAGE, ("Cache-Control", "only-if-cached")]),
        // Whoever was sent here, or comes through somebody.
        ("127.0.0.1", &sent, &[PAGE]),
        ("127.0.0.1", &page, &[PAGE, ("Via", "1.1 proxy")]),
        ("127.0.0.1", &page, &[PAGE, ("CDN-Loop", "other")]),
        ("127.0.0.1", &page, &[PAGE, ("Forwarded", "for=192.0.2.1")]),
        ("127.0.0.1", &page, &[PAGE, ("X-Forwarded-For", "192.0.2.1")]),
        ("127.0.0.1", &"http://alice.ddn/docs/".to_owned(), &[PAGE]),
        // Hosts that are not the gateway's.
        ("alice.ddn", &"/docs/".to_owned(), &[PAGE]),
        ("site.example.org", &"/docs/".to_owned(), &[PAGE]),
    ] {
        let answer = site.ask("GET", host, target, headers).await;
        assert_eq!(answer.status, 200, "{host}{target} {headers:?}: {answer:?}");
    }
    // Other nodes want blocks, of whoever they ask.
    let face = site.ask("GET", "blocks.example", &raw_form, &[PAGE]).await;
    assert_eq!((face.status, face.header("location")), (404, ""));
    let block = format!("/ipfs/{}?format=raw", site.root);
    assert_eq!(
        site.ask("GET", "blocks.example", &block, &[PAGE]).await.status,
        200
    );
    // What is not there is not there elsewhere either.
    let nobody = site.ask("GET", "127.0.0.1", "/ipns/nobody.ddn/", &[PAGE]).await;
    assert_eq!(nobody.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_unless_it_is_wanted() {
    let site = Site::new().await;
    leads(&site, "https://edge.example");
    assert_eq!(site.get("/docs/", &[PAGE]).await.status, 200);
}

/// The answer for one reader is not kept for another.
#[tokio::test(flavor = "multi_thread")]
async fn memory_sends_nobody_and_keeps_nobody() {
    let site = far("https://edge.example").await;
    site.node.chosen.store(0, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(site.get("/docs/", &[PAGE]).await.status, 200);
    }
    site.node.chosen.store(1, Ordering::SeqCst);
    assert_eq!(site.get("/docs/", &[PAGE]).await.status, 307);
    site.node.chosen.store(0, Ordering::SeqCst);
    assert_eq!(site.get("/docs/", &[PAGE]).await.status, 200);
}

/// Two edges of which each takes the other for the nearer one.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_round_in_circles() {
    let (one, other) = (far("http://127.0.0.1:1").await, far("http://127.0.0.1:1").await);
    leads(&one, &format!("http://{}", other.address()));
    leads(&other, &format!("http://{}", one.address()));
    let (mut answer, mut ways) = (one.get("/docs/", &[PAGE]).await, 0);
    while answer.status == 307 {
        ways += 1;
        assert!(ways < 5, "{answer:?}");
        answer = follow(&answer).await;
    }
    assert_eq!((answer.status, answer.text().as_str(), ways), (200, "docs", 1));
}

async fn follow(answer: &Answer) -> Answer {
    let url: http::Uri = answer.header("location").parse().expect("a URL");
    let authority = url.authority().expect("a host").as_str();
    let target = url.path_and_query().expect("a path").as_str();
    let address = authority.parse().expect("an address");
    raw(address, &request("GET", authority, target, &[PAGE])).await
}
