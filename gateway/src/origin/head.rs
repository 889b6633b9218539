//! Heads of requests to origins, and of their answers: what is passed on, what is not, and what is refused.
//!
//! An origin sees nothing of a reader but the path and query, and those few headers by which its answers are told apart in
//! the cache. So nothing that a reader sends can change what another one gets: neither an unkeyed header nor `Host`.
//! Cookies and credentials go neither way: these sites are public. No body is ever sent.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, response};
use http_body_util::Empty;

use super::Site;

/// The headers of a reader that an answer may depend on, if it says so by `Vary`.
const SELECTABLE: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::ORIGIN,
];
/// The most bytes of the value of such a header; longer ones are as good as none.
const VALUE_BYTES_MAX: usize = 256;
/// How this gateway calls itself in `Via` and `Cache-Status`.
pub(super) const SELF: &str = "ddn";
const AGENT: &str = concat!("ddn/", env!("CARGO_PKG_VERSION"));

/// Header fields of an answer that are not for readers: those of the connection, those that would make promises for the
/// host of this gateway, and those by which readers would send what is not passed on.
const KEPT_BACK: [HeaderName; 16] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    header::WWW_AUTHENTICATE,
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("public-key-pins"),
];

/// Header fields that mean two things if they are there twice.
const SINGLE: [HeaderName; 11] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONTENT_TYPE,
    header::CONTENT_RANGE,
    header::CONTENT_ENCODING,
    header::LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::DATE,
    header::EXPIRES,
    header::AGE,
];

/// Headers that tell the variants of a page apart, with the values of one reader.
pub(super) type Selected = Vec<(HeaderName, HeaderValue)>;

/// Of the headers that a page varies by, those that a reader sends.
pub(super) fn select(varies: &[HeaderName], reader: &HeaderMap) -> Selected {
    let value = |name: &HeaderName| match *name {
        header::ACCEPT_ENCODING => Some(codings(reader)),
        _ => single(reader, name).filter(|value| value.len() <= VALUE_BYTES_MAX),
    };
    varies
        .iter()
        .filter_map(|name| Some((name.clone(), value(name)?)))
        .collect()
}

/// Which of the usual codings a reader takes: four values instead of the many that there are.
fn codings(reader: &HeaderMap) -> HeaderValue {
    let takes = |coding: &str| {
        let lists = reader.get_all(header::ACCEPT_ENCODING).iter();
        lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(','))
            .any(|entry| {
                let (name, quality) = entry.split_once(';').unwrap_or((entry, ""));
                let refused = quality.trim().strip_prefix("q=").is_some_and(|q| {
                    q.trim().trim_end_matches('0').trim_end_matches('.').is_empty()
                        || q.trim().bytes().all(|b| matches!(b, b'0' | b'.'))
                });
                name.trim().eq_ignore_ascii_case(coding) && !refused
            })
    };
    HeaderValue::from_static(match (takes("br"), takes("gzip")) {
        (true, true) => "br, gzip",
        (true, false) => "br",
        (false, true) => "gzip",
        (false, false) => "identity",
    })
}

fn single(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.clone();
    values.next().is_none().then_some(first)
}

/// The headers that an answer varies by and readers are asked for. What is never passed on is the same for all.
pub(super) fn varies(answer: &HeaderMap) -> Vec<HeaderName> {
    let lists = answer.get_all(header::VARY).iter();
    let mut names: Vec<HeaderName> = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| {
            let name = name.trim();
            SELECTABLE
                .into_iter()
                .find(|known| name.eq_ignore_ascii_case(known.as_str()))
        })
        .collect();
    names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// A request for a path of a site, with these headers and no others of the reader.
pub(super) fn request(
    site: &Site,
    method: &Method,
    target: &str,
    with: &[(HeaderName, HeaderValue)],
) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = method.clone();
    // It was the target of a request before, so it is one.
    *request.uri_mut() = target.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::HOST, crate::escape::header(site.origin.authority()));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(header::VIA, HeaderValue::from_static("1.1 ddn"));
    for (name, value) in with {
        headers.insert(name, value.clone());
    }
    request
}

/// What a request allows its answer to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    part: bool,
    unchanged: bool,
}

impl Wanted {
    pub(super) fn of<T>(request: &Request<T>) -> Self {
        let has = |name| request.headers().contains_key(name);
        Self {
            part: has(header::RANGE),
            unchanged: has(header::IF_NONE_MATCH) || has(header::IF_MODIFIED_SINCE),
        }
    }
}

/// Whether an answer can mean one thing only, and is one to this request. The error says what is wrong with it.
pub(super) fn check(head: &response::Parts, wanted: Wanted) -> Result<(), &'static str> {
    let response::Parts {
        status,
        version,
        headers,
        ..
    } = head;
    if !matches!(*version, Version::HTTP_10 | Version::HTTP_11) {
        return Err("it is in another version of HTTP than 1.0 and 1.1");
    }
    if !(200..600).contains(&status.as_u16()) {
        return Err("its status is none that ends a request");
    }
    if SINGLE
        .iter()
        .any(|name| headers.get_all(name).iter().nth(1).is_some())
    {
        return Err("a field that there is only one of is there twice");
    }
    check_length(*version, headers)?;
    match *status {
        StatusCode::PARTIAL_CONTENT if !wanted.part => Err("it is a part, and all was asked for"),
        StatusCode::PARTIAL_CONTENT if !headers.contains_key(header::CONTENT_RANGE) => {
            Err("it is a part, and does not say which")
        }
        StatusCode::NOT_MODIFIED if !wanted.unchanged => {
            Err("it is no change, and no version was asked about")
        }
        _ => Ok(()),
    }
}

/// Where the body ends must be beyond doubt (RFC 9112, 6.3).
fn check_length(version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let length = headers.get(header::CONTENT_LENGTH);
    if length.is_some_and(|length| {
        let digits = length.as_bytes();
        digits.is_empty() || !digits.iter().all(u8::is_ascii_digit)
    }) {
        return Err("its length is no number");
    }
    let Some(coding) = headers.get(header::TRANSFER_ENCODING) else {
        return Ok(());
    };
    if length.is_some() || version == Version::HTTP_10 {
        return Err("it says in two ways how long it is");
    }
    match coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        true => Ok(()),
        false => Err("its transfer coding is not `chunked` alone"),
    }
}

/// The head that readers get: without what is for this gateway alone.
pub(super) fn outgoing(site: &Site, answer: &HeaderMap) -> HeaderMap {
    let mut headers = answer.clone();
    let named: Vec<String> = answer
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in &KEPT_BACK {
        headers.remove(name);
    }
    headers.append(header::VIA, HeaderValue::from_static("1.1 ddn"));
    relocate(site, &mut headers);
    headers
}

/// A redirect within the origin stays within the name. Any other is the reader's to follow: nothing else is fetched.
fn relocate(site: &Site, headers: &mut HeaderMap) {
    let inside = headers.get(header::LOCATION).and_then(|location| {
        let rest = location.to_str().ok()?.strip_prefix(site.origin.as_str())?;
        // `//` would name another host.
        match rest.as_bytes() {
            [] => Some("/".to_owned()),
            [b'/', b'/' | b'\\', ..] => None,
            [b'/', ..] => Some(rest.to_owned()),
            [b'?' | b'#', ..] => Some(format!("/{rest}")),
            _ => None,
        }
    });
    if let Some(inside) = inside {
        headers.insert(header::LOCATION, crate::escape::header(&inside));
    }
}

/// The length that an answer states.
pub(super) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use ledger::{Address, Origin};

    use super::*;

    fn site() -> Site {
        Site {
            name: "shop.ddn".into(),
            origin: Origin::parse("https://www.example.com").unwrap(),
            token: Some("abc".into()),
            owner: Address::from_bytes([1; 20]),
        }
    }

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    fn parts(status: u16, version: Version, pairs: &[(&'static str, &str)]) -> response::Parts {
        let mut response = http::Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.version_mut() = version;
        *response.headers_mut() = map(pairs);
        response.into_parts().0
    }

    #[test]
    fn readers_choose_only_by_what_a_page_varies_by() {
        let reader = map(&[
            ("accept-language", "de"),
            ("accept-encoding", "zstd, GZIP;q=0.8, br"),
            ("cookie", "a=1"),
            ("x-forwarded-host", "evil"),
        ]);
        assert!(select(&[], &reader).is_empty());
        let varies = varies(&map(&[
            ("vary", "Cookie, Accept-Language"),
            ("vary", "accept-encoding, X-Forwarded-Host"),
        ]));
        let chosen = select(&varies, &reader);
        let shown: Vec<_> = chosen
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            shown,
            [("accept-encoding", "br, gzip"), ("accept-language", "de")]
        );
        let long = "x".repeat(300);
        assert!(select(&[header::ACCEPT], &map(&[("accept", &long)])).is_empty());
        assert!(select(&[header::ACCEPT], &map(&[("accept", "a"), ("accept", "b")])).is_empty());
    }

    #[test]
    fn codings_have_four_values() {
        for (sent, expected) in [
            ("", "identity"),
            ("gzip", "gzip"),
            ("br;q=1.0", "br"),
            ("gzip, deflate, br, zstd", "br, gzip"),
            ("br;q=0, gzip;q=0.0", "identity"),
            ("br; q=0.000, gzip; q=0.5", "gzip"),
            ("*", "identity"),
        ] {
            assert_eq!(codings(&map(&[("accept-encoding", sent)])), expected, "{sent}");
        }
    }

    #[test]
    fn a_request_has_nothing_of_the_reader() {
        let request = request(&site(), &Method::GET, "/a?b=c", &[]);
        let mut names: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["accept-encoding", "connection", "host", "user-agent", "via"]
        );
        assert_eq!(request.headers()["host"], "www.example.com");
        assert_eq!(request.uri(), "/a?b=c");
    }

    #[test]
    fn an_answer_that_means_two_things_is_refused() {
        let all = Wanted {
            part: false,
            unchanged: false,
        };
        let some = Wanted {
            part: true,
            unchanged: true,
        };
        let check = |status, version, pairs: &[(&'static str, &str)], wanted, good: bool| {
            let found = check(&parts(status, version, pairs), wanted);
            assert_eq!(found.is_ok(), good, "{status} {pairs:?}: {found:?}");
        };
        let (one, old) = (Version::HTTP_11, Version::HTTP_10);
        check(200, one, &[("content-length", "5")], all, true);
        check(200, one, &[("transfer-encoding", "Chunked")], all, true);
        check(200, old, &[], all, true);
        check(599, one, &[], all, true);
        check(206, one, &[("content-range", "bytes 0-1/5")], some, true);
        check(304, one, &[], some, true);
        for (status, version, pairs) in [
            (
                200,
                one,
                &[("content-length", "5"), ("transfer-encoding", "chunked")][..],
            ),
            (200, one, &[("content-length", "5"), ("content-length", "5")]),
            (200, one, &[("content-length", "5, 5")]),
            (200, one, &[("content-length", "+5")]),
            (200, one, &[("content-length", "")]),
            (200, one, &[("transfer-encoding", "gzip, chunked")]),
            (200, one, &[("transfer-encoding", "xchunked")]),
            (
                200,
                one,
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "identity"),
                ],
            ),
            (200, old, &[("transfer-encoding", "chunked")]),
            (301, one, &[("location", "/a"), ("location", "/b")]),
            (200, one, &[("content-type", "a/b"), ("content-type", "c/d")]),
            (206, one, &[("content-range", "bytes 0-1/5")]),
            (304, one, &[]),
            (101, one, &[]),
            (600, one, &[]),
        ] {
            check(status, version, pairs, all, false);
        }
        check(206, one, &[], some, false);
        check(200, Version::HTTP_2, &[], all, false);
    }

    #[test]
    fn readers_do_not_get_what_is_for_the_gateway() {
        let headers = outgoing(
            &site(),
            &map(&[
                ("connection", "close, X-Secret"),
                ("x-secret", "1"),
                ("set-cookie", "a=1"),
                ("www-authenticate", "Basic"),
                ("strict-transport-security", "max-age=1"),
                ("alt-svc", "h3=\":443\""),
                ("link", "</a>; rel=preload"),
                ("link", "</b>; rel=preload"),
                ("content-encoding", "gzip"),
            ]),
        );
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-encoding", "link", "via"]);
        assert_eq!(headers.get_all("link").iter().count(), 2);
    }

    #[test]
    fn redirects_within_the_origin_stay_within_the_name() {
        for (sent, expected) in [
            ("https://www.example.com/a?b", "/a?b"),
            ("https://www.example.com", "/"),
            ("https://www.example.com?x", "/?x"),
            ("/a", "/a"),
            (
                "https://www.example.com//evil.example",
                "https://www.example.com//evil.example",
            ),
            (
                "https://www.example.com.evil.example/",
                "https://www.example.com.evil.example/",
            ),
            (
                "https://www.example.com@evil.example/",
                "https://www.example.com@evil.example/",
            ),
            ("https://www.example.com:444/", "https://www.example.com:444/"),
            ("http://169.254.169.254/", "http://169.254.169.254/"),
        ] {
            let headers = outgoing(&site(), &map(&[("location", sent)]));
            assert_eq!(headers[header::LOCATION], expected);
        }
    }
}
