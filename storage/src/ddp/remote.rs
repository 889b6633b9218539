//! Blocks for synchronous readers: those on this machine first, all others fetched, verified, paid for and kept.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use super::fetch::{Answer, Fetcher};
use super::wire::{FRAME_BYTES_MAX, PATH_SEGMENTS_MAX};
use crate::block::inline;
use crate::{Attempt, Blocks, Error, verify};

/// Everything below one root, from wherever it can be got.
///
/// Reading waits for the network, at most [`Config::timeout`](super::Config::timeout) a block: never read on an
/// asynchronous worker. Clones share what they have told to read soon; once the last is gone, nothing more is fetched
/// for it.
#[derive(Clone)]
pub struct Remote {
    fetcher: Arc<Fetcher>,
    root: Cid,
    /// Lives as long as somebody may read.
    reader: Arc<()>,
}

impl Remote {
    pub(crate) fn new(fetcher: Arc<Fetcher>, root: Cid) -> Remote {
        Remote {
            fetcher,
            root,
            reader: Arc::new(()),
        }
    }

    /// The blocks from the root to the end of this path will be read next: fetches them in one request, if the root is
    /// not here. Does not wait.
    pub fn prefetch(&self, segments: &[&str]) {
        let length: usize = segments
            .iter()
            .map(|segment| segment.len() + SEGMENT_FRAME_BYTES)
            .sum();
        let is_small = segments.len() <= PATH_SEGMENTS_MAX && length < FRAME_BYTES_MAX / 2;
        if segments.is_empty() || !is_small || !self.is_to_fetch(&self.root) {
            return;
        }
        if let Ok(session) = self.fetcher.session(&self.root) {
            let segments = segments.iter().map(|&segment| segment.to_owned()).collect();
            session.wants().path(segments, &self.reader);
            session.changed();
        }
    }

    /// Whether a block is elsewhere, and of a kind that can be verified.
    fn is_to_fetch(&self, cid: &Cid) -> bool {
        inline(cid).is_none() && check_hash(cid).is_ok() && matches!(self.fetcher.has(cid), Ok(false))
    }

    fn fetch(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        check_hash(cid)?;
        let deadline = Instant::now() + self.fetcher.timeout();
        let unavailable = |tried| Err(Error::Unavailable { cid: *cid, tried });
        loop {
            let session = match self.fetcher.session(&self.root) {
                Ok(session) => session,
                Err(why) => return unavailable(vec![Attempt::ours(why)]),
            };
            // A session that has just ended takes nobody any more: the next one does.
            let slot = session.wants().wait(cid);
            let Some(slot) = slot else { continue };
            session.changed();
            return match slot.wait(deadline) {
                Some(Answer::Block(block)) => Ok(Some(block)),
                Some(Answer::NoProvider) => Ok(None),
                Some(Answer::Failed(tried)) => unavailable(tried),
                None => unavailable(session.tried()),
            };
        }
    }
}

/// Whether blocks of this hash function can be verified: others are not asked for.
fn check_hash(cid: &Cid) -> Result<(), Error> {
    match verify(cid, b"") {
        Err(error @ Error::UnsupportedHash { .. }) => Err(error),
        _ => Ok(()),
    }
}

impl Blocks for Remote {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        match self.fetcher.get(cid)? {
            Some(block) => Ok(Some(block)),
            None => self.fetch(cid),
        }
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        let absent: Vec<&Cid> = cids.take(SOON_MAX).filter(|cid| self.is_to_fetch(cid)).collect();
        if absent.is_empty() {
            return;
        }
        if let Ok(session) = self.fetcher.session(&self.root) {
            let mut wants = session.wants();
            for cid in absent {
                wants.soon(cid, &self.reader);
            }
            drop(wants);
            session.changed();
        }
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        if *root == self.root {
            self.prefetch(segments);
        }
    }
}

/// Blocks that one hint may name.
const SOON_MAX: usize = 256;
/// What a segment takes in a frame beside its letters, at most.
const SEGMENT_FRAME_BYTES: usize = 5;
