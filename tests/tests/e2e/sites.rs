//! What a publisher says about its own site, from the folder to the reader: `_redirects`, `_headers`, `404.html`, pages
//! without their ending; the same site on a domain of the public DNS; and a browser's proxy.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use testkit::{Http, Launch, Node, Reply, run_all, tree, wait_until};

use crate::{number, publish, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// A site that uses everything.
fn write_site(folder: &Path) -> Result<()> {
    tree::write(folder, "index.html", b"<h1>start</h1>")?;
    tree::write(folder, "about.html", b"<h1>about</h1>")?;
    tree::write(folder, "404.html", b"<h1>lost</h1>")?;
    tree::write(folder, "app/index.html", b"<h1>app</h1>")?;
    tree::write(
        folder,
        "_redirects",
        b"/blog/:year/* /archive/:year/:splat 302\n/app/* /app/index.html 200\n/secret/* /404.html 451\n",
    )?;
    tree::write(
        folder,
        "_headers",
        b"/*\n  Content-Security-Policy: default-src 'self'\n  Set-Cookie: tracked=1\n  Cache-Control: max-age=99\n",
    )
}

/// A node with the site as `alice.ddn`, which knows `ddn.example` as its alias zone and asks a second node of the same
/// chain as if that were the public DNS, with everything below `example.net`.
struct Stage {
    node: Node,
    public: Node,
    http: Http,
    folder: TempDir,
    cid: String,
}

impl Stage {
    fn new() -> Result<Self> {
        let words = ["--dev", "--set", "dns.alias_zones=[\"example.net\"]"];
        let public = Node::launch(Launch {
            args: words.map(str::to_owned).to_vec(),
            ..Launch::default()
        })?;
        let folder = tempfile::tempdir()?;
        write_site(folder.path())?;
        let cid = text(&publish(&public, folder.path(), "alice.ddn")?, "/cid")?;
        for (name, record) in [
            ("own.ddn", ["--txt", "dnslink=/ipns/alice.ddn/app"]),
            ("www.own.ddn", ["--cname", "alice.ddn.example"]),
        ] {
            let verb = if name == "own.ddn" { "register" } else { "set" };
            public.ddn().ok(&["name", verb, name, record[0], record[1]])?;
        }
        let dns = public.listener("dns")?;
        let mut args = public.invitation()?;
        for setting in [
            "dns.alias_zones=[\"ddn.example\"]".to_owned(),
            format!("gateway.dnslink_servers=[\"{dns}\"]"),
        ] {
            args.extend(["--set".to_owned(), setting]);
        }
        let node = Node::launch(Launch {
            args,
            ..Launch::default()
        })?;
        Ok(Self {
            http: node.gateway()?,
            node,
            public,
            folder,
            cid,
        })
    }

    fn get(&self, host: &str, path: &str) -> Result<Reply> {
        self.http.get(host, path)
    }
}

#[test]
fn a_publisher_shapes_its_site() -> Result<()> {
    let stage = Stage::new()?;
    run_all(
        &stage,
        &[
            ("rules for what does not exist", rules),
            ("headers beside the content", headers),
            ("nothing of it where sites share a host", shared),
            ("a domain of its own", domains),
            ("the browser's proxy", proxy),
            ("a change is seen with its block", change),
        ],
    )
}

fn check(reply: &Reply, status: u16, body: &str) -> Result<()> {
    let found = (reply.status, reply.text());
    ensure!(
        found.0 == status && found.1.contains(body),
        "{found:?} is not {status} {body:?}"
    );
    Ok(())
}

fn rules(stage: &Stage) -> Result<()> {
    let by_cid = format!("{}.ipfs.localhost", stage.cid);
    for host in ["alice.ddn", "alice.ddn.localhost", "alice.ddn.example", &by_cid] {
        check(&stage.get(host, "/")?, 200, "start")?;
        check(&stage.get(host, "/about")?, 200, "about")?;
        check(&stage.get(host, "/app/some/view")?, 200, "app")?;
        check(&stage.get(host, "/secret/plan")?, 451, "lost")?;
        check(&stage.get(host, "/nowhere")?, 404, "lost")?;
        let moved = stage.get(host, "/blog/2026/first?from=feed")?;
        ensure!(moved.status == 302, "{host}: {}", moved.status);
        ensure!(
            moved.header("location") == "/archive/2026/first?from=feed",
            "{:?}",
            moved.headers
        );
    }
    let first = stage.get("alice.ddn", "/app/some/view")?;
    ensure!(first.header("cache-control") == "no-cache", "{:?}", first.headers);
    let tag = [("if-none-match", first.header("etag"))];
    let again = stage
        .http
        .send("GET", "alice.ddn", "/app/other/view", &tag, Vec::new())?;
    ensure!(again.status == 304, "{}", again.status);
    Ok(())
}

fn headers(stage: &Stage) -> Result<()> {
    for path in ["/", "/about", "/nowhere", "/blog/2026/x"] {
        let reply = stage.get("alice.ddn", path)?;
        ensure!(
            reply.header("content-security-policy") == "default-src 'self'",
            "{path}: {:?}",
            reply.headers
        );
        ensure!(
            reply.header("set-cookie").is_empty(),
            "{path}: {:?}",
            reply.headers
        );
        ensure!(
            reply.header("cache-control") == "no-cache",
            "{path}: {:?}",
            reply.headers
        );
    }
    Ok(())
}

fn shared(stage: &Stage) -> Result<()> {
    let own = stage.http.server().to_string();
    for base in [format!("/ipfs/{}", stage.cid), "/ipns/alice.ddn".to_owned()] {
        for path in ["/about", "/app/some/view", "/nowhere"] {
            let reply = stage.get(&own, &format!("{base}{path}"))?;
            ensure!(
                reply.status == 404 && !reply.text().contains("lost"),
                "{base}{path}: {}",
                reply.status
            );
        }
        let page = stage.get(&own, &format!("{base}/about.html"))?;
        check(&page, 200, "about")?;
        ensure!(
            page.header("content-security-policy").is_empty(),
            "{:?}",
            page.headers
        );
    }
    Ok(())
}

fn domains(stage: &Stage) -> Result<()> {
    // By DNSLink to a folder of the site, whose rules are not those of the whole site; and by CNAME to the name.
    let own = stage.get("own.example.net", "/")?;
    check(&own, 200, "app")?;
    ensure!(stage.get("own.example.net", "/about")?.status == 404);
    check(&stage.get("www.own.example.net", "/about")?, 200, "about")?;
    check(
        &stage.get(
            &stage.http.server().to_string(),
            "/ipns/www.own.example.net/about.html",
        )?,
        200,
        "about",
    )?;
    // What no site is has no content on its host, whatever its path says.
    let nobody = stage.get("nobody.example.net", "/")?;
    ensure!(!nobody.text().contains("start"), "{}", nobody.text());
    Ok(())
}

fn proxy(stage: &Stage) -> Result<()> {
    let server = stage.http.server();
    let pac = stage.get(&server.to_string(), "/.well-known/ddn/proxy.pac")?;
    ensure!(
        pac.header("content-type") == "application/x-ns-proxy-autoconfig",
        "{:?}",
        pac.headers
    );
    ensure!(pac.text().contains(&format!("PROXY {server}")), "{}", pac.text());
    let ask = |text: &str| stage.http.raw(text.as_bytes());
    let absolute =
        ask("GET http://alice.ddn/about HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n")?;
    ensure!(
        absolute.starts_with("HTTP/1.1 200 ") && absolute.contains("about"),
        "{absolute}"
    );
    let tunnel = ask("CONNECT alice.ddn:80 HTTP/1.1\r\nHost: alice.ddn:80\r\n\r\n\
         GET /about HTTP/1.1\r\nHost: alice.ddn\r\nConnection: close\r\n\r\n")?;
    ensure!(
        tunnel.matches("HTTP/1.1 200 ").count() == 2 && tunnel.contains("about"),
        "{tunnel}"
    );
    let foreign =
        ask("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nConnection: close\r\n\r\n")?;
    ensure!(foreign.starts_with("HTTP/1.1 403 "), "{foreign}");
    Ok(())
}

fn change(stage: &Stage) -> Result<()> {
    tree::write(stage.folder.path(), "_redirects", b"/* /about.html 200\n")?;
    let edit = publish(&stage.public, stage.folder.path(), "alice.ddn")?;
    let height = number(&edit, "/height")?;
    wait_until("the gateway has the block of the edit", BLOCK_DEADLINE, || {
        Ok(number(&stage.node.ddn().json(&["chain", "status"])?, "/height")? >= height)
    })?;
    for host in ["alice.ddn", "alice.ddn.example", "www.own.example.net"] {
        check(&stage.get(host, "/nowhere")?, 200, "about")?;
    }
    Ok(())
}
