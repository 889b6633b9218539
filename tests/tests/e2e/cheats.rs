//! Servers that cheat, as processes under the keys of nodes that say they deliver there: whole nodes are nearest to them, ask
//! them first, and get what they want all the same.
//!
//! The usual run has one of each kind; `DDN_DEEDS=all` takes all of them, and prints what each gained.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, adversary_binary, wait_until};

use crate::{number, text};

/// What the nodes ask for a MiB, in units.
const PRICE: u64 = 10_000;
/// A window that is paid ahead: a MiB.
const WINDOW: u64 = PRICE;
const FILE_BYTES: u64 = (2 << 20) + 100;
/// An edge is probed once a second, and adverts are heard at once.
const KNOWN_DEADLINE: Duration = Duration::from_secs(60);
/// Longer than any silence that is put up with.
const READ_DEADLINE: Duration = Duration::from_secs(90);

/// One of each kind.
const USUAL: [&str; 6] = [
    "wrong-bytes",
    "silent-after-a-block",
    "equivocates",
    "over-counts",
    "asks-ahead-for-nothing",
    "huge-frame",
];

/// All that an adversary can do.
const ALL: [&str; 29] = [
    "silent-at-open",
    "silent-at-want",
    "silent-after-a-block",
    "dribbles",
    "hangs-up-at-open",
    "hangs-up-at-want",
    "has-nothing",
    "refuses",
    "garbage",
    "huge-frame",
    "huge-block",
    "two-offers",
    "wrong-bytes",
    "unwanted",
    "unwanted-absence",
    "unwanted-end",
    "price-above-max",
    "foreign-quote",
    "forged-quote",
    "expired-quote",
    "foreign-voucher",
    "over-counts",
    "over-counts-blocks",
    "forged-statement",
    "foreign-statement",
    "skips-a-number",
    "equivocates",
    "asks-ahead-too-much",
    "asks-ahead-for-nothing",
];

/// An honest node far away, and readers' node.
struct Stage {
    maker: Node,
    reader: Node,
    /// Where the cheats are, and the reader.
    host: Host,
    // Last: the network goes after what uses it.
    _net: Net,
}

/// A node whose deliveries somebody else makes in its name.
struct Cheat {
    node: Node,
    program: Child,
    said: PathBuf,
    cid: String,
    file: Vec<u8>,
    _folder: TempDir,
}

impl Drop for Cheat {
    fn drop(&mut self) {
        // It ended by itself, or is gone with its namespace.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

impl Stage {
    fn new() -> Result<Option<Self>> {
        let Some(mut net) = Net::new()? else {
            return Ok(None);
        };
        let far = net.host(Link::delay_ms(20))?;
        let maker = Node::launch(far.launch())?;
        let host = net.host(Link::delay_ms(0))?;
        let reader = Node::launch(Launch {
            args: maker.invitation()?,
            ..host.launch()
        })?;
        Ok(Some(Self {
            maker,
            reader,
            host,
            _net: net,
        }))
    }

    /// Starts a cheat for each deed, all at the same time.
    fn cheats(&self, deeds: &[&str]) -> Result<Vec<(String, Cheat)>> {
        thread::scope(|scope| {
            let started: Vec<_> = deeds
                .iter()
                .map(|deed| (*deed, scope.spawn(|| self.cheat(deed))))
                .collect();
            started
                .into_iter()
                .map(|(deed, cheat)| {
                    let cheat = cheat.join().map_err(|_| anyhow::anyhow!("{deed} panicked"))?;
                    Ok((deed.to_owned(), cheat?))
                })
                .collect()
        })
    }

    /// Starts a cheat; it and the honest node provide the same file.
    fn cheat(&self, deed: &str) -> Result<Cheat> {
        let number = ALL.iter().position(|known| *known == deed);
        let number = u16::try_from(number.context("no such deed")?)?;
        let folder = tempfile::tempdir()?;
        let site = folder.path().join("site");
        fs::create_dir(&site)?;
        let file: Vec<u8> = (0..FILE_BYTES)
            .map(|at| (at / 251 + at * u64::from(number)) as u8)
            .collect();
        fs::write(site.join("file.bin"), &file)?;
        let place = self.host.port(7000 + number);
        let mut args = self.maker.invitation()?;
        args.extend(["--set".to_owned(), format!("delivery.external={place}")]);
        let node = Node::launch(Launch {
            args,
            ..self.host.launch()
        })?;
        let cid = publish(&self.maker, &site)?;
        ensure!(publish(&node, &site)? == cid, "one file has one name");
        let said = folder.path().join("said");
        let program = self
            .host
            .command(&adversary_binary()?.to_string_lossy())
            .args([deed, &site.to_string_lossy()])
            .arg("--key")
            .arg(node.data().join("keys/node.key"))
            .args(["--chain", &text(node.card(), "/chain_id")?])
            .args(["--price", &PRICE.to_string(), "--listen", &place.to_string()])
            .stdin(Stdio::piped())
            .stdout(File::create(&said)?)
            .spawn()?;
        Ok(Cheat {
            node,
            program,
            said,
            cid,
            file,
            _folder: folder,
        })
    }

    /// What the reader's node knows of an edge.
    fn row(&self, node: &Node) -> Result<Option<Value>> {
        let list = self.reader.ddn().json(&["edge", "list"])?;
        let edges = list["edges"].as_array().context("edges")?;
        Ok(edges
            .iter()
            .find(|edge| edge["node"] == node.card()["node_id"])
            .cloned())
    }

    fn rtt_us(&self, node: &Node) -> Result<Option<u64>> {
        let row = self.row(node)?;
        Ok(row.and_then(|row| row["rtt_us"].as_u64()))
    }

    /// Waits until the reader's node would ask the cheat before the honest one.
    fn believes(&self, cheat: &Cheat) -> Result<()> {
        wait_until("the cheat is the nearest", KNOWN_DEADLINE, || {
            let (near, far) = (self.rtt_us(&cheat.node)?, self.rtt_us(&self.maker)?);
            Ok(near.zip(far).is_some_and(|(near, far)| near < far))
        })
        .with_context(|| self.reader.log_tail())
    }

    /// Reads the file, which the cheat is asked for first; how long it took.
    fn reads(&self, cheat: &Cheat) -> Result<Duration> {
        let path = format!("/ipfs/{}/file.bin", cheat.cid);
        let gateway = self.reader.listener("gateway")?;
        let (began, mut status) = (Instant::now(), 0);
        wait_until("the file is read", READ_DEADLINE, || {
            let (reply, _) = self.host.get(gateway, "127.0.0.1", &path)?;
            status = reply.status;
            ensure!(status != 200 || reply.body == cheat.file, "other bytes");
            Ok(status == 200)
        })
        .with_context(|| format!("{status}: {}", self.reader.log_tail()))?;
        Ok(began.elapsed())
    }
}

fn publish(node: &Node, folder: &Path) -> Result<String> {
    text(&node.ddn().json(&["publish", &folder.to_string_lossy()])?, "/cid")
}

impl Cheat {
    /// Ends it, and says what it did.
    fn did(&mut self) -> Result<Value> {
        drop(self.program.stdin.take());
        ensure!(self.program.wait()?.success(), "it failed");
        let said = fs::read_to_string(&self.said)?;
        let last = said.lines().last().context("it says nothing")?;
        Ok(serde_json::from_str(last)?)
    }
}

#[test]
fn who_cheats_gains_a_window_at_most_and_readers_get_what_they_want() -> Result<()> {
    let Some(stage) = Stage::new()? else {
        return Ok(());
    };
    let wanted = env::var("DDN_DEEDS").unwrap_or_default();
    let deeds: Vec<&str> = match wanted.as_str() {
        "" => USUAL.to_vec(),
        "all" => ALL.to_vec(),
        some => some.split(',').collect(),
    };
    println!(
        "| deed | sessions | bytes sent | promised (units) | the reader waited (ms) | what its node says |"
    );
    for group in deeds.chunks(USUAL.len()) {
        for (deed, cheat) in &mut stage.cheats(group)? {
            caught(&stage, deed, cheat).with_context(|| deed.clone())?;
        }
    }
    Ok(())
}

fn caught(stage: &Stage, deed: &str, cheat: &mut Cheat) -> Result<()> {
    stage.believes(cheat)?;
    let waited = stage.reads(cheat)?;
    let did = cheat.did()?;
    ensure!(number(&did, "/sessions")? > 0, "it was not asked: {did}");
    let (sent, promised) = (number(&did, "/sent")?, number(&did, "/promised")?);
    let worth = (sent * PRICE).div_ceil(1 << 20);
    let row = stage.row(&cheat.node)?.unwrap_or_default();
    let why = row.pointer("/record/last_failure").and_then(Value::as_str);
    println!(
        "| {deed} | {} | {sent} | {promised} | {} | {} |",
        number(&did, "/sessions")?,
        waited.as_millis(),
        why.unwrap_or("-")
    );
    ensure!(
        promised <= worth + WINDOW,
        "{promised} units were promised for {sent} bytes"
    );
    Ok(())
}
