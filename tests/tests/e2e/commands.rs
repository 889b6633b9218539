//! Each command says what it did, in words and as JSON, and the admin API behind them keeps its doors.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cid::Cid;
use hickory_proto::rr::RecordType;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Node, Reply, Transport, run_all, tree, wait_until};

use crate::story::{comes_back, shows};
use crate::{number, publish, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// A node with a site published as `alice.ddn`, for the commands.
struct Stage {
    node: Node,
    folder: TempDir,
    published: Value,
}

impl Stage {
    fn json(&self, args: &[&str]) -> Result<Value> {
        self.node.ddn().json(args)
    }

    /// The command succeeds without `--json` too, and prints each of `words`.
    fn plain(&self, args: &[&str], words: &[&str]) -> Result<()> {
        let ran = self.node.ddn().ok(args)?;
        for word in words {
            ensure!(ran.stdout.contains(word), "no {word:?}: {}", ran.story());
        }
        Ok(())
    }

    fn cid(&self) -> Result<String> {
        text(&self.published, "/cid")
    }

    fn address(&self, wallet: &str) -> Result<String> {
        text(&self.json(&["wallet", "balance", wallet])?, "/address")
    }

    fn balance(&self, wallet: &str) -> Result<u64> {
        Ok(text(&self.json(&["wallet", "balance", wallet])?, "/balance")?.parse()?)
    }

    /// A request to the admin API, with or without its token.
    fn admin(&self, method: &str, path: &str, token: bool) -> Result<Reply> {
        let bearer = self.node.bearer()?;
        let fields = [("authorization", bearer.as_str())];
        self.node.admin()?.send(
            method,
            "localhost",
            path,
            &fields[..usize::from(token)],
            Vec::new(),
        )
    }
}

#[test]
fn every_command_says_what_it_did() -> Result<()> {
    let node = Node::dev()?;
    let folder = tempfile::tempdir()?;
    tree::site(folder.path())?;
    let published = publish(&node, folder.path(), "alice.ddn")?;
    run_all(
        &Stage {
            node,
            folder,
            published,
        },
        &[
            ("node.json", node_card),
            ("ddn wallet", wallet),
            ("ddn asset show and list", asset),
            ("ddn asset verify under both profiles", asset_verify),
            ("ddn asset transfer and tombstone", asset_hands),
            ("ddn name register, set, show, list", name),
            ("ddn name transfer, renew, release", name_hands),
            ("ddn chain status, block, tx", chain),
            ("ledger objects by CID", ledger_objects),
            ("ddn node", node_status),
            ("ddn repo", repo),
            ("CAR out and in", car),
            ("ddn config", config),
            ("ddn publish --only-hash and --dry-run", no_publish),
            ("ddn publish --no-wait", no_wait),
            ("the URLs that ddn publish prints", printed_urls),
            ("a path that is a link", linked_path),
            ("closed pipes", closed_pipe),
            ("the OpenAPI document", openapi),
            ("the admin API's door", unauthorised),
            ("metrics, healthz, readyz", health),
            ("no coin was lost", supply),
        ],
    )
}

fn node_card(stage: &Stage) -> Result<()> {
    let card = stage.node.card();
    for key in ["node_id", "chain_id", "gateway", "dns", "admin"] {
        text(card, &format!("/{key}"))?;
    }
    ensure!(
        card["pid"].as_u64() == stage.node.pid().map(u64::from) && card["mesh"].is_array(),
        "{card}"
    );
    let genesis = fs::read(stage.node.data().join("genesis.json"))?;
    let genesis: Value = serde_json::from_slice(&genesis)?;
    ensure!(genesis["chain_id"] == card["chain_id"], "{genesis}");
    mode_is_private(&stage.node.data().join("admin.token"))
}

fn mode_is_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{} has mode {mode:o}", file.display());
    Ok(())
}

fn wallet(stage: &Stage) -> Result<()> {
    stage.plain(&["wallet", "list"], &["default"])?;
    stage.plain(&["wallet", "new", "bob"], &["bob"])?;
    ensure!(stage.balance("bob")? == 0);
    stage.json(&["wallet", "send", "bob", "1.5"])?;
    ensure!(stage.balance("bob")? == 150_000_000, "{}", stage.balance("bob")?);
    let list = stage.json(&["wallet", "list"])?;
    ensure!(
        list["wallets"]
            .as_array()
            .is_some_and(|wallets| wallets.len() == 2),
        "{list}"
    );
    // A seed goes out and comes in as the same account, on another node too.
    let home = tempfile::tempdir()?;
    let seed = home.path().join("bob.seed");
    stage
        .node
        .ddn()
        .ok(&["wallet", "export", "bob", "-o", &seed.to_string_lossy()])?;
    mode_is_private(&seed)?;
    let copy = stage.json(&["wallet", "import", "bob2", &seed.to_string_lossy()])?;
    ensure!(text(&copy, "/address")? == stage.address("bob")?, "{copy}");
    Ok(())
}

fn asset(stage: &Stage) -> Result<()> {
    let cid = stage.cid()?;
    let shown = stage.json(&["asset", "show", &cid])?;
    ensure!(text(&shown, "/owner")? == stage.address("default")?, "{shown}");
    let anchored = number(&shown, "/anchored")?;
    ensure!(
        anchored > 0 && anchored <= number(&stage.published, "/height")?,
        "{shown}"
    );
    stage.plain(
        &["asset", "show", &cid],
        &[&stage.address("default")?, &anchored.to_string()],
    )?;
    stage.plain(&["asset", "list"], &[&cid])
}

fn asset_verify(stage: &Stage) -> Result<()> {
    let cid = stage.cid()?;
    // The film has several blocks, so that the two profiles give it different trees.
    for (file, path) in [
        ("files/film.mp4", "files/film.mp4"),
        ("files/one.txt", "files/one.txt"),
        ("docs", "docs"),
        ("", ""),
    ] {
        let local = stage.folder.path().join(file);
        let found = stage.json(&["asset", "verify", &local.to_string_lossy()])?;
        let hits = found["found"].as_array().context("found")?;
        let hit = hits
            .iter()
            .any(|hit| hit["path"] == path && hit["asset"]["cid"] == cid.as_str());
        ensure!(hit, "{file}: {found}");
    }
    // The other profile: another folder, published with it.
    let other = tempfile::tempdir()?;
    tree::write(other.path(), "deep/song.bin", &tree::noise(700_000, 11))?;
    let path = other.path().to_string_lossy().into_owned();
    let published = stage.json(&["publish", &path, "--profile", "unixfs-v0-2015"])?;
    ensure!(text(&published, "/cid")?.starts_with("Qm"), "{published}");
    let song = other.path().join("deep/song.bin");
    let found = stage.json(&["asset", "verify", &song.to_string_lossy()])?;
    ensure!(found["found"][0]["path"] == "deep/song.bin", "{found}");
    // Version 0 and version 1 of a CID name the same content.
    let asset = Cid::try_from(text(&found, "/found/0/asset/cid")?)?;
    ensure!(
        asset.hash() == Cid::try_from(text(&published, "/cid")?)?.hash(),
        "{published}: {found}"
    );
    let stranger = tempfile::tempdir()?;
    tree::write(stranger.path(), "x", b"nobody anchored this")?;
    let ran = stage
        .node
        .ddn()
        .run(&["asset", "verify", &stranger.path().join("x").to_string_lossy()])?;
    ran.refused(1, &["x"])?;
    Ok(())
}

fn asset_hands(stage: &Stage) -> Result<()> {
    let folder = tempfile::tempdir()?;
    tree::write(folder.path(), "page.html", b"<p>sold")?;
    let cid = text(
        &stage.json(&["publish", &folder.path().to_string_lossy()])?,
        "/cid",
    )?;
    stage.json(&["asset", "transfer", &cid, "bob"])?;
    let shown = stage.json(&["asset", "show", &cid])?;
    ensure!(text(&shown, "/owner")? == stage.address("bob")?, "{shown}");
    ensure!(
        shown["history"]
            .as_array()
            .is_some_and(|history| history.len() == 2),
        "{shown}"
    );
    let ran = stage.node.ddn().run(&["asset", "transfer", &cid, "default"])?;
    ran.refused(1, &["owner"])
        .or_else(|_| ran.refused(1, &["belongs"]))?;
    stage.json(&["asset", "tombstone", &cid, "--yes", "--wallet", "bob"])?;
    let shown = stage.json(&["asset", "show", &cid])?;
    ensure!(number(&shown, "/tombstone")? > 0, "{shown}");
    Ok(())
}

fn name(stage: &Stage) -> Result<()> {
    stage.json(&[
        "name",
        "register",
        "carol.ddn",
        "--txt",
        "hello",
        "--a",
        "192.0.2.7",
    ])?;
    stage.json(&["name", "set", "docs.carol.ddn", "--content", &stage.cid()?])?;
    let shown = stage.json(&["name", "show", "carol.ddn"])?;
    ensure!(shown["records"][""]["txt"][0] == "hello", "{shown}");
    ensure!(
        shown["records"]["docs"]["content"] == stage.cid()?.as_str(),
        "{shown}"
    );
    ensure!(text(&shown, "/owner")? == stage.address("default")?, "{shown}");
    stage.plain(&["name", "show", "carol.ddn"], &["carol.ddn", "hello"])?;
    stage.plain(&["name", "list"], &["alice.ddn", "carol.ddn"])?;
    stage.plain(&["name", "history", "carol.ddn"], &["register"])?;
    stage.plain(&["resolve", "docs.carol.ddn"], &[&stage.cid()?])?;
    let answer = stage
        .node
        .dns()?
        .ask(Transport::Udp, "carol.ddn", RecordType::A)?;
    ensure!(answer.to_string().contains("192.0.2.7"), "{answer}");
    let page = stage.node.gateway()?.get("docs.carol.ddn", "/")?;
    ensure!(
        page.status == 200 && page.text().contains(tree::HEADING),
        "{}",
        page.status
    );
    stage.json(&["name", "set", "docs.carol.ddn", "--clear"])?;
    ensure!(
        stage.node.gateway()?.get("docs.carol.ddn", "/")?.status == 404,
        "a removed undername is gone at once"
    );
    Ok(())
}

fn name_hands(stage: &Stage) -> Result<()> {
    let expires = || number(&stage.json(&["name", "show", "carol.ddn"])?, "/expires");
    let before = expires()?;
    stage.json(&["name", "renew", "carol.ddn", "--periods", "2"])?;
    ensure!(expires()? > before, "a renewed name expires later");
    stage.json(&["name", "transfer", "carol.ddn", "bob"])?;
    let shown = stage.json(&["name", "show", "carol.ddn"])?;
    ensure!(text(&shown, "/owner")? == stage.address("bob")?, "{shown}");
    stage.json(&["name", "release", "carol.ddn", "--yes", "--wallet", "bob"])?;
    let ran = stage.node.ddn().run(&["name", "show", "carol.ddn"])?;
    ran.refused(1, &["carol.ddn"])?;
    Ok(())
}

fn chain(stage: &Stage) -> Result<()> {
    let status = stage.json(&["chain", "status"])?;
    ensure!(status["healthy"] == true && status["seats"] == 1, "{status}");
    stage.plain(&["chain", "status"], &[&text(&status, "/chain_id")?])?;
    let height = number(&stage.published, "/height")?.to_string();
    let block = stage.json(&["chain", "block", &height])?;
    ensure!(
        block["txs"].as_array().is_some_and(|txs| !txs.is_empty()),
        "{block}"
    );
    stage.plain(&["chain", "block", &height], &[&height])?;
    stage.plain(&["chain", "block"], &["height"])?;
    let tx = text(&stage.published, "/name_tx")?;
    let shown = stage.json(&["chain", "tx", &tx])?;
    ensure!(
        shown["kind"] == "name_register" && text(&shown, "/sender")? == stage.address("default")?,
        "{shown}"
    );
    stage.plain(&["chain", "tx", &tx], &["name_register"])
}

/// Each of them is answered at once, to programs that follow no redirect too.
fn printed_urls(stage: &Stage) -> Result<()> {
    let folder = stage.folder.path().to_string_lossy();
    for (args, count) in [
        (&["publish", &folder, "--name", "alice.ddn"][..], 2),
        (&["publish", &folder, "--profile", "unixfs-v0-2015"], 1),
    ] {
        let ran = stage.node.ddn().ok(args)?;
        let lines = ran.stdout.lines().filter_map(|line| line.strip_prefix("URL"));
        let urls: Vec<&str> = lines.map(str::trim).collect();
        ensure!(urls.len() == count, "{urls:?}: {}", ran.story());
        for url in urls {
            let rest = url.strip_prefix("http://").context("a URL")?;
            let (host, path) = rest.split_once('/').context("a path")?;
            let reply = stage.node.gateway()?.get(host, &format!("/{path}"))?;
            ensure!(reply.status == 200, "{url}: {} {}", reply.status, reply.text());
        }
    }
    Ok(())
}

/// Transactions, headers, bodies and the genesis are strict DAG-CBOR with a CID, so any of them is content.
fn ledger_objects(stage: &Stage) -> Result<()> {
    let block = stage.json(&[
        "chain",
        "block",
        &number(&stage.published, "/height")?.to_string(),
    ])?;
    let objects = [
        text(&stage.published, "/name_tx")?,
        text(&block, "/cid")?,
        text(&block, "/body")?,
    ];
    for cid in objects {
        let reply = stage.node.gateway()?.get("127.0.0.1", &format!("/ipfs/{cid}"))?;
        ensure!(reply.status == 200, "{cid}: {} {}", reply.status, reply.text());
        ensure!(
            reply
                .header("content-type")
                .starts_with("application/vnd.ipld.dag-cbor"),
            "{cid}: {:?}",
            reply.headers
        );
        ensure!(
            ledger::cid_of(&reply.body) == Cid::try_from(cid.as_str())?,
            "{cid}: other bytes"
        );
    }
    let tx = stage.node.gateway()?.get(
        "127.0.0.1",
        &format!("/ipfs/{}", text(&stage.published, "/name_tx")?),
    )?;
    let tx = ledger::Tx::decode(&tx.body).context("a transaction from the gateway")?;
    ensure!(
        tx.verify_signature(),
        "the signature of a transaction from the gateway"
    );
    Ok(())
}

fn node_status(stage: &Stage) -> Result<()> {
    let status = stage.json(&["node", "status"])?;
    ensure!(
        status["ready"] == true && number(&status, "/height")? > 0 && status["tld"] == "ddn",
        "{status}"
    );
    stage.plain(
        &["node", "status"],
        &[&format!(":{}/", stage.node.listener("gateway")?.port())],
    )?;
    stage.plain(&["node", "dns-setup"], &["ddn"])
}

fn repo(stage: &Stage) -> Result<()> {
    let stat = stage.json(&["repo", "stat"])?;
    ensure!(
        number(&stat, "/blocks")? > 10 && number(&stat, "/pins")? > 0,
        "{stat}"
    );
    stage.plain(&["repo", "stat"], &["block"])?;
    stage.plain(&["repo", "pins"], &[&stage.cid()?])?;
    let report = stage.json(&["repo", "verify"])?;
    ensure!(
        report["bad"] == Value::Array(vec![]) && number(&report, "/blocks")? > 10,
        "{report}"
    );
    let freed = stage.json(&["repo", "gc"])?;
    ensure!(
        number(&freed, "/blocks")? == 0,
        "nothing published is garbage: {freed}"
    );
    let page = stage.node.gateway()?.get("alice.ddn", "/")?;
    ensure!(page.status == 200, "after gc: {}", page.status);
    Ok(())
}

fn car(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let (file, cid) = (home.path().join("site.car"), stage.cid()?);
    stage
        .node
        .ddn()
        .ok(&["repo", "export", &cid, "-o", &file.to_string_lossy()])?;
    let other = Node::dev()?;
    other.ddn().ok(&["repo", "import", &file.to_string_lossy()])?;
    comes_back(&other, &cid, stage.folder.path())?;
    let pins = other.ddn().json(&["repo", "pins"])?;
    ensure!(pins.to_string().contains(&cid), "{pins}");
    other.ddn().ok(&["repo", "unpin", &cid])?;
    let freed = other.ddn().json(&["repo", "gc"])?;
    ensure!(number(&freed, "/blocks")? > 10, "{freed}");
    let gone = other.gateway()?.get("127.0.0.1", &format!("/ipfs/{cid}/"))?;
    ensure!(gone.status == 404, "after gc: {}", gone.status);
    Ok(())
}

fn config(stage: &Stage) -> Result<()> {
    let shown = stage.json(&["config", "show"])?;
    let settings = shown["settings"].as_array().context("settings")?;
    let gateway = settings
        .iter()
        .find(|setting| setting["key"] == "gateway.listen")
        .context("gateway.listen")?;
    ensure!(
        gateway["value"]
            .as_str()
            .is_some_and(|value| value.contains("127.0.0.1:0")),
        "{gateway}"
    );
    ensure!(
        settings
            .iter()
            .all(|setting| setting["help"].as_str().is_some_and(|help| !help.is_empty())),
        "{shown}"
    );
    stage.plain(&["config", "show"], &["[gateway]"])
}

fn no_publish(stage: &Stage) -> Result<()> {
    let path = stage.folder.path().to_string_lossy().into_owned();
    let before = stage.json(&["repo", "stat"])?;
    let hashed = stage.json(&["publish", &path, "--only-hash"])?;
    ensure!(hashed["cid"] == stage.published["cid"], "{hashed}");
    ensure!(
        hashed["bytes"] == stage.published["bytes"] && hashed["files"] == stage.published["files"],
        "{hashed}"
    );
    let fresh = tempfile::tempdir()?;
    tree::write(fresh.path(), "a", b"fresh")?;
    let plan = stage.json(&[
        "publish",
        &fresh.path().to_string_lossy(),
        "--name",
        "fresh.ddn",
        "--dry-run",
    ])?;
    text(&plan, "/cid")?;
    ensure!(
        stage.json(&["repo", "stat"])?["pins"] == before["pins"],
        "a dry run pinned something"
    );
    ensure!(
        stage.json(&["resolve", "fresh.ddn"])?["status"] == "absent",
        "a dry run took the name"
    );
    Ok(())
}

fn no_wait(stage: &Stage) -> Result<()> {
    let folder = tempfile::tempdir()?;
    tree::write(folder.path(), "index.html", b"<p>soon")?;
    let path = folder.path().to_string_lossy().into_owned();
    let published = stage.json(&["publish", &path, "--name", "soon.ddn", "--no-wait"])?;
    // Served at once by CID; by name when the ledger has it.
    shows(
        &stage.node,
        "127.0.0.1",
        &format!("/ipfs/{}/", text(&published, "/cid")?),
        b"<p>soon",
    )?;
    wait_until("the name follows", BLOCK_DEADLINE, || {
        Ok(stage.node.gateway()?.get("soon.ddn", "/")?.status == 200)
    })
}

/// Who types the name of a link means what it points to (`/usr/share/doc/python3-doc/html` is one); links below a folder
/// are published as links.
fn linked_path(stage: &Stage) -> Result<()> {
    let home = tempfile::tempdir()?;
    let link = home.path().join("site");
    std::os::unix::fs::symlink(stage.folder.path(), &link)?;
    for path in [
        link.to_string_lossy().into_owned(),
        format!("{}/", link.display()),
    ] {
        let hashed = stage.json(&["publish", &path, "--only-hash"])?;
        ensure!(hashed["cid"] == stage.published["cid"], "{path}: {hashed}");
    }
    Ok(())
}

fn closed_pipe(stage: &Stage) -> Result<()> {
    let data = stage.node.data();
    for command in [
        "config show",
        "name list --owner *",
        "publish --help",
        "completions bash",
    ] {
        let shell =
            format!("set -o pipefail; \"$0\" {command} --data \"$1\" 2>&1 >/dev/full | head -c 2000; exit 0");
        let mut bash = std::process::Command::new("bash");
        bash.args(["-fc", &shell]).arg(testkit::ddn_binary()?).arg(&data);
        let ran = testkit::Running::start(bash)?.finish(BLOCK_DEADLINE)?;
        ensure!(
            !ran.stdout.contains("panicked"),
            "{command} into a full device: {}",
            ran.story()
        );
        let shell = format!("\"$0\" {command} --data \"$1\" | true; exit ${{PIPESTATUS[0]}}");
        let mut bash = std::process::Command::new("bash");
        bash.args(["-fc", &shell]).arg(testkit::ddn_binary()?).arg(&data);
        let ran = testkit::Running::start(bash)?.finish(BLOCK_DEADLINE)?;
        ensure!(
            ran.code == Some(0) && ran.stderr.is_empty(),
            "{command} into a closed pipe: {}",
            ran.story()
        );
    }
    Ok(())
}

/// Every route of the admin API that users of design 11 know.
const ROUTES: [(&str, &str); 35] = [
    ("get", "/v1/status"),
    ("get", "/v1/config"),
    ("post", "/v1/publish"),
    ("get", "/v1/publish"),
    ("get", "/v1/resolve/{name}"),
    ("get", "/v1/names"),
    ("get", "/v1/names/{name}"),
    ("get", "/v1/names/{name}/history"),
    ("post", "/v1/names/{name}/register"),
    ("post", "/v1/names/{name}/set"),
    ("post", "/v1/names/{name}/renew"),
    ("post", "/v1/names/{name}/transfer"),
    ("post", "/v1/names/{name}/release"),
    ("get", "/v1/assets"),
    ("get", "/v1/assets/{cid}"),
    ("post", "/v1/assets/verify"),
    ("post", "/v1/assets/{cid}/transfer"),
    ("post", "/v1/assets/{cid}/tombstone"),
    ("get", "/v1/wallet"),
    ("post", "/v1/wallet/new"),
    ("post", "/v1/wallet/import"),
    ("get", "/v1/wallet/{name}/export"),
    ("post", "/v1/wallet/send"),
    ("get", "/v1/chain/status"),
    ("get", "/v1/chain/blocks/{height}"),
    ("get", "/v1/chain/txs/{cid}"),
    ("post", "/v1/chain/txs"),
    ("get", "/v1/chain/proof"),
    ("get", "/v1/repo/stat"),
    ("post", "/v1/repo/verify"),
    ("post", "/v1/repo/gc"),
    ("get", "/v1/repo/pins"),
    ("post", "/v1/repo/pins/{cid}"),
    ("delete", "/v1/repo/pins/{cid}"),
    ("post", "/v1/repo/import"),
];

fn openapi(stage: &Stage) -> Result<()> {
    let document = stage.admin("GET", "/v1/openapi.json", false)?;
    ensure!(document.status == 200, "without a token: {}", document.status);
    let document = document.json()?;
    ensure!(text(&document, "/openapi")?.starts_with("3."), "{document}");
    for (method, path) in ROUTES {
        ensure!(
            document["paths"][path][method].is_object(),
            "{method} {path} is not described"
        );
    }
    Ok(())
}

fn unauthorised(stage: &Stage) -> Result<()> {
    let open = ["/v1/openapi.json", "/metrics", "/healthz", "/readyz"];
    let document = stage.admin("GET", "/v1/openapi.json", false)?.json()?;
    let paths = document["paths"].as_object().context("paths")?;
    for (path, methods) in paths.iter().filter(|(path, _)| !open.contains(&path.as_str())) {
        for method in methods.as_object().context("methods")?.keys() {
            let there = path.replace(['{', '}', '*'], "");
            let reply = stage.admin(&method.to_uppercase(), &there, false)?;
            ensure!(
                reply.status == 401,
                "{method} {path} without a token: {}",
                reply.status
            );
            text(&reply.json()?, "/error/message").with_context(|| format!("{method} {path}"))?;
        }
    }
    let fields = [(
        "authorization",
        "Bearer 0000000000000000000000000000000000000000000000000000000000000000",
    )];
    let reply = stage
        .node
        .admin()?
        .send("GET", "localhost", "/v1/status", &fields, Vec::new())?;
    ensure!(reply.status == 401, "with another token: {}", reply.status);
    // A page of some site in the user's browser must not reach the API under a name of its own (DNS rebinding).
    let bearer = stage.node.bearer()?;
    let fields = [("authorization", bearer.as_str())];
    let reply = stage
        .node
        .admin()?
        .send("GET", "evil.example", "/v1/status", &fields, Vec::new())?;
    ensure!(
        [401, 403, 421].contains(&reply.status),
        "under a foreign host name: {}",
        reply.status
    );
    let unknown = stage.admin("GET", "/v1/nothing", true)?;
    ensure!(unknown.status == 404, "{}", unknown.status);
    text(&unknown.json()?, "/error/message")?;
    Ok(())
}

fn health(stage: &Stage) -> Result<()> {
    for path in ["/healthz", "/readyz"] {
        let reply = stage.admin("GET", path, false)?;
        ensure!(reply.status == 200, "{path}: {}", reply.status);
    }
    let metrics = stage.admin("GET", "/metrics", false)?;
    ensure!(metrics.status == 200, "{}", metrics.status);
    let page = metrics.text();
    ensure!(
        page.trim_end().ends_with("# EOF"),
        "OpenMetrics ends with its end mark: {page}"
    );
    for part in ["height", "gateway", "dns"] {
        ensure!(page.contains(part), "no {part} among the metrics: {page}");
    }
    Ok(())
}

fn supply(stage: &Stage) -> Result<()> {
    let status = stage.json(&["chain", "status"])?;
    ensure!(
        status["supply"] == status["accounted"] && status["supply"].is_string(),
        "{status}"
    );
    Ok(())
}
