//! Evidence: two votes, or two proposals, of one delegate that cannot both be honest.

use serde::{Deserialize, Serialize};

use super::{Refusal, Transition};
use crate::certificate::{VoteKind, proposal_bytes, vote_bytes};
use crate::hash::Hash;
use crate::keys::{PublicKey, Signature};
use crate::state::Standing;

/// What a delegate signs once in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Which block it proposes, if it is its turn.
    Proposal,
    /// [`VoteKind::Prevote`]
    Prevote,
    /// [`VoteKind::Precommit`]
    Precommit,
}

impl From<VoteKind> for Step {
    fn from(kind: VoteKind) -> Self {
        match kind {
            VoteKind::Prevote => Self::Prevote,
            VoteKind::Precommit => Self::Precommit,
        }
    }
}

/// Two votes or proposals of one delegate in one round of one height, for different values. Signed by its delegate key,
/// whoever sends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// Who signed both.
    pub delegate: PublicKey,
    /// What was signed twice.
    pub kind: Step,
    /// The height.
    pub height: u64,
    /// The engine's round.
    pub round: u32,
    /// Both, the one with the smaller value first; no value comes before any.
    pub votes: [SignedVote; 2],
}

/// What was voted for, and the signature over [`vote_bytes`]; or proposed, and the one over [`proposal_bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// [`crate::Header::id`]; absent: for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Hash>,
    /// Of a proposal: the round of an earlier quorum for the value, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// The delegate's.
    pub sig: Signature,
}

impl Equivocation {
    /// Whether both signatures hold on this chain, and the votes differ.
    pub fn convicts(&self, chain: &str) -> bool {
        let holds = |vote: &SignedVote| {
            let bytes = self.signed_bytes(chain, vote);
            bytes.is_some_and(|bytes| self.delegate.verify_bytes(&bytes, &vote.sig))
        };
        let [first, second] = &self.votes;
        first.value < second.value && holds(first) && holds(second)
    }
}

impl Equivocation {
    /// What a signature covers; none if there is no such vote or proposal.
    fn signed_bytes(&self, chain: &str, vote: &SignedVote) -> Option<Vec<u8>> {
        let of_vote = |kind| {
            let bytes = || vote_bytes(kind, chain, self.height, self.round, vote.value);
            vote.quorum.is_none().then(bytes)
        };
        match self.kind {
            Step::Prevote => of_vote(VoteKind::Prevote),
            Step::Precommit => of_vote(VoteKind::Precommit),
            Step::Proposal => {
                let value = vote.value.as_ref()?;
                Some(proposal_bytes(chain, self.height, self.round, vote.quorum, value))
            }
        }
    }
}

impl Transition<'_> {
    pub(super) fn evidence(&mut self, found: &Equivocation) -> Result<(), Refusal> {
        let address = found.delegate.address();
        let delegate = self.known_delegate(&address)?;
        let name = self.show(&address);
        if delegate.standing == Standing::Tombstoned {
            return Err(Refusal::DelegateTombstoned { delegate: name });
        }
        self.check_age(found.height)?;
        if !found.convicts(&self.genesis.chain_id) {
            return Err(Refusal::EvidenceProvesNothing { delegate: name });
        }
        self.tombstone_delegate(&address)
    }
}
