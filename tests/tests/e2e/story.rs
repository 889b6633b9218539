//! The story of the product as its first user lives it: a folder goes out under a name and comes back, an edit shows at
//! once, everything is still there after a restart, and each command says what it did.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hickory_proto::rr::RecordType;
use serde_json::Value;
use testkit::{Node, Ran, Transport, tree, wait_until};

use crate::{docs, number, publish, publish_all, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// Entries of a folder whose block would be larger than 256 KiB under either profile.
const SHARDED_ENTRIES: usize = 4_000;

#[test]
fn a_folder_goes_out_and_comes_back() -> Result<()> {
    let mut node = Node::dev()?;
    let folder = tempfile::tempdir()?;
    tree::site(folder.path())?;
    let first = publish(&node, folder.path(), "alice.ddn")?;
    let old = text(&first, "/cid")?;
    ensure!(first["name"] == "alice.ddn", "{first}");
    ensure!(
        number(&first, "/height")? > 0 && number(&first, "/files")? >= 10,
        "{first}"
    );
    for tx in ["/asset_tx", "/name_tx"] {
        let shown = node.ddn().json(&["chain", "tx", &text(&first, tx)?])?;
        ensure!(shown["status"] == "included", "{tx}: {shown}");
    }
    comes_back(&node, "alice.ddn", folder.path())?;
    comes_back(&node, &old, folder.path())?;
    comes_back(&node, "alice.ddn/docs", &folder.path().join("docs"))?;

    // The edit shows under the name at once; the old CID is what it was.
    let before = fs::read(folder.path().join("index.html"))?;
    let after = b"<!doctype html><title>Alice</title><h1>Alice moved</h1>\n".to_vec();
    tree::write(folder.path(), "index.html", &after)?;
    let second = publish(&node, folder.path(), "alice.ddn")?;
    let new = text(&second, "/cid")?;
    ensure!(new != old, "an edit is another CID");
    shows(&node, "alice.ddn", "/", &after)?;
    shows(&node, "127.0.0.1", &format!("/ipfs/{old}/index.html"), &before)?;
    let link = node
        .dns()?
        .ask(Transport::Udp, "alice.ddn", RecordType::TXT)?
        .to_string();
    ensure!(link.contains(&new), "{link}");
    let resolved = node.ddn().json(&["resolve", "alice.ddn"])?;
    ensure!(
        text(&resolved, "/content")? == new && resolved["status"] == "found",
        "{resolved}"
    );

    // The same again is no failure and costs no transaction.
    let third = publish(&node, folder.path(), "alice.ddn")?;
    ensure!(
        third["cid"] == second["cid"] && third["asset_tx"].is_null() && third["name_tx"].is_null(),
        "{third}"
    );

    let height = number(&node.ddn().json(&["chain", "status"])?, "/height")?;
    node.restart()?;
    shows(&node, "alice.ddn", "/", &after)?;
    shows(&node, "127.0.0.1", &format!("/ipfs/{old}/index.html"), &before)?;
    comes_back(&node, "alice.ddn", folder.path())?;
    wait_until("the chain goes on after a restart", BLOCK_DEADLINE, || {
        Ok(number(&node.ddn().json(&["chain", "status"])?, "/height")? > height)
    })?;
    let history = node.ddn().json(&["name", "history", "alice.ddn"])?;
    let kinds: Vec<&Value> = history["changes"]
        .as_array()
        .context("changes")?
        .iter()
        .map(|c| &c["kind"])
        .collect();
    ensure!(kinds == ["name_register", "name_set"], "{history}");
    node.stop()?;
    ensure!(
        !node.data().join("node.json").exists(),
        "a node that stopped leaves no node.json"
    );
    Ok(())
}

#[test]
fn a_documentation_of_a_thousand_files_goes_out_and_comes_back() -> Result<()> {
    let node = Node::dev()?;
    let manual = docs::Documentation::find()?;
    let start = Instant::now();
    let published = publish_all(&node, manual.path(), "pydoc.ddn")?;
    let (took, files) = (start.elapsed(), number(&published, "/files")?);
    println!(
        "published {files} files, {} bytes, by name in {took:.1?}",
        number(&published, "/bytes")?
    );
    ensure!(files > 1_000, "{published}");
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("copy");
    node.ddn()
        .ok(&["get", "pydoc.ddn", "-o", &copy.to_string_lossy()])?;
    tree::identical(manual.path(), &copy)?;
    let page = node.gateway()?.get("pydoc.ddn", "/")?;
    ensure!(
        page.status == 200 && page.text().contains(manual.heading()),
        "{}",
        page.status
    );
    Ok(())
}

/// Roots of every kind: a file, an empty one, an empty folder, a folder of so many entries that it is sharded.
#[test]
fn whatever_goes_out_comes_back() -> Result<()> {
    let node = Node::dev()?;
    let home = tempfile::tempdir()?;
    let root = |name: &str| home.path().join(name);
    tree::write(home.path(), "photo.jpg", &tree::noise(2_500_000, 1))?;
    tree::write(home.path(), "nothing.txt", b"")?;
    fs::create_dir(root("void"))?;
    let name = |number| format!("{number:05}-{}.txt", "x".repeat(60));
    for number in 0..SHARDED_ENTRIES {
        tree::write(&root("many"), &name(number), number.to_string().as_bytes())?;
    }
    for name in ["photo.jpg", "nothing.txt", "void", "many"] {
        for profile in ["unixfs-v1-2025", "unixfs-v0-2015"] {
            let published =
                node.ddn()
                    .json(&["publish", &root(name).to_string_lossy(), "--profile", profile])?;
            comes_back(&node, &text(&published, "/cid")?, &root(name)).with_context(|| profile.to_owned())?;
        }
    }
    let many = text(&publish(&node, &root("many"), "many.ddn")?, "/cid")?;
    let entry = name(1_234);
    shows(&node, "many.ddn", &format!("/{entry}"), b"1234")?;
    shows(&node, "127.0.0.1", &format!("/ipfs/{many}/{entry}"), b"1234")?;
    let (mut page, mut listed) = ("/".to_owned(), HashSet::new());
    loop {
        let listing = node.gateway()?.get("many.ddn", &page)?;
        ensure!(listing.status == 200, "the listing at {page}: {}", listing.status);
        let text = listing.text();
        let names = text.split('>').filter_map(|part| part.strip_suffix("</a"));
        listed.extend(names.map(str::to_owned));
        let Some((_, next)) = text.split_once("<a rel=\"next\" href=\"") else {
            break;
        };
        next.split('"').next().unwrap_or_default().clone_into(&mut page);
    }
    let absent = (0..SHARDED_ENTRIES).find(|number| !listed.contains(&name(*number)));
    ensure!(absent.is_none(), "no page lists {absent:?}");
    Ok(())
}

/// Several at once, on one wallet: all arrive. Several at once for one name: one gets it, the others hear it.
#[test]
fn publishes_run_side_by_side() -> Result<()> {
    let node = Node::dev()?;
    let home = tempfile::tempdir()?;
    let wallets = ["ann", "ben", "eve"];
    for wallet in wallets {
        node.ddn().ok(&["wallet", "new", wallet])?;
        node.ddn().ok(&["wallet", "send", wallet, "50"])?;
    }
    let start = |number: usize, name: &str, wallet: &str| {
        let folder = format!("site{number}");
        tree::write(
            home.path(),
            &format!("{folder}/index.html"),
            format!("<p>{number}").as_bytes(),
        )?;
        let path = home.path().join(folder).to_string_lossy().into_owned();
        node.ddn()
            .start(&["publish", &path, "--name", name, "--wallet", wallet, "--json"])
    };
    let names: Vec<String> = (0..6).map(|number| format!("site{number}.ddn")).collect();
    let all: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| start(n, name, "default"))
        .collect::<Result<_>>()?;
    for (number, running) in all.into_iter().enumerate() {
        running.finish(BLOCK_DEADLINE)?.ok()?;
        shows(&node, &names[number], "/", format!("<p>{number}").as_bytes())?;
    }
    let rivals: Vec<_> = wallets
        .iter()
        .enumerate()
        .map(|(n, wallet)| start(10 + n, "wanted.ddn", wallet))
        .collect::<Result<_>>()?;
    let ends: Vec<Ran> = rivals
        .into_iter()
        .map(|rival| rival.finish(BLOCK_DEADLINE))
        .collect::<Result<_>>()?;
    let winners: Vec<usize> = (0..ends.len()).filter(|n| ends[*n].code == Some(0)).collect();
    let [winner] = winners[..] else {
        bail!("winners {winners:?} of one name: {ends:?}")
    };
    for loser in ends.iter().filter(|ran| ran.code != Some(0)) {
        loser.refused(1, &["wanted.ddn"])?;
    }
    shows(&node, "wanted.ddn", "/", format!("<p>{}", 10 + winner).as_bytes())?;
    node.ddn().ok(&["repo", "verify"])?;
    Ok(())
}

/// A damaged byte on the disk is found and said; it is never served, and what is damaged does not vanish without a word.
#[test]
fn rot_is_found_and_not_served() -> Result<()> {
    // Right after a publish the bytes are in the log of the database, after a restart in its files.
    for restarts in [0, 1] {
        let mut node = Node::dev()?;
        let home = tempfile::tempdir()?;
        let film = tree::noise(3 << 20, 21);
        tree::write(home.path(), "film.bin", &film)?;
        publish(&node, home.path(), "film.ddn")?;
        for _ in 0..restarts {
            node.restart()?;
        }
        node.stop()?;
        let place = rot(&node.data().join("blocks"), &film[1_500_000..1_500_064])?;
        rot_is_said(&mut node).with_context(|| format!("a byte is damaged in {}", place.display()))?;
    }
    Ok(())
}

/// Either the node refuses to start and says why, or it starts, does not serve the damage, and finds it when asked.
fn rot_is_said(node: &mut Node) -> Result<()> {
    if let Err(refusal) = node.start() {
        let said = refusal.to_string().to_lowercase();
        ensure!(
            ["damage", "corrupt"].iter().any(|word| said.contains(word)),
            "{refusal}"
        );
        return Ok(());
    }
    // The head may be out before the damaged block is read; then the body breaks off.
    if let Ok(reply) = node.gateway()?.get("film.ddn", "/film.bin") {
        ensure!(
            reply.status >= 500,
            "{} with {} bytes: {}",
            reply.status,
            reply.body.len(),
            node.log_tail()
        );
    }
    node.ddn().run(&["repo", "verify"])?.failed(1, &["damaged"])?;
    ensure!(node.alive()?, "the node ended on rot:\n{}", node.log_tail());
    Ok(())
}

/// Finds `needle` in a file below `dir` and changes its first byte.
fn rot(dir: &Path, needle: &[u8]) -> Result<PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let mut bytes = fs::read(&path)?;
        if let Some(place) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[place] ^= 1;
            fs::write(&path, bytes)?;
            return Ok(path);
        }
    }
    bail!("{} holds the bytes nowhere as they are", dir.display())
}

/// `ddn get` gives the folder back.
pub(crate) fn comes_back(node: &Node, target: &str, folder: &Path) -> Result<()> {
    let out = tempfile::tempdir()?;
    let copy = out.path().join("copy");
    node.ddn().ok(&["get", target, "-o", &copy.to_string_lossy()])?;
    tree::same(folder, &copy).with_context(|| target.to_owned())
}

/// The page is this one.
pub(crate) fn shows(node: &Node, host: &str, path: &str, page: &[u8]) -> Result<()> {
    let reply = node.gateway()?.get(host, path)?;
    ensure!(
        reply.status == 200 && reply.body == page,
        "{host}{path}: {} {}",
        reply.status,
        reply.text()
    );
    Ok(())
}
