//! Proof of one delivery, for whoever has the genesis: the receipt, its place among the receipts of a claim, and a bundle
//! that proves the claim.

use serde::{Deserialize, Serialize};

use super::receipt::Receipt;
use super::tree::check_path;
use crate::bundle::{Bundle, MAX_BUNDLE_BYTES, verify};
use crate::codec::{decode, decode_within, encode};
use crate::error::Error;
use crate::hash::Hash;
use crate::keys::Address;
use crate::light::Trust;
use crate::state::{ClaimEntry, key};

const DOMAIN: &[u8] = b"ddn/delivery/1";

/// A receipt, and why it is to be believed that its payee claimed it on the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryProof {
    /// Proves the [`ClaimEntry`] under [`key::claim`].
    pub bundle: Bundle,
    /// The delivery.
    pub receipt: Receipt,
    /// Its number among the claim's receipts, from 0.
    pub index: u64,
    /// What [`super::receipt_path`] gave for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedDelivery {
    delivery: DeliveryProof,
    seal: Hash,
}

impl DeliveryProof {
    /// The sealed DAG-CBOR encoding; the seal is as a [`Bundle`]'s.
    pub fn encode(&self) -> Vec<u8> {
        encode(&SealedDelivery {
            delivery: self.clone(),
            seal: self.seal(),
        })
    }

    /// Decodes at most [`MAX_BUNDLE_BYTES`] and checks the seal. What the proof says is not verified yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let SealedDelivery { delivery, seal } = decode_within(bytes, MAX_BUNDLE_BYTES)
            .map_err(|e| bad(format!("it is damaged, or no proof of a delivery at all: {e}")))?;
        if seal != delivery.seal() {
            return Err(bad("it is damaged: its seal does not fit what it holds"));
        }
        Ok(delivery)
    }

    fn seal(&self) -> Hash {
        Hash::of(&[DOMAIN, encode(self).as_slice()].concat())
    }
}

/// What a verified proof of a delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedDelivery {
    /// The claim was in the state after the block of this height.
    pub height: u64,
    /// Which was made at this time, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
    /// The claim that the receipt is part of.
    pub claim: ClaimEntry,
    /// The delivery.
    pub receipt: Receipt,
    /// The account that claimed.
    pub payee: Address,
}

/// Verifies a proof of a delivery against nothing but what is trusted: a genesis, or a [`crate::Checkpoint`].
///
/// # Errors
/// Says which link of the chain from there to the receipt does not hold.
pub fn verify_delivery<'a>(
    proof: &DeliveryProof,
    trust: impl Into<Trust<'a>>,
) -> Result<VerifiedDelivery, Error> {
    let verified = verify(&proof.bundle, trust)?;
    let payee = proof.receipt.quote.body.payee;
    let claim = claim_of(&verified.key, verified.value.as_deref(), &payee)?;
    proof.receipt.check(&verified.chain)?;
    let id = proof.receipt.id();
    if !check_path(claim.root, claim.receipts, proof.index, id, &proof.path) {
        return Err(bad(format!(
            "its path does not lead from receipt {id}, as number {} of {}, to the claim's root",
            proof.index, claim.receipts
        )));
    }
    Ok(VerifiedDelivery {
        height: verified.height,
        time_ms: verified.time_ms,
        claim,
        receipt: proof.receipt.clone(),
        payee,
    })
}

/// The claim in a verified entry, if it is one of this payee.
fn claim_of(entry_key: &[u8], value: Option<&[u8]>, payee: &Address) -> Result<ClaimEntry, Error> {
    let value = value.ok_or_else(|| bad("its bundle proves that there is no such claim"))?;
    if !entry_key.starts_with(key::CLAIMS) {
        return Err(bad("its bundle is not about a claim"));
    }
    let claim: ClaimEntry = decode(value)?;
    if entry_key != key::claim(payee, &claim.root) {
        return Err(bad(
            "its bundle is about a claim of another payee than the receipt's",
        ));
    }
    Ok(claim)
}

fn bad(reason: impl Into<String>) -> Error {
    Error::Delivery {
        reason: reason.into(),
    }
}
