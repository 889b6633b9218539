//! How this node is seen: what peers found when they were asked to look.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use ledger::PublicKey;
use named::mesh::Mesh;

use super::{Answer, Door, Found, Question};

/// Peers that are asked in one round: one may have a bad day, or a firewall of its own.
const ASKED: usize = 3;
/// Looks are fresh for so long: those who are asked do not look more often.
const FRESH: Duration = Duration::from_secs(12);

/// What the last round said.
#[derive(Debug, Default)]
pub struct Outlook(Mutex<Option<Round>>);

#[derive(Clone, Debug)]
struct Round {
    number: usize,
    at: Instant,
    sights: Vec<Sight>,
    silent: Option<String>,
}

/// One door, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The door.
    pub door: Door,
    /// Where it was tried last.
    pub address: Option<SocketAddr>,
    /// By how many it was reached.
    pub reached: usize,
    /// By how many it was tried.
    pub tried: usize,
    /// The shortest time to an answer, in milliseconds.
    pub ms: Option<u32>,
    /// Why it was not reached, by whom that was said last.
    pub reason: Option<String>,
}

impl Sight {
    fn of(door: Door) -> Self {
        Self {
            door,
            address: None,
            reached: 0,
            tried: 0,
            ms: None,
            reason: None,
        }
    }

    fn add(&mut self, ip: Option<IpAddr>, found: Found) {
        let address = ip.map(|ip| SocketAddr::new(ip, self.door.port()));
        self.tried += 1;
        match found {
            Found::Reached { ms } => {
                self.reached += 1;
                self.ms = Some(self.ms.map_or(ms, |known| known.min(ms)));
                self.address = address;
            }
            Found::Missed { reason } => {
                if self.reached == 0 {
                    self.address = address;
                }
                self.reason = Some(reason);
            }
        }
    }

    /// Nobody who tried got through.
    pub fn is_missed(&self) -> bool {
        self.tried > 0 && self.reached == 0
    }
}

impl Outlook {
    /// Asks peers about `doors`, unless they were asked a moment ago.
    pub async fn look(&self, mesh: &Mesh, doors: Vec<Door>) {
        let is_fresh =
            |round: &Round| round.at.elapsed() < FRESH && round.sights.iter().any(|sight| sight.tried > 0);
        let last = self.last();
        if last.as_ref().is_some_and(is_fresh) {
            return;
        }
        let number = last.map_or(0, |last| last.number + 1);
        let question = Question { doors: doors.clone() }.encode();
        let peers: Vec<PublicKey> = mesh.peers().iter().map(|peer| peer.node).collect();
        let answers = join_all(some(peers, number).into_iter().map(|peer| {
            let question = question.clone();
            async move { mesh.request(&peer, question).await }
        }));
        let count = doors.len();
        let mut round = Round {
            number,
            at: Instant::now(),
            sights: doors.into_iter().map(Sight::of).collect(),
            silent: None,
        };
        for answer in answers.await {
            match answer.map(|bytes| Answer::decode(&bytes, count)) {
                Ok(Some(Answer::Looked { address, found })) => {
                    let sights = round.sights.iter_mut().zip(found);
                    let ip = address.parse().ok();
                    sights.for_each(|(sight, found)| sight.add(ip, found));
                }
                Ok(Some(Answer::Refused { reason })) => round.silent = Some(reason),
                Ok(None) => round.silent = Some("it does not look at others".to_owned()),
                Err(error) => round.silent = Some(error.to_string()),
            }
        }
        self.keep(round);
    }

    /// A round in which nobody looked says nothing against the one before.
    fn keep(&self, mut round: Round) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(known), true) = (&*last, round.sights.iter().all(|sight| sight.tried == 0)) {
            round.sights.clone_from(&known.sights);
        }
        *last = Some(round);
    }

    /// Each door as it was seen last; nothing before anybody was asked.
    pub fn sights(&self) -> Vec<Sight> {
        self.last().map(|round| round.sights).unwrap_or_default()
    }

    /// Why somebody who was asked in the last round did not look.
    pub fn silent(&self) -> Option<String> {
        self.last()?.silent
    }

    fn last(&self) -> Option<Round> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A few of them, in each round the next.
fn some(mut peers: Vec<PublicKey>, round: usize) -> Vec<PublicKey> {
    let first = (round * ASKED).checked_rem(peers.len()).unwrap_or(0);
    peers.rotate_left(first);
    peers.truncate(ASKED);
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_gets_through_is_enough() {
        let ip = |text: &str| text.parse().ok();
        let mut sight = Sight::of(Door::Delivery { port: 7 });
        assert!(!sight.is_missed(), "nobody tried");
        sight.add(
            ip("192.0.2.1"),
            Found::Missed {
                reason: "no answer".to_owned(),
            },
        );
        assert!(sight.is_missed());
        sight.add(ip("192.0.2.2"), Found::Reached { ms: 30 });
        sight.add(
            ip("192.0.2.3"),
            Found::Missed {
                reason: "refused".to_owned(),
            },
        );
        sight.add(ip("192.0.2.2"), Found::Reached { ms: 20 });
        assert!(!sight.is_missed());
        assert_eq!((sight.reached, sight.tried, sight.ms), (2, 4, Some(20)));
        assert_eq!(sight.address, "192.0.2.2:7".parse().ok());
    }

    #[test]
    fn a_few_of_many_are_asked_in_turn() {
        let peers: Vec<_> = (0..8)
            .map(|seed| ledger::SecretKey::from_seed([seed; 32]).public())
            .collect();
        assert!(some(Vec::new(), 3).is_empty());
        assert_eq!(some(peers[..1].to_vec(), 3), peers[..1]);
        assert_eq!(some(peers.clone(), 0), peers[..3]);
        assert_eq!(some(peers.clone(), 1), peers[3..6]);
        assert_eq!(some(peers.clone(), 2), [peers[6], peers[7], peers[0]]);
    }
}
