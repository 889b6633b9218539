//! The block store: one folder, one RocksDB, blocks by multihash.
//!
//! * A block is keyed by its multihash, so CIDv0, CIDv1 and any codec of the same bytes share it. The values of large
//!   blocks live in blob files; the `index` column family holds length and [`epoch`](epochs) of each block, so that
//!   neither existence nor garbage needs a value to be read.
//! * An import in flight has a durable mark (see [`session`]). [`Store::open`] sweeps what a killed import left.
//! * After a failed write nothing more is written until the store is opened again: [`Error::Unusable`].

pub(crate) mod database;
mod epochs;
mod gc;
mod metrics;
pub(crate) mod pins;
pub(crate) mod session;
pub(crate) mod verify;

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cid::Cid;

use crate::block::{BlockSource, Blocks, SharedBlocks, inline};
use crate::{Error, Import, Imported, Progress, car, import, verify};
use database::{Batch, Column, Database};
use epochs::{Epoch, Epochs};
pub use metrics::Metrics;
use session::Session;

/// A folder of blocks. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

/// How much a gc or a verification has looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blocks looked at.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a garbage collection removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blocks removed.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much is in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Blocks held.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pinned roots.
    pub pins: u64,
    /// Bytes that the folder takes on disk, logs and garbage not yet compacted included.
    pub disk_bytes: u64,
}

impl Store {
    /// Opens the store in `folder`, creates it if there is none, and sweeps what an interrupted import left there.
    ///
    /// Fails with [`Error::InUse`] while another process has it open.
    pub fn open(folder: &Path) -> Result<Store, Error> {
        let database = Database::open(folder)?;
        let epochs = Epochs::load(&database)?;
        let store = Store(Arc::new(Shared {
            database,
            epochs: Mutex::new(epochs),
            stripes: Default::default(),
            collecting: Mutex::new(()),
            pinning: Mutex::new(()),
            metrics: Metrics::default(),
        }));
        store.sweep_failed()?;
        Ok(store)
    }

    /// The bytes of a block; `None` when it is not here.
    pub fn get(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = inline(cid) {
            return Ok(Some(bytes));
        }
        let value = self.0.database.get_block(cid)?;
        self.0.metrics.read(value.as_ref().map(Vec::len));
        Ok(value.map(Bytes::from))
    }

    /// Whether a block is here; does not read it.
    pub fn has(&self, cid: &Cid) -> Result<bool, Error> {
        Ok(inline(cid).is_some() || self.0.database.entry(&key(cid))?.is_some())
    }

    /// Keeps a block after checking it against its CID. Unless something pins it, the next gc may remove it.
    pub fn put(&self, cid: &Cid, bytes: &[u8]) -> Result<(), Error> {
        verify(cid, bytes)?;
        self.0.keep(cid, bytes).map(drop)
    }

    /// Keeps a block that was checked, as [`Store::put`], and whatever else is in `batch`, all of it or nothing.
    pub(crate) fn put_verified(&self, cid: &Cid, bytes: &[u8], batch: Batch<'_>) -> Result<(), Error> {
        self.0.keep_with(cid, bytes, batch)
    }

    /// Where everything is kept.
    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// Imports a tar stream whose entries are all at or below one top entry: a file, a folder or a symlink.
    ///
    /// Hidden files below the top entry are left out unless asked for. The result is pinned and on disk. A failed import leaves
    /// nothing: not a pin, and no block that was not there before.
    pub fn import_tar(
        &self,
        mut stream: impl Read,
        import: impl Into<Import>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, Error> {
        let how = import.into();
        self.import(|session| import::tar::import(session, &mut stream, how, progress))
    }

    /// Imports a local file, folder or symlink, as [`Store::import_tar`] does; a symlink is not followed
    /// unless asked for.
    pub fn import_path(
        &self,
        path: &Path,
        import: impl Into<Import>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Imported, Error> {
        let how = import.into();
        self.import(|session| import::import_path(session, path, how, progress))
    }

    /// Imports a CARv1 stream and pins its roots, all of whose blocks must be in it or here already.
    pub fn import_car(
        &self,
        stream: impl Read,
        progress: &mut dyn FnMut(Checked),
    ) -> Result<Vec<Cid>, Error> {
        let session = Session::begin(self)?;
        let roots = self.read_car(&session, stream, progress).and_then(|roots| {
            session.keep_below(&roots)?;
            Ok(roots)
        });
        let roots = session.close(roots, |roots| roots.clone())?.0;
        Ok(roots)
    }

    /// Takes the blocks of a CARv1 stream without a pin: they need not be whole trees, and the next collection of garbage
    /// removes what no pin keeps.
    pub fn add_car(&self, stream: impl Read, progress: &mut dyn FnMut(Checked)) -> Result<Vec<Cid>, Error> {
        let session = Session::begin(self)?;
        let roots = self.read_car(&session, stream, progress);
        Ok(session.close(roots, |_| Vec::new())?.0)
    }

    /// Counts what is here. Reads the index, so takes about a second per million blocks.
    pub fn stat(&self) -> Result<Stat, Error> {
        let mut stat = Stat {
            disk_bytes: self.0.database.disk_bytes(),
            ..Stat::default()
        };
        self.0.database.each_entry(&mut |_, entry| {
            stat.blocks += 1;
            stat.bytes += u64::from(entry.bytes);
            Ok(())
        })?;
        self.0.database.each(Column::Pins, b"", &mut |_, _| {
            stat.pins += 1;
            Ok(())
        })?;
        Ok(stat)
    }

    /// What this store counts; register it where the node's metrics are.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    fn import(&self, work: impl FnOnce(&Session) -> Result<Imported, Error>) -> Result<Imported, Error> {
        let session = Session::begin(self)?;
        let imported = work(&session);
        let (mut imported, new_bytes) = session.close(imported, |imported| vec![imported.root])?;
        imported.new_bytes = new_bytes;
        Ok(imported)
    }

    fn read_car(
        &self,
        session: &Session,
        stream: impl Read,
        progress: &mut dyn FnMut(Checked),
    ) -> Result<Vec<Cid>, Error> {
        let mut reader = car::Reader::new(stream)?;
        let mut checked = Checked::default();
        for block in reader.by_ref() {
            let (cid, bytes) = block?;
            session.keep(&cid, &bytes)?;
            checked.blocks += 1;
            checked.bytes += bytes.len() as u64;
            progress(checked);
        }
        Ok(reader.roots().to_vec())
    }
}

impl Blocks for Store {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        self.get(cid)
    }
}

impl BlockSource for Store {
    fn below(&self, _root: &Cid) -> SharedBlocks {
        self.here()
    }

    fn here(&self) -> SharedBlocks {
        Arc::new(self.clone())
    }

    fn removed(&self) -> u64 {
        self.0.metrics.blocks_freed.get()
    }
}

struct Shared {
    database: Database,
    epochs: Mutex<Epochs>,
    /// Held around each read-modify-write of an index entry, by key.
    stripes: [Mutex<()>; STRIPES],
    /// Held by the one gc or verification that runs.
    collecting: Mutex<()>,
    /// Held around each read-modify-write of a pin.
    pinning: Mutex<()>,
    metrics: Metrics,
}

impl Shared {
    /// Keeps a verified block and stamps it with the current epoch. Returns whether it is new here.
    fn keep(&self, cid: &Cid, bytes: &[u8]) -> Result<bool, Error> {
        if inline(cid).is_some() {
            return Ok(false);
        }
        let key = key(cid);
        let _stripe = lock(self.stripe(&key));
        let touched = self.epoch();
        match self.database.entry(&key)? {
            Some(entry) if entry.touched >= touched => Ok(false),
            Some(entry) => self
                .database
                .put_entry(&key, &database::BlockEntry { touched, ..entry })
                .map(|()| false),
            None => {
                self.database.put_block(&key, bytes, touched)?;
                self.metrics.wrote(bytes.len());
                Ok(true)
            }
        }
    }

    /// As [`Shared::keep`], and whatever else is in `batch`, all of it or nothing.
    fn keep_with(&self, cid: &Cid, bytes: &[u8], mut batch: Batch<'_>) -> Result<(), Error> {
        let key = key(cid);
        let _stripe = lock(self.stripe(&key));
        let is_new = inline(cid).is_none() && self.database.entry(&key)?.is_none();
        if is_new {
            batch.put_block(&key, bytes, self.epoch());
        }
        batch.write()?;
        if is_new {
            self.metrics.wrote(bytes.len());
        }
        Ok(())
    }

    /// Stamps a block that is here with the current epoch; false when it is not.
    fn touch(&self, cid: &Cid) -> Result<bool, Error> {
        let key = key(cid);
        let _stripe = lock(self.stripe(&key));
        let touched = self.epoch();
        let Some(entry) = self.database.entry(&key)? else {
            return Ok(false);
        };
        if entry.touched < touched {
            self.database
                .put_entry(&key, &database::BlockEntry { touched, ..entry })?;
        }
        Ok(true)
    }

    fn epoch(&self) -> Epoch {
        lock(&self.epochs).current()
    }

    fn stripe(&self, key: &[u8]) -> &Mutex<()> {
        &self.stripes[usize::from(key.last().copied().unwrap_or_default()) % STRIPES]
    }
}

/// The key of a block: its multihash.
fn key(cid: &Cid) -> Vec<u8> {
    cid.hash().to_bytes()
}

/// A panic elsewhere leaves nothing half-done behind these locks: each guards one write.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enough that writers of different blocks seldom meet.
const STRIPES: usize = 32;
