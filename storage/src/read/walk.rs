//! All blocks of a DAG, each once, parents before children, in the order of the links.

use std::collections::HashSet;

use bytes::Bytes;
use cid::Cid;

use super::Ahead;
use crate::Error;
use crate::block::{Blocks, inline, require};
use crate::dag::links;

/// Visits every block below some roots, depth first. Inline (identity) blocks are not visited.
///
/// After an [absence](Error::is_absence) the walk may be asked again, once the block has been fetched. Memory grows with
/// the number of different blocks, at about 100 bytes each.
pub struct Walk<B> {
    blocks: B,
    seen: HashSet<Cid>,
    /// What comes next is last.
    pending: Vec<Cid>,
    ahead: Ahead,
}

impl<B: Blocks> Walk<B> {
    /// A walk over everything below `roots`.
    pub fn new(blocks: B, roots: &[Cid]) -> Walk<B> {
        Walk {
            blocks,
            seen: HashSet::new(),
            pending: roots.iter().rev().copied().collect(),
            ahead: Ahead::default(),
        }
    }

    /// Tells what will be read next.
    fn look_ahead(&mut self) {
        let unseen = self.pending.iter().rev().filter(|cid| !self.seen.contains(cid));
        self.ahead.step(&self.blocks, unseen);
    }

    fn visit(&mut self, cid: &Cid) -> Result<Bytes, Error> {
        let block = require(&self.blocks, cid)?;
        let below = links(cid, &block)?;
        self.seen.insert(*cid);
        let (seen, had) = (&self.seen, self.pending.len());
        self.pending
            .extend(below.into_iter().rev().filter(|cid| !seen.contains(cid)));
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
            if self.seen.contains(&cid) {
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
