//! Counts: what this node has served for the payers of metered allotments, in its own words alone.

use ledger::{Address, Amount, Hash, Owed};
use serde::{Deserialize, Serialize};

use super::{Books, Pair};
use crate::Error;
use crate::store::database::Column;

/// What was served for one payer, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// What it is worth, at the prices of its time.
    pub earned: Owed,
    /// Bytes.
    pub bytes: u64,
}

/// The count of one pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountRow {
    /// The escrow that pays.
    pub escrow: Hash,
    /// The account of this node that is paid.
    pub payee: Address,
    /// What was served.
    pub count: Count,
}

impl Count {
    /// With `bytes` more at a price per MiB, if all of it then comes to no more than `most`.
    pub fn add(self, bytes: u64, price: Amount, most: Amount) -> Option<Self> {
        let earned = self.earned.add(bytes, price);
        (earned.amount() <= most).then(|| Self {
            earned,
            bytes: self.bytes.saturating_add(bytes),
        })
    }
}

impl Books {
    /// The count of a pair.
    pub fn count(&self, escrow: &Hash, payee: &Address) -> Result<Count, Error> {
        let stored = self.row(Column::Counts, &Pair::new(escrow, payee).key())?;
        Ok(stored.unwrap_or_default())
    }

    /// Writes the count of a pair. Whoever counts it is alone in that.
    pub fn keep_count(&self, escrow: &Hash, payee: &Address, count: &Count) -> Result<(), Error> {
        self.put(Column::Counts, &Pair::new(escrow, payee).key(), count)
    }

    /// All counts, by escrow and payee.
    pub fn counts(&self) -> Result<Vec<CountRow>, Error> {
        self.rows(Column::Counts, |escrow, payee, count| CountRow {
            escrow,
            payee,
            count,
        })
    }
}
