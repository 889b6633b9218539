//! The entries of a folder, in one block or sharded, as a stream.

use cid::Cid;

use super::{UnixFsNode, unixfs_node};
use crate::block::{Blocks, require};
use crate::dag::hamt::{DEPTH_MAX, Shard, Slot};
use crate::dag::unixfs::Type;
use crate::{Error, codec};

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The file, folder or symlink.
    pub cid: Cid,
    /// Bytes of all its blocks as its parent states them (`Tsize`); not verified.
    pub tree_bytes: u64,
}

/// Lists the folder `dir`. Entries come in the order of the blocks: by name in a flat folder, by hash in a sharded one.
pub fn list<'a>(blocks: &'a dyn Blocks, dir: &Cid) -> Listing<'a> {
    Listing {
        blocks,
        pending: vec![Pending::Block(*dir, 0)],
    }
}

/// The stream of [`list`]. After [`Error::Missing`] it may be asked again, once the block has been fetched; after any
/// other error it is over.
pub struct Listing<'a> {
    blocks: &'a dyn Blocks,
    /// What comes next is last.
    pending: Vec<Pending>,
}

enum Pending {
    /// A folder or shard that is not read yet, and how many shards are above it.
    Block(Cid, u32),
    Entry(Result<Entry, Error>),
}

impl Iterator for Listing<'_> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        loop {
            match self.pending.pop()? {
                Pending::Entry(entry) => return Some(entry),
                Pending::Block(cid, depth) => {
                    if let Err(error) = self.expand(&cid, depth) {
                        match error {
                            Error::Missing(_) => self.pending.push(Pending::Block(cid, depth)),
                            _ => self.pending.clear(),
                        }
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

impl Listing<'_> {
    fn expand(&mut self, cid: &Cid, depth: u32) -> Result<(), Error> {
        if cid.codec() != codec::DAG_PB {
            return Err(Error::NotDirectory(*cid));
        }
        let block = require(self.blocks, cid)?;
        let Some(UnixFsNode { node, data }) = unixfs_node(cid, &block)? else {
            return Err(Error::NotDirectory(*cid));
        };
        match data.kind {
            Type::HamtShard if depth <= DEPTH_MAX => {
                self.expand_shard(&Shard::new(cid, node, &data)?, cid, depth)
            }
            Type::HamtShard => Err(Error::malformed(cid, "a HAMT deeper than its hash")),
            Type::Directory if depth == 0 => {
                let entries = node.links.into_iter().rev();
                let entries = entries.map(|link| entry(cid, &link.name, link.cid, link.tree_bytes));
                self.pending.extend(entries.map(Pending::Entry));
                Ok(())
            }
            _ => Err(Error::NotDirectory(*cid)),
        }
    }

    fn expand_shard(&mut self, shard: &Shard, cid: &Cid, depth: u32) -> Result<(), Error> {
        for slot in shard.slots().rev() {
            self.pending.push(match slot? {
                Slot::Shard(below) => Pending::Block(below, depth + 1),
                Slot::Entry {
                    name,
                    cid: child,
                    tree_bytes,
                } => Pending::Entry(entry(cid, &name, child, tree_bytes)),
            });
        }
        Ok(())
    }
}

fn entry(dir: &Cid, name: &[u8], cid: Cid, tree_bytes: u64) -> Result<Entry, Error> {
    let name = std::str::from_utf8(name).map_err(|_| Error::malformed(dir, "a name that is not UTF-8"))?;
    Ok(Entry {
        name: name.to_owned(),
        cid,
        tree_bytes,
    })
}
