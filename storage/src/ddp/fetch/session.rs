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
    /// Providers that are asked for more.
    asking: AtomicUsize,
    /// Streams on which more is asked for.
    streams: AtomicUsize,
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

/// A provider that is asked for more, until its last stream is retired or this is dropped.
pub(super) struct Asking<'a> {
    session: &'a Session,
    number: u32,
    streams: AtomicUsize,
    is_retired: AtomicBool,
}

/// A stream on which a provider is asked for more, until it is retired. What it owes when it is dropped is wanted again.
pub(super) struct Stream<'a> {
    asking: &'a Asking<'a>,
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
            streams: AtomicUsize::new(0),
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

    /// One more provider, which is asked for more.
    pub(super) fn ask_another(&self) -> Asking<'_> {
        self.asking.fetch_add(1, Ordering::SeqCst);
        Asking {
            session: self,
            number: self.lanes_ever.fetch_add(1, Ordering::Relaxed),
            streams: AtomicUsize::new(0),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Whether there is one stream on which more is asked for, or none.
    pub(super) fn is_alone(&self) -> bool {
        self.streams.load(Ordering::SeqCst) <= 1
    }

    /// How many providers were not asked yet.
    pub(super) fn set_unasked(&self, count: usize) {
        self.unasked.store(count, Ordering::SeqCst);
    }

    /// Whether no other provider is asked, nor can be: what is absent there is absent.
    pub(super) fn is_last(&self) -> bool {
        self.asking.load(Ordering::SeqCst) <= 1 && self.unasked.load(Ordering::SeqCst) == 0
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
    /// One more stream.
    pub fn stream(&self) -> Stream<'_> {
        self.session.streams.fetch_add(1, Ordering::SeqCst);
        self.streams.fetch_add(1, Ordering::SeqCst);
        let lane = Lane {
            provider: self.number,
            stream: self.session.lanes_ever.fetch_add(1, Ordering::Relaxed),
        };
        Stream {
            asking: self,
            lane,
            is_retired: AtomicBool::new(false),
        }
    }

    fn retire(&self) {
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

impl Stream<'_> {
    /// From now on it only takes what is on its way.
    pub fn retire(&self) {
        if self.ends() && self.asking.streams.load(Ordering::SeqCst) == 0 {
            self.asking.retire();
        }
    }

    /// Whether it has asked for more until now.
    fn ends(&self) -> bool {
        let ends = !self.is_retired.swap(true, Ordering::SeqCst);
        if ends {
            self.asking.session.streams.fetch_sub(1, Ordering::SeqCst);
            self.asking.streams.fetch_sub(1, Ordering::SeqCst);
        }
        ends
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.ends();
        let session = self.asking.session;
        session.wants().lost(self.lane);
        session.changed();
    }
}

/// A panic elsewhere leaves nothing half-done behind these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
