//! A simulator of routing: deterministic, seeded, in this process. The code that chooses in it is the code that runs.
//!
//! The usual run takes seconds. The long campaign, `make sim`, prints a table of policies and goes through 10,000 seeds:
//! `DDN_SIM_SEEDS` says how many, `DDN_SIM_FIRST` from which on, `DDN_SIM_NODES` how
//! large the worlds of the table are, `DDN_SIM_TROUBLES` whether it is that without (0) or with troubles (1) alone.

mod adverts;
mod cities;
mod comparison;
mod content;
mod doubling;
mod epoch;
mod finding;
mod kademlia;
mod others;
mod ours;
mod places;
mod random;
mod report;
mod router;
mod run;
mod settings;
mod world;

use content::Demand;
use epoch::{Epoch, Verdicts};
use nearest::Policy;
use report::{Counts, row};
use router::SECOND;
use run::{Decider, Run};
use settings::{OBJECTS_SMALL, config, setting, small};
use world::{Config, World};

fn go(config: &Config, world: &World, decider: Decider, demand: &Demand) -> Counts {
    Run::new(world, config, decider).go(demand)
}

/// The worst moment of an answer: how long after it stopped an edge was still named.
const STOPPED_NAMED_US_MAX: u64 = 5 * SECOND;

/// What must hold in every seed.
fn check(seed: u64, config: &Config, world: &World, demand: &Demand) -> Result<(Counts, Verdicts), String> {
    let counts = go(config, world, Decider::Ours(Policy::DEFAULT), demand);
    if counts.stopped_named_us > STOPPED_NAMED_US_MAX {
        let late = counts.stopped_named_us as f64 / 1e6;
        return Err(format!(
            "seed {seed}: an edge was in the answers {late} s after it stopped"
        ));
    }
    if counts.peak > 1_000 {
        return Err(format!(
            "seed {seed}: an edge had {} thousandths of its capacity",
            counts.peak
        ));
    }
    let verdicts = epoch(seed, true, 20).go(world);
    if verdicts.honest_out > 0 {
        return Err(format!(
            "seed {seed}: {} honest edges were evicted",
            verdicts.honest_out
        ));
    }
    Ok((counts, verdicts))
}

fn epoch(seed: u64, self_aware: bool, ill: u32) -> Epoch {
    Epoch {
        seed,
        liars: 30,
        ill,
        stopped: 10,
        self_aware,
    }
}

/// No edge above its capacity, no honest one evicted, and every stopped one out of the answers within five seconds.
#[test]
fn in_every_seed() {
    let (first, seeds) = (setting("DDN_SIM_FIRST", 0), setting("DDN_SIM_SEEDS", 40));
    let demand = Demand::new(OBJECTS_SMALL);
    let (mut counts, mut verdicts) = (Counts::default(), Verdicts::default());
    for seed in first..first + seeds {
        let config = small(seed);
        let (counted, judged) =
            check(seed, &config, &World::new(&config), &demand).unwrap_or_else(|broken| panic!("{broken}"));
        counts.add(&counted.forget_times());
        verdicts.add(&judged);
    }
    println!(
        "{seeds} seeds from {first} on, {} requests: {} turned away, {} unanswered, stopped edges named for {:.1} s at most; \
         {} of {} stopped and {} of {} honest edges evicted",
        counts.requests(),
        counts.over,
        counts.unanswered,
        counts.stopped_named_us as f64 / 1e6,
        verdicts.stopped_out,
        verdicts.stopped,
        verdicts.honest_out,
        verdicts.honest,
    );
    assert!(
        verdicts.stopped_out * 4 > verdicts.stopped,
        "a quorum is found although 30 % lie and some are mute: {verdicts:?}"
    );
    assert!(
        counts.over * 200 < counts.requests(),
        "{} of {} were turned away",
        counts.over,
        counts.requests()
    );
}

/// The assertion above can fail: with the ladder switched off stopped edges stay in the answers.
#[test]
fn without_eviction_the_check_fails() {
    let demand = Demand::new(OBJECTS_SMALL);
    let config = Config {
        eviction: false,
        ..small(1)
    };
    let broken = check(1, &config, &World::new(&config), &demand).expect_err("nobody is routed around");
    assert!(broken.contains("after it stopped"), "{broken}");
}

/// And with ill judges that do not know that they are ill, together with the liars, honest edges are evicted.
#[test]
fn without_self_awareness_honest_edges_are_evicted() {
    let out = |self_aware| {
        let mut sum = Verdicts::default();
        for seed in 0..10 {
            sum.add(&epoch(seed, self_aware, 80).go(&World::new(&small(seed))));
        }
        sum.honest_out
    };
    assert_eq!(out(true), 0);
    assert!(out(false) > 0);
}

/// The same seed gives the same world, the same readers and the same answers.
#[test]
fn a_seed_is_all_that_decides() {
    let demand = Demand::new(OBJECTS_SMALL);
    let config = small(7);
    let times = || {
        go(
            &config,
            &World::new(&config),
            Decider::Ours(Policy::DEFAULT),
            &demand,
        )
        .times_us()
        .to_vec()
    };
    assert_eq!(times(), times());
}

/// Four of ten readers want one object: it gets as many homes as it needs, and nobody is above its capacity.
#[test]
fn when_everybody_wants_the_same() {
    let demand = Demand::with_hot(20_000, 40);
    let config = Config {
        churn: 0,
        tells_load: false,
        ..config(3, 200)
    };
    let world = World::new(&config);
    let oracle = go(&config, &world, Decider::OracleNearest, &demand);
    let ours = go(&config, &world, Decider::Ours(Policy::DEFAULT), &demand);
    println!("{}", row("ours, by adverts alone", &ours, &oracle));
    assert!(
        ours.mean_us() * 10 <= oracle.mean_us() * 13,
        "{} µs for {} µs",
        ours.mean_us(),
        oracle.mean_us()
    );
    assert!(ours.peak <= 1_000 && ours.over * 50 < ours.requests());
}

/// Readers whose router is far away find edges near them, by what other readers of their place measured.
#[test]
fn readers_far_from_their_router() {
    for liars in [0, 10] {
        let config = Config {
            liars,
            sites: 20,
            rounds: 100,
            ..config(5, 100)
        };
        let (first, last) = places::go(&config, 60);
        println!("{liars} % lie: {first:?} at first, {last:?} after an hour");
        assert!(first.stretch > 300 && last.stretch < 150, "{first:?} {last:?}");
        assert!(last.to_liar < 100, "{last:?}");
    }
}
