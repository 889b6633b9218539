//! Content by CID: files, folders, ranges, conditions, forms.

use storage::codec;

use crate::client::raw;
use crate::site::{BIG, Site, big};

const IMMUTABLE: &str = "public, max-age=29030400, immutable";
const MISSING: &str = "QmYzfKSE55XCjD1MW128RfciAf2DViABhEiXfgVFMabSjN";

#[tokio::test(flavor = "multi_thread")]
async fn a_file() {
    let site = Site::new().await;
    let answer = site.get("/ascii.txt", &[]).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "hello application/vnd.ipld.raw\n")
    );
    for (name, value) in [
        ("content-type", "text/plain; charset=utf-8".to_owned()),
        ("content-length", "31".into()),
        ("accept-ranges", "bytes".into()),
        ("cache-control", IMMUTABLE.into()),
        ("etag", format!("\"{}\"", site.cid(&["ascii.txt"]))),
        ("x-ipfs-path", format!("/ipfs/{}/ascii.txt", site.root)),
        (
            "x-ipfs-roots",
            format!("{},{}", site.root, site.cid(&["ascii.txt"])),
        ),
        ("x-content-type-options", "nosniff".into()),
        ("access-control-allow-origin", "*".into()),
        ("access-control-allow-methods", "GET, HEAD, OPTIONS".into()),
        ("content-disposition", String::new()),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    let head = site
        .ask(
            "HEAD",
            "127.0.0.1",
            &format!("/ipfs/{}/ascii.txt", site.root),
            &[],
        )
        .await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "31", 0)
    );
    assert_eq!(head.header("etag"), answer.header("etag"));
}

#[tokio::test(flavor = "multi_thread")]
async fn media_types() {
    let site = Site::new().await;
    for (path, media) in [
        ("/index.html", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/LICENSE", "text/plain; charset=utf-8"),
        ("/empty.txt", "text/plain; charset=utf-8"),
        ("/picture", "image/png"),
        ("/latin.html", "text/html"),
        ("/big.bin", "application/octet-stream"),
        ("/LICENSE?filename=x.json", "application/json"),
        ("/link", "inode/symlink"),
    ] {
        let answer = site.get(path, &[]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, media),
            "{path}"
        );
    }
    assert_eq!(site.get("/link", &[]).await.text(), "ascii.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_many_blocks() {
    let site = Site::new().await;
    let answer = site.get("/big.bin", &[]).await;
    assert!(answer.complete && answer.body == big());
    let (from, to) = (BIG / 3, BIG - 7);
    let part = site
        .get("/big.bin", &[("Range", &format!("bytes={from}-{}", to - 1))])
        .await;
    assert_eq!(
        (part.status, part.header("content-length")),
        (206, (to - from).to_string().as_str())
    );
    assert!(part.complete && part.body == big()[from..to]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges() {
    let site = Site::new().await;
    let text = "hello application/vnd.ipld.raw\n";
    let etag = format!("\"{}\"", site.cid(&["ascii.txt"]));
    for (range, status, content_range, body) in [
        ("bytes=6-16", 206, "bytes 6-16/31", &text[6..17]),
        ("bytes=-3", 206, "bytes 28-30/31", &text[28..]),
        ("bytes=30-", 206, "bytes 30-30/31", &text[30..]),
        ("bytes=6-16,0-4", 206, "bytes 6-16/31", &text[6..17]),
        ("bytes=16-6", 200, "", text),
        ("nonsense", 200, "", text),
    ] {
        let answer = site.get("/ascii.txt", &[("Range", range)]).await;
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (status, content_range),
            "{range}"
        );
        assert_eq!(answer.text(), body, "{range}");
    }
    let beyond = site.get("/ascii.txt", &[("Range", "bytes=31-")]).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */31")
    );
    for (if_range, status) in [
        (etag.as_str(), 206),
        ("\"other\"", 200),
        ("Sat, 21 Nov 2026 03:00:00 GMT", 200),
    ] {
        let answer = site
            .get("/ascii.txt", &[("Range", "bytes=0-1"), ("If-Range", if_range)])
            .await;
        assert_eq!(answer.status, status, "{if_range}");
    }
    let path = format!("/ipfs/{}/ascii.txt", site.root);
    let head = site
        .ask("HEAD", "127.0.0.1", &path, &[("Range", "bytes=0-1")])
        .await;
    assert_eq!((head.status, head.header("content-length")), (200, "31"));
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions() {
    let site = Site::new().await;
    for path in [
        "/ascii.txt",
        "/",
        "/docs/",
        "/files/",
        "/link",
        "/ascii.txt?format=raw",
        "?format=car",
    ] {
        let first = site.get(path, &[]).await;
        let etag = first.header("etag");
        let weak = format!("W/{}", etag.trim_start_matches("W/"));
        for value in [etag, &weak, &format!("\"x\", {etag}"), "*"] {
            let again = site.get(path, &[("If-None-Match", value)]).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{path} {value}");
            for name in ["etag", "cache-control"] {
                assert_eq!(again.header(name), first.header(name), "{path} {name}");
            }
        }
        assert_eq!(
            site.get(path, &[("If-None-Match", "\"x\"")]).await.status,
            200,
            "{path}"
        );
        assert_eq!(
            site.get(path, &[("If-Match", "\"x\"")]).await.status,
            412,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders() {
    let site = Site::new().await;
    let index = site.get("/", &[]).await;
    assert!(index.text().contains("<h1>Alice</h1>"));
    assert_eq!(index.header("etag"), format!("\"{}\"", site.root));
    assert_eq!(index.header("x-ipfs-roots"), site.root.to_string());
    assert_eq!(index.header("cache-control"), IMMUTABLE);

    let moved = site.get("/files/%c4%85/%C4%99?x=y&z", &[]).await;
    let to = format!("/ipfs/{}/files/%C4%85/%C4%99/?x=y&z", site.root);
    assert_eq!((moved.status, moved.header("location")), (301, to.as_str()));
    assert_eq!(
        site.get("", &[]).await.header("location"),
        format!("/ipfs/{}/", site.root)
    );

    let listing = site.get("/files/%C4%85/%C4%99/", &[]).await;
    let cid = site.cid(&["files", "ą", "ę"]);
    assert_eq!(listing.header("etag"), format!("\"DirIndex-ddn2_CID-{cid}\""));
    assert_eq!(
        listing.header("cache-control"),
        "public, max-age=604800, stale-while-revalidate=2678400"
    );
    let name = format!(
        "<a href=\"/ipfs/{}/files/%C4%85/%C4%99/file-%C5%BA%C5%82.txt\">file-źł.txt</a>",
        site.root
    );
    assert!(listing.text().contains("Index of") && listing.text().contains(&name));
    let head = site
        .ask("HEAD", "127.0.0.1", &format!("/ipfs/{}/files/", site.root), &[])
        .await;
    assert_eq!(
        (head.status, head.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
}

/// The rows of a listing.
fn shown(listing: &str) -> usize {
    listing.matches("<div class=\"name\">").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sharded_folder() {
    let site = Site::with(|config| config.limits.listing_entries_max = 1000).await;
    let names: Vec<String> = (0..1200).map(|n| format!("{n:0200}.txt")).collect();
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    let root = site.publish(&files);
    let file = site
        .ask("GET", "127.0.0.1", &format!("/ipfs/{root}/{}", names[700]), &[])
        .await;
    assert_eq!(file.text(), names[700]);
    let listing = site
        .ask("GET", "127.0.0.1", &format!("/ipfs/{root}/"), &[])
        .await
        .text();
    assert_eq!(shown(&listing), 1000);
    let next = listing.split_once("rel=\"next\" href=\"").expect("a next page").1;
    let next = next.split('"').next().expect("an address");
    let rest = site.ask("GET", "127.0.0.1", next, &[]).await.text();
    assert_eq!(shown(&rest), 200);
    assert!(rest.contains("First page") && !rest.contains("Next page"));
    assert!(
        names
            .iter()
            .all(|name| listing.contains(name) || rest.contains(name))
    );
    let entry = site
        .ask(
            "GET",
            "127.0.0.1",
            &format!("/ipfs/{root}/?entry={}", names[7]),
            &[],
        )
        .await;
    let to = format!("/ipfs/{root}/{}", names[7]);
    assert_eq!((entry.status, entry.header("location")), (302, to.as_str()));
    let absent = site
        .ask("GET", "127.0.0.1", &format!("/ipfs/{root}/x"), &[])
        .await;
    assert_eq!(absent.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn escapes_are_decoded_once() {
    let site = Site::new().await;
    assert_eq!(site.get("/a%252C%20b+c=d.txt", &[]).await.text(), "percent");
    assert_eq!(site.get("/a%2C%20b+c=d.txt", &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_to_save_under() {
    let site = Site::new().await;
    for (path, disposition) in [
        (
            "/ascii.txt?filename=a%20%22b.txt",
            "inline; filename=\"a _b.txt\"; filename*=UTF-8''a%20%22b.txt",
        ),
        (
            "/ascii.txt?download=true",
            "attachment; filename=\"ascii.txt\"; filename*=UTF-8''ascii.txt",
        ),
        (
            "/ascii.txt?filename=x&download=true",
            "attachment; filename=\"x\"; filename*=UTF-8''x",
        ),
        (
            "/ascii.txt?format=raw&filename=foobar.bin",
            "attachment; filename=\"foobar.bin\"; filename*=UTF-8''foobar.bin",
        ),
    ] {
        assert_eq!(
            site.get(path, &[]).await.header("content-disposition"),
            disposition,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_blocks() {
    let site = Site::new().await;
    for (path, headers) in [
        ("?format=raw", &[][..]),
        ("", &[("Accept", "application/vnd.ipld.raw")]),
    ] {
        let answer = site.get(path, headers).await;
        assert_eq!(answer.status, 200);
        storage::verify(&site.root, &answer.body).expect("the block of the root");
        assert_eq!(answer.header("content-type"), "application/vnd.ipld.raw");
        assert_eq!(answer.header("etag"), format!("\"{}.raw\"", site.root));
        assert_eq!(answer.header("cache-control"), IMMUTABLE);
        assert!(answer.header("content-disposition").starts_with("attachment;"));
    }
    let part = site.get("/ascii.txt?format=raw", &[("Range", "bytes=0-4")]).await;
    assert_eq!((part.status, part.text().as_str()), (206, "hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects() {
    let site = Site::new().await;
    let bytes = b"\xa1\x61x\x01";
    let cid = ledger::cid_of(bytes);
    assert_eq!(cid.codec(), codec::DAG_CBOR);
    site.store.put(&cid, bytes).expect("a block");
    let path = format!("/ipfs/{cid}");
    let answer = site.ask("GET", "127.0.0.1", &path, &[]).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &bytes[..]));
    assert_eq!(answer.header("content-type"), "application/vnd.ipld.dag-cbor");
    assert_eq!(answer.header("etag"), format!("\"{cid}.dag-cbor\""));
    assert_eq!(answer.header("content-length"), "4");
    let cbor = site
        .ask("GET", "127.0.0.1", &path, &[("Accept", "application/cbor")])
        .await;
    assert_eq!(
        (cbor.status, cbor.header("content-type")),
        (200, "application/cbor")
    );
    for (target, status) in [
        (format!("{path}?format=dag-json"), 406),
        (format!("{path}/x"), 501),
        (format!("{path}/y"), 404),
        (format!("/ipfs/{}/ascii.txt?format=dag-cbor", site.root), 406),
    ] {
        assert_eq!(
            site.ask("GET", "127.0.0.1", &target, &[]).await.status,
            status,
            "{target}"
        );
    }
    let json = site
        .get("/ascii.txt", &[("Accept", "application/json, */*")])
        .await;
    assert_eq!(json.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inline_block() {
    let site = Site::new().await;
    for target in ["/ipfs/bafkqabtimvwgy3yk/", "/ipfs/bafkqabtimvwgy3yk?format=raw"] {
        let answer = site.ask("GET", "127.0.0.1", target, &[]).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "hello\n"),
            "{target}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here() {
    let site = Site::new().await;
    for (target, headers, status, text) in [
        (
            format!("/ipfs/{}/nothing", site.root),
            &[][..],
            404,
            "nothing named \"nothing\"",
        ),
        (format!("/ipfs/{MISSING}"), &[], 404, "is not on this node"),
        (
            format!("/ipfs/{MISSING}"),
            &[("Cache-Control", "only-if-cached")],
            412,
            "is not on this node",
        ),
        (
            format!("/ipfs/{}/ascii.txt/x", site.root),
            &[],
            404,
            "nothing named \"x\"",
        ),
        (
            "/ipfs/nonsense".into(),
            &[],
            400,
            "invalid path \"/ipfs/nonsense\"",
        ),
        ("/elsewhere".into(), &[], 404, "/ipfs/CID"),
    ] {
        let answer = site.ask("GET", "127.0.0.1", &target, headers).await;
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(text), "{target}: {}", answer.text());
        assert_eq!(answer.text().lines().count(), 1);
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(
        site.get("/ascii.txt", &[("Cache-Control", "only-if-cached")])
            .await
            .status,
        200
    );
    let page = site.get("/%3Cb%3E", &[("Accept", "text/html,*/*")]).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (404, "text/html; charset=utf-8")
    );
    assert!(page.text().contains("&lt;b&gt;") && !page.text().contains("<b>"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_missing_in_the_middle_cuts_the_answer() {
    let site = Site::new().await;
    // The big file in a store of its own, with its root, its first and its last block.
    let whole = site.cid(&["big.bin"]);
    let blocks: Vec<_> = storage::Walk::new(&site.store, &[whole])
        .map(|block| block.expect("a block"))
        .collect();
    assert!(blocks.len() > 4);
    let lone = crate::site::Lone::new(&[&blocks[0], &blocks[1], &blocks[blocks.len() - 1]]).await;
    let cut = lone.get(&format!("/ipfs/{whole}")).await;
    assert_eq!((cut.status, cut.complete), (200, false));
    let end = lone.range(&format!("/ipfs/{whole}"), "bytes=-7").await;
    assert_eq!((end.status, end.body.as_slice()), (206, &big()[BIG - 7..]));
    let missing = lone
        .range(
            &format!("/ipfs/{whole}"),
            &format!("bytes={}-{}", 2 << 20, 3 << 20),
        )
        .await;
    assert_eq!(missing.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods() {
    let site = Site::new().await;
    for method in ["POST", "PUT", "DELETE", "TRACE"] {
        let answer = site.ask(method, "127.0.0.1", "/", &[]).await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, "GET, HEAD, OPTIONS"),
            "{method}"
        );
    }
    let options = site
        .ask("OPTIONS", "127.0.0.1", &format!("/ipfs/{}", site.root), &[])
        .await;
    assert_eq!(options.status, 204);
    for (name, parts) in [
        ("access-control-allow-methods", &["GET", "HEAD", "OPTIONS"][..]),
        (
            "access-control-allow-headers",
            &["Content-Type", "Range", "User-Agent", "X-Requested-With"],
        ),
        (
            "access-control-expose-headers",
            &["Content-Range", "Content-Length", "X-Ipfs-Path", "X-Ipfs-Roots"],
        ),
    ] {
        assert!(
            parts.iter().all(|part| options.header(name).contains(part)),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests() {
    let site = Site::new().await;
    for (text, status) in [
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ] {
        assert_eq!(raw(site.address(), text).await.status, status, "{text:?}");
    }
}

/// CIDs that carry their content within themselves.
#[tokio::test]
async fn inline_content() {
    let site = Site::with(|config| config.provider.hosts = vec!["blocks.example".into()]).await;
    let text = |length: u8| {
        let bytes: Vec<u8> = (0..length).map(|at| b'a' + at % 26).collect();
        // CIDv1, raw, identity, the length as a varint of at most two bytes.
        let length = match length {
            0..128 => vec![length],
            _ => vec![length | 0x80, 1],
        };
        let cid = [&[1, 0x55, 0][..], &length, &bytes].concat();
        let cid = cid::multibase::encode(cid::multibase::Base::Base32Lower, cid);
        (cid, String::from_utf8(bytes).expect("text"))
    };
    for length in [0, 1, 63, 64] {
        let (cid, content) = text(length);
        for target in [format!("/ipfs/{cid}"), format!("/ipfs/{cid}?format=raw")] {
            let answer = site.ask("GET", "127.0.0.1", &target, &[]).await;
            assert_eq!((answer.status, answer.text()), (200, content.clone()), "{target}");
        }
        let face = site
            .ask("GET", "blocks.example", &format!("/ipfs/{cid}?format=raw"), &[])
            .await;
        assert_eq!((face.status, face.text()), (200, content));
    }
    for length in [65, 128, 129, 255] {
        let (cid, _) = text(length);
        let target = format!("/ipfs/{cid}?format=raw");
        let answer = site.ask("GET", "127.0.0.1", &target, &[]).await;
        let reason = format!("carries {length} bytes within itself, and at most 64 are read");
        assert!(
            answer.status == 400 && answer.text().contains(&reason),
            "{answer:?} {}",
            answer.text()
        );
        // To other nodes it is what is not here.
        let face = site.ask("GET", "blocks.example", &target, &[]).await;
        assert_eq!(face.status, 404);
    }
}
