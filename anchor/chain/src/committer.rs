//! The last step of every block, however it came: it becomes durable, and then everybody in this process hears of it.

use std::sync::Arc;
use std::time::Instant;

use ledger::{Block, Certificate, Tx};
use tokio::sync::watch;

use crate::mempool::Mempool;
use crate::metrics::{BlockLabels, Metrics};
use crate::monitor::Monitor;
use crate::store::{Executed, Store};
use crate::{Error, Tip};

/// Keeps blocks. A chain has one writer: its engine, or its follower.
#[derive(Debug)]
pub(crate) struct Committer {
    pub(crate) store: Arc<Store>,
    pub(crate) mempool: Arc<Mempool>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) metrics: Metrics,
    pub(crate) tips: watch::Sender<Tip>,
}

impl Committer {
    /// Keeps a decided block that was run on the tip. `from` is the way that it came.
    pub(crate) fn commit(
        &self,
        block: &Block,
        certificate: &Certificate,
        executed: &Executed,
        from: &'static str,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let tip = self.store.commit(block, certificate, executed)?;
        self.metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        let included: Vec<_> = block.body.txs.iter().map(Tx::cid).collect();
        self.mempool.rebase(self.store.view(), &included)?;
        self.metrics.height.set(tip.height as i64);
        self.metrics.txs.inc_by(included.len() as u64);
        self.metrics.blocks.get_or_create(&BlockLabels { from }).inc();
        self.monitor.committed(tip.height, Instant::now());
        tracing::debug!(height = tip.height, txs = included.len(), from, "block");
        self.tips.send_replace(tip);
        Ok(())
    }
}
