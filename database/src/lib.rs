//! RocksDB, which any thread may close at any time, the end of the process included.
//!
//! RocksDB has locks in static variables of C++, which `exit` destroys while other threads go on. One that opens or
//! closes a database then takes a destroyed lock, and RocksDB aborts the process. So the end waits for those that are
//! doing so, and from then on none begins: what stays open is what a kill would leave, and loses nothing.

mod end;

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, Error, FlushOptions, Options};

/// An open database. Dropped, it is flushed and closed, unless writing has failed.
pub struct Database {
    /// `None` only while it is dropped.
    db: Option<DB>,
    folder: PathBuf,
    columns: Vec<String>,
    broken: OnceLock<Error>,
}

impl Database {
    /// Opens the database in `folder`, or creates it where `options` say so. While the process ends, it does not return.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn open(
        options: &Options,
        folder: &Path,
        columns: Vec<ColumnFamilyDescriptor>,
    ) -> Result<Self, Error> {
        end::watch();
        let Some(_opening) = end::begin() else {
            loop {
                std::thread::park();
            }
        };
        let names = columns.iter().map(|column| column.name().to_owned()).collect();
        Ok(Self {
            db: Some(DB::open_cf_descriptors(options, folder, columns)?),
            folder: folder.to_owned(),
            columns: names,
            broken: OnceLock::new(),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why writing failed, if it has: nobody knows then what is on the disk, until the folder is opened anew.
    pub fn broken(&self) -> Option<&Error> {
        self.broken.get()
    }

    /// Notes that writing has failed. The first reason stays.
    pub fn break_down(&self, reason: Error) {
        let _ = self.broken.set(reason);
    }

    /// Writes what is in memory to the tables: nothing depends on the log then.
    ///
    /// # Errors
    /// What RocksDB says.
    pub fn flush(&self) -> Result<(), Error> {
        let columns = self.columns.iter().filter_map(|name| self.cf_handle(name));
        self.flush_cfs_opt(&columns.collect::<Vec<&ColumnFamily>>(), &FlushOptions::default())
    }
}

impl Deref for Database {
    type Target = DB;

    fn deref(&self) -> &DB {
        self.db.as_ref().expect("it is taken by drop alone")
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some(_closing) = end::begin() else {
            return std::mem::forget(self.db.take());
        };
        if self.broken.get().is_none()
            && let Err(error) = self.flush()
        {
            tracing::warn!(folder = %self.folder.display(), %error, "cannot flush the database; its log is read at the next start");
        }
        self.db = None;
    }
}
