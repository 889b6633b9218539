//! Trees as tar streams.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Archive, Error, Node};

use super::{Desk, Head, failed};
use crate::ask::Ask;
use crate::ask::format::TAR;
use crate::body::Body;
use crate::problem::Problem;
use crate::trail::Trail;

/// Bytes that are gathered before they go to the client.
const PART_BYTES: usize = 256 << 10;

impl Desk {
    pub(super) fn tar(&self, ask: &Ask, node: &Node, trail: &Arc<Trail>) -> Result<Response<Body>, Problem> {
        let head = head(ask, &node.roots, &node.cid);
        if let Some(answer) = head.condition(ask)? {
            return Ok(answer);
        }
        let mut parts = Parts {
            archive: Archive::new(Arc::clone(trail), &node.cid),
            gathered: BytesMut::new(),
            begun: false,
        };
        // With the first part in hand, a small tree that cannot be unpacked is an error rather than a torn stream.
        let first = parts.next().unwrap_or(Ok(Bytes::new()));
        let first = first.map_err(|error| failed(ask, &error))?;
        if ask.head {
            return Ok(head.respond(StatusCode::OK, Body::empty()));
        }
        parts.begun = true;
        Ok(head.respond(StatusCode::OK, self.stream(first, Box::new(parts), trail)))
    }
}

/// The head of the stream of the tree at `cid`. The tag is weak: another version may pack the same tree in another way.
pub(super) fn head(ask: &Ask, roots: &[Cid], cid: &Cid) -> Head {
    let mut head = Head::new(ask, roots, format!("W/\"{cid}.x-tar\""), TAR);
    head.set(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    head.disposition(ask, true, &format!("{cid}.tar"));
    head
}

/// One stream, part by part.
struct Parts {
    archive: Archive<Arc<Trail>>,
    gathered: BytesMut,
    /// Whether the answer has begun.
    begun: bool,
}

impl Iterator for Parts {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        while self.gathered.len() < PART_BYTES {
            match self.archive.next() {
                Some(Ok(piece)) => self.gathered.extend_from_slice(&piece),
                None => break,
                // What is here goes out before the rest is waited for.
                Some(Err(Error::Missing(_))) if self.begun && !self.gathered.is_empty() => break,
                Some(Err(error)) => return Some(Err(error)),
            }
        }
        let part = self.gathered.split().freeze();
        (!part.is_empty()).then_some(Ok(part))
    }
}
