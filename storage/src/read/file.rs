//! The bytes of a file, or of a range of it.

use std::ops::Range;

use bytes::Bytes;
use cid::Cid;

use super::leaves::Leaves;
use super::resolve::file_bytes;
use super::{Ahead, UnixFsNode, unixfs_node};
use crate::block::{Blocks, require};
use crate::dag::unixfs::Type;
use crate::{Error, codec};

/// Reads a range of a file block by block; blocks outside the range are not touched.
///
/// Each item is a piece of the file, at most a block, never empty. After an [absence](Error::is_absence) the reader may
/// be asked again, once the block has been fetched; after any other error it is over.
pub struct FileReader<B> {
    blocks: B,
    size: u64,
    range: Range<u64>,
    /// What comes next is last.
    pending: Vec<Pending>,
    ahead: Ahead,
}

struct Pending {
    part: Part,
    /// Where in the file it begins.
    start: u64,
    /// What its parent says it has; checked when it is read.
    bytes: u64,
    depth: usize,
}

enum Part {
    Block(Cid),
    Inline(Bytes),
}

impl<B: Blocks> FileReader<B> {
    /// Opens the file at `cid` for `range`, which is cut to the length of the file. Reads the root block only.
    pub fn new(blocks: B, cid: &Cid, range: Range<u64>) -> Result<FileReader<B>, Error> {
        let root = require(&blocks, cid)?;
        let size = match (unixfs_node(cid, &root)?, cid.codec()) {
            (None, codec::RAW) => root.len() as u64,
            (Some(UnixFsNode { data, .. }), _) if is_file(data.kind) => file_bytes(&data),
            _ => return Err(Error::NotFile(*cid)),
        };
        let range = range.start.min(size)..range.end.min(size);
        let root = Pending {
            part: Part::Block(*cid),
            start: 0,
            bytes: size,
            depth: 0,
        };
        Ok(FileReader {
            blocks,
            size,
            range,
            pending: vec![root],
            ahead: Ahead::default(),
        })
    }

    /// The same file by its leaves, without a look at its root. The blocks of `range` are remembered.
    pub fn over(blocks: B, leaves: &Leaves, range: Range<u64>) -> FileReader<B> {
        let size = leaves.size();
        let range = range.start.min(size)..range.end.min(size);
        let mut pending: Vec<Pending> = Vec::new();
        let mut start = range.start;
        for leaf in leaves.of(range.clone()) {
            start -= leaf.wanted.start;
            pending.push(Pending {
                part: Part::Block(leaf.cid),
                start,
                bytes: leaf.bytes,
                depth: 1,
            });
            start += leaf.bytes;
        }
        pending.reverse();
        FileReader {
            blocks,
            size,
            range,
            pending,
            ahead: Ahead::default(),
        }
    }

    /// Bytes of the whole file, as its root states them.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The range that will be read: the one asked for, cut to the file.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The wanted part of a piece that starts at `start`.
    fn cut(&self, piece: &Bytes, start: u64) -> Bytes {
        let from = self.range.start.saturating_sub(start).min(piece.len() as u64);
        let to = self.range.end.saturating_sub(start).min(piece.len() as u64);
        piece.slice(from as usize..to.max(from) as usize)
    }

    fn wants(&self, start: u64, bytes: u64) -> bool {
        start < self.range.end && start.saturating_add(bytes) > self.range.start
    }

    /// Reads a block: a leaf is returned, the wanted children of a node are queued.
    fn open(&mut self, cid: &Cid, at: &Pending) -> Result<Option<Bytes>, Error> {
        let block = require(&self.blocks, cid)?;
        let Some(UnixFsNode { node, data }) = unixfs_node(cid, &block)? else {
            check_length(cid, at, block.len() as u64)?;
            return Ok(Some(block));
        };
        if !is_file(data.kind) || node.links.len() != data.block_bytes.len() {
            return Err(Error::malformed(
                cid,
                "a file node whose sizes do not match its links",
            ));
        }
        let own = data.data.len() as u64;
        let children = data
            .block_bytes
            .iter()
            .try_fold(own, |sum, &bytes| sum.checked_add(bytes));
        let stated = data.file_bytes.or(children);
        if children.is_none() || children != stated {
            return Err(Error::malformed(cid, "a file node whose sizes do not add up"));
        }
        check_length(cid, at, children.unwrap_or_default())?;
        self.queue(
            cid,
            at,
            node.links.into_iter().map(|link| link.cid).zip(data.block_bytes),
            &data.data,
        )?;
        Ok(None)
    }

    fn queue(
        &mut self,
        cid: &Cid,
        at: &Pending,
        children: impl Iterator<Item = (Cid, u64)>,
        own: &Bytes,
    ) -> Result<(), Error> {
        let first = self.pending.len();
        let depth = at.depth + 1;
        let mut start = at.start;
        let inline = (Part::Inline(own.clone()), own.len() as u64);
        for (part, bytes) in [inline]
            .into_iter()
            .chain(children.map(|(cid, bytes)| (Part::Block(cid), bytes)))
        {
            if bytes > 0 && self.wants(start, bytes) {
                self.pending.push(Pending {
                    part,
                    start,
                    bytes,
                    depth,
                });
            }
            start += bytes;
        }
        if depth > DEPTH_MAX || self.pending.len() > PENDING_MAX {
            return Err(Error::malformed(cid, "a file nested too deep or too wide"));
        }
        self.pending[first..].reverse();
        self.ahead.renew();
        Ok(())
    }

    /// Tells what will be read next.
    fn look_ahead(&mut self) {
        let next = self
            .pending
            .iter()
            .rev()
            .filter_map(|pending| match &pending.part {
                Part::Block(cid) => Some(cid),
                Part::Inline(_) => None,
            });
        self.ahead.step(&self.blocks, next);
    }
}

impl<B: Blocks> Iterator for FileReader<B> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            self.look_ahead();
            let next = self.pending.pop()?;
            if !self.wants(next.start, next.bytes) {
                continue;
            }
            let piece = match &next.part {
                Part::Inline(bytes) => Ok(Some(bytes.clone())),
                Part::Block(cid) => self.open(cid, &next),
            };
            match piece {
                Ok(Some(piece)) => return Some(Ok(self.cut(&piece, next.start))),
                Ok(None) => {}
                Err(error) => {
                    match error.is_absence() {
                        true => self.pending.push(next),
                        false => self.pending.clear(),
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}

fn is_file(kind: Type) -> bool {
    matches!(kind, Type::File | Type::Raw)
}

fn check_length(cid: &Cid, at: &Pending, bytes: u64) -> Result<(), Error> {
    match bytes == at.bytes {
        true => Ok(()),
        false => Err(Error::malformed(
            cid,
            "a part of a file does not have the length that its parent states",
        )),
    }
}

/// Far beyond any balanced or trickle layout.
const DEPTH_MAX: usize = 64;
/// More than the wanted children on the way to any leaf of a file that is not built to exhaust memory.
const PENDING_MAX: usize = 1 << 18;
