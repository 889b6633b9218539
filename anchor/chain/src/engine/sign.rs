//! Signing and verifying for the engine. Every signature of a consensus message goes through the journal.

use std::sync::{Arc, Mutex};

use arc_malachitebft_app_channel::app::types::core::{
    NilOrVal, SignedMessage, ValidatorProof, VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{Error, Signer, VerificationResult, Verifier};
use async_trait::async_trait;
use ledger::{Hash, PublicKey, SecretKey, Signature, VoteKind};

use super::journal::{Journal, Place, Refused, Step};
use super::types::{Address, Chain, Key, Part, Proposal, Sig, Value, Vote, round_number};
use crate::Failure;
use crate::monitor::Monitor;

const PROPOSAL_DOMAIN: &str = "ddn/proposal/1";
const PART_DOMAIN: &str = "ddn/part/1";

/// Signs votes and proposals of one delegate.
#[derive(Clone)]
pub(crate) struct Delegate {
    key: SecretKey,
    chain: Arc<str>,
    journal: Arc<Mutex<Journal>>,
    monitor: Arc<Monitor>,
}

/// Verifies what others signed.
#[derive(Clone, Debug)]
pub(crate) struct Checker {
    chain: Arc<str>,
}

impl Delegate {
    pub(crate) fn new(key: SecretKey, chain: &str, journal: Journal, monitor: Arc<Monitor>) -> Delegate {
        Delegate {
            key,
            chain: chain.into(),
            journal: Arc::new(Mutex::new(journal)),
            monitor,
        }
    }

    /// Signs a block for its transport. What is decided hangs on votes, not on this, so the journal has no part in it.
    pub(crate) fn sign_part(&self, height: u64, round: u32, header: &Hash) -> Signature {
        self.key
            .sign(PART_DOMAIN, &self.chain, &part_message(height, round, header))
    }

    /// Signs if the journal allows. The disk is waited for away from the runtime's threads.
    async fn sign(&self, place: Place, bytes: Vec<u8>) -> Result<Sig, Error> {
        let delegate = self.clone();
        let signed = tokio::task::spawn_blocking(move || delegate.sign_blocking(place, &bytes)).await;
        match signed {
            Ok(Ok(signature)) => Ok(signature),
            Ok(Err(refused)) => Err(self.refuse(refused)),
            Err(stopped) => Err(Error::from_source(stopped)),
        }
    }

    fn sign_blocking(&self, place: Place, bytes: &[u8]) -> Result<Sig, Refused> {
        self.journal
            .lock()
            .expect("no panic while the journal is held")
            .allow(place, bytes)?;
        Ok(Sig(self.key.sign_bytes(bytes)))
    }

    /// The engine stops on this; the reason would be lost in it.
    fn refuse(&self, refused: Refused) -> Error {
        self.monitor.fail(Failure::Signer {
            reason: refused.to_string(),
        });
        Error::from_source(refused)
    }
}

impl Checker {
    pub(crate) fn new(chain: &str) -> Checker {
        Checker { chain: chain.into() }
    }

    /// Whether the proposer of the round signed this block for its transport.
    pub(crate) fn part(&self, part: &Part, header: &Hash, proposer: &PublicKey) -> bool {
        let message = part_message(part.height, part.round, header);
        proposer.verify(PART_DOMAIN, &self.chain, &message, &part.signature)
    }
}

/// The ledger's kind of a vote.
pub(crate) fn vote_kind(kind: VoteType) -> VoteKind {
    match kind {
        VoteType::Prevote => VoteKind::Prevote,
        VoteType::Precommit => VoteKind::Precommit,
    }
}

/// The bytes that a signature under a vote covers: the ledger's, so that certificates prove it to anybody.
fn vote_bytes(chain: &str, vote: &Vote) -> Vec<u8> {
    let kind = vote_kind(vote.kind);
    let value = match vote.value {
        NilOrVal::Nil => None,
        NilOrVal::Val(Value(hash)) => Some(hash),
    };
    ledger::vote_bytes(kind, chain, vote.height.0, round_number(vote.round), value)
}

/// Height (8), round (4), round of the earlier quorum or -1 (8), value (32).
fn proposal_bytes(chain: &str, proposal: &Proposal) -> Vec<u8> {
    let mut message = proposal.height.0.to_be_bytes().to_vec();
    message.extend(round_number(proposal.round).to_be_bytes());
    message.extend(proposal.pol_round.as_i64().to_be_bytes());
    message.extend(proposal.value.0.0);
    ledger::signed_bytes(PROPOSAL_DOMAIN, chain, &message)
}

/// Height (8), round (4), header hash (32): the header names the rest of the block.
fn part_message(height: u64, round: u32, header: &Hash) -> Vec<u8> {
    let mut message = height.to_be_bytes().to_vec();
    message.extend(round.to_be_bytes());
    message.extend(header.0);
    message
}

#[async_trait]
impl Signer<Chain> for Delegate {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Chain, Vote>, Error> {
        let step = match vote.kind {
            VoteType::Prevote => Step::Prevote,
            VoteType::Precommit => Step::Precommit,
        };
        let place = Place {
            height: vote.height.0,
            round: round_number(vote.round),
            step,
        };
        let signature = self.sign(place, vote_bytes(&self.chain, &vote)).await?;
        if step == Step::Precommit && vote.value.is_val() {
            self.monitor.signed(place.height);
        }
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Chain, Proposal>, Error> {
        let (height, round) = (proposal.height.0, round_number(proposal.round));
        let place = Place {
            height,
            round,
            step: Step::Proposal,
        };
        let signature = self.sign(place, proposal_bytes(&self.chain, &proposal)).await?;
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(
        &self,
        _scope: VoteExtensionScope<Chain>,
        _extension: (),
    ) -> Result<SignedMessage<Chain, ()>, Error> {
        Err(Error::from_source("this chain has no vote extensions"))
    }

    async fn sign_validator_proof(
        &self,
        _key: Vec<u8>,
        _peer: Vec<u8>,
    ) -> Result<ValidatorProof<Chain>, Error> {
        Err(Error::from_source(
            "peers are known from the genesis, not by proof",
        ))
    }
}

#[async_trait]
impl Verifier<Chain> for Checker {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        sig: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        let valid = key.0.verify_bytes(&vote_bytes(&self.chain, vote), &sig.0);
        Ok(VerificationResult::from_bool(valid))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        sig: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        let valid = key.0.verify_bytes(&proposal_bytes(&self.chain, proposal), &sig.0);
        Ok(VerificationResult::from_bool(valid))
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

/// Used where the engine wants the address of a key.
pub(crate) fn address(key: &PublicKey) -> Address {
    Address(key.address())
}
