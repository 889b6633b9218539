//! Where the sessions of one payer meet: they share its tab, and each is woken when another one changes it.
//!
//! What left and was not paid stays on the tab when a session breaks off. A payer that comes back pays first for what it
//! did get; only then is the rest, which was lost on the way, written off.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::{Amount, CreditTerms, Hash, PublicKey, Signed, Voucher, VoucherError};
use tokio::sync::watch;

use super::metrics::Metrics;
use crate::Error;
use crate::ddp::books::{Books, Pair, TabEntry};

/// The pairs that have sessions now.
pub(super) struct Pairs {
    books: Books,
    terms: CreditTerms,
    metrics: Metrics,
    live: Mutex<HashMap<Pair, Arc<Live>>>,
    /// Who has paid from which escrow, so that it is known to hold its key.
    proven: Mutex<HashSet<(Hash, PublicKey)>>,
}

/// A pair that has sessions.
pub(super) struct Live {
    pair: Pair,
    /// A session that is over has left unpaid bytes on the tab. This promise would cover them.
    left: Mutex<Option<Amount>>,
    /// A voucher was honoured since.
    paid_since: AtomicBool,
    changes: watch::Sender<()>,
    sessions: AtomicUsize,
}

/// A session's part in its pair, until it is dropped.
pub(super) struct Member(Arc<Live>);

/// What of some blocks may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Charge {
    /// The first so many; they are on the tab now.
    Go {
        count: usize,
        /// The payer's window, in bytes.
        window: u64,
    },
    /// None, for this reason.
    Halt(Halt),
}

/// Why nothing may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// A voucher must come first.
    Unpaid {
        /// What it must promise.
        needed: Amount,
        /// Whether everything that left is paid for.
        all_paid: bool,
    },
    /// The ledger would not pay for the next.
    NotCovered {
        /// How much it would pay too little for the payer's next window.
        missing: Amount,
        all_paid: bool,
    },
}

/// What a voucher did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paid {
    /// It raised what is promised.
    Fresh,
    /// Another session had brought a higher one meanwhile; it acknowledges its statement all the same.
    Overtaken,
}

impl Pairs {
    pub fn new(books: Books, terms: CreditTerms, metrics: Metrics) -> Pairs {
        Pairs {
            books,
            terms,
            metrics,
            live: Mutex::default(),
            proven: Mutex::default(),
        }
    }

    /// Begins a session of this pair. Returns the tab as well.
    pub fn join(&self, pair: Pair) -> Result<(Member, TabEntry), Error> {
        let mut live = lock(&self.live);
        let entry = self.books.tab(&pair, &self.terms)?;
        live.retain(|_, live| Arc::strong_count(live) > 1);
        let joined = live.entry(pair).or_insert_with(|| {
            Arc::new(Live {
                pair,
                left: Mutex::new(left_on(&entry)),
                paid_since: AtomicBool::new(false),
                changes: watch::Sender::new(()),
                sessions: AtomicUsize::new(0),
            })
        });
        joined.sessions.fetch_add(1, Ordering::SeqCst);
        Ok((Member(Arc::clone(joined)), entry))
    }

    /// Whether a payer must pay before anything leaves.
    pub fn pays_ahead(&self, entry: &TabEntry) -> bool {
        entry.tab.pays_ahead(&self.terms)
    }

    /// Whether this peer has shown that it holds the escrow's key.
    pub fn is_proven(&self, escrow: &Hash, peer: &PublicKey) -> bool {
        lock(&self.proven).contains(&(*escrow, *peer))
    }

    /// Lets as many of these blocks leave as may, and puts them on the tab.
    pub fn charge(
        &self,
        live: &Live,
        sizes: &[u64],
        price: Amount,
        collectible: Amount,
    ) -> Result<Charge, Error> {
        let terms = self.terms;
        self.books.change_tab(&live.pair, &terms, |TabEntry { tab, .. }| {
            let covered = tab.covered(price, collectible);
            let room = tab.room(price, &terms).min(covered);
            let first = sizes.first().copied().unwrap_or_default();
            let (count, bytes) = fitting(sizes, room);
            if count > 0 {
                tab.deliver(bytes, price);
                let window = tab.window;
                return Charge::Go { count, window };
            }
            let all_paid = tab.due().is_zero();
            if covered < first {
                let next = tab.delivered.add(first.max(tab.window), price).amount();
                let missing = next.checked_sub(collectible).unwrap_or_default();
                return Charge::Halt(Halt::NotCovered { missing, all_paid });
            }
            // As much at a time as a payer gives in advance.
            let (_, batch) = fitting(sizes, covered.min(terms.first_window));
            Charge::Halt(Halt::Unpaid {
                needed: tab.needed(batch.max(first), price, &terms),
                all_paid,
            })
        })
    }

    /// Takes off the tab what was charged and did not leave.
    pub fn take_back(&self, live: &Live, bytes: u64, price: Amount) -> Result<(), Error> {
        self.books
            .change_tab(&live.pair, &self.terms, |TabEntry { tab, .. }| {
                tab.take_back(bytes, price);
            })
    }

    /// Takes a voucher whose parties and signature were checked. `last` is what this session knew to be promised.
    pub fn honour(
        &self,
        live: &Live,
        peer: &PublicKey,
        voucher: Signed<Voucher>,
        last: Amount,
        collectible: Amount,
    ) -> Result<Result<Paid, VoucherError>, Error> {
        let cumulative = voucher.body.cumulative;
        let escrow = voucher.body.escrow;
        let highest = last;
        let honoured = self.books.change_tab(&live.pair, &self.terms, |entry| {
            if cumulative == last {
                return Err(VoucherError::Replayed { cumulative });
            }
            if cumulative < last {
                return Err(VoucherError::Shrunk { cumulative, highest });
            }
            if cumulative <= entry.tab.vouched {
                return Ok(Paid::Overtaken);
            }
            entry.tab.honour(cumulative, collectible, &self.terms)?;
            entry.voucher = Some(voucher);
            Ok(Paid::Fresh)
        })?;
        if honoured == Ok(Paid::Fresh) {
            lock(&live.left).take_if(|left| cumulative >= *left);
            self.metrics.vouchers.inc();
            self.remember(escrow, *peer);
            live.paid_since.store(true, Ordering::Relaxed);
            live.changes.send_replace(());
        }
        Ok(honoured)
    }

    /// A session of this pair is over and has left unpaid bytes.
    pub fn broke(&self, live: &Live) {
        match self.books.tab(&live.pair, &self.terms) {
            Ok(entry) => *lock(&live.left) = left_on(&entry),
            Err(error) => tracing::error!(%error, "what a payer has left unpaid is not known"),
        }
        live.paid_since.store(false, Ordering::Relaxed);
        live.changes.send_replace(());
    }

    /// Writes off what is unpaid, if a session of this pair has left it and the payer had its chance: it has paid since,
    /// or it has paid before and `has_nothing_to_pay` in the session that asks. Whoever has never paid gets its one
    /// window, and nothing more before its first voucher. Returns whether that changed anything.
    pub fn write_off(&self, live: &Live, has_nothing_to_pay: bool) -> Result<bool, Error> {
        if lock(&live.left).is_none() {
            return Ok(false);
        }
        let paid_since = live.paid_since.load(Ordering::Relaxed);
        let lost = self
            .books
            .change_tab(&live.pair, &self.terms, |TabEntry { tab, .. }| {
                let had_chance = paid_since || (has_nothing_to_pay && !tab.vouched.is_zero());
                let is_lost = had_chance && !tab.due().is_zero();
                if is_lost {
                    tab.fault(&self.terms);
                }
                is_lost
            })?;
        if lost {
            lock(&live.left).take();
            self.metrics.faults.inc();
            live.changes.send_replace(());
        }
        Ok(lost)
    }

    fn remember(&self, escrow: Hash, peer: PublicKey) {
        let mut proven = lock(&self.proven);
        if proven.len() >= PROVEN_MAX {
            proven.clear();
        }
        proven.insert((escrow, peer));
    }
}

impl Live {
    /// Whether an earlier session has left something unpaid.
    pub fn has_left(&self) -> bool {
        lock(&self.left).is_some()
    }
}

impl Member {
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.0)
    }

    /// Hears when the tab has changed, or a session has ended.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Whether this is the payer's only session.
    pub fn is_alone(&self) -> bool {
        self.0.sessions.load(Ordering::SeqCst) <= 1
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::SeqCst);
        self.0.changes.send_replace(());
    }
}

/// The promise that would cover all that left, if it is unpaid.
fn left_on(TabEntry { tab, .. }: &TabEntry) -> Option<Amount> {
    (!tab.due().is_zero()).then(|| tab.delivered.amount())
}

/// How many of these fit into `room`, from the front, and their sum.
pub(super) fn fitting(sizes: &[u64], room: u64) -> (usize, u64) {
    let mut sum = 0u64;
    for (at, size) in sizes.iter().enumerate() {
        match sum.checked_add(*size) {
            Some(with) if with <= room => sum = with,
            _ => return (at, sum),
        }
    }
    (sizes.len(), sum)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pairs of escrow and peer that are remembered; one that is forgotten shows its key with its next voucher.
const PROVEN_MAX: usize = 4096;
