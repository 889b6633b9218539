//! How many are served at once, in all and of one peer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::PublicKey;

/// A number of seats.
pub(super) struct Seats {
    taken: Arc<Mutex<Taken>>,
    max: usize,
    per_peer_max: usize,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_peer: HashMap<PublicKey, usize>,
}

/// A seat, until it is dropped.
pub(super) struct Seat {
    taken: Arc<Mutex<Taken>>,
    peer: PublicKey,
}

impl Seats {
    pub fn new(max: usize, per_peer_max: usize) -> Seats {
        Seats {
            taken: Arc::default(),
            max,
            per_peer_max,
        }
    }

    /// A seat for this peer, if there is one.
    pub fn take(&self, peer: &PublicKey) -> Option<Seat> {
        let mut taken = lock(&self.taken);
        let by_peer = taken.by_peer.get(peer).copied().unwrap_or_default();
        if taken.all >= self.max || by_peer >= self.per_peer_max {
            return None;
        }
        taken.all += 1;
        taken.by_peer.insert(*peer, by_peer + 1);
        Some(Seat {
            taken: Arc::clone(&self.taken),
            peer: *peer,
        })
    }

    pub fn taken(&self) -> usize {
        lock(&self.taken).all
    }

    pub fn is_full(&self) -> bool {
        self.taken() >= self.max
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(by_peer) = taken.by_peer.get_mut(&self.peer) {
            *by_peer -= 1;
            if *by_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ledger::SecretKey;

    use super::*;

    #[test]
    fn seats_are_bounded_in_all_and_for_each_peer() {
        let [a, b, c] = [1, 2, 3].map(|seed| SecretKey::from_seed([seed; 32]).public());
        let seats = Seats::new(3, 2);
        let first = seats.take(&a).unwrap();
        let _second = seats.take(&a).unwrap();
        assert!(seats.take(&a).is_none(), "a peer has two");
        let _third = seats.take(&b).unwrap();
        assert!(seats.take(&c).is_none() && seats.is_full(), "there are three");
        drop(first);
        assert!(seats.take(&c).is_some());
        assert_eq!(
            lock(&seats.taken).by_peer.len(),
            2,
            "those without a seat are forgotten"
        );
    }
}
