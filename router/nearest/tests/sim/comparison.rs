//! Every policy in one world.

use std::time::Instant;

use nearest::Policy;

use crate::content::Demand;
use crate::report::{HEAD, row};
use crate::router::SECOND;
use crate::run::Decider;
use crate::settings::{config, setting};
use crate::world::{Config, World};
use crate::{STOPPED_NAMED_US_MAX, go};

/// Every policy in one world, readers and troubles alike. Ours is within 1.3 of the oracle.
#[test]
fn beside_the_others() {
    let nodes = setting("DDN_SIM_NODES", 300) as usize;
    let large = nodes >= LARGE;
    let config = match large {
        // So many nodes carry so many requests at once that each has to last longer for the run to end.
        true => Config {
            transfer_us: 20 * SECOND,
            warm_us: 30 * SECOND,
            measured_us: 10 * SECOND,
            rounds: 200,
            // 48 routers for all of them.
            demand: 12,
            ..config(1, nodes)
        },
        false => config(1, nodes),
    };
    let demand = Demand::new(config.objects);
    let only = setting("DDN_SIM_TROUBLES", BOTH);
    let worlds = [(0, 0, 0), (30, 20, 5)].into_iter().enumerate();
    for (_, (churn, liars, ill)) in worlds.filter(|(n, _)| only == BOTH || only == *n as u64) {
        let config = Config {
            churn,
            liars,
            ill,
            ..config
        };
        let world = World::new(&config);
        let oracle = go(&config, &world, Decider::OracleNearest, &demand);
        println!("\n{nodes} nodes, {churn} % stop, {liars} % lie, {ill} % of the routers are ill\n\n{HEAD}");
        println!("{}", row("oracle: nearest with room", &oracle, &oracle));
        let begun = Instant::now();
        let ours = go(&config, &world, Decider::Ours(Policy::DEFAULT), &demand);
        println!("{}", row("ours", &ours, &oracle));
        let took = begun.elapsed();
        for (name, decider) in OTHERS.iter().filter(|(_, decider)| !large || is_quick(*decider)) {
            println!("{}", row(name, &go(&config, &world, *decider, &demand), &oracle));
        }
        println!("\nours took {:.0} s", took.as_secs_f64());
        let (mean, best) = (ours.mean_us(), oracle.mean_us());
        assert!(mean * 10 <= best * 13, "{mean} µs for {best} µs");
        assert!(ours.peak <= 1_000 && ours.stopped_named_us <= STOPPED_NAMED_US_MAX);
        let nothing = ours.unanswered;
        assert!(
            nothing * 1_000 <= ours.requests(),
            "{nothing} were left without an answer"
        );
    }
}

/// A world without troubles and one with them.
const BOTH: u64 = 2;

/// From so many nodes on a world is large.
const LARGE: usize = 20_000;

const OTHERS: [(&str, Decider); 7] = [
    ("random", Decider::Random),
    ("power of two", Decider::PowerOfTwo),
    ("rendezvous over all", Decider::Rendezvous),
    ("nearest", Decider::Nearest),
    ("kademlia, k 20, alpha 3", Decider::Kademlia),
    ("oracle: least time, knows all caches", Decider::OracleBest),
    ("doubling homes", Decider::Doubling),
];

/// The others look at too much for each request.
fn is_quick(decider: Decider) -> bool {
    !matches!(decider, Decider::OracleBest | Decider::Doubling)
}
