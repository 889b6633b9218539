//! How many are served at once, in all, of one network and of one peer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::PublicKey;
use nearest::Prefix;

/// A number of seats.
pub(crate) struct Seats {
    taken: Arc<Mutex<Taken>>,
    max: usize,
    per_peer_max: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<PublicKey, usize>,
    by_network: HashMap<Prefix, usize>,
}

/// A seat, until it is dropped.
pub(crate) struct Seat {
    taken: Arc<Mutex<Taken>>,
    peer: PublicKey,
    network: Option<Prefix>,
}

impl Seats {
    pub fn new(max: usize, per_peer_max: usize) -> Seats {
        Seats {
            taken: Arc::default(),
            max,
            per_peer_max,
        }
    }

    /// A seat for this peer, if there is one. Keys cost nothing, so all peers of one network have a quarter of the seats.
    pub fn take(&self, peer: &PublicKey, network: Option<Prefix>) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let by_peer = taken.by_peer.get(peer).copied().unwrap_or_default();
        if taken.all >= self.max || by_peer >= self.per_peer_max {
            return None;
        }
        if let Some(network) = network {
            let by_network = taken.by_network.entry(network).or_default();
            if *by_network >= self.max.div_ceil(NETWORK_PART) {
                return None;
            }
            *by_network += 1;
        }
        taken.all += 1;
        taken.by_peer.insert(*peer, by_peer + 1);
        Some(Seat {
            taken: Arc::clone(&self.taken),
            peer: *peer,
            network,
        })
    }

    /// Whether this peer has a seat.
    pub fn has(&self, peer: &PublicKey) -> bool {
        lock(&self.taken).by_peer.contains_key(peer)
    }

    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    /// How many more there are.
    pub fn free(&self) -> usize {
        self.max.saturating_sub(self.taken())
    }

    pub fn is_full(&self) -> bool {
        self.taken() >= self.max
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        leave(&mut taken.by_peer, &self.peer);
        if let Some(network) = &self.network {
            leave(&mut taken.by_network, network);
        }
    }
}

/// One less; who has none is forgotten.
fn leave<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One network has at most this part of all seats.
const NETWORK_PART: usize = 4;

#[cfg(test)]
mod tests {
    use ledger::SecretKey;

    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_for_each_peer() {
        let [a, b, c] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]).public());
        let seats = Seats::new(3, 2);
        let first = seats.take(&a, None).unwrap();
        let _second = seats.take(&a, None).unwrap();
        assert!(seats.take(&a, None).is_none(), "a peer has two");
        let _third = seats.take(&b, None).unwrap();
        assert!(
            seats.take(&c, None).is_none() && seats.is_full(),
            "there are three"
        );
        drop(first);
        assert!(seats.take(&c, None).is_some());
        assert_eq!(
            lock(&seats.taken).by_peer.len(),
            2,
            "those without a seat are forgotten"
        );
    }

    #[test]
    fn one_network_has_a_quarter_of_the_seats() {
        let network = |last| Some(Prefix::network([192, 0, last, 1].into()));
        let seats = Seats::new(8, 8);
        let peer = |seed| SecretKey::from_seed([seed; 32]).public();
        let _held = [1, 2].map(|seed| seats.take(&peer(seed), network(1)).unwrap());
        assert!(
            seats.take(&peer(3), network(1)).is_none(),
            "a new key helps nothing"
        );
        assert!(seats.take(&peer(3), network(2)).is_some());
        assert_eq!(lock(&seats.taken).by_network.len(), 1);
    }
}
