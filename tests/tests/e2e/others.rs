//! Names of a chain that a node does not follow: its nodes are asked, and believed for their proofs alone.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, RecordType};
use serde_json::{Value, json};
use testkit::{Ddn, Launch, Node, Transport, tree, wait_until};

use super::{number, publish, text};

/// How long what was proven counts: a change that is told is seen long before.
const COUNTS_FOR: Duration = Duration::from_secs(20);

/// A node of a one-seat chain whose names end with `.TLD`.
pub fn chain(home: &Path, tld: &str) -> Result<Node> {
    let (data, genesis) = (home.join(tld), home.join(format!("{tld}.json")));
    let (data_text, genesis) = (data.to_string_lossy(), genesis.to_string_lossy());
    let nowhere = Ddn::new(&home.join("nowhere"));
    let id = format!("{tld}-1");
    nowhere.ok(&[
        "chain",
        "init",
        &id,
        "--preset",
        "dev",
        "--tld",
        tld,
        "--delegate",
        &data_text,
        "-o",
        &genesis,
    ])?;
    Node::launch(Launch {
        args: vec!["--genesis".into(), genesis.into_owned()],
        data: Some(data),
        ..Launch::default()
    })
}

/// A node of another chain, which asks these gateways for the names of `of`.
fn asking(of: &Node, gateways: &[SocketAddr]) -> Result<Node> {
    let gateways: Vec<String> = gateways
        .iter()
        .map(|address| format!("http://{address}"))
        .collect();
    let genesis = of.data().join("genesis.json");
    let others = format!("chain.others={} {}", genesis.display(), gateways.join(" "));
    Node::launch(Launch {
        args: vec!["--dev".into(), "--set".into(), others],
        ..Launch::default()
    })
}

fn resolved(node: &Node, name: &str) -> Result<Value> {
    node.ddn().json(&["resolve", name])
}

fn doctor_says(node: &Node, words: &str) -> Result<()> {
    let said = node.ddn().run(&["node", "doctor"])?;
    ensure!(said.story().contains(words), "no {words:?}: {}", said.story());
    Ok(())
}

#[test]
fn a_node_resolves_names_of_a_chain_that_it_does_not_follow() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut mmt = chain(home.path(), "mmt")?;
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let published = publish(&mmt, site.path(), "alice.mmt")?;
    let cid = text(&published, "/cid")?;
    let node = asking(&mmt, &[mmt.listener("gateway")?])?;

    let found = resolved(&node, "Alice.MMT")?;
    let there = resolved(&mmt, "alice.mmt")?;
    for field in [
        "name", "status", "content", "records", "owner", "changed", "expires",
    ] {
        ensure!(found[field] == there[field], "{field}: {found} and {there}");
    }
    ensure!(found["chain"] == "mmt-1" && there["chain"].is_null(), "{found}");
    ensure!(
        number(&found, "/height")? >= number(&found, "/changed")?,
        "{found}"
    );
    let absent = resolved(&node, "nobody.mmt")?;
    ensure!(
        absent["status"] == "absent" && absent["chain"] == "mmt-1",
        "{absent}"
    );
    ensure!(resolved(&node, "alice.ddn")?["status"] == "absent");
    ensure!(resolved(&node, "alice.odd")?["status"] == "foreign");

    // The proof goes on to whoever asks, and holds against the genesis of its own chain.
    let gateway = node.gateway()?;
    let proof = gateway.get("localhost", "/.well-known/ddn/proof/alice.mmt")?;
    ensure!(proof.status == 200, "{}", proof.status);
    let file = home.path().join("alice.proof");
    fs::write(&file, &proof.body)?;
    let verified = mmt.ddn().json(&["chain", "verify", &file.to_string_lossy()])?;
    ensure!(verified["content"] == json!({ "alice.mmt": cid }), "{verified}");

    // What it points to is with that chain's nodes.
    let index = fs::read(site.path().join("index.html"))?;
    for (host, path) in [
        ("localhost", "/ipns/alice.mmt/index.html"),
        ("alice.mmt", "/"),
        ("alice.mmt.localhost", "/"),
    ] {
        let mut reply = gateway.get(host, path)?;
        if reply.status == 301 {
            let to = reply.header("location").to_owned();
            let to = to
                .split("localhost")
                .nth(1)
                .and_then(|rest| rest.find('/').map(|at| rest[at..].to_owned()));
            reply = gateway.get("alice.mmt.localhost", &to.context("no path")?)?;
        }
        ensure!(
            reply.status == 200 && reply.body == index,
            "{host}{path}: {} {:?}",
            reply.status,
            reply.headers
        );
    }
    let copy = home.path().join("copy");
    node.ddn()
        .ok(&["get", "alice.mmt", "-o", &copy.to_string_lossy()])?;
    ensure!(fs::read(copy.join("index.html"))? == index);
    let script = gateway.get("localhost", "/.well-known/ddn/proxy.pac")?;
    ensure!(script.text().contains(".mmt"), "{}", script.text());

    // The DNS says the same.
    let dns = node.dns()?;
    let link = RData::TXT(TXT::new(vec![format!("dnslink=/ipfs/{cid}")]));
    for transport in [Transport::Udp, Transport::Tcp] {
        let answer = dns.ask(transport, "_dnslink.alice.mmt", RecordType::TXT)?;
        ensure!(
            answer.answers.iter().any(|record| record.data == link),
            "no {link:?} in {answer:?}"
        );
        let answer = dns.ask(transport, "alice.mmt", RecordType::A)?;
        ensure!(
            answer.metadata.authoritative && answer.answers.len() == 1,
            "{answer:?}"
        );
        let none = dns.ask(transport, "nobody.mmt", RecordType::A)?;
        ensure!(none.metadata.response_code == ResponseCode::NXDomain, "{none:?}");
    }

    // A change is told, and seen before what was proven has had its time.
    let other = tempfile::tempdir()?;
    fs::write(other.path().join("index.html"), "another page")?;
    let changed = publish(&mmt, other.path(), "alice.mmt")?;
    let (cid, since) = (text(&changed, "/cid")?, Instant::now());
    wait_until("the change is told", COUNTS_FOR, || {
        Ok(resolved(&node, "alice.mmt")?["content"] == json!(cid))
    })?;
    ensure!(since.elapsed() < COUNTS_FOR / 2, "it took {:?}", since.elapsed());

    doctor_says(&node, "names under .mmt are proven, at height")?;

    // Its names are no names to hold here.
    let refused = node.ddn().run(&["name", "register", "bob.mmt", "--json"])?;
    ensure!(refused.story().contains("bad_name"), "{}", refused.story());

    // Nobody says what nobody proves.
    mmt.stop()?;
    let silent = resolved(&node, "carol.mmt")?;
    ensure!(
        silent["status"] == "delegated" && silent["chain"] == "mmt-1" && silent["ask"][0].is_string(),
        "{silent}"
    );
    let reply = gateway.get("carol.mmt", "/")?;
    ensure!(
        reply.status == 502 && reply.text().contains("mmt-1"),
        "{}: {}",
        reply.status,
        reply.text()
    );
    let answer = dns.ask(Transport::Udp, "carol.mmt", RecordType::A)?;
    ensure!(
        answer.metadata.response_code == ResponseCode::ServFail,
        "{answer:?}"
    );
    ensure!(resolved(&node, "alice.ddn")?["status"] == "absent");
    Ok(())
}

/// A server that answers everything with the same bytes.
fn says(body: Arc<RwLock<Vec<u8>>>) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let body = body.read().expect("no panic holds it").clone();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    Ok(address)
}

#[test]
fn who_asks_for_proofs_believes_nothing_else() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (mmt, odd) = (chain(home.path(), "mmt")?, chain(home.path(), "odd")?);
    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let published = publish(&mmt, site.path(), "alice.mmt")?;
    publish(&odd, site.path(), "bob.odd")?;
    let proof = |node: &Node, name: &str| -> Result<Vec<u8>> {
        let reply = node
            .gateway()?
            .get("localhost", &format!("/.well-known/ddn/proof/{name}"))?;
        ensure!(reply.status == 200, "{name}: {}", reply.status);
        Ok(reply.body)
    };
    let lies = Arc::new(RwLock::new(Vec::new()));
    let liar = says(Arc::clone(&lies))?;
    let node = asking(&mmt, &[liar])?;
    let true_one = proof(&mmt, "alice.mmt")?;
    let mut damaged = true_one.clone();
    damaged[40] ^= 1;
    for (name, lie, reason) in [
        ("bob.mmt", true_one, "it proves another entry"),
        ("alice.mmt", proof(&odd, "bob.odd")?, "it is of chain 'odd-1'"),
        ("carol.mmt", damaged, "damaged"),
        ("dora.mmt", b"no proof at all".to_vec(), "damaged"),
        ("eve.mmt", vec![0; 3 << 20], "has more than"),
    ] {
        *lies.write().expect("no panic holds it") = lie;
        let said = resolved(&node, name)?;
        ensure!(said["status"] == "delegated", "{name}: {said}");
        ensure!(
            said["why"].to_string().contains(reason),
            "{name}: {reason}: {said}"
        );
    }
    doctor_says(&node, "nobody proves names under .mmt, of mmt-1")?;
    // Beside one who lies, one who does not is enough.
    let both = asking(&mmt, &[liar, mmt.listener("gateway")?])?;
    ensure!(resolved(&both, "alice.mmt")?["content"] == published["cid"]);

    // A TLD is one chain's.
    let genesis = mmt.data().join("genesis.json");
    let twice = format!(
        "chain.others={0} http://{liar},{0} http://{liar}",
        genesis.display()
    );
    let nowhere = Ddn::new(&home.path().join("new"));
    let refused = nowhere.run(&["up", "--dev", "--json", "--set", &twice])?;
    ensure!(
        refused.story().contains("its names end with .mmt"),
        "{}",
        refused.story()
    );
    let refused = nowhere.run(&["up", "--dev", "--json", "--set", "chain.others=mmt.json"])?;
    ensure!(
        refused
            .story()
            .contains("give for each chain its genesis file and gateways"),
        "{}",
        refused.story()
    );
    Ok(())
}
