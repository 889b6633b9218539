//! What one stream has asked its server for, and what comes next.

use std::collections::HashMap;

use bytes::Bytes;
use cid::Cid;
use ledger::Link;
use tokio::time::Instant;

use super::trail::Trail;
use super::wants::{Lane, Room};
use super::{Fetcher, Session};
use crate::Error;
use crate::ddp::wire::ToServer;

/// What is asked for and not answered.
#[derive(Default)]
pub(super) struct Asked {
    /// Since when.
    blocks: HashMap<Cid, Instant>,
    /// The path that is being answered.
    trail: Option<Trail>,
}

/// How a block was asked for.
pub(super) struct Place {
    /// Since when it was asked for by itself.
    pub since: Option<Instant>,
    /// Whether it is the next one of a path.
    pub is_next: bool,
}

impl Asked {
    /// Whether all of it is answered.
    pub fn is_empty(&self) -> bool {
        self.trail.is_none() && self.blocks.is_empty()
    }

    /// What to send next, if there is `room` for so many blocks under way. A path goes alone: its blocks are not known, and may
    /// be among the others.
    ///
    /// # Errors
    /// If this node's own disk cannot be read.
    pub fn next(
        &mut self,
        fetcher: &Fetcher,
        session: &Session,
        lane: Lane,
        room: usize,
    ) -> Result<Option<ToServer>, Error> {
        if self.trail.is_some() {
            return Ok(None);
        }
        if let Some(segments) = path(fetcher, session) {
            self.trail = Some(Trail::new(session.root, segments.clone()));
            return Ok(Some(ToServer::Path { segments }));
        }
        let now = Instant::now();
        loop {
            let room = Room {
                blocks: room.saturating_sub(self.blocks.len()),
                is_alone: session.is_alone(),
            };
            let taken = session.wants().take(lane, room, now.into_std());
            if taken.is_empty() {
                return Ok(None);
            }
            let blocks = not_here(fetcher, session, taken)?;
            self.blocks.extend(blocks.iter().map(|link| (link.0, now)));
            if !blocks.is_empty() {
                return Ok(Some(ToServer::Want { blocks }));
            }
        }
    }

    /// A block came: how was it asked for? `None` if it was not.
    pub fn came(&mut self, cid: &Cid) -> Option<Place> {
        let place = Place {
            since: self.blocks.remove(cid),
            is_next: self.is_next(cid),
        };
        (place.is_next || place.since.is_some()).then_some(place)
    }

    /// Whether a path tells that this block is the next.
    pub fn is_next(&self, cid: &Cid) -> bool {
        self.trail
            .as_ref()
            .is_some_and(|trail| trail.next() == Some(*cid))
    }

    /// The next block of a path is here.
    pub fn kept(&mut self, cid: Cid, block: Bytes) {
        if let Some(trail) = &mut self.trail {
            trail.arrived(cid, block);
        }
    }

    /// A block does not come. Returns whether it was asked for by itself.
    pub fn leave(&mut self, cid: &Cid) -> bool {
        self.blocks.remove(cid).is_some()
    }

    /// The path is answered. Returns whether there was one.
    pub fn end_path(&mut self) -> bool {
        self.trail.take().is_some()
    }
}

/// A path that a reader will follow, if it would bring anything.
fn path(fetcher: &Fetcher, session: &Session) -> Option<Vec<String>> {
    let path = session.wants().take_path()?;
    matches!(fetcher.has(&session.root), Ok(false)).then_some(path)
}

/// Blocks may have come since a reader looked: those are not asked for again.
fn not_here(fetcher: &Fetcher, session: &Session, taken: Vec<Cid>) -> Result<Vec<Link>, Error> {
    let mut absent = Vec::new();
    for cid in taken {
        match fetcher.get(&cid)? {
            Some(block) => session.wants().arrived(&cid, &block),
            None => absent.push(Link(cid)),
        }
    }
    Ok(absent)
}
