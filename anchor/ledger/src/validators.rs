//! The set of delegates that vote on a height.

use serde::{Deserialize, Serialize};

use crate::codec::encode;
use crate::error::Error;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};

/// The most validators of a set: three times the largest preset, so that certificates stay far below a block's size.
pub const MAX_VALIDATORS: usize = 1024;
/// The most voting power of one validator, so that sums stay far below 2^64.
const MAX_POWER: u64 = 1 << 32;
const DOMAIN: &[u8] = b"ddn/validators/1";

/// One validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Validator {
    /// The delegate key.
    pub key: PublicKey,
    /// Voting power, 1 to 2^32. Seats are equal, so it is 1 for all unless a chain decides otherwise.
    pub power: u64,
}

impl Validator {
    /// The delegate's account, which gets the fees of its blocks.
    pub fn address(&self) -> Address {
        self.key.address()
    }
}

/// Validators in the order of their addresses, each once: 1 to 1024.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Validator>", into = "Vec<Validator>")]
pub struct ValidatorSet(Vec<Validator>);

impl ValidatorSet {
    /// Sorts and checks validators.
    ///
    /// # Errors
    /// If there are none or more than [`MAX_VALIDATORS`], one stands twice, or a power is out of range.
    pub fn new(mut validators: Vec<Validator>) -> Result<Self, Error> {
        validators.sort_by_cached_key(Validator::address);
        Self::try_from(validators)
    }

    /// The validators, by address.
    pub fn validators(&self) -> &[Validator] {
        &self.0
    }

    /// How many there are, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The validator with this address, and its place.
    pub fn find(&self, address: &Address) -> Option<(usize, &Validator)> {
        let place = self.0.binary_search_by_key(address, Validator::address).ok()?;
        Some((place, &self.0[place]))
    }

    /// The sum of all powers.
    pub fn power(&self) -> u64 {
        self.0.iter().map(|validator| validator.power).sum()
    }

    /// The least power that is strictly more than two thirds of all.
    pub fn quorum(&self) -> u64 {
        self.power() * 2 / 3 + 1
    }

    /// What headers carry to name the set.
    pub fn hash(&self) -> Hash {
        Hash::of(&[DOMAIN, encode(self).as_slice()].concat())
    }
}

impl TryFrom<Vec<Validator>> for ValidatorSet {
    type Error = Error;

    fn try_from(validators: Vec<Validator>) -> Result<Self, Error> {
        let bad = |reason: String| Err(Error::Validators { reason });
        if validators.is_empty() || validators.len() > MAX_VALIDATORS {
            return bad(format!(
                "{} validators, 1 to {MAX_VALIDATORS} are possible",
                validators.len()
            ));
        }
        if let Some(found) = validators.iter().find(|v| v.power == 0 || v.power > MAX_POWER) {
            return bad(format!(
                "{} has power {}, 1 to {MAX_POWER} are possible",
                found.key, found.power
            ));
        }
        let addresses: Vec<Address> = validators.iter().map(Validator::address).collect();
        if let Some(place) = addresses.windows(2).position(|pair| pair[0] >= pair[1]) {
            return bad(format!(
                "{} stands twice or out of order",
                validators[place + 1].key
            ));
        }
        Ok(Self(validators))
    }
}

impl From<ValidatorSet> for Vec<Validator> {
    fn from(set: ValidatorSet) -> Self {
        set.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::decode;
    use crate::keys::SecretKey;

    fn validator(seed: u8, power: u64) -> Validator {
        Validator {
            key: SecretKey::from_seed([seed; 32]).public(),
            power,
        }
    }

    #[test]
    fn quorum_is_strictly_more_than_two_thirds() {
        for (count, quorum) in [
            (1u8, 1),
            (2, 2),
            (3, 3),
            (4, 3),
            (6, 5),
            (7, 5),
            (100, 67),
            (101, 68),
        ] {
            let set = ValidatorSet::new((0..count).map(|seed| validator(seed, 1)).collect()).unwrap();
            assert_eq!(set.quorum(), quorum, "{count}");
            assert!(set.quorum() * 3 > set.power() * 2 && (set.quorum() - 1) * 3 <= set.power() * 2);
        }
    }

    #[test]
    fn impossible_sets_are_refused() {
        assert!(ValidatorSet::new(vec![]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, 1), validator(1, 1)]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, 0)]).is_err());
        assert!(ValidatorSet::new(vec![validator(1, MAX_POWER + 1)]).is_err());
    }

    #[test]
    fn the_order_given_does_not_matter_but_the_order_encoded_does() {
        let (a, b) = (validator(1, 1), validator(2, 1));
        let set = ValidatorSet::new(vec![a.clone(), b.clone()]).unwrap();
        assert_eq!(set, ValidatorSet::new(vec![b, a]).unwrap());
        let mut list: Vec<Validator> = set.clone().into();
        assert_eq!(decode::<ValidatorSet>(&encode(&list)).unwrap(), set);
        list.reverse();
        assert!(decode::<ValidatorSet>(&encode(&list)).is_err());
    }

    #[test]
    fn every_member_is_found() {
        let set = ValidatorSet::new((0..20).map(|seed| validator(seed, 1)).collect()).unwrap();
        for (place, validator) in set.validators().iter().enumerate() {
            assert_eq!(set.find(&validator.address()), Some((place, validator)));
        }
        assert_eq!(set.find(&validator(77, 1).address()), None);
    }
}
