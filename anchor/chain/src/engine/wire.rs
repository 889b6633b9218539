//! The engine's wire and WAL format: fixed-width big-endian integers, lists and byte strings with their length.
//!
//! It is spoken between engines of one release and kept in the engine's WAL; nothing of the ledger is hashed or proven
//! in it. Whatever comes from a peer is bounded before it is allocated.

use arc_malachitebft_app_channel::app::consensus::LivenessMsg;
use arc_malachitebft_app_channel::app::streaming::StreamContent;
use arc_malachitebft_app_channel::app::types::codec::{Codec, HasEncodedLen};
use arc_malachitebft_app_channel::app::types::core::{
    CommitCertificate, CommitSignature, ExtendedCommitCertificate, NilOrVal, PolkaCertificate,
    PolkaSignature, Round, RoundCertificate, RoundCertificateType, RoundSignature, SignedMessage,
    ValidatorProof, Validity, VoteType,
};
use arc_malachitebft_app_channel::app::types::streaming::{StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::{PeerId, ProposedValue, SignedConsensusMsg};
use arc_malachitebft_sync::{RawDecidedValue, Request, Response, Status, ValueRequest, ValueResponse};
use bytes::Bytes;
use consensus::{Address, Chain, Height, Part, Proposal, Sig, Value, Vote};
use ledger::{Hash, Signature};

/// Bytes of one block at most: twice the largest body that a genesis may allow.
const BYTES_MAX: usize = 2 * ledger::MAX_BLOCK_BYTES as usize;
/// Signatures in a certificate: two for each possible validator (a round certificate may hold both votes).
const SIGNATURES_MAX: usize = 2 * ledger::MAX_VALIDATORS;
/// Blocks in one sync response.
const VALUES_MAX: usize = 64;

/// The codec of everything that the engine sends or keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The bytes end too early.
    #[error("the message ends in the middle")]
    Short,
    /// Bytes are left over.
    #[error("{0} bytes follow the message")]
    Long(usize),
    /// A tag has no meaning.
    #[error("{0} has no variant {1}")]
    Tag(&'static str, u8),
    /// A list or byte string is longer than any honest one.
    #[error("a length of {0}, at most {1} is allowed")]
    Bound(usize, usize),
    /// A peer id is malformed.
    #[error("a malformed peer id")]
    Peer,
}

/// A type with a place in the format.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut Input) -> Result<Self, WireError>;
}

/// What is left to decode.
pub(crate) struct Input(Bytes);

impl Input {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let bytes = self.slice(N)?;
        Ok(bytes[..].try_into().expect("a slice of that length"))
    }

    fn slice(&mut self, count: usize) -> Result<Bytes, WireError> {
        if self.0.len() < count {
            Err(WireError::Short)
        } else {
            Ok(self.0.split_to(count))
        }
    }

    fn length(&mut self, max: usize) -> Result<usize, WireError> {
        let length = u32::take(self)? as usize;
        if length > max {
            Err(WireError::Bound(length, max))
        } else {
            Ok(length)
        }
    }

    fn list<T: Field>(&mut self, max: usize) -> Result<Vec<T>, WireError> {
        let count = self.length(max)?;
        (0..count).map(|_| T::take(self)).collect()
    }
}

fn put_list<T: Field>(list: &[T], out: &mut Vec<u8>) {
    (list.len() as u32).put(out);
    list.iter().for_each(|item| item.put(out));
}

impl<T: Field> Codec<T> for Wire {
    type Error = WireError;

    fn decode(&self, bytes: Bytes) -> Result<T, WireError> {
        let mut input = Input(bytes);
        let value = T::take(&mut input)?;
        if input.0.is_empty() {
            Ok(value)
        } else {
            Err(WireError::Long(input.0.len()))
        }
    }

    fn encode(&self, value: &T) -> Result<Bytes, WireError> {
        let mut out = Vec::new();
        value.put(&mut out);
        Ok(out.into())
    }
}

impl HasEncodedLen<Response<Chain>> for Wire {
    fn encoded_len(&self, response: &Response<Chain>) -> Result<usize, WireError> {
        let Response::ValueResponse(response) = response;
        Ok(16 + response.values.iter().map(decided_len).sum::<usize>())
    }
}

/// An upper bound of the encoded length of a synced block: its bytes, and 84 for each signature.
fn decided_len(decided: &RawDecidedValue<Chain>) -> usize {
    64 + decided.value_bytes.len() + 84 * decided.certificate.commit_signatures.len()
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Field for $int {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }

            fn take(input: &mut Input) -> Result<Self, WireError> {
                Ok(<$int>::from_be_bytes(input.array()?))
            }
        }
    )*};
}

integers!(u8, u32, u64, i64);

/// A struct whose fields follow each other.
macro_rules! structs {
    ($($name:ty { $($field:ident),* })*) => {$(
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }

            fn take(input: &mut Input) -> Result<Self, WireError> {
                Ok(Self { $($field: Field::take(input)?),* })
            }
        }
    )*};
}

structs! {
    Part { height, round, signature, block }
    Proposal { height, round, value, pol_round, proposer }
    Vote { kind, height, round, value, voter }
    SignedMessage<Chain, Vote> { message, signature }
    SignedMessage<Chain, Proposal> { message, signature }
    CommitSignature<Chain> { address, signature }
    PolkaSignature<Chain> { address, signature }
    RoundSignature<Chain> { vote_type, value_id, address, signature }
    ProposedValue<Chain> { height, round, valid_round, proposer, value, validity }
    Status<Chain> { peer_id, tip_height, history_min_height }
    RawDecidedValue<Chain> { value_bytes, certificate }
}

/// A newtype that is written as what it holds.
macro_rules! newtypes {
    ($($name:ident),*) => {$(
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(input: &mut Input) -> Result<Self, WireError> {
                Ok($name(Field::take(input)?))
            }
        }
    )*};
}

newtypes!(Height, Value, Address, Sig);

/// An enum without content: one byte.
macro_rules! tags {
    ($($name:ident { $($tag:literal = $variant:ident),* })*) => {$(
        impl Field for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $($name::$variant => $tag),* });
            }

            fn take(input: &mut Input) -> Result<Self, WireError> {
                match u8::take(input)? {
                    $($tag => Ok($name::$variant),)*
                    other => Err(WireError::Tag(stringify!($name), other)),
                }
            }
        }
    )*};
}

tags! {
    VoteType { 1 = Prevote, 2 = Precommit }
    Validity { 0 = Invalid, 1 = Valid }
    RoundCertificateType { 1 = Skip, 2 = Precommit }
}

impl Field for Hash {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.0);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        Ok(Hash(input.array()?))
    }
}

impl Field for ledger::Address {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.as_bytes());
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        Ok(ledger::Address::from_bytes(input.array()?))
    }
}

impl Field for Signature {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.as_bytes());
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        Ok(Signature::from_bytes(input.array()?))
    }
}

impl Field for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let length = input.length(BYTES_MAX)?;
        input.slice(length)
    }
}

impl Field for PeerId {
    fn put(&self, out: &mut Vec<u8>) {
        Bytes::from(self.to_bytes()).put(out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        PeerId::from_bytes(&Bytes::take(input)?).map_err(|_| WireError::Peer)
    }
}

/// -1 where there is no round.
impl Field for Round {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_i64().put(out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        match i64::take(input)? {
            -1 => Ok(Round::Nil),
            round => u32::try_from(round)
                .map(Round::new)
                .map_err(|_| WireError::Tag("round", 0)),
        }
    }
}

impl Field for NilOrVal<Value> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            NilOrVal::Nil => out.push(0),
            NilOrVal::Val(value) => {
                out.push(1);
                value.put(out);
            }
        }
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        match u8::take(input)? {
            0 => Ok(NilOrVal::Nil),
            1 => Value::take(input).map(NilOrVal::Val),
            other => Err(WireError::Tag("value", other)),
        }
    }
}

impl Field for SignedConsensusMsg<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            SignedConsensusMsg::Vote(vote) => {
                out.push(1);
                vote.put(out);
            }
            SignedConsensusMsg::Proposal(proposal) => {
                out.push(2);
                proposal.put(out);
            }
        }
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        match u8::take(input)? {
            1 => Field::take(input).map(SignedConsensusMsg::Vote),
            2 => Field::take(input).map(SignedConsensusMsg::Proposal),
            other => Err(WireError::Tag("consensus message", other)),
        }
    }
}

impl Field for LivenessMsg<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            LivenessMsg::Vote(vote) => {
                out.push(1);
                vote.put(out);
            }
            LivenessMsg::PolkaCertificate(certificate) => {
                out.push(2);
                certificate.put(out);
            }
            LivenessMsg::SkipRoundCertificate(certificate) => {
                out.push(3);
                certificate.put(out);
            }
        }
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        match u8::take(input)? {
            1 => Field::take(input).map(LivenessMsg::Vote),
            2 => Field::take(input).map(LivenessMsg::PolkaCertificate),
            3 => Field::take(input).map(LivenessMsg::SkipRoundCertificate),
            other => Err(WireError::Tag("liveness message", other)),
        }
    }
}

impl Field for StreamMessage<Part> {
    fn put(&self, out: &mut Vec<u8>) {
        self.stream_id.to_bytes().put(out);
        self.sequence.put(out);
        match &self.content {
            StreamContent::Data(part) => {
                out.push(1);
                part.put(out);
            }
            StreamContent::Fin => out.push(2),
        }
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let (id, sequence) = (StreamId::new(Bytes::take(input)?), u64::take(input)?);
        let content = match u8::take(input)? {
            1 => StreamContent::Data(Part::take(input)?),
            2 => StreamContent::Fin,
            other => return Err(WireError::Tag("stream content", other)),
        };
        Ok(StreamMessage::new(id, sequence, content))
    }
}

impl Field for ValidatorProof<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        Bytes::copy_from_slice(&self.public_key).put(out);
        Bytes::copy_from_slice(&self.peer_id).put(out);
        self.signature.put(out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let (key, peer) = (Bytes::take(input)?, Bytes::take(input)?);
        Ok(ValidatorProof::new(
            key.to_vec(),
            peer.to_vec(),
            Sig::take(input)?,
        ))
    }
}

impl Field for PolkaCertificate<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        self.height.put(out);
        self.round.put(out);
        self.value_id.put(out);
        put_list(&self.polka_signatures, out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        Ok(PolkaCertificate {
            height: Field::take(input)?,
            round: Field::take(input)?,
            value_id: Field::take(input)?,
            polka_signatures: input.list(SIGNATURES_MAX)?,
        })
    }
}

impl Field for RoundCertificate<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        self.height.put(out);
        self.round.put(out);
        self.cert_type.put(out);
        put_list(&self.round_signatures, out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        Ok(RoundCertificate {
            height: Field::take(input)?,
            round: Field::take(input)?,
            cert_type: Field::take(input)?,
            round_signatures: input.list(SIGNATURES_MAX)?,
        })
    }
}

/// Without extensions, which the chain does not use.
impl Field for ExtendedCommitCertificate<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        let certificate = self.trim_vote_extensions();
        certificate.height.put(out);
        certificate.round.put(out);
        certificate.value_id.put(out);
        put_list(&certificate.commit_signatures, out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let certificate = CommitCertificate {
            height: Field::take(input)?,
            round: Field::take(input)?,
            value_id: Field::take(input)?,
            commit_signatures: input.list(SIGNATURES_MAX)?,
        };
        Ok(Self::from_commit_certificate_and_extensions(
            certificate,
            Default::default(),
        ))
    }
}

impl Field for Request<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        let Request::ValueRequest(request) = self;
        request.range.start().put(out);
        request.range.end().put(out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let (first, last) = (Height::take(input)?, Height::take(input)?);
        Ok(Request::ValueRequest(ValueRequest::new(first..=last)))
    }
}

impl Field for Response<Chain> {
    fn put(&self, out: &mut Vec<u8>) {
        let Response::ValueResponse(response) = self;
        response.start_height.put(out);
        put_list(&response.values, out);
    }

    fn take(input: &mut Input) -> Result<Self, WireError> {
        let start = Height::take(input)?;
        Ok(Response::ValueResponse(ValueResponse::new(
            start,
            input.list(VALUES_MAX)?,
        )))
    }
}

/// A part as it is kept.
pub(crate) fn encode(part: &Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.block.len() + 96);
    part.put(&mut out);
    out
}

/// The inverse of [`encode`].
pub(crate) fn decode(bytes: &[u8]) -> Result<Part, WireError> {
    Codec::<Part>::decode(&Wire, Bytes::copy_from_slice(bytes))
}
