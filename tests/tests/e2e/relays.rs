//! Nodes behind NATs: they are reached through relays, which they pay, and directly where their NATs let that be.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::net::{Host, Link, Nat, Net};
use testkit::{Launch, Node, wait_until};

use crate::{number, text};

/// Peers look at a node's ports in rounds of ten seconds.
const SEEN_DEADLINE: Duration = Duration::from_secs(90);
/// Units per MiB that a relay asks unless told otherwise.
const RELAY_PRICE: u64 = 1_000;
/// The file that is read.
const FILE_BYTES: u64 = 24 << 20;

/// A maker of blocks that anybody reaches, two relays, and two nodes behind NATs.
struct Stage {
    maker: Node,
    relays: Vec<(Node, Host)>,
    /// The home of the file; nobody else has it.
    owner: Node,
    reader: Node,
    hosts: [Host; 2],
    cid: String,
    file: Vec<u8>,
    _site: TempDir,
    // Last: the network goes after what uses it.
    _net: Net,
}

impl Stage {
    fn new(nat: Nat, seed: u64) -> Result<Option<Self>> {
        let Some(mut net) = Net::new()? else {
            return Ok(None);
        };
        let near = |net: &mut Net| net.host(Link::delay_ms(5));
        let maker = Node::launch(near(&mut net)?.launch())?;
        let invitation = maker.invitation()?;
        let joins = |host: &Host, set: &[String]| {
            let set = set.iter().flat_map(|set| ["--set".to_owned(), set.clone()]);
            Node::launch(Launch {
                args: invitation.iter().cloned().chain(set).collect(),
                ..host.launch()
            })
        };
        let mut relays = Vec::new();
        for _ in 0..2 {
            let host = near(&mut net)?;
            let listen = format!("relay.listen={}", host.port(4104));
            relays.push((joins(&host, &[listen])?, host));
        }
        let link = Link::delay_ms(5);
        let hosts = [net.home(link, nat)?, net.home(link, nat)?];
        // Who reads alone pays no relay.
        let use_of_reader = match nat {
            Nat::Cone => "auto",
            Nat::Scattered => "never",
        };
        let owner = joins(&hosts[0], &[])?;
        let reader = joins(&hosts[1], &[format!("delivery.relay={use_of_reader}")])?;
        let site = tempfile::tempdir()?;
        let file: Vec<u8> = (0..FILE_BYTES / 8)
            .flat_map(|at: u64| (at ^ seed << 32).to_le_bytes())
            .collect();
        fs::write(site.path().join("file.bin"), &file)?;
        let published = owner.ddn().json(&["publish", &site.path().to_string_lossy()])?;
        let cid = text(&published, "/cid")?;
        Ok(Some(Self {
            maker,
            relays,
            owner,
            reader,
            hosts,
            cid,
            file,
            _site: site,
            _net: net,
        }))
    }

    /// Waits until others reach the node through a relay, which is returned.
    fn home_of(&self, node: &Node) -> Result<usize> {
        let mut last = Value::Null;
        let mut home = None;
        wait_until("the node has a relay", SEEN_DEADLINE, || {
            let diagnosis = node.ddn().run(&["node", "doctor", "--json"])?.json()?;
            let checks = diagnosis["checks"].as_array().context("checks")?;
            let check = checks.iter().find(|check| check["name"] == "outside-delivery");
            last = check.cloned().unwrap_or_default();
            let said = last["text"].as_str().unwrap_or_default();
            for (at, (relay, _)) in self.relays.iter().enumerate() {
                let place = relay.listener("relay")?.to_string();
                if last["verdict"] == "ok" && said.contains(&format!("through the relay at {place}")) {
                    home = Some(at);
                }
            }
            Ok(home.is_some())
        })
        .with_context(|| format!("{last}\n{}", node.log_tail()))?;
        home.context("a relay")
    }

    /// Reads the file through the reader's gateway.
    fn reads(&self, within: Duration) -> Result<()> {
        let path = format!("/ipfs/{}/file.bin", self.cid);
        let gateway = self.reader.listener("gateway")?;
        let mut last = String::new();
        let read = wait_until("the file is read", within, || {
            let (reply, _) = self.hosts[1].get(gateway, "127.0.0.1", &path)?;
            if reply.status != 200 {
                last = format!("{}: {}", reply.status, reply.text());
                return Ok(false);
            }
            ensure!(reply.body == self.file, "other bytes");
            Ok(true)
        });
        read.with_context(|| format!("{last}\n{}\n{}", self.reader.log_tail(), self.owner.log_tail()))
    }
}

/// Bytes that have gone through a relay.
fn relayed((relay, host): &(Node, Host)) -> Result<u64> {
    let (page, _) = host.get(relay.listener("admin")?, "localhost", "/metrics")?;
    let page = page.text();
    let mut lines = page.lines();
    let line = lines.find_map(|line| line.strip_prefix("ddn_relayed_bytes_total "));
    line.context("no count of relayed bytes")?
        .parse()
        .context("a number")
}

/// What a node has earned, in units.
fn earned(node: &Node) -> Result<u64> {
    let status = node.ddn().json(&["earn", "status"])?;
    let coins = text(&status, "/earned")?;
    let (whole, part) = coins.split_once('.').unwrap_or((&coins, ""));
    Ok(format!("{whole}{part:0<8}").parse()?)
}

/// Two homes whose routers keep one port for all: they meet through a relay and then speak directly.
#[test]
fn behind_two_nats_a_way_is_found_that_needs_no_relay() -> Result<()> {
    let Some(stage) = Stage::new(Nat::Cone, 1)? else {
        return Ok(());
    };
    stage.home_of(&stage.owner)?;
    stage.home_of(&stage.reader)?;
    stage.reads(SEEN_DEADLINE)?;
    let by_relay = relayed(&stage.relays[0])? + relayed(&stage.relays[1])?;

    ensure!(
        by_relay > 0 && by_relay < FILE_BYTES / 2,
        "{by_relay} bytes of {FILE_BYTES} went through relays"
    );
    ensure!(earned(&stage.owner)? > 0, "the owner earns");
    Ok(())
}

/// Two homes between which no way leads but through a relay: it is paid for each byte, and replaced when it dies.
#[test]
fn where_no_way_leads_the_relay_carries_and_is_paid() -> Result<()> {
    let Some(mut stage) = Stage::new(Nat::Scattered, 2)? else {
        return Ok(());
    };
    let home = stage.home_of(&stage.owner)?;
    stage.reads(SEEN_DEADLINE)?;
    let (first, other) = (&stage.relays[home], &stage.relays[1 - home]);
    let carried = relayed(first)?;
    ensure!(carried >= FILE_BYTES, "{carried} bytes went through the relay");
    ensure!(relayed(other)? == 0, "the other one had nothing to do");
    // Whoever is reached pays for what comes and goes, the last of it a second later.
    let mut last = 0;
    wait_until("the relay is paid", SEEN_DEADLINE, || {
        last = earned(&first.0)?;
        Ok(last >= (FILE_BYTES >> 20) * RELAY_PRICE)
    })
    .with_context(|| format!("{last} units, {carried} bytes\n{}", stage.owner.log_tail()))?;
    ensure!(earned(&stage.owner)? > last, "it earns more than its relay");

    stage.relays[home].0.kill9()?;
    stage.relays.remove(home);
    stage.home_of(&stage.owner)?;
    // Somebody else reads: what the first reader has is its own now.
    let path = format!("/ipfs/{}/file.bin", stage.cid);
    let gateway = stage.maker.listener("gateway")?;
    wait_until("it is read through the other relay", SEEN_DEADLINE, || {
        let (reply, _) = stage.hosts[1].get(gateway, "127.0.0.1", &path)?;
        Ok(reply.status == 200 && reply.body == stage.file)
    })
    .with_context(|| stage.maker.log_tail())?;
    ensure!(number(&stage.maker.ddn().json(&["chain", "status"])?, "/height")? > 0);
    Ok(())
}
