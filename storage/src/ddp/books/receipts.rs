//! Receipts: the last acknowledged statement of each session, numbered as they come.
//!
//! The receipt of a session that goes on is replaced by the next one, until a claim has taken it; then the session's next
//! receipt gets a number of its own.

use ledger::{Hash, Receipt};
use serde::{Deserialize, Serialize};

use super::{Books, lock};
use crate::Error;
use crate::store::database::{Batch, Column};

/// One delivery of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptRow {
    /// Its number in these books.
    pub seq: u64,
    /// [`Receipt::id`].
    pub id: Hash,
    /// What was delivered and promised.
    pub receipt: Receipt,
    /// When it was written, in milliseconds since 1970 by this node's clock.
    pub time_ms: u64,
    /// The root of the claim that took it to the ledger.
    pub claim: Option<Hash>,
}

/// A receipt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptEntry {
    pub receipt: Receipt,
    pub time_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Hash>,
}

impl Books {
    /// Writes the receipt of a session, in the place of its earlier one, `at`. Returns its number.
    pub fn write_receipt(&self, at: Option<u64>, receipt: Receipt, time_ms: u64) -> Result<u64, Error> {
        let _receipts = lock(&self.0.receipts);
        let mut batch = self.0.store.database().batch();
        let seq = match self.replaceable(at)? {
            Some((seq, id)) => {
                batch.delete(Column::ReceiptIds, &id.0);
                seq
            }
            None => self.next_receipt()?,
        };
        let id = receipt.id();
        batch.put(Column::ReceiptIds, &id.0, &seq.to_be_bytes());
        let claim = None;
        put(
            &mut batch,
            seq,
            &ReceiptEntry {
                receipt,
                time_ms,
                claim,
            },
        );
        batch.write()?;
        Ok(seq)
    }

    /// At most `max` receipts from number `from` on.
    pub fn receipts(&self, from: u64, max: usize) -> Result<Vec<ReceiptRow>, Error> {
        let database = self.0.store.database();
        let rows = database.range(Column::Receipts, &from.to_be_bytes(), max)?;
        rows.iter()
            .map(|(key, value)| {
                let entry = self.decode::<ReceiptEntry>(Column::Receipts, value)?;
                Ok(entry.row(self.seq(key)?))
            })
            .collect()
    }

    /// The receipt with this id.
    pub fn receipt(&self, id: &Hash) -> Result<Option<ReceiptRow>, Error> {
        let Some(seq) = self.receipt_seq(id)? else {
            return Ok(None);
        };
        Ok(self.receipt_at(seq)?.map(|entry| entry.row(seq)))
    }

    pub(super) fn receipt_seq(&self, id: &Hash) -> Result<Option<u64>, Error> {
        let seq = self.0.store.database().get(Column::ReceiptIds, &id.0)?;
        seq.map(|seq| self.seq(&seq)).transpose()
    }

    pub(super) fn receipt_at(&self, seq: u64) -> Result<Option<ReceiptEntry>, Error> {
        self.row(Column::Receipts, &seq.to_be_bytes())
    }

    /// The receipt at `at`, if no claim has taken it.
    fn replaceable(&self, at: Option<u64>) -> Result<Option<(u64, Hash)>, Error> {
        let Some(seq) = at else { return Ok(None) };
        let entry = self.receipt_at(seq)?.filter(|entry| entry.claim.is_none());
        Ok(entry.map(|entry| (seq, entry.receipt.id())))
    }

    fn next_receipt(&self) -> Result<u64, Error> {
        let last = self.0.store.database().last(Column::Receipts)?;
        last.map_or(Ok(1), |(key, _)| Ok(self.seq(&key)? + 1))
    }

    fn seq(&self, bytes: &[u8]) -> Result<u64, Error> {
        let bytes = bytes.try_into();
        let bytes = bytes.map_err(|_| self.malformed(Column::Receipts, "a number of another length"))?;
        Ok(u64::from_be_bytes(bytes))
    }
}

impl ReceiptEntry {
    fn row(self, seq: u64) -> ReceiptRow {
        ReceiptRow {
            seq,
            id: self.receipt.id(),
            receipt: self.receipt,
            time_ms: self.time_ms,
            claim: self.claim,
        }
    }
}

pub(super) fn put(batch: &mut Batch<'_>, seq: u64, entry: &ReceiptEntry) {
    batch.put(Column::Receipts, &seq.to_be_bytes(), &ledger::encode(entry));
}
