//! RocksDB behind a few verbs, with errors that name what was read or written.
//!
//! After a write has failed nobody knows what is on the disk: the database then refuses every further call and says
//! why, until the folder is opened anew.

use std::path::Path;

use database::Database;
use rocksdb::{ColumnFamily, Direction, IteratorMode, WriteBatch, WriteOptions};

use super::columns;
use crate::Error;

/// An open chain folder.
#[derive(Debug)]
pub(crate) struct Db {
    rocks: Database,
}

/// Rows that a scan yields: key and value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

impl Db {
    /// Opens or creates the folder. RocksDB's lock keeps every other process out.
    pub(crate) fn open(dir: &Path) -> Result<Db, Error> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Folder {
            dir: dir.to_owned(),
            source,
        })?;
        let rocks = Database::open(&columns::options(), dir, columns::descriptors())
            .map_err(|source| open_error(dir, source))?;
        Ok(Db { rocks })
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        self.rocks.folder()
    }

    /// The table, for a batch.
    pub(crate) fn table(&self, name: &'static str) -> Result<&ColumnFamily, Error> {
        self.rocks
            .cf_handle(name)
            .ok_or_else(|| Error::damaged(name, "the table is missing"))
    }

    /// The value of a key.
    pub(crate) fn get(&self, table: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.usable()?;
        let handle = self.table(table)?;
        self.rocks
            .get_cf(handle, key)
            .map_err(|source| Error::Read { what: table, source })
    }

    /// The row with the greatest key that is not above `key`.
    pub(crate) fn at_or_before(&self, table: &'static str, key: &[u8]) -> Result<Option<Row>, Error> {
        self.usable()?;
        let mode = IteratorMode::From(key, Direction::Reverse);
        let row = self.rocks.iterator_cf(self.table(table)?, mode).next();
        row.transpose()
            .map_err(|source| Error::Read { what: table, source })
    }

    /// Rows in order of keys, from the first that is not below `from`. The caller says when to stop.
    pub(crate) fn rows_from(
        &self,
        table: &'static str,
        from: &[u8],
    ) -> Result<impl Iterator<Item = Result<Row, Error>> + use<'_>, Error> {
        self.usable()?;
        let rows = self
            .rocks
            .iterator_cf(self.table(table)?, IteratorMode::From(from, Direction::Forward));
        Ok(rows.map(move |row| row.map_err(|source| Error::Read { what: table, source })))
    }

    /// Writes all or nothing, and returns when the disk has it. A failure makes the database unusable.
    pub(crate) fn write(&self, what: &'static str, batch: WriteBatch) -> Result<(), Error> {
        self.usable()?;
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.rocks
            .write_opt(batch, &options)
            .map_err(|source| self.break_down(what, source))
    }

    /// Writes all or nothing, without waiting for the disk.
    pub(crate) fn write_later(&self, what: &'static str, batch: WriteBatch) -> Result<(), Error> {
        self.usable()?;
        self.rocks
            .write(batch)
            .map_err(|source| self.break_down(what, source))
    }

    /// Copies all tables as they are now into a new folder.
    pub(crate) fn checkpoint(&self, dir: &Path) -> Result<(), Error> {
        self.usable()?;
        let failed = |source| Error::Write {
            what: "a backup",
            source,
        };
        let checkpoint = rocksdb::checkpoint::Checkpoint::new(&self.rocks).map_err(failed)?;
        checkpoint.create_checkpoint(dir).map_err(failed)
    }

    fn usable(&self) -> Result<(), Error> {
        match self.rocks.broken() {
            Some(reason) => Err(Error::Broken {
                dir: self.dir().to_owned(),
                reason: format!("a write failed: {reason}"),
            }),
            None => Ok(()),
        }
    }

    fn break_down(&self, what: &'static str, source: rocksdb::Error) -> Error {
        self.rocks.break_down(source.clone());
        Error::Write { what, source }
    }
}

/// RocksDB tells a held lock only by its text.
fn open_error(dir: &Path, source: rocksdb::Error) -> Error {
    let text = source.to_string();
    if text.contains("While lock file") || text.contains("lock hold by current process") {
        return Error::InUse { dir: dir.to_owned() };
    }
    Error::Open {
        dir: dir.to_owned(),
        source,
    }
}
