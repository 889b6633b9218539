//! All blocks of a DAG, each once, parents before children, in the order of the links.

use std::collections::HashSet;

use bytes::Bytes;
use cid::Cid;

use crate::Error;
use crate::block::{Blocks, inline, require};
use crate::dag::links;

/// Visits every block below some roots, depth first. Inline (identity) blocks are not visited.
///
/// After [`Error::Missing`] the walk may be asked again, once the block has been fetched. Memory grows with the number
/// of different blocks, at about 100 bytes each.
pub struct Walk<'a> {
    blocks: &'a dyn Blocks,
    seen: HashSet<Cid>,
    /// What comes next is last.
    pending: Vec<Cid>,
}

impl<'a> Walk<'a> {
    /// A walk over everything below `roots`.
    pub fn new(blocks: &'a dyn Blocks, roots: &[Cid]) -> Walk<'a> {
        Walk {
            blocks,
            seen: HashSet::new(),
            pending: roots.iter().rev().copied().collect(),
        }
    }

    fn visit(&mut self, cid: &Cid) -> Result<Bytes, Error> {
        let block = require(self.blocks, cid)?;
        let below = links(cid, &block)?;
        self.seen.insert(*cid);
        let seen = &self.seen;
        self.pending
            .extend(below.into_iter().rev().filter(|cid| !seen.contains(cid)));
        Ok(block)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Cid, Bytes), Error>;

    fn next(&mut self) -> Option<Result<(Cid, Bytes), Error>> {
        while let Some(cid) = self.pending.pop() {
            if self.seen.contains(&cid) {
                continue;
            }
            match self.visit(&cid) {
                Ok(_) if inline(&cid).is_some() => {}
                Ok(block) => return Some(Ok((cid, block))),
                Err(error) => {
                    match error {
                        Error::Missing(_) => self.pending.push(cid),
                        _ => self.pending.clear(),
                    }
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
