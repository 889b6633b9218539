//! Evidence: two votes of one delegate that cannot both be honest.

use serde::{Deserialize, Serialize};

use super::{Refusal, Transition};
use crate::certificate::{VoteKind, vote_bytes};
use crate::hash::Hash;
use crate::keys::{PublicKey, Signature};
use crate::state::Standing;

/// Two votes of one delegate in one round of one height, for different values. Signed by its delegate key, whoever sends
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivocation {
    /// Who signed both.
    pub delegate: PublicKey,
    /// Which vote.
    pub kind: VoteKind,
    /// The height.
    pub height: u64,
    /// The engine's round.
    pub round: u32,
    /// The votes, the one with the smaller value first; no value comes before any.
    pub votes: [SignedVote; 2],
}

/// What was voted for, and the signature over [`vote_bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedVote {
    /// [`crate::Header::id`]; absent: for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Hash>,
    /// The delegate's.
    pub sig: Signature,
}

impl Equivocation {
    /// Whether both signatures hold on this chain, and the votes differ.
    pub fn convicts(&self, chain: &str) -> bool {
        let holds = |vote: &SignedVote| {
            let bytes = vote_bytes(self.kind, chain, self.height, self.round, vote.value);
            self.delegate.verify_bytes(&bytes, &vote.sig)
        };
        let [first, second] = &self.votes;
        first.value < second.value && holds(first) && holds(second)
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
