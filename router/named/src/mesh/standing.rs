//! What peers did wrong, and who is kept out for it.
//!
//! A mild fault costs a point, a message that is refused ten, a severe fault a hundred. At a hundred the peer is banned for
//! ten minutes and starts again from zero. A point comes back each minute, so that a node that stumbles now and then is
//! never banned. The same number weighs in gossip, where a peer is left out of forwarding long before that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::PeerId;

/// Points for a mild fault.
pub const MILD: i64 = 1;
/// Points for a message or record that was refused.
pub const REFUSED: i64 = 10;
/// Points for a severe fault: enough for a ban.
pub const SEVERE: i64 = 100;
/// How long a ban lasts.
pub const BAN: Duration = Duration::from_secs(600);
/// How long one point takes to come back.
const PARDON: Duration = Duration::from_secs(60);
/// The most peers that are remembered; beyond, those with the fewest points are forgotten.
const PEERS_MAX: usize = 4096;

/// Everybody who is not at zero.
#[derive(Debug, Default)]
pub struct Standings {
    peers: HashMap<PeerId, Standing>,
}

#[derive(Debug)]
struct Standing {
    score: i64,
    pardoned: Instant,
    banned_until: Option<Instant>,
}

/// What happened to standings over time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pardons {
    /// New scores.
    pub scores: Vec<(PeerId, i64)>,
    /// Whose ban is over.
    pub free: Vec<PeerId>,
}

impl Standings {
    /// The score: zero or below.
    pub fn score(&self, peer: &PeerId) -> i64 {
        self.peers.get(peer).map_or(0, |s| s.score)
    }

    /// Takes points off. True if that bans the peer.
    pub fn fault(&mut self, peer: PeerId, points: i64, now: Instant) -> bool {
        if self.peers.len() >= PEERS_MAX && !self.peers.contains_key(&peer) {
            self.forget_one();
        }
        let standing = self.peers.entry(peer).or_insert(Standing {
            score: 0,
            pardoned: now,
            banned_until: None,
        });
        standing.score = standing.score.saturating_sub(points);
        let banned = standing.score <= -SEVERE && standing.banned_until.is_none();
        if banned {
            standing.banned_until = Some(now + BAN);
        }
        banned
    }

    /// Gives points back and ends bans, as of `now`.
    pub fn pardon(&mut self, now: Instant) -> Pardons {
        let mut pardons = Pardons::default();
        self.peers.retain(|peer, standing| {
            let before = standing.score;
            let kept = standing.pardon(now);
            if standing.score != before {
                pardons.scores.push((*peer, standing.score));
            }
            if standing.banned_until.is_some_and(|until| until <= now) {
                standing.banned_until = None;
                pardons.free.push(*peer);
                return false;
            }
            kept
        });
        pardons
    }

    fn forget_one(&mut self) {
        let best = self
            .peers
            .iter()
            .filter(|(_, s)| s.banned_until.is_none())
            .max_by_key(|(_, s)| s.score);
        let Some(peer) = best.or_else(|| self.peers.iter().next()).map(|(peer, _)| *peer) else {
            return;
        };
        self.peers.remove(&peer);
    }
}

impl Standing {
    /// False when there is nothing left to remember.
    fn pardon(&mut self, now: Instant) -> bool {
        if self.banned_until.is_some_and(|until| until <= now) {
            self.score = 0;
        } else if self.banned_until.is_none() {
            let points = now.saturating_duration_since(self.pardoned).as_secs() / PARDON.as_secs();
            self.score = self
                .score
                .saturating_add(i64::try_from(points).unwrap_or(i64::MAX))
                .min(0);
            self.pardoned += PARDON * u32::try_from(points).unwrap_or(u32::MAX);
        }
        self.score != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mild_faults_are_forgiven() {
        let (mut standings, peer, start) = (Standings::default(), PeerId::random(), Instant::now());
        for _ in 0..3 {
            assert!(!standings.fault(peer, MILD, start));
        }
        assert_eq!(standings.score(&peer), -3);
        assert_eq!(standings.pardon(start + PARDON / 2), Pardons::default());
        let pardons = standings.pardon(start + PARDON * 2);
        assert_eq!(pardons.scores, [(peer, -1)]);
        let pardons = standings.pardon(start + PARDON * 9);
        assert_eq!(pardons.scores, [(peer, 0)]);
        assert!(standings.peers.is_empty());
    }

    #[test]
    fn a_severe_fault_bans_once_for_ten_minutes() {
        let (mut standings, peer, start) = (Standings::default(), PeerId::random(), Instant::now());
        assert!(standings.fault(peer, SEVERE, start));
        assert!(!standings.fault(peer, SEVERE, start), "banned already");
        assert_eq!(
            standings.pardon(start + BAN - Duration::from_secs(1)),
            Pardons::default()
        );
        let pardons = standings.pardon(start + BAN);
        assert_eq!((pardons.scores, pardons.free), (vec![(peer, 0)], vec![peer]));
        assert_eq!(standings.score(&peer), 0);
        assert!(standings.fault(peer, SEVERE, start + BAN), "and again");
    }

    #[test]
    fn refused_messages_add_up_to_a_ban() {
        let (mut standings, peer, start) = (Standings::default(), PeerId::random(), Instant::now());
        let bans = (0..10).filter(|_| standings.fault(peer, REFUSED, start)).count();
        assert_eq!((bans, standings.score(&peer)), (1, -100));
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_banned() {
        let (mut standings, now) = (Standings::default(), Instant::now());
        let banned = PeerId::random();
        standings.fault(banned, SEVERE, now);
        for _ in 0..PEERS_MAX + 10 {
            standings.fault(PeerId::random(), MILD, now);
        }
        assert_eq!(standings.peers.len(), PEERS_MAX);
        assert_eq!(standings.score(&banned), -SEVERE);
    }
}
