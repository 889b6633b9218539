//! What a browser or an IPFS client gets from the gateway: host names, paths, listings, ranges, caching, and plain answers
//! to plain nonsense.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;
use testkit::{Http, Node, Reply, run_all, tree};

use crate::{publish, text};

/// Absence is known without asking anybody, so it is said at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A CID that nobody has: of the raw bytes "nobody has this".
const NOWHERE: &str = "bafkreiemqpndzewx4bioklzfvhtiegsfny5fxuc3nkjk2vmcpjxiammsti";

/// A node with the site of `tree::site` published as `alice.ddn`.
struct Stage {
    node: Node,
    http: Http,
    folder: TempDir,
    cid: String,
}

impl Stage {
    fn new() -> Result<Self> {
        let node = Node::dev()?;
        let folder = tempfile::tempdir()?;
        tree::site(folder.path())?;
        let published = publish(&node, folder.path(), "alice.ddn")?;
        let (http, cid) = (node.gateway()?, text(&published, "/cid")?);
        Ok(Self {
            node,
            http,
            folder,
            cid,
        })
    }

    /// GET by name.
    fn get(&self, path: &str) -> Result<Reply> {
        self.http.get("alice.ddn", path)
    }

    /// GET by path, under the gateway's own address.
    fn path(&self, path: &str) -> Result<Reply> {
        self.http.get(&self.http.server().to_string(), path)
    }

    /// A file of the published folder.
    fn file(&self, path: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.folder.path().join(path))?)
    }
}

#[test]
fn the_gateway_serves_a_site() -> Result<()> {
    let stage = Stage::new()?;
    run_all(
        &stage,
        &[
            ("every door leads to the same page", every_door),
            ("content types", content_types),
            ("folders get their slash", slash),
            ("a listing", listing),
            ("names with escapes", escapes),
            ("symlinks and empty things", odd_entries),
            ("HEAD", head),
            ("ranges", ranges),
            ("cache headers and ETags", caching),
            ("absence, at once", absence),
            ("nonsense", nonsense),
            ("methods", methods),
            ("large files come whole", whole_film),
        ],
    )?;
    // Whatever was asked, the node still serves.
    ensure!(stage.get("/")?.status == 200 && stage.node.pid().is_some());
    Ok(())
}

fn every_door(stage: &Stage) -> Result<()> {
    let page = stage.file("index.html")?;
    let port = stage.http.server().port();
    let localhost = format!("alice.ddn.localhost:{port}");
    for host in [
        "alice.ddn",
        &format!("alice.ddn:{port}"),
        "alice.ddn.localhost",
        &localhost,
        "ALICE.ddn",
        "alice.ddn.",
    ] {
        let reply = stage.http.get(host, "/")?;
        ensure!(
            reply.status == 200 && reply.body == page,
            "{host}: {} {}",
            reply.status,
            reply.text()
        );
    }
    for path in [
        format!("/ipfs/{}/", stage.cid),
        "/ipns/alice.ddn/".to_owned(),
        format!("/ipfs/{}/index.html", stage.cid),
    ] {
        let reply = stage.path(&path)?;
        ensure!(
            reply.status == 200 && reply.body == page,
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
    }
    Ok(())
}

fn content_types(stage: &Stage) -> Result<()> {
    for (path, expected) in [
        ("/", "text/html"),
        ("/style.css", "text/css"),
        ("/app.js", "text/javascript"),
        ("/pixel.png", "image/png"),
        ("/files/one.txt", "text/plain"),
        ("/files/data.json", "application/json"),
        ("/files/film.mp4", "video/mp4"),
    ] {
        let reply = stage.get(path)?;
        let found = reply.header("content-type");
        ensure!(
            reply.status == 200 && found.starts_with(expected),
            "{path}: {} {found}",
            reply.status
        );
    }
    Ok(())
}

fn slash(stage: &Stage) -> Result<()> {
    let cid = &stage.cid;
    for (reply, expected) in [
        (stage.get("/docs")?, "/docs/".to_owned()),
        (
            stage.path(&format!("/ipfs/{cid}/docs"))?,
            format!("/ipfs/{cid}/docs/"),
        ),
        (
            stage.path("/ipns/alice.ddn/docs")?,
            "/ipns/alice.ddn/docs/".to_owned(),
        ),
    ] {
        let to = reply.header("location");
        ensure!(
            reply.status == 301 && to.ends_with(&expected),
            "{} to {to:?}, not {expected}",
            reply.status
        );
    }
    let docs = stage.get("/docs/")?;
    ensure!(
        docs.status == 200 && docs.text().contains("docs of alice"),
        "{}: {}",
        docs.status,
        docs.text()
    );
    Ok(())
}

fn listing(stage: &Stage) -> Result<()> {
    let reply = stage.get("/files/")?;
    ensure!(
        reply.status == 200 && reply.header("content-type").starts_with("text/html"),
        "{reply:?}"
    );
    let page = reply.text();
    for part in [
        "Index of",
        "one.txt",
        "film.mp4",
        "a%20b%252C%C4%85.txt",
        "a b%2C\u{105}.txt",
    ] {
        ensure!(page.contains(part), "the listing has no {part}: {page}");
    }
    let void = stage.get("/void/")?;
    ensure!(void.status == 200, "an empty folder: {}", void.status);
    Ok(())
}

fn escapes(stage: &Stage) -> Result<()> {
    let reply = stage.get("/files/a%20b%252C%C4%85.txt")?;
    ensure!(
        reply.status == 200 && reply.body == b"escaped\n",
        "{}: {}",
        reply.status,
        reply.text()
    );
    Ok(())
}

fn odd_entries(stage: &Stage) -> Result<()> {
    let empty = stage.get("/files/empty.txt")?;
    ensure!(
        empty.status == 200 && empty.body.is_empty(),
        "an empty file: {empty:?}"
    );
    let link = stage.get("/files/link.txt")?;
    ensure!(
        link.status == 200 && ["one.txt", "one\n"].contains(&link.text().as_str()),
        "a symlink: {link:?}"
    );
    Ok(())
}

fn head(stage: &Stage) -> Result<()> {
    for path in ["/", "/files/film.mp4", "/files/"] {
        let (get, head) = (
            stage.get(path)?,
            stage.http.send("HEAD", "alice.ddn", path, &[], Vec::new())?,
        );
        ensure!(head.status == 200 && head.body.is_empty(), "{path}: {head:?}");
        for field in [
            "content-type",
            "etag",
            "cache-control",
            "content-length",
            "accept-ranges",
        ] {
            let (left, right) = (get.header(field), head.header(field));
            if field == "content-length" && path == "/files/" {
                // RFC 9110, 9.3.2: a length that is known only by making the page may be left out.
                ensure!(
                    right.is_empty() || left == right,
                    "{path}: {field} is {left:?} by GET and {right:?} by HEAD"
                );
                continue;
            }
            ensure!(
                left == right,
                "{path}: {field} is {left:?} by GET and {right:?} by HEAD"
            );
        }
    }
    Ok(())
}

fn ranges(stage: &Stage) -> Result<()> {
    let film = stage.file("files/film.mp4")?;
    let size = film.len();
    let get = |range: &str| {
        stage.http.send(
            "GET",
            "alice.ddn",
            "/files/film.mp4",
            &[("range", range)],
            Vec::new(),
        )
    };
    // The blocks are 1 MiB: within one, over a border, the rest, the tail, past the end.
    for (range, from, to) in [
        ("bytes=0-9", 0, 9),
        ("bytes=1048570-1048580", 1_048_570, 1_048_580),
        ("bytes=3400000-", 3_400_000, size - 1),
        ("bytes=-7", size - 7, size - 1),
        ("bytes=3499999-9999999", 3_499_999, size - 1),
    ] {
        let reply = get(range)?;
        let (found, expected) = (reply.header("content-range"), format!("bytes {from}-{to}/{size}"));
        ensure!(
            reply.status == 206 && found == expected,
            "{range}: {} {found:?}, not {expected}",
            reply.status
        );
        ensure!(reply.body == film[from..=to], "{range}: other bytes");
    }
    let reply = get("bytes=3500000-")?;
    let found = reply.header("content-range");
    ensure!(
        reply.status == 416 && found == format!("bytes */{size}"),
        "past the end: {} {found:?}",
        reply.status
    );
    // RFC 9110, 14.2: what is no range may be ignored or rejected; it is neither an error of ours nor half an answer.
    for range in [
        "bytes=abc",
        "bytes=9-1",
        "bytes=-",
        "lines=1-2",
        "bytes=99999999999999999999-",
        "bytes=0-1,x",
        ",",
    ] {
        let reply = get(range)?;
        let whole = reply.status == 200 && reply.body == film;
        ensure!(
            whole || [400, 416].contains(&reply.status),
            "{range}: {}, {} bytes",
            reply.status,
            reply.body.len()
        );
    }
    let fields = [("range", "bytes=0-9"), ("if-range", "\"another\"")];
    let reply = stage
        .http
        .send("GET", "alice.ddn", "/files/film.mp4", &fields, Vec::new())?;
    ensure!(
        reply.status == 200 && reply.body.len() == size,
        "If-Range with another ETag: {}",
        reply.status
    );
    Ok(())
}

fn caching(stage: &Stage) -> Result<()> {
    let by_cid = stage.path(&format!("/ipfs/{}/style.css", stage.cid))?;
    let found = by_cid.header("cache-control");
    ensure!(
        found == "public, max-age=29030400, immutable",
        "by CID: {found:?}"
    );
    let roots = by_cid.header("x-ipfs-roots");
    ensure!(
        roots.starts_with(&stage.cid) && roots.split(',').count() == 2,
        "X-Ipfs-Roots: {roots:?}"
    );
    ensure!(
        by_cid.header("x-ipfs-path") == format!("/ipfs/{}/style.css", stage.cid),
        "X-Ipfs-Path"
    );
    for reply in [stage.get("/style.css")?, stage.path("/ipns/alice.ddn/style.css")?] {
        let found = reply.header("cache-control");
        ensure!(
            found.contains("no-cache") && !found.contains("immutable"),
            "by name: {found:?}"
        );
        ensure!(
            reply.header("etag") == by_cid.header("etag"),
            "one file, two ETags: {:?}",
            reply.header("etag")
        );
    }
    for path in ["/", "/style.css", "/files/"] {
        let etag = stage.get(path)?.header("etag").to_owned();
        ensure!(etag.contains('"'), "{path} has no ETag: {etag:?}");
        let weak = etag.trim_start_matches("W/").to_owned();
        for asked in [
            etag.clone(),
            format!("W/{weak}"),
            format!("\"x\", {etag}"),
            "*".to_owned(),
        ] {
            let fields = [("if-none-match", asked.as_str())];
            let reply = stage.http.send("GET", "alice.ddn", path, &fields, Vec::new())?;
            ensure!(
                reply.status == 304 && reply.body.is_empty(),
                "{path} if not {asked}: {}",
                reply.status
            );
            ensure!(reply.header("etag") == etag, "{path}: a 304 repeats the ETag");
            ensure!(
                reply.header("cache-control").contains("no-cache"),
                "{path}: a 304 repeats Cache-Control"
            );
        }
        let other = stage.http.send(
            "GET",
            "alice.ddn",
            path,
            &[("if-none-match", "\"x\"")],
            Vec::new(),
        )?;
        ensure!(other.status == 200, "{path} if not another: {}", other.status);
    }
    Ok(())
}

fn absence(stage: &Stage) -> Result<()> {
    let cid = &stage.cid;
    for (host, path) in [
        ("alice.ddn", "/nothing.html".to_owned()),
        ("alice.ddn", "/index.html/below".to_owned()),
        ("nobody.ddn", "/".to_owned()),
        ("nobody.ddn.localhost", "/".to_owned()),
        ("www.alice.ddn", "/".to_owned()),
        ("127.0.0.1", "/ipns/nobody.ddn/".to_owned()),
        ("127.0.0.1", format!("/ipfs/{cid}/nothing")),
        ("127.0.0.1", format!("/ipfs/{NOWHERE}/")),
        ("127.0.0.1", format!("/ipfs/{NOWHERE}")),
    ] {
        let start = Instant::now();
        let reply = stage.http.get(host, &path)?;
        ensure!(
            reply.status == 404,
            "{host}{path}: {} {}",
            reply.status,
            reply.text()
        );
        ensure!(
            start.elapsed() < AT_ONCE,
            "{host}{path}: 404 after {:?}",
            start.elapsed()
        );
        ensure!(
            !reply.text().trim().is_empty(),
            "{host}{path}: a 404 without a word"
        );
    }
    Ok(())
}

fn nonsense(stage: &Stage) -> Result<()> {
    for path in [
        "/ipfs/nonsense/",
        "/ipfs/QmInvalidCID",
        "/ipfs/",
        "/ipfs/bafy",
        "/ipns/-bad-.ddn/",
        "/ipns/a..ddn/",
    ] {
        let reply = stage.http.get("127.0.0.1", path)?;
        ensure!(
            [400, 404].contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
    }
    let long = "a".repeat(100_000);
    for (what, request) in [
        ("no HTTP", "\x16\x03\x01\x02\x00\x01".to_owned()),
        (
            "no host",
            "GET / HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (
            "a bad escape",
            "GET /files/%zz HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (
            "no UTF-8",
            "GET /files/%ff%fe HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (
            "a way out",
            "GET /../../etc/passwd HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n".to_owned(),
        ),
        (
            "a long path",
            format!("GET /{long} HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n"),
        ),
        (
            "a long host",
            format!("GET / HTTP/1.1\r\nHost: {long}\r\nConnection: close\r\n\r\n"),
        ),
    ] {
        let reply = stage.http.raw(request.as_bytes())?;
        let status = reply.split(' ').nth(1).unwrap_or_default();
        let refused = reply.is_empty() || status.starts_with('4') || (status == "200" && what == "no host");
        ensure!(refused, "{what}: {}", reply.lines().next().unwrap_or_default());
        ensure!(!reply.contains("root:x"), "{what}: a file of the machine");
    }
    Ok(())
}

fn methods(stage: &Stage) -> Result<()> {
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let reply = stage.http.send(method, "alice.ddn", "/", &[], b"x".to_vec())?;
        ensure!(reply.status == 405, "{method}: {}", reply.status);
    }
    Ok(())
}

fn whole_film(stage: &Stage) -> Result<()> {
    let reply = stage.get("/files/film.mp4")?;
    ensure!(
        reply.status == 200 && reply.body == stage.file("files/film.mp4")?,
        "{}",
        reply.status
    );
    ensure!(
        reply.header("accept-ranges") == "bytes",
        "Accept-Ranges: {:?}",
        reply.header("accept-ranges")
    );
    Ok(())
}
