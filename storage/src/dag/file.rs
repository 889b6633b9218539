//! Files: leaves of one chunk each under a balanced tree.

use super::pb::Encoder;
use super::profile::Profile;
use super::unixfs::{file_leaf, file_node};
use super::{Child, Sink};
use crate::Error;

/// Writes one leaf.
pub(crate) fn write_leaf(sink: &dyn Sink, profile: Profile, chunk: &[u8]) -> Result<Child, Error> {
    let file_bytes = chunk.len() as u64;
    if profile.raw_leaves() {
        let cid = Profile::seal_raw(sink, chunk)?;
        return Ok(Child {
            cid,
            tree_bytes: file_bytes,
            file_bytes,
        });
    }
    let block = Encoder::with_capacity(chunk.len() + 32).finish(&file_leaf(chunk));
    let cid = profile.seal_node(sink, &block)?;
    Ok(Child {
        cid,
        tree_bytes: block.len() as u64,
        file_bytes,
    })
}

/// The tree above the leaves. All leaves have the same depth, so a lone last leaf gets its own parents.
pub(crate) struct Balanced<'a> {
    sink: &'a dyn Sink,
    profile: Profile,
    /// Nodes without a parent, leaves first; every level but the last is not yet full.
    levels: Vec<Vec<Child>>,
}

impl<'a> Balanced<'a> {
    pub fn new(sink: &'a dyn Sink, profile: Profile) -> Balanced<'a> {
        Balanced {
            sink,
            profile,
            levels: vec![Vec::new()],
        }
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Child) -> Result<(), Error> {
        self.push_at(0, leaf)
    }

    /// The root, after at least one leaf.
    pub fn finish(mut self) -> Result<Child, Error> {
        let mut level = 0;
        loop {
            let is_top = level + 1 == self.levels.len();
            match self.levels[level][..] {
                [root] if is_top => return Ok(root),
                [] if is_top => return write_leaf(self.sink, self.profile, &[]),
                [] => {}
                _ => self.pack(level)?,
            }
            level += 1;
        }
    }

    fn push_at(&mut self, level: usize, node: Child) -> Result<(), Error> {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(node);
        if self.levels[level].len() == self.profile.width() {
            self.pack(level)
        } else {
            Ok(())
        }
    }

    /// Puts the nodes of a level below a new parent.
    fn pack(&mut self, level: usize) -> Result<(), Error> {
        let children = std::mem::take(&mut self.levels[level]);
        let mut node = Encoder::with_capacity(children.len() * 64 + 64);
        for child in &children {
            node.link(&child.cid, b"", child.tree_bytes);
        }
        let block = node.finish(&file_node(children.iter().map(|child| child.file_bytes)));
        let cid = self.profile.seal_node(self.sink, &block)?;
        let below: u64 = children.iter().map(|child| child.tree_bytes).sum();
        let file_bytes = children.iter().map(|child| child.file_bytes).sum();
        self.push_at(
            level + 1,
            Child {
                cid,
                tree_bytes: below + block.len() as u64,
                file_bytes,
            },
        )
    }
}
