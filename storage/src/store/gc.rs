//! Garbage collection: mark what the pins reach, remove the rest, while readers and imports go on.
//!
//! Marks live in the index, so memory does not grow with the store. A block is removed under the lock of its key, after
//! a second look, so that an import that puts it again at the same time keeps it.

use cid::Cid;
use tracing::{info, warn};

use super::database::BlockEntry;
use super::epochs::{Epoch, Reach};
use super::{Checked, Freed, Store, key, lock};
use crate::block::inline;
use crate::dag::links;
use crate::{Error, codec};

/// As what a block is read on the way down; its links depend on it. Bits in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Leaf = 1,
    DagPb = 2,
    DagCbor = 4,
    DagJson = 8,
}

/// What is wrong below a pin.
pub(super) struct Hole {
    pub root: Cid,
    pub error: Error,
}

impl Store {
    /// Removes every block that no pin keeps and no import in flight needs, and gives the disk its space back.
    pub fn gc(&self, progress: &mut dyn FnMut(Checked)) -> Result<Freed, Error> {
        let freed = self.collect_all(progress);
        self.sweep_failed_or_warn();
        let freed = freed?;
        if freed.blocks > 0 {
            self.0.database.compact()?;
        }
        Ok(freed)
    }

    /// Removes what failed imports left, unless imports in flight may share it. When a collection is running already,
    /// this is left to whoever runs it.
    pub(super) fn sweep_failed(&self) -> Result<(), Error> {
        while lock(&self.0.epochs).can_collect_failed() {
            let Ok(_collecting) = self.0.collecting.try_lock() else {
                return Ok(());
            };
            let reach = lock(&self.0.epochs).collect_failed(&self.0.database)?;
            let Some(reach) = reach else { continue };
            let Freed { blocks, bytes } = self.collect(reach, &mut |_| {})?;
            info!(blocks, bytes, "removed what an interrupted import left");
        }
        Ok(())
    }

    /// As [`Store::sweep_failed`]; what cannot be swept now is swept when the store is opened again.
    pub(super) fn sweep_failed_or_warn(&self) {
        if let Err(error) = self.sweep_failed() {
            warn!(%error, "cannot remove what a failed import left; the next start will");
        }
    }

    /// Marks everything below the pins with `epoch`. `hole` hears what is not there or cannot be read.
    pub(super) fn mark(&self, epoch: Epoch, hole: &mut dyn FnMut(Hole)) -> Result<(), Error> {
        for pin in self.pins()? {
            let mut pending = vec![pin.cid];
            while let Some(cid) = pending.pop() {
                match self.mark_block(&cid, epoch) {
                    Ok(below) => pending.extend(below),
                    Err(error) if is_hole(&error) => hole(Hole { root: pin.cid, error }),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Marks one block. Returns its links, or nothing if it was marked before.
    fn mark_block(&self, cid: &Cid, epoch: Epoch) -> Result<Vec<Cid>, Error> {
        if let Some(bytes) = inline(cid) {
            return links(cid, &bytes);
        }
        let reading = Reading::of(cid);
        if !self.mark_entry(cid, epoch, reading)? || reading == Reading::Leaf {
            return Ok(Vec::new());
        }
        let block = self.0.database.get_block(cid)?.ok_or(Error::Missing(*cid))?;
        links(cid, &block.into())
    }

    /// Returns whether the mark is new.
    fn mark_entry(&self, cid: &Cid, epoch: Epoch, reading: Reading) -> Result<bool, Error> {
        let key = key(cid);
        let _stripe = lock(self.0.stripe(&key));
        let entry = self.0.database.entry(&key)?.ok_or(Error::Missing(*cid))?;
        let before = if entry.marked == epoch { entry.readings } else { 0 };
        let readings = before | reading as u8;
        if readings == before {
            return Ok(false);
        }
        self.0.database.put_entry(
            &key,
            &BlockEntry {
                marked: epoch,
                readings,
                ..entry
            },
        )?;
        Ok(true)
    }

    fn collect_all(&self, progress: &mut dyn FnMut(Checked)) -> Result<Freed, Error> {
        let _collecting = lock(&self.0.collecting);
        let reach = lock(&self.0.epochs).collect_all(&self.0.database)?;
        self.collect(reach, progress)
    }

    fn collect(&self, reach: Reach, progress: &mut dyn FnMut(Checked)) -> Result<Freed, Error> {
        self.mark(reach.epoch, &mut |hole| {
            warn!(root = %hole.root, error = %hole.error, "a pinned tree is not whole");
        })?;
        let freed = self.sweep(reach, progress)?;
        self.0.metrics.blocks_freed.inc_by(freed.blocks);
        lock(&self.0.epochs).collected(&self.0.database, reach)?;
        Ok(freed)
    }

    fn sweep(&self, reach: Reach, progress: &mut dyn FnMut(Checked)) -> Result<Freed, Error> {
        let mut freed = Freed::default();
        let mut checked = Checked::default();
        self.0.database.each_entry(&mut |key, entry| {
            checked.blocks += 1;
            checked.bytes += u64::from(entry.bytes);
            progress(checked);
            if reach.covers(&entry) && self.remove(key, reach)? {
                freed.blocks += 1;
                freed.bytes += u64::from(entry.bytes);
            }
            Ok(())
        })?;
        Ok(freed)
    }

    /// Removes a block if it is still garbage.
    fn remove(&self, key: &[u8], reach: Reach) -> Result<bool, Error> {
        let _stripe = lock(self.0.stripe(key));
        match self.0.database.entry(key)? {
            Some(entry) if reach.covers(&entry) => self.0.database.delete_block(key).map(|()| true),
            _ => Ok(false),
        }
    }
}

impl Reach {
    fn covers(&self, entry: &BlockEntry) -> bool {
        entry.marked != self.epoch && (self.since..self.before).contains(&entry.touched)
    }
}

impl Reading {
    fn of(cid: &Cid) -> Reading {
        match cid.codec() {
            codec::DAG_PB => Reading::DagPb,
            codec::DAG_CBOR => Reading::DagCbor,
            codec::DAG_JSON => Reading::DagJson,
            _ => Reading::Leaf,
        }
    }
}

/// Whether an error concerns one block only, so that the rest can be marked.
fn is_hole(error: &Error) -> bool {
    matches!(
        error,
        Error::Missing(_) | Error::Malformed { .. } | Error::Corrupt { .. }
    )
}
