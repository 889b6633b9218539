//! Claims: receipts gathered under one root, before a transaction takes that root to the ledger.

use ledger::{Hash, receipts_root};
use serde::{Deserialize, Serialize};

use super::receipts::{ReceiptEntry, put};
use super::{Books, lock};
use crate::Error;
use crate::store::database::Column;

/// Receipts that one claim takes to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The root of their tree.
    pub root: Hash,
    /// Their ids, in the order of the tree.
    pub leaves: Vec<Hash>,
    /// Whether the claim is known to be on the ledger.
    pub settled: bool,
}

/// A batch as it is stored, under its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub leaves: Vec<Hash>,
    pub settled: bool,
}

impl Books {
    /// Gathers the receipts that no claim has taken, at most [`LEAVES_MAX`], the oldest first; `None` if there are none.
    /// It is on disk when the call returns.
    pub fn stage_claim(&self) -> Result<Option<Batch>, Error> {
        let _receipts = lock(&self.0.receipts);
        let (open, scanned_to) = self.unclaimed()?;
        if open.is_empty() {
            return Ok(None);
        }
        let leaves: Vec<Hash> = open.iter().map(|(_, entry)| entry.receipt.id()).collect();
        let root = receipts_root(&leaves);
        let settled = false;
        let mut batch = self.0.store.database().batch();
        for (seq, mut entry) in open {
            entry.claim = Some(root);
            put(&mut batch, seq, &entry);
        }
        batch.put(Column::Meta, UNCLAIMED_KEY, &scanned_to.to_be_bytes());
        let claim = Claim { leaves, settled };
        batch.put(Column::Claims, &root.0, &ledger::encode(&claim));
        batch.write_durably()?;
        Ok(Some(claim.batch(root)))
    }

    /// The batches whose claims are not known to be on the ledger.
    pub fn batches(&self) -> Result<Vec<Batch>, Error> {
        let mut batches = Vec::new();
        self.0
            .store
            .database()
            .each(Column::Claims, b"", &mut |key, value| {
                let claim: Claim = self.decode(Column::Claims, value)?;
                if !claim.settled {
                    let root = key.try_into().map(Hash);
                    batches.push(claim.batch(root.map_err(|_| self.malformed(Column::Claims, "a key"))?));
                }
                Ok(())
            })?;
        Ok(batches)
    }

    /// The batch with this root, settled or not.
    pub fn batch(&self, root: &Hash) -> Result<Option<Batch>, Error> {
        Ok(self.claim(root)?.map(|claim| claim.batch(*root)))
    }

    /// Notes that the claim is on the ledger. The leaves stay: proofs are made of them.
    pub fn settle_claim(&self, root: &Hash) -> Result<(), Error> {
        let _receipts = lock(&self.0.receipts);
        let Some(claim) = self.claim(root)? else {
            return Ok(());
        };
        let settled = true;
        let mut batch = self.0.store.database().batch();
        batch.put(
            Column::Claims,
            &root.0,
            &ledger::encode(&Claim { settled, ..claim }),
        );
        batch.write_durably()
    }

    /// Gives up a claim that will never be on the ledger: its receipts are free for the next one.
    pub fn drop_claim(&self, root: &Hash) -> Result<(), Error> {
        let _receipts = lock(&self.0.receipts);
        let Some(claim) = self.claim(root)?.filter(|claim| !claim.settled) else {
            return Ok(());
        };
        let mut first = self.first_unclaimed()?;
        let mut batch = self.0.store.database().batch();
        for leaf in &claim.leaves {
            let Some(seq) = self.receipt_seq(leaf)? else {
                continue;
            };
            if let Some(mut entry) = self.receipt_at(seq)? {
                entry.claim = None;
                put(&mut batch, seq, &entry);
            }
            first = first.min(seq);
        }
        batch.put(Column::Meta, UNCLAIMED_KEY, &first.to_be_bytes());
        batch.delete(Column::Claims, &root.0);
        batch.write_durably()
    }

    fn claim(&self, root: &Hash) -> Result<Option<Claim>, Error> {
        self.row(Column::Claims, &root.0)
    }

    /// Receipts that no claim has taken, and the number behind the last that was looked at.
    fn unclaimed(&self) -> Result<(Vec<(u64, ReceiptEntry)>, u64), Error> {
        let mut next = self.first_unclaimed()?;
        let mut open = Vec::new();
        loop {
            let rows = self.receipts(next, SCAN_ROWS)?;
            let Some(last) = rows.last() else {
                return Ok((open, next));
            };
            next = last.seq + 1;
            let free = rows.into_iter().filter(|row| row.claim.is_none());
            open.extend(free.map(|row| {
                let (receipt, time_ms, claim) = (row.receipt, row.time_ms, row.claim);
                let entry = ReceiptEntry {
                    receipt,
                    time_ms,
                    claim,
                };
                (row.seq, entry)
            }));
            if open.len() + SCAN_ROWS > LEAVES_MAX {
                return Ok((open, next));
            }
        }
    }

    /// No receipt below this number is without a claim.
    fn first_unclaimed(&self) -> Result<u64, Error> {
        let stored = self.0.store.database().get(Column::Meta, UNCLAIMED_KEY)?;
        let first = stored.and_then(|stored| stored.try_into().ok());
        Ok(first.map_or(0, u64::from_be_bytes))
    }
}

impl Claim {
    fn batch(self, root: Hash) -> Batch {
        let Claim { leaves, settled } = self;
        Batch {
            root,
            leaves,
            settled,
        }
    }
}

/// Receipts in one claim: about 15 MB are rewritten when they are gathered.
const LEAVES_MAX: usize = 16 << 10;
/// Receipts that are read at once.
const SCAN_ROWS: usize = 256;
const UNCLAIMED_KEY: &[u8] = b"receipts/unclaimed";
