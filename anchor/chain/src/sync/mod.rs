//! The chain among nodes that are no delegates: how a node comes to blocks that others decided, and how its
//! transactions come to those who decide.
//!
//! A *follower* runs no engine. It hears of a new block by gossip (`hear`: header and certificate), fetches the block
//! itself from a peer (`follow`, `ask`), checks its certificate against the delegates of its own state, runs it, compares
//! the state root and keeps it (`judge`). So it trusts no peer: all that a peer can do is not to answer, which costs time
//! until the next one is asked, or to give what does not hold, after which it is refused (`known`). Every node answers
//! peers from what it keeps (`serve`), and passes transactions on (`relay`).

mod announce;
mod ask;
mod follow;
mod hear;
mod judge;
mod known;
mod peers;
mod relay;
mod serve;
mod wire;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cid::Cid;
use ledger::{Genesis, Tx};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use peers::{Fault, Gossip, Peers, Verdict};

use crate::committer::Committer;
use crate::execute::Executor;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::store::Store;
use crate::{Error, Failure, Tip};
use follow::Follower;
use known::{Known, Outcome, UNANSWERED_AFTER};
use relay::{Outbox, Relay};

/// Between two looks at a wait that ends by time alone.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How a node stands to its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// Height of the newest block that somebody shows, this node included.
    pub best: u64,
    /// Peers that give this chain. A delegate asks none.
    pub peers: usize,
    /// Peers that were refused within the last ten minutes, and why; at most 64.
    pub refused: Vec<(String, String)>,
}

/// What the chain of this node says to others and hears from them.
#[derive(Debug)]
pub(crate) struct Exchange {
    genesis: Arc<Genesis>,
    genesis_cid: Cid,
    store: Arc<Store>,
    executor: Executor,
    mempool: Arc<Mempool>,
    monitor: Arc<Monitor>,
    metrics: Metrics,
    /// Whether this node is a follower.
    follows: bool,
    connected: AtomicBool,
    known: Mutex<Known>,
    outbox: Outbox,
    /// The greatest height that peers have told of, final or not.
    heard_of: AtomicU64,
    /// There is something to do for the follower.
    woken: Notify,
    /// Something is known that was not before.
    progress: watch::Sender<()>,
}

/// The tasks of a node that is connected. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Tasks {
    leave: watch::Sender<bool>,
    handles: Vec<JoinHandle<()>>,
}

/// Tells a task that the chain is being left.
#[derive(Clone, Debug)]
pub(crate) struct Leave(watch::Receiver<bool>);

impl Exchange {
    pub(crate) fn new(genesis: Arc<Genesis>, parts: &Committer, follows: bool) -> Exchange {
        Exchange {
            genesis_cid: genesis.cid(),
            executor: Executor::new(
                Arc::clone(&genesis),
                Arc::clone(&parts.store),
                parts.mempool.signatures(),
            ),
            genesis,
            store: Arc::clone(&parts.store),
            mempool: Arc::clone(&parts.mempool),
            monitor: Arc::clone(&parts.monitor),
            metrics: parts.metrics.clone(),
            follows,
            connected: AtomicBool::new(false),
            known: Mutex::default(),
            outbox: Outbox::default(),
            heard_of: AtomicU64::new(0),
            woken: Notify::new(),
            progress: watch::Sender::new(()),
        }
    }

    /// Starts what a node does with its peers. A follower gives its committer, a delegate has none to give.
    pub(crate) fn connect(
        self: &Arc<Self>,
        peers: Arc<dyn Peers>,
        committer: Option<Committer>,
        tips: watch::Receiver<Tip>,
    ) -> Tasks {
        self.connected.store(true, Ordering::Release);
        let (leave, left) = watch::channel(false);
        let left = Leave(left);
        let relay = Relay::new(Arc::clone(self), Arc::clone(&peers), left.clone());
        let mut handles = vec![self.spawn(relay.run())];
        handles.push(match committer {
            Some(committer) => {
                let follower = Follower::new(Arc::clone(self), committer, peers, left);
                self.spawn(follower.run())
            }
            None => self.spawn(announce::run(Arc::clone(self), peers, tips, left)),
        });
        Tasks { leave, handles }
    }

    /// Runs a task whose end by anything but a stop is the end of the chain in this process.
    fn spawn(&self, work: impl Future<Output = Result<(), Error>> + Send + 'static) -> JoinHandle<()> {
        let (monitor, task) = (Arc::clone(&self.monitor), tokio::spawn(work));
        tokio::spawn(async move {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => monitor.fail(Failure::Store {
                    reason: error.with_sources(),
                }),
                Err(panic) => monitor.fail(Failure::Follower {
                    reason: panic.to_string(),
                }),
            }
        })
    }

    /// Waits until the node is at the tip of the peers that answer.
    ///
    /// # Errors
    /// If every peer was refused, or none answers and there is no block.
    pub(crate) async fn synced(&self) -> Result<(), Error> {
        if !self.follows {
            return Ok(());
        }
        match self.outcome().await {
            Outcome::Level => Ok(()),
            Outcome::Offline => {
                let (height, said) = (self.store.tip().height, self.known().sayings());
                tracing::warn!(height, "no peer answers, the chain is used as it is here: {said}");
                Ok(())
            }
            Outcome::Refused => Err(self.refused()),
            Outcome::Unanswered => Err(self.unanswered()),
        }
    }

    async fn outcome(&self) -> Outcome {
        let (started, mut progress) = (Instant::now(), self.progress.subscribe());
        loop {
            let (tip, now) = (self.store.tip().height, Instant::now());
            let outcome = self.known().outcome(tip, now.duration_since(started), now);
            if let Some(outcome) = outcome {
                return outcome;
            }
            let _ = tokio::time::timeout(LOOK_EVERY, progress.changed()).await;
        }
    }

    fn refused(&self) -> Error {
        Error::Refused {
            chain: self.genesis.chain_id.clone(),
            genesis: self.genesis_cid.to_string(),
            said: self.known().sayings(),
        }
    }

    fn unanswered(&self) -> Error {
        Error::Unanswered {
            chain: self.genesis.chain_id.clone(),
            seconds: UNANSWERED_AFTER.as_secs(),
            said: self.known().sayings(),
        }
    }

    /// Asks peers for a newer tip, and waits until their blocks are here, at most `within`.
    pub(crate) async fn refresh(&self, within: Duration) {
        if !self.follows {
            return;
        }
        let mut progress = self.progress.subscribe();
        let number = self.known().refresh(Instant::now());
        self.woken.notify_one();
        let answered = async {
            while !self.is_refreshed(number) {
                let _ = tokio::time::timeout(LOOK_EVERY, progress.changed()).await;
            }
        };
        let _ = tokio::time::timeout(within, answered).await;
    }

    fn is_refreshed(&self, number: u64) -> bool {
        let (tip, known) = (self.store.tip().height, self.known());
        known.refreshes() > number && known.best(tip) == tip
    }

    pub(crate) fn sync_status(&self) -> SyncStatus {
        self.known().status(self.store.tip().height)
    }

    /// Takes over to bring a transaction that waits here to a delegate. A delegate without peers is there already.
    pub(crate) fn pass_on(&self, cid: Cid, tx: Tx) {
        if self.follows || self.connected.load(Ordering::Acquire) {
            self.outbox.push(cid, tx);
        }
    }

    /// Whether the state here is the newest that this node knows of.
    fn is_at_tip(&self) -> bool {
        let tip = self.store.tip().height;
        !self.follows || self.known().is_level(tip, Instant::now())
    }

    /// The usual time between two questions for a peer's height, when no blocks come.
    fn ask_every(&self) -> Duration {
        let block_time = Duration::from_millis(self.genesis.block_time_ms);
        (block_time * 2).clamp(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// Tells monitor and metrics about the peers.
    fn show(&self, tip: u64) {
        let (answering, best) = {
            let known = self.known();
            (known.answering(), known.best(tip))
        };
        self.monitor.set_peers(answering);
        self.metrics.sync_peers.set(answering as i64);
        self.metrics.sync_best.set(best as i64);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic while the peers are held")
    }
}

impl Tasks {
    /// Stops and waits until nothing runs.
    pub(crate) async fn stop(self) {
        self.leave.send_replace(true);
        for handle in self.handles {
            let _ = handle.await;
        }
    }
}

impl Leave {
    /// Resolves when the chain is left, or dropped.
    async fn left(&mut self) {
        let _ = self.0.wait_for(|left| *left).await;
    }

    fn has_left(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
