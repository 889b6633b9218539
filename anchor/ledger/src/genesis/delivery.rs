//! What deliveries are subject to: the bonds of edges, and what of each claim is not the payee's.

use serde::{Deserialize, Serialize};

use super::WHOLE;
use crate::amount::Amount;

/// What edges must answer for, and what of claims goes to all. The usual: no bonds, and claims are the payees'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    /// The least bond of an edge. It is locked for [`crate::Election::unbonding`] blocks after the edge has left, which is
    /// longer than proofs are taken.
    #[serde(default, skip_serializing_if = "Amount::is_zero")]
    pub bond_min: Amount,
    /// What of the bond of a convicted edge goes to who proved it, in basis points; the rest is burnt. So little that nobody
    /// convicts itself to have its bond at once.
    pub bounty: u16,
    /// For how many blocks an edge may still state deliveries of an asset that was withdrawn; absent: that is not punished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_grace: Option<u64>,
    /// What of each claim is burnt, in basis points. It makes traffic with oneself cost something.
    #[serde(default, skip_serializing_if = "super::election::is_nothing")]
    pub claim_burnt: u16,
    /// What of each claim all seats share when the round is over, in basis points.
    #[serde(default, skip_serializing_if = "super::election::is_nothing")]
    pub claim_seats: u16,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            bond_min: Amount::ZERO,
            bounty: Self::BOUNTY,
            withdrawn_grace: None,
            claim_burnt: 0,
            claim_seats: 0,
        }
    }
}

impl Delivery {
    /// The usual bounty: a tenth.
    const BOUNTY: u16 = WHOLE / 10;
    /// The most basis points that a bounty may be, and that go off claims together. With what splits may take, a claim is
    /// never less than nothing.
    pub const POINTS_MAX: u16 = WHOLE / 2;

    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// A part of an amount in basis points, rounded down.
pub(crate) fn part_of(amount: Amount, points: u16) -> Amount {
    let units = u128::from(amount.units()) * u128::from(points) / u128::from(WHOLE);
    Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
}
