//! Files, and ranges of whatever has bytes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::header;
use http::{HeaderValue, Response, StatusCode};
use storage::{Error, FileReader, Node, codec};

use super::{Desk, Head, failed, tag};
use crate::ask::Ask;
use crate::ask::condition::range_holds;
use crate::ask::range::{Selected, select};
use crate::body::Body;
use crate::fill::Taken;
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
        trail: &Arc<Trail>,
    ) -> Result<Response<Body>, Problem> {
        let mut head = Head::new(ask, &node.roots, tag(&file.etag_of, ""), "");
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
        ranged(&mut head, ask, file.size, |head, range| {
            let body = match ask.head {
                true => Body::empty(),
                false => self
                    .open(trail, &file.cid, range.clone())
                    .map_err(|error| failed(ask, &error))?,
            };
            if !ask.head && trail.may_fetch() {
                self.fills.note(&Taken {
                    root: *trail.root(),
                    file: file.cid,
                    size: file.size,
                    range,
                    from_others: trail.is_far(),
                });
            }
            let media = media_type(ask, file, trail);
            head.set(header::CONTENT_TYPE, crate::escape::header(&media));
            Ok(body)
        })
    }

    /// The body: its first piece is read at once, so that a missing block is still a 404. The same reader goes on with
    /// the rest.
    fn open(&self, trail: &Arc<Trail>, cid: &Cid, range: Range<u64>) -> Result<Body, Error> {
        let length = range.end - range.start;
        // A file of one block has no table.
        let leaves = match cid.codec() {
            codec::RAW => None,
            _ => self.fast.leaves(cid, &trail.nearby()),
        };
        let mut pieces = match &leaves {
            Some(leaves) => FileReader::over(Arc::clone(trail), leaves, range),
            None => FileReader::new(Arc::clone(trail), cid, range)?,
        };
        let body = match pieces.next().transpose()? {
            None => Body::empty(),
            Some(first) if first.len() as u64 == length => Body::whole(first),
            Some(first) => self.pieces(first, pieces, trail),
        };
        Ok(match leaves {
            Some(leaves) => body.of(leaves),
            None => body,
        })
    }
}

/// The media type; only if the name does not tell it, the first block is looked at. It is here unless the body begins
/// behind it or is not wanted: then it is not worth a fetch, and the name decides.
fn media_type(ask: &Ask, file: &File<'_>, trail: &Trail) -> String {
    let name = ask.filename.as_deref().unwrap_or(file.name);
    if !media::needs_bytes(name) {
        return media::content_type(name, None, false);
    }
    let first = FileReader::new(trail.nearby(), &file.cid, 0..media::SNIFF_BYTES as u64)
        .and_then(|mut reader| reader.next().unwrap_or(Ok(Bytes::new())));
    match first {
        Ok(first) => media::content_type(name, Some(&first), (first.len() as u64) < file.size),
        Err(_) => media::content_type(name, None, false),
    }
}

/// Answers with all of `length` bytes, or with the range that was asked. `open` gives the body, and may add to the head.
pub(super) fn ranged(
    head: &mut Head,
    ask: &Ask,
    length: u64,
    open: impl FnOnce(&mut Head, Range<u64>) -> Result<Body, Problem>,
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
    let body = open(head, range)?;
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
