//! Votes and certificates: how it is known that a header is final.

use serde::{Deserialize, Serialize};

use crate::codec::text_or_bytes;
use crate::error::Error;
use crate::hash::Hash;
use crate::keys::{Address, PublicKey, Signature, signed_bytes, verify_batch};
use crate::validators::ValidatorSet;

const VOTE_DOMAIN: &str = "ddn/vote/1";
const PROPOSAL_DOMAIN: &str = "ddn/proposal/1";

/// The two votes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VoteKind {
    /// "I have seen this proposal, and it is valid."
    Prevote,
    /// "More than two thirds have; I will not go back." A quorum of these is a [`Certificate`].
    Precommit,
}

/// The bytes that a vote's signature covers.
///
/// Fixed layout, all integers big-endian: length of the domain tag (4) and tag, length of the chain id (4) and id, kind
/// (1 byte: 1 prevote, 2 precommit), height (8), round (4), 1 if there is a value else 0 (1), value (32, zeros if none).
/// The value is [`crate::Header::id`]. Sign with [`crate::SecretKey::sign_bytes`].
pub fn vote_bytes(kind: VoteKind, chain_id: &str, height: u64, round: u32, value: Option<Hash>) -> Vec<u8> {
    let mut vote = Vec::with_capacity(46);
    vote.push(match kind {
        VoteKind::Prevote => 1,
        VoteKind::Precommit => 2,
    });
    vote.extend_from_slice(&height.to_be_bytes());
    vote.extend_from_slice(&round.to_be_bytes());
    vote.push(u8::from(value.is_some()));
    vote.extend_from_slice(&value.unwrap_or_default().0);
    signed_bytes(VOTE_DOMAIN, chain_id, &vote)
}

/// The bytes that a proposal's signature covers.
///
/// Fixed layout, all integers big-endian: domain tag and chain id as in [`vote_bytes`], height (8), round (4), round of an
/// earlier quorum of prevotes for the value, -1 if there is none (8), value (32).
pub fn proposal_bytes(chain_id: &str, height: u64, round: u32, quorum: Option<u32>, value: &Hash) -> Vec<u8> {
    let mut proposal = Vec::with_capacity(52);
    proposal.extend_from_slice(&height.to_be_bytes());
    proposal.extend_from_slice(&round.to_be_bytes());
    proposal.extend_from_slice(&quorum.map_or(-1, i64::from).to_be_bytes());
    proposal.extend_from_slice(&value.0);
    signed_bytes(PROPOSAL_DOMAIN, chain_id, &proposal)
}

/// Proof that validators with more than two thirds of the power precommitted to one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The height that was decided.
    pub height: u64,
    /// The round in which it was; above 0 if proposers missed their turn.
    pub round: u32,
    /// The [`crate::Header::id`] that was voted for.
    pub header: Hash,
    /// Who signed: bit `i % 8` (least significant first) of byte `i / 8` is validator `i` of the set.
    #[serde(with = "text_or_bytes")]
    pub signers: Vec<u8>,
    /// One signature for each bit that is set, in order.
    pub signatures: Vec<Signature>,
}

impl Certificate {
    /// Collects precommits of members of `set`; each member counts once. It is not verified yet.
    ///
    /// # Errors
    /// If somebody signed who is not in the set.
    pub fn build(
        set: &ValidatorSet,
        height: u64,
        round: u32,
        header: Hash,
        precommits: impl IntoIterator<Item = (Address, Signature)>,
    ) -> Result<Self, Error> {
        let mut by_place = std::collections::BTreeMap::new();
        for (address, signature) in precommits {
            let (place, _) = set.find(&address).ok_or_else(|| Error::Certificate {
                height,
                reason: format!("{address:?} signed, but is not in the set"),
            })?;
            by_place.insert(place, signature);
        }
        let mut signers = vec![0; set.len().div_ceil(8)];
        for place in by_place.keys() {
            signers[place / 8] |= 1 << (place % 8);
        }
        Ok(Self {
            height,
            round,
            header,
            signers,
            signatures: by_place.into_values().collect(),
        })
    }

    /// Whether validator number `place` of the set signed.
    pub fn signed_by(&self, place: usize) -> bool {
        self.signers
            .get(place / 8)
            .is_some_and(|byte| byte >> (place % 8) & 1 == 1)
    }

    /// Checks every signature and the quorum against the set of its height.
    ///
    /// # Errors
    /// If a signature is wrong (all must hold, also those beyond the quorum), the bitmap does not fit the set or the
    /// signatures, or the signers have not more than two thirds of the power.
    pub fn verify(&self, chain_id: &str, set: &ValidatorSet) -> Result<(), Error> {
        let bad = |reason: String| {
            Err(Error::Certificate {
                height: self.height,
                reason,
            })
        };
        if self.signers.len() != set.len().div_ceil(8) {
            return bad(format!(
                "its bitmap has {} bytes for {} validators",
                self.signers.len(),
                set.len()
            ));
        }
        let set_bits: u32 = self.signers.iter().map(|byte| byte.count_ones()).sum();
        let members: Vec<_> = set
            .validators()
            .iter()
            .enumerate()
            .filter(|(place, _)| self.signed_by(*place))
            .collect();
        if set_bits as usize != members.len() {
            return bad("its bitmap names validators that are not in the set".into());
        }
        if members.len() != self.signatures.len() {
            return bad(format!(
                "{} signers, but {} signatures",
                members.len(),
                self.signatures.len()
            ));
        }
        let power: u64 = members.iter().map(|(_, validator)| validator.power).sum();
        if power < set.quorum() {
            return bad(format!(
                "signed with power {power} of {}, {} are needed",
                set.power(),
                set.quorum()
            ));
        }
        let bytes = vote_bytes(
            VoteKind::Precommit,
            chain_id,
            self.height,
            self.round,
            Some(self.header),
        );
        let signed: Vec<(PublicKey, Signature)> = members
            .iter()
            .map(|(_, validator)| validator.key)
            .zip(self.signatures.iter().copied())
            .collect();
        let all = signed
            .iter()
            .map(|(key, signature)| (*key, bytes.as_slice(), *signature));
        if verify_batch(all) {
            return Ok(());
        }
        // A batch does not say which one is wrong.
        let wrong = signed
            .iter()
            .find(|(key, signature)| !key.verify_bytes(&bytes, signature));
        wrong.map_or(Ok(()), |(key, _)| {
            bad(format!("the signature of {key} does not hold"))
        })
    }

    /// With no more signatures than the quorum needs, the first ones: what proves as much in a third less bytes. Whoever
    /// counts who was absent needs them all.
    #[must_use]
    pub fn trimmed(mut self, set: &ValidatorSet) -> Self {
        let (mut power, mut kept) = (0, 0);
        for (place, validator) in set.validators().iter().enumerate() {
            if !self.signed_by(place) {
                continue;
            }
            if power >= set.quorum() {
                self.signers[place / 8] &= !(1 << (place % 8));
                continue;
            }
            power += validator.power;
            kept += 1;
        }
        self.signatures.truncate(kept);
        self
    }
}
