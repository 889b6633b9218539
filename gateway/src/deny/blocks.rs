//! Blocks without those that are denied: whoever reads through this cannot serve one by mistake.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use storage::{BlockSource, Blocks, Error, SharedBlocks};

use super::{Denied, Denylists, Rules};

/// The blocks of a source that no list denies.
pub(crate) struct Allowed {
    pub source: Arc<dyn BlockSource>,
    pub lists: Arc<Denylists>,
}

/// What of some blocks no list denies now.
pub(crate) fn only(lists: &Denylists, blocks: SharedBlocks) -> SharedBlocks {
    let rules = lists.rules();
    match rules.count() {
        0 => blocks,
        _ => Arc::new(AllowedBlocks { blocks, rules }),
    }
}

impl BlockSource for Allowed {
    fn below(&self, root: &Cid) -> SharedBlocks {
        only(&self.lists, self.source.below(root))
    }

    fn named(&self, root: &Cid, name: &str) {
        self.source.named(root, name);
    }

    fn here(&self) -> SharedBlocks {
        only(&self.lists, self.source.here())
    }

    fn removed(&self) -> u64 {
        self.source.removed()
    }
}

struct AllowedBlocks {
    blocks: SharedBlocks,
    rules: Arc<Rules>,
}

impl Blocks for AllowedBlocks {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        match self.rules.content(cid, "") {
            None => self.blocks.block(cid),
            Some(denied) => Err(Error::Stream {
                operation: "read",
                source: io::Error::new(io::ErrorKind::PermissionDenied, denied),
            }),
        }
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        let mut allowed = cids.filter(|cid| self.rules.content(cid, "").is_none());
        self.blocks.soon(&mut allowed);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        self.blocks.path(root, segments);
    }
}

/// What kept a block from being read, if it was a denylist.
pub(crate) fn denial(error: &Error) -> Option<Denied> {
    match error {
        Error::Stream { source, .. } => source.get_ref()?.downcast_ref().copied(),
        _ => None,
    }
}
