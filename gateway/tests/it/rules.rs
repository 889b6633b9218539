//! What a publisher says about its site: `_redirects`, `_headers`, `404.html`, pages without their ending.

use cid::Cid;

use crate::client::Answer;
use crate::site::Site;

const IMMUTABLE: &str = "public, max-age=29030400, immutable";

const RULES: &[u8] = b"# where things went\r\n\
    /old /new.html\r\n\
    /posts/:year/:title /articles/:year/:title 302\n\
    /away/* https://example.net/:splat 307\n\
    /app/* /app/index.html 200\n\
    /shop /shop/ 200\n\
    /gone/* /410.html 410\n\
    /banned /nowhere.html 451\n\
    /ring/a /ring/b 200\n\
    /ring/b /ring/a 200\n\
    /circle/* /circle/:splat 301\n";

/// A site that uses all of it, under its CID and as `rules.ddn`.
async fn publish(site: &Site) -> Cid {
    let root = site.publish(&[
        ("index.html", b"start"),
        ("_redirects", RULES),
        ("_headers", b"/*\n X-Frame-Options: DENY\n Set-Cookie: a=b\n ETag: \"x\"\n/app/*\n Content-Security-Policy: default-src 'self'\n"),
        ("404.html", b"nothing here"),
        ("410.html", b"it was here"),
        ("about.html", b"about us"),
        ("new.html", b"new"),
        ("app/index.html", b"the app"),
        ("app/real.js", b"let a"),
        ("shop/index.html", b"the shop"),
        ("shop.html", b"not the shop"),
        ("blog.html", b"the blog"),
        ("blog/first.html", b"first"),
    ]);
    site.book.point("rules", "", root);
    root
}

async fn get(site: &Site, host: &str, target: &str) -> Answer {
    site.ask("GET", host, target, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_do_not_exist() {
    let site = Site::new().await;
    let root = publish(&site).await;
    let by_cid = format!("{root}.ipfs.localhost:8080");
    for host in [
        &by_cid,
        "rules.ddn",
        "rules.ddn.localhost:8080",
        "rules-ddn.ipns.localhost",
    ] {
        for (target, status, location, body) in [
            ("/", 200, "", "start"),
            ("/old", 301, "/new.html", ""),
            ("/old/?x=1", 301, "/new.html?x=1", ""),
            ("/posts/2026/h%C3%A4", 302, "/articles/2026/h%C3%A4", ""),
            ("/away/a/b?c=d", 307, "https://example.net/a/b?c=d", ""),
            ("/app/deep/link", 200, "", "the app"),
            ("/app/real.js", 200, "", "let a"),
            ("/shop", 301, "/shop/", ""),
            ("/blog", 200, "", "the blog"),
            ("/blog/first", 200, "", "first"),
            ("/gone/page", 410, "", "it was here"),
            ("/about", 200, "", "about us"),
            ("/about/?q", 301, "/about?q", ""),
            ("/about.html", 200, "", "about us"),
            ("/nobody", 404, "", "nothing here"),
            ("/about.html/x", 404, "", "nothing here"),
            ("/ring/a", 404, "", "nothing here"),
            ("/circle/x", 301, "/circle/x", ""),
        ] {
            let answer = get(&site, host, target).await;
            let told = (answer.status, answer.header("location"), answer.text());
            assert_eq!(told, (status, location, body.to_owned()), "{host}{target}");
            let cache = if host == by_cid { IMMUTABLE } else { "no-cache" };
            assert_eq!(answer.header("cache-control"), cache, "{host}{target}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{host}{target}");
            assert_eq!(answer.header("set-cookie"), "", "{host}{target}");
        }
    }
    let banned = get(&site, "rules.ddn", "/banned").await;
    assert_eq!((banned.status, banned.header("cache-control")), (451, "no-store"));
    assert!(banned.text().contains("so say the rules of the site"));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_host_that_sites_share_they_are_files_like_others() {
    let site = Site::new().await;
    let root = publish(&site).await;
    for base in [format!("/ipfs/{root}"), "/ipns/rules.ddn".to_owned()] {
        for path in ["/old", "/app/x", "/about", "/nobody", "/gone/x"] {
            let answer = get(&site, "127.0.0.1:8080", &format!("{base}{path}")).await;
            assert_eq!(
                (answer.status, answer.header("location")),
                (404, ""),
                "{base}{path}"
            );
            assert!(!answer.text().contains("nothing here"));
        }
        let page = get(&site, "127.0.0.1:8080", &format!("{base}/about.html")).await;
        assert_eq!((page.status, page.header("x-frame-options")), (200, ""));
        let rules = get(&site, "127.0.0.1:8080", &format!("{base}/_redirects")).await;
        assert_eq!((rules.status, rules.body.as_slice()), (200, RULES));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_errors_are_whole() {
    let site = Site::new().await;
    let root = publish(&site).await;
    let host = format!("{root}.ipfs.localhost");
    let page = site.publish(&[("404.html", b"nothing here")]);
    let page = storage::resolve(&site.store, &page, &["404.html"])
        .expect("the page")
        .cid;
    let etag = format!("\"{page}\"");
    for (name, value) in [
        ("If-None-Match", etag.as_str()),
        ("Range", "bytes=0-3"),
        ("If-Match", "\"x\""),
    ] {
        let answer = site.ask("GET", &host, "/nobody", &[(name, value)]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (404, "nothing here"),
            "{name}"
        );
        assert_eq!(
            (answer.header("etag"), answer.header("content-length")),
            (etag.as_str(), "12")
        );
    }
    let head = site.ask("HEAD", &host, "/nobody", &[]).await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (404, "12", 0)
    );
    assert!(head.header("content-type").starts_with("text/html"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_instead_has_a_tag_of_its_own() {
    let site = Site::new().await;
    publish(&site).await;
    let first = get(&site, "rules.ddn", "/app/deep").await;
    let again = site
        .ask(
            "GET",
            "rules.ddn",
            "/app/deep",
            &[("If-None-Match", first.header("etag"))],
        )
        .await;
    assert_eq!((again.status, again.header("cache-control")), (304, "no-cache"));
    let part = site
        .ask("GET", "rules.ddn", "/app/deep", &[("Range", "bytes=4-")])
        .await;
    assert_eq!((part.status, part.text().as_str()), (206, "app"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_forms_of_the_content_have_no_rules() {
    let site = Site::new().await;
    let root = publish(&site).await;
    let host = format!("{root}.ipfs.localhost");
    for target in ["/nobody?format=raw", "/app/x?format=car", "/old?format=raw"] {
        let answer = get(&site, &host, target).await;
        assert_eq!((answer.status, answer.header("location")), (404, ""), "{target}");
        assert!(!answer.text().contains("nothing here"), "{target}");
    }
    let raw = get(&site, &host, "/about.html?format=raw").await;
    assert_eq!((raw.status, raw.header("x-frame-options")), (200, ""));
    let json = site
        .ask("GET", &host, "/app/x", &[("Accept", "application/json")])
        .await;
    assert_eq!(
        (json.status, json.text().as_str()),
        (200, "the app"),
        "scripts ask like this for pages too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_rules_is_seen_with_the_next_request() {
    let site = Site::new().await;
    publish(&site).await;
    assert_eq!(
        get(&site, "rules.ddn", "/old").await.header("location"),
        "/new.html"
    );
    let second = site.publish(&[("index.html", b"start"), ("_redirects", b"/old /newer.html 308")]);
    site.book.point("rules", "", second);
    let answer = get(&site, "rules.ddn", "/old").await;
    assert_eq!((answer.status, answer.header("location")), (308, "/newer.html"));
    assert_eq!(answer.header("x-frame-options"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_make_no_sense_are_said() {
    let site = Site::new().await;
    let long = "/from /to 301\n".repeat(6000);
    let long_headers = "/*\n X-A: b\n".repeat(7000);
    for (name, content, says) in [
        (
            "_redirects",
            "/a /b 301!",
            "could not parse _redirects: line 1: status `301!`: a rule cannot be forced",
        ),
        (
            "_redirects",
            &long,
            "could not parse _redirects: redirects file size cannot exceed 65536 bytes",
        ),
        (
            "_headers",
            &long_headers,
            "could not parse _headers: headers file size cannot exceed 65536 bytes",
        ),
    ] {
        let root = site.publish(&[("found.html", b"found"), (name, content.as_bytes())]);
        let host = format!("{root}.ipfs.localhost");
        // Redirects are read where the path does not exist, headers where there is something to be sent.
        let (bad, good) = match name {
            "_headers" => ("/found.html", ("/lost", 404)),
            _ => ("/lost", ("/found.html", 200)),
        };
        let answer = get(&site, &host, bad).await;
        assert_eq!(
            (answer.status, answer.header("cache-control")),
            (500, "no-store"),
            "{name}"
        );
        assert!(answer.text().contains(says), "{}", answer.text());
        assert_eq!(get(&site, &host, good.0).await.status, good.1, "{name}");
        let by_path = get(&site, "127.0.0.1", &format!("/ipfs/{root}/found.html")).await;
        assert_eq!(by_path.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_by_path() {
    let site = Site::new().await;
    publish(&site).await;
    let policy = |answer: &Answer| answer.header("content-security-policy").to_owned();
    assert_eq!(
        policy(&get(&site, "rules.ddn", "/app/real.js").await),
        "default-src 'self'"
    );
    assert_eq!(
        policy(&get(&site, "rules.ddn", "/app/deep").await),
        "default-src 'self'"
    );
    let page = get(&site, "rules.ddn", "/about").await;
    assert_eq!(policy(&page), "");
    assert_ne!(page.header("etag"), "\"x\"");
    let head = site.ask("HEAD", "rules.ddn", "/", &[]).await;
    assert_eq!((head.status, head.header("x-frame-options")), (200, "DENY"));
}
