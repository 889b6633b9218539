//! All blocks of a DAG, each once, parents before children, in the order of the links.

use std::collections::HashSet;

use bytes::Bytes;
use cid::Cid;

use super::Ahead;
use crate::Error;
use crate::block::{Blocks, inline, require};
use crate::dag::links;

/// Visits every block below some roots, depth first: each once, or as often as it is linked to. Inline (identity) blocks
/// are not visited.
///
/// After an [absence](Error::is_absence) the walk may be asked again, once the block has been fetched. Memory grows with
/// the number of different blocks, at about 100 bytes each.
pub struct Walk<B> {
    blocks: B,
    /// `None` if blocks may come again.
    seen: Option<HashSet<Cid>>,
    /// What comes next is last.
    pending: Vec<Cid>,
    ahead: Ahead,
}

impl<B: Blocks> Walk<B> {
    /// A walk over everything below `roots`, each block once.
    pub fn new(blocks: B, roots: &[Cid]) -> Walk<B> {
        Walk::with(blocks, roots, Some(HashSet::new()))
    }

    /// A walk that visits a block for every link to it. A few blocks can make it endless in practice; its memory stays
    /// bounded.
    pub fn repeated(blocks: B, roots: &[Cid]) -> Walk<B> {
        Walk::with(blocks, roots, None)
    }

    fn with(blocks: B, roots: &[Cid], seen: Option<HashSet<Cid>>) -> Walk<B> {
        Walk {
            blocks,
            seen,
            pending: roots.iter().rev().copied().collect(),
            ahead: Ahead::default(),
        }
    }

    /// Tells what will be read next.
    fn look_ahead(&mut self) {
        let seen = &self.seen;
        let unseen = self.pending.iter().rev().filter(|cid| !is_in(seen, cid));
        self.ahead.step(&self.blocks, unseen);
    }

    fn visit(&mut self, cid: &Cid) -> Result<Bytes, Error> {
        let block = require(&self.blocks, cid)?;
        let below = links(cid, &block)?;
        if let Some(seen) = &mut self.seen {
            seen.insert(*cid);
        }
        let (seen, had) = (&self.seen, self.pending.len());
        self.pending
            .extend(below.into_iter().rev().filter(|cid| !is_in(seen, cid)));
        if self.seen.is_none() && self.pending.len() > PENDING_MAX {
            return Err(Error::malformed(cid, "links nested too deep and too wide"));
        }
        if self.pending.len() > had {
            self.ahead.renew();
        }
        Ok(block)
    }
}

impl<B: Blocks> Iterator for Walk<B> {
    type Item = Result<(Cid, Bytes), Error>;

    fn next(&mut self) -> Option<Result<(Cid, Bytes), Error>> {
        loop {
            self.look_ahead();
            let cid = self.pending.pop()?;
            if is_in(&self.seen, &cid) {
                continue;
            }
            match self.visit(&cid) {
                Ok(_) if inline(&cid).is_some() => {}
                Ok(block) => return Some(Ok((cid, block))),
                Err(error) => {
                    match error.is_absence() {
                        true => self.pending.push(cid),
                        false => self.pending.clear(),
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}

fn is_in(seen: &Option<HashSet<Cid>>, cid: &Cid) -> bool {
    seen.as_ref().is_some_and(|seen| seen.contains(cid))
}

/// Links that wait to be followed when blocks may come again: those beside the path to one block, at some 100 bytes each.
const PENDING_MAX: usize = 1 << 20;
