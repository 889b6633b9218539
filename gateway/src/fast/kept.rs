//! One answer that is kept: its heads as the usual path gave them, and what its bodies are made of.

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::{HeaderMap, Response, StatusCode, header};
use named::dap::Names;
use storage::Leaves;

use super::head::Head;
use super::memory::Slot;
use crate::body::Body;

/// What an answer is based on: it counts as long as that is so. The usual path puts it into the extensions of an answer
/// that follows from the content of a root, and from nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Basis {
    /// The root of the path.
    pub(super) root: Cid,
    /// The age of the memory when the answer was begun.
    pub(super) age: u64,
    /// The name that led to the root, if one did.
    pub(super) slot: Option<Arc<Slot>>,
}

impl Basis {
    /// Whether the root is still what the name leads to.
    pub(super) fn holds(&self, names: &dyn Names) -> bool {
        self.slot
            .as_ref()
            .is_none_or(|slot| slot.height() == names.height())
    }
}

/// An answer.
#[derive(Clone)]
pub(super) struct Kept {
    pub basis: Basis,
    /// The entity tag, which all heads have.
    pub etag: String,
    /// The head of 200.
    pub whole: Option<Arc<Head>>,
    /// The head of 206, which fits every range.
    pub part: Option<Arc<Head>>,
    /// The head of 304.
    pub unchanged: Option<Arc<Head>>,
    pub content: Content,
}

/// What a body is made of.
#[derive(Clone)]
pub(super) enum Content {
    /// The bytes themselves.
    Bytes(Bytes),
    /// The blocks of a file.
    Blocks(Arc<Leaves>),
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Blocks(leaves) => leaves.size(),
        }
    }
}

impl Kept {
    /// What is kept after this answer, with what was kept `before` it of the same tag. `None` if it is not to be given
    /// again, or adds nothing.
    pub(super) fn of(before: Option<&Self>, basis: &Basis, response: &Response<Body>) -> Option<Self> {
        let etag = response.headers().get(header::ETAG)?.to_str().ok()?;
        let before = before.filter(|before| before.etag == etag && before.basis.root == basis.root);
        let head = Arc::new(Head::of(response.status(), response.headers())?);
        let mut kept = match before {
            Some(before) => before.clone(),
            None => Self {
                basis: basis.clone(),
                etag: etag.to_owned(),
                whole: None,
                part: None,
                unchanged: None,
                content: content(response)?,
            },
        };
        kept.basis = basis.clone();
        match response.status() {
            StatusCode::OK => {
                // A page that is made anew each time has a new body.
                kept.content = content(response)?;
                kept.whole = Some(head);
            }
            StatusCode::PARTIAL_CONTENT if total(response.headers())? == kept.content.size() => {
                kept.part = Some(head);
            }
            StatusCode::NOT_MODIFIED => kept.unchanged = Some(head),
            _ => return None,
        }
        Some(kept)
    }

    /// What it takes in memory; a table is counted where it is kept.
    pub(super) fn bytes(&self) -> usize {
        let heads = [&self.whole, &self.part, &self.unchanged].into_iter().flatten();
        let body = match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Blocks(_) => 0,
        };
        heads.map(|head| head.bytes()).sum::<usize>() + body + self.etag.len() + size_of::<Self>()
    }
}

/// What the body of this answer, and of others for the same content, is made of.
fn content(response: &Response<Body>) -> Option<Content> {
    let whole = response.status() == StatusCode::OK;
    let is_plain = !response.headers().contains_key(header::CONTENT_ENCODING);
    if let Some(leaves) = response.body().leaves().filter(|_| is_plain) {
        let same = !whole || length(response.headers())? == leaves.size();
        return same.then(|| Content::Blocks(Arc::clone(leaves)));
    }
    let bytes = response.body().bytes().filter(|_| whole)?;
    let same = length(response.headers())? == bytes.len() as u64 && bytes.len() <= WHOLE_BYTES_MAX;
    same.then_some(Content::Bytes(bytes))
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The length of the whole, as the head of a part states it.
fn total(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('/')?.1.parse().ok()
}

/// The largest body that is kept by itself: that of one block, which memory has anyway.
const WHOLE_BYTES_MAX: usize = storage::BLOCK_BYTES_MAX;
