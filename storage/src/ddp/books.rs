//! What a node remembers of deliveries: tabs of those who owe to it, purses of what it owes, counts of what it serves by
//! itself, receipts and claims, what it has sent this month and spent today.
//!
//! All of it is in the database of the block store. Writes of money survive the death of the process at once; that of
//! the machine since the last claim or stop in order.

mod claims;
mod counts;
mod receipts;
mod spent;
mod splits;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cid::Cid;
use ledger::{Address, Amount, CreditTerms, Hash, Link, Purse, Signed, Tab, Voucher, split_account};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use claims::Batch;
pub use counts::{Count, CountRow};
pub use receipts::ReceiptRow;
pub use spent::Purpose;
pub(crate) use spent::Spending;
pub use traffic::Traffic;

use crate::store::database::Column;
use crate::{Error, Store, verify};

/// The books of one node. Clones share them.
#[derive(Clone)]
pub(crate) struct Books(Arc<Shared>);

struct Shared {
    store: Store,
    /// Each held around a read-modify-write of its rows.
    tabs: Mutex<()>,
    purses: Mutex<()>,
    receipts: Mutex<()>,
}

/// Who pays whom, and for which asset, if its deliveries are split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub escrow: Hash,
    pub payee: Address,
    pub asset: Option<Cid>,
}

/// What one payer had from this node and promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TabRow {
    /// The escrow that pays.
    pub escrow: Hash,
    /// The account of this node that is paid.
    pub payee: Address,
    /// The asset whose split divides it.
    pub asset: Option<Cid>,
    /// What was delivered and promised.
    pub tab: Tab,
    /// The highest voucher: what a claim takes to the ledger.
    pub voucher: Option<Signed<Voucher>>,
}

/// What this node had from one payee and promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurseRow {
    /// The escrow that pays.
    pub escrow: Hash,
    /// Who is paid.
    pub payee: Address,
    /// The asset whose split divides it.
    pub asset: Option<Cid>,
    /// What was verified and promised.
    pub purse: Purse,
}

impl TabRow {
    /// Under which address the escrow keeps what it pays.
    pub fn account(&self) -> Address {
        Pair::new(&self.escrow, &self.payee)
            .with_asset(self.asset)
            .account()
    }
}

impl PurseRow {
    /// Under which address the escrow keeps what it pays.
    pub fn account(&self) -> Address {
        Pair::new(&self.escrow, &self.payee)
            .with_asset(self.asset)
            .account()
    }
}

/// A tab as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TabEntry {
    pub tab: Tab,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Signed<Voucher>>,
}

impl Books {
    pub fn new(store: Store) -> Books {
        Books(Arc::new(Shared {
            store,
            tabs: Mutex::default(),
            purses: Mutex::default(),
            receipts: Mutex::default(),
        }))
    }

    /// Makes everything durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.0.store.database().sync()
    }

    /// The tab of a pair; a new one if there is none.
    pub fn tab(&self, pair: &Pair, terms: &CreditTerms) -> Result<TabEntry, Error> {
        let stored = self.row(Column::Tabs, &pair.key())?;
        Ok(stored.unwrap_or_else(|| TabEntry {
            tab: Tab::new(terms),
            voucher: None,
        }))
    }

    /// Changes the tab of a pair, and writes it if it is another then.
    pub fn change_tab<T>(
        &self,
        pair: &Pair,
        terms: &CreditTerms,
        change: impl FnOnce(&mut TabEntry) -> T,
    ) -> Result<T, Error> {
        let _tabs = lock(&self.0.tabs);
        let before = self.tab(pair, terms)?;
        let mut entry = before.clone();
        let answer = change(&mut entry);
        if entry != before {
            let mut batch = self.0.store.database().batch();
            self.note_split(&mut batch, pair)?;
            batch.put(Column::Tabs, &pair.key(), &ledger::encode(&entry));
            batch.write()?;
        }
        Ok(answer)
    }

    /// All tabs, by escrow and payee.
    pub fn tabs(&self) -> Result<Vec<TabRow>, Error> {
        let splits = self.splits()?;
        self.rows(Column::Tabs, |escrow, account, TabEntry { tab, voucher }| {
            let (payee, asset) = splits.whose(account);
            TabRow {
                escrow,
                payee,
                asset,
                tab,
                voucher,
            }
        })
    }

    /// Keeps a block that came from the payee, and notes what is owed and spent for it: all or nothing.
    ///
    /// # Errors
    /// If the block is not what its CID says, or cannot be written.
    pub fn received(
        &self,
        pair: &Pair,
        cid: &Cid,
        bytes: &[u8],
        price: Amount,
        spending: &Spending<'_>,
    ) -> Result<(), Error> {
        verify(cid, bytes)?;
        let _purses = lock(&self.0.purses);
        let mut purse = self.purse(pair)?;
        purse.receive(bytes.len() as u64, price);
        let mut batch = self.0.store.database().batch();
        self.note_split(&mut batch, pair)?;
        batch.put(Column::Purses, &pair.key(), &ledger::encode(&purse));
        self.spend(&mut batch, spending, bytes.len() as u64, price)?;
        self.0.store.put_verified(cid, bytes, batch)
    }

    /// Notes what is owed and spent for bytes that are no block.
    pub fn used(&self, pair: &Pair, bytes: u64, price: Amount, spending: &Spending<'_>) -> Result<(), Error> {
        let _purses = lock(&self.0.purses);
        let mut purse = self.purse(pair)?;
        purse.receive(bytes, price);
        let mut batch = self.0.store.database().batch();
        batch.put(Column::Purses, &pair.key(), &ledger::encode(&purse));
        self.spend(&mut batch, spending, bytes, price)?;
        batch.write()
    }

    /// The next voucher, as [`Purse::voucher`]; the purse is written before it is given out.
    pub fn voucher(
        &self,
        pair: &Pair,
        statement: Option<Hash>,
        ahead: Amount,
    ) -> Result<Option<Voucher>, Error> {
        let Pair { escrow, payee, asset } = *pair;
        self.change_purse(pair, |purse| {
            purse.voucher(escrow, payee, asset.map(Link), statement, ahead)
        })
    }

    /// Learns of an own voucher whose signature was verified, as [`Purse::recall`].
    pub fn recall(&self, pair: &Pair, cumulative: Amount) -> Result<(), Error> {
        self.change_purse(pair, |purse| purse.recall(cumulative))
    }

    /// The purse of a pair; an empty one if there is none.
    pub fn purse(&self, pair: &Pair) -> Result<Purse, Error> {
        Ok(self.row(Column::Purses, &pair.key())?.unwrap_or_default())
    }

    /// All purses, by escrow and payee.
    pub fn purses(&self) -> Result<Vec<PurseRow>, Error> {
        let splits = self.splits()?;
        self.rows(Column::Purses, |escrow, account, purse| {
            let (payee, asset) = splits.whose(account);
            PurseRow {
                escrow,
                payee,
                asset,
                purse,
            }
        })
    }

    fn change_purse<T>(&self, pair: &Pair, change: impl FnOnce(&mut Purse) -> T) -> Result<T, Error> {
        let _purses = lock(&self.0.purses);
        let before = self.purse(pair)?;
        let mut purse = before.clone();
        let answer = change(&mut purse);
        if purse != before {
            let mut batch = self.0.store.database().batch();
            self.note_split(&mut batch, pair)?;
            batch.put(Column::Purses, &pair.key(), &ledger::encode(&purse));
            batch.write()?;
        }
        Ok(answer)
    }

    fn row<T: Serialize + DeserializeOwned>(&self, column: Column, key: &[u8]) -> Result<Option<T>, Error> {
        let value = self.0.store.database().get(column, key)?;
        value.map(|value| self.decode(column, &value)).transpose()
    }

    fn rows<T: Serialize + DeserializeOwned, R>(
        &self,
        column: Column,
        row: impl Fn(Hash, Address, T) -> R,
    ) -> Result<Vec<R>, Error> {
        let mut rows = Vec::new();
        self.0.store.database().each(column, b"", &mut |key, value| {
            let (escrow, account) =
                parties(key).ok_or_else(|| self.malformed(column, "a key of another length"))?;
            rows.push(row(escrow, account, self.decode(column, value)?));
            Ok(())
        })?;
        Ok(rows)
    }

    fn put<T: Serialize>(&self, column: Column, key: &[u8], value: &T) -> Result<(), Error> {
        let mut batch = self.0.store.database().batch();
        batch.put(column, key, &ledger::encode(value));
        batch.write()
    }

    fn decode<T: Serialize + DeserializeOwned>(&self, column: Column, value: &[u8]) -> Result<T, Error> {
        ledger::decode(value).map_err(|error| self.malformed(column, &error.to_string()))
    }

    fn malformed(&self, column: Column, reason: &str) -> Error {
        let reason = format!("the books hold a malformed row in {column:?}: {reason}");
        self.0.store.database().malformed(reason)
    }
}

impl Pair {
    pub fn new(escrow: &Hash, payee: &Address) -> Pair {
        Pair {
            escrow: *escrow,
            payee: *payee,
            asset: None,
        }
    }

    /// The same, for deliveries of an asset that are split.
    pub fn with_asset(self, asset: Option<Cid>) -> Pair {
        Pair { asset, ..self }
    }

    /// Under which address the escrow keeps what it pays.
    pub fn account(&self) -> Address {
        match &self.asset {
            Some(asset) => split_account(&self.payee, asset),
            None => self.payee,
        }
    }

    fn key(&self) -> Vec<u8> {
        [&self.escrow.0[..], self.account().as_bytes()].concat()
    }
}

/// The escrow and the account of a key.
fn parties(key: &[u8]) -> Option<(Hash, Address)> {
    let (escrow, account) = key.split_first_chunk()?;
    Some((Hash(*escrow), Address::from_bytes(account.try_into().ok()?)))
}

/// A panic elsewhere leaves nothing half-done behind these locks: each guards one write.
fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
