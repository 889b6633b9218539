//! Every rule of routing as a row.

use http::header::HOST;
use http::{HeaderValue, StatusCode};
use named::dap::{Tlds, Zones};
use proptest::prelude::*;

use super::*;

const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const V0: &str = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR";

fn ask(method: &Method, host: &str, target: &str, headers: &[(http::HeaderName, &str)]) -> Decision {
    let hosts = Hosts {
        gateways: vec!["localhost".into()],
        tlds: Tlds::of("ddn"),
        zones: Zones::new(&Tlds::of("ddn"), &[]),
    };
    let mut map = HeaderMap::new();
    if !host.is_empty() {
        map.insert(HOST, HeaderValue::from_str(host).unwrap());
    }
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    let came = Came {
        secure: false,
        trusted: true,
    };
    decide(
        &hosts,
        came,
        method,
        &target.parse().unwrap(),
        Version::HTTP_11,
        &map,
    )
}

fn get(host: &str, target: &str) -> Decision {
    ask(&Method::GET, host, target, &[])
}

fn content_of(decision: Decision) -> Ask {
    match decision {
        Decision::Content(ask) => *ask,
        other => panic!("not content: {other:?}"),
    }
}

fn refusal(decision: Decision) -> (StatusCode, String) {
    match decision {
        Decision::Refuse(problem) => (problem.status, problem.detail),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn addresses() {
    for (host, target, content_path, url) in [
        (
            "127.0.0.1:80",
            format!("/ipfs/{CID}"),
            format!("/ipfs/{CID}"),
            format!("/ipfs/{CID}"),
        ),
        (
            "127.0.0.1",
            format!("/ipfs/{V0}/"),
            format!("/ipfs/{V0}/"),
            format!("/ipfs/{V0}"),
        ),
        (
            "127.0.0.1",
            format!("/ipfs/{CID}/a%20b/%c4%85"),
            format!("/ipfs/{CID}/a b/ą"),
            format!("/ipfs/{CID}/a%20b/%C4%85"),
        ),
        (
            "127.0.0.1",
            format!("/ipfs/{CID}//a///b//"),
            format!("/ipfs/{CID}/a/b/"),
            format!("/ipfs/{CID}/a/b"),
        ),
        (
            "127.0.0.1",
            format!("/ipfs/{CID}/a%2Fb"),
            format!("/ipfs/{CID}/a/b"),
            format!("/ipfs/{CID}/a%2Fb"),
        ),
        (
            "127.0.0.1",
            format!("/ipfs/{CID}/%2541"),
            format!("/ipfs/{CID}/%41"),
            format!("/ipfs/{CID}/%2541"),
        ),
        (
            "127.0.0.1",
            "/ipns/alice.ddn/x".into(),
            "/ipns/alice.ddn/x".into(),
            "/ipns/alice.ddn/x".into(),
        ),
        ("alice.ddn", "/".into(), "/ipns/alice.ddn/".into(), String::new()),
        (
            "alice.ddn.localhost:8080",
            "//evil.example/x/".into(),
            "/ipns/alice.ddn/evil.example/x/".into(),
            "/evil.example/x".into(),
        ),
        (
            "docs.alice.ddn.localhost",
            "/ipfs/x".into(),
            "/ipns/docs.alice.ddn/ipfs/x".into(),
            "/ipfs/x".into(),
        ),
        (
            &format!("{CID}.ipfs.localhost"),
            "/a/".into(),
            format!("/ipfs/{CID}/a/"),
            "/a".into(),
        ),
    ] {
        let address = content_of(get(host, &target)).address;
        assert_eq!(address.content_path(), content_path, "{host} {target}");
        assert_eq!(address.url(), url, "{host} {target}");
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    let address = content_of(get("elsewhere.example", "http://alice.ddn/x")).address;
    assert_eq!(address.content_path(), "/ipns/alice.ddn/x");
}

#[test]
fn parameters() {
    let ask = content_of(ask(
        &Method::HEAD,
        "127.0.0.1",
        &format!("/ipfs/{CID}?filename=a+b.txt&download=true"),
        &[(CACHE_CONTROL, "no-store, Only-If-Cached")],
    ));
    assert!(ask.head && ask.download && ask.only_if_cached);
    assert_eq!(ask.filename.as_deref(), Some("a b.txt"));
}

#[test]
fn refusals() {
    for (method, host, target, status, text) in [
        (Method::POST, "localhost", "/", 405, "POST"),
        (Method::GET, "", "/", 400, "Host header is missing"),
        (Method::GET, "a b", "/", 400, "malformed"),
        (Method::GET, "localhost", "/elsewhere", 404, ""),
        (Method::GET, "localhost", "/ipfs/", 400, "CID"),
        (Method::GET, "localhost", "/ipns", 400, "name"),
        (
            Method::GET,
            "localhost",
            "/ipfs/QmInvalidCID",
            400,
            "invalid path \"/ipfs/QmInvalidCID\"",
        ),
        (Method::GET, "localhost", "/ipfs/%ff", 400, "UTF-8"),
        (
            Method::GET,
            "x.ipfs.localhost",
            "/",
            400,
            "invalid path \"/ipfs/x\"",
        ),
        (
            Method::GET,
            &format!("{}.ipfs.localhost", "b".repeat(64)),
            "/",
            400,
            "length limit of 63",
        ),
        (
            Method::GET,
            "localhost",
            &format!("/ipfs/{CID}?format=what"),
            400,
            "unknown format",
        ),
        (Method::GET, "localhost", "/ipfs/?uri=http://x", 400, "ipfs://"),
    ] {
        let (actual, detail) = refusal(ask(&method, host, target, &[]));
        assert_eq!(actual.as_u16(), status, "{host} {target}: {detail}");
        assert!(detail.contains(text), "{host} {target}: {detail}");
    }
    let twice = ask(&Method::GET, "localhost", "/", &[(HOST, "alice.ddn")]);
    assert_eq!(refusal(twice).0, StatusCode::BAD_REQUEST);
}

#[test]
fn other_answers() {
    assert!(matches!(get("localhost:8080", "/"), Decision::Landing { host, .. } if host == "localhost:8080"));
    let stranger = get("elsewhere.example", "/");
    assert!(
        matches!(stranger, Decision::Stranger { otherwise, .. } if matches!(*otherwise, Decision::Landing { .. }))
    );
    let open = |host| get(host, "/.well-known/ddn/open?address=alice%2Fdocs");
    assert!(matches!(open("localhost"), Decision::Redirect { to, .. } if to == "/ipns/alice.ddn/docs"));
    assert!(matches!(open("alice.ddn"), Decision::Content(_)));
    assert_eq!(refusal(get("localhost", "/.well-known/ddn/open?address=")).0, 400);
    assert!(matches!(
        get("localhost", "/.well-known/ddn/node"),
        Decision::Card
    ));
    assert!(matches!(
        get("alice.ddn", "/.well-known/ddn/node"),
        Decision::Card
    ));
    assert!(matches!(
        ask(&Method::OPTIONS, "localhost", "/x", &[]),
        Decision::Options
    ));
}

#[test]
fn protocol_links_lead_to_paths() {
    for (target, expected) in [
        (
            format!("/ipfs/?uri=ipfs://{CID}/a%2520b/?x=y"),
            format!("/ipfs/{CID}/a%20b/?x=y"),
        ),
        (
            format!("/ipfs/?uri=ipfs%3A%2F%2F{CID}%2F%C4%85%23top"),
            format!("/ipfs/{CID}/%C4%85"),
        ),
        ("/ipns/?uri=ipns://alice.ddn".into(), "/ipns/alice.ddn".into()),
        ("/ipns/?uri=ipns:////evil%0d%0a".into(), "/ipns/evil%0D%0A".into()),
    ] {
        match get("localhost", &target) {
            Decision::Redirect { to, .. } => assert_eq!(to, expected),
            other => panic!("{target}: {other:?}"),
        }
    }
}

const PEER: &str = "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d";
const KEY: &str = "k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam";

/// Status and target of a redirect.
fn redirect(decision: Decision) -> (u16, String) {
    match decision {
        Decision::Redirect { status, to } => (status.as_u16(), to),
        other => panic!("no redirect: {other:?}"),
    }
}

#[test]
fn a_path_on_the_gateway_leads_to_a_host_of_its_own() {
    for (host, target, forwarded, expected) in [
        (
            "localhost:80",
            format!("/ipfs/{CID}"),
            None,
            format!("http://{CID}.ipfs.localhost:80/"),
        ),
        (
            "localhost",
            format!("/ipfs/{CID}/a/?x=1"),
            None,
            format!("http://{CID}.ipfs.localhost/a/?x=1"),
        ),
        (
            "localhost",
            format!("/ipfs/{CID}/"),
            Some(("x-forwarded-proto", "https")),
            format!("https://{CID}.ipfs.localhost/"),
        ),
        (
            "fake.example",
            format!("/ipfs/{CID}"),
            Some(("x-forwarded-host", "localhost")),
            format!("http://{CID}.ipfs.localhost/"),
        ),
        (
            "localhost",
            format!("/ipns/{PEER}"),
            None,
            format!("http://{KEY}.ipns.localhost/"),
        ),
        (
            "localhost",
            "/ipns/alice.ddn/x".into(),
            None,
            "http://alice.ddn.localhost/x".into(),
        ),
        (
            "localhost",
            "/ipns/en.a-b.example/w/".into(),
            None,
            "http://en-a--b-example.ipns.localhost/w/".into(),
        ),
    ] {
        let headers: Vec<_> = forwarded
            .into_iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value))
            .collect();
        let found = redirect(ask(&Method::GET, host, &target, &headers));
        assert_eq!(found, (301, expected), "{host}{target}");
    }
    for form in ["raw", "car"] {
        let target = format!("/ipfs/{CID}?format={form}");
        assert!(
            matches!(get("localhost", &target), Decision::Content(_)),
            "{form}"
        );
    }
}

#[test]
fn keys_have_one_form() {
    let found = redirect(get("127.0.0.1", &format!("/ipns/{PEER}/a/?x")));
    assert_eq!(found, (302, format!("/ipns/{KEY}/a/?x")));
    let address = content_of(get("127.0.0.1", &format!("/ipns/{KEY}/a"))).address;
    assert_eq!(address.content_path(), format!("/ipns/{KEY}/a"));
    let peer: named::ipns::Name = PEER.parse().unwrap();
    let dag_pb = cid::Cid::new_v1(0x70, *peer.cid().hash()).to_string();
    let found = redirect(get(&format!("{dag_pb}.ipns.localhost:1"), "/a"));
    assert_eq!(found, (301, format!("http://{KEY}.ipns.localhost:1/a")));
}

#[test]
fn a_stranger_is_a_site_if_dns_says_so() {
    match get("Example.org:80", &format!("/ipfs/{CID}")) {
        Decision::Stranger {
            domain,
            site,
            otherwise,
        } => {
            assert_eq!(domain, "example.org");
            let site = content_of(*site).address;
            assert_eq!(site.content_path(), format!("/ipns/example.org/ipfs/{CID}"));
            assert_eq!(
                content_of(*otherwise).address.content_path(),
                format!("/ipfs/{CID}")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_a_proxy_speaks_for_others() {
    let hosts = Hosts {
        gateways: vec!["localhost".into()],
        tlds: Tlds::of("ddn"),
        zones: Zones::new(&Tlds::of("ddn"), &[]),
    };
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("127.0.0.1"));
    headers.insert("x-forwarded-host", HeaderValue::from_static("localhost"));
    let uri = format!("/ipfs/{CID}").parse().unwrap();
    let decision = decide(
        &hosts,
        Came::default(),
        &Method::GET,
        &uri,
        Version::HTTP_11,
        &headers,
    );
    assert!(matches!(decision, Decision::Content(_)));
}

#[test]
fn the_proxy_of_a_browser() {
    match get("127.0.0.1:8080", "/.well-known/ddn/proxy.pac") {
        Decision::Pac { authority, secure } => {
            assert_eq!((authority.as_str(), secure), ("127.0.0.1:8080", false));
        }
        other => panic!("{other:?}"),
    }
    for own in ["alice.ddn:80", "127.0.0.1:8080", "localhost:8080"] {
        assert!(
            matches!(ask(&Method::CONNECT, own, own, &[]), Decision::Tunnel),
            "{own}"
        );
    }
    let (status, detail) = refusal(ask(&Method::CONNECT, "x", "example.org:443", &[]));
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(detail.contains("example.org:443"), "{detail}");
}

proptest! {
    #[test]
    fn any_target_is_decided(path in "/[!-\"$->@-~]{0,60}(\\?[!-\"$-~]{0,40})?", host in "[a-z.:0-9]{0,30}") {
        if let Ok(uri) = path.parse::<Uri>() {
            let hosts = Hosts { gateways: vec!["localhost".into()], tlds: Tlds::of("ddn"), zones: Zones::new(&Tlds::of("ddn"), &[]) };
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(&host).unwrap());
            decide(&hosts, Came::default(), &Method::GET, &uri, Version::HTTP_11, &headers);
        }
    }

    #[test]
    fn a_url_reads_back_as_its_segments(names in proptest::collection::vec("[^/\\x00-\\x1f]{1,10}", 0..5)) {
        let target = format!("/ipfs/{CID}{}", escape::path(&names));
        let address = content_of(get("127.0.0.1", &target)).address;
        prop_assert_eq!(&address.segments, &names);
        prop_assert_eq!(address.url(), target);
    }
}
