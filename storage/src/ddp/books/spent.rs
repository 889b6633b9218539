//! What deliveries have cost this node on a day (UTC): in all, of one payee, of one name.

use ledger::{Address, Amount, Owed};
use serde::{Deserialize, Serialize};

use super::Books;
use crate::Error;
use crate::store::database::{Batch, Column};

/// For what something is spent: one delivery is counted for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All deliveries.
    All,
    /// Those of one payee.
    Payee(Address),
    /// Those of what is read under one name.
    Name(String),
}

/// For what is spent now.
#[derive(Clone, Copy)]
pub(crate) struct Spending<'a> {
    pub purposes: &'a [Purpose],
    pub now_ms: u64,
}

impl Purpose {
    fn key(&self) -> Vec<u8> {
        let of: [&[u8]; 2] = match self {
            Purpose::All => [b"all", b""],
            Purpose::Payee(payee) => [b"payee/", payee.as_bytes()],
            Purpose::Name(name) => [b"name/", name.as_bytes()],
        };
        [KEYS, of[0], of[1]].concat()
    }
}

/// A sum, and the day on which it was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spent {
    /// Days since 1970-01-01 (UTC).
    day: u64,
    owed: Owed,
}

impl Spent {
    /// With so many bytes more now; what was spent on an earlier day counts no more. A clock that goes back begins no day.
    pub fn with(self, bytes: u64, price: Amount, now_ms: u64) -> Spent {
        let today = now_ms / DAY_MS;
        let (day, owed) = match today > self.day {
            true => (today, Owed::ZERO),
            false => (self.day, self.owed),
        };
        Spent {
            day,
            owed: owed.add(bytes, price),
        }
    }

    /// What of it was spent today.
    pub fn today(self, now_ms: u64) -> Amount {
        match now_ms / DAY_MS > self.day {
            true => Amount::ZERO,
            false => self.owed.amount(),
        }
    }
}

impl Books {
    /// What was spent today.
    pub fn spent(&self, purpose: &Purpose, now_ms: u64) -> Result<Amount, Error> {
        Ok(self.stored_spent(purpose)?.today(now_ms))
    }

    /// Adds what is spent to what is written with a block. The caller holds the purses.
    pub(super) fn spend(
        &self,
        batch: &mut Batch<'_>,
        spending: &Spending<'_>,
        bytes: u64,
        price: Amount,
    ) -> Result<(), Error> {
        for purpose in spending.purposes {
            let spent = self.stored_spent(purpose)?.with(bytes, price, spending.now_ms);
            batch.put(Column::Meta, &purpose.key(), &ledger::encode(&spent));
        }
        Ok(())
    }

    /// Forgets what was spent on earlier days.
    pub fn forget_spent(&self, now_ms: u64) -> Result<(), Error> {
        let mut batch = self.0.store.database().batch();
        self.0
            .store
            .database()
            .each(Column::Meta, KEYS, &mut |key, value| {
                let spent: Spent = self.decode(Column::Meta, value)?;
                if now_ms / DAY_MS > spent.day {
                    batch.delete(Column::Meta, key);
                }
                Ok(())
            })?;
        batch.write()
    }

    fn stored_spent(&self, purpose: &Purpose) -> Result<Spent, Error> {
        Ok(self.row(Column::Meta, &purpose.key())?.unwrap_or_default())
    }
}

const KEYS: &[u8] = b"spent/";
const DAY_MS: u64 = 24 * 3600 * 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const PRICE: Amount = Amount::from_units(100);

    #[test]
    fn a_day_is_counted_by_itself() {
        let noon = 20_000 * DAY_MS + DAY_MS / 2;
        let spent = Spent::default()
            .with(MIB, PRICE, noon)
            .with(MIB / 2, PRICE, noon + 1);
        assert_eq!(spent.today(noon).units(), 150);
        assert_eq!(spent.today(noon + DAY_MS / 2), Amount::ZERO, "midnight");
        let tomorrow = spent.with(MIB, PRICE, noon + DAY_MS);
        assert_eq!(tomorrow.today(noon + DAY_MS).units(), 100);
        assert_eq!(
            tomorrow.with(MIB, PRICE, noon).today(noon).units(),
            200,
            "the clock went back"
        );
    }
}
