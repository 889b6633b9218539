//! How large the worlds are, and what goes wrong in them.

use crate::router::SECOND;
use crate::world::Config;

pub fn config(seed: u64, nodes: usize) -> Config {
    Config {
        seed,
        nodes,
        sites: 400,
        demand: 25,
        churn: 30,
        liars: 20,
        ill: 5,
        objects: 20_000,
        cached: 300,
        transfer_us: SECOND,
        rounds: 200,
        warm_us: 12 * SECOND,
        measured_us: 15 * SECOND,
        tells_load: true,
        eviction: true,
    }
}

/// A number from the environment.
pub fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(usual, |set| {
        set.parse()
            .unwrap_or_else(|_| panic!("{name}={set} is no number"))
    })
}

/// A small world with all that goes wrong, for many seeds.
pub fn small(seed: u64) -> Config {
    Config {
        nodes: 60,
        sites: 40,
        objects: OBJECTS_SMALL,
        cached: 100,
        rounds: 60,
        demand: 12,
        transfer_us: SECOND,
        warm_us: 2 * SECOND,
        measured_us: 8 * SECOND,
        ..config(seed, 60)
    }
}

/// Objects of a small world.
pub const OBJECTS_SMALL: usize = 2_000;
