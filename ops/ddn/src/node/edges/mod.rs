//! The edges as this node sees them, for everybody in it who has to choose one: DNS, the gateway's doors, fetches, and who
//! asks why.
//!
//! * [`book`], [`track`] and [`proofs`]: what is known of each, and what becomes of it. Pure.
//! * [`view`]: what is known at one moment. Questions read it without a lock.
//! * [`probe`]: how an edge is asked whether it is there.
//! * [`mod@keep`]: the task that does all this, once a second.
//! * [`dns`]: what the DNS server is told.
//!
//! The rules are those of the crate `nearest`; here is only what they are applied to.

mod book;
mod dns;
mod keep;
mod probe;
mod proofs;
#[cfg(test)]
mod tests;
mod track;
mod view;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use ledger::PublicKey;
use nearest::coordinate::Coordinate;
use nearest::{EdgeId, measure};
use storage::ddp;

use super::places::Places;
use book::Book;
pub use dns::NamedEdges;
pub use keep::{keep, own_step};
pub use view::{Known, Ranking, View};

/// The edges; shared by all who choose.
pub struct Edges {
    book: Mutex<Book>,
    view: ArcSwap<View>,
    requests: AtomicU64,
    places: Places,
    start: Instant,
}

impl Edges {
    /// None are known yet; `places` says how far readers are.
    pub fn new(places: Places) -> Self {
        Self {
            book: Mutex::default(),
            view: ArcSwap::default(),
            requests: AtomicU64::new(0),
            places,
            start: Instant::now(),
        }
    }

    /// What is known now.
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Those of `view` that `may` serve, ranked for `content` and a reader, who is taken to be here if there is none.
    pub fn rank(
        &self,
        view: &View,
        content: &[u8],
        reader: Option<IpAddr>,
        may: impl Fn(&Known) -> bool,
    ) -> Ranking {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let places = |reader, edge: &EdgeId| self.places.rtt_us(reader, edge);
        view.rank(content, reader, places, request, may)
    }

    /// The smoothed round-trip time to a node in microseconds, if it is one that was measured.
    pub fn rtt_us(&self, node: &PublicKey) -> Option<u32> {
        let view = self.view.load();
        let rtt_us = view.find(node.as_bytes())?.edge.rtt_us;
        (rtt_us != u32::MAX).then_some(rtt_us)
    }

    /// Whether a node should be asked at all; who is not known should.
    pub fn stands(&self, node: &PublicKey) -> bool {
        let view = self.view.load();
        view.find(node.as_bytes()).is_none_or(|known| known.edge.alive)
    }

    /// Takes note of how a delivery to this node went.
    pub fn note(&self, node: &PublicKey, outcome: &ddp::Outcome) {
        let now_us = self.now_us();
        if outcome.turned_away {
            // It is there, and has less room than it said.
            self.book().turned_away(node, now_us);
            return;
        }
        let failed = outcome.failure.is_some();
        if !failed && outcome.bytes == 0 {
            // It answered, and did not have it: that says nothing for or against it.
            return;
        }
        let outcome = measure::Outcome {
            transfer: Some((outcome.bytes, micros(outcome.took))),
            failed,
            ..measure::Outcome::default()
        };
        self.book().delivered(node, &outcome, now_us);
    }

    /// Where this node is among the others.
    pub fn here(&self) -> Option<Coordinate> {
        self.book().here()
    }

    /// Microseconds since the start: never 0, and never back.
    fn now_us(&self) -> u64 {
        micros(self.start.elapsed()).saturating_add(1)
    }

    fn publish(&self, view: View) {
        self.view.store(Arc::new(view));
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Each note is one change: a panic leaves nothing half-done.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Microseconds since 1970, as adverts say when they were signed.
fn wall_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
