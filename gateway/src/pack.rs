//! Compression of answers (RFC 9110, 8.4): text goes out as brotli or gzip to clients that take it.
//!
//! A packed answer has an entity tag of its own, the tag of the plain one with `--br` or `--gzip` at its end, since its
//! bytes are others; when a client names it in a condition, the ending is taken off before anything is compared. Ranges
//! are always of the plain bytes. What is packed is packed while it is sent, part by part, so it takes no memory; the
//! number of answers in work is bounded, and what is beyond goes out plain. Nothing is ever unpacked.

mod accept;
mod encoder;

use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, VARY,
};
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::body::Body;
use crate::guard::{Admitted, Seat};
use crate::labour::Labour;
pub(crate) use accept::{Coding, choose};
pub(crate) use encoder::Encoder;

/// Packs answers; a clone shares the places.
#[derive(Clone)]
pub(crate) struct Packer {
    places: Arc<Semaphore>,
    labour: Labour,
}

/// What one request wishes; by default, a plain answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    coding: Option<Coding>,
    /// Whether what is asked for may be packed at all. Its media type is only known once it is read.
    is_packable: bool,
    /// `If-None-Match` as it was sent, if it names a packed answer.
    known: Option<HeaderValue>,
}

impl Wish {
    /// Reads the wish from the head of a request, and takes the endings off the tags of its conditions. `is_packable`:
    /// blocks and streams of them never are.
    pub(crate) fn take(headers: &mut HeaderMap, is_packable: bool) -> Self {
        let is_transformable = !has_directive(headers, "no-transform");
        let known = plain(headers, &IF_NONE_MATCH);
        plain(headers, &IF_MATCH);
        Self {
            is_packable,
            coding: choose(headers.get_all(ACCEPT_ENCODING)).filter(|_| is_transformable),
            known,
        }
    }
}

impl Packer {
    /// `places`: answers that are packed at the same time; 0 packs none. `labour` packs them.
    pub(crate) fn new(places: usize, labour: Labour) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            labour,
        }
    }

    /// The answer as the client wishes it, plain if too much is in work for it already. The calling thread waits until
    /// the first part is packed, some 30 milliseconds for a MiB.
    pub(crate) fn pack(&self, wish: &Wish, seat: Seat, mut response: Response<Body>) -> Response<Body> {
        let is_content = [
            StatusCode::OK,
            StatusCode::PARTIAL_CONTENT,
            StatusCode::NOT_MODIFIED,
        ];
        if !wish.is_packable || !is_content.contains(&response.status()) {
            return response;
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            vary(response.headers_mut());
            return told(wish, response);
        }
        // What is never packed is the same for everybody.
        if !media(response.headers()).is_some_and(is_text) {
            return response;
        }
        vary(response.headers_mut());
        if !is_worth_it(&response) {
            return response;
        }
        let Some((coding, place)) = wish.coding.and_then(|coding| Some((coding, self.place(seat)?))) else {
            return response;
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.remove(CONTENT_LENGTH);
        if let Some(tag) = headers.get(ETAG).and_then(|tag| packed_tag(tag, coding)) {
            headers.insert(ETAG, tag);
        }
        let (mut head, body) = response.into_parts();
        let body = body.packed(Encoder::new(coding, place, self.labour.clone()));
        if let Some(length) = body.length().filter(|length| *length > 0) {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Response::from_parts(head, body)
    }

    fn place(&self, seat: Seat) -> Option<Place> {
        Some(Place {
            _share: self.labour.share(seat).ok()?,
            _permit: Arc::clone(&self.places).try_acquire_owned().ok()?,
        })
    }
}

/// A place for an answer that is packed.
pub(crate) struct Place {
    _share: Admitted,
    _permit: OwnedSemaphorePermit,
}

fn media(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok())
}

/// Whether packing makes an answer of text smaller, and may be done.
fn is_worth_it(response: &Response<Body>) -> bool {
    let headers = response.headers();
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    response.status() == StatusCode::OK
        && length.is_some_and(|length| (BYTES_MIN..=BYTES_MAX).contains(&length))
        && ![CONTENT_ENCODING, CONTENT_RANGE]
            .iter()
            .any(|name| headers.contains_key(name))
        && !has_directive(headers, "no-transform")
}

/// Media types of text, and of formats that are not compressed by themselves.
fn is_text(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or(media).trim();
    let (kind, form) = essence.split_once('/').unwrap_or((essence, ""));
    match kind {
        "text" => form != "event-stream",
        "application" => {
            matches!(
                form,
                "json"
                    | "javascript"
                    | "xml"
                    | "wasm"
                    | "manifest+json"
                    | "rtf"
                    | "vnd.ms-fontobject"
                    | "x-javascript"
            ) || form.ends_with("+json")
                || form.ends_with("+xml")
        }
        "image" => matches!(form, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "font" => matches!(form, "ttf" | "otf"),
        _ => false,
    }
}

fn has_directive(headers: &HeaderMap, name: &str) -> bool {
    let lists = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|list| list.to_str().ok());
    lists
        .flat_map(|list| list.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case(name))
}

/// Caches have to tell packed answers from plain ones.
fn vary(headers: &mut HeaderMap) {
    let lists = headers.get_all(VARY).iter().filter_map(|list| list.to_str().ok());
    let mut names = lists.flat_map(|list| list.split(','));
    if !names.any(|name| name.trim() == "*" || name.trim().eq_ignore_ascii_case("accept-encoding")) {
        headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// 304 names the tag that the client has: of the packed answer, if that is the one that it asked about.
fn told(wish: &Wish, mut response: Response<Body>) -> Response<Body> {
    let (Some(known), Some(tag)) = (&wish.known, response.headers().get(ETAG)) else {
        return response;
    };
    let names = |tag: &HeaderValue| {
        let tag = tag.as_bytes();
        known.as_bytes().windows(tag.len()).any(|part| part == tag)
    };
    let tags = Coding::ALL.iter().filter_map(|coding| packed_tag(tag, *coding));
    if let Some(tag) = tags.into_iter().find(names) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// `"x"` packed is `"x--br"`.
fn packed_tag(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let plain = tag.as_bytes().strip_suffix(b"\"")?;
    HeaderValue::from_bytes(&[plain, b"--", coding.name().as_bytes(), b"\""].concat()).ok()
}

/// Takes the endings off all tags of a header; returns it as it was, if that changed anything.
fn plain(headers: &mut HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let lists: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let sent = lists.join(&b", "[..]);
    let mut bare = sent.clone();
    for coding in Coding::ALL {
        bare = without(&bare, &[b"--", coding.name().as_bytes(), b"\""].concat());
    }
    if bare == sent {
        return None;
    }
    let (bare, sent) = (
        HeaderValue::from_bytes(&bare).ok()?,
        HeaderValue::from_bytes(&sent).ok()?,
    );
    headers.insert(name, bare);
    Some(sent)
}

/// The text with each `ending` replaced by its last byte, the quotation mark.
fn without(text: &[u8], ending: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(ending.len()).position(|part| part == ending) {
        out.extend(&rest[..at]);
        out.push(b'"');
        rest = &rest[at + ending.len()..];
    }
    out.extend(rest);
    out
}

/// What fits into one packet with its head gains nothing by being smaller.
const BYTES_MIN: u64 = 1024;
/// What is longer is no page, and would be in work for too long.
const BYTES_MAX: u64 = 16 << 20;

#[cfg(test)]
mod tests;
