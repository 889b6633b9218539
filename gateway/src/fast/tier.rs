//! Blocks through memory: what was read lately is not read again.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use storage::{BlockSource, Blocks, Error, SharedBlocks};

use super::Fast;

/// A source of blocks, with memory before it.
pub(crate) struct Tiered {
    fast: Fast,
    source: Arc<dyn BlockSource>,
}

impl Tiered {
    pub(super) fn new(fast: Fast, source: Arc<dyn BlockSource>) -> Self {
        Self { fast, source }
    }

    fn over(&self, below: SharedBlocks) -> SharedBlocks {
        Arc::new(Through {
            fast: self.fast.clone(),
            age: self.fast.age(),
            below,
        })
    }
}

impl BlockSource for Tiered {
    fn below(&self, root: &Cid) -> SharedBlocks {
        self.over(self.source.below(root))
    }

    fn named(&self, root: &Cid, name: &str) {
        self.source.named(root, name);
    }

    fn here(&self) -> SharedBlocks {
        self.over(self.source.here())
    }

    fn removed(&self) -> u64 {
        self.source.removed()
    }
}

struct Through {
    fast: Fast,
    /// The age of the memory when the reading began: a block that is removed meanwhile is not kept.
    age: u64,
    below: SharedBlocks,
}

impl Blocks for Through {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let memory = &self.fast.0.memory;
        if let Some(block) = memory.block(cid, self.fast.age()) {
            return Ok(Some(block));
        }
        let block = self.below.block(cid)?;
        if let Some(block) = &block {
            memory.keep_block(cid, self.age, block.clone());
        }
        Ok(block)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.below.soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        self.below.path(root, segments);
    }
}

/// What is in memory, and nothing else: reading it never waits.
pub(crate) struct InMemory(pub(super) Fast);

impl Blocks for InMemory {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        Ok(self.0.0.memory.block(cid, self.0.age()))
    }
}
