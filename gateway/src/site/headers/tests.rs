use super::*;
use proptest::prelude::*;

/// What is sent at a path, beside a few headers of the gateway: `name: value`, sorted by name.
fn sent(file: &str, asked: &[&str]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, HeaderValue::from_static("\"cid\""));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let path: Vec<String> = asked.iter().map(|&s| s.to_owned()).collect();
    let rules = Headers::parse(file.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}"));
    rules.apply(&path, &mut headers);
    let mut lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")))
        .filter(|line| !["etag: \"cid\"", "vary: accept", "cache-control: no-cache"].contains(&line.as_str()))
        .collect();
    lines.sort();
    lines
}

#[test]
fn paths_and_headers() {
    let file = "# a site\r\n\
        /*\r\n\
        \tX-Frame-Options: DENY\r\n\
        Content-Security-Policy: default-src 'self'\n\
        \n\
        /assets/*.wasm\n\
        \x20 content-type: application/wasm\n\
        \x20 X-Frame-Options: SAMEORIGIN\n\
        /:lang/start\n\
        \x20 Content-Security-Policy : frame-ancestors 'none'\n\
        \x20 Link: </a.css>; rel=preload\n\
        \x20 Vary: Accept-Language\n";
    let both = [
        "content-security-policy: default-src 'self'",
        "x-frame-options: DENY",
    ];
    assert_eq!(sent(file, &[]), both);
    assert_eq!(sent(file, &["a", "b"]), both);
    assert_eq!(
        sent(file, &["assets", "x", "y.wasm"]),
        [
            both[0],
            "content-type: application/wasm",
            "x-frame-options: SAMEORIGIN"
        ]
    );
    assert_eq!(
        sent(file, &["de", "start"]),
        [
            both[0],
            "content-security-policy: frame-ancestors 'none'",
            "link: </a.css>; rel=preload",
            "vary: Accept-Language",
            both[1],
        ]
    );
}

#[test]
fn what_is_not_the_publishers() {
    for header in OWN {
        assert!(sent(&format!("/*\n {header}: x"), &[]).is_empty(), "{header}");
    }
    for header in [
        "Set-Cookie",
        "X-Ipfs-Path",
        "x-ddn-proof",
        "TRANSFER-ENCODING",
        "Proxy-Status",
    ] {
        assert!(sent(&format!("/*\n {header}: x"), &[]).is_empty(), "{header}");
    }
}

#[test]
fn names_are_kept_by_nobody() {
    for value in [
        "no-store",
        "private, no-cache",
        "No-Store, must-revalidate, max-age=0",
    ] {
        assert_eq!(
            sent(&format!("/*\n Cache-Control: {value}"), &[]),
            [format!("cache-control: {value}")]
        );
    }
    for value in [
        "max-age=60",
        "no-cache, max-age=60",
        "public",
        "private",
        "",
        "no-cache, stale-if-error=9",
    ] {
        assert!(
            sent(&format!("/*\n Cache-Control: {value}"), &[]).is_empty(),
            "{value}"
        );
    }
}

#[test]
fn what_is_no_rule_is_passed_over() {
    for (file, lines) in [
        ("", &[][..]),
        ("X-A: 1", &[]),
        ("/*\n nonsense\n X A: 1\n X-A: 1\n ! X-A\n : x", &["x-a: 1"]),
        ("/*/*\n X-A: 1\n/*\n X-B: 1", &["x-b: 1"]),
        ("https://other.example/*\n X-A: 1", &[]),
        ("/*\n X-A: \u{7f}\n X-B:", &["x-b: "]),
        ("\u{feff}/*\n X-A: 1", &["x-a: 1"]),
    ] {
        assert_eq!(sent(file, &[]), lines, "{file}");
    }
    assert_eq!(Headers::parse(b"\xff").unwrap_err(), BadHeaders::NotText);
    let long = " ".repeat(FILE_BYTES_MAX as usize + 1);
    assert_eq!(Headers::parse(long.as_bytes()).unwrap_err(), BadHeaders::TooLong);
}

#[test]
fn an_answer_has_only_so_many() {
    let line = format!(" X-A: {}\n", "x".repeat(1000));
    let lines = sent(&format!("/*\n{}", line.repeat(60)), &[]);
    assert_eq!(lines.len(), 8);
}

proptest! {
    #[test]
    fn any_bytes_are_safe(file in any::<Vec<u8>>(), path in any::<Vec<String>>()) {
        if let Ok(rules) = Headers::parse(&file) {
            rules.apply(&path, &mut HeaderMap::new());
        }
    }

    #[test]
    fn the_gateways_own_stay(
        file in "/\\*\n( (etag|Content-Length|vary|X-Ipfs-Roots|Cache-Control|x): [a-z=0-9,-]{0,9}\n){0,9}",
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"cid\""));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        let Ok(rules) = Headers::parse(file.as_bytes()) else { return Ok(()) };
        rules.apply(&[], &mut headers);
        prop_assert_eq!(&headers[header::ETAG], "\"cid\"");
        prop_assert!(headers.get_all(header::VARY).iter().any(|value| value == "accept"));
        prop_assert!(!headers.contains_key(header::CONTENT_LENGTH));
    }
}
