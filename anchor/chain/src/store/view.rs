//! The state as it was at one height: what reads, scans and transaction checks work on.

use std::sync::Arc;

use cid::Cid;
use jmt::KeyHash;
use ledger::{Account, Address, Asset, Entry, Label, NameEntry, State, StateError};
use sha2::Sha256;

use super::columns::STATE;
use super::db::{Db, Row};
use super::tree::{self, Tree};
use crate::{Error, Tip};

/// The state at the tip of the moment in which it was made: later blocks do not change what it answers.
///
/// Meant for short use. A view that is more than 1000 blocks old may miss values that have been pruned.
#[derive(Clone, Debug)]
pub struct View {
    version: Version,
    tip: Tip,
}

/// The state after the block of a height.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(super) db: Arc<Db>,
    pub(super) height: u64,
}

impl View {
    pub(crate) fn new(db: Arc<Db>, tip: Tip) -> View {
        View {
            version: Version {
                db,
                height: tip.height,
            },
            tip,
        }
    }

    /// The block after which this state holds.
    pub fn tip(&self) -> &Tip {
        &self.tip
    }

    /// The value of a key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.version.value(key)
    }

    /// All keys that begin with `prefix`, in order, with their values.
    ///
    /// # Errors
    /// If the store cannot be read; an item is an error if that happens on the way.
    pub fn scan(&self, prefix: &[u8]) -> Result<impl Iterator<Item = Result<Entry, Error>> + use<'_>, Error> {
        let wanted = prefix.to_vec();
        let rows = self.version.db.rows_from(STATE, prefix)?;
        let within =
            rows.take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&wanted)));
        Ok(within.filter_map(|row| self.version.entry(row).transpose()))
    }

    /// The account of an address; empty if it was never used.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn account(&self, address: &Address) -> Result<Account, Error> {
        State::account(self, address).map_err(read_error)
    }

    /// The entry of a name, also an expired one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn name(&self, label: &Label) -> Result<Option<NameEntry>, Error> {
        State::name(self, label).map_err(read_error)
    }

    /// The asset of a root CID, also a withdrawn one.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn asset(&self, cid: &Cid) -> Result<Option<Asset>, Error> {
        State::asset(self, cid).map_err(read_error)
    }
}

impl Version {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.db.get(STATE, key)? {
            Some(row) => self.as_of(key, &row),
            None => Ok(None),
        }
    }

    fn entry(&self, row: Result<Row, Error>) -> Result<Option<Entry>, Error> {
        let (key, row) = row?;
        Ok(self.as_of(&key, &row)?.map(|value| (key.into_vec(), value)))
    }

    /// What a row of the newest state says at this height: rows written since are looked up by version.
    fn as_of(&self, key: &[u8], row: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let (written, value) = row
            .split_first_chunk::<8>()
            .ok_or_else(|| Error::damaged(STATE, "a row without a version"))?;
        if u64::from_be_bytes(*written) <= self.height {
            return tree::decode_value(value);
        }
        let found = Tree(&self.db).value_at(KeyHash::with::<Sha256>(key), self.height)?;
        Ok(found.and_then(|(_, value)| value))
    }
}

impl State for View {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.version.get(key)
    }
}

impl State for Version {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.value(key).map_err(|e| StateError(e.to_string()))
    }
}

fn read_error(error: StateError) -> Error {
    Error::Ledger {
        operation: "read the state",
        reason: error.0,
    }
}
