//! Signatures: each is verified once, and all nodes share the verdict.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use arc_malachitebft_core_types::{ValidatorProof, VoteExtensionScope};
use arc_malachitebft_signing::{Error, VerificationResult, Verifier};
use async_trait::async_trait;
use consensus::{Chain, Checker, Key, Part, Proposal, Sig, Vote};
use ledger::{Action, Certificate, Genesis, Hash, PublicKey, SecretKey, Tx, TxBody};

/// What was asked of a signature.
#[derive(PartialEq)]
enum Asked {
    Vote(Vote, Key),
    Proposal(Proposal, Key),
    Part(u64, u32, Hash, PublicKey),
}

/// The checker of the chain, with a memory.
pub struct Notary {
    checker: Checker,
    chain: String,
    known: Mutex<HashMap<[u8; 64], (Asked, bool)>>,
    certificates: Mutex<HashMap<Hash, bool>>,
}

impl Notary {
    pub fn new(chain: &str) -> Self {
        Self {
            checker: Checker::new(chain),
            chain: chain.to_owned(),
            known: Mutex::default(),
            certificates: Mutex::default(),
        }
    }

    pub fn vote(&self, vote: &Vote, sig: &Sig, key: &Key) -> bool {
        let asked = Asked::Vote(*vote, *key);
        self.once(*sig.0.as_bytes(), asked, || self.checker.vote(vote, sig, key))
    }

    pub fn proposal(&self, proposal: &Proposal, sig: &Sig, key: &Key) -> bool {
        let asked = Asked::Proposal(*proposal, *key);
        self.once(*sig.0.as_bytes(), asked, || {
            self.checker.proposal(proposal, sig, key)
        })
    }

    pub fn part(&self, part: &Part, header: &Hash, proposer: &PublicKey) -> bool {
        let asked = Asked::Part(part.height, part.round, *header, *proposer);
        self.once(*part.signature.as_bytes(), asked, || {
            self.checker.part(part, header, proposer)
        })
    }

    /// The ledger's own verdict on a certificate.
    pub fn certificate(&self, found: &Certificate, set: &ledger::ValidatorSet) -> bool {
        let id = Hash::of(&[ledger::encode(found), set.hash().0.to_vec()].concat());
        let mut known = self.certificates.lock().expect("one thread");
        *known
            .entry(id)
            .or_insert_with(|| found.verify(&self.chain, set).is_ok())
    }

    fn once(&self, sig: [u8; 64], asked: Asked, verify: impl FnOnce() -> bool) -> bool {
        let mut known = self.known.lock().expect("one thread");
        match known.get(&sig) {
            Some((same, verdict)) if *same == asked => *verdict,
            _ => {
                let verdict = verify();
                known.insert(sig, (asked, verdict));
                verdict
            }
        }
    }

    /// Forgets the verdicts on what is over.
    pub fn forget(&self) {
        self.known.lock().expect("one thread").clear();
        self.certificates.lock().expect("one thread").clear();
    }

    /// A transaction that costs the least fee.
    pub fn tx(&self, genesis: &Genesis, key: &SecretKey, nonce: u64, action: Action) -> Tx {
        let body = TxBody {
            chain: self.chain.clone(),
            nonce,
            fee: genesis.fee_of(action.kind()),
            action,
        };
        Tx::sign(body, key)
    }
}

/// What a future that waits for nothing comes to.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

#[async_trait]
impl Verifier<Chain> for Notary {
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
        scope: &VoteExtensionScope<Chain>,
        extension: &(),
        sig: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        self.checker
            .verify_signed_vote_extension(scope, extension, sig, key)
            .await
    }

    async fn verify_validator_proof(
        &self,
        proof: &ValidatorProof<Chain>,
    ) -> Result<VerificationResult, Error> {
        self.checker.verify_validator_proof(proof).await
    }
}
