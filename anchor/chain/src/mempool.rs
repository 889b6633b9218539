//! Transactions that wait for a block.
//!
//! A transaction is taken if the ledger accepts it after all those that already wait, so the nonces of a sender follow
//! each other without a gap, and whatever waits would fill a valid block. After each block the rest is tried anew. What
//! becomes of a transaction can always be asked: it waits, it is in a block, or it was refused and why. Only the
//! reasons of old refusals are forgotten.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use cid::Cid;
use ledger::{Address, Genesis, MAX_TX_BYTES, Refusal, State, StateError, Transition, Tx};

use crate::metrics::{Metrics, SubmitLabels};
use crate::store::{Changes, View};
use crate::{Config, Error, SubmitError};

/// Waiting transactions of one chain.
#[derive(Debug)]
pub(crate) struct Mempool {
    genesis: Arc<Genesis>,
    proposer: Address,
    limits: Limits,
    metrics: Metrics,
    pool: Mutex<Pool>,
}

#[derive(Debug)]
struct Limits {
    txs: usize,
    bytes: usize,
    refusals: usize,
}

#[derive(Debug)]
struct Pool {
    view: View,
    /// What the waiting transactions make of the view.
    changes: Changes,
    waiting: Vec<Arc<Tx>>,
    known: HashSet<Cid>,
    bytes: usize,
    refused: HashMap<Cid, String>,
    refused_order: VecDeque<Cid>,
}

/// The view with the waiting transactions on it.
struct Pending<'a> {
    view: &'a View,
    changes: &'a Changes,
}

/// Who hands in a transaction. Only to users of this node is it told later why theirs was refused: peers could
/// otherwise push those reasons out of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    User,
    Peer,
}

/// Whether a transaction that was taken did not wait before.
pub(crate) type IsNew = bool;

/// Where a transaction is that is in no block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    Refused(String),
    Unknown,
}

impl Mempool {
    /// An empty pool on `view`. Fees are reckoned as if `proposer` made the block.
    pub(crate) fn new(
        genesis: Arc<Genesis>,
        proposer: Address,
        config: &Config,
        metrics: Metrics,
        view: View,
    ) -> Mempool {
        let limits = Limits {
            txs: config.mempool_max_txs,
            bytes: config.mempool_max_bytes,
            refusals: config.refusals_kept,
        };
        let pool = Pool {
            view,
            changes: Changes::new(),
            waiting: Vec::new(),
            known: HashSet::new(),
            bytes: 0,
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
        };
        Mempool {
            genesis,
            proposer,
            limits,
            metrics,
            pool: Mutex::new(pool),
        }
    }

    /// Takes a transaction, or says why not. One that already waits is taken again without effect: then it is not new.
    pub(crate) fn submit(&self, cid: Cid, tx: Tx, by: By) -> Result<IsNew, SubmitError> {
        let taken = self.take(cid, tx, by);
        let outcome = match &taken {
            Ok(_) => "taken",
            Err(SubmitError::Refused(_) | SubmitError::TooLarge { .. }) => "refused",
            Err(SubmitError::Full { .. }) => "full",
            Err(SubmitError::Chain(_)) => "error",
        };
        self.metrics
            .submitted
            .get_or_create(&SubmitLabels { outcome })
            .inc();
        taken
    }

    fn take(&self, cid: Cid, tx: Tx, by: By) -> Result<IsNew, SubmitError> {
        let bytes = tx.encode().len();
        let mut pool = self.pool();
        if pool.known.contains(&cid) {
            return Ok(false);
        }
        let max = MAX_TX_BYTES.min(self.genesis.max_block_bytes as usize / 2);
        if bytes > max {
            return Err(SubmitError::TooLarge { bytes, max });
        }
        if pool.waiting.len() >= self.limits.txs || pool.bytes + bytes > self.limits.bytes {
            return Err(SubmitError::Full {
                txs: pool.waiting.len(),
                bytes: pool.bytes,
            });
        }
        match self.apply(&mut pool, &tx)? {
            Ok(()) => {
                pool.add(cid, Arc::new(tx), bytes);
                self.gauge(&pool);
                Ok(true)
            }
            Err(refusal) => {
                if by == By::User {
                    pool.refuse(cid, refusal.to_string(), self.limits.refusals);
                }
                Err(SubmitError::Refused(refusal))
            }
        }
    }

    /// All that waits, in order.
    pub(crate) fn candidates(&self) -> Vec<Arc<Tx>> {
        self.pool().waiting.clone()
    }

    /// Goes on from the state after a new block: its transactions leave, the others are tried anew.
    pub(crate) fn rebase(&self, view: View, included: &[Cid]) -> Result<(), Error> {
        self.go_on(&mut self.pool(), view, included)
    }

    /// From `view`, without the transactions of `gone`.
    fn go_on(&self, pool: &mut Pool, view: View, gone: &[Cid]) -> Result<(), Error> {
        let waiting = std::mem::take(&mut pool.waiting);
        pool.view = view;
        pool.changes.clear();
        pool.known.clear();
        pool.bytes = 0;
        let gone: HashSet<&Cid> = gone.iter().collect();
        for tx in waiting {
            let cid = tx.cid();
            if gone.contains(&cid) {
                continue;
            }
            match self.apply(pool, &tx)? {
                Ok(()) => {
                    let bytes = tx.encode().len();
                    pool.add(cid, tx, bytes);
                }
                Err(refusal) => pool.refuse(cid, refusal.to_string(), self.limits.refusals),
            }
        }
        self.gauge(pool);
        Ok(())
    }

    /// Drops a transaction that others refuse for good. What waits behind it is tried anew.
    pub(crate) fn give_up(&self, cid: &Cid, reason: String) -> Result<(), Error> {
        let mut pool = self.pool();
        if pool.known.contains(cid) {
            let view = pool.view.clone();
            self.go_on(&mut pool, view, &[*cid])?;
            pool.refuse(*cid, reason, self.limits.refusals);
        }
        Ok(())
    }

    /// Where a transaction is that is in no block.
    pub(crate) fn standing(&self, cid: &Cid) -> Standing {
        let pool = self.pool();
        if pool.known.contains(cid) {
            return Standing::Waiting;
        }
        pool.refused
            .get(cid)
            .map_or(Standing::Unknown, |reason| Standing::Refused(reason.clone()))
    }

    /// The nonce of the next transaction of an account, after those that wait.
    pub(crate) fn next_nonce(&self, address: &Address) -> Result<u64, Error> {
        let pool = self.pool();
        let pending = Pending {
            view: &pool.view,
            changes: &pool.changes,
        };
        Ok(pending.account(address).map_err(state_error)?.nonce)
    }

    fn apply(&self, pool: &mut Pool, tx: &Tx) -> Result<Result<(), Refusal>, Error> {
        let pending = Pending {
            view: &pool.view,
            changes: &pool.changes,
        };
        let height = pool.view.tip().height + 1;
        let mut run = Transition::new(&self.genesis, &pending, height, self.proposer);
        match run.apply(tx) {
            Ok(()) => {}
            Err(Refusal::State(e)) => return Err(state_error(e)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let changes = run.pending().map_err(state_error)?;
        pool.changes.extend(changes);
        Ok(Ok(()))
    }

    fn gauge(&self, pool: &Pool) {
        self.metrics.mempool_txs.set(pool.waiting.len() as i64);
        self.metrics.mempool_bytes.set(pool.bytes as i64);
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("no panic while the mempool is held")
    }
}

impl Pool {
    fn add(&mut self, cid: Cid, tx: Arc<Tx>, bytes: usize) {
        self.refused.remove(&cid);
        self.known.insert(cid);
        self.waiting.push(tx);
        self.bytes += bytes;
    }

    fn refuse(&mut self, cid: Cid, reason: String, kept: usize) {
        if self.refused.insert(cid, reason).is_none() {
            self.refused_order.push_back(cid);
        }
        while self.refused_order.len() > kept {
            let oldest = self.refused_order.pop_front();
            oldest.and_then(|cid| self.refused.remove(&cid));
        }
    }
}

impl State for Pending<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.changes.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.view.get(key),
        }
    }
}

fn state_error(error: StateError) -> Error {
    Error::Ledger {
        operation: "check a transaction",
        reason: error.0,
    }
}
