//! CAR streams: the blocks of the path, then those below its end, depth first, each once (IPIP-402).
//!
//! Which blocks an entity has is not computed: the entity is read, and every block that the reader asks for is sent.
//! A stream occupies a blocking thread while it lasts; the channel to its body holds one part, so it goes on only as
//! fast as the client takes it, and ends when the client is gone.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::{HeaderValue, Response, StatusCode, header};
use storage::car::Writer;
use storage::{Blocks, Error, FileReader, Kind, Node, Walk};
use tokio::sync::mpsc;

use super::{Desk, Head, failed};
use crate::ask::Ask;
use crate::ask::format::{Car, Scope};
use crate::body::Body;
use crate::problem::Problem;
use crate::trail::Trail;

const MEDIA: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=n";
/// Bytes that are gathered before they go to the client.
const PART_BYTES: usize = 256 << 10;

impl Desk {
    pub(super) fn car(
        &self,
        ask: &Ask,
        node: &Node,
        trail: Trail<'_>,
        car: &Car,
    ) -> Result<Response<Body>, Problem> {
        let mut head = Head::new(ask, node, etag(ask, node, car), MEDIA);
        head.set(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
        head.disposition(ask, true, &filename(ask, node));
        if let Some(answer) = head.condition(ask)? {
            return Ok(answer);
        }
        if ask.head {
            return Ok(head.respond(StatusCode::OK, Body::empty()));
        }
        let place = Arc::clone(&self.cars)
            .try_acquire_owned()
            .map_err(|_| Problem::busy())?;
        let (parts, mut body) = mpsc::channel(1);
        let blocks = Arc::clone(&self.blocks);
        let work = Work {
            path: trail.into_blocks(),
            node: node.clone(),
            car: car.clone(),
        };
        tokio::task::spawn_blocking(move || {
            let end = work
                .write(
                    &*blocks,
                    Outlet {
                        parts: parts.clone(),
                        buffer: Vec::new(),
                    },
                )
                .map(|()| Bytes::new());
            // The client may be gone; then there is nobody to tell.
            let _ = parts.blocking_send(end);
            drop(place);
        });
        // With the first part in hand, a small DAG that lacks a block is still a 404.
        match body.blocking_recv() {
            Some(Ok(first)) => Ok(head.respond(StatusCode::OK, Body::channel(first, body))),
            Some(Err(error)) => Err(failed(ask, &error)),
            None => Err(Problem::internal()),
        }
    }
}

/// One CAR stream to write.
struct Work {
    /// The blocks read on the way to the end of the path, that end included.
    path: Vec<(Cid, Bytes)>,
    node: Node,
    car: Car,
}

impl Work {
    fn write(self, blocks: &dyn Blocks, outlet: Outlet) -> Result<(), Error> {
        let root = self.node.roots.first().copied().unwrap_or(self.node.cid);
        let out = Out {
            inner: blocks,
            writer: RefCell::new(Writer::new(outlet, &[root])?),
            sent: RefCell::default(),
        };
        for (cid, block) in &self.path {
            out.send(cid, block)?;
        }
        match self.car.scope {
            Scope::Block => {}
            Scope::Entity => self.read_entity(&out)?,
            Scope::All => {
                for block in Walk::new(blocks, &[self.node.cid]) {
                    let (cid, block) = block?;
                    out.send(&cid, &block)?;
                }
            }
        }
        out.writer.into_inner().finish().map(drop)
    }

    fn read_entity(&self, out: &Out<'_>) -> Result<(), Error> {
        match self.node.kind {
            Kind::File { size } | Kind::Raw { size } => {
                let range = range(self.car.bytes, size);
                FileReader::new(out, &self.node.cid, range)?.try_for_each(|piece| piece.map(drop))
            }
            Kind::Directory => storage::list(out, &self.node.cid).try_for_each(|entry| entry.map(drop)),
            Kind::Symlink { .. } | Kind::DagCbor | Kind::Other { .. } => Ok(()),
        }
    }
}

/// Sends every block that is read through it, once.
struct Out<'a> {
    inner: &'a dyn Blocks,
    writer: RefCell<Writer<Outlet>>,
    sent: RefCell<HashSet<Cid>>,
}

impl Out<'_> {
    fn send(&self, cid: &Cid, block: &Bytes) -> Result<(), Error> {
        if !self.sent.borrow_mut().insert(*cid) {
            return Ok(());
        }
        self.writer.borrow_mut().block(cid, block)
    }
}

impl Blocks for Out<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let block = self.inner.block(cid)?;
        if let Some(block) = &block {
            self.send(cid, block)?;
        }
        Ok(block)
    }
}

/// The blocking end of the channel to the body. What is in its buffer when the stream fails is not sent.
struct Outlet {
    parts: mpsc::Sender<Result<Bytes, Error>>,
    buffer: Vec<u8>,
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    /// Waits until the client has taken what was sent before.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        self.parts
            .blocking_send(Ok(part))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The bytes of a file that `entity-bytes` names: both ends inclusive, negative ones counted from the end.
fn range(wanted: Option<(i64, Option<i64>)>, size: u64) -> Range<u64> {
    let Some((from, to)) = wanted else { return 0..size };
    let at = |position: i64| match u64::try_from(position) {
        Ok(position) => position.min(size),
        Err(_) => size.saturating_sub(position.unsigned_abs()),
    };
    let end = match to {
        None => size,
        Some(to) if to < 0 => (size + 1).saturating_sub(to.unsigned_abs()),
        Some(to) => at(to.saturating_add(1)),
    };
    let start = at(from);
    start..end.max(start)
}

fn filename(ask: &Ask, node: &Node) -> String {
    let root = node.roots.first().unwrap_or(&node.cid);
    match ask.address.segments.last() {
        Some(last) => format!("{root}_{last}.car"),
        None => format!("{root}.car"),
    }
}

/// Weak, since another version may send the same blocks in another way. It differs when the blocks may.
fn etag(ask: &Ask, node: &Node, car: &Car) -> String {
    let roots: Vec<String> = node.roots.iter().map(Cid::to_string).collect();
    let what = format!(
        "{roots:?}{:?}{:?}{:?}",
        ask.address.segments, car.scope, car.bytes
    );
    format!("W/\"{}.car.{:016x}\"", node.cid, fnv1a(what.as_bytes()))
}

/// FNV-1a: the same on every machine and in every version, which the standard hasher is not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_bytes() {
        for (wanted, expected) in [
            (None, 0..3072),
            (Some((0, Some(1000))), 0..1001),
            (Some((2200, None)), 2200..3072),
            (Some((512, Some(1023))), 512..1024),
            (Some((512, Some(-256))), 512..2817),
            (Some((-5, None)), 3067..3072),
            (Some((-9999, None)), 0..3072),
            (Some((-9999, Some(-3))), 0..3070),
            (Some((0, Some(0))), 0..1),
            (Some((9999, None)), 3072..3072),
            (Some((2000, Some(-2000))), 2000..2000),
            (Some((i64::MIN, Some(i64::MAX))), 0..3072),
        ] {
            assert_eq!(range(wanted, 3072), expected, "{wanted:?}");
        }
    }
}
