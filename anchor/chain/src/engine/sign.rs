//! Signing for the engine. Every signature of a consensus message goes through the journal.

use std::sync::{Arc, Mutex};

use arc_malachitebft_app_channel::app::types::core::{
    SignedMessage, ValidatorProof, VoteExtensionScope, VoteType,
};
use arc_malachitebft_signing::{Error, Signer};
use async_trait::async_trait;
use consensus::{Chain, Proposal, Sig, Vote, proposal_bytes, round_number, vote_bytes};
use ledger::{Hash, SecretKey, Signature};

use super::journal::{Journal, Place, Refused, Step};
use crate::Failure;
use crate::monitor::Monitor;

/// What stands for a signature that is withheld: it verifies nowhere, not in our own engine either, so the step passes as if
/// nothing had been signed in it.
const WITHHELD: [u8; 64] = [0; 64];

/// Signs votes and proposals of one delegate.
#[derive(Clone)]
pub(crate) struct Delegate {
    key: SecretKey,
    chain: Arc<str>,
    journal: Arc<Mutex<Journal>>,
    monitor: Arc<Monitor>,
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
        consensus::sign_part(&self.key, &self.chain, height, round, header)
    }

    /// Signs if the journal allows; nothing if something else was signed in this step. The disk is waited for away from the
    /// runtime's threads.
    async fn sign(&self, place: Place, bytes: Vec<u8>) -> Result<Option<Sig>, Error> {
        let delegate = self.clone();
        let signed = tokio::task::spawn_blocking(move || delegate.sign_blocking(place, &bytes)).await;
        match signed {
            Ok(Ok(signature)) => Ok(Some(signature)),
            Ok(Err(refused)) if refused.is_of_a_step() => {
                tracing::warn!("nothing is signed rather than two things: {refused}");
                Ok(None)
            }
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

fn withheld() -> Sig {
    Sig(Signature::from_bytes(WITHHELD))
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
        if signature.is_some() && step == Step::Precommit && vote.value.is_val() {
            self.monitor.signed(place.height);
        }
        Ok(SignedMessage::new(vote, signature.unwrap_or_else(withheld)))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Chain, Proposal>, Error> {
        let (height, round) = (proposal.height.0, round_number(proposal.round));
        let place = Place {
            height,
            round,
            step: Step::Proposal,
        };
        let signature = self.sign(place, proposal_bytes(&self.chain, &proposal)).await?;
        Ok(SignedMessage::new(proposal, signature.unwrap_or_else(withheld)))
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
