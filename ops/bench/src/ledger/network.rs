//! Four delegates in this process.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use chain::{Chain, Config, Role, SubmitError};
use prometheus_client::registry::Registry;

use super::world::World;

const DEADLINE: Duration = Duration::from_secs(300);
/// Between two blocks while latency is taken: they do not wait for each other.
const CALM_MS: u64 = 100;

pub struct Network(Vec<Chain>);

pub async fn start(world: &World, dir: &Path) -> Result<Network> {
    let mut chains = Vec::new();
    for (number, (key, port)) in world.seats.iter().zip(&world.ports).enumerate() {
        let config = Config {
            dir: dir.join(format!("seat{number}")),
            engine_listen: ([127, 0, 0, 1], *port).into(),
            mempool_max_txs: 20_000,
            mempool_max_bytes: 64 << 20,
            ..Config::default()
        };
        let role = Role::Delegate(key.clone());
        chains.push(Chain::start(world.genesis.clone(), role, config, &mut Registry::default()).await?);
    }
    let network = Network(chains);
    network.reach(2).await?;
    Ok(network)
}

impl Network {
    pub fn first(&self) -> &Chain {
        &self.0[0]
    }

    async fn reach(&self, height: u64) -> Result<()> {
        for chain in &self.0 {
            let mut tips = chain.watch();
            let reached = tokio::time::timeout(DEADLINE, tips.wait_for(|tip| tip.height >= height)).await;
            reached.with_context(|| format!("height {height}: {:?}", chain.health()))??;
        }
        Ok(())
    }

    /// Transactions a second, from the first that is handed in to the block of the last one. Each account hands in at one
    /// delegate, all as fast as they are taken.
    pub async fn rate(&self, world: &World) -> Result<f64> {
        let from = self.first().height();
        let started = Instant::now();
        let mut parts: Vec<Vec<_>> = vec![Vec::new(); self.0.len()];
        for tx in &world.txs {
            parts[usize::from(tx.sender().as_bytes()[0]) % self.0.len()].push(tx.clone());
        }
        let handing: Vec<_> = parts
            .into_iter()
            .zip(&self.0)
            .map(|(part, chain)| {
                let chain = chain.clone();
                tokio::task::spawn_blocking(move || part.into_iter().try_for_each(|tx| hand_in(&chain, &tx)))
            })
            .collect();
        let mut tips = self.first().watch();
        let (mut seen, mut height) = (0, from);
        while seen < world.txs.len() {
            let waited = tokio::time::timeout(DEADLINE, tips.wait_for(|tip| tip.height > height)).await;
            let newest = waited
                .with_context(|| format!("{seen} transactions, then nothing"))??
                .height;
            for at in height + 1..=newest {
                let (block, _) = self.first().block(at)?.context("a block")?;
                seen += block.body.txs.len();
            }
            height = newest;
        }
        let rate = world.txs.len() as f64 / started.elapsed().as_secs_f64();
        for handed in handing {
            handed.await??;
        }
        Ok(rate)
    }

    pub async fn stop(self) {
        for chain in self.0 {
            chain.shutdown().await;
        }
    }
}

fn hand_in(chain: &Chain, tx: &ledger::Tx) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    loop {
        match chain.submit(tx.clone()) {
            Ok(_) => return Ok(()),
            Err(SubmitError::Full { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => bail!("a transfer was not taken: {error}"),
        }
    }
}

#[derive(Debug)]
pub struct Latency {
    /// From the time in the header, which its proposer reads when it makes the block, to the block's being kept by all four.
    pub p50: Duration,
    pub p99: Duration,
    /// One way over loopback.
    pub delay: Duration,
    /// A write of a page, and waiting for the disk.
    pub fsync: Duration,
}

pub async fn latency(blocks: usize, folder: &Path) -> Result<Latency> {
    let world = World::new(2, CALM_MS)?;
    let dir = tempfile::tempdir_in(folder)?;
    let network = start(&world, dir.path()).await?;
    let mut took = Vec::new();
    let mut height = network.first().height();
    while took.len() < blocks {
        height += 1;
        network.reach(height).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let (block, certificate) = network.first().block(height)?.context("a block")?;
        // A later round is not what is asked for.
        if certificate.round == 0 {
            took.push(now.saturating_sub(Duration::from_millis(block.header.time_ms)));
        }
    }
    network.stop().await;
    took.sort();
    Ok(Latency {
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        delay: delay()?,
        fsync: fsync(dir.path())?,
    })
}

fn delay() -> Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = std::thread::spawn(move || -> Result<()> {
        let mut byte = [0];
        while far.read(&mut byte)? > 0 {
            far.write_all(&byte)?;
        }
        Ok(())
    });
    let mut took = Vec::new();
    for _ in 0..500 {
        let started = Instant::now();
        near.write_all(&[1])?;
        ensure!(near.read(&mut [0])? == 1, "the echo ended");
        took.push(started.elapsed() / 2);
    }
    drop(near);
    echo.join().map_err(|_| anyhow::anyhow!("the echo broke"))??;
    took.sort();
    Ok(took[took.len() / 2])
}

fn fsync(dir: &Path) -> Result<Duration> {
    let mut file = std::fs::File::create(dir.join("fsync"))?;
    let mut took = Vec::new();
    for _ in 0..100 {
        let started = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        took.push(started.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2])
}
