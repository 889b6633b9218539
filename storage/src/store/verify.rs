//! Whether everything that the store says it holds is there and is what it should be.

use cid::Cid;
use multihash::Multihash;

use super::{Checked, Store, lock};
use crate::{Error, codec, verify};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks looked at.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that are damaged. The store does not know a block's codec: their CIDs are given as raw.
    pub bad: Vec<Bad>,
    /// Pinned roots below which a block is missing or cannot be read.
    pub missing: Vec<Bad>,
    /// Whether more was found than the two lists hold (1000 each).
    pub cut: bool,
}

/// Something that is wrong in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// The damaged block, or the pinned root.
    pub cid: Cid,
    /// What is wrong.
    pub reason: String,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.bad.is_empty() && self.missing.is_empty()
    }
}

impl Store {
    /// Hashes every block again, and sees that everything below each pin is here. Imports and readers go on.
    pub fn verify(&self, progress: &mut dyn FnMut(Checked)) -> Result<Report, Error> {
        let mut report = Report::default();
        self.0.database.each_entry(&mut |key, entry| {
            report.blocks += 1;
            report.bytes += u64::from(entry.bytes);
            progress(Checked {
                blocks: report.blocks,
                bytes: report.bytes,
            });
            let hash = Multihash::from_bytes(key);
            let cid = hash.map(|hash| Cid::new_v1(codec::RAW, hash)).unwrap_or_default();
            if let Some(reason) = self.fault(&cid, entry.bytes)? {
                note(&mut report.bad, &mut report.cut, Bad { cid, reason });
            }
            Ok(())
        })?;
        let verified = self.verify_pins(&mut report);
        self.sweep_failed_or_warn();
        verified.map(|()| report)
    }

    /// What is wrong with a block that the index lists.
    fn fault(&self, cid: &Cid, bytes: u32) -> Result<Option<String>, Error> {
        match self.0.database.get_block(cid) {
            Ok(Some(block)) if block.len() != bytes as usize => {
                Ok(Some("it has the wrong length".to_owned()))
            }
            Ok(Some(block)) => Ok(verify(cid, &block).err().map(|error| error.to_string())),
            // A gc may have removed it since the index was read.
            Ok(None) if self.has(cid)? => Ok(Some("the index lists it, but it is not there".to_owned())),
            Ok(None) => Ok(None),
            Err(Error::Corrupt { reason, .. }) => Ok(Some(reason)),
            Err(error) => Err(error),
        }
    }

    fn verify_pins(&self, report: &mut Report) -> Result<(), Error> {
        let _collecting = lock(&self.0.collecting);
        let epoch = lock(&self.0.epochs).collect_all(&self.0.database)?.epoch;
        self.mark(epoch, &mut |hole| {
            let bad = Bad {
                cid: hole.root,
                reason: hole.error.to_string(),
            };
            note(&mut report.missing, &mut report.cut, bad);
        })
    }
}

fn note(list: &mut Vec<Bad>, cut: &mut bool, bad: Bad) {
    match list.len() < LISTED_MAX {
        true => list.push(bad),
        false => *cut = true,
    }
}

const LISTED_MAX: usize = 1000;
