//! Which block of a file has which bytes, for those who serve many ranges of it: read once, a range costs no more than
//! its blocks.

use std::ops::Range;

use bytes::Bytes;
use cid::Cid;

use super::resolve::file_bytes;
use super::{UnixFsNode, unixfs_node};
use crate::block::{Blocks, require};
use crate::dag::unixfs::Type;
use crate::{Error, codec};

/// The blocks that hold the bytes of a file, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Each with the place in the file where it ends.
    leaves: Vec<(u64, Cid)>,
}

/// One block of a file, and the part of it that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The block.
    pub cid: Cid,
    /// Its length in bytes, by what its parent says.
    pub bytes: u64,
    /// The wanted bytes of it.
    pub wanted: Range<u64>,
}

impl Leaves {
    /// Reads the inner nodes of the file at `cid`, and no leaf. `None` if it has more than `max` leaves, or is built in
    /// the older way: with leaves that are no raw blocks, or with bytes in inner nodes.
    ///
    /// # Errors
    /// An inner node is missing or malformed.
    pub fn read(blocks: &dyn Blocks, cid: &Cid, max: usize) -> Result<Option<Leaves>, Error> {
        let mut leaves = Vec::new();
        let mut pending = vec![(*cid, None, 0)];
        let mut end = 0_u64;
        while let Some((cid, stated, depth)) = pending.pop() {
            if let (codec::RAW, Some(bytes)) = (cid.codec(), stated) {
                end = u64::checked_add(end, bytes)
                    .ok_or_else(|| Error::malformed(&cid, "a file longer than can be"))?;
                leaves.push((end, cid));
            } else {
                let Some(children) = children(blocks, &cid, stated)? else {
                    return Ok(None);
                };
                let below = children.into_iter().rev();
                pending.extend(below.map(|(cid, bytes)| (cid, Some(bytes), depth + 1)));
            }
            if leaves.len() + pending.len() > max || depth > DEPTH_MAX {
                return Ok(None);
            }
        }
        Ok(Some(Leaves { leaves }))
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.leaves.last().map_or(0, |(end, _)| *end)
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.leaves.len()
    }

    /// The blocks that have the bytes of `range`, in order.
    pub fn of(&self, range: Range<u64>) -> impl DoubleEndedIterator<Item = Leaf> + '_ {
        let first = self.leaves.partition_point(|(end, _)| *end <= range.start);
        let until = self.leaves.partition_point(|(end, _)| *end < range.end);
        let until = (until + 1).min(self.leaves.len());
        let last = if range.is_empty() { first } else { until.max(first) };
        (first..last).map(move |at| {
            let (end, cid) = self.leaves[at];
            let start = self.start(at);
            let wanted = range.start.max(start) - start..range.end.min(end) - start;
            Leaf {
                cid,
                bytes: end - start,
                wanted,
            }
        })
    }

    fn start(&self, at: usize) -> u64 {
        at.checked_sub(1).map_or(0, |before| self.leaves[before].0)
    }
}

impl Leaf {
    /// The wanted bytes, of the leaf's block.
    ///
    /// # Errors
    /// The block is of another length than its parent says.
    pub fn cut(&self, block: &Bytes) -> Result<Bytes, Error> {
        if block.len() as u64 != self.bytes {
            let reason = "a part of a file does not have the length that its parent states";
            return Err(Error::malformed(&self.cid, reason));
        }
        Ok(block.slice(self.wanted.start as usize..self.wanted.end as usize))
    }
}

/// What is below an inner node, with what it says of their lengths. `None` if it is no node with children alone.
fn children(blocks: &dyn Blocks, cid: &Cid, stated: Option<u64>) -> Result<Option<Vec<(Cid, u64)>>, Error> {
    let block = require(blocks, cid)?;
    let Some(UnixFsNode { node, data }) = unixfs_node(cid, &block)? else {
        return Ok(None);
    };
    let is_inner = matches!(data.kind, Type::File | Type::Raw)
        && data.data.is_empty()
        && !node.links.is_empty()
        && node.links.len() == data.block_bytes.len();
    let own = file_bytes(&data);
    let sum = data
        .block_bytes
        .iter()
        .try_fold(0_u64, |sum, &bytes| sum.checked_add(bytes));
    if !is_inner || sum != Some(own) || stated.is_some_and(|stated| stated != own) {
        return Ok(None);
    }
    let cids = node.links.into_iter().map(|link| link.cid);
    Ok(Some(
        cids.zip(data.block_bytes)
            .filter(|(_, bytes)| *bytes > 0)
            .collect(),
    ))
}

/// Far beyond any balanced or trickle layout.
const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Leaves {
        Leaves {
            leaves: vec![(4, Cid::default()), (8, Cid::default()), (10, Cid::default())],
        }
    }

    #[test]
    fn ranges_touch_the_blocks_that_they_need() {
        for (range, expected) in [
            (0..10, &[(4, 0..4), (4, 0..4), (2, 0..2)][..]),
            (0..4, &[(4, 0..4)]),
            (3..5, &[(4, 3..4), (4, 0..1)]),
            (4..8, &[(4, 0..4)]),
            (9..10, &[(2, 1..2)]),
            (8..99, &[(2, 0..2)]),
            (5..5, &[]),
            (10..10, &[]),
            (10..12, &[]),
        ] {
            let leaves = three();
            let found: Vec<_> = leaves
                .of(range.clone())
                .map(|leaf| (leaf.bytes, leaf.wanted))
                .collect();
            assert_eq!(found, expected, "{range:?}");
        }
        assert_eq!((three().size(), three().count()), (10, 3));
    }

    #[test]
    fn a_block_of_another_length_is_refused() {
        let leaf = three().of(5..7).next().expect("a leaf");
        assert_eq!(leaf.cut(&Bytes::from_static(b"abcd")).expect("four bytes"), "bc");
        assert!(leaf.cut(&Bytes::from_static(b"abc")).is_err());
    }
}
