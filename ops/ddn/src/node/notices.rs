//! An edge that is put in quarantine is told, so that it looks at itself: it may be the only one who does not know.
//!
//! A notice proves nothing and costs the edge nothing but a look at its own ports. Bounds: one notice is kept for each peer,
//! and of so many peers.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ledger::PublicKey;
use named::mesh::Mesh;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// What a notice begins with: requests of the chain begin otherwise.
const TAG: &[u8] = b"ddn/notice/1\n";
/// How long a notice counts: the shortest quarantine.
const COUNTS_FOR: Duration = Duration::from_secs(120);
/// Who is still in quarantine is told again, before the last notice is over.
pub const TELL_EVERY: Duration = Duration::from_secs(90);
/// Peers of which a notice is kept.
const PEERS_MAX: usize = 1024;

/// Why an edge is in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Why {
    /// It gives no sign of life.
    Silent,
    /// It answers wrongly, or breaks off.
    Failing,
}

/// The notices that came to this node.
#[derive(Debug, Default)]
pub struct Notices {
    heard: Mutex<HashMap<PublicKey, (Instant, Why)>>,
    news: Notify,
}

impl Notices {
    /// Takes a request that is a notice, and answers; `None` if it is about something else.
    pub fn answer(&self, from: &PublicKey, request: &[u8]) -> Option<Vec<u8>> {
        let notice = request.strip_prefix(TAG)?;
        if let Ok(why) = ledger::decode::<Why>(notice) {
            self.take(from, why, Instant::now());
        }
        Some(Vec::new())
    }

    fn take(&self, from: &PublicKey, why: Why, now: Instant) {
        let mut heard = self.heard();
        heard.retain(|_, (at, _)| now.duration_since(*at) < COUNTS_FOR);
        if heard.len() >= PEERS_MAX && !heard.contains_key(from) {
            return;
        }
        // One look is enough for all of them.
        if heard.is_empty() {
            tracing::warn!(node = %from, ?why, "a node sends no readers here any more: see `ddn node doctor`");
            self.news.notify_one();
        }
        heard.insert(*from, (now, why));
    }

    /// Who sends no readers here, and why.
    pub fn standing(&self, now: Instant) -> Vec<(PublicKey, Why)> {
        let heard = self.heard();
        let counts = heard
            .iter()
            .filter(|(_, (at, _))| now.duration_since(*at) < COUNTS_FOR);
        counts.map(|(node, (_, why))| (*node, *why)).collect()
    }

    /// Resolves when the first node has told that it sends no readers here.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    fn heard(&self) -> MutexGuard<'_, HashMap<PublicKey, (Instant, Why)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an edge that it is in quarantine here, if it is connected.
pub async fn tell(mesh: &Mesh, edge: &PublicKey, why: Why) {
    let request = [TAG, &ledger::encode(&why)].concat();
    if let Err(error) = mesh.request(edge, request).await {
        tracing::debug!(node = %edge, %error, "an edge was not told that it is in quarantine");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(seed: u8) -> PublicKey {
        ledger::SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn a_notice_counts_for_a_while_and_once_for_each_peer() {
        let (notices, start) = (Notices::default(), Instant::now());
        notices.take(&peer(1), Why::Silent, start);
        notices.take(&peer(1), Why::Failing, start);
        notices.take(&peer(2), Why::Silent, start);
        let mut standing = notices.standing(start);
        standing.sort_by_key(|(node, _)| *node == peer(2));
        assert_eq!(standing, [(peer(1), Why::Failing), (peer(2), Why::Silent)]);
        assert!(notices.standing(start + COUNTS_FOR).is_empty());
    }

    #[tokio::test]
    async fn what_is_no_notice_is_left_to_others_and_nonsense_counts_nothing() {
        let notices = Notices::default();
        assert_eq!(notices.answer(&peer(1), b"\xa1"), None);
        assert_eq!(
            notices.answer(&peer(1), &[TAG, b"nonsense"].concat()),
            Some(Vec::new())
        );
        assert!(notices.standing(Instant::now()).is_empty());
        let sound = [TAG, &ledger::encode(&Why::Silent)].concat();
        assert_eq!(sound, b"ddn/notice/1\n\x66silent");
        assert_eq!(notices.answer(&peer(1), &sound), Some(Vec::new()));
        notices.news().await;
        assert_eq!(notices.standing(Instant::now()), [(peer(1), Why::Silent)]);
    }
}
