//! The reveals of a delegate: a hash chain, used from its end, so that each reveal hashes to the one before.

use crate::hash::Hash;
use crate::keys::SecretKey;
use crate::transition::reveal_tip;

const DOMAIN: &str = "ddn/reveals/1";

/// How many reveals a chain has: those of two years, for a seat of 101 in blocks of 10 s.
pub const REVEALS: usize = 1 << 16;

/// All reveals of a delegate in one generation. The same key always makes the same ones; nobody else can.
#[derive(Clone)]
pub struct Reveals(Vec<Hash>);

impl Reveals {
    /// The chain of a delegate key on a chain: [`REVEALS`] hashes, some 10 ms of work. `generation` counts from 0 the tips
    /// that the delegate has registered.
    pub fn new(key: &SecretKey, chain_id: &str, generation: u32) -> Self {
        // A signature that is shown to nobody is as secret as the key.
        let secret = key.sign(DOMAIN, chain_id, &generation.to_be_bytes());
        let mut reveals = Vec::with_capacity(REVEALS);
        let mut next = Hash::of(secret.as_bytes());
        for _ in 0..REVEALS {
            reveals.push(next);
            next = reveal_tip(&next);
        }
        reveals.push(next);
        Self(reveals)
    }

    /// What the first reveal hashes to: what is registered.
    pub fn tip(&self) -> Hash {
        *self.0.last().expect("a chain is not empty")
    }

    /// The reveal that hashes to `tip`; none if it is not of this chain, or the chain is used up.
    pub fn before(&self, tip: &Hash) -> Option<Hash> {
        let place = self.0.iter().rposition(|hash| hash == tip)?;
        Some(self.0[place.checked_sub(1)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reveal_hashes_to_the_one_before_until_there_is_none() {
        let key = SecretKey::from_seed([1; 32]);
        let reveals = Reveals::new(&key, "test", 0);
        let mut tip = reveals.tip();
        for _ in 0..3 {
            let reveal = reveals.before(&tip).unwrap();
            assert_eq!(reveal_tip(&reveal), tip);
            tip = reveal;
        }
        assert_eq!(reveals.before(&reveals.0[0]), None, "used up");
        assert_eq!(reveals.before(&Hash::of(b"foreign")), None);
        for other in [Reveals::new(&key, "other", 0), Reveals::new(&key, "test", 1)] {
            assert_ne!(other.tip(), reveals.tip());
        }
    }
}
