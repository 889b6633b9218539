//! What must hold in the parsers of this crate for any bytes at all. Each function here takes the bytes as a fuzzer makes
//! them, and panics if a rule is broken.
//!
//! `gateway/fuzz` runs them for as long as one likes; the tests below for a moment, with every test run.

use http::header::{ACCEPT, HeaderMap};
use http::{HeaderName, HeaderValue, StatusCode};
use named::dap::{Tlds, Zones};

use crate::ask::format::{self, Format};
use crate::ask::host::Hosts;
use crate::ask::query::Query;
use crate::ask::range::{Selected, select};
use crate::escape;
use crate::site::headers::Headers;
use crate::site::redirects::{Outcome, Redirects};

/// `_redirects`: the file, a zero byte, the path of a request, a zero byte, its query. A path that a rule leads to stays on
/// its host, and can be sent.
pub fn redirects(data: &[u8]) {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let (file, path, query) = (parts.next(), parts.next(), parts.next());
    let (Some(file), Some(path)) = (file, text(path)) else {
        return;
    };
    let Ok(rules) = Redirects::parse(file) else {
        return;
    };
    let asked: Vec<String> = path.split('/').filter_map(escape::unescape).collect();
    let Ok(Some(outcome)) = rules.decide(&asked, text(query)) else {
        return;
    };
    match outcome {
        Outcome::Serve { status, segments, .. } => {
            assert!(status == StatusCode::OK || status.is_client_error());
            assert!(segments.iter().all(|segment| !segment.is_empty()));
        }
        Outcome::Redirect { status, to } => {
            assert!(status.is_redirection());
            assert!(to.bytes().all(|byte| byte.is_ascii_graphic()), "{to}");
            let is_path = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
            let is_url = to.starts_with("http://") || to.starts_with("https://");
            assert!(is_path || is_url, "{to}");
        }
    }
}

/// `_headers`: the file, a zero byte, the path of a request. What the gateway says stays, and nothing is added that frames
/// the answer or reaches beyond the site.
pub fn headers(data: &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0);
    let (Some(file), Some(path)) = (parts.next(), text(parts.next())) else {
        return;
    };
    let Ok(rules) = Headers::parse(file) else {
        return;
    };
    let asked: Vec<String> = path.split('/').filter_map(escape::unescape).collect();
    let mut answer = HeaderMap::new();
    let own = [
        ("etag", "\"cid\""),
        ("x-ipfs-path", "/ipfs/cid"),
        ("vary", "accept"),
    ];
    for (name, value) in own {
        answer.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    rules.apply(&asked, &mut answer);
    for (name, value) in own {
        assert!(answer.get_all(name).iter().any(|kept| kept == value), "{name}");
    }
    for name in [
        "content-length",
        "transfer-encoding",
        "connection",
        "set-cookie",
        "location",
    ] {
        assert!(!answer.contains_key(name), "{name}");
    }
}

/// `Range`: eight bytes of length, then the header. A part lies within the representation and is not empty.
pub fn ranges(data: &[u8]) {
    let Some((length, header)) = data.split_first_chunk::<8>() else {
        return;
    };
    let (length, Some(header)) = (u64::from_le_bytes(*length), text(Some(header))) else {
        return;
    };
    if let Selected::Part(range) = select(header, length) {
        assert!(
            range.start < range.end && range.end <= length,
            "{header}: {range:?} of {length}"
        );
    }
}

/// `Accept`: lines of it. `?format=raw` wins over whatever they say, and without it a plain browser's header chooses nothing.
pub fn accept(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        headers.extend(HeaderValue::from_bytes(line).ok().map(|value| (ACCEPT, value)));
    }
    let _ = format::wants_html(&headers);
    let _ = format::negotiate(&Query::default(), &headers);
    let raw = format::negotiate(&Query::parse("format=raw"), &headers);
    assert!(matches!(raw, Ok((Format::Raw, _))), "{raw:?}");
}

/// The query of a request for a CAR: `entity-bytes` and whatever stands around it.
pub fn entity_bytes(data: &[u8]) {
    let Some(value) = text(Some(data)) else {
        return;
    };
    let _ = format::negotiate(&Query::parse(value), &HeaderMap::new());
    let query = Query::parse(&format!("format=car&entity-bytes={value}"));
    if let Ok((Format::Car(car), _)) = format::negotiate(&query, &HeaderMap::new()) {
        let wanted = query.get("entity-bytes");
        assert_eq!(car.bytes.is_some(), wanted.is_some(), "{value}");
    }
}

/// `Host`: the site that a host stands for is the same however its letters are written, and with a dot at its end.
pub fn hosts(data: &[u8]) {
    let Some(authority) = text(Some(data)) else {
        return;
    };
    let tlds = Tlds::of("ddn");
    let hosts = Hosts {
        gateways: vec!["localhost".into(), "gw.example".into()],
        zones: Zones::new(&tlds, &["ddn.example".into()]),
        tlds,
    };
    let kind = |authority: &str| {
        hosts
            .site(authority)
            .map(|site| std::mem::discriminant(&site))
            .ok()
    };
    let _ = hosts.public(authority);
    assert_eq!(
        kind(authority),
        kind(&authority.to_ascii_uppercase()),
        "{authority}"
    );
}

fn text(bytes: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn redirects_hold(
            file in "(/[a:*é]{0,6}(/:[ab])? (/|https?://)[a:*/?#\\\\splat\u{e9}]{0,12}( [23]0[0-9])?\n){0,4}",
            path in "[/a%2F\\\\.:]{0,12}",
            query in "[a=&%#+ ]{0,8}",
        ) {
            redirects(format!("{file}\0{path}\0{query}").as_bytes());
        }

        #[test]
        fn headers_hold(
            file in "(/[a*:/]{0,3}\n( (etag|Content-Length|vary|X-Ipfs-Path|Set-Cookie|x-a): [a-z,=-]{0,9}\n){0,3}){0,4}",
            path in "[/a]{0,6}",
        ) {
            headers(format!("{file}\0{path}").as_bytes());
        }

        #[test]
        fn ranges_hold(length in 0_u64..40, header in "bytes=[0-9, -]{0,12}") {
            ranges(&[&length.to_le_bytes()[..], header.as_bytes()].concat());
        }

        #[test]
        fn entity_bytes_hold(value in "[0-9:*-]{0,12}") {
            entity_bytes(value.as_bytes());
        }

        #[test]
        fn hosts_hold(host in "[aA.-]{0,4}(\\.ipfs|\\.ipns|\\.ddn|\\.example)?(\\.localhost|\\.gw\\.example)?\\.?(:[0-9]{0,6})?") {
            hosts(host.as_bytes());
        }

        #[test]
        fn any_bytes_are_safe(data in any::<Vec<u8>>()) {
            for law in [redirects, headers, ranges, accept, entity_bytes, hosts] {
                law(&data);
            }
        }
    }
}
