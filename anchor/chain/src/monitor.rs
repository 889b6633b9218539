//! Is the chain alive in this process?
//!
//! Two deaths are silent and are looked for from outside the engine. A *silent engine* has stopped its parts but not
//! itself, so nothing fails and nothing happens. A *mute delegate* hears everybody and is heard by nobody: blocks go on,
//! only its signature is missing in the certificates that others make. Both are cured by a restart of the process
//! after a pause of at least 30 s, in which the others drop the old connection.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Why the chain does not go on in this process. The process should exit and be started again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The store cannot be read or written.
    #[error("the chain stopped: {reason}")]
    Store {
        /// What failed.
        reason: String,
    },
    /// The signer refused, since it may have signed something else before.
    #[error("the delegate stopped rather than sign twice: {reason}")]
    Signer {
        /// What the journal says.
        reason: String,
    },
    /// The engine ended.
    #[error("the consensus engine stopped at height {height}; its log says why")]
    Stopped {
        /// The height that it was to decide.
        height: u64,
    },
    /// No block came for too long, although nothing is known to be in the way.
    #[error("the consensus engine is silent: no block after height {height} for {seconds} s")]
    Silent {
        /// The newest height.
        height: u64,
        /// Seconds since that block.
        seconds: u64,
    },
    /// The follower ended.
    #[error("the follower stopped: {reason}")]
    Follower {
        /// What ended it.
        reason: String,
    },
    /// Others do not get what this delegate signs.
    #[error(
        "the delegate is mute: its signature is missing in {missed} certificates in a row; restart after 30 s"
    )]
    Mute {
        /// Certificates in a row.
        missed: u32,
    },
}

/// How the chain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Height of the newest block.
    pub height: u64,
    /// Time since that block was committed here, or since the start.
    pub since_block: Duration,
    /// Delegates that this delegate is connected to; for a follower, peers that give it the chain.
    pub peers: usize,
    /// Delegates that a delegate should be connected to. A follower wants none: it serves what it has.
    pub peers_wanted: usize,
    /// Certificates in a row that lack this delegate's signature.
    pub missed: u32,
    /// How long ago the newest block was made, for a follower. None for a delegate: it makes the blocks.
    pub behind: Option<Duration>,
    /// A follower that is further behind than this is not good.
    pub behind_max: Duration,
    /// Why the chain does not go on, if it does not.
    pub failure: Option<Failure>,
}

impl Health {
    /// Whether the state is new and stays so: nothing failed, enough delegates are in reach, a follower is not behind.
    pub fn is_good(&self) -> bool {
        let level = self.behind.is_none_or(|behind| behind <= self.behind_max);
        self.failure.is_none() && level && quorum_in_reach(self.peers, self.peers_wanted)
    }
}

impl Health {
    /// What is wrong, in a sentence; nothing if [`Health::is_good`].
    pub fn problem(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.to_string());
        }
        if self.is_good() {
            return None;
        }
        let (peers, wanted, height) = (self.peers, self.peers_wanted, self.height);
        Some(match self.behind {
            Some(_) if peers == 0 => format!("no peer gives the blocks after height {height}"),
            Some(behind) => format!("the newest block here, {height}, is {} s old", behind.as_secs()),
            None => format!("{peers} of {wanted} other delegates are in reach, which is too few for a block"),
        })
    }
}

/// What the watchdog knows.
#[derive(Debug)]
pub(crate) struct Monitor {
    silent_after: Duration,
    mute_after: u32,
    failure: watch::Sender<Option<Failure>>,
    leaving: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    height: u64,
    at: Instant,
    /// The other delegates that sit, as the engine's network knows them, and how many of them it is connected to.
    seated: BTreeSet<String>,
    peers: usize,
    missed: u32,
    signed: BTreeSet<u64>,
}

/// Heights of which we remember that we signed them: more than a mute delegate is given.
const SIGNED_KEPT: usize = 256;
/// A chain of several seats is given this many times longer while its engine answers: rounds may fail one by one.
const PATIENCE: u32 = 5;

impl Monitor {
    /// `seated` are the other delegates that sit at `height`, none for a follower.
    pub(crate) fn new(
        silent_after: Duration,
        mute_after: u32,
        seated: BTreeSet<String>,
        height: u64,
    ) -> Monitor {
        let seen = Seen {
            height,
            at: Instant::now(),
            seated,
            peers: 0,
            missed: 0,
            signed: BTreeSet::new(),
        };
        let failure = watch::Sender::new(None);
        let leaving = AtomicBool::new(false);
        Monitor {
            silent_after,
            mute_after,
            failure,
            leaving,
            seen: Mutex::new(seen),
        }
    }

    /// The engine is being stopped on purpose: what ends from now on is no failure.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Notes the first failure; later ones follow from it.
    pub(crate) fn fail(&self, failure: Failure) {
        if self.leaving.load(Ordering::Acquire) {
            return;
        }
        self.failure.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                tracing::error!("{failure}");
                *known = Some(failure);
            }
            first
        });
    }

    /// Resolves when the chain does not go on.
    pub(crate) async fn failed(&self) -> Failure {
        let mut watched = self.failure.subscribe();
        match watched.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().expect("waited for"),
            Err(_) => unreachable!("the sender lives as long as self"),
        }
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    /// This process signed a precommit for a block of `height`.
    pub(crate) fn signed(&self, height: u64) {
        let mut seen = self.seen();
        seen.signed.insert(height);
        while seen.signed.len() > SIGNED_KEPT {
            seen.signed.pop_first();
        }
    }

    /// A block was committed here.
    pub(crate) fn committed(&self, height: u64, now: Instant) {
        let mut seen = self.seen();
        (seen.height, seen.at) = (height, now);
    }

    /// Another delegate made a certificate of `height`. Returns whether our signature should have been in it and was not.
    pub(crate) fn certificate(&self, height: u64, has_ours: bool) -> bool {
        let mut seen = self.seen();
        let missing = !has_ours && seen.signed.contains(&height);
        seen.missed = if missing {
            seen.missed + 1
        } else if has_ours {
            0
        } else {
            seen.missed
        };
        let missed = seen.missed;
        drop(seen);
        if missed >= self.mute_after {
            self.fail(Failure::Mute { missed });
        }
        missing
    }

    /// So many peers give a follower the chain.
    pub(crate) fn set_peers(&self, peers: usize) {
        self.seen().peers = peers;
    }

    /// A new round has other seats.
    pub(crate) fn sit(&self, seated: BTreeSet<String>) {
        self.seen().seated = seated;
    }

    /// Whom the engine's network is connected to now.
    pub(crate) fn connected(&self, peers: impl Iterator<Item = String>) {
        let mut seen = self.seen();
        seen.peers = peers.filter(|peer| seen.seated.contains(peer)).count();
    }

    /// Whether it is time to ask the engine if it is there.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        now.duration_since(self.seen().at) > self.silent_after
    }

    /// Whether no block has come for too long, with too few of those who sit in reach.
    pub(crate) fn is_cut_off(&self, now: Instant) -> bool {
        let seen = self.seen();
        let silent = now.duration_since(seen.at) > self.silent_after;
        silent && !quorum_in_reach(seen.peers, seen.seated.len())
    }

    /// Judges an overdue chain. An engine that answers is only at fault if its peers are in reach.
    pub(crate) fn judge(&self, now: Instant, answers: bool) {
        let (height, silence, peers, wanted) = {
            let seen = self.seen();
            let silence = now.duration_since(seen.at);
            (seen.height, silence, seen.peers, seen.seated.len())
        };
        let patience = if answers && wanted > 0 { PATIENCE } else { 1 };
        let waits_for_others = answers && !quorum_in_reach(peers, wanted);
        if silence > self.silent_after * patience && !waits_for_others {
            self.fail(Failure::Silent {
                height,
                seconds: silence.as_secs(),
            });
        }
    }

    pub(crate) fn health(&self, now: Instant) -> Health {
        let seen = self.seen();
        Health {
            height: seen.height,
            since_block: now.duration_since(seen.at),
            peers: seen.peers,
            peers_wanted: seen.seated.len(),
            missed: seen.missed,
            behind: None,
            behind_max: Duration::ZERO,
            failure: self.failure(),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().expect("no panic while the monitor is held")
    }
}

/// Seats are equal: with us, more than two thirds of all.
fn quorum_in_reach(peers: usize, wanted: usize) -> bool {
    (peers + 1) * 3 > (wanted + 1) * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn names(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("peer{number}"))
    }

    fn monitor(others: usize) -> (Monitor, Instant) {
        let monitor = Monitor::new(BOUND, 3, names(others).collect(), 7);
        let start = monitor.seen().at;
        (monitor, start)
    }

    #[test]
    fn one_seat_is_silent_after_the_bound_even_if_the_engine_answers() {
        let (monitor, start) = monitor(0);
        assert!(!monitor.is_overdue(start + BOUND));
        monitor.judge(start + BOUND + Duration::from_secs(1), true);
        assert_eq!(
            monitor.failure(),
            Some(Failure::Silent {
                height: 7,
                seconds: 11
            })
        );
    }

    #[test]
    fn several_seats_wait_for_others_but_not_for_a_dead_engine() {
        let (waiting, start) = monitor(3);
        waiting.connected(names(1));
        waiting.judge(start + BOUND * 100, true);
        assert_eq!(waiting.failure(), None);
        // One that does not sit brings no block.
        waiting.connected(names(1).chain(["stranger".to_owned()]));
        waiting.judge(start + BOUND * 100, true);
        assert_eq!(waiting.failure(), None);
        waiting.connected(names(2));
        waiting.judge(start + BOUND * 4, true);
        assert_eq!(waiting.failure(), None);
        waiting.judge(start + BOUND * 6, true);
        assert!(waiting.failure().is_some());

        let (dead, start) = monitor(3);
        dead.judge(start + BOUND * 2, false);
        assert!(dead.failure().is_some());
    }

    #[test]
    fn only_signed_heights_count_as_missed_and_one_signature_ends_the_row() {
        let (monitor, _) = monitor(3);
        assert!(!monitor.certificate(1, false));
        for height in 2..=5 {
            monitor.signed(height);
        }
        assert!(monitor.certificate(2, false));
        assert!(monitor.certificate(3, false));
        assert!(!monitor.certificate(4, true));
        assert!(monitor.certificate(5, false));
        assert_eq!(monitor.failure(), None);
        monitor.signed(6);
        monitor.signed(7);
        monitor.certificate(6, false);
        monitor.certificate(7, false);
        assert_eq!(monitor.failure(), Some(Failure::Mute { missed: 3 }));
    }

    #[tokio::test]
    async fn the_first_failure_is_the_one_that_is_told() {
        let (monitor, _) = monitor(0);
        monitor.fail(Failure::Stopped { height: 8 });
        monitor.fail(Failure::Mute { missed: 9 });
        assert_eq!(monitor.failed().await, Failure::Stopped { height: 8 });
    }
}
