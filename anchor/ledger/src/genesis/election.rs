//! Who decides the blocks, for how long, and what for: the part of a genesis that is about delegates.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;

/// All of something, in basis points (hundredths of a percent).
pub(crate) const WHOLE: u16 = 10_000;

/// How delegates are elected and lose their seats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Election {
    /// Blocks in a round. Who is elected at the end of one sits in the round after the next.
    pub round: u64,
    /// What registering as a candidate costs besides the fee; it goes to the treasury.
    pub registration: Amount,
    /// What a candidate must have locked for itself.
    pub own_min: Amount,
    /// The votes of others count up to so many times what a candidate has locked for itself; 0: all of them.
    pub votes_per_own: u32,
    /// Who misses more turns than this in a round is jailed.
    pub missed_max: u32,
    /// So is who is absent from more than this part of a round's certificates, in basis points.
    pub absent_max: u16,
    /// For how many rounds.
    pub jail_rounds: u32,
    /// For how many blocks votes that were taken back stay locked.
    pub unbonding: u64,
    /// The oldest evidence that is taken, in blocks; less than `unbonding`, so that what it costs is still there.
    pub evidence_age: u64,
    /// What an equivocator loses of what it has locked for itself, in basis points.
    pub slash: u16,
}

/// What a block brings besides its fees, and who gets both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rewards {
    /// New coins for each block, by phase; nothing after the last phase that ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// Who gets the new coins.
    #[serde(default)]
    pub parts: Parts,
    /// Who gets the fees.
    #[serde(default)]
    pub fees: Parts,
    /// How many seats, those with the most votes, share [`Parts::leaders`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub leaders: u32,
}

/// Blocks that bring the same reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// The last height of the phase; absent: it never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// New coins for each block.
    pub reward: Amount,
}

/// The parts of what a block brings, in basis points of it; together all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Who made the block, at once.
    pub proposer: u16,
    /// The seats with the most votes, each the same, when the round is over.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub leaders: u16,
    /// All seats, each the same, when the round is over.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub seats: u16,
    /// Who has voted for those who sit, by what they have locked.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub voters: u16,
    /// Nobody: it is gone.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub burnt: u16,
}

impl Default for Parts {
    /// All to who made the block.
    fn default() -> Self {
        Self {
            proposer: WHOLE,
            leaders: 0,
            seats: 0,
            voters: 0,
            burnt: 0,
        }
    }
}

impl Parts {
    pub(crate) fn sum(&self) -> u32 {
        [self.proposer, self.leaders, self.seats, self.voters, self.burnt]
            .into_iter()
            .map(u32::from)
            .sum()
    }
}

impl Rewards {
    /// The new coins of a block.
    pub fn at(&self, height: u64) -> Amount {
        let phase = self
            .phases
            .iter()
            .find(|phase| phase.until.is_none_or(|until| height <= until));
        phase.map(|phase| phase.reward).unwrap_or_default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn is_nothing(points: &u16) -> bool {
    *points == 0
}
