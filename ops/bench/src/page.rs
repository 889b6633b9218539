//! The page of results, written from all that were kept, so that rows can be measured apart.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::case::{Measured, Outcome, Peer, Unit};
use crate::cases::CASES;
use crate::statistics::{Estimate, estimate, median};
use crate::{delivery, names};

/// The section of the ledger, which is no comparison of servers.
pub const LEDGER: &str = "ledger.md";

/// Keeps an outcome for the page.
pub fn keep(results: &Path, outcome: &Outcome) -> Result<()> {
    let name = format!("{} {}.json", outcome.row, outcome.name).replace(['/', ' '], "-");
    fs::write(results.join(name), serde_json::to_vec_pretty(outcome)?)?;
    Ok(())
}

/// Writes the page.
pub fn write(results: &Path, page: &Path) -> Result<()> {
    let mut outcomes = Vec::new();
    for entry in fs::read_dir(results)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let outcome: Outcome = serde_json::from_slice(&fs::read(&path)?)
            .with_context(|| format!("{} is no result of this version: remove it", path.display()))?;
        outcomes.push(outcome);
    }
    let place = |name: &str| {
        let of_names = || names::CASES.iter().position(|case| case.name == name);
        let first = CASES.iter().position(|case| case.name == name);
        let of_delivery = || delivery::cases().position(|case| case.name == name);
        let after = CASES.len() + names::CASES.len();
        first
            .or_else(|| of_names().map(|at| CASES.len() + at))
            .or_else(|| of_delivery().map(|at| after + at))
    };
    outcomes.sort_by_key(|outcome| place(&outcome.name));
    let mut text = text(&outcomes);
    if let Ok(ledger) = fs::read_to_string(results.join(LEDGER)) {
        text = format!("{text}\n{ledger}");
    }
    fs::write(page, text).with_context(|| format!("writing {}", page.display()))
}

fn text(outcomes: &[Outcome]) -> String {
    let mut text = String::from(INTRODUCTION);
    let mut circumstances: Vec<String> = outcomes.iter().map(circumstance).collect();
    circumstances.sort();
    circumstances.dedup();
    for line in circumstances {
        let _ = writeln!(text, "* {line}");
    }
    let mut row = "";
    for outcome in outcomes {
        if outcome.row != row {
            row = &outcome.row;
            let _ = writeln!(text, "\n## {row}");
        }
        case(&mut text, outcome);
    }
    text
}

fn circumstance(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    format!(
        "{}: {} cores, {} GiB, Linux {}; compiled with the profile `{}`",
        machine.processor, machine.cores, machine.memory_gib, machine.kernel, outcome.profile
    )
}

fn case(text: &mut String, outcome: &Outcome) {
    let Outcome {
        name,
        what,
        rounds,
        dropped,
        disturbed,
        seconds,
        ..
    } = outcome;
    let _ = writeln!(
        text,
        "\n### {name}\n\n{what}. {} rounds of {seconds} s",
        rounds.len()
    );
    let _ = writeln!(
        text,
        "({dropped} more dropped for their floor, {disturbed} on a machine that was busy).\n"
    );
    let _ = writeln!(
        text,
        "| | {} | CPU | client | p50 / p99 | PSS | ddn is | by CPU |",
        head(outcome.unit)
    );
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|");
    for peer in peers(outcome) {
        let _ = writeln!(text, "{}", line(outcome, peer));
    }
    let _ = writeln!(text);
    if let Some(lost) = lost(outcome) {
        let _ = writeln!(text, "{lost}");
    }
    let goals = [
        &outcome.goals,
        &outcome.goals_cpu,
        &outcome.goals_p50,
        &outcome.goals_p99,
    ];
    if goals.iter().all(|goals| goals.is_empty()) {
        let _ = writeln!(text, "No goal of its own: it is seen beside the others.");
    }
    for (peer, wanted) in &outcome.goals {
        let _ = writeln!(text, "{}", goal("", by_rate(outcome, *peer), *peer, *wanted));
        if let Some((client, server)) = where_client_ends(outcome) {
            let by_cpu = result(by_cpu(outcome, *peer), *wanted);
            let _ = writeln!(
                text,
                "  The client was busy for {:.0} % of the time and ddn for {:.0} %, so the rate is the client's. By CPU: {by_cpu}.",
                client * 100.0,
                server * 100.0
            );
        }
    }
    for (peer, wanted) in &outcome.goals_cpu {
        let _ = writeln!(
            text,
            "{}",
            goal(" by CPU", by_cpu(outcome, *peer), *peer, *wanted)
        );
    }
    for (peer, most) in &outcome.goals_p50 {
        let _ = writeln!(text, "{}", ceiling("p50", outcome, *peer, *most, |of| of.p50_us));
    }
    for (peer, most) in &outcome.goals_p99 {
        let _ = writeln!(text, "{}", ceiling("p99", outcome, *peer, *most, |of| of.p99_us));
    }
}

/// Where no question may be lost: how many were, in all rounds.
fn lost(outcome: &Outcome) -> Option<String> {
    let of = |peer: Peer| {
        let each = outcome.rounds.iter().filter_map(|round| find(round, peer));
        each.map(|measured| measured.lost).sum::<u64>()
    };
    if !outcome.row.starts_with(['D', 'G']) || outcome.unit != Unit::Requests {
        return None;
    }
    let others = peers(outcome)
        .into_iter()
        .filter(|peer| *peer != Peer::Node && of(*peer) > 0)
        .map(|peer| format!("; {} lost {}", peer.name(), of(peer)));
    let others: String = others.collect();
    let said = if of(Peer::Node) == 0 { "reached" } else { "missed" };
    Some(format!(
        "* Goal: no question is lost. ddn lost {}: {said}{others}.",
        of(Peer::Node)
    ))
}

fn line(outcome: &Outcome, peer: Peer) -> String {
    let of = |value: &dyn Fn(&Measured) -> f64| {
        let values: Vec<f64> = outcome
            .rounds
            .iter()
            .filter_map(|round| find(round, peer))
            .map(value)
            .collect();
        median(&values)
    };
    let latency = |value: f64| {
        if value > 0.0 {
            format!("{value:.0}")
        } else {
            "–".into()
        }
    };
    let (p50, p99) = (
        of(&|measured| measured.p50_us.unwrap_or(0.0)),
        of(&|measured| measured.p99_us.unwrap_or(0.0)),
    );
    let cpu = match (outcome.unit, of(&|measured| measured.cpu_us)) {
        (Unit::KibPerConnection | Unit::BytesPerName, _) => "–".into(),
        (Unit::Requests, cpu) => format!("{cpu:.2} µs"),
        (Unit::Bytes | Unit::Megabytes, cpu) => format!("{cpu:.0} µs/MiB"),
    };
    let peak = outcome
        .rounds
        .iter()
        .filter_map(|round| find(round, peer))
        .map(|measured| measured.pss_kib)
        .max();
    let (rates, cpu_times) = match peer {
        Peer::Node => (None, None),
        peer => (by_rate(outcome, peer), by_cpu(outcome, peer)),
    };
    let (rates, cpu_times) = (ratio(rates), ratio(cpu_times));
    format!(
        "| {} | {} | {cpu} | {} | {} / {} µs | {} MiB | {rates} | {cpu_times} |",
        peer.name(),
        rate(outcome.unit, of(&|measured| measured.rate)),
        share(of(&|measured| measured.client.unwrap_or(0.0))),
        latency(p50),
        latency(p99),
        peak.unwrap_or(0) >> 10,
    )
}

fn share(part: f64) -> String {
    match part > 0.0 {
        true => format!("{:.0} %", part * 100.0),
        false => "–".into(),
    }
}

/// Which part of the time client and node were busy, if it is the client alone that could do no more.
fn where_client_ends(outcome: &Outcome) -> Option<(f64, f64)> {
    if outcome.unit != Unit::Requests {
        return None;
    }
    let nodes = || outcome.rounds.iter().filter_map(|round| find(round, Peer::Node));
    let clients: Vec<f64> = nodes().filter_map(|measured| measured.client).collect();
    let servers: Vec<f64> = nodes()
        .map(|measured| measured.rate * measured.cpu_us / 1e6)
        .collect();
    if clients.is_empty() {
        return None;
    }
    let (client, server) = (median(&clients), median(&servers));
    (client >= BUSY && server < BUSY).then_some((client, server))
}

fn ratio(found: Option<Estimate>) -> String {
    found.map_or_else(String::new, |found| {
        format!("{:.2} × [{:.2}, {:.2}]", found.median, found.low, found.high)
    })
}

/// A goal and what has come of it, in words.
fn goal(what: &str, found: Option<Estimate>, peer: Peer, wanted: f64) -> String {
    let name = format!("{}{what}", peer.name());
    match found {
        None => format!("* Goal: at least {wanted} × {name}. It was not measured."),
        found => format!(
            "* Goal: at least {wanted} × {name}. Result: {}.",
            result(found, wanted)
        ),
    }
}

fn result(found: Option<Estimate>, wanted: f64) -> String {
    let Some(found) = found else {
        return "not measured".into();
    };
    let said = match (found.low >= wanted, found.median >= wanted) {
        (true, _) => "reached, in the whole interval",
        (false, true) => "reached by the median",
        (false, false) => "missed",
    };
    format!("{:.2} ×: {said}", found.median)
}

/// A goal for a percentile: no more than so many times the other's.
fn ceiling(
    what: &str,
    outcome: &Outcome,
    peer: Peer,
    most: f64,
    of: impl Fn(&Measured) -> Option<f64>,
) -> String {
    let name = peer.name();
    let found = ratios(outcome, peer, |ours, theirs| {
        (of(ours).unwrap_or(0.0), of(theirs).unwrap_or(0.0))
    });
    let Some(found) = found else {
        return format!("* Goal: a {what} of at most {most} × {name}. It was not measured.");
    };
    let said = match (found.high <= most, found.median <= most) {
        (true, _) => "reached, in the whole interval",
        (false, true) => "reached by the median",
        (false, false) => "missed",
    };
    let Estimate { median, low, high } = found;
    format!(
        "* Goal: a {what} of at most {most} × {name}. Result: {median:.2} × [{low:.2}, {high:.2}]: {said}."
    )
}

/// The node beside `peer`, by the ratios of the rounds: how much more it does in the same time.
fn by_rate(outcome: &Outcome, peer: Peer) -> Option<Estimate> {
    ratios(outcome, peer, |ours, theirs| (ours.rate, theirs.rate))
}

/// How much less processor time it takes for the same.
fn by_cpu(outcome: &Outcome, peer: Peer) -> Option<Estimate> {
    ratios(outcome, peer, |ours, theirs| (theirs.cpu_us, ours.cpu_us))
}

fn ratios(
    outcome: &Outcome,
    peer: Peer,
    of: impl Fn(&Measured, &Measured) -> (f64, f64),
) -> Option<Estimate> {
    let ratios: Vec<f64> = outcome
        .rounds
        .iter()
        .filter_map(|round| Some(of(find(round, Peer::Node)?, find(round, peer)?)))
        .filter(|(_, below)| *below > 0.0)
        .map(|(above, below)| above / below)
        .collect();
    estimate(&ratios)
}

fn find(round: &[(Peer, Measured)], peer: Peer) -> Option<&Measured> {
    round
        .iter()
        .find(|(of, _)| *of == peer)
        .map(|(_, measured)| measured)
}

fn peers(outcome: &Outcome) -> Vec<Peer> {
    let mut peers: Vec<Peer> = outcome.rounds.iter().flatten().map(|(peer, _)| *peer).collect();
    peers.sort();
    peers.dedup();
    peers
}

fn head(unit: Unit) -> &'static str {
    match unit {
        Unit::Requests => "requests/s",
        Unit::Bytes => "GB/s",
        Unit::Megabytes => "MB/s",
        Unit::KibPerConnection => "KiB a connection",
        Unit::BytesPerName => "bytes a name",
    }
}

/// A rate, as a person reads it.
pub fn rate(unit: Unit, rate: f64) -> String {
    match unit {
        Unit::Requests if rate >= 10_000.0 => format!("{:.1} k", rate / 1e3),
        Unit::Requests => format!("{rate:.0}"),
        Unit::Bytes => format!("{:.2}", rate / 1e9),
        Unit::Megabytes => format!("{:.2}", rate / 1e6),
        Unit::KibPerConnection => format!("{rate:.2}"),
        Unit::BytesPerName => format!("{rate:.0}"),
    }
}

/// Who is busy for so much of the time can do no more.
const BUSY: f64 = 0.95;

const INTRODUCTION: &str = "# Benchmarks of the gateway, the DNS server and deliveries

Written by `make bench` (`ops/bench`). Every server serves the same files from memory with one worker on one core, the
client has the other core. A round measures all of them one after the other, in an order that rotates; a ratio is taken
within a round, and what is given is the median of the rounds' ratios with its bootstrap interval of 95 %. Absolute figures
move twofold with the machine and the hour: only the ratios mean something. *Floor* is a loop that writes bytes from memory
to sockets and knows nothing else; its head has one line. The answers of ddn carry all the headers of an IPFS gateway, some
800 bytes; *floor, same bytes* is the same loop with those headers in its answers, which a client needs longer to read too.
Goals beside a floor are beside the first one. Each server has the settings in which
it is fastest (`ops/bench/src/server/config.rs`); nobody writes an access log; the heads of nginx, varnish and caddy have about
250 bytes. Of idle connections, less is better. *ddn is* compares what was done in the same time, *by CPU* the processor
time that the same took. *Client* is for how much of the time the one process that asks was busy: where it can do no more
and the server could, the rate is the client's, and only the processor time tells of the server.

Rows D, E and G are about names: every DNS server has the same zone and one worker on one core, `dnsperf` or our own client
the other core. Their floor is a loop of one receiving and one sending call that sends every question back with an address and
looks nothing up. ddn counts each answer for its rate limit, NSD and Knot have theirs switched off. `dnsperf` takes more
time for a question than any of the servers, so *by CPU* is what tells of them.

Row C is about blocks that one process fetches from another, into a fresh store, all of it in memory; no core is set aside.
What is paid goes by a ledger in memory. Its floor is one stream of the same transport, the hash of each block and the same
store, durable at the end as ours is. Processor time is that of both sides. libtorrent is a BitTorrent client with pieces of
1 MiB, over TCP and not encrypted.

Rows P1 and P2 are the same between network namespaces, over a link that takes as long, carries as much and loses as many packets as a
case says (an emulator of our own). The node has the congestion control that public addresses get, BBR; the floor is one raw
stream as it comes, with Cubic; TCP is the system's, here with BBR too.

";
