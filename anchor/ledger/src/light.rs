//! The light client: it follows the validators of a chain, and nothing else.
//!
//! It begins with what it trusts: a [`Genesis`], or a [`Checkpoint`], which is all that must be known of a chain at one
//! height to believe what comes after it. A genesis is the checkpoint of height 0. From there each [`LightBlock`], certified
//! by the validators that the checkpoint names, leads to the next checkpoint.
//!
//! Validators can be punished for what they sign only as long as their coins are locked. Once those who voted at the
//! checkpoint may have taken theirs back (the chain's unbonding time), nothing keeps them from signing another history. So what
//! is trusted must not be older than that; the age is for the caller to judge, who has a clock
//! ([`crate::Verified::is_trust_old`]).

use std::borrow::Cow;

use cid::Cid;
use serde::{Deserialize, Serialize};

use crate::block::Header;
use crate::certificate::Certificate;
use crate::codec::{Link, cid_of, decode_within, encode};
use crate::error::Error;
use crate::genesis::Genesis;
use crate::hash::Hash;
use crate::validators::{Validator, ValidatorSet};

/// What is believed before anything is proven.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// A chain's rules and first validators.
    Genesis(&'a Genesis),
    /// The validators of a later height.
    Checkpoint(&'a Checkpoint),
}

impl<'a> From<&'a Genesis> for Trust<'a> {
    fn from(genesis: &'a Genesis) -> Self {
        Self::Genesis(genesis)
    }
}

impl<'a> From<&'a Checkpoint> for Trust<'a> {
    fn from(checkpoint: &'a Checkpoint) -> Self {
        Self::Checkpoint(checkpoint)
    }
}

impl<'a> Trust<'a> {
    /// Where a light client begins.
    ///
    /// # Errors
    /// As [`Genesis::validators`].
    pub fn checkpoint(self) -> Result<Cow<'a, Checkpoint>, Error> {
        match self {
            Self::Genesis(genesis) => Checkpoint::of_genesis(genesis).map(Cow::Owned),
            Self::Checkpoint(checkpoint) => Ok(Cow::Borrowed(checkpoint)),
        }
    }
}

/// All that must be known of a chain at one height to verify what comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The chain's id.
    pub chain: String,
    /// The CID of its genesis.
    pub genesis: Link,
    /// The height; 0 for the genesis itself.
    pub height: u64,
    /// [`Header::id`] of that height; [`Genesis::id`] at height 0.
    pub header: Hash,
    /// When it was made, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
    /// For how long the coins of who votes stay locked, in milliseconds: as long as that the checkpoint is to be trusted.
    pub unbonding_ms: u64,
    /// Who votes on the next height.
    pub validators: ValidatorSet,
}

impl Checkpoint {
    /// The most bytes of an encoded checkpoint: the largest set fits.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// Of a header that was verified, and of the validators of the next height.
    ///
    /// # Errors
    /// If the header is of another chain, or names other validators.
    pub fn new(genesis: &Genesis, header: &Header, next: ValidatorSet) -> Result<Self, Error> {
        let start = Self {
            validators: next,
            ..Self::of_genesis(genesis)?
        };
        start.check_chain(header)?;
        start.moved_to(header, start.validators.clone())
    }

    /// Of height 0.
    ///
    /// # Errors
    /// As [`Genesis::validators`].
    pub fn of_genesis(genesis: &Genesis) -> Result<Self, Error> {
        let id = genesis.id();
        Ok(Self {
            chain: genesis.chain_id.clone(),
            genesis: Link(id.cid()),
            height: 0,
            header: id,
            time_ms: genesis.time_ms,
            unbonding_ms: genesis.unbonding_ms(),
            validators: genesis.validators()?,
        })
    }

    /// The checkpoint after a later block.
    ///
    /// # Errors
    /// What of the block does not hold, see [`Self::check`]; or the next validators are not those that its header names.
    pub fn follow(&self, block: &LightBlock) -> Result<Self, Error> {
        self.check(&block.header, &block.certificate)?;
        let next = block.next_of(&self.validators)?;
        self.moved_to(&block.header, next)
    }

    /// Checks that a header comes after this checkpoint, and that the checkpoint's validators have signed it.
    ///
    /// # Errors
    /// The first thing that does not hold: another chain or genesis, a height or time that is not later, another parent (of the
    /// next height), other validators, or a certificate that is of another header or not a valid one.
    pub fn check(&self, header: &Header, certificate: &Certificate) -> Result<(), Error> {
        self.check_chain(header)?;
        let bad = |reason: String| bad(header, reason);
        if header.height <= self.height || header.time_ms <= self.time_ms {
            return bad(format!(
                "it is not later than what is known of height {}",
                self.height
            ));
        }
        if header.height - 1 == self.height && header.parent.0 != self.header.cid() {
            return bad(format!(
                "its parent is {}, not {}",
                header.parent,
                self.header.cid()
            ));
        }
        self.check_signed(header, certificate)
    }

    /// Checks that a header is of this chain, and that these validators have signed it, whatever its height.
    pub(crate) fn check_signed(&self, header: &Header, certificate: &Certificate) -> Result<(), Error> {
        self.check_chain(header)?;
        let bad = |reason: String| bad(header, reason);
        if header.validators != self.validators.hash() {
            return bad(format!(
                "its validators do not follow from what is known of height {}",
                self.height
            ));
        }
        if certificate.height != header.height || certificate.header != header.id() {
            return bad("the certificate beside it is of another header".into());
        }
        certificate.verify(&self.chain, &self.validators)
    }

    fn check_chain(&self, header: &Header) -> Result<(), Error> {
        if header.chain != self.chain {
            let (found, chain) = (&header.chain, &self.chain);
            return bad(
                header,
                format!("it is of chain '{found}', what is trusted is of '{chain}'"),
            );
        }
        if header.genesis != self.genesis {
            let (found, genesis) = (&header.genesis, &self.genesis);
            return bad(
                header,
                format!("it is under genesis {found}, what is trusted is under {genesis}"),
            );
        }
        Ok(())
    }

    fn moved_to(&self, header: &Header, validators: ValidatorSet) -> Result<Self, Error> {
        if validators.hash() != header.next_validators {
            bad(
                header,
                "the validators after it are not those that it names".into(),
            )?;
        }
        Ok(Self {
            height: header.height,
            header: header.id(),
            time_ms: header.time_ms,
            validators,
            ..self.clone()
        })
    }

    /// The CID of the encoding: two people who compare it trust the same.
    pub fn cid(&self) -> Cid {
        cid_of(&self.encode())
    }

    /// The DAG-CBOR encoding.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Decodes at most [`Self::BYTES_MAX`], strictly. Whether it is to be trusted, no bytes can say.
    ///
    /// # Errors
    /// If the bytes are no checkpoint.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Ok(decode_within(bytes, Self::BYTES_MAX)?)
    }

    /// Reads a checkpoint file.
    ///
    /// # Errors
    /// If the text is no checkpoint in JSON.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let bad = |reason: String| Error::Checkpoint { reason };
        if json.len() > 4 * Self::BYTES_MAX {
            return Err(bad(format!(
                "{} bytes, at most {}",
                json.len(),
                4 * Self::BYTES_MAX
            )));
        }
        serde_json::from_slice(json).map_err(|e| bad(e.to_string()))
    }

    /// The checkpoint file: JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a checkpoint has a JSON form");
        json.push(b'\n');
        json
    }
}

/// A header, why it is final, and how the validators after it differ from its own: one step of a light client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LightBlock {
    /// The header.
    pub header: Header,
    /// Its certificate.
    pub certificate: Certificate,
    /// Who votes on it and not after it: places in its set, from 0, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<u16>,
    /// Who votes after it and not on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Validator>,
}

impl LightBlock {
    /// Of a header on which `set` has voted and after which `next` votes. Signatures beyond the quorum are left out.
    pub fn new(header: Header, certificate: Certificate, set: &ValidatorSet, next: &ValidatorSet) -> Self {
        let stays = |validator: &Validator| next.validators().contains(validator);
        let places = (0u16..).zip(set.validators());
        let joined = next.validators().iter();
        Self {
            header,
            certificate: certificate.trimmed(set),
            left: places
                .filter(|(_, validator)| !stays(validator))
                .map(|(place, _)| place)
                .collect(),
            joined: joined
                .filter(|validator| !set.validators().contains(validator))
                .cloned()
                .collect(),
        }
    }

    /// Whether others vote after it than on it.
    pub fn changes_set(&self) -> bool {
        !self.left.is_empty() || !self.joined.is_empty()
    }

    /// Who votes after it, if these vote on it.
    fn next_of(&self, set: &ValidatorSet) -> Result<ValidatorSet, Error> {
        if !self.changes_set() {
            return Ok(set.clone());
        }
        let is_known = self.left.iter().all(|place| usize::from(*place) < set.len());
        if !is_known || !self.left.is_sorted_by(|a, b| a < b) {
            bad(
                &self.header,
                "those who leave are not places of its set, in order".into(),
            )?;
        }
        let stay = (0u16..)
            .zip(set.validators())
            .filter(|(place, _)| self.left.binary_search(place).is_err())
            .map(|(_, validator)| validator);
        ValidatorSet::new(stay.chain(&self.joined).cloned().collect())
    }
}

fn bad(header: &Header, reason: String) -> Result<(), Error> {
    Err(Error::Header {
        height: header.height,
        reason,
    })
}
