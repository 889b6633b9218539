//! Which blocks a garbage collection must leave alone: those of imports that have not pinned theirs yet.
//!
//! The epoch is a number that grows with each import and each gc. A block carries the epoch in which it was last put;
//! an import that finds a block here already puts it again, which renews the epoch. A gc leaves alone what is at least
//! as new as the gc itself or the oldest import in flight. So neither has to wait for the other.

use std::collections::{BTreeMap, BTreeSet};

use super::database::{Column, Database};
use crate::Error;

/// A point in the order of imports and gcs of one store.
pub(super) type Epoch = u64;

/// The current epoch, and the imports that it knows of.
#[derive(Debug)]
pub(super) struct Epochs {
    current: Epoch,
    in_flight: BTreeSet<Epoch>,
    /// Imports that failed and whose blocks are not swept yet: when they began and when they ended.
    failed: BTreeMap<Epoch, Epoch>,
}

/// Blocks that a collection may remove: unpinned and put within these epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// The collection's own epoch.
    pub epoch: Epoch,
    pub since: Epoch,
    pub before: Epoch,
}

impl Epochs {
    /// Reads what the last process left: its imports in flight have failed.
    pub fn load(database: &Database) -> Result<Epochs, Error> {
        let stored = database.get(Column::Meta, EPOCH_KEY)?;
        let current = stored
            .and_then(|value| value.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let mut failed = BTreeMap::new();
        database.each(Column::Meta, MARK_PREFIX, &mut |key, _| {
            if let Ok(began) = key[MARK_PREFIX.len()..].try_into() {
                failed.insert(u64::from_be_bytes(began), current);
            }
            Ok(())
        })?;
        Ok(Epochs {
            current,
            in_flight: BTreeSet::new(),
            failed,
        })
    }

    pub fn current(&self) -> Epoch {
        self.current
    }

    /// Begins an import: from here on, whatever is put is safe until it ends. Leaves a durable mark.
    pub fn begin(&mut self, database: &Database) -> Result<Epoch, Error> {
        let began = self.current + 1;
        let mut batch = database.batch();
        batch.put(Column::Meta, EPOCH_KEY, &began.to_be_bytes());
        batch.put(Column::Meta, &mark(began), b"");
        batch.write_durably()?;
        self.current = began;
        self.in_flight.insert(began);
        Ok(began)
    }

    /// Ends an import whose blocks are pinned, or that put none.
    pub fn end(&mut self, began: Epoch) {
        self.in_flight.remove(&began);
    }

    /// Ends an import whose blocks are garbage.
    pub fn fail(&mut self, began: Epoch) {
        self.in_flight.remove(&began);
        self.failed.insert(began, self.current);
    }

    /// Begins a collection of everything that is unpinned.
    pub fn collect_all(&mut self, database: &Database) -> Result<Reach, Error> {
        self.collect(database, 0)
    }

    /// Whether a failed import left something that no import in flight may share.
    pub fn can_collect_failed(&self) -> bool {
        self.oldest_failed().is_some()
    }

    /// Begins a collection of what failed imports left, if there is something that no import in flight may share.
    pub fn collect_failed(&mut self, database: &Database) -> Result<Option<Reach>, Error> {
        self.oldest_failed()
            .map(|since| self.collect(database, since))
            .transpose()
    }

    fn oldest_failed(&self) -> Option<Epoch> {
        let in_flight = self.in_flight.first().copied().unwrap_or(Epoch::MAX);
        let mut collectable = self.failed.iter().filter(|&(_, &ended)| ended < in_flight);
        collectable.next().map(|(&began, _)| began)
    }

    /// Ends a collection: the marks of the imports that it swept go.
    pub fn collected(&mut self, database: &Database, reach: Reach) -> Result<(), Error> {
        let swept = |began: Epoch, ended: Epoch| began >= reach.since && ended < reach.before;
        let mut batch = database.batch();
        for (&began, _) in self.failed.iter().filter(|&(&began, &ended)| swept(began, ended)) {
            batch.delete(Column::Meta, &mark(began));
        }
        batch.write()?;
        self.failed.retain(|&began, &mut ended| !swept(began, ended));
        Ok(())
    }

    fn collect(&mut self, database: &Database, since: Epoch) -> Result<Reach, Error> {
        let epoch = self.current + 1;
        let mut batch = database.batch();
        batch.put(Column::Meta, EPOCH_KEY, &epoch.to_be_bytes());
        batch.write()?;
        self.current = epoch;
        let before = self.in_flight.first().copied().unwrap_or(epoch);
        Ok(Reach { epoch, since, before })
    }
}

/// The key of the mark of an import in flight.
pub(super) fn mark(began: Epoch) -> Vec<u8> {
    [MARK_PREFIX, &began.to_be_bytes()].concat()
}

const EPOCH_KEY: &[u8] = b"epoch";
const MARK_PREFIX: &[u8] = b"import/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_spares_imports_in_flight_and_sweeps_failed_ones_when_they_are_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let mut epochs = Epochs::load(&database).unwrap();
        let first = epochs.begin(&database).unwrap();
        let second = epochs.begin(&database).unwrap();
        assert_eq!((first, second), (1, 2));
        let all = epochs.collect_all(&database).unwrap();
        assert_eq!((all.epoch, all.since, all.before), (3, 0, first));
        epochs.fail(second);
        assert_eq!(
            epochs.collect_failed(&database).unwrap(),
            None,
            "the first may share its blocks"
        );
        epochs.end(first);
        let reach = epochs.collect_failed(&database).unwrap().unwrap();
        assert_eq!((reach.epoch, reach.since, reach.before), (4, second, 4));
        epochs.collected(&database, reach).unwrap();
        assert!(!epochs.can_collect_failed());
        // The first one's mark is still there, as after a crash: the next process sees a failed import.
        let mut epochs = Epochs::load(&database).unwrap();
        assert_eq!(epochs.current(), 4);
        assert_eq!(epochs.collect_failed(&database).unwrap().unwrap().since, first);
    }

    #[test]
    fn marks_have_this_form() {
        assert_eq!(mark(258), *b"import/\0\0\0\0\0\0\x01\x02");
    }
}
