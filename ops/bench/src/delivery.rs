//! Rows C and P: content from one node to another, into a fresh store.
//!
//! Provider and reader are processes of their own. The floor does what cannot be left out: a stream of the same transport,
//! the hash of each block, the same store, durable at the end. What is paid goes by a ledger in memory.

pub mod get;
pub mod hold;
mod ledger;
mod paths;
pub mod serve;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::Run;
use crate::case::{Measured, Outcome, Peer, Unit};
use crate::load::output;
use crate::machine::{Machine, cpu_time, is_quiet, pss_kib};
use crate::page;
use crate::round::drop_disturbed;
use crate::server::Process;
use crate::statistics::median;
use paths::Way;
use serve::{PAYERS, Place};

/// One comparison.
pub struct Case {
    /// The row of the plan.
    pub row: &'static str,
    /// In a few words.
    pub name: &'static str,
    what: &'static str,
    /// How its files are called, how many there are, and how long they are.
    prefix: &'static str,
    files: usize,
    bytes: usize,
    unit: Unit,
    peers: &'static [Peer],
    goals: &'static [(Peer, f64)],
    goals_p50: &'static [(Peer, f64)],
    /// What becomes of the way, if that is what it is about.
    way: Option<Way>,
}

/// Every case of both rows, in the order in which they are measured.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(&paths::CASES)
}

const CASES: &[Case] = &[
    Case {
        row: "C",
        name: "256 MiB into a fresh store",
        what: "one file of 256 MiB in blocks of 1 MiB, a new connection each time, kept durably",
        prefix: "large",
        files: 1,
        bytes: 256 << 20,
        unit: Unit::Bytes,
        peers: &[Peer::Floor, Peer::Free, Peer::Libtorrent],
        goals: &[(Peer::Floor, 0.8), (Peer::Free, 0.98), (Peer::Libtorrent, 2.0)],
        goals_p50: &[],
        way: None,
    },
    Case {
        row: "C",
        name: "files of 1 MiB over one connection",
        what: "33 files of 1 MiB, one after the other, each kept durably; the latency is that until a whole file is here",
        prefix: "mib",
        files: 33,
        bytes: 1 << 20,
        unit: Unit::Bytes,
        peers: &[Peer::Floor, Peer::Free],
        goals: &[(Peer::Floor, 0.8)],
        goals_p50: &[],
        way: None,
    },
    Case {
        row: "C",
        name: "first byte over a connection that is open",
        what: "101 files of 1 KiB, one after the other: from the question to the block; of the floor, one byte there and back",
        prefix: "kib",
        files: 101,
        bytes: 1 << 10,
        unit: Unit::Requests,
        peers: &[Peer::Floor, Peer::Free],
        goals: &[],
        goals_p50: &[(Peer::Floor, 5.0)],
        way: None,
    },
    Case {
        row: "C",
        name: "idle peers",
        what: "1,000 peers, each with a connection of its own after one offer: what the provider has more in memory",
        prefix: "kib",
        files: 101,
        bytes: 1 << 10,
        unit: Unit::KibPerConnection,
        peers: &[],
        goals: &[],
        goals_p50: &[],
        way: None,
    },
];

/// Peers that are idle.
const IDLE_PEERS: u16 = 1000;
/// Coins for a MiB, in units: what a node asks by default.
const PRICE: u64 = 10_000;

/// Measures the wanted rows, and writes the page.
pub fn run(run: &Run) -> Result<()> {
    let work = TempDir::new_in("/dev/shm")?;
    eprintln!("writing files, starting providers");
    let files = write_files(run, work.path())?;
    if CASES.iter().any(|case| run.wants(case.row)) {
        near(run, work.path(), &files)?;
    }
    paths::run(run, work.path(), &files)
}

/// Row C.
fn near(run: &Run, work: &Path, files: &Path) -> Result<()> {
    let stage = Stage::start(run, work, files)?;
    let mut patience = Duration::from_secs_f64(run.patience);
    for case in CASES {
        let outcome = stage.case(case, &mut patience)?;
        page::keep(&run.results, &outcome)?;
        page::write(&run.results, &run.page)?;
    }
    Ok(())
}

/// The files of all wanted cases.
fn write_files(run: &Run, work: &Path) -> Result<PathBuf> {
    let files = work.join("files");
    fs::create_dir(&files)?;
    for (at, case) in cases().enumerate().filter(|(_, case)| run.wants(case.row)) {
        for number in 0..case.files {
            let path = files.join(file(case, number));
            if !path.exists() {
                fs::write(path, noise(at * 1000 + number, case.bytes))?;
            }
        }
    }
    Ok(files)
}

struct Stage<'a> {
    run: &'a Run,
    work: &'a Path,
    paid: Provider,
    free: Provider,
    torrent: Option<Torrent>,
}

/// A node that has the content.
struct Provider {
    place: Place,
    process: Process,
}

/// A BitTorrent client that has it.
struct Torrent {
    script: PathBuf,
    port: String,
    torrents: PathBuf,
    process: Process,
}

impl<'a> Stage<'a> {
    fn start(run: &'a Run, work: &'a Path, files: &Path) -> Result<Stage<'a>> {
        let torrent = Torrent::start(work, files);
        Ok(Stage {
            run,
            work,
            paid: Provider::start(work, files, "paid", PRICE)?,
            free: Provider::start(work, files, "free", 0)?,
            torrent: torrent.inspect_err(|error| eprintln!("left out: {error:#}")).ok(),
        })
    }

    fn case(&self, case: &Case, patience: &mut Duration) -> Result<Outcome> {
        let is_here = |peer: &Peer| *peer != Peer::Libtorrent || self.torrent.is_some();
        let peers: Vec<Peer> = [&[Peer::Node], case.peers]
            .concat()
            .into_iter()
            .filter(is_here)
            .collect();
        let mut outcome = case.outcome(self.run);
        for at in 0..=self.run.rounds {
            if !is_quiet(patience)? {
                outcome.disturbed += 1;
            }
            let mut round = Vec::new();
            for turn in 0..peers.len() {
                let peer = peers[(at + turn) % peers.len()];
                round.push((peer, self.measure(case, peer, at)?));
            }
            round.sort_by_key(|(peer, _)| *peer);
            let each = round.iter().map(|(peer, measured)| {
                let rate = page::rate(case.unit, measured.rate);
                let first = measured.p50_us.unwrap_or_default();
                format!(
                    "{} {rate} ({:.0} us, {first:.0} us)",
                    peer.name(),
                    measured.cpu_us
                )
            });
            eprintln!(
                "{} {} {at}: {}",
                case.row,
                case.name,
                each.collect::<Vec<_>>().join(", ")
            );
            // The first one warms up.
            if at > 0 {
                outcome.rounds.push(round);
            }
        }
        drop_disturbed(&mut outcome);
        Ok(outcome)
    }

    fn measure(&self, case: &Case, peer: Peer, round: usize) -> Result<Measured> {
        let target = TempDir::new_in(self.work)?;
        if case.unit == Unit::KibPerConnection {
            return self.hold(target.path());
        }
        let store = target.path().join("store");
        let names = (0..case.files).map(|number| file(case, number));
        let (server, command) = match peer {
            Peer::Libtorrent => {
                let torrent = self.torrent.as_ref().context("there is no BitTorrent client")?;
                (&torrent.process, torrent.get(&file(case, 0), target.path()))
            }
            _ => {
                let provider = if peer == Peer::Free {
                    &self.free
                } else {
                    &self.paid
                };
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .arg("delivery-get")
                    .arg(serde_json::to_string(&[&provider.place])?)
                    .arg(&store);
                command.arg((round % usize::from(PAYERS)).to_string());
                if peer == Peer::Floor {
                    command.arg("--floor");
                }
                command.args(names);
                (&provider.process, command)
            }
        };
        let pid = server.child.id();
        let before = cpu_time(pid);
        let got: get::Outcome = serde_json::from_str(&output(command)?)?;
        ensure!(
            got.bytes >= (case.files * case.bytes) as u64,
            "{} brought {} bytes",
            peer.name(),
            got.bytes
        );
        let cpu_s = got.cpu_s + cpu_time(pid).saturating_sub(before).as_secs_f64();
        Ok(measured(&got, cpu_s, case.unit, case.files, pid))
    }
}

impl Stage<'_> {
    /// What so many idle peers take of a provider of their own.
    fn hold(&self, target: &Path) -> Result<Measured> {
        let provider = Provider::start(target, &self.work.join("files"), "idle", PRICE)?;
        let pid = provider.process.child.id();
        let before = pss_kib(pid);
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("delivery-hold")
            .arg(serde_json::to_string(&provider.place)?);
        command.arg(IDLE_PEERS.to_string());
        let held = spoken("idle peers", command)?;
        ensure!(held.said == "open", "the peers said {:?}", held.said);
        let after = pss_kib(pid);
        Ok(Measured {
            rate: after.saturating_sub(before) as f64 / f64::from(IDLE_PEERS),
            pss_kib: after,
            ..Measured::default()
        })
    }
}

/// What came of a fetch of so many files, with the processor time of both sides.
fn measured(got: &get::Outcome, cpu_s: f64, unit: Unit, files: usize, pid: u32) -> Measured {
    let (rate, each) = match unit {
        Unit::Bytes | Unit::Megabytes => (
            got.bytes as f64 / got.seconds,
            // Where nothing came, its cost is that of the attempt.
            (got.bytes as f64 / f64::from(1 << 20)).max(1.0),
        ),
        _ => (files as f64 / got.seconds, files as f64),
    };
    let mut first = got.first_us.clone();
    first.sort_by(f64::total_cmp);
    let last = first.len().saturating_sub(1);
    Measured {
        rate,
        cpu_us: cpu_s * 1e6 / each,
        p50_us: (!first.is_empty()).then(|| median(&first)),
        p99_us: first.get(last * 99 / 100).copied(),
        pss_kib: pss_kib(pid),
        ..Measured::default()
    }
}

impl Case {
    /// Without rounds.
    fn outcome(&self, run: &Run) -> Outcome {
        Outcome {
            row: self.row.into(),
            name: self.name.into(),
            what: self.what.into(),
            unit: self.unit,
            rounds: Vec::new(),
            dropped: 0,
            disturbed: 0,
            goals: self.goals.to_vec(),
            goals_cpu: Vec::new(),
            goals_p50: self.goals_p50.to_vec(),
            goals_p99: Vec::new(),
            seconds: 0.0,
            profile: run.profile.clone(),
            machine: Machine::here(),
        }
    }
}

impl Provider {
    fn start(work: &Path, files: &Path, name: &'static str, price: u64) -> Result<Provider> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("delivery-serve")
            .arg(files)
            .arg(work.join(name))
            .arg(price.to_string());
        Provider::started(name, command)
    }

    fn started(name: &'static str, command: Command) -> Result<Provider> {
        let Spoken { process, said, .. } = spoken(name, command)?;
        let place = serde_json::from_str(&said).with_context(|| format!("the provider said {said:?}"))?;
        Ok(Provider { place, process })
    }
}

impl Torrent {
    fn start(work: &Path, files: &Path) -> Result<Torrent> {
        let (script, torrents) = (work.join("torrent.py"), work.join("torrents"));
        fs::write(&script, include_str!("delivery/torrent.py"))?;
        fs::create_dir(&torrents)?;
        let mut command = Command::new("/usr/bin/python3");
        command.arg(&script).arg("seed").args([files, &torrents]);
        let Spoken { process, said, .. } = spoken("libtorrent", command)?;
        Ok(Torrent {
            script,
            port: said,
            torrents,
            process,
        })
    }

    fn get(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new("/usr/bin/python3");
        command.arg(&self.script).args(["get", &self.port]);
        command.arg(self.torrents.join(name)).arg(folder);
        command
    }
}

/// A program, and what it said.
struct Spoken {
    process: Process,
    /// Its first line.
    said: String,
    /// What comes after it.
    out: BufReader<ChildStdout>,
}

/// Starts a program that ends with its input, and waits for the first line that it says.
fn spoken(name: &'static str, mut command: Command) -> Result<Spoken> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    let mut process = Process { name, child };
    let mut out = BufReader::new(process.child.stdout.take().context("no output")?);
    let mut line = String::new();
    out.read_line(&mut line)?;
    if line.is_empty() {
        bail!("{name} did not start; `ops/packages bench` installs what is needed");
    }
    let said = line.trim().to_owned();
    Ok(Spoken { process, said, out })
}

fn file(case: &Case, number: usize) -> String {
    format!("{}{number:03}.bin", case.prefix)
}

/// Bytes that nobody compresses, another sequence for each seed.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).to_le_bytes()
    });
    words.flatten().take(length).collect()
}
