//! Places for connections: so many in all, so many from one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nearest::Prefix;

/// The places of a gateway; a clone shares them.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<State>);

#[derive(Debug)]
struct State {
    places_max: usize,
    per_prefix_max: usize,
    taken: Mutex<Taken>,
}

/// No network is listed that has no place, so the list is as bounded as the places.
#[derive(Debug, Default)]
struct Taken {
    places: usize,
    by_prefix: HashMap<Prefix, usize>,
}

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    state: Arc<State>,
    prefix: Prefix,
}

impl Places {
    pub(super) fn new(places_max: usize, per_prefix_max: usize) -> Self {
        Self(Arc::new(State {
            places_max,
            per_prefix_max,
            taken: Mutex::default(),
        }))
    }

    /// A place for a connection from `address`, if there is one.
    pub(super) fn try_take(&self, address: IpAddr) -> Option<Place> {
        let prefix = Prefix::network(address);
        let mut taken = self.0.taken();
        let of_prefix = taken.by_prefix.get(&prefix).copied().unwrap_or(0);
        if taken.places >= self.0.places_max || of_prefix >= self.0.per_prefix_max {
            return None;
        }
        taken.places += 1;
        taken.by_prefix.insert(prefix, of_prefix + 1);
        drop(taken);
        Some(Place {
            state: Arc::clone(&self.0),
            prefix,
        })
    }

    /// Whether more than half of the places are taken.
    pub(super) fn are_scarce(&self) -> bool {
        self.0.taken().places > self.0.places_max / 2
    }
}

impl State {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Counters are whole at every moment.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.state.taken();
        taken.places -= 1;
        if let Some(of_prefix) = taken.by_prefix.get_mut(&self.prefix) {
            *of_prefix -= 1;
            if *of_prefix == 0 {
                taken.by_prefix.remove(&self.prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_cannot_take_all() {
        let places = Places::new(3, 2);
        let take = |text: &str| places.try_take(text.parse().expect("an address"));
        let (one, two) = (take("192.0.2.1"), take("192.0.2.2"));
        assert!(one.is_some() && two.is_some() && take("192.0.2.3").is_none());
        let other = take("198.51.100.1");
        assert!(other.is_some() && take("203.0.113.1").is_none());
        assert!(places.are_scarce());
        drop(two);
        assert!(take("192.0.2.3").is_some());
        drop((one, other));
        assert!(!places.are_scarce());
        assert!(places.0.taken().by_prefix.is_empty());
    }
}
