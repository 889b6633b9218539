//! What names cost.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::name::Label;

/// What names cost, by length. A term is a whole number of periods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rent {
    /// Blocks in a period.
    pub period: u64,
    /// Blocks after the end of the term in which only the owner may renew.
    pub grace: u64,
    /// How many periods from now a term may end at most.
    pub max_periods: u32,
    /// The price of a period for labels of 1, 2, 3, … characters; the last one holds for all longer labels.
    pub by_length: Vec<Amount>,
}

impl Rent {
    /// The rent of a label for one period.
    pub fn of(&self, label: &Label) -> Amount {
        let place = label.chars().min(self.by_length.len()).saturating_sub(1);
        self.by_length.get(place).copied().unwrap_or_default()
    }
}
