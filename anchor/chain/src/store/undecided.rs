//! Proposals that are not decided yet. They are on the disk before the engine hears of them: a delegate that voted
//! for a block must be able to hand that block over after a crash.

use rocksdb::WriteBatch;

use super::Store;
use super::columns::{UNDECIDED, undecided_key};
use super::db::Db;
use crate::Error;

/// A kept proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Undecided {
    /// Round in which it was proposed.
    pub(crate) round: u32,
    /// Hash of the header.
    pub(crate) header: [u8; 32],
    /// The signed part as the proposer sent it.
    pub(crate) part: Vec<u8>,
}

impl Store {
    /// Keeps a proposal. Returns when the disk has it.
    pub(crate) fn put_undecided(&self, height: u64, proposal: &Undecided) -> Result<(), Error> {
        let key = undecided_key(height, proposal.round, &proposal.header);
        let mut batch = WriteBatch::default();
        batch.put_cf(self.db.table(UNDECIDED)?, key, &proposal.part);
        self.db.write("a proposal", batch)
    }

    /// The proposals of a height, by round.
    pub(crate) fn undecided(&self, height: u64) -> Result<Vec<Undecided>, Error> {
        let mut found = Vec::new();
        for row in self.db.rows_from(UNDECIDED, &height.to_be_bytes())? {
            let (key, part) = row?;
            if key.len() != 44 || key[..8] != height.to_be_bytes() {
                break;
            }
            let round = u32::from_be_bytes(key[8..12].try_into().expect("four bytes"));
            let header = key[12..44].try_into().expect("thirty-two bytes");
            found.push(Undecided {
                round,
                header,
                part: part.into_vec(),
            });
        }
        Ok(found)
    }
}

/// Deletes the proposals of `height` with the block that decides it. Those of earlier heights went with theirs.
pub(crate) fn stage_removal(db: &Db, batch: &mut WriteBatch, height: u64) -> Result<(), Error> {
    for row in db.rows_from(UNDECIDED, &height.to_be_bytes())? {
        let (key, _) = row?;
        if key.get(..8).is_none_or(|at| at != height.to_be_bytes()) {
            break;
        }
        batch.delete_cf(db.table(UNDECIDED)?, key);
    }
    Ok(())
}
