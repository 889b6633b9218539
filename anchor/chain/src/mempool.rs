//! Transactions that wait for a block.
//!
//! A transaction is taken if the ledger accepts it after all those that already wait, so what waits would fill a valid
//! block. One whose account has to send others first waits aside for them, for a while. Blocks take what pays best
//! first, each account's in the order of their nonces. A full pool gives the places of those that pay least to those
//! that pay more, and a waiting transaction makes way for another one of its nonce that does; so does it cost to fill
//! the pool. After each block the rest is tried anew. What becomes of a transaction can always be asked: it waits, it is
//! in a block, or it was refused and why, also after a restart if it was handed in here. Only the reasons of old refusals are
//! forgotten.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use cid::Cid;
use ledger::{Address, Amount, Genesis, MAX_TX_BYTES, Refusal, State, StateError, Transition, Tx};

use crate::metrics::{Metrics, SubmitLabels};
use crate::signatures::Signatures;
use crate::store::{Changes, Store, Submitted, View};
use crate::{Config, Error, SubmitError};

/// How far before its turn a transaction is kept, in nonces: so many at most wait for one that is missing.
const EARLY_NONCES: u64 = 16;
/// How long, in blocks.
const EARLY_BLOCKS: u64 = 120;
/// The part of a pool, one in so many, that those before their turn may take, and that a full pool gives up at once:
/// what is left is tried anew then, so it is not done for each newcomer.
const PART: usize = 16;
/// A [`Bid`] of the least fee.
const PAR: u64 = 1_000;

/// Waiting transactions of one chain.
#[derive(Debug)]
pub(crate) struct Mempool {
    genesis: Arc<Genesis>,
    proposer: Address,
    limits: Limits,
    metrics: Metrics,
    signatures: Arc<Signatures>,
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
    store: Arc<Store>,
    view: View,
    /// What the waiting transactions make of the view.
    changes: Changes,
    /// In the order in which they were tried.
    waiting: Vec<Waiting>,
    /// Those before their turn, by account and nonce, with the height at which they came.
    early: BTreeMap<(Address, u64), (Waiting, u64)>,
    /// All of both.
    known: HashMap<Cid, (Address, u64)>,
    bytes: usize,
    /// Those that users handed in.
    own: HashSet<Cid>,
    refused: HashMap<Cid, String>,
    refused_order: VecDeque<Cid>,
}

#[derive(Clone, Debug)]
struct Waiting {
    cid: Cid,
    tx: Arc<Tx>,
    sender: Address,
    bytes: usize,
    bid: Bid,
}

/// What a transaction pays, in thousandths of the least fee for its kind. One that costs nothing is before all others:
/// the ledger takes it only where it is of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bid(u64);

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
    /// Its account has to send the transaction of this nonce first.
    Early {
        missing: u64,
    },
    Refused(String),
    Unknown,
}

impl Mempool {
    /// An empty pool on the newest state. Fees are reckoned as if `proposer` made the block.
    pub(crate) fn new(
        genesis: Arc<Genesis>,
        proposer: Address,
        config: &Config,
        metrics: Metrics,
        store: Arc<Store>,
    ) -> Mempool {
        let limits = Limits {
            txs: config.mempool_max_txs,
            bytes: config.mempool_max_bytes,
            refusals: config.refusals_kept,
        };
        let pool = Pool {
            view: store.view(),
            store,
            changes: Changes::new(),
            waiting: Vec::new(),
            early: BTreeMap::new(),
            known: HashMap::new(),
            bytes: 0,
            own: HashSet::new(),
            refused: HashMap::new(),
            refused_order: VecDeque::new(),
        };
        Mempool {
            genesis,
            proposer,
            limits,
            metrics,
            signatures: Arc::default(),
            pool: Mutex::new(pool),
        }
    }

    /// The signatures that need no second look.
    pub(crate) fn signatures(&self) -> Arc<Signatures> {
        Arc::clone(&self.signatures)
    }

    /// Takes a transaction, or says why not. One that already waits is taken again without effect: then it is not new.
    pub(crate) fn submit(&self, cid: Cid, tx: Tx, by: By) -> Result<IsNew, SubmitError> {
        let kept = tx.clone();
        let taken = self.take(cid, tx);
        let outcome = match &taken {
            Ok(_) => "taken",
            Err(SubmitError::Refused(_) | SubmitError::TooLarge { .. } | SubmitError::Outbid { .. }) => {
                "refused"
            }
            Err(SubmitError::Full { .. }) => "full",
            Err(SubmitError::Chain(_)) => "error",
        };
        self.metrics
            .submitted
            .get_or_create(&SubmitLabels { outcome })
            .inc();
        if by == By::User {
            self.own(&cid, kept, &taken)?;
        }
        taken
    }

    /// Keeps what a user handed in, or why it was refused.
    fn own(&self, cid: &Cid, tx: Tx, taken: &Result<IsNew, SubmitError>) -> Result<(), Error> {
        let mut pool = self.pool();
        match taken {
            Ok(_) if pool.own.insert(*cid) => {
                let note = Submitted::Waiting(Box::new(tx));
                pool.store.note_submitted([(cid, Some(note))])
            }
            Err(SubmitError::Refused(refusal)) => {
                pool.own.insert(*cid);
                pool.refuse(*cid, refusal.to_string(), self.limits.refusals);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes up what users handed in before a restart. Returns what still waits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(crate) fn restore(&self) -> Result<Vec<(Cid, Tx)>, Error> {
        let store = Arc::clone(&self.pool().store);
        let (mut txs, mut gone) = (Vec::new(), Vec::new());
        for (cid, note) in store.submitted()? {
            match note {
                Submitted::Waiting(_) if store.height_of(&cid)?.is_some() => gone.push(cid),
                Submitted::Waiting(tx) => txs.push((cid, *tx)),
                Submitted::Refused(reason) => {
                    let mut pool = self.pool();
                    pool.own.insert(cid);
                    pool.refuse(cid, reason, self.limits.refusals);
                }
            }
        }
        store.note_submitted(gone.iter().map(|cid| (cid, None)))?;
        // Those of an account in turn.
        txs.sort_by_key(|(_, tx)| tx.body.nonce);
        let mut waiting = Vec::new();
        for (cid, tx) in txs {
            match self.submit(cid, tx.clone(), By::User) {
                Ok(_) => waiting.push((cid, tx)),
                Err(SubmitError::Chain(error)) => return Err(error),
                Err(refused) => {
                    tracing::info!(%cid, "a transaction of before the restart is refused: {refused}");
                }
            }
        }
        Ok(waiting)
    }

    fn take(&self, cid: Cid, tx: Tx) -> Result<IsNew, SubmitError> {
        if self.pool().known.contains_key(&cid) {
            return Ok(false);
        }
        let new = self.weigh(cid, tx)?;
        ledger::check_form(&self.genesis, &new.tx).map_err(SubmitError::Refused)?;
        if self.signatures.first_forged(&[&new.tx]).is_some() {
            return Err(SubmitError::Refused(Refusal::Signature));
        }
        let mut pool = self.pool();
        if pool.known.contains_key(&cid) {
            return Ok(false);
        }
        self.place(&mut pool, new)?;
        self.gauge(&pool);
        Ok(true)
    }

    fn weigh(&self, cid: Cid, tx: Tx) -> Result<Waiting, SubmitError> {
        let bytes = tx.encode().len();
        let max = MAX_TX_BYTES.min(self.genesis.max_block_bytes as usize / 2);
        if bytes > max {
            return Err(SubmitError::TooLarge { bytes, max });
        }
        Ok(Waiting {
            cid,
            sender: tx.sender(),
            bytes,
            bid: Bid::of(tx.body.fee, self.genesis.fee_of(tx.body.action.kind())),
            tx: Arc::new(tx),
        })
    }

    /// Finds a place for a transaction whose signature holds.
    fn place(&self, pool: &mut Pool, new: Waiting) -> Result<(), SubmitError> {
        let (next, nonce) = (pool.next_nonce(&new.sender)?, new.tx.body.nonce);
        if let Some(place) = pool.place_of(&new.sender, nonce) {
            return self.replace(pool, place, new);
        }
        if (next + 1..=next.saturating_add(EARLY_NONCES)).contains(&nonce) {
            return self.keep_early(pool, new);
        }
        self.check_room(pool, &new)?;
        self.apply(pool, &new.tx)?.map_err(SubmitError::Refused)?;
        let (cid, sender) = (new.cid, new.sender);
        pool.add(new);
        self.take_up(pool, &sender)?;
        if pool.is_over(&self.limits) {
            self.shrink(pool)?;
        }
        match pool.known.contains_key(&cid) {
            true => Ok(()),
            false => Err(self.full(pool, None)),
        }
    }

    /// One of the same account and nonce waits: it makes way for one that pays a tenth more.
    fn replace(&self, pool: &mut Pool, place: usize, new: Waiting) -> Result<(), SubmitError> {
        let old = &pool.waiting[place];
        if !new.bid.outbids(old.bid) {
            return Err(SubmitError::Outbid {
                nonce: new.tx.body.nonce,
                least: old.bid.outbidding(self.least(&new)),
            });
        }
        self.try_at(pool, place, &new)?;
        let old = std::mem::replace(&mut pool.waiting[place], new);
        self.go_on(pool, &HashSet::new())?;
        pool.refuse(
            old.cid,
            "another one of its nonce pays more".into(),
            self.limits.refusals,
        );
        Ok(())
    }

    /// Whether a transaction holds behind those of its account before `place`: all others would have to be tried anew to
    /// say more, which it has to be worth.
    fn try_at(&self, pool: &Pool, place: usize, new: &Waiting) -> Result<(), SubmitError> {
        let mut run = Transition::new(
            &self.genesis,
            &pool.view,
            pool.view.tip().height + 1,
            self.proposer,
        );
        let before = pool.waiting[..place].iter().filter(|tx| tx.sender == new.sender);
        before.for_each(|tx| drop(run.apply_verified(&tx.tx)));
        run.apply_verified(&new.tx).map_err(|refusal| match refusal {
            Refusal::State(e) => state_error(e).into(),
            refusal => SubmitError::Refused(refusal),
        })
    }

    fn keep_early(&self, pool: &mut Pool, new: Waiting) -> Result<(), SubmitError> {
        let place = (new.sender, new.tx.body.nonce);
        if let Some((old, _)) = pool
            .early
            .get(&place)
            .filter(|(old, _)| !new.bid.outbids(old.bid))
        {
            return Err(SubmitError::Outbid {
                nonce: place.1,
                least: old.bid.outbidding(self.least(&new)),
            });
        }
        // Who cannot pay for one transaction does not keep places with many.
        let balance = pool.pending().account(&new.sender).map_err(state_error)?.balance;
        if balance < new.tx.body.fee {
            return Err(SubmitError::Refused(Refusal::Balance {
                account: new.sender.display(&self.genesis.prefix),
                cost: new.tx.body.fee,
                balance,
            }));
        }
        let all = pool.early.len() >= (self.limits.txs / PART).max(1);
        if all || pool.bytes + new.bytes > self.limits.bytes {
            return Err(self.full(pool, None));
        }
        pool.put_early(new, self.limits.refusals);
        Ok(())
    }

    /// Brings in those of an account whose turn has come.
    fn take_up(&self, pool: &mut Pool, sender: &Address) -> Result<(), Error> {
        loop {
            let next = pool.next_nonce(sender)?;
            let Some((tx, _)) = pool.early.remove(&(*sender, next)) else {
                return Ok(());
            };
            pool.forget(&tx);
            match self.apply(pool, &tx.tx)? {
                Ok(()) => pool.add(tx),
                Err(refusal) => {
                    pool.refuse(tx.cid, refusal.to_string(), self.limits.refusals);
                    return Ok(());
                }
            }
        }
    }

    /// Whether a newcomer gets in: a full pool takes those that outbid the least of those that wait.
    fn check_room(&self, pool: &Pool, new: &Waiting) -> Result<(), SubmitError> {
        if pool.known.len() < self.limits.txs && pool.bytes + new.bytes <= self.limits.bytes {
            return Ok(());
        }
        let worst = pool.waiting.iter().map(|waiting| waiting.bid).min();
        match worst {
            Some(worst) if !new.bid.outbids(worst) => {
                Err(self.full(pool, Some(worst.outbidding(self.least(new)))))
            }
            _ => Ok(()),
        }
    }

    /// Gives up those that pay least, some more than need be.
    fn shrink(&self, pool: &mut Pool) -> Result<(), Error> {
        let (txs, bytes) = (
            self.limits.txs - self.limits.txs / PART,
            self.limits.bytes - self.limits.bytes / PART,
        );
        let mut order: Vec<_> = pool.waiting.iter().enumerate().collect();
        order.sort_by_key(|(place, waiting)| (waiting.bid, Reverse(*place)));
        let (mut left, mut left_bytes, mut gone) = (pool.known.len(), pool.bytes, HashSet::new());
        for (_, worst) in order {
            if left <= txs && left_bytes <= bytes {
                break;
            }
            gone.insert(worst.cid);
            (left, left_bytes) = (left - 1, left_bytes - worst.bytes);
        }
        self.go_on(pool, &gone)?;
        for cid in gone {
            let reason = "the node has too many pending transactions that pay more".into();
            pool.refuse(cid, reason, self.limits.refusals);
        }
        Ok(())
    }

    /// What a block should take, in this order: the dearest first, each account's in turn.
    pub(crate) fn candidates(&self) -> Vec<Arc<Tx>> {
        let pool = self.pool();
        let mut queues: HashMap<Address, VecDeque<(usize, &Waiting)>> = HashMap::new();
        for (place, waiting) in pool.waiting.iter().enumerate() {
            queues
                .entry(waiting.sender)
                .or_default()
                .push_back((place, waiting));
        }
        let head = |queue: &VecDeque<(usize, &Waiting)>| {
            queue
                .front()
                .map(|(place, first)| (first.bid, Reverse(*place), first.sender))
        };
        let mut heads: BinaryHeap<_> = queues.values().filter_map(head).collect();
        let mut order = Vec::with_capacity(pool.waiting.len());
        while let Some((.., sender)) = heads.pop() {
            let Some(queue) = queues.get_mut(&sender) else {
                continue;
            };
            order.extend(queue.pop_front().map(|(_, waiting)| Arc::clone(&waiting.tx)));
            heads.extend(head(queue));
        }
        order
    }

    /// Goes on from the state after a new block: its transactions leave, the others are tried anew.
    pub(crate) fn rebase(&self, view: View, included: &[Cid]) -> Result<(), Error> {
        let mut pool = self.pool();
        pool.view = view;
        let own: Vec<&Cid> = included.iter().filter(|cid| pool.own.contains(cid)).collect();
        pool.store.note_submitted(own.iter().map(|cid| (*cid, None)))?;
        for cid in included {
            pool.own.remove(cid);
        }
        self.go_on(&mut pool, &included.iter().copied().collect())?;
        self.expire(&mut pool);
        self.gauge(&pool);
        Ok(())
    }

    /// Tries anew what waits, without the transactions of `gone`.
    fn go_on(&self, pool: &mut Pool, gone: &HashSet<Cid>) -> Result<(), Error> {
        let waiting = std::mem::take(&mut pool.waiting);
        pool.changes.clear();
        pool.early.retain(|_, (tx, _)| !gone.contains(&tx.cid));
        pool.recount();
        for tx in waiting.into_iter().filter(|tx| !gone.contains(&tx.cid)) {
            match self.apply(pool, &tx.tx)? {
                Ok(()) => pool.add(tx),
                // One before it is gone.
                Err(Refusal::Nonce { expected, found, .. }) if found > expected => {
                    pool.put_early(tx, self.limits.refusals);
                }
                Err(refusal) => pool.refuse(tx.cid, refusal.to_string(), self.limits.refusals),
            }
        }
        let senders: BTreeSet<Address> = pool.early.keys().map(|(sender, _)| *sender).collect();
        for sender in senders {
            self.take_up(pool, &sender)?;
        }
        Ok(())
    }

    /// Ends the waiting of those whose turn is over or does not come.
    fn expire(&self, pool: &mut Pool) {
        let height = pool.view.tip().height;
        let nexts: HashMap<Address, u64> = (pool.early.keys())
            .filter_map(|(sender, _)| Some((*sender, pool.next_nonce(sender).ok()?)))
            .collect();
        let is_over = |(sender, nonce): &(Address, u64), since: u64| {
            height >= since + EARLY_BLOCKS || nexts.get(sender).is_some_and(|next| nonce < next)
        };
        let over: Vec<_> = (pool.early.iter())
            .filter(|(place, (_, since))| is_over(place, *since))
            .map(|(place, _)| *place)
            .collect();
        for place in over {
            let Some((tx, _)) = pool.early.remove(&place) else {
                continue;
            };
            pool.forget(&tx);
            let next = nexts.get(&place.0).copied().unwrap_or_default();
            let account = place.0.display(&self.genesis.prefix);
            let reason = Refusal::Nonce {
                account: account.to_string(),
                expected: next,
                found: place.1,
            };
            pool.refuse(tx.cid, reason.to_string(), self.limits.refusals);
        }
    }

    /// Drops a transaction that others refuse for good. What waits behind it waits for another one in its place.
    pub(crate) fn give_up(&self, cid: &Cid, reason: String) -> Result<(), Error> {
        let mut pool = self.pool();
        if pool.known.contains_key(cid) {
            self.go_on(&mut pool, &HashSet::from([*cid]))?;
            pool.refuse(*cid, reason, self.limits.refusals);
        }
        Ok(())
    }

    /// Where a transaction is that is in no block.
    pub(crate) fn standing(&self, cid: &Cid) -> Standing {
        let pool = self.pool();
        if let Some(place) = pool.known.get(cid) {
            return match pool.early.contains_key(place) {
                false => Standing::Waiting,
                // A state that cannot be read now has been read when it came.
                true => Standing::Early {
                    missing: pool.next_nonce(&place.0).unwrap_or_default(),
                },
            };
        }
        pool.refused
            .get(cid)
            .map_or(Standing::Unknown, |reason| Standing::Refused(reason.clone()))
    }

    /// Whether a transaction waits, be it before its turn.
    pub(crate) fn waits(&self, cid: &Cid) -> bool {
        self.pool().known.contains_key(cid)
    }

    /// The nonce of the next transaction of an account, after those that wait.
    pub(crate) fn next_nonce(&self, address: &Address) -> Result<u64, Error> {
        self.pool().next_nonce(address)
    }

    fn apply(&self, pool: &mut Pool, tx: &Tx) -> Result<Result<(), Refusal>, Error> {
        let pending = pool.pending();
        let height = pool.view.tip().height + 1;
        let mut run = Transition::new(&self.genesis, &pending, height, self.proposer);
        match run.apply_verified(tx) {
            Ok(()) => {}
            Err(Refusal::State(e)) => return Err(state_error(e)),
            Err(refusal) => return Ok(Err(refusal)),
        }
        let changes = run.pending().map_err(state_error)?;
        pool.changes.extend(changes);
        Ok(Ok(()))
    }

    fn least(&self, tx: &Waiting) -> Amount {
        self.genesis.fee_of(tx.tx.body.action.kind())
    }

    fn full(&self, pool: &Pool, least: Option<Amount>) -> SubmitError {
        SubmitError::Full {
            txs: pool.known.len(),
            bytes: pool.bytes,
            least,
        }
    }

    fn gauge(&self, pool: &Pool) {
        self.metrics.mempool_txs.set(pool.known.len() as i64);
        self.metrics.mempool_bytes.set(pool.bytes as i64);
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().expect("no panic while the mempool is held")
    }
}

impl Bid {
    fn of(fee: Amount, least: Amount) -> Bid {
        let (fee, least) = (u128::from(fee.units()), u128::from(least.units()));
        let bid = (fee * u128::from(PAR)).checked_div(least);
        Bid(bid.map_or(u64::MAX, |bid| u64::try_from(bid).unwrap_or(u64::MAX)))
    }

    /// Whether it is at least a tenth above another one.
    fn outbids(self, other: Bid) -> bool {
        self >= other.above()
    }

    fn above(self) -> Bid {
        Bid(self.0.saturating_add((self.0 / 10).max(1)))
    }

    /// The fee that outbids this, where the least is `least`.
    fn outbidding(self, least: Amount) -> Amount {
        let units = u128::from(self.above().0) * u128::from(least.units());
        let units = units.div_ceil(u128::from(PAR));
        Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
    }
}

impl Pool {
    fn add(&mut self, tx: Waiting) {
        self.remember(&tx);
        self.waiting.push(tx);
    }

    fn put_early(&mut self, tx: Waiting, kept: usize) {
        self.remember(&tx);
        let height = self.view.tip().height;
        let place = (tx.sender, tx.tx.body.nonce);
        if let Some((old, _)) = self.early.insert(place, (tx, height)) {
            self.forget(&old);
            self.refuse(old.cid, "another one of its nonce pays more".into(), kept);
        }
    }

    fn remember(&mut self, tx: &Waiting) {
        self.refused.remove(&tx.cid);
        self.known.insert(tx.cid, (tx.sender, tx.tx.body.nonce));
        self.bytes += tx.bytes;
    }

    fn forget(&mut self, tx: &Waiting) {
        self.known.remove(&tx.cid);
        self.bytes -= tx.bytes;
    }

    /// Knows those before their turn only: the others are about to be tried anew.
    fn recount(&mut self) {
        let early = self.early.iter();
        self.known = early.clone().map(|(place, (tx, _))| (tx.cid, *place)).collect();
        self.bytes = early.map(|(_, (tx, _))| tx.bytes).sum();
    }

    fn is_over(&self, limits: &Limits) -> bool {
        self.known.len() > limits.txs || self.bytes > limits.bytes
    }

    fn place_of(&self, sender: &Address, nonce: u64) -> Option<usize> {
        (self.waiting.iter()).position(|tx| tx.tx.body.nonce == nonce && tx.sender == *sender)
    }

    fn next_nonce(&self, sender: &Address) -> Result<u64, Error> {
        Ok(self.pending().account(sender).map_err(state_error)?.nonce)
    }

    fn pending(&self) -> Pending<'_> {
        Pending {
            view: &self.view,
            changes: &self.changes,
        }
    }

    /// Remembers why a transaction is out, as long as there is room; on the disk, if a user handed it in.
    fn refuse(&mut self, cid: Cid, reason: String, kept: usize) {
        let mut notes = Vec::new();
        if self.own.contains(&cid) {
            notes.push((cid, Some(Submitted::Refused(reason.clone()))));
        }
        if self.refused.insert(cid, reason).is_none() {
            self.refused_order.push_back(cid);
        }
        while self.refused_order.len() > kept {
            let oldest = self.refused_order.pop_front();
            if let Some(oldest) = oldest.filter(|cid| self.refused.remove(cid).is_some())
                && self.own.remove(&oldest)
            {
                notes.push((oldest, None));
            }
        }
        let noted = self
            .store
            .note_submitted(notes.iter().map(|(cid, note)| (cid, note.clone())));
        if let Err(error) = noted {
            tracing::warn!("a refusal is not kept: {}", error.with_sources());
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
