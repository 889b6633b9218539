//! The engine's types made of the ledger's.

use std::fmt;

use arc_malachitebft_core_types::{
    self as bft, LinearTimeouts, NilOrVal, Round, SignedExtension, VoteType, VotingPower,
};
use bytes::Bytes;
use ledger::{Hash, Order, Signature};

/// The engine's context: one chain.
#[derive(Clone, Copy, Debug)]
pub struct Chain;

/// A height; 1 is that of the first block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

/// The account of a delegate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(pub ledger::Address);

/// What is voted on: the hash of a header. It is its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value(pub Hash);

/// A whole block in one part, signed by the proposer of the round: broadcast itself authenticates nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The height that the block is for.
    pub height: u64,
    /// The engine's round, from 0.
    pub round: u32,
    /// The proposer's, see [`crate::sign_part`].
    pub signature: Signature,
    /// Encoding of the block.
    pub block: Bytes,
}

/// "I propose this value in this round."
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The height.
    pub height: Height,
    /// The engine's round.
    pub round: Round,
    /// What is proposed.
    pub value: Value,
    /// The earlier round in which more than two thirds prevoted for it; nil if it is new.
    pub pol_round: Round,
    /// Whose turn the round is.
    pub proposer: Address,
}

/// A prevote or precommit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Which of the two.
    pub kind: VoteType,
    /// The height.
    pub height: Height,
    /// The engine's round.
    pub round: Round,
    /// For what; nil: for nothing.
    pub value: NilOrVal<Value>,
    /// Who votes.
    pub voter: Address,
}

/// A delegate with a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    address: Address,
    key: Key,
    power: VotingPower,
}

/// Those who vote on a height, in the ledger's order, and from what their turns follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    ledger: ledger::ValidatorSet,
    order: Order,
    members: Vec<Validator>,
}

/// A delegate's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub ledger::PublicKey);

/// A delegate's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sig(pub Signature);

/// Ed25519 by the ledger's rules: the engine accepts a vote exactly if a certificate with it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519;

impl ValidatorSet {
    /// The set of a height and the order of the round of delegates that the height is in.
    pub fn new(ledger: ledger::ValidatorSet, order: Order) -> Self {
        let member = |v: &ledger::Validator| Validator {
            address: Address(v.address()),
            key: Key(v.key),
            power: v.power,
        };
        let members = ledger.validators().iter().map(member).collect();
        ValidatorSet {
            ledger,
            order,
            members,
        }
    }

    /// The set as the ledger has it.
    pub fn ledger(&self) -> &ledger::ValidatorSet {
        &self.ledger
    }
}

impl bft::Context for Chain {
    type Address = Address;
    type Height = Height;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a ValidatorSet, height: Height, round: Round) -> &'a Validator {
        let chosen = ledger::proposer(&set.ledger, &set.order, height.0, round_number(round));
        let place = set.ledger.find(&chosen.address()).map_or(0, |(place, _)| place);
        &set.members[place]
    }

    fn new_proposal(
        &self,
        height: Height,
        round: Round,
        value: Value,
        pol_round: Round,
        proposer: Address,
    ) -> Proposal {
        Proposal {
            height,
            round,
            value,
            pol_round,
            proposer,
        }
    }

    fn new_prevote(&self, height: Height, round: Round, value: NilOrVal<Value>, voter: Address) -> Vote {
        Vote {
            kind: VoteType::Prevote,
            height,
            round,
            value,
            voter,
        }
    }

    fn new_precommit(&self, height: Height, round: Round, value: NilOrVal<Value>, voter: Address) -> Vote {
        Vote {
            kind: VoteType::Precommit,
            height,
            round,
            value,
            voter,
        }
    }
}

/// A round as the ledger counts it. "No round" appears only where none has begun.
pub fn round_number(round: Round) -> u32 {
    round.as_u32().unwrap_or(0)
}

impl bft::Height for Height {
    const ZERO: Self = Height(0);
    const INITIAL: Self = Height(1);

    fn increment_by(&self, n: u64) -> Self {
        Height(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Height)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl bft::Address for Address {}

impl bft::Value for Value {
    type Id = Value;

    fn id(&self) -> Value {
        *self
    }
}

impl bft::ProposalPart<Chain> for Part {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

impl bft::Proposal<Chain> for Proposal {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Address {
        &self.proposer
    }
}

/// Votes carry no extension.
impl bft::Vote<Chain> for Vote {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<Value> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<Value> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Address {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Chain>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Chain>> {
        None
    }

    fn extend(self, _: SignedExtension<Chain>) -> Self {
        self
    }
}

impl bft::Validator<Chain> for Validator {
    fn address(&self) -> &Address {
        &self.address
    }

    fn public_key(&self) -> &Key {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

impl bft::ValidatorSet<Chain> for ValidatorSet {
    fn count(&self) -> usize {
        self.members.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.ledger.power()
    }

    fn get_by_address(&self, address: &Address) -> Option<&Validator> {
        // The ledger would hash keys to find it, and the engine asks for each vote.
        let place = self
            .members
            .binary_search_by_key(address, |member| member.address);
        place.ok().map(|place| &self.members[place])
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.members.get(index)
    }
}

impl bft::SigningScheme for Ed25519 {
    type DecodingError = String;
    type Signature = Sig;
    type PublicKey = Key;
    /// The engine never holds a private key: it asks the signer.
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Sig, String> {
        let bytes = bytes
            .try_into()
            .map_err(|_| format!("a signature of {} bytes", bytes.len()))?;
        Ok(Sig(Signature::from_bytes(bytes)))
    }

    fn encode_signature(signature: &Sig) -> Vec<u8> {
        signature.0.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<Key, String> {
        let bytes = bytes
            .try_into()
            .map_err(|_| format!("a key of {} bytes", bytes.len()))?;
        ledger::PublicKey::from_bytes(bytes)
            .map(Key)
            .map_err(|e| e.to_string())
    }

    fn encode_public_key(key: &Key) -> Vec<u8> {
        key.0.as_bytes().to_vec()
    }
}

impl Ord for Sig {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl PartialOrd for Sig {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
