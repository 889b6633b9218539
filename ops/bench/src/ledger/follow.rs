//! A follower that begins with the genesis, beside a chain that has blocks.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use chain::{Chain, Config, Fault, Gossip, Peers, Role};
use ledger::Genesis;
use prometheus_client::registry::Registry;

const DEADLINE: Duration = Duration::from_secs(300);

/// A second.
#[derive(Clone, Debug)]
pub struct Synced {
    pub blocks: f64,
    pub txs: f64,
}

struct One(Chain);

#[async_trait]
impl Peers for One {
    fn peers(&self) -> Vec<String> {
        vec!["one".into()]
    }

    async fn ask(&self, _: &str, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let chain = self.0.clone();
        let answered = tokio::task::spawn_blocking(move || chain.answer(&request)).await;
        answered.map_err(|error| error.to_string())
    }

    fn fault(&self, _: &str, fault: Fault) {
        eprintln!("the follower finds fault: {fault:?}");
    }

    fn publish(&self, _: Gossip, _: Vec<u8>) {}
}

/// Follows a chain that has made `txs` transactions, from the genesis on.
pub async fn sync(genesis: &Genesis, txs: usize, ahead: &Chain, dir: &Path) -> Result<Synced> {
    let config = Config {
        dir: dir.join("follower"),
        ..Config::default()
    };
    let chain = Chain::start(genesis.clone(), Role::Follower, config, &mut Registry::default()).await?;
    let target = ahead.height();
    let started = Instant::now();
    chain.connect(Arc::new(One(ahead.clone())));
    let mut tips = chain.watch();
    let reached = tokio::time::timeout(DEADLINE, tips.wait_for(|tip| tip.height >= target)).await;
    reached.with_context(|| format!("{:?}", chain.sync_status()))??;
    let seconds = started.elapsed().as_secs_f64();
    chain.shutdown().await;
    Ok(Synced {
        blocks: target as f64 / seconds,
        txs: txs as f64 / seconds,
    })
}
