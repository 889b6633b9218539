//! Peers that cheat, as processes against whole nodes, each in one way.
//!
//! Servers pass for nodes that say they deliver there: readers' nodes are nearest to them, ask them first, and get what they want
//! all the same. The usual run has one of each kind; `DDN_DEEDS=all` takes all of them. Payers ask a node for content, from
//! escrows of nodes whose keys they have. Both tests print what each gained.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use testkit::net::{Host, Link, Net};
use testkit::{Launch, Node, Running, adversary_binary, wait_until};

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

/// A block takes a second.
const CONVICTED_WITHIN: Duration = Duration::from_secs(30);

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
            .args(["serve", deed, &site.to_string_lossy()])
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

    /// The reader's node shows the ledger what was signed: the key is no edge any more, for ever.
    fn convicts(&self, cheat: &Cheat) -> Result<()> {
        let node = text(cheat.node.card(), "/node_id")?;
        let key = format!("0x{}{node}", hex_of(b"conviction/"));
        let file = cheat.node.data().join("conviction.proof");
        let path = file.to_string_lossy().into_owned();
        wait_until("a conviction on the ledger", CONVICTED_WITHIN, || {
            let proven = self.maker.ddn().json(&["chain", "proof", &key, "-o", &path])?;
            Ok(proven["exists"] == true)
        })?;
        let again = cheat.node.ddn().run(&["edge", "register", "--price", "0"])?;
        again.failed(1, &["convicted"])?;
        Ok(())
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
    if deed == "equivocates" {
        stage.convicts(cheat)?;
    }
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

/// What payers try, and what the server says to it; nothing: it waits for a voucher that does not come.
const TRICKS: [(&str, &str); 13] = [
    ("never-pays", ""),
    ("stops-paying", ""),
    ("replays", "as one that was honoured before"),
    ("shrinks", "one that was honoured before promises"),
    ("other-chain", "its signature does not hold"),
    ("other-key", "its key is"),
    ("other-payee", "its payee is"),
    ("overdraws", "the escrow pays this payee at most"),
    ("unknown-escrow", "is not on the ledger"),
    ("floods", "too many sessions"),
    ("dribbles", "the session was not opened in time"),
    ("huge-frame", "a frame of 4294967295 bytes"),
    ("wants-too-much", "blocks are wanted and not yet sent"),
];
/// What payers ask for.
const WANTED_BYTES: u64 = 8 << 20;
/// What a payer may have unpaid at first; it grows by each byte that is paid for.
const WINDOW_BYTES: u64 = 1 << 20;
/// Longer than any of them takes.
const TRICK_DEADLINE: Duration = Duration::from_secs(90);

#[test]
fn payers_who_cheat_gain_a_window_at_most_and_others_are_served_meanwhile() -> Result<()> {
    let maker = Node::dev()?;
    let reader = Node::joining(&maker)?;
    let folder = tempfile::tempdir()?;
    let (site, wanted) = (folder.path().join("site"), folder.path().join("wanted"));
    fs::create_dir(&wanted)?;
    let file: Vec<u8> = (0..WANTED_BYTES / 8).flat_map(u64::to_le_bytes).collect();
    fs::write(wanted.join("file.bin"), &file)?;
    publish(&maker, &wanted)?;
    println!("| trick | sessions | bytes that came | of them paid | how it ended |");
    for group in TRICKS.chunks(7) {
        thread::scope(|scope| {
            let trying: Vec<_> = group
                .iter()
                .map(|(trick, answer)| (trick, scope.spawn(|| tricked(&maker, &wanted, trick, answer))))
                .collect();
            let mut page = 0;
            while !trying.iter().all(|(_, trick)| trick.is_finished()) {
                page += 1;
                reads_something_new(&maker, &reader, &site, page)?;
            }
            ensure!(page > 0, "nobody read");
            for (trick, tried) in trying {
                let tried = tried.join().map_err(|_| anyhow::anyhow!("it panicked"));
                println!(
                    "{}",
                    tried.and_then(|row| row).with_context(|| (*trick).to_owned())?
                );
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A node publishes a page, and another one reads it.
fn reads_something_new(maker: &Node, reader: &Node, site: &Path, number: u32) -> Result<()> {
    let page = format!("<title>{number}</title>");
    fs::create_dir_all(site)?;
    fs::write(site.join("index.html"), &page)?;
    let cid = publish(maker, site)?;
    wait_until("somebody else reads", READ_DEADLINE, || {
        let reply = reader
            .gateway()?
            .get("127.0.0.1", &format!("/ipfs/{cid}/index.html"))?;
        Ok(reply.status == 200 && reply.text() == page)
    })
    .with_context(|| reader.log_tail())
}

/// A payer of its own tries something; what came of it.
fn tricked(maker: &Node, wanted: &Path, trick: &str, answer: &str) -> Result<String> {
    let cheat = Node::joining(maker)?;
    let escrow = text(&cheat.ddn().json(&["pay", "open", "0.01"])?, "/escrow")?;
    let mut command = Command::new(adversary_binary()?);
    command
        .args(["ask", trick, &wanted.to_string_lossy()])
        .arg("--key")
        .arg(cheat.data().join("keys/node.key"))
        .args(["--chain", &text(maker.card(), "/chain_id")?, "--escrow", &escrow])
        .args(["--server", &text(maker.card(), "/node_id")?])
        .args(["--at", &maker.listener("delivery")?.to_string()]);
    let ran = Running::start(command)?.finish(TRICK_DEADLINE)?;
    ran.ok()?;
    let gain = ran.json()?;
    let (came, paid) = (number(&gain, "/came")?, number(&gain, "/paid")?);
    let (sessions, ended) = (number(&gain, "/sessions")?, text(&gain, "/ended")?);
    ensure!(came - paid <= WINDOW_BYTES + paid, "{gain}");
    ensure!(ended.contains(answer), "{gain}");
    Ok(format!("| {trick} | {sessions} | {came} | {paid} | {ended} |"))
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
