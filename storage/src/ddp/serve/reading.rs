//! From what a client wants to what is sent: reads the store, in batches, on a thread that may wait.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use cid::Cid;

use crate::{Blocks, Error, Store, resolve};

/// Something that a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Block(Cid),
    /// The blocks from the session's root along these names.
    Path(Vec<String>),
}

/// Something that goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Block(Cid, Bytes),
    Absent(Cid),
    End,
}

impl Answer {
    /// Bytes of payload.
    pub fn bytes(&self) -> u64 {
        match self {
            Answer::Block(_, bytes) => bytes.len() as u64,
            Answer::Absent(_) | Answer::End => 0,
        }
    }
}

/// Answers wants from the front of the queue until [`BATCH_BYTES`] are read or none is left; the rest stays in it.
pub(super) fn answer(store: &Store, root: &Cid, wants: &mut VecDeque<Want>) -> Result<Vec<Answer>, Error> {
    let mut answers = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES && answers.len() < BATCH_ANSWERS {
        let Some(want) = wants.pop_front() else { break };
        match want {
            Want::Block(cid) => answers.push(block(store, &cid)?),
            Want::Path(segments) => answers.extend(path(store, root, &segments)),
        }
        bytes = answers.iter().map(Answer::bytes).sum();
    }
    Ok(answers)
}

fn block(store: &Store, cid: &Cid) -> Result<Answer, Error> {
    match store.get(cid) {
        Ok(Some(bytes)) => Ok(Answer::Block(*cid, bytes)),
        Ok(None) => Ok(Answer::Absent(*cid)),
        Err(error @ Error::Corrupt { .. }) => {
            tracing::warn!(%error, "cannot deliver a block");
            Ok(Answer::Absent(*cid))
        }
        Err(error) => Err(error),
    }
}

/// Follows the path as a reader would, and tells what it read.
fn path(store: &Store, root: &Cid, segments: &[String]) -> Vec<Answer> {
    let trail = Trail {
        store,
        read: Mutex::default(),
    };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let end = resolve(&trail, root, &segments);
    let mut answers = trail.read.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Err(Error::Missing(cid)) = end {
        answers.push(Answer::Absent(cid));
    }
    answers.push(Answer::End);
    answers
}

/// Blocks that remember who was asked for.
struct Trail<'a> {
    store: &'a Store,
    read: Mutex<Vec<Answer>>,
}

impl Blocks for Trail<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let Some(bytes) = self.store.get(cid)? else {
            return Ok(None);
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let held: u64 = read.iter().map(Answer::bytes).sum();
        if held >= PATH_BYTES_MAX || read.len() >= PATH_BLOCKS_MAX {
            // The client reads on by itself from here.
            return Err(Error::malformed(
                cid,
                "the path is too long to be answered at once",
            ));
        }
        read.push(Answer::Block(*cid, bytes.clone()));
        Ok(Some(bytes))
    }
}

/// Bytes after which a batch is sent, before the next is read.
const BATCH_BYTES: u64 = 1 << 20;
/// Blocks in a batch: small ones come by the hundred.
const BATCH_ANSWERS: usize = 64;
/// What one path may bring, in bytes: each level of a large sharded folder is well below 1 MiB.
const PATH_BYTES_MAX: u64 = 2 << 20;
/// What one path may bring, in blocks.
const PATH_BLOCKS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use multihash_codetable::{Code, MultihashDigest};
    use tempfile::TempDir;

    use super::*;
    use crate::Profile;

    #[test]
    fn a_path_brings_what_a_reader_reads_and_says_what_is_missing() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("blocks")).unwrap();
        let site = folder.path().join("site");
        std::fs::create_dir_all(site.join("a")).unwrap();
        std::fs::write(site.join("a/b"), "x").unwrap();
        std::fs::write(site.join("c"), "y").unwrap();
        let root = store
            .import_path(&site, Profile::V1_2025, &mut |_| {})
            .unwrap()
            .root;
        let check = |segments: &[&str], blocks: usize| {
            let segments = segments.iter().map(|&segment| segment.to_owned()).collect();
            let answers = answer(&store, &root, &mut VecDeque::from([Want::Path(segments)])).unwrap();
            assert_eq!(answers.last(), Some(&Answer::End));
            assert!(matches!(answers[0], Answer::Block(cid, _) if cid == root));
            assert_eq!(answers.len(), blocks + 1);
        };
        check(&[], 1);
        check(&["a"], 2);
        check(&["a", "b"], 3);
        check(&["a", "nothing"], 2);
        check(&["c", "b"], 2);
        let elsewhere = Store::open(&folder.path().join("empty")).unwrap();
        let answers = answer(&elsewhere, &root, &mut VecDeque::from([Want::Path(Vec::new())])).unwrap();
        assert_eq!(answers, [Answer::Absent(root), Answer::End]);
    }

    #[test]
    fn a_batch_ends_when_it_is_large_and_leaves_the_rest() {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let cids: Vec<Cid> = (0..3u8)
            .map(|seed| {
                let block = vec![seed; 600 << 10];
                let cid = Cid::new_v1(crate::codec::RAW, Code::Sha2_256.digest(&block));
                store.put(&cid, &block).unwrap();
                cid
            })
            .collect();
        let mut wants: VecDeque<Want> = cids.iter().copied().map(Want::Block).collect();
        assert_eq!(answer(&store, &cids[0], &mut wants).unwrap().len(), 2);
        assert_eq!(wants, [Want::Block(cids[2])]);
    }
}
