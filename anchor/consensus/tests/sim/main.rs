//! A simulator of consensus: the engine's core, the real ledger, and whole networks in one thread and in virtual time.
//!
//! What is real: who proposes, blocks and their execution, elections, signatures, certificates, evidence, the engine's core
//! with its log. What is simulated: the network, clocks, crashes, and the host of the core, which does what `chain` does.
//!
//! The usual run takes seconds. `make simulate` is the long campaign: `DDN_SIMULATE_SEEDS` says how many seeds,
//! `DDN_SIMULATE_FIRST` from which on, `DDN_SIMULATE_SEATS` how many seats each has (0: it depends on the seed).

mod app;
mod book;
mod cast;
mod checks;
mod disk;
mod engine;
mod evil;
mod network;
mod node;
mod notary;
mod plan;
mod random;
mod world;

use std::collections::BTreeMap;
use std::time::Instant;

use checks::Report;
use plan::{Kind, Plan};
use world::run;

/// A number from the environment.
fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(usual, |set| {
        set.parse()
            .unwrap_or_else(|_| panic!("{name}={set} is no number"))
    })
}

fn plan_of(seed: u64) -> Plan {
    match setting("DDN_SIMULATE_SEATS", 0) as usize {
        0 => Plan::of(seed),
        seats => Plan::new(seed, Kind::ALL[(seed % 9) as usize], seats),
    }
}

/// What must hold in every seed; a table of what happened.
#[test]
fn in_every_seed() {
    let (first, seeds) = (setting("DDN_SIMULATE_FIRST", 0), setting("DDN_SIMULATE_SEEDS", 9));
    let begun = Instant::now();
    let mut kinds: BTreeMap<Kind, (u64, Report)> = BTreeMap::new();
    let mut broken = Vec::new();
    for seed in first..first + seeds {
        let plan = plan_of(seed);
        match run(&plan) {
            Ok(report) => {
                let (count, sum) = kinds.entry(plan.kind).or_default();
                *count += 1;
                sum.add(&report);
            }
            Err(fault) => {
                println!("{fault}");
                broken.push(fault);
            }
        }
    }
    for (kind, (count, sum)) in &kinds {
        print_row(*kind, *count, sum);
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds from {first} on in {seconds:.0} s, {} broken",
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn print_row(kind: Kind, count: u64, sum: &Report) {
    println!(
        "{:<13} {count:>4} seeds {:>6} blocks {:>5} rounds {:>6} attempts lost {:>4} of {:>4} equivocators caught \
         {:>4} jailed ({:>2} by equivocators) {:>4} returned {:>4} elected {:>5} crashes {:>5} replays {:>3} withheld {:>4} partitions {:>6} synced, \
         worst block {:.1} s",
        format!("{kind:?}"),
        sum.blocks,
        sum.rounds,
        sum.attempts,
        sum.tombstoned,
        sum.equivocated,
        sum.jailed,
        sum.driven_out,
        sum.returned,
        sum.elected,
        sum.crashes,
        sum.replays,
        sum.withheld,
        sum.partitions,
        sum.synced,
        sum.worst as f64 / 1e6,
    );
}

/// The whole number of seats, through rounds of delegates, with everything that goes wrong.
#[test]
fn a_hundred_and_one_seats() {
    let plan = Plan {
        round: 8,
        heights: 16,
        equivocators: 4,
        ..Plan::new(8, Kind::Everything, 101)
    };
    let report = run(&plan).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(report.rounds >= 2, "{report:?}");
    assert!(report.tombstoned > 0, "{report:?}");
    print_row(plan.kind, 1, &report);
}

/// The same plan always has the same run.
#[test]
fn a_seed_says_everything() {
    let plan = Plan::new(17, Kind::Everything, 7);
    let [first, second] = [(); 2].map(|()| format!("{:?}", run(&plan)));
    assert_eq!(first, second);
}

/// Nodes that come to a height too early give up before the block is there, and its proposer loses its turn. They do so once
/// and not for ever.
#[test]
fn who_is_ahead_waits_for_the_others() {
    let lost = |paced| -> u64 {
        let plan = |seed| Plan {
            paced,
            ..Plan::new(seed, Kind::Loss, 4)
        };
        let run = |seed| run(&plan(seed)).unwrap_or_else(|broken| panic!("{broken}"));
        (0..8).map(|seed| run(seed).attempts).sum()
    };
    let (with, without) = (lost(true), lost(false));
    assert!(
        with * 2 < without,
        "{with} rounds without a block instead of {without}"
    );
}

/// The assertions can fail: where a third of the seats and more tell each half of the others another story, two blocks are
/// decided at one height.
#[test]
fn with_too_many_equivocators_the_check_fails() {
    let plan = |seed| Plan {
        equivocators: 3,
        bounded: false,
        slashing: false,
        ..Plan::new(seed, Kind::Equivocation, 7)
    };
    let mut ends = (0..20).filter_map(|seed| run(&plan(seed)).err());
    let forked = ends.any(|broken| broken.contains("decides another block"));
    assert!(forked, "no network was forked");
}

/// The assertions can fail: where nobody brings evidence to the ledger, equivocators are found unpunished.
#[test]
fn without_slashing_the_check_fails() {
    let plan = Plan {
        slashing: false,
        ..Plan::new(6, Kind::Equivocation, 7)
    };
    let broken = run(&plan).expect_err("nobody is punished");
    assert!(broken.contains("is not punished"), "{broken}");
}
