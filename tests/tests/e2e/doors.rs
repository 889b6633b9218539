//! The doors of whole nodes: a proof that a pipe checks, a receipt, blocks for IPFS clients, the nearest edge of two.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::{Http, Launch, Node, Reply, Running, ddn_binary, tree, wait_until};

use super::{publish, text};

/// An advert goes out at once when a node starts, and again every ten seconds.
const HEARD_DEADLINE: Duration = Duration::from_secs(60);
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// What `ddn chain verify` says of bytes that come through a pipe, with a genesis and without a node.
fn verified(bytes: &[u8], genesis: &Path) -> Result<Value> {
    let home = tempfile::tempdir()?;
    let piped = home.path().join("piped");
    fs::write(&piped, bytes)?;
    let line = "exec \"$0\" chain verify --json --data \"$1/none\" --genesis \"$2\" <\"$1/piped\"";
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .arg(ddn_binary()?)
        .arg(home.path())
        .arg(genesis);
    let ran = Running::start(command)?.finish(COMMAND_DEADLINE)?;
    ran.ok()?;
    ran.json()
}

fn link<'a>(reply: &'a Reply, kind: &str) -> Result<&'a str> {
    let links = reply.headers.get_all("link").iter();
    let texts: Vec<&str> = links.filter_map(|link| link.to_str().ok()).collect();
    let found = texts.iter().find(|link| link.contains(kind));
    let found = found.with_context(|| format!("no {kind} in {texts:?}"))?;
    found
        .strip_prefix('<')
        .and_then(|link| link.split('>').next())
        .with_context(|| format!("no target in {found}"))
}

#[test]
fn a_name_and_a_delivery_are_proved_to_a_pipe() -> Result<()> {
    let node = Node::dev()?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let published = publish(&node, site.path(), "alice.ddn")?;
    let cid = text(&published, "/cid")?;
    let gateway = node.gateway()?;
    let genesis = node.data().join("genesis.json");

    let page = gateway.send("GET", "alice.ddn", "/", &[("Prefer", "receipt")], Vec::new())?;
    ensure!(page.status == 200, "{}", page.status);
    // The header points to the proof, on the very host of the site.
    let proof = gateway.get("alice.ddn", link(&page, "urn:ddn:proof")?)?;
    ensure!(
        proof.status == 200 && proof.header("content-type") == "application/cbor",
        "{proof:?}"
    );
    let said = verified(&proof.body, &genesis)?;
    ensure!(said["content"] == json!({ "alice.ddn": cid }), "{said}");
    // The block that it is proven by can be read by its CID.
    let block = gateway.get(
        "localhost",
        &format!("/ipfs/{}?format=raw", text(&said, "/block")?),
    )?;
    ensure!(block.status == 200, "{}", block.status);

    let receipt = gateway.get("localhost", link(&page, "urn:ddn:receipt")?)?;
    let said = verified(&receipt.body, &genesis)?;
    ensure!(
        said["node"] == node.card()["node_id"] && said["complete"] == true,
        "{said}"
    );
    ensure!(
        said["bytes"] == page.body.len() && said["path"] == "/ipns/alice.ddn/",
        "{said}"
    );

    let none = gateway.get("localhost", "/.well-known/ddn/proof/nobody.ddn")?;
    ensure!(
        verified(&none.body, &genesis)?["exists"] == false,
        "absence is proved too"
    );
    let browser = [("Accept", "text/html")];
    let shown = gateway.send(
        "GET",
        "alice.ddn",
        "/.well-known/ddn/proof/alice.ddn",
        &browser,
        Vec::new(),
    )?;
    ensure!(
        shown.text().contains(&cid) && shown.text().contains("</html>"),
        "{}",
        shown.text()
    );
    for (path, status) in [
        ("/.well-known/ddn/proof/", 400),
        ("/.well-known/ddn/proof/alice.example", 404),
        ("/.well-known/ddn/proof/a..ddn", 400),
    ] {
        ensure!(gateway.get("localhost", path)?.status == status, "{path}");
    }
    Ok(())
}

/// A node with a provider face, and that face.
fn provider(first: Option<&Node>) -> Result<(Node, Http)> {
    let mut args = match first {
        Some(first) => first.invitation()?,
        None => vec!["--dev".to_owned()],
    };
    args.extend(["--set".to_owned(), "provider.listen=127.0.0.1:0".to_owned()]);
    let node = Node::launch(Launch {
        args,
        ..Launch::default()
    })?;
    let mesh = node.mesh()?;
    let id = mesh.rsplit('/').next().context("a peer id")?;
    let record = node
        .gateway()?
        .get("localhost", &format!("/routing/v1/peers/{id}"))?
        .json()?;
    let address = text(&record, "/Peers/0/Addrs/0")?;
    let parts: Vec<&str> = address.split('/').collect();
    ensure!(parts.len() == 6 && parts[5] == "http", "{address}");
    let face = Http::new(format!("{}:{}", parts[2], parts[4]).parse()?);
    Ok((node, face))
}

#[test]
fn a_client_of_one_node_finds_the_blocks_of_another() -> Result<()> {
    let (first, face) = provider(None)?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let cid = text(&publish(&first, site.path(), "alice.ddn")?, "/cid")?;
    let (second, own) = provider(Some(&first))?;

    // What is there, and only there: the provider face fetches nothing.
    let raw = format!("/ipfs/{cid}?format=raw");
    ensure!(face.get("localhost", &raw)?.status == 200, "the first has it");
    ensure!(
        own.get("localhost", &raw)?.status == 404,
        "the second does not fetch it"
    );
    let routing = format!("/routing/v1/providers/{cid}?filter-protocols=transport-ipfs-gateway-http");
    let expected = format!("/ip4/127.0.0.1/tcp/{}/http", face.server().port());
    wait_until("the second knows who has it", HEARD_DEADLINE, || {
        let found = second.gateway()?.get("localhost", &routing)?.json()?;
        Ok(found.pointer("/Providers/0/Addrs/0") == Some(&Value::from(expected.as_str())))
    })?;

    // Who reads it at the second has it there, for other nodes too.
    second.gateway()?.get("127.0.0.1", &format!("/ipfs/{cid}/"))?;
    ensure!(own.get("localhost", &raw)?.status == 200, "the second has it now");
    nearest_of_two(&first, &second, &cid)
}

/// Each says that it is the nearest itself, to somebody who came to it, and knows of the other.
fn nearest_of_two(first: &Node, second: &Node, cid: &str) -> Result<()> {
    first.ddn().ok(&["edge", "register"])?;
    let other = text(first.card(), "/node_id")?;
    let target = format!("/.well-known/ddn/nearest?url=/ipfs/{cid}/index.html");
    let gateway = second.gateway()?;
    wait_until(
        "the second knows the first and what the ledger says",
        HEARD_DEADLINE,
        || {
            let answer = gateway.get("localhost", &target)?.json()?;
            let edges = answer["edges"].as_array().context("edges")?;
            Ok(edges
                .iter()
                .any(|edge| edge["node_id"] == other.as_str() && edge["registered"] == true))
        },
    )?;
    let answer = gateway.get("localhost", &target)?.json()?;
    ensure!(
        answer["content"] == cid && answer["ip"] == "127.0.0.1",
        "{answer}"
    );
    let chosen = text(&answer, "/url")?;
    let followed = gateway.get("localhost", &format!("{target}&redirect=true"))?;
    ensure!(
        followed.status == 307 && followed.header("location") == chosen,
        "{followed:?}"
    );
    // The address is one that a browser can open.
    let host = chosen
        .trim_start_matches("http://")
        .split('/')
        .next()
        .context("a host")?;
    let path = chosen.split_once(host).context("a path")?.1;
    let read = Http::new(host.parse()?).get(host, path)?;
    ensure!(read.status == 200, "{chosen}: {}", read.status);
    Ok(())
}
