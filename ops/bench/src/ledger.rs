//! Row F: the ledger. Four delegates in one process, with engines that talk over loopback and stores on the disk, beside the
//! floor: what four delegates cannot do without, on as many threads as there are cores.
//!
//! The floor checks the signature of each transaction once for each delegate (in batches, as the ledger does), runs it on a
//! state in memory, and waits for the disk once a block. It agrees on nothing, keeps no tree and sends nothing.

mod floor;
mod follow;
mod growth;
mod network;
mod world;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::machine::Machine;
use crate::page;
use crate::statistics::{Estimate, estimate, median};
use world::World;

/// What to measure.
#[derive(Args)]
pub struct Wanted {
    /// Rounds; each measures the floor and the network, in turns first.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Transactions in a round.
    #[arg(long, default_value_t = 20_000)]
    txs: usize,
    /// Blocks whose latency is taken.
    #[arg(long, default_value_t = 200)]
    blocks: usize,
    /// Entries of the states that are compared.
    #[arg(long, default_value = "1000,100000,1000000", value_delimiter = ',')]
    entries: Vec<usize>,
    /// Where the stores are: the disk that is measured.
    #[arg(long)]
    folder: PathBuf,
    /// The folder for results.
    #[arg(long)]
    results: PathBuf,
    /// The page that is written from all results.
    #[arg(long)]
    page: PathBuf,
}

pub fn run(wanted: &Wanted) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    std::fs::create_dir_all(&wanted.folder)?;
    let mut rates = Vec::new();
    let mut followed = Vec::new();
    for round in 0..wanted.rounds {
        let world = World::new(wanted.txs, 100)?;
        let dir = tempfile::tempdir_in(&wanted.folder)?;
        let floor_first = round % 2 == 0;
        let mut floor = 0.0;
        if floor_first {
            floor = floor::rate(&world, dir.path())?;
        }
        let (rate, synced) = runtime.block_on(async {
            let network = network::start(&world, dir.path()).await?;
            let rate = network.rate(&world).await?;
            let synced = follow::sync(&world.genesis, world.txs.len(), network.first(), dir.path()).await?;
            network.stop().await;
            anyhow::Ok((rate, synced))
        })?;
        if !floor_first {
            floor = floor::rate(&world, dir.path())?;
        }
        eprintln!("round {round}: {rate:.0} of {floor:.0} transactions/s; follower {synced:?}");
        rates.push((rate, floor));
        followed.push(synced);
    }
    let latency = runtime.block_on(network::latency(wanted.blocks, &wanted.folder))?;
    let mut sizes = Vec::new();
    for entries in &wanted.entries {
        let size = runtime.block_on(growth::measure(*entries, &wanted.folder))?;
        eprintln!("{entries} entries: {size:?}");
        sizes.push(size);
    }
    let text = section(&rates, &followed, &latency, &sizes, wanted);
    std::fs::create_dir_all(&wanted.results)?;
    let file = wanted.results.join(page::LEDGER);
    std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    page::write(&wanted.results, &wanted.page)
}

fn section(
    rates: &[(f64, f64)],
    followed: &[follow::Synced],
    latency: &network::Latency,
    sizes: &[growth::Size],
    wanted: &Wanted,
) -> String {
    let ratios: Vec<f64> = rates.iter().map(|(ours, floor)| ours / floor).collect();
    let Some(Estimate {
        median: middle,
        low,
        high,
    }) = estimate(&ratios)
    else {
        return String::new();
    };
    let of = |take: fn(&(f64, f64)) -> f64| median(&rates.iter().map(take).collect::<Vec<_>>());
    let machine = Machine::here();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "## F\n\n{} cores, {}; {} rounds of {} transfers, four delegates in one process on loopback, stores on the disk.\n",
        machine.cores, machine.processor, wanted.rounds, wanted.txs
    );
    let _ = writeln!(
        text,
        "| what | ours | floor | ours / floor | goal |\n|---|---|---|---|---|"
    );
    let verdict = if middle >= 0.5 { "met" } else { "missed" };
    let _ = writeln!(
        text,
        "| transactions/s, four delegates | {:.0} | {:.0} | {middle:.2} [{low:.2}, {high:.2}] | 0.5, {verdict} |",
        of(|(ours, _)| *ours),
        of(|(_, floor)| *floor)
    );
    let bound = (latency.delay * 3 + latency.fsync) * 3;
    let p50 = if latency.p50 <= bound { "met" } else { "missed" };
    let p99 = if latency.p99 <= bound { "met" } else { "missed" };
    let _ = writeln!(
        text,
        "| from a proposal to the block on all four, p50 | {} | 3 delays of {} and a sync of {} | {:.1} | 3, {p50} |",
        time(latency.p50),
        time(latency.delay),
        time(latency.fsync),
        latency.p50.as_secs_f64() / (bound.as_secs_f64() / 3.0)
    );
    let _ = writeln!(
        text,
        "| the same, p99 | {} | | {:.1} | 3, {p99} |",
        time(latency.p99),
        latency.p99.as_secs_f64() / (bound.as_secs_f64() / 3.0)
    );
    let blocks = median(&followed.iter().map(|synced| synced.blocks).collect::<Vec<_>>());
    let txs = median(&followed.iter().map(|synced| synced.txs).collect::<Vec<_>>());
    let _ = writeln!(
        text,
        "\nA follower from the genesis on: {blocks:.0} blocks/s, {txs:.0} transactions/s.\n"
    );
    let _ = writeln!(
        text,
        "| entries of the state | to follow 1,000 transfers | bytes of a path |\n|---|---|---|"
    );
    for size in sizes {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            size.entries,
            time(size.thousand),
            size.proof_bytes
        );
    }
    if let (Some(first), Some(last)) = (sizes.first(), sizes.last()) {
        let _ = writeln!(
            text,
            "\nGrowth from the first to the last: the transfers {:.2} times, the path {:.2} times (goal 1.3).",
            last.thousand.as_secs_f64() / first.thousand.as_secs_f64(),
            last.proof_bytes as f64 / first.proof_bytes as f64
        );
    }
    text
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros => format!("{:.1} ms", micros as f64 / 1000.0),
    }
}
