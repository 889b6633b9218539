//! CAR streams: the blocks of the path, then those below its end, depth first (IPIP-402), each once unless the client
//! wants one for every link (IPIP-412).
//!
//! Which blocks an entity has is not computed: the entity is read, and every block that the reader asks for is sent.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cid::Cid;
use http::{HeaderValue, Response, StatusCode, header};
use storage::car::Writer;
use storage::{Blocks, Error, FileReader, Kind, Node, Walk};
use tokio::sync::OwnedSemaphorePermit;

use super::{Desk, Head, failed};
use crate::ask::Ask;
use crate::ask::format::{Car, Scope};
use crate::body::Body;
use crate::problem::Problem;
use crate::trail::Trail;

/// Bytes that are gathered before they go to the client.
const PART_BYTES: usize = 256 << 10;

impl Desk {
    pub(super) fn car(
        &self,
        ask: &Ask,
        node: &Node,
        trail: &Arc<Trail>,
        car: &Car,
    ) -> Result<Response<Body>, Problem> {
        let head = head(ask, &node.roots, &node.cid, car);
        if let Some(answer) = head.condition(ask)? {
            return Ok(answer);
        }
        if ask.head {
            return Ok(head.respond(StatusCode::OK, Body::empty()));
        }
        let place = Arc::clone(&self.cars)
            .try_acquire_owned()
            .map_err(|_| Problem::busy())?;
        let mut parts = Parts::new(node, car, trail, place).map_err(|error| failed(ask, &error))?;
        // With the first part in hand, a small DAG that lacks a block is still a 404.
        let first = parts.next().unwrap_or(Ok(Bytes::new()));
        let first = first.map_err(|error| failed(ask, &error))?;
        parts.begun = true;
        Ok(head.respond(StatusCode::OK, self.stream(first, Box::new(parts), trail)))
    }
}

/// The head of the stream of what is at `cid`.
pub(super) fn head(ask: &Ask, roots: &[Cid], cid: &Cid, car: &Car) -> Head {
    let dups = if car.dups { "y" } else { "n" };
    let media = format!("application/vnd.ipld.car; version=1; order=dfs; dups={dups}");
    let mut head = Head::new(ask, roots, etag(ask, roots, cid, car), &media);
    head.set(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    head.disposition(ask, true, &filename(ask, roots.first().unwrap_or(cid)));
    head
}

/// One CAR stream, part by part.
struct Parts {
    trail: Arc<Trail>,
    /// The blocks read on the way to the end of the path, that end included, which are still to be sent; the next is last.
    path: Vec<Cid>,
    below: Below,
    out: Out,
    /// Whether the answer has begun.
    begun: bool,
    _place: OwnedSemaphorePermit,
}

/// What is sent after the blocks of the path.
enum Below {
    Nothing,
    Tree(Walk<Arc<Trail>>),
    /// What reading the entity asks for.
    Entity(Box<dyn Iterator<Item = Result<(), Error>> + Send>, Arc<Witness>),
}

impl Parts {
    fn new(node: &Node, car: &Car, trail: &Arc<Trail>, place: OwnedSemaphorePermit) -> Result<Parts, Error> {
        let mut path = trail.walked();
        path.reverse();
        let root = node.roots.first().copied().unwrap_or(node.cid);
        Ok(Parts {
            trail: Arc::clone(trail),
            path,
            below: Below::new(node, car, trail)?,
            out: Out {
                writer: Writer::new(Vec::new(), &[root])?,
                sent: match car.dups {
                    true => Sent::All { end: None },
                    false => Sent::Once(HashSet::new()),
                },
            },
            begun: false,
            _place: place,
        })
    }

    /// Gathers some more blocks, if there are more.
    fn advance(&mut self) -> Result<bool, Error> {
        if let Some(cid) = self.path.last().copied() {
            let block = self.trail.block(&cid)?.ok_or(Error::Missing(cid))?;
            self.path.pop();
            self.out.send(&cid, &block)?;
            self.out.passed(&cid);
            return Ok(true);
        }
        self.below.advance(&mut self.out)
    }
}

impl Iterator for Parts {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        while self.out.gathered() < PART_BYTES {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => break,
                // What is here goes out before the rest is waited for.
                Err(Error::Missing(_)) if self.begun && self.out.gathered() > 0 => break,
                Err(error) => return Some(Err(error)),
            }
        }
        let part = self.out.take();
        (!part.is_empty()).then_some(Ok(part))
    }
}

impl Below {
    fn new(node: &Node, car: &Car, trail: &Arc<Trail>) -> Result<Below, Error> {
        let witness = Arc::new(Witness {
            trail: Arc::clone(trail),
            read: Mutex::default(),
        });
        let reader = Arc::clone(&witness);
        Ok(match (car.scope, &node.kind) {
            (Scope::All, _) if car.dups => Below::Tree(Walk::repeated(Arc::clone(trail), &[node.cid])),
            (Scope::All, _) => Below::Tree(Walk::new(Arc::clone(trail), &[node.cid])),
            (Scope::Entity, Kind::File { size } | Kind::Raw { size }) => {
                let pieces = FileReader::new(reader, &node.cid, range(car.bytes, *size))?;
                // The reader looked at the root, and reads it again with the rest.
                witness.take();
                Below::Entity(Box::new(pieces.map(|piece| piece.map(drop))), witness)
            }
            (Scope::Entity, Kind::Directory) => {
                let entries = storage::list(reader, &node.cid);
                Below::Entity(Box::new(entries.map(|entry| entry.map(drop))), witness)
            }
            _ => Below::Nothing,
        })
    }

    fn advance(&mut self, out: &mut Out) -> Result<bool, Error> {
        match self {
            Below::Nothing => Ok(false),
            Below::Tree(walk) => match walk.next().transpose()? {
                Some((cid, block)) => out.send(&cid, &block).map(|()| true),
                None => Ok(false),
            },
            Below::Entity(reading, witness) => {
                let step = reading.next().transpose();
                for (cid, block) in witness.take() {
                    out.send(&cid, &block)?;
                }
                Ok(step?.is_some())
            }
        }
    }
}

/// The stream as it grows.
struct Out {
    writer: Writer<Vec<u8>>,
    sent: Sent,
}

/// What is not to be sent again.
enum Sent {
    /// Everything that was sent.
    Once(HashSet<Cid>),
    /// The end of the path alone: what is below begins with it.
    All { end: Option<Cid> },
}

impl Out {
    fn send(&mut self, cid: &Cid, block: &Bytes) -> Result<(), Error> {
        let again = match &mut self.sent {
            Sent::Once(sent) => !sent.insert(*cid),
            Sent::All { end } => end.take() == Some(*cid),
        };
        match again {
            true => Ok(()),
            false => self.writer.block(cid, block),
        }
    }

    /// A block of the path was sent, which may be the last.
    fn passed(&mut self, cid: &Cid) {
        if let Sent::All { end } = &mut self.sent {
            *end = Some(*cid);
        }
    }

    fn gathered(&mut self) -> usize {
        self.writer.get_mut().len()
    }

    fn take(&mut self) -> Bytes {
        std::mem::take(self.writer.get_mut()).into()
    }
}

/// Remembers what is read through it until that is taken.
struct Witness {
    trail: Arc<Trail>,
    read: Mutex<Vec<(Cid, Bytes)>>,
}

impl Witness {
    fn take(&self) -> Vec<(Cid, Bytes)> {
        std::mem::take(&mut *self.read.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Blocks for Witness {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        let block = self.trail.block(cid)?;
        if let Some(block) = &block {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            read.push((*cid, block.clone()));
        }
        Ok(block)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        self.trail.soon(cids);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        self.trail.path(root, segments);
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

fn filename(ask: &Ask, root: &Cid) -> String {
    match ask.path().last() {
        Some(last) => format!("{root}_{last}.car"),
        None => format!("{root}.car"),
    }
}

/// Weak, since another version may send the same blocks in another way. It differs when the blocks may.
fn etag(ask: &Ask, roots: &[Cid], cid: &Cid, car: &Car) -> String {
    let roots: Vec<String> = roots.iter().map(Cid::to_string).collect();
    let what = format!("{roots:?}{:?}{car:?}", ask.path());
    format!("W/\"{cid}.car.{:016x}\"", fnv1a(what.as_bytes()))
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
