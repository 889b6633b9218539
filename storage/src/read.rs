//! Reading DAGs: everything here works on [`Blocks`], one block at a time, and reads no block that the answer does not
//! need. What will be read next is told in advance ([`Blocks::soon`]), so that blocks from elsewhere come in a stream.

pub(crate) mod archive;
pub(crate) mod contains;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod leaves;
pub(crate) mod list;
pub(crate) mod resolve;
pub(crate) mod walk;

use bytes::Bytes;
use cid::Cid;

use crate::dag::pb::PbNode;
use crate::dag::unixfs::UnixFs;
use crate::{Blocks, Error, codec};

/// A dag-pb node with the UnixFS object in it.
pub(crate) struct UnixFsNode {
    pub node: PbNode,
    pub data: UnixFs,
}

/// How far a reader has told what it will read.
#[derive(Default)]
pub(crate) struct Ahead {
    /// How many of the next blocks have been told.
    told: usize,
}

impl Ahead {
    /// What comes next has changed.
    pub fn renew(&mut self) {
        self.told = 0;
    }

    /// A block is about to be read, the first of `next`. Tells so many at a time that it is seldom done.
    pub fn step<'a>(&mut self, blocks: &dyn Blocks, next: impl Iterator<Item = &'a Cid>) {
        self.told = self.told.saturating_sub(1);
        if self.told < AHEAD / 2 {
            blocks.soon(&mut next.take(AHEAD));
            self.told = AHEAD;
        }
    }
}

/// Blocks that a reader tells in advance: 64 MiB at most, and enough small ones to fill a long path.
pub(crate) const AHEAD: usize = 64;

/// Decodes a UnixFS node; `None` when the CID is of another codec.
pub(crate) fn unixfs_node(cid: &Cid, block: &Bytes) -> Result<Option<UnixFsNode>, Error> {
    if cid.codec() != codec::DAG_PB {
        return Ok(None);
    }
    let node = PbNode::decode(cid, block)?;
    let data = node
        .data
        .as_ref()
        .ok_or_else(|| Error::malformed(cid, "a node without UnixFS data"))?;
    let data = UnixFs::decode(cid, data)?;
    Ok(Some(UnixFsNode { node, data }))
}
