//! The transactions that users handed in at this node and that are in no block yet, and why others were refused: so that
//! their fate is known after a restart, and they go on where they were.
//!
//! A row is written without waiting for the disk: it survives the end of the process, not always that of the machine.

use cid::Cid;
use ledger::Tx;
use rocksdb::WriteBatch;

use super::Store;
use super::columns::SUBMITTED;
use crate::Error;

/// What is known of a transaction that a user handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It waits.
    Waiting(Box<Tx>),
    /// It was refused, for this reason.
    Refused(String),
}

impl Store {
    /// Keeps what becomes of transactions; `None` forgets it.
    pub(crate) fn note_submitted<'a>(
        &self,
        notes: impl IntoIterator<Item = (&'a Cid, Option<Submitted>)>,
    ) -> Result<(), Error> {
        let (mut batch, table) = (WriteBatch::default(), self.db.table(SUBMITTED)?);
        for (cid, note) in notes {
            match note {
                Some(Submitted::Waiting(tx)) => {
                    batch.put_cf(table, cid.to_bytes(), [b"w", &*tx.encode()].concat());
                }
                Some(Submitted::Refused(reason)) => {
                    batch.put_cf(table, cid.to_bytes(), [b"r", reason.as_bytes()].concat());
                }
                None => batch.delete_cf(table, cid.to_bytes()),
            }
        }
        match batch.is_empty() {
            true => Ok(()),
            false => self.db.write_later("a submitted transaction", batch),
        }
    }

    /// All that is kept, in no order.
    pub(crate) fn submitted(&self) -> Result<Vec<(Cid, Submitted)>, Error> {
        let rows = self.db.rows_from(SUBMITTED, &[])?;
        let parse = |row: super::db::Row| {
            let cid = Cid::try_from(&*row.0).ok()?;
            let note = match row.1.split_first()? {
                (b'w', tx) => Submitted::Waiting(Box::new(Tx::decode(tx).ok()?)),
                (b'r', reason) => Submitted::Refused(String::from_utf8(reason.to_vec()).ok()?),
                _ => return None,
            };
            Some((cid, note))
        };
        rows.map(|row| parse(row?).ok_or_else(|| Error::damaged(SUBMITTED, "a row of another form")))
            .collect()
    }
}
