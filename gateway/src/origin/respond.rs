//! From what was had of an origin to the answer for one reader: conditions, ranges, `Age` and `Cache-Status`.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::flight::How;
use super::head::SELF;
use super::policy::date;
use super::{Got, Want};
use crate::ask::condition::{Verdict, judge, range_holds};
use crate::ask::range::{Selected, select};
use crate::body::Body;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer for a reader.
pub(super) fn respond(want: &Want, got: Got, now: SystemTime) -> Response<Body> {
    let (status, mut headers, how) = match &got {
        Got::Stored(stored, how) => {
            let mut headers = stored.headers.clone();
            let age = stored.terms.age(now).as_secs();
            headers.insert(header::AGE, HeaderValue::from(age));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(stored.body.len()));
            (stored.status, headers, *how)
        }
        Got::Coming(coming) => (coming.status, coming.headers.clone(), How::Miss),
        Got::Piped(head, _) => (head.status, head.headers.clone(), How::Bypass),
    };
    headers.append(CACHE_STATUS, cache_status(how));
    if status == StatusCode::OK {
        match condition(&want.headers, &headers) {
            Verdict::Proceed => {}
            Verdict::NotModified => return unchanged(headers),
            Verdict::Failed => return empty(StatusCode::PRECONDITION_FAILED, headers),
        }
    }
    match got {
        Got::Stored(stored, _) => stored_body(want, status, headers, &stored.body),
        Got::Coming(coming) => whole(want, status, headers, || {
            Body::piped(coming.read(), Some(coming.length))
        }),
        Got::Piped(_, parts) => {
            let length = super::head::length(&headers);
            whole(want, status, headers, || Body::piped(parts, length))
        }
    }
}

fn cache_status(how: How) -> HeaderValue {
    let said = match how {
        How::Hit => "hit",
        How::Miss => "fwd=miss; stored",
        How::Renewed => "fwd=stale; fwd-status=304",
        How::Stale => "hit; fwd=stale; detail=origin-ill",
        How::Bypass => "fwd=bypass",
    };
    crate::escape::header(&format!("{SELF}; {said}"))
}

/// RFC 9110, 13.2.2: tags come before dates.
fn condition(reader: &HeaderMap, answer: &HeaderMap) -> Verdict {
    let tag = answer.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let by_tag = judge(reader, tag.unwrap_or_default());
    if by_tag != Verdict::Proceed || reader.contains_key(header::IF_NONE_MATCH) {
        return by_tag;
    }
    let (since, changed) = (
        date(reader, &header::IF_MODIFIED_SINCE),
        date(answer, &header::LAST_MODIFIED),
    );
    match (since, changed) {
        (Some(since), Some(changed)) if changed <= since => Verdict::NotModified,
        _ => Verdict::Proceed,
    }
}

fn unchanged(mut headers: HeaderMap) -> Response<Body> {
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
    ] {
        headers.remove(name);
    }
    with(StatusCode::NOT_MODIFIED, headers, Body::empty())
}

fn empty(status: StatusCode, mut headers: HeaderMap) -> Response<Body> {
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    with(status, headers, Body::empty())
}

fn whole(want: &Want, status: StatusCode, headers: HeaderMap, body: impl FnOnce() -> Body) -> Response<Body> {
    let none = want.head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    with(status, headers, if none { Body::empty() } else { body() })
}

/// A body that is here, or the range of it that was asked for.
fn stored_body(want: &Want, status: StatusCode, mut headers: HeaderMap, body: &Bytes) -> Response<Body> {
    let length = body.len() as u64;
    match range(want, status, &headers, length) {
        Selected::Whole => whole(want, status, headers, || Body::whole(body.clone())),
        Selected::Unsatisfiable => {
            let all = crate::escape::header(&format!("bytes */{length}"));
            headers.insert(header::CONTENT_RANGE, all);
            empty(StatusCode::RANGE_NOT_SATISFIABLE, headers)
        }
        Selected::Part(part) => {
            let said = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            headers.insert(header::CONTENT_RANGE, crate::escape::header(&said));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
            let bytes = body.slice(part.start as usize..part.end as usize);
            with(StatusCode::PARTIAL_CONTENT, headers, Body::whole(bytes))
        }
    }
}

fn range(want: &Want, status: StatusCode, answer: &HeaderMap, length: u64) -> Selected {
    let asked = want
        .headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let tag = answer.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    let holds = !want.head && status == StatusCode::OK && range_holds(&want.headers, tag.unwrap_or_default());
    match asked.filter(|_| holds) {
        Some(asked) => select(asked, length),
        None => Selected::Whole,
    }
}

fn with(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
