//! What four delegates cannot do without.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use ledger::{MemoryState, Transition, Tx};

use super::world::{SEATS, World};

/// Transactions in a block: about what the network puts into one.
const BLOCK_TXS: usize = 2_000;

/// Transactions a second of all together.
pub fn rate(world: &World, dir: &Path) -> Result<f64> {
    let threads = thread::available_parallelism()?.get().min(SEATS);
    let started = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    (worker..SEATS)
                        .step_by(threads)
                        .try_for_each(|seat| delegate(world, dir, seat))
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .map_err(|_| anyhow!("a thread of the floor broke"))?
        })
    })?;
    Ok(world.txs.len() as f64 / started.elapsed().as_secs_f64())
}

fn delegate(world: &World, dir: &Path, seat: usize) -> Result<()> {
    let mut state = MemoryState(world.genesis.initial_state()?.into_iter().collect());
    let mut file = File::create(dir.join(format!("floor{seat}")))?;
    let proposer = world.seats[seat].address();
    for (height, txs) in (1..).zip(world.txs.chunks(BLOCK_TXS)) {
        let all: Vec<&Tx> = txs.iter().collect();
        anyhow::ensure!(ledger::first_forged(&all).is_none(), "a transfer is forged");
        let mut run = Transition::new(&world.genesis, &state, height, proposer);
        for tx in txs {
            run.apply_verified(tx)?;
            file.write_all(&tx.encode())?;
        }
        let changes = run.pending()?;
        state.write(changes);
        file.sync_data()?;
    }
    Ok(())
}
