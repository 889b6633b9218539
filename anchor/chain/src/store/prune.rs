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

/// Adds to the batch of the block at `height` the deletions that become possible with it.
pub(crate) fn stage(db: &Db, batch: &mut WriteBatch, height: u64) -> Result<(), Error> {
    let Some(horizon) = height.checked_sub(KEPT_VERSIONS) else { return Ok(()) };
    for row in db.rows_from(STALE, &[])?.take(ROWS_MAX) {
        let (row, _) = row?;
        let (since, kind, key) =
            Stale::parse(&row).ok_or_else(|| Error::damaged(STALE, "a row of no known kind"))?;
        if since > horizon {
            break;
        }
        match kind {
            Stale::Node => batch.delete_cf(db.table(NODES)?, key),
            Stale::Value => batch.delete_cf(db.table(VALUES)?, key),
            Stale::Key => drop_tombstone(db, batch, key, since)?,
        }
        batch.delete_cf(db.table(STALE)?, &row);
    }
    Ok(())
}

/// The key may have been written again since: then its row is no tombstone of that version any more.
fn drop_tombstone(db: &Db, batch: &mut WriteBatch, key: &[u8], since: u64) -> Result<(), Error> {
    let tombstone = [&since.to_be_bytes()[..], &super::tree::encode_value(None)].concat();
    if db.get(STATE, key)?.as_deref() == Some(&tombstone) {
        batch.delete_cf(db.table(STATE)?, key);
    }
    Ok(())
}
