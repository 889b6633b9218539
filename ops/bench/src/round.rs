//! The rounds of a case, and what is kept of them.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::case::{Case, Load, Measured, Outcome, Peer};
use crate::cases::CASES;
use crate::content::{self, LARGE};
use crate::load::Holder;
use crate::machine::{Machine, is_quiet};
use crate::server::{Servers, Target};
use crate::statistics::median;
use crate::{Run, delivery, load, names, page, stream};

/// A warm-up fills caches; it is not counted.
const WARM_UP: Duration = Duration::from_secs(1);
/// A round whose floor is further from the median is no measure of anything.
const FLOOR_DEVIATION_MAX: f64 = 0.15;

/// Measures all wanted rows, and writes the page.
pub fn run(run: &Run) -> Result<()> {
    let cases: Vec<&Case> = CASES.iter().filter(|case| run.wants(case.row)).collect();
    let of_names = names::CASES.iter().any(|case| run.wants(case.row));
    let of_delivery = delivery::cases().any(|case| run.wants(case.row));
    ensure!(
        !cases.is_empty() || of_names || of_delivery,
        "there is no row like {:?}",
        run.rows
    );
    raise_file_limit()?;
    fs::create_dir_all(&run.results)?;
    if of_names {
        names::run(run)?;
    }
    if of_delivery {
        delivery::run(run)?;
    }
    if cases.is_empty() {
        return Ok(());
    }
    // In memory, so that no disk has a part in it.
    let files = TempDir::new_in("/dev/shm")?;
    let work = TempDir::new()?;
    eprintln!("writing files, starting servers");
    content::write(files.path(), run.large_mib)?;
    let memory_mib = run.large_mib + run.large_mib / 4 + 256;
    let servers = Servers::start(files.path(), work.path(), memory_mib)?;
    let mut bench = Bench {
        run,
        servers: &servers,
        work: work.path(),
        files: files.path(),
        patience: Duration::from_secs_f64(run.patience),
    };
    let mut failed = Vec::new();
    for case in cases {
        match bench.case(case) {
            Ok(Some(outcome)) => page::keep(&run.results, &outcome)?,
            Ok(None) => eprintln!("{} {}: the node does not offer it", case.row, case.name),
            Err(error) => {
                eprintln!("{} {}: {error:#}", case.row, case.name);
                failed.push(case.name);
            }
        }
        page::write(&run.results, &run.page)?;
    }
    eprintln!("written: {}", run.page.display());
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

struct Bench<'a> {
    run: &'a Run,
    servers: &'a Servers,
    work: &'a Path,
    files: &'a Path,
    /// How long rounds may still wait for a quiet machine.
    patience: Duration,
}

impl Bench<'_> {
    /// All rounds of a case; `None` if the node has no such thing.
    fn case(&mut self, case: &Case) -> Result<Option<Outcome>> {
        let tls = is_encrypted(&case.load);
        let peers = [&[Peer::Node], case.peers].concat();
        let targets: Vec<(Peer, Option<Target>)> = peers
            .iter()
            .map(|peer| (*peer, self.servers.target(*peer, tls)))
            .collect();
        let targets: Vec<(Peer, Target)> = targets
            .into_iter()
            .filter_map(|(peer, target)| Some((peer, target?)))
            .collect();
        if targets.first().is_none_or(|(peer, _)| *peer != Peer::Node) {
            return Ok(None);
        }
        let (mut warm, mut held) = (Vec::new(), Vec::new());
        for (peer, target) in targets {
            match self.warm(case, &target, tls, &mut held) {
                Ok(()) => warm.push((peer, target)),
                // There is nothing to measure without the node.
                Err(error) if peer == Peer::Node => return Err(error),
                Err(error) => eprintln!("left out: {}: {error:#}", peer.name()),
            }
        }
        let targets = warm;
        let mut outcome = outcome(case, self.run);
        for at in 0..self.run.rounds {
            if !is_quiet(&mut self.patience)? {
                outcome.disturbed += 1;
            }
            let mut round = Vec::new();
            for turn in 0..targets.len() {
                let (peer, target) = &targets[(at + turn) % targets.len()];
                round.push((*peer, self.measure(case, target, self.run.time(), &mut held)?));
            }
            tell(case, at, &round);
            outcome.rounds.push(round);
        }
        drop_disturbed(&mut outcome);
        Ok(Some(outcome))
    }

    fn measure(
        &self,
        case: &Case,
        target: &Target,
        time: Duration,
        held: &mut Vec<Holder>,
    ) -> Result<Measured> {
        match case.load {
            Load::Idle { connections, tls } => load::idle(target, connections, tls, held),
            _ => load::measure(&case.load, target, time, self.work, self.run.large_mib << 20),
        }
    }

    /// Fills the server's memory, and sees that it gives the right bytes.
    fn warm(&self, case: &Case, target: &Target, tls: bool, held: &mut Vec<Holder>) -> Result<()> {
        if !tls {
            let file = file_of(&case.load);
            let come = get(target, file)?;
            let expected = fs::metadata(self.files.join(file))?.len();
            ensure!(come.0 == expected, "{file} came with {} bytes", come.0);
            if file != LARGE {
                ensure!(
                    come.1 == fs::read(self.files.join(file))?,
                    "{file} came with other bytes"
                );
            }
        }
        if let Load::Ranges { .. } = case.load {
            self.measure(case, target, WARM_UP, held)?;
        }
        self.measure(case, target, WARM_UP, held).map(drop)
    }
}

/// Leaves out the rounds whose floor was off.
pub fn drop_disturbed(outcome: &mut Outcome) {
    let floor = |round: &[(Peer, Measured)]| {
        let found = round.iter().find(|(peer, _)| *peer == Peer::Floor);
        found.map(|(_, measured)| measured.rate)
    };
    let floors: Vec<f64> = outcome.rounds.iter().filter_map(|round| floor(round)).collect();
    if floors.is_empty() || outcome.unit == crate::case::Unit::KibPerConnection {
        return;
    }
    let middle = median(&floors);
    let before = outcome.rounds.len();
    outcome
        .rounds
        .retain(|round| floor(round).is_none_or(|floor| (floor / middle - 1.0).abs() <= FLOOR_DEVIATION_MAX));
    outcome.dropped = before - outcome.rounds.len();
}

fn outcome(case: &Case, run: &Run) -> Outcome {
    Outcome {
        row: case.row.into(),
        name: case.name.into(),
        what: case.load.words(),
        unit: case.load.unit(),
        rounds: Vec::new(),
        dropped: 0,
        disturbed: 0,
        goals: case.goals.to_vec(),
        goals_cpu: Vec::new(),
        goals_p50: Vec::new(),
        goals_p99: Vec::new(),
        seconds: run.seconds,
        profile: run.profile.clone(),
        machine: Machine::here(),
    }
}

fn tell(case: &Case, at: usize, round: &[(Peer, Measured)]) {
    let mut sorted = round.to_vec();
    sorted.sort_by_key(|(peer, _)| *peer);
    let each = sorted.iter().map(|(peer, measured)| {
        let rate = page::rate(case.load.unit(), measured.rate);
        format!("{} {rate} ({:.2} us)", peer.name(), measured.cpu_us)
    });
    eprintln!(
        "{} {} {}: {}",
        case.row,
        case.name,
        at + 1,
        each.collect::<Vec<_>>().join(", ")
    );
}

fn is_encrypted(load: &Load) -> bool {
    match load {
        Load::Wrk { tls, .. } | Load::Idle { tls, .. } => *tls,
        Load::H2 { .. } | Load::H3 { .. } => true,
        Load::Light { .. } | Load::Ranges { .. } | Load::Stream => false,
    }
}

fn file_of(load: &Load) -> &'static str {
    match load {
        Load::Wrk { file, .. } | Load::Light { file, .. } | Load::H2 { file, .. } | Load::H3 { file, .. } => {
            file
        }
        Load::Ranges { .. } | Load::Stream => LARGE,
        Load::Idle { .. } => "1k.bin",
    }
}

/// The length of a body, and the body if it is not large.
fn get(target: &Target, file: &str) -> Result<(u64, Vec<u8>)> {
    let mut stream = TcpStream::connect(target.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut body = Vec::new();
    let length = stream::get(&mut stream, target.address, &target.path(file), &mut |part| {
        if body.len() < KEPT_BYTES {
            body.extend_from_slice(part);
        }
    })?;
    Ok((length, body))
}

/// As many connections as are measured need as many files.
fn raise_file_limit() -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")
}

/// More than the largest file whose bytes are compared.
const KEPT_BYTES: usize = 4 << 20;
