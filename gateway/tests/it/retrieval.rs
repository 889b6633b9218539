//! The provider face as HTTP retrieval of IPFS clients uses it: under a name of its own, by TLS and HTTP/2.

use std::net::SocketAddr;

use cid::Cid;
use gateway::{Config, Redirect};
use http::{Method, Request};
use rustls::version::TLS13;

use crate::client::{Answer, raw, request};
use crate::network::{Fate, Second};
use crate::site::Site;
use crate::wire::{Http2, Identity, method, secured, tls, trust};

/// The name of the face.
const FACE: &str = "blocks.example";
/// What clients of Go take as the head of an answer, in the count of its HTTP/2.
const GO_HEAD_BYTES_MAX: usize = 2 << 10;
/// What they ask before anything else, and from time to time.
const PROBE: &str = "/ipfs/bafkqaaa?format=raw";

fn configured(config: &mut Config, identity: &Identity) {
    secured(config, &[identity]);
    config.provider.hosts = vec![FACE.into()];
}

/// A client that leaves unless HTTP/2 is agreed on.
async fn client(address: SocketAddr, identity: &Identity) -> Http2 {
    let config = trust(identity, &[&TLS13], &["h2", "http/1.1"]);
    let stream = tls(address, FACE, config).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    Http2::new(stream).await
}

fn wanted(verb: Method, target: &str) -> Request<()> {
    let mut request = method(verb, FACE, target);
    let accept = "application/vnd.ipld.raw".parse().expect("a value");
    request.headers_mut().insert("accept", accept);
    request
}

/// Asks by both methods, and checks what holds for every answer.
async fn both(client: &Http2, target: &str) -> Answer {
    let head = client.ask(wanted(Method::HEAD, target)).await.expect("a head");
    let got = client.ask(wanted(Method::GET, target)).await.expect("an answer");
    assert_eq!((head.status, head.body.len()), (got.status, 0), "{target}");
    assert_eq!(
        head.header("content-length"),
        got.header("content-length"),
        "{target}"
    );
    assert_eq!(got.header("location"), "", "no redirect is followed");
    for answer in [&head, &got] {
        let bytes = go_bytes(answer);
        assert!(
            bytes < GO_HEAD_BYTES_MAX,
            "{target}: {bytes} bytes: {:?}",
            answer.headers()
        );
    }
    got
}

/// As Go counts: 32 bytes for each field besides its text.
fn go_bytes(answer: &Answer) -> usize {
    let fields = answer.headers().iter();
    let fields = fields.map(|(name, value)| name.len() + value.len() + 32);
    fields.sum::<usize>() + ":status".len() + 3 + 32
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_come_by_http2() {
    let identity = Identity::new(&[FACE]);
    let site = Site::with(|config| configured(config, &identity)).await;
    let client = client(site.gateway.tls_addr().expect("a listener"), &identity).await;
    let probed = both(&client, PROBE).await;
    assert_eq!((probed.status, probed.body.len()), (200, 0));
    for path in [&[][..], &["LICENSE"], &["big.bin"]] {
        let cid = site.cid(path);
        let block = site.store.get(&cid).expect("a store").expect("a block");
        let answer = both(&client, &format!("/ipfs/{cid}?format=raw")).await;
        assert_eq!((answer.status, answer.complete), (200, true), "{path:?}");
        assert_eq!(answer.body, block, "{path:?}");
        assert_eq!(answer.header("content-type"), "application/vnd.ipld.raw");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_are_those_that_clients_know() {
    let identity = Identity::new(&[FACE]);
    let folder = tempfile::TempDir::new().expect("a folder");
    let list = folder.path().join("own.deny");
    let gone = ledger::cid_of(b"gone");
    let unlawful = ledger::cid_of(b"unlawful");
    let rules = format!("/ipfs/{gone}\n/ipfs/{unlawful} gateway_status:451\n");
    std::fs::write(&list, rules).expect("a list");
    let site = Site::with(|config| {
        configured(config, &identity);
        config.denylists = vec![list];
        config.card.node_id = Some("abc".into());
        config.tls.as_mut().expect("set above").redirect = Redirect::All;
    })
    .await;
    for bytes in [&b"gone"[..], b"unlawful"] {
        site.store.put(&ledger::cid_of(bytes), bytes).expect("a block");
    }
    let client = client(site.gateway.tls_addr().expect("a listener"), &identity).await;
    let elsewhere: Cid = ledger::cid_of(b"elsewhere");
    let file = site.cid(&["LICENSE"]);
    for (target, status) in [
        (format!("/ipfs/{file}?format=raw"), 200),
        (format!("/ipfs/{elsewhere}?format=raw"), 404),
        (format!("/ipfs/{gone}?format=raw"), 410),
        (format!("/ipfs/{unlawful}?format=raw"), 451),
        (format!("/ipfs/{gone}?format=car"), 410),
        (format!("/ipfs/{file}?format=tar"), 404),
        (format!("/ipfs/{}/LICENSE?format=raw", site.root), 404),
        ("/ipfs/nonsense?format=raw".into(), 404),
        ("/ipns/alice.ddn?format=raw".into(), 404),
        ("/.well-known/ddn/nearest?url=/ipns/alice.ddn".into(), 404),
        ("/".into(), 404),
    ] {
        let answer = both(&client, &target).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(status == 200 || answer.body.is_empty(), "{target}");
    }
    // A circle has no end here that clients would take for a fault of the node.
    let mut circle = wanted(Method::GET, &format!("/ipfs/{file}?format=raw"));
    circle
        .headers_mut()
        .insert("cdn-loop", "ddn-abc".parse().expect("a value"));
    assert_eq!(client.ask(circle).await.expect("an answer").status, 404);
    // Nobody is redirected, also where readers are.
    let plain = site
        .ask("GET", FACE, &format!("/ipfs/{file}?format=raw"), &[])
        .await;
    assert_eq!((plain.status, plain.header("location")), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_never_asked() {
    let site = Site::new().await;
    let identity = Identity::new(&[FACE]);
    let second = Second::with(&site, |config| configured(config, &identity)).await;
    second.network.set_all(Fate::Held);
    let client = client(second.gateway.tls_addr().expect("a listener"), &identity).await;
    let (root, file) = (site.root, site.cid(&["LICENSE"]));
    for target in [
        format!("/ipfs/{root}?format=raw"),
        format!("/ipfs/{file}?format=raw"),
        format!("/ipfs/{root}?format=car"),
        format!("/ipfs/{root}/LICENSE?format=car"),
    ] {
        assert_eq!(both(&client, &target).await.status, 404, "{target}");
    }
    second.network.keep(root, false);
    let answer = both(&client, &format!("/ipfs/{root}?format=raw")).await;
    assert_eq!(answer.status, 200);
    // The folder is here, what is below it is not.
    assert_eq!(
        both(&client, &format!("/ipfs/{root}/LICENSE?format=car"))
            .await
            .status,
        404
    );
    assert_eq!(second.network.asked(), []);
    assert_eq!(second.network.told(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_too_much_comes_later() {
    let identity = Identity::new(&[FACE]);
    let site = Site::with(|config| {
        configured(config, &identity);
        config.provider.allowance.bytes_per_s = 1024;
        config.provider.allowance.burst_bytes = 64 << 10;
    })
    .await;
    let address = site.gateway.tls_addr().expect("a listener");
    let client_one = client(address, &identity).await;
    let target = format!("/ipfs/{}?format=raw", site.cid(&["LICENSE"]));
    let car = format!("/ipfs/{}?format=car", site.cid(&["big.bin"]));
    let all = client_one
        .ask(wanted(Method::GET, &car))
        .await
        .expect("an answer");
    assert_eq!((all.status, all.complete), (200, true));
    // Each has to wait, on each connection, and for what could come from memory too.
    for connection in [client_one, client(address, &identity).await] {
        for target in [&target, PROBE, &car] {
            let refused = both(&connection, target).await;
            assert_eq!((refused.status, refused.body.len()), (429, 0), "{target}");
            let wait: u64 = refused.header("retry-after").parse().expect("seconds");
            assert!((1..6000).contains(&wait), "{wait}");
        }
    }
    // Readers have limits of their own.
    assert_eq!(site.get("/style.css", &[]).await.status, 200);
}

/// The limits of the gateway itself are told in the words of the face.
#[tokio::test(flavor = "multi_thread")]
async fn limits_for_all_are_told_in_a_few_bytes() {
    let site = Site::with(|config| {
        config.provider.hosts = vec![FACE.into()];
        config.guarding.uncounted = Vec::new();
        config.guarding.requests_per_s = 1;
        config.guarding.requests_burst = 1;
    })
    .await;
    let mut refused = Vec::new();
    for _ in 0..10 {
        let answer = raw(site.address(), &request("GET", FACE, PROBE, &[])).await;
        if answer.status != 200 {
            refused.push(answer);
        }
    }
    assert!(refused.len() >= 5, "{} of 10 were refused", refused.len());
    for answer in refused {
        assert_eq!((answer.status, answer.body.len()), (429, 0));
        assert!(matches!(answer.header("retry-after"), "1" | "2"));
        assert!(go_bytes(&answer) < 500, "{:?}", answer.headers());
    }
}

/// A proxy in front may say that the face is meant; nobody else may.
#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_names_the_face() {
    for (trusted, status) in [(true, 404), (false, 200)] {
        let site = Site::with(|config| {
            config.provider.hosts = vec![FACE.into()];
            if !trusted {
                config.guarding.proxies = Vec::new();
            }
        })
        .await;
        let told = [("X-Forwarded-Host", FACE)];
        let answer = site.get("/style.css", &told).await;
        assert_eq!(answer.status, status, "{trusted}");
    }
}
