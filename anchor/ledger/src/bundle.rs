//! Proof bundles: one entry of the state, provable offline to whoever has the genesis or a checkpoint.
//!
//! A bundle holds the entry (or its absence), its path in the state's Jellyfish Merkle tree, a header with that root, the
//! header's certificate, and every change of the validator set between what is trusted and that header ([`LightBlock`]). The
//! key of the tree is the sha2-256 of the entry's key.
//!
//! With an entry of another chain ([`Foreign`]) the bundle proves that one, through a header of it that is anchored here.
//!
//! The encoding ends in a seal, a hash of the rest. It proves nothing, since anybody can compute it; it makes damage
//! visible also where another byte would be another true statement (the absence of a neighbouring key, say).

use std::borrow::Cow;
use std::fmt;

use jmt::proof::SparseMerkleProof;
use jmt::{KeyHash, RootHash};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use sha2::Sha256;

use crate::block::Header;
use crate::certificate::Certificate;
use crate::codec::{MAX_OBJECT_BYTES, decode, decode_within, encode, text_or_bytes};
use crate::error::Error;
use crate::hash::Hash;
use crate::light::{Checkpoint, LightBlock, Trust};
use crate::state::{Anchored, key, show_key};

/// The most bytes of an encoded bundle. With 101 seats of which a tenth changes each round it reaches over 1,500 rounds, more
/// than there are in the time for which coins stay locked (1,198): whoever trusts what is older needs a checkpoint anyway.
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
    /// Every change of the validator set since the genesis, oldest first; for whoever has a checkpoint, since that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_changes: Vec<LightBlock>,
    /// What is proved of another chain, if the entry is a header of it that this chain has anchored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign: Option<Box<Foreign>>,
}

/// An entry of another chain's state, or its absence. Whoever does not follow that chain believes it through one that does:
/// the bundle's own entry is the [`Anchored`] header, whose state root the path leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// The entry's key.
    #[serde(with = "text_or_bytes")]
    pub key: Vec<u8>,
    /// Its value; absent if there is no such entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ByteBuf>,
    /// The path to [`Anchored::state_root`].
    pub proof: StateProof,
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

    /// Without the set changes that a checkpoint of this height covers.
    #[must_use]
    pub fn since(mut self, height: u64) -> Self {
        self.set_changes.retain(|change| change.header.height > height);
        self
    }

    /// The checkpoint of the bundle's header, for the next bundles.
    ///
    /// # Errors
    /// If the bundle does not hold, or its header changes the validators: then it does not say who votes next.
    pub fn checkpoint<'a>(&self, trust: impl Into<Trust<'a>>) -> Result<Checkpoint, Error> {
        let start = trust.into().checkpoint()?;
        check_state(self)?;
        let last = followed(self, &start)?;
        last.follow(&LightBlock {
            header: self.header.clone(),
            certificate: self.certificate.clone(),
            left: vec![],
            joined: vec![],
        })
    }

    fn seal(&self) -> Hash {
        Hash::of(&[DOMAIN, encode(self).as_slice()].concat())
    }
}

/// What a verified bundle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The id of the chain whose state it is.
    pub chain: String,
    /// The entry's key.
    pub key: Vec<u8>,
    /// Its value, `None` if there was none.
    pub value: Option<Vec<u8>>,
    /// After the block of this height.
    pub height: u64,
    /// Which was made at this time, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
    /// The chain through which that is known, if it is not the one that is trusted.
    pub through: Option<Through>,
    /// The time of what was trusted, in milliseconds since 1970.
    pub trusted_ms: u64,
    /// For how long the coins of those who voted then stay locked, in milliseconds.
    pub unbonding_ms: u64,
}

/// How something is known of a chain that the verifier does not follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The chain that it does follow.
    pub chain: String,
    /// Its height after which the other chain's header was there.
    pub height: u64,
    /// The time of that, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
    /// What it says about the other chain and its header. Who registered that chain said its genesis and TLD.
    pub anchored: Anchored,
}

impl Verified {
    /// Whether what was trusted is older at a time (milliseconds since 1970) than coins stay locked. Then those who voted at
    /// that height may have taken theirs back, and could sign another history without losing anything: warn, and tell how
    /// to get a newer checkpoint.
    pub fn is_trust_old(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.trusted_ms) > self.unbonding_ms
    }
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = if self.value.is_some() { "is" } else { "is absent" };
        let (key, height) = (show_key(&self.key), self.height);
        match &self.through {
            None => write!(f, "{key} {is} in the state at height {height}"),
            Some(through) => write!(
                f,
                "{key} {is} in the state of {} at height {height}, which {} has anchored at height {}",
                self.chain, through.chain, through.anchored.at
            ),
        }
    }
}

/// Verifies a bundle against nothing but what is trusted: a genesis, or a [`crate::Checkpoint`]. What it says is of that chain:
/// an entry of another one is refused, since who registered that chain here may have made it for this purpose.
///
/// # Errors
/// Says which link of the chain from there to the entry does not hold; if the bundle is about another chain.
pub fn verify<'a>(bundle: &Bundle, trust: impl Into<Trust<'a>>) -> Result<Verified, Error> {
    match bundle.foreign {
        None => verify_through(bundle, trust),
        Some(_) => Err(bad("it is about another chain than the one that is trusted")),
    }
}

/// As [`verify`], also of an entry of a chain that the trusted one has anchored. The caller looks at [`Verified::through`]: the
/// same key may be another thing there.
///
/// # Errors
/// Says which link of the chain from there to the entry does not hold.
pub fn verify_through<'a>(bundle: &Bundle, trust: impl Into<Trust<'a>>) -> Result<Verified, Error> {
    let start = trust.into().checkpoint()?;
    let last = followed(bundle, &start)?;
    last.check(&bundle.header, &bundle.certificate)?;
    check_state(bundle)?;
    let own = Verified {
        chain: start.chain.clone(),
        key: bundle.key.clone(),
        value: bundle.value.clone().map(ByteBuf::into_vec),
        height: bundle.header.height,
        time_ms: bundle.header.time_ms,
        through: None,
        trusted_ms: start.time_ms,
        unbonding_ms: start.unbonding_ms,
    };
    match &bundle.foreign {
        None => Ok(own),
        Some(foreign) => abroad(own, foreign),
    }
}

/// What the verified entry, a header of another chain, proves of that chain.
fn abroad(own: Verified, foreign: &Foreign) -> Result<Verified, Error> {
    let anchored = anchored_in(&own)?;
    let Foreign { key, value, proof } = foreign;
    check_path(proof, key, value.as_ref(), &anchored.state_root)?;
    Ok(Verified {
        chain: anchored.chain.clone(),
        key: key.clone(),
        value: value.clone().map(ByteBuf::into_vec),
        height: anchored.height,
        time_ms: anchored.time_ms,
        trusted_ms: own.trusted_ms,
        unbonding_ms: own.unbonding_ms,
        through: Some(Through {
            chain: own.chain,
            height: own.height,
            time_ms: own.time_ms,
            anchored,
        }),
    })
}

/// The header of another chain in a verified entry.
fn anchored_in(own: &Verified) -> Result<Anchored, Error> {
    if !own.key.starts_with(key::ANCHORED) {
        return Err(bad("what it proves of another chain hangs on no anchored header"));
    }
    let value = own.value.as_ref();
    let value = value.ok_or_else(|| bad("the header of the other chain is not anchored"))?;
    let anchored: Anchored = decode(value)?;
    if own.key != key::anchored(&anchored.chain, anchored.height) {
        return Err(bad(
            "the anchored header is of another chain or height than its key",
        ));
    }
    Ok(anchored)
}

/// The checkpoint after the last change of the validators. What a checkpoint covers is passed over.
fn followed<'a>(bundle: &Bundle, start: &'a Checkpoint) -> Result<Cow<'a, Checkpoint>, Error> {
    let mut last = Cow::Borrowed(start);
    for change in &bundle.set_changes {
        let height = change.header.height;
        if height <= start.height {
            continue;
        }
        if !change.changes_set() {
            return Err(bad(format!("the set change at height {height} changes nothing")));
        }
        last = Cow::Owned(last.follow(change)?);
    }
    Ok(last)
}

fn check_state(bundle: &Bundle) -> Result<(), Error> {
    let root = &bundle.header.state_root;
    check_path(&bundle.proof, &bundle.key, bundle.value.as_ref(), root)
}

fn check_path(proof: &StateProof, key: &[u8], value: Option<&ByteBuf>, root: &Hash) -> Result<(), Error> {
    let key = KeyHash(Hash::of(key).0);
    let verdict = proof.0.verify(RootHash(root.0), key, value);
    verdict.map_err(|e| {
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
