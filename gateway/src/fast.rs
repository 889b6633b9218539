//! The fast path: answers that are served from memory, before anything else of the gateway runs.
//!
//! Nothing here computes an answer. The usual path does, once; what it answered is kept, head and body, under the bytes of
//! the request that may decide it (`asked`), and given again to whoever sends the same. So both paths say the same by
//! construction, and a rule that is added to the usual path is followed here too. What is kept:
//!
//! * the head of a whole file (200), of a part of it (206) and of "you have it" (304), each as it was last given;
//! * small bodies whole; of large files a table of their blocks ([`storage::Leaves`]), so that a range is a slice of one.
//!
//! The blocks themselves are kept too, for both paths ([`tier`]), and everything together is bounded by bytes (`memory`).
//!
//! Content under a CID cannot change. An answer by name counts as long as the ledger is at the height at which the name
//! was read last and led to the same root; after each block, the first request for a name reads it again, in the usual
//! way. When blocks were removed from this node, or [`Fast::forget`] was called, nothing that was kept before counts.

mod asked;
mod found;
mod head;
mod kept;
mod memory;
mod tier;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cid::Cid;
use named::dap::Names;
use storage::{BlockSource, Blocks, Leaves, SharedBlocks};

pub(crate) use asked::{Asked, Way};
pub(crate) use found::{Again, Found, Sent};
pub(crate) use head::{status_line, write_header};
pub(crate) use kept::Basis;

use crate::body::Body;
use kept::Kept;
use memory::Memory;
use tier::{InMemory, Tiered};

/// What is served from memory; a clone shares it.
#[derive(Clone)]
pub(crate) struct Fast(Arc<Shared>);

struct Shared {
    memory: Memory,
    source: Arc<dyn BlockSource>,
    names: Arc<dyn Names>,
    /// How often everything was to be forgotten.
    forgotten: AtomicU64,
}

impl Fast {
    /// Keeps at most `bytes` of the blocks of `source` and of answers made of them; none keeps nothing.
    pub(crate) fn new(bytes: u64, source: Arc<dyn BlockSource>, names: Arc<dyn Names>) -> Self {
        Self(Arc::new(Shared {
            memory: Memory::new(bytes),
            source,
            names,
            forgotten: AtomicU64::new(0),
        }))
    }

    /// From now on nothing counts that was kept before: what may be served has changed.
    pub(crate) fn forget(&self) {
        self.0.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    /// The answer to a request, if it is in memory and counts.
    pub(crate) fn find(&self, asked: &Asked<'_>) -> Option<Found> {
        let kept = self.0.memory.answer(asked, self.age())?;
        if !kept.basis.holds(&*self.0.names) {
            return None;
        }
        found::find(&kept, asked, |cid| self.0.memory.block(cid, self.age()))
    }

    /// Whether an answer that was found still counts.
    pub(crate) fn counts(&self, again: &Again) -> bool {
        again.basis.age == self.age() && again.basis.holds(&*self.0.names)
    }

    /// Keeps what the usual path has answered, if it can be given again.
    pub(crate) fn keep(&self, asked: &Asked<'_>, response: &http::Response<Body>) {
        if !self.0.memory.is_on() {
            return;
        }
        let Some(basis) = response.extensions().get::<Basis>() else {
            return;
        };
        let before = self.0.memory.answer(asked, basis.age);
        if let Some(kept) = Kept::of(before.as_deref(), basis, response) {
            self.0.memory.keep_answer(asked, basis.age, kept);
        }
    }

    /// On what an answer is based that begins now, at `root`: to be noted before anything is read for it. `name` is the
    /// name that led to the root, with the height at which it did.
    pub(crate) fn basis(&self, root: Cid, name: Option<(&str, u64)>) -> Basis {
        let age = self.age();
        let slot = name.map(|(name, height)| self.0.memory.slot(name, root, height, age));
        Basis { root, age, slot }
    }

    /// The table of a file's blocks, if it has one; `blocks` are asked for the inner nodes the first time.
    pub(crate) fn leaves(&self, cid: &Cid, blocks: &dyn Blocks) -> Option<Arc<Leaves>> {
        let age = self.age();
        if !self.0.memory.is_on() {
            return None;
        }
        if let Some(known) = self.0.memory.leaves(cid, age) {
            return known;
        }
        let leaves = Leaves::read(blocks, cid, LEAVES_MAX).ok()?.map(Arc::new);
        self.0.memory.keep_leaves(cid, age, leaves.clone());
        leaves
    }

    /// The same blocks, through memory.
    pub(crate) fn over(&self, source: Arc<dyn BlockSource>) -> Arc<dyn BlockSource> {
        Arc::new(Tiered::new(self.clone(), source))
    }

    /// What is in memory, and nothing else.
    pub(crate) fn in_memory(&self) -> SharedBlocks {
        Arc::new(InMemory(self.clone()))
    }

    /// What counts now: only what was kept at the same age does.
    fn age(&self) -> u64 {
        let forgotten = self.0.forgotten.load(Ordering::Acquire);
        // Both only grow, so the sum is the same only if both are.
        self.0.source.removed().wrapping_add(forgotten)
    }
}

/// Blocks of a file whose table is kept: of 1 MiB each they make 64 GiB, and the table 7 MiB.
const LEAVES_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests;
