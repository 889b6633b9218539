//! Capacity-weighted rendezvous hashing, in integers.
//!
//! Rendezvous hashing (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998) gives each
//! pair (content, edge) a uniform h in (0, 1), and the best edge wins. Weighted, the score is −w / ln h (Schindelhauer
//! and Schomaker, "Weighted Distributed Hash Tables", SPAA 2005): an edge wins with a probability proportional to its
//! weight w, and a change of one weight moves keys only from or to that edge.
//!
//! The largest −w / ln h is the smallest −ln h / w, and the base of the logarithm does not change the order. So a
//! [`Draw`] holds −log₂ h in fixed point, and two draws are compared by cross-multiplication: there is no division
//! and no float that one machine could round in its own way.

use std::cmp::Ordering;

use sha2::{Digest, Sha256};

/// Separates these hashes from all others of the project.
const DOMAIN: &[u8] = b"ddn/nearest/rendezvous/1";

/// Fraction bits of the fixed-point logarithm. 48 leave room for 7 whole bits and a 32-bit weight in a u128, and make
/// two of the draws equal about once in 2⁴⁸ times.
const FRACTION_BITS: u32 = 48;

/// A content key, hashed once so that each edge costs one more short hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// The key of any content identifier; equal bytes give equal keys.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(
            Sha256::new()
                .chain_update(DOMAIN)
                .chain_update(content)
                .finalize()
                .into(),
        )
    }

    /// What `edge` draws for this key with `weight`. A weight of 0 never wins against a positive one.
    #[must_use]
    pub fn draw(&self, edge: &[u8; 32], weight: u32) -> Draw {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(self.0)
            .chain_update(edge)
            .finalize()
            .into();
        let word = |at: usize| {
            digest[at..at + 8]
                .iter()
                .fold(0, |word, byte| word << 8 | u64::from(*byte))
        };
        Draw {
            cost: minus_log2(word(0)),
            weight,
            coin: word(8),
        }
    }
}

/// One edge's draw: an exponential variable with the rate `weight`. The smallest draw is the best.
///
/// Draws are ordered for sorting, best first. Two draws may be equal without being identical (a caller breaks the tie
/// by edge id), so there is no `Eq`.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// −log₂ h in units of 2^-48; below 2^55.
    cost: u64,
    weight: u32,
    /// Bits of the same hash that the cost does not use.
    coin: u64,
}

impl Draw {
    /// Compares `self.cost / self.weight` with the other's, exactly.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        let mine = u128::from(self.cost) * u128::from(other.weight);
        let theirs = u128::from(other.cost) * u128::from(self.weight);
        match (self.weight, other.weight) {
            (0, 0) => Ordering::Equal,
            (0, _) => Ordering::Greater,
            (_, 0) => Ordering::Less,
            _ => mine.cmp(&theirs),
        }
    }

    /// A number in 0..1000 for this content, this edge and this request, the same on every machine, and independent of
    /// the draw itself.
    #[must_use]
    pub fn permille(&self, request: u64) -> u32 {
        let mixed = u128::from(mix(self.coin ^ mix(request)));
        ((mixed * 1000) >> 64) as u32
    }
}

/// Spreads the bits of a number over all of the result, one to one (Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014). Not for secrets.
#[must_use]
pub fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// −log₂((u + 1) / 2⁶⁴) in fixed point, rounded up to the next unit; falls as `u` rises.
///
/// The binary logarithm is taken digit by digit: square the mantissa, a carry out of [1, 2) is the next digit
/// (Knuth, The Art of Computer Programming, section 1.2.2, exercise 25). The u64 mantissa loses less than 2⁻⁶³ per
/// squaring, whose weight halves each time, so the result is off by at most one unit.
fn minus_log2(u: u64) -> u64 {
    let Some(h) = u.checked_add(1) else { return 0 };
    let whole = u64::from(h.ilog2());
    let mut mantissa = h << h.leading_zeros();
    let mut fraction = 0;
    for _ in 0..FRACTION_BITS {
        let square = u128::from(mantissa) * u128::from(mantissa);
        let carry = (square >> 127) as u64;
        fraction = (fraction << 1) | carry;
        mantissa = (square >> (63 + carry)) as u64;
    }
    (64 << FRACTION_BITS) - ((whole << FRACTION_BITS) | fraction)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The float is only the yardstick here; nothing decides by it.
    fn expected(u: u64) -> f64 {
        64.0 - ((u as f64) + 1.0).log2()
    }

    #[test]
    fn known_logarithms() {
        let one = 1 << FRACTION_BITS;
        for (u, cost) in [
            (u64::MAX, 0),
            ((1 << 63) - 1, one),
            ((1 << 62) - 1, 2 * one),
            (1, 63 * one),
            (0, 64 * one),
        ] {
            assert_eq!(minus_log2(u), cost, "of {u}");
        }
    }

    #[test]
    fn weight_zero_never_wins() {
        let key = Key::of(b"content");
        let (none, some) = (key.draw(&[1; 32], 0), key.draw(&[2; 32], 1));
        assert_eq!(none.compare(&some), Ordering::Greater);
        assert_eq!(some.compare(&none), Ordering::Less);
        assert_eq!(none.compare(&none), Ordering::Equal);
    }

    /// A fixture, computed apart with 60 digits: should this change, every cache in the network would lose its keys.
    #[test]
    fn draws_are_pinned() {
        let draw = Key::of(b"bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy").draw(&[7; 32], 3);
        assert_eq!((draw.cost, draw.weight), (PINNED_COST, 3));
    }

    const PINNED_COST: u64 = 10_864_957_966_501;

    proptest! {
        #[test]
        fn close_to_the_real_logarithm(u in any::<u64>()) {
            let cost = minus_log2(u) as f64 / (1u64 << FRACTION_BITS) as f64;
            prop_assert!((cost - expected(u)).abs() < 1e-9, "{cost} for {u}");
        }

        #[test]
        fn falls_as_the_hash_rises(a in any::<u64>(), b in any::<u64>()) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(minus_log2(low) >= minus_log2(high));
        }

        #[test]
        fn comparison_is_antisymmetric_and_scales(id in any::<[u8; 32]>(), other in any::<[u8; 32]>(),
                                                  w in 1u32..1 << 30, v in 1u32..1 << 30) {
            let key = Key::of(b"k");
            let (a, b) = (key.draw(&id, w), key.draw(&other, v));
            prop_assert_eq!(a.compare(&b), b.compare(&a).reverse());
            prop_assert_eq!(key.draw(&id, 2 * w).compare(&key.draw(&other, 2 * v)), a.compare(&b));
        }
    }
}
