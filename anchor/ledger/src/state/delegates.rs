//! What the state holds about delegates: candidates, votes, the round.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey};

/// How a delegate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It can be elected.
    Candidate,
    /// It has given up.
    Resigned,
    /// It missed too much.
    Jailed {
        /// The first round in which it may return.
        until_round: u64,
    },
    /// It has signed two things: it never returns.
    Tombstoned,
}

/// A delegate, with or without a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegate {
    /// Its delegate key.
    pub key: PublicKey,
    /// Where its consensus engine is reached.
    pub engine: String,
    /// How it stands.
    pub standing: Standing,
    /// What it has locked for itself.
    pub own: Amount,
    /// All that is locked for it, its own included.
    pub votes: Amount,
    /// What its next reveal must hash to; absent: it reveals nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<Hash>,
    /// What takes the tip's place with the next round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_tip: Option<Hash>,
    /// What of its own it has taken back and what is still locked, by the height at which that ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<Leaving>,
    /// What each coin of votes has earned since it registered, in units × 2^64.
    pub index: Index,
    /// The height at which it registered.
    pub registered: u64,
}

/// Votes that were taken back and are locked until a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaving {
    /// The first height at which they are free.
    pub height: u64,
    /// How many.
    pub amount: Amount,
}

impl Delegate {
    /// What counts in the election.
    pub fn weight(&self, votes_per_own: u32) -> Amount {
        let others = self.votes.checked_sub(self.own).unwrap_or_default();
        let most = self.own.checked_mul(u64::from(votes_per_own));
        match (votes_per_own, most) {
            (0, _) | (_, None) => self.votes,
            (_, Some(most)) => self.own.saturating_add(others.min(most)),
        }
    }
}

/// What one account has locked for one delegate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// How many coins.
    pub amount: Amount,
    /// The delegate's [`Delegate::index`] up to which it was paid.
    pub index: Index,
}

/// Units for each coin unit, × 2^64: 16 bytes, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index(pub u128);

impl Index {
    /// With `amount` more, shared by `votes` (above zero); what does not divide is not shared.
    pub fn add(self, amount: Amount, votes: Amount) -> Self {
        let more = (u128::from(amount.units()) << 64) / u128::from(votes.units().max(1));
        Self(self.0.saturating_add(more))
    }

    /// What so many coins have earned since another index, rounded down.
    pub fn since(self, before: Self, votes: Amount) -> Amount {
        let each = self.0.saturating_sub(before.0);
        // Both parts of the product, since it has up to 192 bits.
        let (high, low) = (each >> 64, each & u128::from(u64::MAX));
        let votes = u128::from(votes.units());
        let units = (high * votes).saturating_add((low * votes) >> 64);
        Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
    }
}

impl Serialize for Index {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&self.0)
        } else {
            crate::codec::fixed::serialize(&self.0.to_be_bytes(), serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return crate::codec::fixed::deserialize(deserializer)
                .map(|bytes| Self(u128::from_be_bytes(bytes)));
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The round that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// 0 for the first.
    pub number: u64,
    /// Its first height.
    pub first: u64,
    /// From what its order of proposers is drawn.
    pub seed: Hash,
    /// The same for the next round.
    pub next_seed: Hash,
    /// Of all reveals of this round so far: the seed of the round after the next is made of it.
    pub mix: Hash,
    /// What each seat did, in the order of the validators.
    pub turns: Vec<Turns>,
    /// Candidates for the next round, the best first: more than there are seats, since some may fail until then.
    pub elected: Vec<Address>,
}

/// What a seat did in a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Blocks that it made.
    pub made: u32,
    /// Turns that it let pass, as a proposer or as a backup.
    pub missed: u32,
    /// Certificates without it.
    pub absent: u32,
}

/// Votes that are free at a height: who gets back how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    /// Who had locked them.
    pub voter: Address,
    /// How many; absent: what is left of what a delegate had locked for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Amount>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Voters together never get more than there was, and lose less than a unit each time.
        #[test]
        fn what_voters_earn_is_never_more_than_was_shared(
            ballots in proptest::collection::vec(1..1_000_000_000_000u64, 1..8),
            shared in proptest::collection::vec(0..1_000_000_000_000_000u64, 1..6),
        ) {
            let votes = Amount::from_units(ballots.iter().sum());
            let mut index = Index::default();
            for shared in &shared {
                index = index.add(Amount::from_units(*shared), votes);
            }
            let got: u64 = ballots
                .iter()
                .map(|ballot| index.since(Index::default(), Amount::from_units(*ballot)).units())
                .sum();
            let all: u64 = shared.iter().sum();
            prop_assert!(got <= all);
            prop_assert!(all - got <= (ballots.len() + shared.len()) as u64);
        }
    }

    #[test]
    fn votes_of_others_count_up_to_a_multiple_of_the_own() {
        let check = |own: u64, votes: u64, per_own: u32, expected: u64| {
            let delegate = Delegate {
                key: crate::keys::SecretKey::from_seed([1; 32]).public(),
                engine: String::new(),
                standing: Standing::Candidate,
                own: Amount::from_units(own),
                votes: Amount::from_units(votes),
                tip: None,
                next_tip: None,
                leaving: vec![],
                index: Index::default(),
                registered: 0,
            };
            assert_eq!(delegate.weight(per_own).units(), expected);
        };
        check(10, 1000, 0, 1000);
        check(10, 1000, 5, 60);
        check(10, 40, 5, 40);
        check(0, 1000, 5, 0);
        check(u64::MAX / 2, u64::MAX, u32::MAX, u64::MAX);
    }
}
