//! Whose turn it is when less leaves than peers want: start-time fair queueing (Goyal, Vin and Cheng, 1996). Pure.
//!
//! Each peer gets the same share of the bytes, however many sessions it has and however much it wants; who wanted nothing
//! for a while has not saved up anything.

use std::collections::{BTreeMap, HashMap};

use ledger::PublicKey;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The bytes that its peer would have had by then.
    start: u64,
    /// Who came first goes first.
    number: u64,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Fair<T> {
    waiting: BTreeMap<Place, (u64, T)>,
    /// The start of what left last.
    now: u64,
    /// Where each peer's last place ends.
    ends: HashMap<PublicKey, u64>,
    places: u64,
}

impl<T> Default for Fair<T> {
    fn default() -> Fair<T> {
        Fair {
            waiting: BTreeMap::new(),
            now: 0,
            ends: HashMap::new(),
            places: 0,
        }
    }
}

impl<T> Fair<T> {
    /// A peer wants to send so many bytes.
    pub fn push(&mut self, peer: PublicKey, bytes: u64, item: T) {
        let start = self.ends.get(&peer).copied().unwrap_or_default().max(self.now);
        self.ends.insert(peer, start.saturating_add(bytes));
        self.places += 1;
        let place = Place {
            start,
            number: self.places,
        };
        self.waiting.insert(place, (bytes, item));
    }

    /// Whose turn it is, and how many bytes that is.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let (place, next) = self.waiting.pop_first()?;
        self.now = place.start;
        if self.waiting.is_empty() {
            // Nobody is ahead of anybody.
            *self = Fair::default();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use ledger::SecretKey;
    use proptest::prelude::*;

    use super::*;

    fn peer(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn who_wants_much_waits_for_who_wants_little() {
        let mut queue = Fair::default();
        for _ in 0..100 {
            queue.push(peer(1), 1 << 20, 1);
        }
        queue.push(peer(2), 1 << 20, 2);
        let turns: Vec<u8> = std::iter::from_fn(|| queue.pop().map(|(_, who)| who))
            .take(3)
            .collect();
        assert!(turns.contains(&2), "{turns:?}");
    }

    proptest! {
        #[test]
        fn peers_that_all_want_more_have_the_same_to_within_a_block(
            wants in proptest::collection::vec((0u8..4, 1u64..2 << 20), 50..400)
        ) {
            let mut queue = Fair::default();
            let mut wanted = [0u64; 4];
            for (who, bytes) in &wants {
                queue.push(peer(*who), *bytes, *who);
                wanted[usize::from(*who)] += bytes;
            }
            let mut had = [0u64; 4];
            while let Some((bytes, who)) = queue.pop() {
                had[usize::from(who)] += bytes;
                let all_want = (0..4).all(|at| had[at] < wanted[at]);
                if all_want {
                    let (least, most) = (had.iter().min().unwrap(), had.iter().max().unwrap());
                    // A block of each, one of them begun and the other not.
                    prop_assert!(most - least <= 2 * (2 << 20), "{:?}", had);
                }
            }
            prop_assert_eq!(had, wanted);
        }
    }
}
