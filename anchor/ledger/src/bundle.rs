//! Proof bundles: one entry of the state, provable offline to whoever has the genesis.
//!
//! A bundle holds the entry (or its absence), its path in the state's Jellyfish Merkle tree, a header with that root, the
//! header's certificate, and every change of the validator set between the genesis and that header. The key of the tree
//! is the sha2-256 of the entry's key.
//!
//! The encoding ends in a seal, a hash of the rest. It proves nothing, since anybody can compute it; it makes damage
//! visible also where another byte would be another true statement (the absence of a neighbouring key, say).

use std::fmt;

use jmt::proof::SparseMerkleProof;
use jmt::{KeyHash, RootHash};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use sha2::Sha256;

use crate::block::Header;
use crate::certificate::Certificate;
use crate::codec::{MAX_OBJECT_BYTES, decode_within, encode, text_or_bytes};
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::state::show_key;
use crate::validators::ValidatorSet;

/// The most bytes of an encoded bundle.
pub const MAX_BUNDLE_BYTES: usize = MAX_OBJECT_BYTES;
const DOMAIN: &[u8] = b"ddn/bundle/1";

/// A path in the state tree that proves an entry, or that there is none. Its own encoding (borsh) as a byte string.
#[derive(Clone, Debug, PartialEq)]
pub struct StateProof(pub SparseMerkleProof<Sha256>);

impl Serialize for StateProof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = borsh::to_vec(&self.0).map_err(serde::ser::Error::custom)?;
        text_or_bytes::serialize(&bytes, serializer)
    }
}

impl<'de> Deserialize<'de> for StateProof {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = text_or_bytes::deserialize(deserializer)?;
        borsh::from_slice(&bytes)
            .map(Self)
            .map_err(|e| serde::de::Error::custom(format!("not a path in the state tree: {e}")))
    }
}

/// One change of the validator set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetChange {
    /// A header whose next validators are not its own.
    pub header: Header,
    /// Its certificate, by the validators of before.
    pub certificate: Certificate,
    /// The next validators.
    pub next: ValidatorSet,
}

/// An entry of the state, or its absence, and why it is to be believed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The entry's key, see [`crate::key`].
    #[serde(with = "text_or_bytes")]
    pub key: Vec<u8>,
    /// Its value; absent if the bundle proves that there is no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ByteBuf>,
    /// The path to `header.state_root`.
    pub proof: StateProof,
    /// The header after whose block the state was so.
    pub header: Header,
    /// The header's certificate.
    pub certificate: Certificate,
    /// Every change of the validator set since the genesis, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_changes: Vec<SetChange>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedBundle {
    bundle: Bundle,
    seal: Hash,
}

impl Bundle {
    /// The sealed DAG-CBOR encoding.
    pub fn encode(&self) -> Vec<u8> {
        encode(&SealedBundle {
            bundle: self.clone(),
            seal: self.seal(),
        })
    }

    /// Decodes at most [`MAX_BUNDLE_BYTES`] and checks the seal. What the bundle says is not verified yet.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let SealedBundle { bundle, seal } = decode_within(bytes, MAX_BUNDLE_BYTES)
            .map_err(|e| bad(format!("it is damaged, or no bundle at all: {e}")))?;
        if seal != bundle.seal() {
            return Err(bad("it is damaged: its seal does not fit what it holds"));
        }
        Ok(bundle)
    }

    fn seal(&self) -> Hash {
        Hash::of(&[DOMAIN, encode(self).as_slice()].concat())
    }
}

/// What a verified bundle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The entry's key.
    pub key: Vec<u8>,
    /// Its value, `None` if there was none.
    pub value: Option<Vec<u8>>,
    /// After the block of this height.
    pub height: u64,
    /// Which was made at this time, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.value.is_some() { "is" } else { "is absent" };
        write!(
            f,
            "{} {is} in the state at height {}",
            show_key(&self.key),
            self.height
        )
    }
}

/// Verifies a bundle against nothing but a genesis.
///
/// # Errors
/// Says which link of the chain from the genesis to the entry does not hold.
pub fn verify(bundle: &Bundle, trust: &Genesis) -> Result<Verified, Error> {
    let set = current_set(bundle, trust)?;
    check_header(&bundle.header, &bundle.certificate, &set, trust)?;
    check_state(bundle)?;
    Ok(Verified {
        key: bundle.key.clone(),
        value: bundle.value.clone().map(ByteBuf::into_vec),
        height: bundle.header.height,
        time_ms: bundle.header.time_ms,
    })
}

/// Follows the changes of the validator set from the genesis to the bundle's header.
fn current_set(bundle: &Bundle, trust: &Genesis) -> Result<ValidatorSet, Error> {
    let mut set = trust.validators()?;
    let mut height = 0;
    for SetChange {
        header,
        certificate,
        next,
    } in &bundle.set_changes
    {
        if header.height <= height {
            return Err(bad(format!(
                "the set change at height {} is out of order",
                header.height
            )));
        }
        height = header.height;
        check_header(header, certificate, &set, trust)?;
        if next.hash() != header.next_validators {
            return Err(bad(format!(
                "the set after height {height} is not the one that its header names"
            )));
        }
        if *next == set {
            return Err(bad(format!("the set change at height {height} changes nothing")));
        }
        set = next.clone();
    }
    if bundle.header.height <= height {
        return Err(bad("its header is not after the last set change"));
    }
    Ok(set)
}

fn check_header(
    header: &Header,
    certificate: &Certificate,
    set: &ValidatorSet,
    trust: &Genesis,
) -> Result<(), Error> {
    let height = header.height;
    if header.chain != trust.chain_id {
        return Err(bad(format!(
            "it is of chain '{}', the genesis is of '{}'",
            header.chain, trust.chain_id
        )));
    }
    if header.genesis.0 != trust.cid() {
        return Err(bad(format!(
            "it is under genesis {}, the one given is {}",
            header.genesis,
            trust.cid()
        )));
    }
    if header.validators != set.hash() {
        return Err(bad(format!(
            "the validators of height {height} do not follow from the genesis"
        )));
    }
    if certificate.height != height || certificate.header != header.id() {
        return Err(bad(format!(
            "the certificate beside the header of height {height} is of another header"
        )));
    }
    certificate.verify(&trust.chain_id, set)
}

fn check_state(bundle: &Bundle) -> Result<(), Error> {
    let root = RootHash(bundle.header.state_root.0);
    let key = KeyHash(Hash::of(&bundle.key).0);
    bundle
        .proof
        .0
        .verify(root, key, bundle.value.as_ref())
        .map_err(|e| {
            bad(format!(
                "its path does not lead from the entry to the state root: {e}"
            ))
        })
}

fn bad(reason: impl Into<String>) -> Error {
    Error::Bundle {
        reason: reason.into(),
    }
}
