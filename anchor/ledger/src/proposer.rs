//! Who proposes: a pure function of the round's order, the set, height and attempt.
//!
//! Every seat proposes once in each cycle of as many heights as there are seats, in an order that is drawn anew for each
//! cycle, from the seed of the round. The backups of a height come from a second permutation, drawn for that height: if
//! neighbours are down together, the attempts at one height do not run through all of them one after the other, with
//! growing timeouts.

use sha2::{Digest, Sha256};

use crate::hash::Hash;
use crate::validators::{Validator, ValidatorSet};

/// From what the proposers of a round of delegates follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// [`crate::Round::seed`].
    pub seed: Hash,
    /// The first height of the round.
    pub first: u64,
}

/// The proposer of a height of the order's round, and of an attempt at it (the engine's round, from 0).
pub fn proposer<'a>(set: &'a ValidatorSet, order: &Order, height: u64, attempt: u32) -> &'a Validator {
    let seats = set.len();
    let turn = height.saturating_sub(order.first);
    let seed = &order.seed;
    let (cycle, slot) = (turn / seats as u64, (turn % seats as u64) as usize);
    let first = permutation(seats, Draw::new(b"order", seed, cycle))[slot];
    let attempt = attempt as usize % seats;
    let place = if attempt == 0 {
        first
    } else {
        let mut backups = permutation(seats, Draw::new(b"backup", seed, height));
        backups.retain(|place| *place != first);
        backups[attempt - 1]
    };
    &set.validators()[place]
}

/// Fisher–Yates.
fn permutation(count: usize, mut draw: Draw) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        places.swap(last, draw.below(last as u64 + 1) as usize);
    }
    places
}

/// Numbers from sha2-256 in counter mode.
struct Draw {
    seed: [u8; 32],
    counter: u64,
}

impl Draw {
    fn new(tag: &[u8], seed: &Hash, number: u64) -> Self {
        let seed = Sha256::new()
            .chain_update(b"ddn/proposer/1/")
            .chain_update(tag)
            .chain_update(seed.0)
            .chain_update(number.to_be_bytes())
            .finalize();
        Self {
            seed: seed.into(),
            counter: 0,
        }
    }

    /// Evenly from `0..limit`: numbers from the incomplete last stretch below 2^64 are drawn again.
    fn below(&mut self, limit: u64) -> u64 {
        let end = u64::MAX - u64::MAX % limit;
        loop {
            let number = self.next();
            if number < end {
                return number % limit;
            }
        }
    }

    fn next(&mut self) -> u64 {
        let block = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.counter.to_be_bytes())
            .finalize();
        self.counter += 1;
        block[..8]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::keys::{Address, SecretKey};

    fn set(count: u8) -> ValidatorSet {
        let validator = |seed| Validator {
            key: SecretKey::from_seed([seed; 32]).public(),
            power: 1,
        };
        ValidatorSet::new((0..count).map(validator).collect()).unwrap()
    }

    fn who(set: &ValidatorSet, height: u64, round: u32) -> Address {
        let order = Order {
            seed: Hash::of(b"genesis"),
            first: 1,
        };
        proposer(set, &order, height, round).address()
    }

    #[test]
    fn everybody_proposes_once_in_a_cycle_and_the_order_changes() {
        let set = set(11);
        let cycle =
            |number: u64| -> Vec<Address> { (1..=11).map(|slot| who(&set, number * 11 + slot, 0)).collect() };
        for number in 0..5 {
            assert_eq!(cycle(number).into_iter().collect::<BTreeSet<_>>().len(), 11);
        }
        assert_ne!(cycle(0), cycle(1));
    }

    #[test]
    fn everybody_is_tried_within_as_many_rounds_as_there_are_seats() {
        let set = set(11);
        for height in 1..40 {
            let tried: BTreeSet<_> = (0..11).map(|round| who(&set, height, round)).collect();
            assert_eq!(tried.len(), 11);
            assert_eq!(who(&set, height, 0), who(&set, height, 11));
        }
    }

    #[test]
    fn one_seat_proposes_always() {
        let set = set(1);
        for (height, round) in [(0, 0), (1, 0), (1, 7), (u64::MAX, u32::MAX)] {
            assert_eq!(who(&set, height, round), set.validators()[0].address());
        }
    }

    #[test]
    fn the_order_is_pinned() {
        let set = set(7);
        let place = |height, round| set.find(&who(&set, height, round)).unwrap().0;
        let first: Vec<usize> = (1..=14).map(|height| place(height, 0)).collect();
        assert_eq!(first, [3, 1, 5, 6, 2, 0, 4, 6, 0, 5, 4, 3, 2, 1]);
        let backups: Vec<usize> = (0..8).map(|round| place(5, round)).collect();
        assert_eq!(backups, [2, 5, 4, 0, 1, 6, 3, 2]);
    }
}
