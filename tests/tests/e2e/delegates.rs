//! A chain of four delegates on one machine: the same engine as with one seat, other numbers in the genesis.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use hickory_proto::rr::RecordType;
use serde_json::Value;
use testkit::net::{Host, Link, Net};
use testkit::{Ddn, Launch, Node, Transport, tree, wait_until};

use crate::{number, publish, text};

/// Seats of the chain: one may be missing.
const SEATS: usize = 4;

/// A block takes a second; after a loss the next proposer's turn takes some more.
const BLOCK_DEADLINE: Duration = Duration::from_secs(60);

/// Blocks in a round that is short enough to lose a seat in, and in one that is not.
const SHORT_ROUND: u64 = 5;
const LONG_ROUND: u64 = 10_000;
/// The port of engines on hosts of their own.
const ENGINE_PORT: u16 = 4103;

/// The genesis of a chain of `SEATS` delegates with their data folders below `home`, and how to start each.
fn lay_out(home: &Path) -> Result<Vec<Launch>> {
    // All are held until all are known, so that no port comes twice.
    let held: Vec<TcpListener> = (0..SEATS)
        .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()?;
    let places: Vec<_> = held
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()?;
    lay_out_at(home, &places)
}

/// The same, with engines that listen at these places.
fn lay_out_at(home: &Path, places: &[SocketAddr]) -> Result<Vec<Launch>> {
    let genesis = home.join("genesis.json").to_string_lossy().into_owned();
    let mut init: Vec<String> = ["chain", "init", "four", "--preset", "dev", "-o", &genesis]
        .map(String::from)
        .to_vec();
    let mut launches = Vec::new();
    for (number, place) in places.iter().enumerate() {
        let data = home.join(format!("delegate{number}"));
        init.extend(["--delegate".to_owned(), format!("{}@{place}", data.display())]);
        let args = ["--genesis", &genesis, "--set", &format!("engine.listen={place}")]
            .map(String::from)
            .to_vec();
        launches.push(Launch {
            data: Some(data),
            args,
            ..Launch::default()
        });
    }
    Ddn::new(&home.join("nowhere")).ok(&init)?;
    Ok(launches)
}

/// Starts all at once: none is ready before a quorum is there.
fn start_all(launches: Vec<Launch>) -> Result<Vec<Node>> {
    let threads: Vec<_> = launches
        .into_iter()
        .map(|launch| thread::spawn(|| Node::launch(launch)))
        .collect();
    let started = threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| anyhow!("a node's thread broke"))?);
    started.collect()
}

fn height(node: &Node) -> Result<u64> {
    number(&node.ddn().json(&["chain", "status"])?, "/height")
}

fn block(node: &Node, height: u64) -> Result<Value> {
    node.ddn().json(&["chain", "block", &height.to_string()])
}

/// Waits until the node has `blocks` more than now.
fn goes_on(node: &Node, blocks: u64) -> Result<()> {
    let now = height(node)?;
    wait_until(
        "more blocks",
        BLOCK_DEADLINE,
        || Ok(height(node)? >= now + blocks),
    )
}

/// Waits until DNS at the node tells the content of the name.
fn knows(node: &Node, name: &str, cid: &str) -> Result<()> {
    wait_until("the name is known elsewhere", BLOCK_DEADLINE, || {
        let answer = node.dns()?.ask(Transport::Udp, name, RecordType::TXT)?;
        Ok(answer.to_string().contains(cid))
    })
}

#[test]
fn four_delegates_agree_and_one_may_fail() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut nodes = start_all(lay_out(home.path())?)?;
    let status = nodes[0].ddn().json(&["chain", "status"])?;
    ensure!(
        status["delegates"]
            .as_array()
            .is_some_and(|delegates| delegates.len() == SEATS),
        "{status}"
    );

    let site = tempfile::tempdir()?;
    tree::site(site.path())?;
    let cid = text(&publish(&nodes[0], site.path(), "alice.ddn")?, "/cid")?;
    for node in &nodes {
        knows(node, "alice.ddn", &cid)?;
    }

    // One is gone, the others go on; it comes back and catches up.
    nodes[3].kill9()?;
    goes_on(&nodes[0], 4).context("three of four go on")?;
    publish(&nodes[1], site.path(), "bob.ddn").context("three of four take a name")?;
    let reached = height(&nodes[1])?;
    nodes[3].start()?;
    wait_until("the lost one catches up", BLOCK_DEADLINE, || {
        Ok(height(&nodes[3])? >= reached)
    })?;
    knows(&nodes[3], "bob.ddn", &cid)?;

    let common = reached;
    let first = block(&nodes[0], common)?;
    for node in &nodes[1..] {
        let other = block(node, common)?;
        ensure!(
            first["header"] == other["header"] && first["state_root"] == other["state_root"],
            "{first}\n{other}"
        );
    }
    // Any quorum's certificate proves an entry to whoever has the genesis.
    let proof = home.path().join("proof");
    nodes[2]
        .ddn()
        .ok(&["chain", "proof", "alice.ddn", "-o", &proof.to_string_lossy()])?;
    let genesis = home.path().join("genesis.json");
    let elsewhere = Ddn::new(&home.path().join("nowhere"));
    let args = [
        "chain",
        "verify",
        &proof.to_string_lossy(),
        "--genesis",
        &genesis.to_string_lossy(),
    ];
    let proven = elsewhere.json(&args)?;
    ensure!(
        proven["exists"] == true && proven.to_string().contains(&cid),
        "{proven}"
    );
    for node in &mut nodes {
        node.stop()?;
    }
    Ok(())
}

fn with_rounds(home: &Path, blocks: u64) -> Result<()> {
    let genesis = home.join("genesis.json");
    let mut rules: Value = serde_json::from_slice(&fs::read(&genesis)?)?;
    rules["election"]["round"] = blocks.into();
    rules["election"]["jail_rounds"] = 1.into();
    fs::write(&genesis, serde_json::to_vec(&rules)?)?;
    Ok(())
}

/// Whether the delegate `of` has a seat, and its standing, by what `node` knows.
fn standing(node: &Node, of: &str) -> Result<(bool, String)> {
    let list = node.ddn().json(&["delegate", "list"])?;
    let delegates = list["delegates"].as_array().context("a list of delegates")?;
    let one = delegates
        .iter()
        .find(|one| one["address"] == of)
        .context("the delegate")?;
    Ok((one["seat"] == true, text(one, "/standing")?))
}

fn own_address(node: &Node) -> Result<String> {
    let list = node.ddn().json(&["delegate", "list"])?;
    let delegates = list["delegates"].as_array().context("a list of delegates")?;
    text(
        delegates
            .iter()
            .find(|one| one["here"] == true)
            .context("its own")?,
        "/address",
    )
}

#[test]
fn who_falls_silent_loses_its_seat_and_comes_back_by_itself() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut launches = lay_out(home.path())?;
    with_rounds(home.path(), SHORT_ROUND)?;
    let mut fourth = launches.pop().context("four launches")?;
    let mut nodes = start_all(launches)?;
    // Who comes back asks others how the chain went on.
    fourth.args.extend(["--join".to_owned(), nodes[0].mesh()?]);
    nodes.push(Node::launch(fourth)?);
    let lost = own_address(&nodes[3])?;
    nodes[3].kill9()?;
    wait_until("it is in jail", BLOCK_DEADLINE, || {
        Ok(standing(&nodes[0], &lost)? == (false, "jailed".to_owned()))
    })?;
    let set_without = height(&nodes[0])?;

    nodes[3].start()?;
    let back = wait_until("it sits again", BLOCK_DEADLINE * 2, || {
        Ok(standing(&nodes[0], &lost)? == (true, "candidate".to_owned()))
    });
    back.with_context(|| nodes[3].log_tail())?;
    let made = wait_until("it makes a block again", BLOCK_DEADLINE, || {
        let newest = height(&nodes[0])?;
        Ok((set_without..=newest)
            .rev()
            .take(12)
            .any(|height| block(&nodes[0], height).is_ok_and(|block| block.to_string().contains(&lost))))
    });
    made.with_context(|| nodes[3].log_tail())?;
    // Who follows from the genesis alone is told of every change.
    let proof = home.path().join("proof").to_string_lossy().into_owned();
    nodes[1].ddn().ok(&["chain", "proof", &lost, "-o", &proof])?;
    let genesis = home.path().join("genesis.json").to_string_lossy().into_owned();
    let elsewhere = Ddn::new(&home.path().join("nowhere"));
    elsewhere.ok(&["chain", "verify", &proof, "--genesis", &genesis])?;
    for node in &mut nodes {
        node.stop()?;
    }
    Ok(())
}

/// Every wire between two groups.
fn wires<'a>(one: &'a [Host], other: &'a [Host]) -> impl Iterator<Item = (&'a Host, &'a Host)> {
    one.iter()
        .flat_map(move |near| other.iter().map(move |far| (near, far)))
}

/// Waits until nodes say whether blocks go on as they should.
fn all_say(nodes: &[Node], healthy: bool) -> Result<()> {
    wait_until("what the nodes say of their chain", BLOCK_DEADLINE, || {
        let say = |node: &Node| Ok(node.ddn().json(&["chain", "status"])?["healthy"] == healthy);
        nodes
            .iter()
            .map(say)
            .try_fold(true, |all, one: Result<bool>| Ok(all && one?))
    })
}

#[test]
fn a_network_that_is_cut_in_two_decides_nothing_twice_and_goes_on_when_it_is_whole() -> Result<()> {
    let Some(mut net) = Net::new()? else {
        return Ok(());
    };
    let home = tempfile::tempdir()?;
    let hosts: Vec<Host> = (0..SEATS)
        .map(|_| net.host(Link::delay_ms(2)))
        .collect::<Result<_>>()?;
    let places: Vec<SocketAddr> = hosts.iter().map(|host| host.port(ENGINE_PORT)).collect();
    let mut launches = lay_out_at(home.path(), &places)?;
    with_rounds(home.path(), LONG_ROUND)?;
    for (launch, host) in launches.iter_mut().zip(&hosts) {
        launch.host = Some(host.clone());
    }
    let mut nodes = start_all(launches)?;

    // One is alone: three go on, and it stays where it is.
    let (most, alone) = hosts.split_at(3);
    wires(most, alone).try_for_each(|(near, far)| net.cut(near, far))?;
    let left = height(&nodes[3])?;
    goes_on(&nodes[0], 5).context("three of four go on")?;
    ensure!(height(&nodes[3])? <= left + 1, "one of four made blocks");
    wires(most, alone).try_for_each(|(near, far)| net.heal(near, far))?;
    let reached = height(&nodes[0])?;
    wait_until("it catches up", BLOCK_DEADLINE, || {
        Ok(height(&nodes[3])? >= reached)
    })?;

    // Halves decide nothing.
    let (one, other) = hosts.split_at(2);
    wires(one, other).try_for_each(|(near, far)| net.cut(near, far))?;
    let stopped = height(&nodes[0])?.max(height(&nodes[2])?);
    all_say(&nodes, false).context("halves say that they are halves")?;
    for node in &nodes {
        ensure!(height(node)? <= stopped + 1, "a half made blocks");
    }
    wires(one, other).try_for_each(|(near, far)| net.heal(near, far))?;
    all_say(&nodes, true).context("they are whole again")?;
    for node in &nodes {
        goes_on(node, 3)?;
    }
    let common = stopped + 2;
    let first = block(&nodes[0], common)?;
    for node in &nodes[1..] {
        ensure!(
            block(node, common)?["cid"] == first["cid"],
            "two blocks at height {common}"
        );
    }
    for node in &mut nodes {
        node.stop()?;
    }
    Ok(())
}
