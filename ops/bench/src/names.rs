//! Rows D, E and G: names. DNS servers with the same zone, each with one worker on one core, `dnsperf` on the other.
//!
//! With 1,000 names ours is a whole node, on a chain that holds them. With 1,000,000, or where that is wanted, it is the DNS
//! server alone, over names that are computed: a chain of a million would take hours to write. The page says which it was.

pub mod answers;
pub mod floor;
mod load;
pub mod paced;
mod servers;
pub mod visit;
mod zone;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::Run;
use crate::case::{Measured, Outcome, Peer, Unit};
use crate::machine::{Machine, is_quiet, pss_kib};
use crate::page;
use crate::round::drop_disturbed;
use load::Questions;
use servers::{Server, Servers};

/// A warm-up fills memories; it is not counted.
const WARM_UP: Duration = Duration::from_secs(1);
const FEW: usize = 1_000;
const MANY: usize = 1_000_000;

/// One comparison.
pub struct Case {
    /// The row of the plan.
    pub row: &'static str,
    /// In a few words.
    pub name: &'static str,
    names: usize,
    load: Load,
    peers: &'static [Peer],
    goals: &'static [(Peer, f64)],
    goals_cpu: &'static [(Peer, f64)],
    goals_p50: &'static [(Peer, f64)],
    goals_p99: &'static [(Peer, f64)],
}

#[derive(Clone, Copy)]
enum Load {
    /// As many questions as are answered.
    Most(Asked),
    /// So many a second, for latencies: this part of what was answered at most.
    Paced(f64),
    /// So many a second with few names and with many: what the latencies make of each other.
    Growth,
    /// Memory for each name.
    Memory,
    /// A name is asked for, and then its page.
    Visit,
}

/// What is asked.
#[derive(Clone, Copy)]
pub enum Asked {
    /// The address of a name.
    A,
    /// The DNSLink of a name.
    Text,
    /// A name that is not there.
    Missing,
}

const USUAL: &[Peer] = &[Peer::Floor, Peer::Nsd, Peer::Knot];
const BLANK: Case = Case {
    row: "D1",
    name: "",
    names: FEW,
    load: Load::Most(Asked::A),
    peers: USUAL,
    goals: &[(Peer::Knot, 1.0)],
    goals_cpu: &[(Peer::Knot, 1.0), (Peer::Floor, 0.85)],
    goals_p50: &[],
    goals_p99: &[],
};
/// Where the goals are latencies, or there are none.
const UNHURRIED: Case = Case {
    goals: &[],
    goals_cpu: &[],
    ..BLANK
};

/// Every case, in the order in which they are measured.
pub const CASES: &[Case] = &[
    Case {
        name: "A, 1,000 names",
        ..BLANK
    },
    Case {
        name: "TXT, 1,000 names",
        load: Load::Most(Asked::Text),
        ..BLANK
    },
    Case {
        name: "NXDOMAIN",
        load: Load::Most(Asked::Missing),
        ..BLANK
    },
    Case {
        row: "D2",
        name: "latency at 10 % of the most",
        load: Load::Paced(0.1),
        goals_p99: &[(Peer::Nsd, 1.5)],
        ..UNHURRIED
    },
    Case {
        row: "D2",
        name: "latency at 50 % of the most",
        load: Load::Paced(0.5),
        goals_p99: &[(Peer::Nsd, 1.5)],
        ..UNHURRIED
    },
    Case {
        row: "D3",
        name: "A, 1,000,000 names",
        names: MANY,
        ..BLANK
    },
    Case {
        row: "E",
        name: "from a name to the first byte",
        load: Load::Visit,
        peers: &[Peer::Nginx],
        // One after the other: two and a half times as long.
        goals: &[(Peer::Nginx, 0.4)],
        ..UNHURRIED
    },
    Case {
        row: "G",
        name: "memory for each of 1,000,000 names",
        names: MANY,
        load: Load::Memory,
        peers: &[Peer::Nsd, Peer::Knot],
        ..UNHURRIED
    },
    Case {
        row: "G",
        name: "latency with 1,000,000 names, at 10 % of the most",
        names: MANY,
        load: Load::Growth,
        goals_p50: &[(Peer::FewNames, 1.3)],
        goals_p99: &[(Peer::FewNames, 1.3)],
        peers: &[Peer::FewNames, Peer::Nsd, Peer::Knot],
        ..UNHURRIED
    },
];

/// Measures the wanted rows of names, and writes the page.
pub fn run(run: &Run) -> Result<()> {
    let mut failed = Vec::new();
    for names in [FEW, MANY] {
        let cases = CASES
            .iter()
            .filter(|case| case.names == names && run.wants(case.row));
        let cases: Vec<&Case> = cases.collect();
        if cases.is_empty() {
            continue;
        }
        let work = TempDir::new_in("/dev/shm")?;
        eprintln!("starting servers with {names} names");
        let visits = cases.iter().any(|case| matches!(case.load, Load::Visit));
        let is_alone = names != FEW || run.dns_alone && !visits;
        let servers = Servers::start(work.path(), names, is_alone, visits)?;
        let questions = Questions::write(&work.path().join("all"), names)?;
        let few = Questions::write(&work.path().join("few"), FEW)?;
        let mut stage = Stage {
            run,
            servers,
            questions,
            few,
            most: Vec::new(),
            is_alone,
            patience: Duration::from_secs_f64(run.patience),
        };
        for case in cases {
            match stage.case(case) {
                Ok(outcome) => page::keep(&run.results, &outcome)?,
                Err(error) => {
                    eprintln!("{} {}: {error:#}", case.row, case.name);
                    failed.push(case.name);
                }
            }
            page::write(&run.results, &run.page)?;
        }
    }
    ensure!(failed.is_empty(), "not measured: {}", failed.join("; "));
    Ok(())
}

struct Stage<'a> {
    run: &'a Run,
    servers: Servers,
    questions: Questions,
    /// Of the first names alone.
    few: Questions,
    /// What each server answered at most, in a second.
    most: Vec<(Peer, f64)>,
    /// Whether ours is the DNS server without a node.
    is_alone: bool,
    patience: Duration,
}

impl Stage<'_> {
    fn case(&mut self, case: &Case) -> Result<Outcome> {
        let peers = [&[Peer::Node], case.peers].concat();
        let targets = peers
            .into_iter()
            .filter_map(|peer| Some((peer, self.servers.target(peer)?)));
        let targets: Vec<(Peer, Server)> = targets.collect();
        for (peer, server) in &targets {
            self.warm(case, *peer, server)?;
        }
        let mut outcome = outcome(case, self.run, self.is_alone);
        for at in 0..self.run.rounds {
            if !is_quiet(&mut self.patience)? {
                outcome.disturbed += 1;
            }
            let mut round = Vec::new();
            for turn in 0..targets.len() {
                let (peer, server) = &targets[(at + turn) % targets.len()];
                round.push((*peer, self.measure(case, *peer, server, self.run.time())?));
            }
            tell(case, at, &round);
            outcome.rounds.push(round);
            if matches!(case.load, Load::Memory) {
                break;
            }
        }
        drop_disturbed(&mut outcome);
        Ok(outcome)
    }

    /// Every name is asked for once, and the answers are right.
    fn warm(&mut self, case: &Case, peer: Peer, server: &Server) -> Result<()> {
        if matches!(case.load, Load::Visit) {
            return self.measure(case, peer, server, WARM_UP).map(drop);
        }
        let asked = asked(case);
        if peer != Peer::Floor {
            let names = if peer == Peer::FewNames { FEW } else { case.names };
            load::check(server.address, asked, names)?;
        }
        load::once(server.address, &self.file(peer, asked))?;
        let warm = load::most(server, &self.file(peer, asked), WARM_UP)?;
        self.most.retain(|(known, _)| *known != peer);
        self.most.push((peer, warm.rate));
        Ok(())
    }

    fn measure(&self, case: &Case, peer: Peer, server: &Server, time: Duration) -> Result<Measured> {
        let file = self.file(peer, asked(case));
        match case.load {
            Load::Most(_) => load::most(server, &file, time),
            Load::Paced(part) => load::paced(server, &file, part * self.least(), time),
            Load::Growth => load::paced(server, &file, 0.1 * self.least(), time),
            Load::Memory => Ok(memory(server, case.names)),
            Load::Visit => visit::measure(server, self.servers.page(peer)?, time),
        }
    }

    fn file(&self, peer: Peer, asked: Asked) -> PathBuf {
        match peer {
            Peer::FewNames => self.few.file(asked),
            _ => self.questions.file(asked),
        }
    }

    /// What the slowest of the servers answers at most: all are asked as much, so that latencies can be compared.
    fn least(&self) -> f64 {
        let rates = self.most.iter().map(|(_, rate)| *rate);
        rates.fold(f64::MAX, f64::min)
    }
}

fn asked(case: &Case) -> Asked {
    match case.load {
        Load::Most(asked) => asked,
        _ => Asked::A,
    }
}

/// The server's memory, after what it had without names is taken off.
fn memory(server: &Server, names: usize) -> Measured {
    let pss_kib = pss_kib(server.pid);
    let own = pss_kib.saturating_sub(server.empty_kib);
    Measured {
        rate: own as f64 * 1024.0 / names as f64,
        pss_kib,
        ..Measured::default()
    }
}

fn outcome(case: &Case, run: &Run, is_alone: bool) -> Outcome {
    let unit = match case.load {
        Load::Memory => Unit::BytesPerName,
        _ => Unit::Requests,
    };
    Outcome {
        row: case.row.into(),
        name: case.name.into(),
        what: words(case, is_alone),
        unit,
        rounds: Vec::new(),
        dropped: 0,
        disturbed: 0,
        goals: case.goals.to_vec(),
        goals_cpu: case.goals_cpu.to_vec(),
        goals_p50: case.goals_p50.to_vec(),
        goals_p99: case.goals_p99.to_vec(),
        seconds: run.seconds,
        profile: run.profile.clone(),
        machine: Machine::here(),
    }
}

fn words(case: &Case, is_alone: bool) -> String {
    let ours = match is_alone {
        false => "ddn is a whole node on a chain with the names",
        true => "ddn is its DNS server over names that are computed, without a chain",
    };
    match case.load {
        Load::Most(_) => format!("`dnsperf -c4 -T1 -q100`, names in random order; {ours}"),
        Load::Paced(_) | Load::Growth => format!(
            "own client, from the moment at which each question was due; all are asked as often, by the slowest; {ours}"
        ),
        Load::Memory => format!("after every name was asked for, beside the same server without names; {ours}"),
        Load::Visit => "one after the other: a question, a new connection, and the first byte of 1 KiB; ddn's DNS and gateway \
                        beside NSD and nginx"
            .into(),
    }
}

fn tell(case: &Case, at: usize, round: &[(Peer, Measured)]) {
    let mut sorted = round.to_vec();
    sorted.sort_by_key(|(peer, _)| *peer);
    let each = sorted.iter().map(|(peer, measured)| {
        let p99 = measured
            .p99_us
            .map_or(String::new(), |p99| format!(", p99 {p99:.0} us"));
        format!(
            "{} {:.0} ({:.2} us{p99})",
            peer.name(),
            measured.rate,
            measured.cpu_us
        )
    });
    let each: Vec<_> = each.collect();
    eprintln!("{} {} {}: {}", case.row, case.name, at + 1, each.join(", "));
}
