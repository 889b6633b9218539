//! Encrypted connections: what they agree on, which certificate they get, what plain ones are told.

use gateway::{CertificateFiles, Certificates, Redirect};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt;

use crate::client::{DEADLINE, open, raw_on, request, until};
use crate::site::Site;
use crate::wire::{Http2, Identity, get, secured, tls, trust};

async fn site(identities: &[&Identity]) -> Site {
    Site::with(|config| secured(config, identities)).await
}

fn modern(identity: &Identity, alpn: &[&str]) -> ClientConfig {
    trust(identity, &[&TLS13, &TLS12], alpn)
}

#[tokio::test(flavor = "multi_thread")]
async fn http1_and_http2_by_what_was_agreed() {
    let identity = Identity::new(&["localhost"]);
    let site = site(&[&identity]).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    let alt_svc = format!("h3=\":{}\"; ma=86400", address.port());
    for config in [
        modern(&identity, &["http/1.1"]),
        modern(&identity, &[]),
        trust(&identity, &[&TLS12], &["http/1.1"]),
    ] {
        let stream = tls(address, "localhost", config).await.expect("a handshake");
        let answer = raw_on(stream, &request("GET", "127.0.0.1", &path, &[])).await;
        assert_eq!(answer.text(), "hello application/vnd.ipld.raw\n");
        assert_eq!(answer.header("alt-svc"), alt_svc);
    }
    let config = modern(&identity, &["h2", "http/1.1"]);
    let stream = tls(address, "localhost", config).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let answer = Http2::new(stream)
        .await
        .ask(get("127.0.0.1", &path))
        .await
        .expect("an answer");
    assert_eq!(answer.text(), "hello application/vnd.ipld.raw\n");
    assert_eq!(answer.header("alt-svc"), alt_svc);
    assert_eq!(site.get("/ascii.txt", &[]).await.header("alt-svc"), "");
    for (name, count) in [
        ("gateway_tls_handshakes_total{version=\"1.3\"}", 3.0),
        ("gateway_tls_handshakes_total{version=\"1.2\"}", 1.0),
        ("gateway_requests_by_version_total{version=\"2\"}", 1.0),
        ("gateway_requests_by_version_total{version=\"1.1\"}", 4.0),
    ] {
        assert_eq!(site.metric(name), count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_chooses_the_certificate() {
    let one = Identity::new(&["one.example", "*.one.example"]);
    let two = Identity::new(&["two.example"]);
    let site = site(&[&one, &two]).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    for (host, identity) in [
        ("one.example", &one),
        ("alice.one.example", &one),
        ("two.example", &two),
        ("TWO.example", &two),
    ] {
        tls(address, host, modern(identity, &[])).await.expect(host);
    }
    for host in ["a.b.one.example", "three.example"] {
        let error = tls(address, host, modern(&one, &[])).await.expect_err(host);
        assert!(
            error.to_string().contains("not valid for name"),
            "{host}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_files_are_taken_in_use() {
    let mut identity = Identity::new(&["localhost"]);
    let site = site(&[&identity]).await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    let old = tls(address, "localhost", modern(&identity, &["http/1.1"]))
        .await
        .expect("a handshake");
    identity.renew(&["localhost", "new.example"]);
    until("the new one is in use", || {
        site.metric_or_none("gateway_certificate_end_seconds{host=\"new.example\"}")
            .is_some()
    })
    .await;
    tls(address, "new.example", modern(&identity, &[]))
        .await
        .expect("the new one");
    // Nobody is cut for it.
    let answer = raw_on(old, &request("GET", "localhost", "/", &[])).await;
    assert_eq!(answer.status, 200);
    // What cannot be used is not.
    std::fs::write(identity.folder().join("key.pem"), "half a k").expect("a file");
    tls(address, "new.example", modern(&identity, &[]))
        .await
        .expect("still the new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_tls_is_not_served() {
    let identity = Identity::new(&["localhost"]);
    let site = Site::with(|config| {
        secured(config, &[&identity]);
        config.limits.head_timeout = std::time::Duration::from_millis(200);
    })
    .await;
    let address = site.gateway.tls_addr().expect("an encrypted listener");
    // The second says nothing, and is not waited for.
    for text in ["GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", ""] {
        let mut stream = open(address, text).await;
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await;
        ended.expect("an end in time").ok();
        assert!(!answer.starts_with(b"HTTP/"), "{text:?}");
    }
    until("both are counted", || {
        site.metric("gateway_failed_tls_handshakes_total") == 2.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_sent_to_the_encrypted_listener() {
    let identity = Identity::new(&["gw.example", "*.gw.example", "localhost", "*.localhost"]);
    for redirect in [Redirect::Off, Redirect::On, Redirect::All] {
        let site = Site::with(|config| {
            secured(config, &[&identity]);
            config.tls.as_mut().expect("set above").redirect = redirect;
        })
        .await;
        let port = site.gateway.tls_addr().expect("an encrypted listener").port();
        let forwarded = [("X-Forwarded-Proto", "https")];
        for (host, headers, by) in [
            ("gw.example", &[][..], &[Redirect::On, Redirect::All][..]),
            ("GW.example:80", &[], &[Redirect::On, Redirect::All]),
            ("alice.gw.example", &[], &[Redirect::On, Redirect::All]),
            ("localhost:8080", &[], &[Redirect::All]),
            ("alice.localhost", &[], &[Redirect::All]),
            ("a.b.gw.example", &[], &[]),
            ("other.example", &[], &[]),
            ("x#.gw.example", &[], &[]),
            ("127.0.0.1", &[], &[]),
            ("gw.example", &forwarded, &[]),
        ] {
            let answer = site.ask("GET", host, "/a%20b?x=y", headers).await;
            let name = host.split(':').next().unwrap_or_default();
            let to = match by.contains(&redirect) {
                true => format!("https://{name}:{port}/a%20b?x=y"),
                false => String::new(),
            };
            assert_eq!(answer.header("location"), to, "{redirect:?} {host}");
            assert_eq!(answer.status == 308, !to.is_empty(), "{redirect:?} {host}");
        }
    }
}

/// Whoever is no proxy of ours is not encrypted because it says so.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_say_that_they_are_encrypted() {
    let identity = Identity::new(&["gw.example"]);
    let site = Site::with(|config| {
        secured(config, &[&identity]);
        config.tls.as_mut().expect("set above").redirect = Redirect::On;
        config.guarding.proxies = Vec::new();
    })
    .await;
    let forwarded = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "other.example"),
    ];
    let answer = site.ask("GET", "gw.example", "/", &forwarded).await;
    let port = site.gateway.tls_addr().expect("an encrypted listener").port();
    assert_eq!(
        (answer.status, answer.header("location")),
        (308, &*format!("https://gw.example:{port}/"))
    );
}

#[test]
fn wrong_files_are_named() {
    let (good, other) = (Identity::new(&["a.example"]), Identity::new(&["b.example"]));
    let folder = good.folder();
    let path = |name: &str| folder.join(name).display().to_string();
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
    write("text.pem", "not PEM");
    write(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    write("old.pem", &dated(2020, 2021));
    write("early.pem", &dated(2200, 2201));
    write("nameless.pem", &dated(0, 0));
    let theirs = other.files().key.display().to_string();
    let missing = path("missing.pem");
    for (files, text) in [
        (
            format!("{missing}:{key}"),
            format!(
                "cannot read {missing}: there is no such file; write CHAIN.pem:KEY.pem, or one file that holds both"
            ),
        ),
        (
            path("text.pem"),
            format!(
                "{} holds no certificate; it should have one in PEM form, with its chain",
                path("text.pem")
            ),
        ),
        (
            chain.clone(),
            format!("{chain} holds no private key; it should have one in PEM form"),
        ),
        (
            format!("{chain}:{}", path("locked.pem")),
            format!(
                "{} holds a key that is locked with a pass phrase; give it without one",
                path("locked.pem")
            ),
        ),
        (
            format!("{chain}:{theirs}"),
            format!(
                "the key in {theirs} does not belong to the certificate in {chain}; name the one that it was made with"
            ),
        ),
        (
            path("old.pem"),
            format!(
                "{} holds a certificate that ended on 2021-01-01; renew it",
                path("old.pem")
            ),
        ),
        (
            path("early.pem"),
            format!(
                "{} holds a certificate that begins on 2200-01-01; wait, or set this machine's clock",
                path("early.pem")
            ),
        ),
        (
            path("nameless.pem"),
            format!(
                "{} names no host; get a certificate whose subject alternative names have the hosts of this gateway",
                path("nameless.pem")
            ),
        ),
    ] {
        let error = Certificates::open(vec![good.files(), CertificateFiles::parse(&files)]);
        let expected = format!("gateway.certificates: {text}");
        assert_eq!(error.expect_err(&files).to_string(), expected, "{files}");
    }
    Certificates::open(vec![CertificateFiles::parse(&format!("{chain}:{key}"))]).expect("a good pair");
}

/// A pair in one file, valid between the first days of two years; without names for the years 0.
fn dated(from: i32, to: i32) -> String {
    let key = rcgen::KeyPair::generate().expect("a key");
    let hosts = match from {
        0 => Vec::new(),
        _ => vec!["a.example".to_owned()],
    };
    let mut params = rcgen::CertificateParams::new(hosts).expect("host names");
    if from > 0 {
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
    }
    let certificate = params.self_signed(&key).expect("a certificate");
    format!("{}{}", certificate.pem(), key.serialize_pem())
}
