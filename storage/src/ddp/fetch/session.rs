//! What the readers of one root share with the task that fetches for them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cid::Cid;
use ledger::PublicKey;
use tokio::sync::Notify;

use super::wants::Wants;
use crate::Attempt;

/// The fetching of everything below one root.
pub(crate) struct Session {
    pub(super) root: Cid,
    wants: Mutex<Wants>,
    changed: Notify,
    tried: Mutex<Tried>,
}

/// Whom this session has asked.
#[derive(Default)]
struct Tried {
    /// Each provider that was left, and what it did last.
    left: Vec<(PublicKey, Attempt)>,
    /// The provider that is asked now.
    now: Option<PublicKey>,
}

impl Session {
    pub(super) fn new(root: Cid) -> Session {
        Session {
            root,
            wants: Mutex::default(),
            changed: Notify::new(),
            tried: Mutex::default(),
        }
    }

    /// What is needed; tell with [`Session::changed`] that it has changed.
    pub(crate) fn wants(&self) -> MutexGuard<'_, Wants> {
        lock(&self.wants)
    }

    /// Wakes the task that fetches.
    pub(crate) fn changed(&self) {
        self.changed.notify_one();
    }

    /// Resolves when somebody said that something has changed since the last time.
    pub(super) async fn change(&self) {
        self.changed.notified().await;
    }

    /// A provider is asked.
    pub(super) fn begin(&self, node: PublicKey) {
        let mut tried = lock(&self.tried);
        tried.left.retain(|(left, _)| *left != node);
        tried.now = Some(node);
    }

    /// The provider is left, for this reason.
    pub(super) fn leave(&self, node: PublicKey, what: &str, is_ours: bool) {
        let mut tried = lock(&self.tried);
        tried.now = None;
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

    /// As [`Session::tried`], with what the provider that is asked now has to say.
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

/// A panic elsewhere leaves nothing half-done behind these locks.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
