//! The entries of a folder, in one block or sharded, as a stream.

use cid::Cid;

use super::{UnixFsNode, unixfs_node};
use crate::block::{Blocks, require};
use crate::dag::hamt::{Place, Shard, Slot};
use crate::dag::pb::PbLink;
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
pub fn list<B: Blocks>(blocks: B, dir: &Cid) -> Listing<B> {
    Listing {
        blocks,
        pending: vec![Pending::Block(*dir, None)],
        after: None,
    }
}

/// Lists the folder `dir` from the entry behind `name` on, in the same order; `name` need not be there. Of a sharded folder
/// what comes before it is not read.
pub fn list_after<B: Blocks>(blocks: B, dir: &Cid, name: &str) -> Listing<B> {
    Listing {
        after: Some(name.to_owned()),
        ..list(blocks, dir)
    }
}

/// The stream of [`list`]. After an [absence](Error::is_absence) it may be asked again, once the block has been fetched;
/// after any other error it is over.
pub struct Listing<B> {
    blocks: B,
    /// What comes next is last.
    pending: Vec<Pending>,
    /// What comes before this entry, and the entry itself, is left out.
    after: Option<String>,
}

enum Pending {
    /// A block that is not read yet: the folder, or a shard of it at its place.
    Block(Cid, Option<Place>),
    Entry(Result<Entry, Error>),
}

impl<B: Blocks> Iterator for Listing<B> {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Result<Entry, Error>> {
        loop {
            let (cid, place) = match self.pending.pop()? {
                Pending::Entry(entry) => return Some(entry),
                Pending::Block(cid, place) => (cid, place),
            };
            if let Err(error) = self.expand(&cid, place) {
                match error.is_absence() {
                    true => self.pending.push(Pending::Block(cid, place)),
                    false => self.pending.clear(),
                }
                return Some(Err(error));
            }
        }
    }
}

impl<B: Blocks> Listing<B> {
    /// The shards to be read, the next one first.
    fn shards(&self) -> impl Iterator<Item = &Cid> {
        self.pending.iter().rev().filter_map(|pending| match pending {
            Pending::Block(cid, _) => Some(cid),
            Pending::Entry(_) => None,
        })
    }

    fn expand(&mut self, cid: &Cid, place: Option<Place>) -> Result<(), Error> {
        if cid.codec() != codec::DAG_PB {
            return Err(Error::NotDirectory(*cid));
        }
        let block = require(&self.blocks, cid)?;
        let Some(UnixFsNode { node, data }) = unixfs_node(cid, &block)? else {
            return Err(Error::NotDirectory(*cid));
        };
        match (data.kind, place) {
            (Type::HamtShard, _) => {
                let shard = Shard::new(cid, node, &data, place.unwrap_or_default())?;
                let slots = shard.slots().rev().collect::<Result<Vec<_>, _>>()?;
                let slots = slots.into_iter().filter(|slot| self.is_due(slot));
                let slots: Vec<_> = slots.map(|slot| pending(cid, slot)).collect();
                self.pending.extend(slots);
                self.blocks.soon(&mut self.shards());
            }
            (Type::Directory, None) => {
                let after = self.after.as_deref().map(str::as_bytes);
                let due = |link: &PbLink| after.is_none_or(|after| *link.name > *after);
                let entries = node.links.into_iter().rev().filter(due);
                let entries = entries.map(|link| entry(cid, &link.name, link.cid, link.tree_bytes));
                self.pending.extend(entries.map(Pending::Entry));
            }
            _ => return Err(Error::NotDirectory(*cid)),
        }
        Ok(())
    }

    /// Whether a slot has anything behind the entry after which the listing begins.
    fn is_due(&self, slot: &Slot) -> bool {
        self.after
            .as_deref()
            .is_none_or(|after| slot.reaches_beyond(after))
    }
}

fn pending(dir: &Cid, slot: Slot) -> Pending {
    match slot {
        Slot::Shard(below, place) => Pending::Block(below, Some(place)),
        Slot::Entry {
            name,
            cid,
            tree_bytes,
        } => Pending::Entry(entry(dir, &name, cid, tree_bytes)),
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
