use super::*;
use proptest::prelude::*;

/// `301 /there` or `200 a|b`, and `none` if no rule is for it.
fn decide(rules: &str, asked: &str, query: Option<&str>) -> String {
    let rules = Redirects::parse(rules.as_bytes()).unwrap_or_else(|error| panic!("{rules}: {error}"));
    match rules.decide(&segments(asked), query) {
        Ok(None) => "none".into(),
        Ok(Some(Outcome::Redirect { status, to })) => format!("{} {to}", status.as_u16()),
        Ok(Some(Outcome::Serve { status, segments, .. })) => {
            format!("{} {}", status.as_u16(), segments.join("|"))
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn rules() {
    let site = "# a site\r\n\
        /redirect-one /one.html\r\n\
        /301-redirect-one /one.html 301\n\
        /302-redirect-two /two.html 302\n\
        \t /200-index \t /index.html 200 \n\
        \n\
        /posts/:year/:month/:day/:title /articles/:year/:month/:day/:title 301\n\
        /splat/* /redirected-splat/:splat 301\n\
        /twice/:a /:a/:a 308\n\
        /away/* https://example.net:8080/:splat 307\n\
        /not-found/* /404.html 404\n\
        /gone/* /410.html 410\n\
        /unavail/* /451.html 451\n\
        /* /index.html 200";
    for (asked, expected) in [
        ("/redirect-one", "301 /one.html"),
        ("/redirect-one/", "301 /one.html"),
        ("/301-redirect-one", "301 /one.html"),
        ("/302-redirect-two", "302 /two.html"),
        ("/200-index", "200 index.html"),
        (
            "/posts/2022/01/01/hello-world",
            "301 /articles/2022/01/01/hello-world",
        ),
        ("/posts/2022/01/01", "200 index.html"),
        ("/splat/one.html", "301 /redirected-splat/one.html"),
        ("/splat/a/b%20c/%C4%85", "301 /redirected-splat/a/b%20c/%C4%85"),
        ("/splat", "301 /redirected-splat/"),
        ("/twice/x", "308 /x/x"),
        ("/away/a/b", "307 https://example.net:8080/a/b"),
        ("/not-found/x", "404 404.html"),
        ("/gone/x/y", "410 410.html"),
        ("/unavail/x", "451 451.html"),
        ("/catch-all", "200 index.html"),
        ("/", "200 index.html"),
    ] {
        assert_eq!(decide(site, asked, None), expected, "{asked}");
    }
    assert_eq!(decide("/a /b", "/x", None), "none");
    assert_eq!(decide("", "/x", None), "none");
    assert_eq!(decide("\u{feff}/a /b", "/a", None), "301 /b");
}

#[test]
fn queries() {
    for (to, asked, expected) in [
        ("/b", "x=1", "301 /b?x=1"),
        ("/b", "", "301 /b"),
        ("/b?s=1&t=2", "x=3", "301 /b?s=1&t=2&x=3"),
        ("/b?s=1&t=2", "s=9", "301 /b?t=2&s=9"),
        ("/b?s=1#part", "x", "301 /b?s=1&x#part"),
        ("/b#part", "x=1", "301 /b?x=1#part"),
        ("/b?s+s=1", "s%20s=2", "301 /b?s%20s=2"),
        ("https://example.net/", "x=1", "301 https://example.net/?x=1"),
        ("/b?c=:c", "x=%C4%85", "301 /b?c=a&x=%C4%85"),
    ] {
        assert_eq!(
            decide(&format!("/:c {to}"), "/a", Some(asked)),
            expected,
            "{to} {asked}"
        );
    }
    assert_eq!(decide("/a /b?x=1 200", "/a", Some("y=2")), "200 b");
    assert_eq!(decide("/a /b?c=:c", "/a", None), "301 /b?c=:c");
    assert_eq!(
        decide("/* /b?p=:splat", "/a&q=1/c", None),
        "301 /b?p=a%26q%3D1%2Fc"
    );
}

#[test]
fn a_path_stays_on_its_host() {
    for (rule, asked, expected) in [
        ("/x/* /:splat", "/x/%2F%2Fevil.example", "301 /%2F%2Fevil.example"),
        ("/x/* /:splat", "/x//evil.example", "301 /evil.example"),
        ("/x* /:splat", "/x/evil.example", "301 /evil.example"),
        ("/x/:a /:a", "/x/%5Cevil.example", "301 /%5Cevil.example"),
        (
            "/x/* /:splat",
            "/x/a%0D%0ASet-Cookie:b",
            "301 /a%0D%0ASet-Cookie:b",
        ),
        ("/x/* /:splat 200", "/x/..%2f..%2fetc", "200 ../../etc"),
        ("/x/* /y/:splat 200", "/x/../z", "200 y|..|z"),
    ] {
        assert_eq!(decide(rule, asked, None), expected, "{rule} {asked}");
    }
}

#[test]
fn what_is_filled_in_is_not_read_again() {
    assert_eq!(decide("/:a/:b /:b/:a", "/:b/x", None), "301 /x/:b");
    assert_eq!(decide("/:a /é/:unknown/:a", "/1", None), "301 /%C3%A9/:unknown/1");
}

#[test]
fn what_is_no_rule() {
    for (file, reason) in [
        ("/a", "line 1: `/a` leads nowhere"),
        (
            "/a /b\n/a /b 301!",
            "line 2: status `301!`: a rule cannot be forced",
        ),
        ("/a /b 999", "unsupported redirect status `999`"),
        ("/a /b +200", "unsupported redirect status"),
        ("/a /b 301 x", "more than three fields"),
        ("a /b", "does not start with a slash"),
        ("/*/a /b", "goes on after its asterisk"),
        ("/:a/:a /b", "names two parts alike"),
        ("/a b", "neither a path nor a URL"),
        ("/a //example.net/", "neither a path nor a URL"),
        ("/a javascript:alert(1)", "neither a path nor a URL"),
        ("/a https://example.net/ 200", "only a redirect"),
        ("/a https://example.net/ 404", "only a redirect"),
        ("hello", "leads nowhere"),
    ] {
        let error = Redirects::parse(file.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{file:?}: {error}");
    }
    assert_eq!(Redirects::parse(b"/a \xff"), Err(BadRedirects::NotText));
}

#[test]
fn the_longest_file() {
    let rule = "/a /b 301\n";
    let longest =
        rule.repeat(FILE_BYTES_MAX as usize / rule.len()) + &" ".repeat(FILE_BYTES_MAX as usize % rule.len());
    assert_eq!(longest.len() as u64, FILE_BYTES_MAX);
    assert!(Redirects::parse(longest.as_bytes()).is_ok());
    let error = Redirects::parse((longest + "\n").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "redirects file size cannot exceed 65536 bytes");
}

#[test]
fn a_target_does_not_grow_without_end() {
    let rule = format!("/* /{}", ":splat".repeat(5000));
    let asked = format!("/{}", "x".repeat(20_000));
    assert!(decide(&rule, &asked, None).contains("longer than 8192 bytes"));
    let query = "q".repeat(20_000);
    assert!(decide("/a /b", "/a", Some(&query)).contains("longer than 8192 bytes"));
}

proptest! {
    #[test]
    fn any_bytes_are_safe(file in any::<Vec<u8>>(), asked in any::<String>(), query in any::<Option<String>>()) {
        if let Ok(rules) = Redirects::parse(&file) {
            let _ = rules.decide(&segments(&asked), query.as_deref());
        }
    }

    #[test]
    fn a_location_is_a_header_on_the_same_host(
        file in "/[a:*/]{0,6} /[a:*/?#splatx\u{e9}]{0,12}",
        asked in any::<Vec<String>>(),
        query in any::<String>(),
    ) {
        let Ok(rules) = Redirects::parse(file.as_bytes()) else { return Ok(()) };
        if let Ok(Some(Outcome::Redirect { to, .. })) = rules.decide(&asked, Some(&query)) {
            prop_assert!(to.bytes().all(|b| b.is_ascii_graphic()), "{}", to);
            prop_assert!(to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"), "{}", to);
            prop_assert!(to.len() <= TARGET_BYTES_MAX);
        }
    }
}
