//! `kill -9` at random points of publish, again and again on one data folder.
//!
//! After each restart: what was acknowledged is there, what was not is either finished by the node or gone without a trace,
//! the chain goes on, every block of the store is what its CID says, and no coin appeared or vanished.
//!
//! `DDN_CRASHES` sets the number of rounds (default 5), `DDN_SEED` repeats a run that failed; both are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use testkit::{Ddn, Launch, Node, Ran, tree, wait_until};

use crate::{campaign, number, text};

/// Rounds when nobody says otherwise.
const ROUNDS: u64 = 5;

/// A block of a dev chain takes about a second.
const BLOCK_DEADLINE: Duration = Duration::from_secs(30);

/// An interrupted publish that the node finishes needs two blocks more.
const RESUME_DEADLINE: Duration = Duration::from_secs(60);

/// About how long the files of one attempt take to be read, hashed and stored.
const STORING: Duration = Duration::from_millis(300);

/// About how long a first start takes.
const FIRST_START: Duration = Duration::from_millis(900);

/// How often a name is new; otherwise an old one gets other content.
const NEW_NAME_ODDS: f64 = 0.6;

/// Who is stopped, and how: mostly the node without a warning, sometimes with one, sometimes only its client.
const ENDS: [End; 6] = [
    End::NodeKilled,
    End::NodeKilled,
    End::NodeKilled,
    End::NodeKilled,
    End::NodeStopped,
    End::ClientKilled,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// SIGKILL to the node.
    NodeKilled,
    /// SIGTERM to the node: it has time, and stops in order.
    NodeStopped,
    /// SIGKILL to the client.
    ClientKilled,
}

/// What the user was told, and what therefore has to be true for ever.
struct Story {
    node: Node,
    random: StdRng,
    /// Content by name, as acknowledged.
    names: BTreeMap<String, String>,
    /// The folder of each acknowledged CID.
    content: BTreeMap<String, TempDir>,
    /// How long an undisturbed publish takes: kills are drawn from a bit more than that.
    usual: Duration,
}

/// One publish that may not come to its end.
struct Attempt {
    name: String,
    cid: String,
    folder: TempDir,
}

#[test]
fn kill_minus_nine_loses_nothing() -> Result<()> {
    let (rounds, seed) = campaign(ROUNDS)?;
    let mut story = Story::begin(seed)?;
    for round in 1..=rounds {
        story
            .round()
            .with_context(|| format!("round {round} of DDN_SEED={seed}\n{}", story.node.log_tail()))?;
    }
    story.everything_is_there()?;
    println!(
        "{} names and {} folders acknowledged and there",
        story.names.len(),
        story.content.len()
    );
    Ok(())
}

/// A first start that is cut short leaves a folder that the next start can use.
#[test]
fn a_first_start_that_is_cut_does_no_harm() -> Result<()> {
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..4 {
        let home = tempfile::tempdir()?;
        let data = home.path().join("data");
        let moment = FIRST_START.mul_f64(random.random());
        let mut up = Ddn::new(&data).start(&[
            "up",
            "--dev",
            "--set",
            "gateway.listen=127.0.0.1:0",
            "--set",
            "dns.listen=127.0.0.1:0",
            "--set",
            "admin.listen=127.0.0.1:0",
            "--set",
            "engine.listen=127.0.0.1:0",
        ])?;
        let start = Instant::now();
        wait_until("the moment", BLOCK_DEADLINE, || {
            Ok(start.elapsed() >= moment || up.ended()?)
        })?;
        drop(up);
        let mut node = Node::launch(Launch {
            data: Some(data),
            ..Launch::default()
        })
        .with_context(|| format!("a start after one that was cut after {moment:?}"))?;
        node.ddn().ok(&["repo", "verify"])?;
        node.stop()?;
    }
    Ok(())
}

impl Story {
    /// A node with one undisturbed publish.
    fn begin(seed: u64) -> Result<Self> {
        let node = Node::dev()?;
        let random = StdRng::seed_from_u64(seed);
        let empty = BTreeMap::new();
        let mut story = Self {
            node,
            random,
            names: empty,
            content: BTreeMap::new(),
            usual: Duration::ZERO,
        };
        let attempt = story.attempt()?;
        let start = Instant::now();
        story.node.ddn().ok(&story.command(&attempt))?;
        story.usual = start.elapsed();
        story.acknowledge(attempt);
        Ok(story)
    }

    fn round(&mut self) -> Result<()> {
        let attempt = self.attempt()?;
        let told = self.interrupted(&attempt)?;
        let height = self.height()?;
        self.jobs_end()?;
        self.outcome(attempt, told.as_ref())?;
        wait_until(
            "the chain goes on",
            BLOCK_DEADLINE,
            || Ok(self.height()? > height),
        )?;
        self.names_are_right()?;
        self.store_is_clean()?;
        self.supply_is_conserved()
    }

    /// A folder that nobody has yet, for a new name or an old one.
    fn attempt(&mut self) -> Result<Attempt> {
        let folder = tempfile::tempdir()?;
        let files = self.random.random_range(1..60);
        tree::generated(folder.path(), files, self.random.random())?;
        let only_hash = ["publish", &folder.path().to_string_lossy(), "--only-hash"];
        let cid = text(&self.node.ddn().json(&only_hash)?, "/cid")?;
        let new = self.names.is_empty() || self.random.random_bool(NEW_NAME_ODDS);
        let name = match new {
            true => format!("site{}.ddn", self.random.random_range(0..u32::MAX)),
            false => {
                let nth = self.random.random_range(0..self.names.len());
                self.names.keys().nth(nth).context("a known name")?.clone()
            }
        };
        Ok(Attempt { name, cid, folder })
    }

    fn command(&self, attempt: &Attempt) -> Vec<String> {
        let path = attempt.folder.path().to_string_lossy().into_owned();
        ["publish", &path, "--name", &attempt.name, "--json"]
            .map(String::from)
            .to_vec()
    }

    /// Publishes, ends the node or the client somewhere on the way, and starts the node again if it was the node. What the
    /// client was told, if it lived to hear it.
    fn interrupted(&mut self, attempt: &Attempt) -> Result<Option<Ran>> {
        let end = ENDS[self.random.random_range(0..ENDS.len())];
        // Most of a publish is waiting for blocks; half of the ends come where the files are read and stored.
        let span = if self.random.random_bool(0.5) {
            self.usual.mul_f64(1.2)
        } else {
            STORING
        };
        let moment = span.mul_f64(self.random.random());
        let mut client = self.node.ddn().start(&self.command(attempt))?;
        let start = Instant::now();
        wait_until("the moment", BLOCK_DEADLINE, || {
            Ok(start.elapsed() >= moment || client.ended()?)
        })?;
        println!("{}: {end:?} after {:?}", attempt.name, start.elapsed());
        match end {
            End::ClientKilled => {
                drop(client);
                return Ok(None);
            }
            End::NodeKilled => drop(self.node.kill9()?),
            End::NodeStopped => self.node.stop()?,
        }
        let told = client
            .finish(BLOCK_DEADLINE)
            .context("the client of a dead node ends")?;
        self.node.start()?;
        Ok(Some(told))
    }

    /// What became of the attempt: it must be there if the client was told so, and it may be there if not; half of it is a
    /// failure.
    fn outcome(&mut self, attempt: Attempt, told: Option<&Ran>) -> Result<()> {
        let acknowledged = told.is_some_and(|ran| ran.code == Some(0));
        if let Some(ran) = told.filter(|ran| ran.code != Some(0)) {
            ran.refused(1, &[])?;
        }
        let now = self.resolved(&attempt.name)?;
        let before = self.names.get(&attempt.name).cloned();
        match (acknowledged, now) {
            (_, Some(cid)) if cid == attempt.cid => self.acknowledge(attempt),
            (true, now) => bail!(
                "{} was acknowledged for {} and is now {now:?}",
                attempt.cid,
                attempt.name
            ),
            (false, now) => {
                ensure!(
                    now == before,
                    "{} was {before:?} and is now {now:?}",
                    attempt.name
                );
                let pins = self.pins()?;
                ensure!(
                    !pins.contains(&attempt.cid),
                    "{} failed, yet {} stays pinned",
                    attempt.name,
                    attempt.cid
                );
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, attempt: Attempt) {
        self.names.insert(attempt.name, attempt.cid.clone());
        self.content.insert(attempt.cid, attempt.folder);
    }

    /// The node ends by itself what was interrupted, one way or the other.
    fn jobs_end(&self) -> Result<()> {
        let (admin, bearer) = (self.node.admin()?, self.node.bearer()?);
        wait_until("no publish is under way", RESUME_DEADLINE, || {
            let fields = [("authorization", bearer.as_str())];
            let reply = admin.send("GET", "localhost", "/v1/publish", &fields, Vec::new())?;
            ensure!(reply.status == 200, "GET /v1/publish: {}", reply.text());
            let jobs = reply.json()?;
            let jobs = jobs
                .as_array()
                .or_else(|| jobs["jobs"].as_array())
                .context("a list of jobs")?
                .clone();
            Ok(jobs.is_empty())
        })
    }

    fn names_are_right(&self) -> Result<()> {
        for (name, cid) in &self.names {
            let now = self.resolved(name)?;
            ensure!(
                now.as_ref() == Some(cid),
                "{name} was acknowledged for {cid} and is now {now:?}"
            );
        }
        Ok(())
    }

    fn store_is_clean(&self) -> Result<()> {
        let pins = self.pins()?;
        for cid in self.content.keys() {
            ensure!(pins.contains(cid), "{cid} was acknowledged and is not pinned");
        }
        self.node.ddn().ok(&["repo", "verify"])?;
        let freed = self.node.ddn().json(&["repo", "gc"])?;
        ensure!(
            number(&freed, "/blocks")? == 0,
            "an interrupted publish left garbage: {freed}"
        );
        Ok(())
    }

    fn supply_is_conserved(&self) -> Result<()> {
        let status = self.node.ddn().json(&["chain", "status"])?;
        ensure!(
            status["supply"] == status["accounted"] && !status["supply"].is_null(),
            "coins: {status}"
        );
        Ok(())
    }

    /// Every acknowledged folder comes back as it was, after one more clean restart.
    fn everything_is_there(&mut self) -> Result<()> {
        self.node.restart()?;
        self.names_are_right()?;
        for (cid, folder) in &self.content {
            let out = tempfile::tempdir()?;
            let copy = out.path().join("copy");
            self.node.ddn().ok(&["get", cid, "-o", &copy.to_string_lossy()])?;
            tree::same(folder.path(), &copy)?;
        }
        Ok(())
    }

    fn height(&self) -> Result<u64> {
        number(&self.node.ddn().json(&["chain", "status"])?, "/height")
    }

    fn resolved(&self, name: &str) -> Result<Option<String>> {
        let reply =
            self.node
                .dns()?
                .ask(testkit::Transport::Udp, name, hickory_proto::rr::RecordType::TXT)?;
        let texts = reply.answers.iter().map(|record| record.data.to_string());
        Ok(texts
            .into_iter()
            .find_map(|found| Some(found.trim_matches('"').strip_prefix("dnslink=/ipfs/")?.to_owned())))
    }

    fn pins(&self) -> Result<BTreeSet<String>> {
        let pins = self.node.ddn().json(&["repo", "pins"])?;
        let pins = pins
            .as_array()
            .or_else(|| pins["pins"].as_array())
            .context("a list of pins")?
            .clone();
        pins.iter().map(|pin| text(pin, "/cid")).collect()
    }
}
