//! What transfers cost, and a proof, in states of different sizes. A follower runs them as fast as it can: a delegate waits
//! between blocks. The entries are accounts: the tree does not tell them from names.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use chain::{Chain, Config, Role};
use ledger::{Address, Amount, Balance, Genesis, Hash, SecretKey, key};
use prometheus_client::registry::Registry;

use super::{follow, world};

const TXS: u64 = 10_000;
const SENDERS: usize = 100;
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub struct Size {
    pub entries: usize,
    /// A thousand transfers: to verify, run and keep.
    pub thousand: Duration,
    pub proof_bytes: usize,
}

pub async fn measure(entries: usize, folder: &Path) -> Result<Size> {
    let dir = tempfile::tempdir_in(folder)?;
    let seat = SecretKey::from_seed([1; 32]);
    let senders: Vec<SecretKey> = (0..SENDERS).map(world::account).collect();
    let mut genesis = Genesis::dev("growth", 1, seat.public());
    genesis.block_time_ms = 200;
    genesis.election.round = 1_000_000;
    genesis.balances = world::balances(senders.iter(), Amount::from_coins(1_000).context("coins")?);
    genesis.balances.extend((SENDERS..entries).map(|number| Balance {
        address: somebody(number),
        amount: Amount::from_units(1),
    }));
    genesis.balances.sort_by_key(|balance| balance.address);
    let config = Config {
        dir: dir.path().to_owned(),
        engine_listen: ([127, 0, 0, 1], 0).into(),
        mempool_max_txs: 50_000,
        mempool_max_bytes: 64 << 20,
        ..Config::default()
    };
    let txs: Vec<_> = (0..TXS)
        .map(|number| {
            let (from, nonce) = (number as usize % SENDERS, number / SENDERS as u64);
            world::signed(&genesis, &senders[from], nonce, &senders[(from + 1) % SENDERS])
        })
        .collect();
    let chain = Chain::start(
        genesis.clone(),
        Role::Delegate(seat),
        config,
        &mut Registry::default(),
    )
    .await?;
    let mut tips = chain.watch();
    tokio::time::timeout(DEADLINE, tips.wait_for(|tip| tip.height >= 2)).await??;

    let handing = chain.clone();
    let handed =
        tokio::task::spawn_blocking(move || txs.into_iter().try_for_each(|tx| handing.submit(tx).map(drop)));
    let last = &senders[SENDERS - 1].address();
    let done = async {
        while chain.state().account(last)?.nonce < TXS / SENDERS as u64 {
            tips.changed().await?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, done).await??;
    handed.await??;
    let followed = follow::sync(&genesis, TXS as usize, &chain, dir.path()).await?;
    let bundle = chain.prove(&key::account(last))?;
    let proof_bytes = ledger::encode(&bundle.proof).len();
    chain.shutdown().await;
    Ok(Size {
        entries,
        thousand: Duration::from_secs_f64(1_000.0 / followed.txs),
        proof_bytes,
    })
}

fn somebody(number: usize) -> Address {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&Hash::of(&(number as u64).to_be_bytes()).0[..20]);
    Address::from_bytes(bytes)
}
