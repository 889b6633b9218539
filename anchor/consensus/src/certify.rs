//! What the engine knows, in the ledger's words: certificates, and votes that convict.

use arc_malachitebft_core_types::{CommitCertificate, CommitSignature, NilOrVal, Round, SignedVote};
use ledger::{Certificate, Equivocation, SignedVote as Signed, ValidatorSet};

use crate::context::{Address, Chain, Height, Key, Sig, Value, round_number};
use crate::sign::vote_kind;

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
        kind: vote_kind(first.kind),
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
        sig: vote.signature.0,
    }
}
