//! Rows P1 and P2: over paths that are long, lose packets, and change.
//!
//! Provider and reader are in network namespaces, with a link between them that takes as long, carries as much and loses as
//! many packets as a case says. The node has the congestion control that public addresses get. Beside it: a plain copy by
//! TCP, as the system does that, the node with the other control, and the floor of row C, which is one raw stream of the same
//! transport as it comes.

use std::io::BufRead as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use testkit::net::{Host, Link, Net};

use super::serve::{PAYERS, Place};
use super::{Case, PRICE, Provider, get, measured, spoken};
use crate::Run;
use crate::case::{Measured, Outcome, Peer, Unit};
use crate::machine::{cpu_time, is_quiet};
use crate::page;

/// What a case does to the way.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// There and back in so many milliseconds; of a million packets so many are lost, in each direction.
    Path { rtt_ms: u64, loss_ppm: u32 },
    /// Four providers, of which one ends when half is here.
    Killed,
    /// Four providers, of which one has a hundredth of its line when half is here.
    Throttled,
}

const LOAD: &str = "200 Mbit/s, for 6 s or until 256 MiB are here; the file is kept durably in a fresh store";
const FOUR: &str = "64 MiB from four providers with lines of 40 Mbit/s, 20 ms there and back";
const BESIDE: &[Peer] = &[Peer::Floor, Peer::Tcp, Peer::Cubic];
/// A file of row C, 256 MiB long.
const FILE: &str = "large000.bin";
const SECONDS: f64 = 6.0;

const fn path(name: &'static str, rtt_ms: u64, loss_ppm: u32) -> Case {
    Case {
        row: "P1",
        name,
        what: LOAD,
        prefix: "large",
        files: 1,
        bytes: 256 << 20,
        unit: Unit::Megabytes,
        peers: BESIDE,
        goals: &[],
        goals_p50: &[],
        way: Some(Way::Path { rtt_ms, loss_ppm }),
    }
}

const fn four(name: &'static str, way: Way) -> Case {
    Case {
        row: "P2",
        name,
        what: FOUR,
        prefix: "quarter",
        files: 1,
        bytes: 64 << 20,
        unit: Unit::Megabytes,
        peers: &[Peer::Healthy],
        // A time of at most 1.25 times.
        goals: &[(Peer::Healthy, 0.8)],
        goals_p50: &[],
        way: Some(way),
    }
}

/// Every case, in the order in which they are measured.
pub const CASES: [Case; 11] = [
    path("10 ms, nothing lost", 10, 0),
    path("10 ms, 1 % lost", 10, 10_000),
    path("10 ms, 3 % lost", 10, 30_000),
    path("50 ms, nothing lost", 50, 0),
    path("50 ms, 1 % lost", 50, 10_000),
    path("50 ms, 3 % lost", 50, 30_000),
    path("150 ms, nothing lost", 150, 0),
    path("150 ms, 1 % lost", 150, 10_000),
    path("150 ms, 3 % lost", 150, 30_000),
    four("one of four providers is killed", Way::Killed),
    four("one of four providers gets slow", Way::Throttled),
];

/// Measures all of them, where there can be namespaces.
pub fn run(run: &Run, work: &Path, files: &Path) -> Result<()> {
    let mut patience = Duration::from_secs_f64(run.patience);
    for case in CASES.iter().filter(|case| run.wants(case.row)) {
        let mut outcome = case.outcome(run);
        for at in 0..run.rounds {
            if !is_quiet(&mut patience)? {
                outcome.disturbed += 1;
            }
            if !round(case, at, work, files, &mut outcome)? {
                return Ok(());
            }
        }
        page::keep(&run.results, &outcome)?;
        page::write(&run.results, &run.page)?;
    }
    Ok(())
}

/// One round; false where there can be no namespaces.
fn round(case: &Case, at: usize, work: &Path, files: &Path, outcome: &mut Outcome) -> Result<bool> {
    let peers = [&[Peer::Node], case.peers].concat();
    let mut round = Vec::new();
    for place in 0..peers.len() {
        let peer = peers[(at + place) % peers.len()];
        let Some(net) = Net::new()? else { return Ok(false) };
        let turn = Turn {
            peer,
            at,
            work,
            files,
        };
        let measured = match case.way {
            Some(Way::Path { rtt_ms, loss_ppm }) => turn.along(net, rtt_ms, loss_ppm)?,
            Some(way) => turn.by_four(net, case, way)?,
            None => continue,
        };
        round.push((peer, measured));
    }
    round.sort_by_key(|(peer, _)| *peer);
    let each = round
        .iter()
        .map(|(peer, measured)| format!("{} {:.2} MB/s", peer.name(), measured.rate / 1e6));
    eprintln!(
        "{} {} {at}: {}",
        case.row,
        case.name,
        each.collect::<Vec<_>>().join(", ")
    );
    outcome.rounds.push(round);
    Ok(true)
}

/// Who is measured in which round, and where its files are.
struct Turn<'a> {
    peer: Peer,
    at: usize,
    work: &'a Path,
    files: &'a Path,
}

impl Turn<'_> {
    fn along(&self, mut net: Net, rtt_ms: u64, loss_ppm: u32) -> Result<Measured> {
        let Turn {
            peer,
            at,
            work,
            files,
        } = *self;
        let near = net.host(Link::delay_ms(0))?;
        let far = net.host(Link {
            delay: Duration::from_micros(rtt_ms * 500),
            rate_kbit: Some(200_000),
            loss_ppm,
            seed: at as u64,
            ..Link::delay_ms(0)
        })?;
        let provider = Provider::on(&near, work, files, 0, congestion(peer))?;
        let target = TempDir::new_in(work)?;
        let mut command = get_on(&far, &[&provider.place], &target.path().join("store"), at)?;
        command.args(["--seconds", &SECONDS.to_string()]);
        match peer {
            Peer::Floor => command.arg("--floor"),
            Peer::Tcp => command.arg("--tcp"),
            _ => &mut command,
        };
        command.arg(FILE);
        let pid = provider.process.child.id();
        let before = cpu_time(pid);
        let got: get::Outcome = serde_json::from_str(&crate::load::output(command)?)?;
        let cpu_s = got.cpu_s + cpu_time(pid).saturating_sub(before).as_secs_f64();
        Ok(measured(&got, cpu_s, Unit::Megabytes, 1, pid))
    }

    fn by_four(&self, mut net: Net, case: &Case, way: Way) -> Result<Measured> {
        let Turn {
            peer,
            at,
            work,
            files,
        } = *self;
        let near = net.host(Link::delay_ms(5))?;
        let line = |kbit: u32| Link {
            rate_kbit: Some(kbit),
            ..Link::delay_ms(5)
        };
        let hosts = (0..4)
            .map(|_| net.host(line(40_000)))
            .collect::<Result<Vec<Host>>>()?;
        let providers = (0u8..)
            .zip(&hosts)
            .map(|(number, host)| Provider::on(host, work, files, number, "bbr3"));
        let mut providers = providers.collect::<Result<Vec<Provider>>>()?;
        let places: Vec<&Place> = providers.iter().map(|provider| &provider.place).collect();
        let target = TempDir::new_in(work)?;
        let mut command = get_on(&near, &places, &target.path().join("store"), at)?;
        command.args(["--half", &(case.bytes / 2).to_string(), &super::file(case, 0)]);
        let mut reader = spoken("the reader", command)?;
        ensure!(reader.said == "half", "the reader said {:?}", reader.said);
        match (peer, way) {
            (Peer::Healthy, _) => {}
            (_, Way::Throttled) => net.relink(&hosts[0], line(400))?,
            _ => drop(providers.remove(0)),
        }
        let mut line = String::new();
        reader.out.read_line(&mut line)?;
        let got: get::Outcome =
            serde_json::from_str(&line).with_context(|| format!("the reader said {line:?}"))?;
        ensure!(got.bytes >= case.bytes as u64, "{} bytes came", got.bytes);
        Ok(measured(
            &got,
            got.cpu_s,
            Unit::Megabytes,
            1,
            reader.process.child.id(),
        ))
    }
}

impl Provider {
    /// One on a host.
    fn on(host: &Host, work: &Path, files: &Path, number: u8, congestion: &str) -> Result<Provider> {
        let mut command = on(host)?;
        let store = work.join(format!("far-{number}"));
        command
            .arg("delivery-serve")
            .args([files, &store])
            .arg(PRICE.to_string());
        command.args(["--number", &number.to_string(), "--congestion", congestion]);
        command.args(["--listen", &host.address().to_string()]);
        Provider::started("far", command)
    }
}

/// A reader on a host; which files it shall get comes after this.
fn get_on(host: &Host, places: &[&Place], store: &Path, at: usize) -> Result<Command> {
    let mut command = on(host)?;
    command
        .arg("delivery-get")
        .arg(serde_json::to_string(places)?)
        .arg(store);
    command.arg((at % usize::from(PAYERS)).to_string());
    command.args(["--listen", &host.address().to_string()]);
    Ok(command)
}

/// This program on a host.
fn on(host: &Host) -> Result<Command> {
    let program = std::env::current_exe()?;
    Ok(host.command(program.to_str().context("a strange path")?))
}

/// The congestion control of who is measured.
fn congestion(peer: Peer) -> &'static str {
    match peer {
        Peer::Cubic => "cubic",
        _ => "bbr3",
    }
}
