//! Row C: content from one node to another, into a fresh store.
//!
//! Provider and reader are processes of their own. The floor does what cannot be left out: a stream of the same transport,
//! the hash of each block, the same store, durable at the end. What is paid goes by a ledger in memory.

pub mod get;
mod ledger;
pub mod serve;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
}

/// Every case, in the order in which they are measured.
pub const CASES: &[Case] = &[
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
    },
];

/// Coins for a MiB, in units: what a node asks by default.
const PRICE: u64 = 10_000;

/// Measures the wanted rows, and writes the page.
pub fn run(run: &Run) -> Result<()> {
    let work = TempDir::new_in("/dev/shm")?;
    eprintln!("writing files, starting providers");
    let stage = Stage::start(run, work.path())?;
    let mut patience = Duration::from_secs_f64(run.patience);
    for case in CASES.iter().filter(|case| run.wants(case.row)) {
        let outcome = stage.case(case, &mut patience)?;
        page::keep(&run.results, &outcome)?;
        page::write(&run.results, &run.page)?;
    }
    Ok(())
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
    fn start(run: &'a Run, work: &'a Path) -> Result<Stage<'a>> {
        let files = work.join("files");
        fs::create_dir(&files)?;
        for (at, case) in CASES.iter().enumerate() {
            for number in 0..case.files {
                fs::write(
                    files.join(file(case, number)),
                    noise(at * 1000 + number, case.bytes),
                )?;
            }
        }
        let torrent = Torrent::start(work, &files);
        Ok(Stage {
            run,
            work,
            paid: Provider::start(work, &files, "paid", PRICE)?,
            free: Provider::start(work, &files, "free", 0)?,
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
        let mut outcome = self.outcome(case);
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
                    .arg(serde_json::to_string(&provider.place)?)
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
        let (rate, each) = match case.unit {
            Unit::Bytes => (
                got.bytes as f64 / got.seconds,
                got.bytes as f64 / f64::from(1 << 20),
            ),
            _ => (case.files as f64 / got.seconds, case.files as f64),
        };
        let mut first = got.first_us;
        first.sort_by(f64::total_cmp);
        let last = first.len().saturating_sub(1);
        Ok(Measured {
            rate,
            cpu_us: cpu_s * 1e6 / each,
            p50_us: (!first.is_empty()).then(|| median(&first)),
            p99_us: first.get(last * 99 / 100).copied(),
            pss_kib: pss_kib(pid),
            ..Measured::default()
        })
    }

    fn outcome(&self, case: &Case) -> Outcome {
        Outcome {
            row: case.row.into(),
            name: case.name.into(),
            what: case.what.into(),
            unit: case.unit,
            rounds: Vec::new(),
            dropped: 0,
            disturbed: 0,
            goals: case.goals.to_vec(),
            goals_cpu: Vec::new(),
            goals_p50: case.goals_p50.to_vec(),
            goals_p99: Vec::new(),
            seconds: 0.0,
            profile: self.run.profile.clone(),
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
        let (process, line) = spoken(name, command)?;
        let place = serde_json::from_str(&line).with_context(|| format!("the provider said {line:?}"))?;
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
        let (process, port) = spoken("libtorrent", command)?;
        Ok(Torrent {
            script,
            port,
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

/// Starts a program that ends with its input, and returns the first line that it says.
fn spoken(name: &'static str, mut command: Command) -> Result<(Process, String)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("starting {name}"))?;
    let mut process = Process { name, child };
    let out = process.child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line)?;
    if line.is_empty() {
        bail!("{name} did not start; `ops/packages bench` installs what is needed");
    }
    Ok((process, line.trim().to_owned()))
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
