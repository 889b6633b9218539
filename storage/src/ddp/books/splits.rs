//! Whose the accounts are under which escrows keep what they pay for assets: their addresses do not say.

use std::collections::HashMap;

use cid::Cid;
use ledger::{Address, Link};

use super::{Books, Pair};
use crate::Error;
use crate::store::database::{Batch, Column};

/// Payee and asset of each such account.
pub(super) struct Splits(HashMap<Address, (Address, Cid)>);

impl Splits {
    /// Who is paid through an account, and for which asset.
    pub fn whose(&self, account: Address) -> (Address, Option<Cid>) {
        match self.0.get(&account) {
            Some((payee, asset)) => (*payee, Some(*asset)),
            None => (account, None),
        }
    }
}

impl Books {
    /// Notes whose account a pair has, with the first that is written of it.
    pub(super) fn note_split(&self, batch: &mut Batch<'_>, pair: &Pair) -> Result<(), Error> {
        let Some(asset) = pair.asset else {
            return Ok(());
        };
        let key = [KEYS, pair.account().as_bytes()].concat();
        if self.0.store.database().get(Column::Meta, &key)?.is_none() {
            batch.put(Column::Meta, &key, &ledger::encode(&(pair.payee, Link(asset))));
        }
        Ok(())
    }

    pub(super) fn splits(&self) -> Result<Splits, Error> {
        let mut splits = HashMap::new();
        self.0
            .store
            .database()
            .each(Column::Meta, KEYS, &mut |key, value| {
                let account = key.get(KEYS.len()..).and_then(|account| account.try_into().ok());
                let account =
                    account.ok_or_else(|| self.malformed(Column::Meta, "an account of another length"))?;
                let (payee, Link(asset)) = self.decode(Column::Meta, value)?;
                splits.insert(Address::from_bytes(account), (payee, asset));
                Ok(())
            })?;
        Ok(Splits(splits))
    }
}

const KEYS: &[u8] = b"split/";
