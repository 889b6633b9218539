//! The formats of a UnixFS DAG: how files, folders and symlinks become blocks, byte for byte.
//!
//! Decoding is strict and bounded, encoding follows the two import profiles of IPIP-499 exactly; nothing in here
//! knows where blocks are kept. [`Sink`] takes what is written.

pub(crate) mod cbor;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod hamt;
mod murmur3;
pub(crate) mod pb;
pub(crate) mod profile;
pub(crate) mod proto;
pub(crate) mod unixfs;

use cid::Cid;

use crate::{Blocks, Error, codec};

/// Takes the blocks of an import. Shared between hashing threads.
pub(crate) trait Sink: Blocks + Sync {
    /// Keeps a block that was hashed just now, so needs no second look.
    fn put(&self, cid: &Cid, block: &[u8]) -> Result<(), Error>;
}

/// A finished subtree, as its parent links to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Child {
    pub cid: Cid,
    /// Bytes of all blocks below and including this one, repetitions counted: the `Tsize` of a link.
    pub tree_bytes: u64,
    /// Bytes of the file that this subtree holds; 0 for folders.
    pub file_bytes: u64,
}

/// The CIDs that a block links to, in the order in which they stand in it. Raw and unknown codecs link to nothing.
pub(crate) fn links(cid: &Cid, block: &bytes::Bytes) -> Result<Vec<Cid>, Error> {
    match cid.codec() {
        codec::DAG_PB => Ok(pb::PbNode::decode(cid, block)?
            .links
            .into_iter()
            .map(|link| link.cid)
            .collect()),
        codec::DAG_CBOR => cbor::links(cid, block),
        _ => Ok(Vec::new()),
    }
}
