//! Reading DAGs: everything here works on [`Blocks`](crate::Blocks), one block at a time, and reads no block that the
//! answer does not need.

pub(crate) mod contains;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod list;
pub(crate) mod resolve;
pub(crate) mod walk;

use bytes::Bytes;
use cid::Cid;

use crate::dag::pb::PbNode;
use crate::dag::unixfs::UnixFs;
use crate::{Error, codec};

/// A dag-pb node with the UnixFS object in it.
pub(crate) struct UnixFsNode {
    pub node: PbNode,
    pub data: UnixFs,
}

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
