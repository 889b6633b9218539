//! The provider face, as an IPFS client sees it: single blocks and CARs of what is here, short heads, few statuses.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use cid::Cid;

use crate::client::{Answer, raw, request};
use crate::site::Site;

/// What Go's HTTP client takes as the head of an answer, in its count, and what is left for others to add to ours.
const HEAD_BYTES_MAX: usize = 2000;

async fn providing() -> Site {
    Site::with(|config| {
        config.provider.listen = "127.0.0.1:0".parse().ok();
        config.provider.hosts = vec!["blocks.example".into()];
    })
    .await
}

fn face(site: &Site) -> SocketAddr {
    site.gateway.provider_addr().expect("a listener")
}

async fn ask(site: &Site, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    raw(face(site), &request(method, "localhost", target, headers)).await
}

fn block(site: &Site, cid: &Cid) -> Vec<u8> {
    site.store.get(cid).expect("a store").expect("a block").to_vec()
}

/// As Go counts an HTTP/2 head: 32 bytes for each field besides its text.
fn head_bytes(answer: &Answer) -> usize {
    let fields = answer
        .headers()
        .iter()
        .map(|(name, value)| name.len() + value.len() + 32);
    fields.sum::<usize>() + ":status".len() + 3 + 32
}

#[tokio::test]
async fn the_probe_is_answered() {
    let site = providing().await;
    for method in ["HEAD", "GET"] {
        let answer = ask(&site, method, "/ipfs/bafkqaaa?format=raw", &[]).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{method}");
        assert_eq!(answer.header("content-length"), "0");
    }
}

#[tokio::test]
async fn blocks_come_as_they_are() {
    let site = providing().await;
    for path in [&[][..], &["LICENSE"], &["big.bin"]] {
        let cid = site.cid(path);
        let bytes = block(&site, &cid);
        let accept = ("Accept", "application/vnd.ipld.raw");
        for (target, headers) in [
            (format!("/ipfs/{cid}?format=raw"), &[][..]),
            (format!("/ipfs/{cid}"), &[accept]),
            (format!("/ipfs/{cid}?format=raw"), &[accept]),
        ] {
            let answer = ask(&site, "GET", &target, headers).await;
            assert_eq!((answer.status, &answer.body), (200, &bytes), "{target}");
            assert_eq!(answer.header("content-type"), "application/vnd.ipld.raw");
            assert_eq!(
                answer.header("content-disposition"),
                format!("attachment; filename=\"{cid}.bin\"")
            );
            let head = ask(&site, "HEAD", &target, headers).await;
            assert_eq!(
                (head.status, head.header("content-length")),
                (200, bytes.len().to_string().as_str())
            );
        }
        let etag = format!("\"{cid}.raw\"");
        let known = ask(
            &site,
            "GET",
            &format!("/ipfs/{cid}?format=raw"),
            &[("If-None-Match", &etag)],
        )
        .await;
        assert_eq!((known.status, known.body.len()), (304, 0));
    }
}

#[tokio::test]
async fn it_is_found_under_its_own_names_too() {
    let site = providing().await;
    let target = format!("/ipfs/{}", site.cid(&["LICENSE"]));
    let public = site.ask("GET", "127.0.0.1", &target, &[]).await;
    assert_eq!(
        (public.status, public.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    for host in ["blocks.example", "Blocks.Example.:443"] {
        assert_eq!(site.ask("GET", host, &target, &[]).await.status, 404, "{host}");
        let raw = site.ask("GET", host, &format!("{target}?format=raw"), &[]).await;
        assert_eq!((raw.status, raw.header("x-ipfs-path")), (200, ""), "{host}");
    }
}

#[tokio::test]
async fn what_it_does_not_have_or_do_is_not_there() {
    let site = providing().await;
    let cid = site.cid(&["LICENSE"]);
    for (target, headers) in [
        (
            format!("/ipfs/{}?format=raw", ledger::cid_of(b"elsewhere")),
            &[][..],
        ),
        (format!("/ipfs/{cid}"), &[]),
        (format!("/ipfs/{cid}?format=tar"), &[]),
        (format!("/ipfs/{cid}?format=nonsense"), &[]),
        (format!("/ipfs/{cid}"), &[("Accept", "text/html")]),
        (format!("/ipfs/{}/LICENSE?format=raw", site.root), &[]),
        (format!("/ipfs/{}/nothing?format=car", site.root), &[]),
        (format!("/ipfs/{cid}?format=car&entity-bytes=9:3"), &[]),
        ("/ipfs/nonsense?format=raw".into(), &[]),
        ("/ipns/alice.ddn?format=raw".into(), &[]),
        ("/".into(), &[]),
        ("/.well-known/ddn/node".into(), &[]),
        ("/routing/v1/providers/bafkqaaa".into(), &[]),
        ("/ipfs/%ff?format=raw".into(), &[]),
        (format!("/ipfs/{cid}/{}?format=car", "a/".repeat(3000)), &[]),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&site, method, &target, headers).await;
            assert_eq!((answer.status, answer.body.len()), (404, 0), "{method} {target}");
        }
    }
    assert_eq!(
        ask(&site, "POST", &format!("/ipfs/{cid}?format=raw"), &[])
            .await
            .status,
        405
    );
    assert_eq!(ask(&site, "OPTIONS", "/", &[]).await.status, 204);
    // Nobody was asked for any of it.
    assert_eq!(site.node.searches.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn cars_come_without_fetching() {
    let site = providing().await;
    let target = format!("/ipfs/{}/docs/index.html?format=car", site.root);
    let (ours, public) = (
        ask(&site, "GET", &target, &[]).await,
        site.ask("GET", "127.0.0.1", &target, &[]).await,
    );
    assert_eq!(
        (ours.status, ours.complete, &ours.body),
        (200, true, &public.body)
    );
    assert_eq!(ours.header("content-type"), public.header("content-type"));
    assert_eq!(ours.header("etag"), public.header("etag"));
    assert_eq!(
        ours.header("content-disposition"),
        format!("attachment; filename=\"{}.car\"", site.root)
    );
    assert_eq!(ours.header("accept-ranges"), "none");
}

#[tokio::test]
async fn heads_are_short_enough_for_go() {
    let site = providing().await;
    let cid = site.cid(&["LICENSE"]);
    let deep = "x/".repeat(1500);
    for target in [
        format!("/ipfs/{cid}?format=raw"),
        format!("/ipfs/{cid}?format=raw&filename={}", "x".repeat(3000)),
        format!("/ipfs/{}/files/sub/x.txt?format=car", site.root),
        format!("/ipfs/{}/{deep}?format=car", site.root),
        "/ipfs/bafkqaaa?format=raw".into(),
        "/nothing".into(),
    ] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let answer = ask(&site, method, &target, &[("Origin", "https://example.org")]).await;
            let bytes = head_bytes(&answer);
            assert!(bytes < HEAD_BYTES_MAX, "{bytes} bytes: {:?}", answer.headers());
        }
    }
}

#[tokio::test]
async fn who_takes_too_much_is_told_to_wait() {
    let site = Site::with(|config| {
        config.provider.listen = "127.0.0.1:0".parse().ok();
        config.provider.allowance.bytes_per_s = 1024;
        config.provider.allowance.burst_bytes = 1 << 20;
    })
    .await;
    let target = format!("/ipfs/{}?format=car", site.cid(&["big.bin"]));
    let all = ask(&site, "GET", &target, &[]).await;
    assert_eq!((all.status, all.complete), (200, true));
    for method in ["GET", "HEAD"] {
        let refused = ask(&site, method, "/ipfs/bafkqaaa?format=raw", &[]).await;
        assert_eq!((refused.status, refused.body.len()), (429, 0), "{method}");
        let wait: u64 = refused.header("retry-after").parse().expect("seconds");
        assert!((1..5000).contains(&wait), "{wait}");
    }
    // The other face has rules of its own.
    assert_eq!(site.get("/style.css", &[]).await.status, 200);
}
