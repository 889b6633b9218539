//! What signatures of consensus messages cover, and how they are verified.
//!
//! Who signs is not here: that needs a key, and a journal of what was signed before.

use std::sync::Arc;

use arc_malachitebft_core_types::{NilOrVal, ValidatorProof, VoteExtensionScope, VoteType};
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use ledger::{Hash, PublicKey, SecretKey, Signature, VoteKind};

use crate::context::{Chain, Key, Part, Proposal, Sig, Value, Vote, round_number};

const PART_DOMAIN: &str = "ddn/part/1";

/// Verifies what others signed on one chain.
#[derive(Clone, Debug)]
pub struct Checker {
    chain: Arc<str>,
}

impl Checker {
    /// For the chain with this id.
    pub fn new(chain: &str) -> Checker {
        Checker { chain: chain.into() }
    }

    /// Whether the proposer of the round signed this block for its transport.
    pub fn part(&self, part: &Part, header: &Hash, proposer: &PublicKey) -> bool {
        let message = part_message(part.height, part.round, header);
        proposer.verify(PART_DOMAIN, &self.chain, &message, &part.signature)
    }

    /// Whether the key signed this vote.
    pub fn vote(&self, vote: &Vote, sig: &Sig, key: &Key) -> bool {
        key.0.verify_bytes(&vote_bytes(&self.chain, vote), &sig.0)
    }

    /// Whether the key signed this proposal.
    pub fn proposal(&self, proposal: &Proposal, sig: &Sig, key: &Key) -> bool {
        key.0.verify_bytes(&proposal_bytes(&self.chain, proposal), &sig.0)
    }
}

/// Signs a block for its transport, as the proposer of a round. What is decided hangs on votes, not on this.
pub fn sign_part(key: &SecretKey, chain: &str, height: u64, round: u32, header: &Hash) -> Signature {
    key.sign(PART_DOMAIN, chain, &part_message(height, round, header))
}

/// The bytes that a signature under a vote covers: the ledger's, so that certificates prove it to anybody.
pub fn vote_bytes(chain: &str, vote: &Vote) -> Vec<u8> {
    let value = match vote.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(Value(hash)) => Some(hash),
    };
    let kind = vote_kind(vote.kind);
    ledger::vote_bytes(kind, chain, vote.height.0, round_number(vote.round), value)
}

/// The ledger's name of a vote.
pub(crate) fn vote_kind(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

/// The round of the earlier quorum for what is proposed, if there was one.
pub(crate) fn quorum_round(proposal: &Proposal) -> Option<u32> {
    proposal.pol_round.as_u32()
}

/// The bytes that a signature under a proposal covers: the ledger's, so that two of them convict.
pub fn proposal_bytes(chain: &str, proposal: &Proposal) -> Vec<u8> {
    let round = round_number(proposal.round);
    ledger::proposal_bytes(
        chain,
        proposal.height.0,
        round,
        quorum_round(proposal),
        &proposal.value.0,
    )
}

/// Height (8), round (4), header hash (32): the header names the rest of the block.
fn part_message(height: u64, round: u32, header: &Hash) -> Vec<u8> {
    let mut message = height.to_be_bytes().to_vec();
    message.extend(round.to_be_bytes());
    message.extend(header.0);
    message
}

#[async_trait]
impl Verifier<Chain> for Checker {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        sig: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.vote(vote, sig, key)))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        sig: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::from_bool(self.proposal(proposal, sig, key)))
    }

    async fn verify_signed_vote_extension(
        &self,
        _scope: &VoteExtensionScope<Chain>,
        _extension: &(),
        _sig: &Sig,
        _key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, _: &ValidatorProof<Chain>) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}
