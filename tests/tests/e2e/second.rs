//! A second node that knows the genesis and one address: it follows the chain, finds the content, keeps it, and goes on
//! alone.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_proto::rr::RecordType;
use testkit::{Ddn, Launch, Node, Transport, run_all, tree, wait_until};

use crate::story::{comes_back, shows};
use crate::{docs, number, publish, publish_all, text};

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// What a node may take to say that it cannot join.
const REFUSAL_DEADLINE: Duration = Duration::from_secs(60);

/// Nodes of the row that join one after the other.
const NODES: usize = 10;

#[test]
fn a_second_node_shows_what_the_first_published() -> Result<()> {
    let mut first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let old = text(&publish(&first, site.path(), "alice.ddn")?, "/cid")?;
    let second = Node::joining(&first)?;
    let page = fs::read(site.path().join("index.html"))?;

    comes_back(&second, "alice.ddn", site.path())?;
    comes_back(&second, &old, site.path())?;
    shows(&second, "alice.ddn", "/", &page)?;
    shows(&second, "127.0.0.1", &format!("/ipfs/{old}/index.html"), &page)?;
    let link = second
        .dns()?
        .ask(Transport::Udp, "alice.ddn", RecordType::TXT)?
        .to_string();
    ensure!(link.contains(&old), "{link}");

    // An edit at the first is seen at the second with the block that has it.
    let moved = b"<!doctype html><title>Alice</title><h1>Alice moved</h1>\n";
    tree::write(site.path(), "index.html", moved)?;
    let edit = publish(&first, site.path(), "alice.ddn")?;
    let (new, height) = (text(&edit, "/cid")?, number(&edit, "/height")?);
    wait_until("the second has the block of the edit", BLOCK_DEADLINE, || {
        Ok(number(&second.ddn().json(&["chain", "status"])?, "/height")? >= height)
    })?;
    shows(&second, "alice.ddn", "/", moved)?;
    comes_back(&second, "alice.ddn", site.path())?;

    // The first goes; the second has all that it has shown, by name too, also after a restart of its own.
    first.stop()?;
    let mut second = second;
    for restarts in 0..2 {
        if restarts > 0 {
            second.restart().context("a restart without any peer")?;
        }
        comes_back(&second, "alice.ddn", site.path())?;
        comes_back(&second, &new, site.path())?;
        shows(&second, "alice.ddn", "/", moved)?;
        shows(&second, "127.0.0.1", &format!("/ipfs/{old}/index.html"), &page)?;
        let answer = second.dns()?.ask(Transport::Udp, "alice.ddn", RecordType::TXT)?;
        ensure!(answer.to_string().contains(&new), "{answer}");
    }
    second.ddn().ok(&["repo", "verify"])?;
    second.stop()
}

#[test]
fn a_documentation_reaches_the_second_node() -> Result<()> {
    let first = Node::dev()?;
    let manual = docs::Documentation::find()?;
    let published = publish_all(&first, manual.path(), "pydoc.ddn")?;
    let second = Node::joining(&first)?;
    let copies = tempfile::tempdir()?;
    let copy = copies.path().join("copy");
    let start = Instant::now();
    second
        .ddn()
        .ok(&["get", "pydoc.ddn", "-o", &copy.to_string_lossy()])?;
    println!(
        "{} bytes in {:.1?}",
        number(&published, "/bytes")?,
        start.elapsed()
    );
    tree::identical(manual.path(), &copy)?;
    let page = second.gateway()?.get("pydoc.ddn", "/")?;
    ensure!(
        page.status == 200 && page.text().contains(manual.heading()),
        "{}",
        page.status
    );
    Ok(())
}

/// What is asked at a follower happens on the chain, and what became of it is told there.
#[test]
fn a_follower_publishes_and_pays_as_any_other() -> Result<()> {
    let first = Node::dev()?;
    let second = Node::joining(&first)?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let stage = (first, second, site);
    run_all(
        &stage,
        &[
            (
                "the faucet gave coins by a visible transaction",
                |(_, second, _)| {
                    wait_until("coins from the faucet", BLOCK_DEADLINE, || {
                        let balance = second.ddn().json(&["wallet", "balance"])?;
                        Ok(text(&balance, "/balance")? != "0")
                    })
                },
            ),
            (
                "a site published at the follower is served by the delegate",
                |(first, second, site)| {
                    let cid = text(&publish(second, site.path(), "bob.ddn")?, "/cid")?;
                    let page = fs::read(site.path().join("index.html"))?;
                    shows(first, "bob.ddn", "/", &page)?;
                    comes_back(first, &cid, site.path())
                },
            ),
            (
                "a transaction that the ledger refuses is refused with its reason",
                |(_, second, _)| {
                    let ran = second.ddn().run(&["wallet", "send", "default", "999999999"])?;
                    ran.refused(1, &["999999999"]).map(drop)
                },
            ),
            ("a name that is taken is refused", |(first, second, site)| {
                publish(first, site.path(), "carol.ddn")?;
                let folder = site.path().to_string_lossy();
                second
                    .ddn()
                    .run(&["publish", &folder, "--name", "carol.ddn"])?
                    .refused(1, &["carol.ddn"])
                    .map(drop)
            }),
            (
                "an unknown name and an unknown CID are absent, at once",
                |(_, second, _)| {
                    let gateway = second.gateway()?;
                    let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
                    for (host, path) in [
                        ("nobody.ddn", "/"),
                        ("127.0.0.1", format!("/ipfs/{cid}").as_str()),
                    ] {
                        let start = Instant::now();
                        let reply = gateway.get(host, path)?;
                        ensure!(
                            reply.status == 404,
                            "{host}{path}: {} {}",
                            reply.status,
                            reply.text()
                        );
                        ensure!(
                            start.elapsed() < Duration::from_secs(5),
                            "{host}{path}: {:?}",
                            start.elapsed()
                        );
                    }
                    Ok(())
                },
            ),
            ("both nodes see each other", |(first, second, _)| {
                for node in [first, second] {
                    let peers = node.ddn().json(&["node", "peers"])?;
                    ensure!(
                        peers["peers"].as_array().is_some_and(|peers| peers.len() == 1),
                        "{peers}"
                    );
                }
                Ok(())
            }),
            ("the doctor finds nothing wrong", |(first, second, _)| {
                for node in [first, second] {
                    node.ddn().ok(&["node", "doctor"])?;
                }
                Ok(())
            }),
        ],
    )
}

/// A wrong chain is refused with the reason, and nothing of it stays.
#[test]
fn a_node_of_another_chain_is_refused() -> Result<()> {
    let first = Node::dev()?;
    let other = Node::dev()?;
    let home = tempfile::tempdir()?;
    // The genesis of one chain and the address of another.
    let mut args = first.invitation()?;
    args[3] = other.mesh()?;
    refused_to_join(&home.path().join("mixed"), &args, "chain")?;
    // The same chain id with another genesis.
    let mut genesis: serde_json::Value =
        serde_json::from_slice(&fs::read(first.data().join("genesis.json"))?)?;
    let time = genesis["time_ms"].as_u64().context("a genesis has a time")?;
    genesis["time_ms"] = (time + 1).into();
    let file = home.path().join("genesis.json");
    fs::write(&file, serde_json::to_vec(&genesis)?)?;
    let mut args = first.invitation()?;
    args[1] = file.to_string_lossy().into_owned();
    refused_to_join(&home.path().join("forged"), &args, "genesis")?;
    // Both that were asked go on.
    for node in [&first, &other] {
        let site = tempfile::tempdir()?;
        tree::site(site.path())?;
        publish(node, site.path(), "alice.ddn")?;
    }
    Ok(())
}

/// A node with these arguments of `ddn up` ends, and says why with this word.
///
/// # Errors
/// When it does not.
pub fn refused_to_join(data: &std::path::Path, args: &[String], word: &str) -> Result<()> {
    let mut up: Vec<String> = vec!["up".to_owned()];
    for section in ["gateway", "dns", "admin", "engine", "mesh", "delivery"] {
        up.extend(["--set".to_owned(), format!("{section}.listen=127.0.0.1:0")]);
    }
    up.extend(args.iter().cloned());
    let ran = Ddn::new(data).start(&up)?.finish(REFUSAL_DEADLINE)?;
    ensure!(
        ran.code == Some(1) && ran.stderr.to_lowercase().contains(word),
        "{:?} {}",
        ran.code,
        ran.stderr
    );
    Ok(())
}

/// Ten nodes join one after the other, each by the address of the one before, and all serve the tree.
#[test]
fn ten_nodes_in_a_row_serve_the_tree() -> Result<()> {
    let first = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    publish(&first, site.path(), "alice.ddn")?;
    let page = fs::read(site.path().join("index.html"))?;
    let mut nodes = vec![first];
    while nodes.len() < NODES {
        let last = nodes.last().context("there is a first")?;
        let node = Node::launch(Launch {
            args: last.invitation()?,
            ..Launch::default()
        })
        .with_context(|| format!("node {}", nodes.len() + 1))?;
        comes_back(&node, "alice.ddn", site.path()).with_context(|| format!("node {}", nodes.len() + 1))?;
        shows(&node, "alice.ddn", "/", &page)?;
        nodes.push(node);
    }
    let resident: Vec<u64> = nodes.iter().map(resident_kib).collect::<Result<_>>()?;
    println!(
        "resident memory of {NODES} nodes in MiB: {:?}",
        resident.iter().map(|kib| kib / 1024).collect::<Vec<_>>()
    );
    for node in &mut nodes {
        node.stop()?;
    }
    Ok(())
}

/// `VmRSS` of a node.
fn resident_kib(node: &Node) -> Result<u64> {
    let pid = node.pid().context("the node runs")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.context("a process has a VmRSS")?.parse()?)
}
