//! What the readers of one root share with the task that fetches for them.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cid::Cid;
use ledger::PublicKey;
use tokio::sync::watch;

use super::wants::{Lane, Wants};
use crate::Attempt;

/// The fetching of everything below one root.
pub(crate) struct Session {
    pub(super) root: Cid,
    wants: Mutex<Wants>,
    changes: watch::Sender<()>,
    tried: Mutex<Tried>,
    /// Whether anything came.
    has_some: AtomicBool,
    lanes_ever: AtomicU32,
    /// Lanes that ask for more.
    asking: AtomicUsize,
    /// Providers that were not asked yet.
    unasked: AtomicUsize,
}

/// Whom this session has asked.
#[derive(Default)]
struct Tried {
    /// Each provider that was left, and what it did last.
    left: Vec<(PublicKey, Attempt)>,
    /// The providers that are asked now.
    now: Vec<PublicKey>,
}

/// A lane that asks for more, until it is retired or dropped.
pub(super) struct Asking<'a> {
    session: &'a Session,
    pub lane: Lane,
    is_retired: AtomicBool,
}

impl Session {
    pub(super) fn new(root: Cid) -> Session {
        Session {
            root,
            wants: Mutex::default(),
            changes: watch::Sender::new(()),
            tried: Mutex::default(),
            has_some: AtomicBool::new(false),
            lanes_ever: AtomicU32::new(0),
            asking: AtomicUsize::new(0),
            unasked: AtomicUsize::new(0),
        }
    }

    /// What is needed; tell with [`Session::changed`] that it has changed.
    pub(crate) fn wants(&self) -> MutexGuard<'_, Wants> {
        lock(&self.wants)
    }

    /// Wakes the tasks that fetch.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    /// Hears from now on that something has changed.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Whether this is the first block that came.
    pub(super) fn is_first_block(&self) -> bool {
        !self.has_some.swap(true, Ordering::Relaxed)
    }

    /// A lane of its own, which asks for more.
    pub(super) fn open_lane(&self) -> Asking<'_> {
        self.asking.fetch_add(1, Ordering::SeqCst);
        Asking {
            session: self,
            lane: Lane(self.lanes_ever.fetch_add(1, Ordering::Relaxed)),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Whether one lane or none asks for more.
    pub(super) fn is_alone(&self) -> bool {
        self.asking.load(Ordering::SeqCst) <= 1
    }

    /// How many providers were not asked yet.
    pub(super) fn set_unasked(&self, count: usize) {
        self.unasked.store(count, Ordering::SeqCst);
    }

    /// Whether no other provider is asked, nor can be: what is absent there is absent.
    pub(super) fn is_last(&self) -> bool {
        self.is_alone() && self.unasked.load(Ordering::SeqCst) == 0
    }

    /// A provider is asked.
    pub(super) fn begin(&self, node: PublicKey) {
        let mut tried = lock(&self.tried);
        tried.left.retain(|(left, _)| *left != node);
        if !tried.now.contains(&node) {
            tried.now.push(node);
        }
    }

    /// The provider is asked no more, since nothing is needed.
    pub(super) fn end(&self, node: &PublicKey) {
        lock(&self.tried).now.retain(|now| now != node);
    }

    /// The provider is left, for this reason.
    pub(super) fn leave(&self, node: PublicKey, what: &str, is_ours: bool) {
        let mut tried = lock(&self.tried);
        tried.now.retain(|now| *now != node);
        tried.left.retain(|(left, _)| *left != node);
        let line = format!("{node} {what}");
        let attempt = match is_ours {
            true => Attempt::ours(line),
            false => Attempt::theirs(line),
        };
        tried.left.push((node, attempt));
    }

    /// What each provider did that was tried.
    pub(crate) fn tried(&self) -> Vec<Attempt> {
        self.tried_and("has not answered yet")
    }

    /// As [`Session::tried`], with what the providers that are asked now have to say.
    pub(super) fn tried_and(&self, now: &str) -> Vec<Attempt> {
        let tried = lock(&self.tried);
        let left = tried.left.iter().map(|(_, attempt)| attempt.clone());
        let now = tried
            .now
            .iter()
            .map(|node| Attempt::theirs(format!("{node} {now}")));
        left.chain(now).collect()
    }
}

impl Asking<'_> {
    /// From now on it only takes what is on its way.
    pub fn retire(&self) {
        if !self.is_retired.swap(true, Ordering::SeqCst) {
            self.session.asking.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.retire();
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
