//! What the engine knows, in the ledger's words: certificates, and votes that convict.

use arc_malachitebft_core_types::{
    CommitCertificate, CommitSignature, NilOrVal, Round, SignedProposal, SignedVote,
};
use ledger::{Certificate, Equivocation, SignedVote as Signed, Step, ValidatorSet};

use crate::context::{Address, Chain, Height, Key, Sig, Value, round_number};
use crate::sign::{quorum_round, vote_kind};

/// A certificate for the ledger, of the set of its height. It is as good as the engine's: nothing is verified here.
///
/// # Errors
/// If somebody signed who is not in the set.
pub fn certificate(
    set: &ValidatorSet,
    found: &CommitCertificate<Chain>,
) -> Result<Certificate, ledger::Error> {
    let precommits = found
        .commit_signatures
        .iter()
        .map(|commit| (commit.address.0, commit.signature.0));
    let (height, round) = (found.height.0, round_number(found.round));
    Certificate::build(set, height, round, found.value_id.0, precommits)
}

/// The same certificate for the engine.
pub fn commit_certificate(set: &ValidatorSet, kept: &Certificate) -> CommitCertificate<Chain> {
    let members = set.validators().iter().enumerate();
    let signers = members.filter(|(place, _)| kept.signed_by(*place));
    let commits = signers
        .zip(&kept.signatures)
        .map(|((_, validator), sig)| CommitSignature::new(Address(validator.address()), Sig(*sig)));
    CommitCertificate {
        height: Height(kept.height),
        round: Round::new(kept.round),
        value_id: Value(kept.header),
        commit_signatures: commits.collect(),
    }
}

/// What proves on the ledger that a delegate signed two things: two votes that the engine found to conflict, and the key of
/// their signer. None if they do not conflict.
pub fn equivocation(key: &Key, votes: [&SignedVote<Chain>; 2]) -> Option<Equivocation> {
    let [first, second] = votes.map(|vote| &vote.message);
    let same = (first.kind, first.height, first.round, first.voter)
        == (second.kind, second.height, second.round, second.voter);
    if !same || first.value == second.value {
        return None;
    }
    let mut signed = votes.map(signed);
    signed.sort_by_key(|vote| vote.value);
    Some(Equivocation {
        delegate: key.0,
        kind: vote_kind(first.kind).into(),
        height: first.height.0,
        round: round_number(first.round),
        votes: signed,
    })
}

fn signed(vote: &SignedVote<Chain>) -> Signed {
    let value = match vote.message.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(Value(hash)) => Some(hash),
    };
    Signed {
        value,
        quorum: None,
        sig: vote.signature.0,
    }
}

/// As [`equivocation`], of two proposals.
pub fn double_proposal(key: &Key, proposals: [&SignedProposal<Chain>; 2]) -> Option<Equivocation> {
    let [first, second] = proposals.map(|proposal| &proposal.message);
    let same = (first.height, first.round, first.proposer) == (second.height, second.round, second.proposer);
    if !same || first.value == second.value {
        return None;
    }
    let mut votes = proposals.map(|proposal| Signed {
        value: Some(proposal.message.value.0),
        quorum: quorum_round(&proposal.message),
        sig: proposal.signature.0,
    });
    votes.sort_by_key(|vote| vote.value);
    Some(Equivocation {
        delegate: key.0,
        kind: Step::Proposal,
        height: first.height.0,
        round: round_number(first.round),
        votes,
    })
}

#[cfg(test)]
mod tests {
    use arc_malachitebft_core_types::{SignedMessage, VoteType};
    use ledger::{Hash, SecretKey, Validator};

    use super::*;
    use crate::context::{Proposal, Vote};
    use crate::sign::{Checker, proposal_bytes, vote_bytes};

    const CHAIN: &str = "test";

    fn key(seed: u8) -> SecretKey {
        SecretKey::from_seed([seed; 32])
    }

    fn vote(by: &SecretKey, kind: VoteType, round: u32, value: Option<u8>) -> SignedVote<Chain> {
        let vote = Vote {
            kind,
            height: Height(5),
            round: Round::new(round),
            value: value.map_or(NilOrVal::Nil, |byte| NilOrVal::Val(Value(Hash([byte; 32])))),
            voter: Address(by.address()),
        };
        let sig = Sig(by.sign_bytes(&vote_bytes(CHAIN, &vote)));
        assert!(Checker::new(CHAIN).vote(&vote, &sig, &Key(by.public())));
        SignedMessage::new(vote, sig)
    }

    /// What the engine decided by is what anybody verifies, and back.
    #[test]
    fn a_certificate_of_the_engine_verifies_on_the_ledger() {
        let keys = [1, 2, 3, 4].map(key);
        let members = keys.each_ref().map(|key| Validator {
            key: key.public(),
            power: 1,
        });
        let set = ValidatorSet::new(members.into()).unwrap();
        let votes = keys[..3]
            .iter()
            .map(|key| vote(key, VoteType::Precommit, 2, Some(7)));
        let found = CommitCertificate::new(Height(5), Round::new(2), Value(Hash([7; 32])), votes.collect());
        let kept = certificate(&set, &found).unwrap();
        kept.verify(CHAIN, &set).unwrap();
        let back = commit_certificate(&set, &kept);
        assert_eq!(certificate(&set, &back).unwrap(), kept);
        let alone = ValidatorSet::new(vec![Validator {
            key: keys[3].public(),
            power: 1,
        }]);
        assert!(certificate(&alone.unwrap(), &found).is_err(), "strangers");
    }

    fn proposal(by: &SecretKey, round: u32, quorum: Option<u32>, value: u8) -> SignedProposal<Chain> {
        let proposal = Proposal {
            height: Height(5),
            round: Round::new(round),
            value: Value(Hash([value; 32])),
            pol_round: quorum.map_or(Round::Nil, Round::new),
            proposer: Address(by.address()),
        };
        let sig = Sig(by.sign_bytes(&proposal_bytes(CHAIN, &proposal)));
        assert!(Checker::new(CHAIN).proposal(&proposal, &sig, &Key(by.public())));
        SignedMessage::new(proposal, sig)
    }

    #[test]
    fn two_proposals_convict_exactly_if_they_conflict() {
        let (key, other) = (key(1), key(2));
        let check = |first: SignedProposal<Chain>, second: SignedProposal<Chain>, expected| {
            for proposals in [[&first, &second], [&second, &first]] {
                let found = double_proposal(&Key(key.public()), proposals);
                assert_eq!(found.is_some_and(|found| found.convicts(CHAIN)), expected);
            }
        };
        let one = || proposal(&key, 3, None, 1);
        check(one(), proposal(&key, 3, None, 2), true);
        check(one(), proposal(&key, 3, Some(1), 2), true);
        check(one(), proposal(&key, 3, Some(1), 1), false);
        check(one(), proposal(&key, 4, None, 2), false);
        check(one(), proposal(&other, 3, None, 2), false);
    }

    #[test]
    fn two_votes_convict_exactly_if_they_conflict() {
        let (key, other) = (key(1), key(2));
        let check = |first: SignedVote<Chain>, second: SignedVote<Chain>, expected| {
            for votes in [[&first, &second], [&second, &first]] {
                let found = equivocation(&Key(key.public()), votes);
                assert_eq!(found.is_some_and(|found| found.convicts(CHAIN)), expected);
            }
        };
        let one = || vote(&key, VoteType::Prevote, 0, Some(1));
        check(one(), vote(&key, VoteType::Prevote, 0, Some(2)), true);
        check(one(), vote(&key, VoteType::Prevote, 0, None), true);
        check(one(), one(), false);
        check(one(), vote(&key, VoteType::Precommit, 0, Some(2)), false);
        check(one(), vote(&key, VoteType::Prevote, 1, Some(2)), false);
        check(one(), vote(&other, VoteType::Prevote, 0, Some(2)), false);
    }
}
