//! Nodes that are far apart: 10, 50 and 120 ms from their readers, each on a host of its own.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, tree, wait_until};

use crate::{number, publish, text};

/// One way, from a host to the router; readers are at the router.
const DELAYS_MS: [u64; 3] = [10, 50, 120];

/// A block takes a second, an advert is renewed every ten.
const SEEN_DEADLINE: Duration = Duration::from_secs(60);

/// The stage: the first node makes the blocks, the others follow.
pub struct Stage {
    pub nodes: Vec<Node>,
    pub hosts: Vec<Host>,
    reader: Host,
    site: TempDir,
    cid: String,
    // Last: the network goes after what uses it.
    pub net: Net,
}

impl Stage {
    /// None where there can be no networks, which is said.
    pub fn new() -> Result<Option<Self>> {
        let Some(mut net) = Net::new()? else {
            return Ok(None);
        };
        let reader = net.host(Link::delay_ms(0))?;
        let hosts: Vec<Host> = DELAYS_MS
            .iter()
            .map(|delay| net.host(Link::delay_ms(*delay)))
            .collect::<Result<_>>()?;
        let mut nodes = vec![Node::launch(hosts[0].launch())?];
        for host in &hosts[1..] {
            let args = nodes[0].invitation()?;
            nodes.push(Node::launch(Launch {
                args,
                ..host.launch()
            })?);
        }
        let site = tempfile::tempdir()?;
        tree::site(site.path())?;
        let cid = text(&publish(&nodes[0], site.path(), "alice.ddn")?, "/cid")?;
        Ok(Some(Self {
            nodes,
            hosts,
            reader,
            site,
            cid,
            net,
        }))
    }

    /// Waits until the reader gets the site as it is in the folder from the node, and returns how long the last try took.
    fn shows(&self, node: usize) -> Result<Duration> {
        let page = fs::read(self.site.path().join("index.html"))?;
        let gateway = self.nodes[node].listener("gateway")?;
        let mut took = Duration::ZERO;
        wait_until("the reader sees the newest page", SEEN_DEADLINE, || {
            let (reply, time) = self.reader.get(gateway, "alice.ddn", "/")?;
            took = time;
            Ok(reply.status == 200 && reply.body == page)
        })
        .with_context(|| format!("node {node}: {}", self.nodes[node].log_tail()))?;
        Ok(took)
    }

    fn edit(&self, heading: &str) -> Result<u64> {
        let page = format!("<!doctype html><title>{heading}</title><h1>{heading}</h1>\n");
        tree::write(self.site.path(), "index.html", page.as_bytes())?;
        number(
            &publish(&self.nodes[0], self.site.path(), "alice.ddn")?,
            "/height",
        )
    }

    fn height(&self, node: usize) -> Result<u64> {
        number(&self.nodes[node].ddn().json(&["chain", "status"])?, "/height")
    }

    /// What the node answers to the question which edge is the nearest.
    fn nearest(&self, node: usize) -> Result<Value> {
        let gateway = self.nodes[node].listener("gateway")?;
        let path = format!("/.well-known/ddn/nearest?url=/ipfs/{}/index.html", self.cid);
        self.reader.get(gateway, "localhost", &path)?.0.json()
    }

    /// Waits until the edges of which a node would choose are these and no others.
    fn knows(&self, node: usize, edges: &[usize]) -> Result<()> {
        let ids = edges
            .iter()
            .map(|edge| text(self.nodes[*edge].card(), "/node_id"));
        let mut expected: Vec<String> = ids.collect::<Result<_>>()?;
        expected.sort();
        let mut last = Value::Null;
        let known = wait_until("the edges that run are known", SEEN_DEADLINE, || {
            last = self.nearest(node)?;
            let listed = last["edges"].as_array().context("edges")?;
            let mut ids: Vec<_> = listed
                .iter()
                .filter_map(|edge| edge["node_id"].as_str())
                .collect();
            ids.sort_unstable();
            Ok(ids == expected)
        });
        known.with_context(|| format!("node {node} says {last}"))
    }
}

#[test]
fn followers_far_away_catch_up_when_a_partition_heals() -> Result<()> {
    let Some(stage) = Stage::new()? else {
        return Ok(());
    };
    for (node, delay_ms) in DELAYS_MS.iter().enumerate() {
        stage.shows(node)?;
        // What is there is one round trip for the connection away, and one for the page.
        let time = stage.shows(node)?;
        ensure!(
            time >= Duration::from_millis(4 * delay_ms),
            "node {node}: {time:?}"
        );
    }

    // The last one sees neither of the others; they go on.
    for other in [0, 1] {
        stage.net.cut(&stage.hosts[other], &stage.hosts[2])?;
    }
    let before = fs::read(stage.site.path().join("index.html"))?;
    let height = stage.edit("moved while a node was away")?;
    stage.shows(1)?;
    let alone = stage.nodes[2].listener("gateway")?;
    let (reply, _) = stage.reader.get(alone, "alice.ddn", "/")?;
    ensure!(
        reply.status == 200 && reply.body == before,
        "what it has it shows: {} {}",
        reply.status,
        reply.text()
    );
    ensure!(stage.height(2)? < height, "it is behind");

    for other in [0, 1] {
        stage.net.heal(&stage.hosts[other], &stage.hosts[2])?;
    }
    wait_until("it catches up", SEEN_DEADLINE, || Ok(stage.height(2)? >= height))?;
    stage.shows(2)?;
    Ok(())
}

#[test]
fn edges_that_stop_are_forgotten_and_come_back() -> Result<()> {
    let Some(mut stage) = Stage::new()? else {
        return Ok(());
    };
    // The reader asks each: each would serve it itself, and knows the others.
    for node in [0, 1, 2] {
        let others: Vec<usize> = (0..3).filter(|other| *other != node).collect();
        stage.knows(node, &[&others[..], &[node]].concat())?;
        stage.shows(node)?;
    }
    stage.nodes[1].kill9()?;
    stage.knows(0, &[0, 2])?;
    stage.knows(2, &[0, 2])?;
    for node in [0, 2] {
        stage.shows(node)?;
    }
    stage.nodes[1].start()?;
    stage.knows(0, &[0, 1, 2])?;
    stage.knows(2, &[0, 1, 2])?;
    stage.shows(1)?;
    Ok(())
}
