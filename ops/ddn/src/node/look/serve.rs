//! Looking at a peer that asks for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use ledger::PublicKey;
use named::mesh::Mesh;
use tokio::sync::Semaphore;

use super::{Answer, Door, Found, Question, REASON_BYTES_MAX, TAG};
use crate::node::presence::ip_of;

/// A peer is looked at once in so long.
const PAUSE: Duration = Duration::from_secs(10);
/// Looks under way at once; each has some sockets for two seconds.
const AT_ONCE: usize = 4;
/// Peers that are remembered; those whose pause is over are forgotten first.
const PEERS_MAX: usize = 4096;

/// Looks at peers.
pub struct Looker {
    /// Set when the mesh runs.
    mesh: OnceLock<Mesh>,
    turns: Semaphore,
    looked: Mutex<HashMap<PublicKey, Instant>>,
}

impl Looker {
    /// One that knows no peer yet.
    pub fn new() -> Self {
        Self {
            mesh: OnceLock::new(),
            turns: Semaphore::new(AT_ONCE),
            looked: Mutex::default(),
        }
    }

    /// The mesh runs.
    pub fn connect(&self, mesh: Mesh) {
        // Set once; nobody else does.
        let _ = self.mesh.set(mesh);
    }

    /// Answers a request of `from`, if it is one for a look.
    pub async fn answer(&self, from: &PublicKey, request: &[u8]) -> Option<Vec<u8>> {
        request.starts_with(TAG).then_some(())?;
        let looked = match Question::decode(request) {
            Some(question) => self.look(from, &question.doors).await,
            None => Err("not a question that this node answers"),
        };
        let refused = |reason: &str| Answer::Refused {
            reason: reason.to_owned(),
        };
        Some(ledger::encode(&looked.unwrap_or_else(refused)))
    }

    async fn look(&self, from: &PublicKey, doors: &[Door]) -> Result<Answer, &'static str> {
        let address = self.address(from).ok_or("not connected by an address")?;
        let _turn = self.turns.try_acquire().map_err(|_| "busy")?;
        if !self.is_due(from, Instant::now()) {
            return Err("looked a moment ago");
        }
        let node_id = from.to_string();
        let tried = doors.iter().map(|door| found(door, address, &node_id));
        Ok(Answer::Looked {
            address: address.to_string(),
            found: join_all(tried).await,
        })
    }

    /// Where the peer came from, or where it was found.
    fn address(&self, peer: &PublicKey) -> Option<IpAddr> {
        let peers = self.mesh.get()?.peers();
        let peer = peers.into_iter().find(|known| known.node == *peer)?;
        ip_of(&peer.address)
    }

    fn is_due(&self, peer: &PublicKey, now: Instant) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_resting = |at: &Instant| now.duration_since(*at) < PAUSE;
        if looked.len() >= PEERS_MAX {
            looked.retain(|_, at| is_resting(at));
        }
        let is_due = !looked.get(peer).is_some_and(is_resting) && looked.len() < PEERS_MAX;
        if is_due {
            looked.insert(*peer, now);
        }
        is_due
    }
}

async fn found(door: &Door, address: IpAddr, node_id: &str) -> Found {
    let start = Instant::now();
    match door.try_at(address, node_id).await {
        Ok(()) => Found::Reached {
            ms: u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX),
        },
        Err(error) => Found::Missed {
            reason: plain(&error.to_string()),
        },
    }
}

/// One short line.
fn plain(text: &str) -> String {
    let text = text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control());
    text.take(REASON_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_looked_at_now_and_then() {
        let (looker, start) = (Looker::new(), Instant::now());
        let peer = |seed| ledger::SecretKey::from_seed([seed; 32]).public();
        assert!(looker.is_due(&peer(1), start));
        assert!(!looker.is_due(&peer(1), start + PAUSE / 2));
        assert!(looker.is_due(&peer(2), start + PAUSE / 2));
        assert!(looker.is_due(&peer(1), start + PAUSE));
    }

    #[tokio::test]
    async fn a_stranger_gets_a_refusal_and_the_chain_its_own() {
        let (looker, from) = (Looker::new(), ledger::SecretKey::from_seed([1; 32]).public());
        assert_eq!(looker.answer(&from, &[0xa1]).await, None);
        let question = Question {
            doors: vec![Door::Delivery { port: 1 }],
        }
        .encode();
        for (request, expected) in [
            (question, "not connected by an address"),
            (TAG.to_vec(), "not a question that this node answers"),
        ] {
            let answer = looker.answer(&from, &request).await.expect("an answer");
            let refused = Answer::Refused {
                reason: expected.to_owned(),
            };
            assert_eq!(Answer::decode(&answer, 1), Some(refused));
        }
    }
}
