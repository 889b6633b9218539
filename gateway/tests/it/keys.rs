//! Content by key (IPNS) and by domain (DNSLink), and the hosts that paths lead to.

use std::time::SystemTime;

use gateway::Config;
use ledger::SecretKey;

use crate::client::{Answer, upload};
use crate::site::Site;

/// A key whose record says `/ipns/alice.ddn`, for a minute at a time, until 2126.
const KEY: &str = "k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4";
const PEER: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";
const RECORD: &str = "42407e7fe2b7b784f3992dca46779923ef74f1d43584a0f213ce82ee74859eef3f54886b9977673ab46010037218a7ff54cc0c40abcd36849074477bcb052a0d7e054a5aa56354544c1b0000000df84758006556616c75654f2f69706e732f616c6963652e64646e6853657175656e6365016856616c696469747954323132362d30312d30315430303a30303a30305a6c56616c69646974795479706500";
/// One whose record says `/ipns/alice.ddn/files`.
const DEEP_KEY: &str = "k51qzi5uqu5djejcj9das04p3wen7mowcz0z5iq3tw0yxaa8ko01odjley7fdg";
const DEEP_RECORD: &str = "4240da294a573ed9730e4f8e885f4dd7d64261fa8af8d7ec6334571bd085fa3df57e1434c48947404fc4627da527db9677b8bfee5f4d23d6ff71a20b6ebbc10655084a60a56354544c1b0000000df84758006556616c7565552f69706e732f616c6963652e64646e2f66696c65736853657175656e6365016856616c696469747954323132362d30312d30315430303a30303a30305a6c56616c69646974795479706500";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

fn put(site: &Site, key: &str, record: &str) {
    let name = key.parse().expect("a key's name");
    let kept = site.ipns.put(&name, &bytes(record), SystemTime::now());
    assert!(kept.expect("a valid record"));
}

async fn site() -> Site {
    let site = Site::with(|config: &mut Config| {
        let links = [
            ("Site.example.org", "/ipns/alice.ddn".to_owned()),
            ("key.example.org", format!("/ipns/{PEER}")),
            ("deep.example.org", format!("/ipns/{DEEP_KEY}/sub")),
            ("loop.example.org", "/ipns/loop.example.org".to_owned()),
            ("none.example.org", "elsewhere".to_owned()),
        ];
        config.dnslinks = links.map(|(domain, path)| (domain.to_owned(), path)).into();
    })
    .await;
    put(&site, KEY, RECORD);
    put(&site, DEEP_KEY, DEEP_RECORD);
    site
}

#[tokio::test]
async fn records_are_given_and_taken_by_delegated_routing() {
    const MEDIA: &str = "application/vnd.ipfs.ipns-record";
    let site = Site::new().await;
    let (target, other) = (
        format!("/routing/v1/ipns/{KEY}"),
        format!("/routing/v1/ipns/{DEEP_KEY}"),
    );
    let accept = [("Accept", MEDIA)];
    let none = site.ask("GET", "127.0.0.1", &target, &accept).await;
    assert_eq!(
        (none.status, none.header("content-type")),
        (200, "text/plain; charset=utf-8")
    );
    let record = bytes(RECORD);
    let media = [("Content-Type", MEDIA)];
    for (target, media, body, status) in [
        (&target, &[][..], &record[..], 406),
        (&target, &media, &record[1..], 400),
        (&other, &media, &record, 400),
        (&"/routing/v1/ipns/nonsense".to_owned(), &media, &record, 400),
        (&target, &media, &record, 200),
        (&target, &media, &record, 200),
    ] {
        let put = upload(site.address(), "PUT", target, media, body).await;
        assert_eq!(put.status, status, "{target} {media:?}");
    }
    for target in [target.clone(), format!("/routing/v1/ipns/{PEER}")] {
        let given = site.ask("GET", "127.0.0.1", &target, &accept).await;
        assert_eq!((given.status, given.header("content-type")), (200, MEDIA));
        assert_eq!(given.body, record);
        assert!(
            given
                .header("cache-control")
                .starts_with("public, max-age=60, stale-while-revalidate=")
        );
        assert_eq!(given.header("expires"), "Tue, 01 Jan 2126 00:00:00 GMT");
        assert!(given.header("etag").len() == 66 && given.header("last-modified").ends_with("GMT"));
    }
    let page = site
        .ask("GET", "127.0.0.1", &target, &[("Accept", "text/html")])
        .await;
    assert_eq!(page.status, 406);
    let options = site.ask("OPTIONS", "127.0.0.1", &target, &[]).await;
    assert!(options.header("access-control-allow-methods").contains("PUT"));
    // What was published is served.
    let content = site
        .ask("GET", "127.0.0.1", &format!("/ipns/{KEY}/ascii.txt"), &[])
        .await;
    assert!(content.text().starts_with("hello"));
}

/// What the owner of a key says: a version number, until when, and whether the signature is right.
fn record(seed: u8, sequence: u8, year: u16, is_signed: bool) -> (String, Vec<u8>) {
    let key = SecretKey::from_seed([seed; 32]);
    let (value, until) = (b"/ipns/alice.ddn", format!("{year}-01-01T00:00:00Z"));
    assert!(sequence < 24, "one byte of CBOR");
    let data = [
        &b"\xa5\x63TTL\x1a\x3b\x9a\xca\x00\x65Value\x4f"[..],
        value,
        b"\x68Sequence",
        &[sequence],
        b"\x68Validity\x54",
        until.as_bytes(),
        b"\x6cValidityType\x00",
    ]
    .concat();
    let mut signature = key
        .sign_bytes(&[b"ipns-signature:", &data[..]].concat())
        .as_bytes()
        .to_owned();
    signature[0] ^= u8::from(!is_signed);
    let length = u8::try_from(data.len()).expect("a short record");
    assert!(length < 128, "one byte of protobuf");
    let bytes = [&[0x42, 0x40][..], &signature, &[0x4a, length], &data].concat();
    (named::mesh::peer_id(&key.public()), bytes)
}

#[tokio::test]
async fn refused_records_are_refused_with_a_reason_and_change_nothing() {
    let site = Site::new().await;
    let media = [("Content-Type", "application/vnd.ipfs.ipns-record")];
    let (name, second) = record(3, 2, 2126, true);
    let target = format!("/routing/v1/ipns/{name}");
    let (first, third) = (record(3, 1, 2126, true).1, record(3, 3, 2126, true).1);
    let put = async |body: &[u8]| upload(site.address(), "PUT", &target, &media, body).await;
    let held = async || {
        let get = async |target: &str, headers: &[(&str, &str)]| {
            site.ask("GET", "127.0.0.1", target, headers).await
        };
        let accept = [("Accept", media[0].1)];
        let routed = get(&target, &accept).await;
        let by_accept = get(&format!("/ipns/{name}"), &accept).await;
        let by_query = get(&format!("/ipns/{name}?format=ipns-record"), &[]).await;
        assert_eq!(by_accept.status, by_query.status);
        assert_eq!(
            (by_accept.status, routed.header("content-type")),
            match by_accept.status {
                200 => (200, media[0].1),
                // Nobody has it, so that there is nothing of the name to give.
                _ => (502, "text/plain; charset=utf-8"),
            }
        );
        if by_accept.status == 200 {
            assert_eq!(by_accept.body, routed.body);
            assert_eq!(by_query.body, routed.body);
        }
        (by_accept.status, routed.body)
    };
    let refusals = [
        (record(3, 9, 2126, false).1, 400, "signature"),
        (record(4, 9, 2126, true).1, 400, "signature"),
        (record(3, 9, 2020, true).1, 400, "expired"),
        (second[1..].to_vec(), 400, "refused"),
        (Vec::new(), 400, "refused"),
        ([&second[..], &vec![0; 10 << 10]].concat(), 413, "10240"),
    ];
    for (body, status, text) in &refusals {
        let answer = put(body).await;
        assert!(
            answer.status == *status && answer.text().contains(text),
            "{answer:?} {}",
            answer.text()
        );
    }
    assert_eq!(held().await.0, 502);
    assert_eq!(put(&second).await.status, 200);
    assert_eq!(held().await, (200, second.clone()));
    for (body, status, _) in &refusals {
        assert_eq!(put(body).await.status, *status);
    }
    assert_eq!(held().await, (200, second.clone()));
    // An older one is no error: whoever brings it wants the newest to be known, and it is.
    assert_eq!(put(&first).await.status, 200);
    assert_eq!(held().await, (200, second));
    assert_eq!(put(&third).await.status, 200);
    assert_eq!(held().await, (200, third));
}

fn seen(answer: &Answer) -> (u16, String) {
    (answer.status, answer.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_domains_lead_to_content() {
    let site = site().await;
    for (host, target, content) in [
        ("127.0.0.1", format!("/ipns/{KEY}/ascii.txt"), "hello"),
        ("127.0.0.1", format!("/ipns/{DEEP_KEY}/sub/x.txt"), "x"),
        (&format!("{KEY}.ipns.localhost:80"), "/ascii.txt".into(), "hello"),
        ("site.example.org", "/ascii.txt".into(), "hello"),
        ("SITE.example.org:80", "/".into(), "Alice"),
        ("key.example.org", "/ascii.txt".into(), "hello"),
        ("deep.example.org", "/x.txt".into(), "x"),
        ("site-example-org.ipns.localhost", "/ascii.txt".into(), "hello"),
        ("site.example.org.ipns.localhost", "/ascii.txt".into(), "hello"),
        ("127.0.0.1", "/ipns/site.example.org/ascii.txt".into(), "hello"),
        // A host that nobody has linked is as good as an address.
        ("other.example.org", format!("/ipns/{KEY}/ascii.txt"), "hello"),
    ] {
        let answer = site.ask("GET", host, &target, &[]).await;
        assert!(
            answer.status == 200 && answer.text().contains(content),
            "{host}{target}: {answer:?}"
        );
        assert_eq!(
            answer.header("cache-control"),
            "no-cache",
            "a ledger name is on the way"
        );
    }
    let deep = site
        .ask("GET", "127.0.0.1", &format!("/ipns/{DEEP_KEY}/sub/x.txt"), &[])
        .await;
    let roots = [&[][..], &["files"], &["files", "sub"], &["files", "sub", "x.txt"]]
        .map(|path| site.cid(path).to_string());
    assert_eq!(deep.header("x-ipfs-roots"), roots.join(","));
    assert_eq!(deep.header("x-ipfs-path"), format!("/ipns/{DEEP_KEY}/sub/x.txt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere() {
    let site = site().await;
    let unknown = "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8";
    for (host, target, status, text) in [
        ("127.0.0.1", format!("/ipns/{unknown}"), 502, "no record"),
        ("127.0.0.1", "/ipns/other.example.org/".into(), 404, "no DNSLink"),
        ("loop.example.org", "/".into(), 400, "within 32 names"),
        ("none.example.org", "/".into(), 502, "no content path"),
        (
            "127.0.0.1",
            format!("/ipns/{KEY}/x?format=ipns-record"),
            400,
            "whole name",
        ),
        (
            "127.0.0.1",
            "/ipns/alice.ddn?format=ipns-record".into(),
            406,
            "only the names of keys",
        ),
    ] {
        let answer = site.ask("GET", host, &target, &[]).await;
        assert!(
            answer.status == status && answer.text().contains(text),
            "{host}{target}: {answer:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_itself() {
    let site = site().await;
    for (target, headers) in [
        (format!("/ipns/{KEY}?format=ipns-record"), &[][..]),
        (
            format!("/ipns/{PEER}"),
            &[("Accept", "application/vnd.ipfs.ipns-record")],
        ),
    ] {
        for host in ["127.0.0.1", "localhost"] {
            let answer = site.ask("GET", host, &target, headers).await;
            assert_eq!(
                (answer.status, &answer.body),
                (200, &bytes(RECORD)),
                "{host}{target}"
            );
            assert_eq!(answer.header("content-type"), "application/vnd.ipfs.ipns-record");
            assert_eq!(answer.header("cache-control"), "public, max-age=60");
            assert!(answer.header("content-disposition").starts_with("attachment;"));
            let etag = [("If-None-Match", answer.header("etag"))];
            let again = site
                .ask("GET", host, &format!("/ipns/{KEY}?format=ipns-record"), &etag)
                .await;
            assert_eq!(again.status, 304);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_the_gateway_lead_to_hosts() {
    let site = site().await;
    let file = site.cid(&["ascii.txt"]);
    for (host, target, header, location) in [
        (
            "localhost:1",
            format!("/ipfs/{file}"),
            None,
            format!("http://{file}.ipfs.localhost:1/"),
        ),
        (
            "localhost",
            format!("/ipfs/{}/a%2520b?x=y", site.root),
            Some(("X-Forwarded-Proto", "https")),
            format!("https://{}.ipfs.localhost/a%2520b?x=y", site.root),
        ),
        (
            "other.example",
            format!("/ipns/{PEER}/x/"),
            Some(("X-Forwarded-Host", "localhost:2")),
            format!("http://{KEY}.ipns.localhost:2/x/"),
        ),
        (
            "localhost",
            "/ipns/alice.ddn".into(),
            None,
            "http://alice.ddn.localhost/".into(),
        ),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        let answer = site.ask("GET", host, &target, &headers).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, location.as_str()),
            "{host}{target}"
        );
    }
    let canonical = site
        .ask("GET", "127.0.0.1", &format!("/ipns/{PEER}/ascii.txt"), &[])
        .await;
    assert_eq!(
        (canonical.status, canonical.header("location")),
        (302, &*format!("/ipns/{KEY}/ascii.txt"))
    );
    let raw = site
        .ask("GET", "localhost", &format!("/ipfs/{file}?format=raw"), &[])
        .await;
    assert_eq!(seen(&raw), (200, "hello application/vnd.ipld.raw\n".into()));
}
