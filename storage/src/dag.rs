//! The formats of a UnixFS DAG: how files, folders and symlinks become blocks, byte for byte.
//!
//! Decoding is strict and bounded, encoding follows the two import profiles of IPIP-499 exactly; nothing in here
//! knows where blocks are kept. [`Sink`] takes what is written.

pub(crate) mod cbor;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod hamt;
pub(crate) mod json;
mod murmur3;
pub(crate) mod pb;
pub(crate) mod profile;
pub(crate) mod proto;
pub(crate) mod unixfs;

use bytes::Bytes;
use cid::Cid;
use ipld_core::ipld::Ipld;

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
pub(crate) fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, Error> {
    match cid.codec() {
        codec::DAG_PB => Ok(pb::PbNode::decode(cid, block)?
            .links
            .into_iter()
            .map(|link| link.cid)
            .collect()),
        codec::DAG_CBOR => cbor::links(cid, block),
        codec::DAG_JSON => {
            let mut links = Vec::new();
            links_in(&json::decode(cid, block)?, &mut links);
            Ok(links)
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether blocks of this codec can link to others.
pub(crate) fn has_links(cid: &Cid) -> bool {
    matches!(cid.codec(), codec::DAG_PB | codec::DAG_CBOR | codec::DAG_JSON)
}

fn links_in(value: &Ipld, links: &mut Vec<Cid>) {
    match value {
        Ipld::Link(cid) => links.push(*cid),
        Ipld::List(list) => list.iter().for_each(|value| links_in(value, links)),
        Ipld::Map(map) => map.values().for_each(|value| links_in(value, links)),
        _ => {}
    }
}

/// The value of a block of dag-cbor, dag-json, or of the same without links (cbor, json).
///
/// # Errors
/// The block is malformed, or of another codec.
pub fn decode(cid: &Cid, block: &Bytes) -> Result<Ipld, Error> {
    match cid.codec() {
        codec::DAG_CBOR | CBOR => cbor::decode(cid, block),
        codec::DAG_JSON | JSON => json::decode(cid, block),
        _ => Err(Error::malformed(cid, "a codec without values")),
    }
}

const CBOR: u64 = 0x51;
const JSON: u64 = 0x0200;

/// The value under one path segment: a key of a map or an index of a list.
pub(crate) fn step(value: Ipld, segment: &str) -> Option<Ipld> {
    match value {
        Ipld::Map(mut map) => map.remove(segment),
        Ipld::List(mut list) => {
            let at: usize = segment.parse().ok()?;
            (at < list.len()).then(|| list.swap_remove(at))
        }
        _ => None,
    }
}
