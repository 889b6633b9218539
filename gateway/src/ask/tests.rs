//! Every rule of routing as a row.

use http::{HeaderValue, StatusCode};
use proptest::prelude::*;

use super::*;

const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
const V0: &str = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR";

fn ask(method: &Method, host: &str, target: &str, headers: &[(http::HeaderName, &str)]) -> Decision {
    let hosts = Hosts {
        gateways: vec!["localhost".into()],
        tld: "ddn".into(),
    };
    let mut map = HeaderMap::new();
    if !host.is_empty() {
        map.insert(HOST, HeaderValue::from_str(host).unwrap());
    }
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    decide(&hosts, method, &target.parse().unwrap(), Version::HTTP_11, &map)
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
            "localhost:80",
            format!("/ipfs/{CID}"),
            format!("/ipfs/{CID}"),
            format!("/ipfs/{CID}"),
        ),
        (
            "localhost",
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
            "localhost",
            format!("/ipfs/{CID}//a///b//"),
            format!("/ipfs/{CID}/a/b/"),
            format!("/ipfs/{CID}/a/b"),
        ),
        (
            "localhost",
            format!("/ipfs/{CID}/a%2Fb"),
            format!("/ipfs/{CID}/a/b"),
            format!("/ipfs/{CID}/a%2Fb"),
        ),
        (
            "localhost",
            format!("/ipfs/{CID}/%2541"),
            format!("/ipfs/{CID}/%41"),
            format!("/ipfs/{CID}/%2541"),
        ),
        (
            "localhost",
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
        "localhost",
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
        (
            Method::GET,
            "localhost",
            &format!("/ipfs/{CID}?format=tar"),
            406,
            "x-tar",
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
    assert!(matches!(get("localhost:8080", "/"), Decision::Landing { host } if host == "localhost:8080"));
    assert!(matches!(get("elsewhere.example", "/"), Decision::Landing { .. }));
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
            Decision::Redirect(to) => assert_eq!(to, expected),
            other => panic!("{target}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_target_is_decided(path in "/[!-\"$->@-~]{0,60}(\\?[!-\"$-~]{0,40})?", host in "[a-z.:0-9]{0,30}") {
        if let Ok(uri) = path.parse::<Uri>() {
            let hosts = Hosts { gateways: vec!["localhost".into()], tld: "ddn".into() };
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(&host).unwrap());
            decide(&hosts, &Method::GET, &uri, Version::HTTP_11, &headers);
        }
    }

    #[test]
    fn a_url_reads_back_as_its_segments(names in proptest::collection::vec("[^/\\x00-\\x1f]{1,10}", 0..5)) {
        let target = format!("/ipfs/{CID}{}", escape::path(&names));
        let address = content_of(get("localhost", &target)).address;
        prop_assert_eq!(&address.segments, &names);
        prop_assert_eq!(address.url(), target);
    }
}
