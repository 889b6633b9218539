//! From a root and a path to an object.

use bytes::Bytes;
use cid::Cid;
use ipld_core::ipld::Ipld;

use super::{UnixFsNode, unixfs_node};
use crate::block::{Blocks, require};
use crate::dag::hamt::{Place, Shard, Slot};
use crate::dag::unixfs::{Type, UnixFs};
use crate::dag::{decode, pb::PbNode, step};
use crate::{Error, codec};

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The object at the end of the path.
    pub cid: Cid,
    /// The root, then the object that each segment led to: the `X-Ipfs-Roots` of a gateway. Segments within one
    /// object add nothing.
    pub roots: Vec<Cid>,
    /// What the object is.
    pub kind: Kind,
    /// The segments that lead to a value inside an object; empty when the path ends at an object.
    pub rest: Vec<String>,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A UnixFS file of `size` bytes.
    File {
        /// Bytes of the file.
        size: u64,
    },
    /// A UnixFS folder, in one block or sharded.
    Directory,
    /// A UnixFS symbolic link.
    Symlink {
        /// Where it points, as it was written.
        target: String,
    },
    /// A raw block: as a file it has `size` bytes.
    Raw {
        /// Bytes of the block.
        size: u64,
    },
    /// A dag-cbor object.
    DagCbor,
    /// A dag-json object.
    DagJson,
    /// An object of a codec that is not looked into.
    Other {
        /// The multicodec code.
        codec: u64,
    },
}

/// Follows `path` from `root`, reading only the blocks on the way: of a sharded folder one shard a level. Symlinks are
/// not followed.
pub fn resolve(blocks: &dyn Blocks, root: &Cid, path: &[&str]) -> Result<Node, Error> {
    let mut cid = *root;
    let mut roots = vec![cid];
    let mut rest = path;
    blocks.path(root, path);
    loop {
        let block = require(blocks, &cid)?;
        let next = match (rest, cid.codec()) {
            ([], _) => {
                return Ok(Node {
                    cid,
                    roots,
                    kind: kind(&cid, &block)?,
                    rest: Vec::new(),
                });
            }
            (_, codec::DAG_CBOR | codec::DAG_JSON) => follow_object(&cid, &block, rest)?,
            ([segment, below @ ..], _) => Some((lookup(blocks, &cid, &block, segment)?, below)),
        };
        let Some((target, below)) = next else {
            let rest = rest.iter().map(|&segment| segment.to_owned()).collect();
            let kind = kind(&cid, &block)?;
            return Ok(Node {
                cid,
                roots,
                kind,
                rest,
            });
        };
        cid = target;
        roots.push(cid);
        rest = below;
    }
}

/// What a block is by itself.
pub(crate) fn kind(cid: &Cid, block: &Bytes) -> Result<Kind, Error> {
    let UnixFsNode { data, .. } = match (unixfs_node(cid, block)?, cid.codec()) {
        (Some(node), _) => node,
        (None, codec::RAW) => {
            return Ok(Kind::Raw {
                size: block.len() as u64,
            });
        }
        (None, codec::DAG_CBOR) => return Ok(Kind::DagCbor),
        (None, codec::DAG_JSON) => return Ok(Kind::DagJson),
        (None, codec) => return Ok(Kind::Other { codec }),
    };
    match data.kind {
        Type::Directory | Type::HamtShard => Ok(Kind::Directory),
        Type::File | Type::Raw => Ok(Kind::File {
            size: file_bytes(&data),
        }),
        Type::Symlink => symlink_target(cid, &data).map(|target| Kind::Symlink { target }),
        Type::Metadata => Ok(Kind::Other { codec: codec::DAG_PB }),
    }
}

/// The length of a file by its root; a leaf need not state it.
pub(crate) fn file_bytes(data: &UnixFs) -> u64 {
    let own = data.data.len() as u64;
    data.file_bytes.unwrap_or_else(|| {
        data.block_bytes
            .iter()
            .fold(own, |sum, &bytes| sum.saturating_add(bytes))
    })
}

/// The entry `name` of the folder in `block`.
fn lookup(blocks: &dyn Blocks, cid: &Cid, block: &Bytes, name: &str) -> Result<Cid, Error> {
    let missing = || Error::NoLink {
        cid: *cid,
        segment: name.to_owned(),
    };
    let Some(UnixFsNode { node, data }) = unixfs_node(cid, block)? else {
        return Err(missing());
    };
    match data.kind {
        Type::Directory => flat_lookup(&node, name).ok_or_else(missing),
        Type::HamtShard => {
            shard_lookup(blocks, Shard::new(cid, node, &data, Place::default())?, name)?.ok_or_else(missing)
        }
        _ => Err(missing()),
    }
}

fn flat_lookup(node: &PbNode, name: &str) -> Option<Cid> {
    node.links
        .iter()
        .find(|link| link.name == name.as_bytes())
        .map(|link| link.cid)
}

fn shard_lookup(blocks: &dyn Blocks, mut shard: Shard, name: &str) -> Result<Option<Cid>, Error> {
    loop {
        match shard.find(name)? {
            None => return Ok(None),
            Some(Slot::Entry { cid, .. }) => return Ok(Some(cid)),
            Some(Slot::Shard(below, place)) => shard = read_shard(blocks, &below, place)?,
        }
    }
}

fn read_shard(blocks: &dyn Blocks, cid: &Cid, place: Place) -> Result<Shard, Error> {
    let block = require(blocks, cid)?;
    let node = unixfs_node(cid, &block)?.ok_or_else(|| Error::malformed(cid, "not a HAMT shard"))?;
    Shard::new(cid, node.node, &node.data, place)
}

/// The first link that `path` crosses and what is left of the path; `None` when it ends inside the object.
fn follow_object<'a, 'b>(
    cid: &Cid,
    block: &Bytes,
    path: &'a [&'b str],
) -> Result<Option<(Cid, &'a [&'b str])>, Error> {
    let mut value = decode(cid, block)?;
    for (at, segment) in path.iter().enumerate() {
        let missing = || Error::NoLink {
            cid: *cid,
            segment: (*segment).to_owned(),
        };
        value = step(value, segment).ok_or_else(missing)?;
        if let Ipld::Link(target) = value {
            return Ok(Some((target, &path[at + 1..])));
        }
    }
    Ok(None)
}

fn symlink_target(cid: &Cid, data: &UnixFs) -> Result<String, Error> {
    String::from_utf8(data.data.to_vec())
        .map_err(|_| Error::malformed(cid, "a symlink target that is not UTF-8"))
}
