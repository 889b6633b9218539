//! Files, and ranges of whatever has bytes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Blocks, Error, FileReader, Node};

use super::{Desk, Head, failed, tag};
use crate::ask::Ask;
use crate::ask::condition::range_holds;
use crate::ask::range::{Selected, select};
use crate::body::{Body, Parts};
use crate::media;
use crate::problem::Problem;
use crate::reply;
use crate::trail::Trail;

/// A file to serve.
pub(super) struct File<'a> {
    /// Its root.
    pub cid: Cid,
    /// Its length, as the root states it.
    pub size: u64,
    /// Its name, for the media type; empty if it has none.
    pub name: &'a str,
    /// What the entity tag names: the file, or the folder whose index page it is.
    pub etag_of: Cid,
}

impl Desk {
    pub(super) fn file(
        &self,
        ask: &Ask,
        node: &Node,
        file: &File<'_>,
        trail: &Trail<'_>,
    ) -> Result<Response<Body>, Problem> {
        let mut head = Head::new(ask, node, tag(&file.etag_of, ""), "");
        if ask.filename.is_some() || ask.download {
            let fallback = if file.name.is_empty() {
                file.cid.to_string()
            } else {
                file.name.to_owned()
            };
            head.disposition(ask, false, &fallback);
        }
        if let Some(answer) = head.condition(ask)? {
            return Ok(answer);
        }
        let media = media_type(ask, file, trail);
        head.set(header::CONTENT_TYPE, crate::escape::header(&media));
        ranged(&head, ask, file.size, |range| {
            open(&self.blocks, trail, file.cid, range).map_err(|error| failed(ask, &error))
        })
    }
}

/// The media type; only if the name does not tell it, the first block is looked at. It may be missing when a range
/// behind it is asked for.
fn media_type(ask: &Ask, file: &File<'_>, trail: &Trail<'_>) -> String {
    let name = ask.filename.as_deref().unwrap_or(file.name);
    if !media::needs_bytes(name) {
        return media::content_type(name, None, false);
    }
    let first = FileReader::new(trail, &file.cid, 0..media::SNIFF_BYTES as u64)
        .and_then(|mut reader| reader.next().unwrap_or(Ok(Bytes::new())));
    match first {
        Ok(first) => media::content_type(name, Some(&first), (first.len() as u64) < file.size),
        Err(_) => media::content_type(name, None, false),
    }
}

/// Answers with all of `length` bytes, or with the range that was asked.
pub(super) fn ranged(
    head: &Head,
    ask: &Ask,
    length: u64,
    open: impl FnOnce(Range<u64>) -> Result<Body, Problem>,
) -> Result<Response<Body>, Problem> {
    let header = ask
        .headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok());
    // Ranges are defined for GET alone.
    let wanted = header.filter(|_| !ask.head && range_holds(&ask.headers, &head.etag));
    let (status, range) = match wanted.map_or(Selected::Whole, |header| select(header, length)) {
        Selected::Whole => (StatusCode::OK, 0..length),
        Selected::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selected::Unsatisfiable => return Ok(unsatisfiable(ask, length)),
    };
    let sent = range.end - range.start;
    let content_range = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
    let body = if ask.head { Body::empty() } else { open(range)? };
    let mut response = head.respond(status, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(sent));
    if status == StatusCode::PARTIAL_CONTENT {
        headers.insert(header::CONTENT_RANGE, crate::escape::header(&content_range));
    }
    Ok(response)
}

fn unsatisfiable(ask: &Ask, length: u64) -> Response<Body> {
    let html = crate::ask::format::wants_html(&ask.headers);
    let mut response = reply::problem(&Problem::range(length), html, ask.head);
    let value = crate::escape::header(&format!("bytes */{length}"));
    response.headers_mut().insert(header::CONTENT_RANGE, value);
    response
}

/// The body: its first piece is read at once, so that a missing block is still a 404.
fn open(
    blocks: &Arc<dyn Blocks + Send + Sync>,
    trail: &Trail<'_>,
    cid: Cid,
    range: Range<u64>,
) -> Result<Body, Error> {
    let mut pieces = Pieces {
        blocks: Arc::clone(blocks),
        cid,
        root: trail.block(&cid)?,
        range,
    };
    let Some(first) = pieces.read(trail).transpose()? else {
        return Ok(Body::empty());
    };
    if pieces.range.is_empty() {
        return Ok(Body::whole(first));
    }
    Ok(Body::stream(first, Box::new(pieces) as Parts))
}

/// The rest of a file, piece by piece. It starts from the root for each piece, so that nothing is held between two
/// pieces but the root and a position.
struct Pieces {
    blocks: Arc<dyn Blocks + Send + Sync>,
    cid: Cid,
    root: Option<Bytes>,
    range: Range<u64>,
}

impl Pieces {
    fn read(&mut self, blocks: &dyn Blocks) -> Option<Result<Bytes, Error>> {
        if self.range.is_empty() {
            return None;
        }
        let piece = FileReader::new(blocks, &self.cid, self.range.clone())
            .and_then(|mut reader| reader.next().transpose());
        match piece {
            Ok(Some(piece)) => {
                self.range.start += piece.len() as u64;
                Some(Ok(piece))
            }
            Ok(None) => None,
            Err(error) => {
                self.range.start = self.range.end;
                Some(Err(error))
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        let blocks = Arc::clone(&self.blocks);
        let trail = match &self.root {
            Some(root) => Trail::seeded(&*blocks, self.cid, root.clone()),
            None => Trail::new(&*blocks),
        };
        self.read(&trail)
    }
}
