//! An import in flight: what it puts is safe from garbage collection, and goes away if it fails.
//!
//! Beginning leaves a durable mark; blocks are then written without waiting for the disk. Ending syncs once, then
//! pins and clears the mark in one durable write. If the process dies between, the next [`Store::open`] finds the mark
//! and sweeps.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use cid::Cid;

use super::database::Column;
use super::epochs::{Epoch, mark};
use super::{Store, lock, pins};
use crate::block::{Blocks, inline};
use crate::dag::{Sink, has_links};
use crate::{Error, Walk, verify};

/// An import in flight. Dropped without [`Session::close`], it has failed.
pub(crate) struct Session {
    store: Store,
    began: Epoch,
    new_bytes: AtomicU64,
    wrote: AtomicBool,
    closed: bool,
}

impl Session {
    pub fn begin(store: &Store) -> Result<Session, Error> {
        let began = lock(&store.0.epochs).begin(&store.0.database)?;
        Ok(Session {
            store: store.clone(),
            began,
            new_bytes: AtomicU64::new(0),
            wrote: AtomicBool::new(false),
            closed: false,
        })
    }

    /// Keeps a block that came from outside.
    pub fn keep(&self, cid: &Cid, bytes: &[u8]) -> Result<(), Error> {
        verify(cid, bytes)?;
        self.put(cid, bytes)
    }

    /// Sees that everything below `roots` is here, and keeps it.
    pub fn keep_below(&self, roots: &[Cid]) -> Result<(), Error> {
        for block in Walk::new(Links(&self.store), roots) {
            let (cid, _) = block?;
            if !self.store.0.touch(&cid)? {
                return Err(Error::Missing(cid));
            }
        }
        Ok(())
    }

    /// Ends the import: pins the roots of a result that is good, sweeps after one that is not. Returns the result and
    /// the bytes of the blocks that were new.
    pub fn close<T>(
        self,
        result: Result<T, Error>,
        roots: impl FnOnce(&T) -> Vec<Cid>,
    ) -> Result<(T, u64), Error> {
        let value = result?;
        let pins = roots(&value)
            .into_iter()
            .map(|cid| (cid, None))
            .collect::<Vec<_>>();
        let new_bytes = self.pin(&pins)?;
        Ok((value, new_bytes))
    }

    /// Ends the import durably with these pins. Without a label, one that is there stays.
    pub fn pin(mut self, roots: &[(Cid, Option<&str>)]) -> Result<u64, Error> {
        let database = &self.store.0.database;
        database.sync()?;
        let pinning = lock(&self.store.0.pinning);
        let mut batch = database.batch();
        for (root, label) in roots {
            pins::put(database, &mut batch, root, *label)?;
        }
        batch.delete(Column::Meta, &mark(self.began));
        batch.write_durably()?;
        drop(pinning);
        self.closed = true;
        lock(&self.store.0.epochs).end(self.began);
        self.store.sweep_failed_or_warn();
        Ok(self.new_bytes.load(Ordering::Relaxed))
    }

    /// Ends an import that put nothing.
    fn withdraw(&self) -> Result<(), Error> {
        let mut batch = self.store.0.database.batch();
        batch.delete(Column::Meta, &mark(self.began));
        batch.write()?;
        lock(&self.store.0.epochs).end(self.began);
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.closed || (!self.wrote.load(Ordering::Relaxed) && self.withdraw().is_ok()) {
            return;
        }
        lock(&self.store.0.epochs).fail(self.began);
        self.store.sweep_failed_or_warn();
    }
}

/// Blocks that are read for their links alone: one that can have none is not read. Whether it is here is not said.
struct Links<'a>(&'a Store);

impl Blocks for Links<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        match has_links(cid) {
            true => self.0.get(cid),
            false => Ok(Some(Bytes::new())),
        }
    }
}

impl Sink for Session {
    fn put(&self, cid: &Cid, block: &[u8]) -> Result<(), Error> {
        if inline(cid).is_none() && self.store.0.keep(cid, block)? {
            self.wrote.store(true, Ordering::Relaxed);
            self.new_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Blocks for Session {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        self.store.get(cid)
    }
}
