//! Pruning of old versions of the state.
//!
//! A proof can be asked for at any of the last [`KEPT_VERSIONS`] heights. What only older ones need is deleted with
//! the block that pushes them out, a bounded number of rows at a time, so that no block waits for a backlog.

use rocksdb::WriteBatch;

use super::columns::{NODES, STALE, STATE, Stale, VALUES};
use super::db::Db;
use crate::Error;

/// Versions of the state behind the tip that stay readable and provable.
pub(crate) const KEPT_VERSIONS: u64 = 1000;

/// Rows deleted with one block: some times what a full block can make stale, so a backlog shrinks.
const ROWS_MAX: usize = 20_000;

/// Adds to a batch the deletions of what only versions before `horizon` need. Rows below version `from` are gone
/// already; returns the next `from`. Without it, each block would step over the traces of all earlier deletions.
pub(crate) fn stage(db: &Db, batch: &mut WriteBatch, horizon: u64, from: u64) -> Result<u64, Error> {
    let mut reached = from;
    for row in db.rows_from(STALE, &from.to_be_bytes())?.take(ROWS_MAX) {
        let (row, _) = row?;
        let (since, kind, key) =
            Stale::parse(&row).ok_or_else(|| Error::damaged(STALE, "a row of no known kind"))?;
        if since > horizon {
            break;
        }
        reached = since;
        match kind {
            Stale::Node => batch.delete_cf(db.table(NODES)?, key),
            Stale::Value => batch.delete_cf(db.table(VALUES)?, key),
            Stale::Key => drop_tombstone(db, batch, key, since)?,
        }
        batch.delete_cf(db.table(STALE)?, &row);
    }
    Ok(reached)
}

/// The key may have been written again since: then its row is no tombstone of that version any more.
fn drop_tombstone(db: &Db, batch: &mut WriteBatch, key: &[u8], since: u64) -> Result<(), Error> {
    let tombstone = [&since.to_be_bytes()[..], &super::tree::encode_value(None)].concat();
    if db.get(STATE, key)?.as_deref() == Some(&tombstone) {
        batch.delete_cf(db.table(STATE)?, key);
    }
    Ok(())
}
