//! What names cost.

use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::name::Label;
use crate::state::{NameEntry, is_zero};

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
    /// Blocks after the grace in which whoever registers the name pays a premium that falls to nothing; 0 if there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub fall: u64,
    /// How many times the rent of a period the premium is at its start; 0 if there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub premium: u64,
}

impl Rent {
    /// The rent of a label for one period.
    pub fn of(&self, label: &Label) -> Amount {
        let place = label.chars().min(self.by_length.len()).saturating_sub(1);
        self.by_length.get(place).copied().unwrap_or_default()
    }

    /// What registering a label costs beyond the rent at a height, given its entry. A name that has just become free goes to
    /// whoever wants it most, not to whoever is the fastest: its premium falls from block to block.
    ///
    /// While the name is held, only an older commit takes it, and that pays the premium that the holder paid: else two
    /// accounts of one person would have the name at the start of the fall for the price at its end.
    ///
    /// So the price of a free name never rises until a claim to it is in a block, however late that is.
    pub fn premium(&self, label: &Label, entry: Option<&NameEntry>, height: u64) -> Amount {
        match entry {
            None => Amount::ZERO,
            Some(entry) if height < entry.free_at(self.grace) => entry.premium,
            Some(entry) => self.fallen(label, self.fall_end(entry).saturating_sub(height)),
        }
    }

    /// The first height at which an entry's name costs no premium, unless it is renewed.
    pub fn fall_end(&self, entry: &NameEntry) -> u64 {
        entry.free_at(self.grace).saturating_add(self.fall)
    }

    /// The premium with so many blocks of the fall left, rounded up.
    fn fallen(&self, label: &Label, left: u64) -> Amount {
        let start = u128::from(self.of(label).units()) * u128::from(self.premium);
        let units = start
            .saturating_mul(left.into())
            .div_ceil(self.fall.max(1).into());
        Amount::from_units(u64::try_from(units).unwrap_or(u64::MAX))
    }
}
