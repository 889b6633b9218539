//! The names of the chain and of those that are asked, for those who resolve them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chain::Chain;
use ledger::{Label, NameEntry};
use named::dap::{Elsewhere, Names, NamesError, Tlds};
use tokio::runtime::Handle;

use super::others::{Lane, OtherChains};
use crate::node::Role;

/// The longest that an absent name waits for a newer tip.
const REFRESH_WITHIN: Duration = Duration::from_secs(1);
/// A tip that was asked for this recently is new enough, so that many questions for names that do not exist cost the
/// peers no more than one.
const FRESH_FOR: Duration = Duration::from_millis(250);

/// How many of those who may wait do for other chains at once, and how many of those who should not: half of the threads
/// that compose answers of DNS.
const WAIT_MAX: usize = 64;
const WAIT_FEW: usize = 4;

/// The names of the chain at its tip, and those of other chains.
pub struct ChainNames {
    chain: Chain,
    others: Arc<OtherChains>,
    lane: Lane,
    freshness: Option<Freshness>,
}

/// How a follower looks again before it says that a name does not exist.
struct Freshness {
    runtime: Handle,
    last: Mutex<Option<Instant>>,
}

impl ChainNames {
    /// The state as it is here: for those who should not wait. Only a few do, for other chains.
    pub fn at_tip(chain: Chain, others: Arc<OtherChains>) -> Self {
        Self {
            chain,
            others,
            lane: Lane::new(WAIT_FEW),
            freshness: None,
        }
    }

    /// The state as it is here, but a follower asks its peers for a newer tip before it says that a name does not exist.
    /// That may take a second and blocks the thread: never ask on a thread of the runtime. To be made on the runtime.
    pub fn fresh(chain: Chain, others: Arc<OtherChains>, role: Role) -> Self {
        let freshness = (role == Role::Follower).then(|| Freshness {
            runtime: Handle::current(),
            last: Mutex::new(None),
        });
        Self {
            chain,
            others,
            lane: Lane::new(WAIT_MAX),
            freshness,
        }
    }

    fn look(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        self.chain
            .state()
            .name(label)
            .map_err(|error| NamesError::new(error.to_string()))
    }
}

impl Freshness {
    /// Asks for a newer tip. Whoever comes while somebody asks waits for the same answer.
    fn refresh(&self, chain: &Chain) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < FRESH_FOR) {
            return;
        }
        self.runtime.block_on(chain.refresh(REFRESH_WITHIN));
        *last = Some(Instant::now());
    }
}

impl Names for ChainNames {
    fn tlds(&self) -> &Tlds {
        self.others.tlds()
    }

    fn elsewhere(&self, tld: &str, label: &Label) -> Result<Elsewhere, NamesError> {
        self.others.entry(tld, label, &self.lane)
    }

    fn height(&self) -> u64 {
        self.chain.height()
    }

    fn changed_since(&self, since: u64) -> Option<Vec<Label>> {
        self.chain.names_changed(since)
    }

    fn absence_holds(&self) -> Option<Duration> {
        self.freshness.as_ref().map(|_| FRESH_FOR)
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        match (self.look(label)?, &self.freshness) {
            (None, Some(freshness)) => {
                freshness.refresh(&self.chain);
                self.look(label)
            }
            (found, _) => Ok(found),
        }
    }
}
