//! The blocks below one root, as one request reads them: first from this node alone, then, if it may, from others.
//!
//! A block that is not here is missing in the first way of reading, and is waited for in the second. So whoever reads can
//! try first without the chance of waiting, and find a place to wait at when it has to.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use cid::Cid;
use storage::{BlockSource, Blocks, Error, SharedBlocks};
use tokio_util::sync::CancellationToken;

use crate::flights::{Flights, Lead, Turn, Wanted};

/// The blocks of one request. One thread at a time reads through it.
pub(crate) struct Trail {
    root: Cid,
    memory_only: SharedBlocks,
    here: SharedBlocks,
    /// `None` if the request must be answered from what is here.
    below: Option<SharedBlocks>,
    /// How far reading goes: a [`Reach`].
    reach: AtomicU8,
    /// The client has left: what is read from now on is read for nobody.
    gone: CancellationToken,
    memory: Mutex<Memory>,
    /// Others may wait for the block that is being read through this.
    lead: Mutex<Option<Lead>>,
    flights: Flights,
}

/// How far reading goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Reach {
    /// What is in memory, so that it never waits.
    Memory,
    /// What is on this node.
    Here,
    /// What others have too.
    Far,
}

/// What has been read on the way to the first byte of the answer.
#[derive(Default)]
struct Memory {
    /// Nothing is remembered any more.
    over: bool,
    /// Every block, in the order of reading.
    path: Vec<Cid>,
    /// The last blocks, so that none is read from the disk twice.
    recent: VecDeque<(Cid, Bytes)>,
    recent_bytes: usize,
}

/// Room for two blocks of the largest kind: the end of a path, and the first leaf below it.
const RECENT_BYTES_MAX: usize = 2 * storage::BLOCK_BYTES_MAX;

impl Trail {
    /// Reads below `root`: what others have too, if `may_fetch`. It is given up when `gone` is cancelled.
    pub(crate) fn new(
        source: &dyn BlockSource,
        in_memory: SharedBlocks,
        root: Cid,
        may_fetch: bool,
        flights: Flights,
        gone: CancellationToken,
    ) -> Self {
        Self {
            root,
            memory_only: in_memory,
            here: source.here(),
            below: may_fetch.then(|| source.below(&root)),
            reach: AtomicU8::new(Reach::Here as u8),
            gone,
            memory: Mutex::default(),
            lead: Mutex::default(),
            flights,
        }
    }

    pub(crate) fn root(&self) -> &Cid {
        &self.root
    }

    /// Whether a block that is not here may be got from others.
    pub(crate) fn may_fetch(&self) -> bool {
        self.below.is_some()
    }

    /// Whether reading waits for others.
    pub(crate) fn is_far(&self) -> bool {
        self.far().is_some()
    }

    /// Others wait for a block; they go on as soon as it has been read.
    pub(crate) fn leads(&self, lead: Option<Lead>) {
        *self.lead() = lead;
    }

    /// Takes back what [`leads`](Self::leads) gave, if the block has not been read.
    pub(crate) fn still_leads(&self) -> Option<Lead> {
        self.lead().take()
    }

    /// From now on reading goes so far.
    pub(crate) fn reach(&self, reach: Reach) {
        self.reach.store(reach as u8, Ordering::Relaxed);
    }

    /// The request is answered anew from its root, now with the help of others.
    pub(crate) fn restart(&self) {
        self.reach(Reach::Far);
        let mut memory = self.memory();
        memory.over = false;
        memory.path.clear();
    }

    /// The blocks that have been read so far, oldest first.
    pub(crate) fn walked(&self) -> Vec<Cid> {
        self.memory().path.clone()
    }

    /// Lets go of what has been read, and remembers nothing from now on: the answer has begun, and a slow client must not
    /// hold more than the part that it takes.
    pub(crate) fn forget(&self) {
        *self.memory() = Memory {
            over: true,
            ..Memory::default()
        };
    }

    /// The same blocks as far as they are here, for what is not worth a fetch.
    pub(crate) fn nearby(&self) -> Nearby<'_> {
        Nearby(self)
    }

    fn lead(&self) -> MutexGuard<'_, Option<Lead>> {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it waits for `cid`, others who want that wait with it, unless they wait already for what it gets first.
    fn lead_on(&self, cid: &Cid) {
        if !self.is_far() || self.lead().is_some() {
            return;
        }
        let wanted = Wanted {
            root: self.root,
            block: *cid,
        };
        if let Turn::Lead(lead) = self.flights.turn(wanted) {
            *self.lead() = Some(lead);
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reaches(&self, reach: Reach) -> bool {
        self.reach.load(Ordering::Relaxed) == reach as u8
    }

    fn far(&self) -> Option<&SharedBlocks> {
        self.below.as_ref().filter(|_| self.reaches(Reach::Far))
    }

    fn blocks(&self) -> &SharedBlocks {
        match self.reaches(Reach::Memory) {
            true => &self.memory_only,
            false => self.far().unwrap_or(&self.here),
        }
    }
}

impl Blocks for Trail {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        if self.gone.is_cancelled() {
            return Err(left());
        }
        let known = self.memory().recall(cid);
        let block = match known {
            Some(block) => Some(block),
            None => {
                self.lead_on(cid);
                self.blocks().block(cid)?
            }
        };
        if let Some(block) = &block {
            self.memory().note(cid, block);
            drop(self.lead().take_if(|lead| lead.wanted().block == *cid));
        }
        Ok(block)
    }

    /// Others are told early, also by reads that would not wait: what they send meanwhile is here when it is read.
    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        if let Some(below) = &self.below {
            below.soon(cids);
        }
    }

    /// Only if the path is not here; that is known when reading has to wait.
    fn path(&self, root: &Cid, segments: &[&str]) {
        if let Some(below) = self.far() {
            below.path(root, segments);
        }
    }
}

impl Memory {
    fn recall(&self, cid: &Cid) -> Option<Bytes> {
        let found = self.recent.iter().rev().find(|(known, _)| known == cid)?;
        Some(found.1.clone())
    }

    fn note(&mut self, cid: &Cid, block: &Bytes) {
        if self.over {
            return;
        }
        self.path.push(*cid);
        if self.recall(cid).is_some() {
            return;
        }
        self.recent.push_back((*cid, block.clone()));
        self.recent_bytes += block.len();
        while self.recent_bytes > RECENT_BYTES_MAX {
            let Some((_, oldest)) = self.recent.pop_front() else {
                return;
            };
            self.recent_bytes -= oldest.len();
        }
    }
}

/// What of a request's blocks is on this node. Reading it tells nobody anything.
pub(crate) struct Nearby<'a>(&'a Trail);

impl Blocks for Nearby<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let known = self.0.memory().recall(cid);
        match known {
            Some(block) => Ok(Some(block)),
            None => self.0.here.block(cid),
        }
    }
}

/// Ends what reads for a client that has left.
fn left() -> Error {
    Error::Stream {
        operation: "write",
        source: io::Error::new(LEFT, "the client has left"),
    }
}

/// Whether reading ended since the client had left.
pub(crate) fn is_abandoned(error: &Error) -> bool {
    matches!(error, Error::Stream { source, .. } if source.kind() == LEFT)
}

const LEFT: io::ErrorKind = io::ErrorKind::ConnectionAborted;
