//! What a kept answer says to one request.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::{Response, StatusCode};
use storage::Leaves;

use super::asked::Asked;
use super::head::{Head, Part};
use super::kept::{Basis, Content, Kept};
use crate::ask::range::{Selected, select};

/// An answer from memory.
pub(crate) struct Found {
    head: Arc<Head>,
    part: Option<Part>,
    /// The body.
    pub sent: Sent,
    kept: Arc<Kept>,
}

/// What an answer counts by when it is to be given once more.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    pub(super) basis: Basis,
    /// Of the answer.
    pub status: StatusCode,
    /// Bytes of its body.
    pub bytes: u64,
}

/// A body from memory.
pub(crate) enum Sent {
    /// None.
    Nothing,
    /// These bytes.
    Bytes(Bytes),
    /// These bytes, block by block.
    Several(Vec<Bytes>),
    /// More of a file than should be held at once, or than is in memory.
    Blocks {
        /// What comes first: as with the usual path, an answer begins when its first bytes are here.
        first: Bytes,
        /// The blocks of the file.
        leaves: Arc<Leaves>,
        /// The bytes that come after the first.
        rest: Range<u64>,
    },
}

impl Found {
    pub(crate) fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Appends the head as HTTP/1.1 has it, up to the date and the empty line.
    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        self.head.write_to(out, self.part.as_ref());
    }

    /// Where the path of the request begins.
    pub(crate) fn root(&self) -> &Cid {
        &self.kept.basis.root
    }

    /// What is to be asked before the same is given again.
    pub(crate) fn again(&self) -> Again {
        Again {
            basis: self.kept.basis.clone(),
            status: self.status(),
            bytes: self.sent.length(),
        }
    }

    /// The head alone, for other versions of HTTP, around `body`.
    pub(crate) fn respond<B>(&self, body: B) -> Response<B> {
        let mut response = Response::new(body);
        *response.status_mut() = self.head.status();
        *response.headers_mut() = self.head.headers(self.part.as_ref());
        response
    }
}

#[cfg(test)]
impl Again {
    /// Of an answer that follows from this root alone.
    pub(crate) fn of(root: Cid, status: StatusCode, bytes: u64) -> Self {
        let basis = Basis {
            root,
            age: 0,
            slot: None,
        };
        Self { basis, status, bytes }
    }
}

impl Sent {
    /// Bytes of the body.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Several(parts) => parts.iter().map(|part| part.len() as u64).sum(),
            Self::Blocks { first, rest, .. } => first.len() as u64 + (rest.end - rest.start),
        }
    }
}

/// The answer to `asked`, if what is kept tells it for sure. `block` gives what is in memory.
pub(super) fn find(
    kept: &Arc<Kept>,
    asked: &Asked<'_>,
    block: impl Fn(&Cid) -> Option<Bytes>,
) -> Option<Found> {
    let found = |head: &Option<Arc<Head>>, part: Option<Part>, sent: Sent| {
        Some(Found {
            head: Arc::clone(head.as_ref()?),
            part,
            sent,
            kept: Arc::clone(kept),
        })
    };
    match asked.none_match {
        None => {}
        Some(tag) if tag == kept.etag => {
            return found(&kept.unchanged, None, Sent::Nothing);
        }
        // A list, or another version: seldom.
        Some(_) => return None,
    }
    let size = kept.content.size();
    let range = match (asked.range, asked.if_range) {
        (None, None) => return found(&kept.whole, None, sent(&kept.content, 0..size, block)?),
        (Some(range), None) => range,
        (Some(range), Some(tag)) if tag == kept.etag && !tag.starts_with("W/") => range,
        _ => return None,
    };
    match select(range, size) {
        Selected::Part(range) => {
            let sent = sent(&kept.content, range.clone(), block)?;
            found(&kept.part, Some((range, size)), sent)
        }
        Selected::Whole | Selected::Unsatisfiable => None,
    }
}

fn sent(content: &Content, range: Range<u64>, block: impl Fn(&Cid) -> Option<Bytes>) -> Option<Sent> {
    Some(match content {
        Content::Bytes(bytes) if bytes.is_empty() => Sent::Nothing,
        Content::Bytes(bytes) => Sent::Bytes(bytes.slice(range.start as usize..range.end as usize)),
        Content::Blocks(leaves) => blocks(leaves, range, block)?,
    })
}

/// The range, if its first block is in memory and sound: all of it if it is short and the others are there too.
fn blocks(leaves: &Arc<Leaves>, range: Range<u64>, block: impl Fn(&Cid) -> Option<Bytes>) -> Option<Sent> {
    let mut parts = leaves
        .of(range.clone())
        .map(|leaf| leaf.cut(&block(&leaf.cid)?).ok());
    let first = parts.next()??;
    let rest = range.start + first.len() as u64..range.end;
    if rest.is_empty() {
        return Some(Sent::Bytes(first));
    }
    if range.end - range.start <= SEVERAL_BYTES_MAX
        && let Some(others) = parts.collect::<Option<Vec<_>>>()
    {
        return Some(Sent::Several([vec![first], others].concat()));
    }
    Some(Sent::Blocks {
        first,
        leaves: Arc::clone(leaves),
        rest,
    })
}

/// What one request holds of blocks at once, as with the usual path.
const SEVERAL_BYTES_MAX: u64 = 2 << 20;
