//! The blocks that one request has read, in order: none is read from the store twice, and a CAR stream sends them.

use std::cell::RefCell;

use bytes::Bytes;
use cid::Cid;
use storage::{Blocks, Error};

/// Reads through `inner` and remembers. For the few blocks of a path, not for a whole tree.
pub(crate) struct Trail<'a> {
    inner: &'a dyn Blocks,
    read: RefCell<Vec<(Cid, Bytes)>>,
}

impl<'a> Trail<'a> {
    pub(crate) fn new(inner: &'a dyn Blocks) -> Self {
        Self {
            inner,
            read: RefCell::default(),
        }
    }

    /// A trail on which `block` has been read already.
    pub(crate) fn seeded(inner: &'a dyn Blocks, cid: Cid, block: Bytes) -> Self {
        Self {
            inner,
            read: RefCell::new(vec![(cid, block)]),
        }
    }

    /// What has been read so far, oldest first, each once.
    pub(crate) fn into_blocks(self) -> Vec<(Cid, Bytes)> {
        self.read.into_inner()
    }

    fn known(&self, cid: &Cid) -> Option<Bytes> {
        self.read
            .borrow()
            .iter()
            .rev()
            .find(|(known, _)| known == cid)
            .map(|(_, block)| block.clone())
    }
}

impl Blocks for Trail<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        if let Some(block) = self.known(cid) {
            return Ok(Some(block));
        }
        let block = self.inner.block(cid)?;
        if let Some(block) = &block {
            self.read.borrow_mut().push((*cid, block.clone()));
        }
        Ok(block)
    }
}
