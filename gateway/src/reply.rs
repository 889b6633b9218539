//! Answers and the headers that all of them carry.

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::page;
use crate::problem::Problem;

/// For content under its CID: it cannot change.
pub(crate) const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=29030400, immutable");
/// For listings of immutable folders: their content cannot change, their looks can.
pub(crate) const LISTING: HeaderValue =
    HeaderValue::from_static("public, max-age=604800, stale-while-revalidate=2678400");
/// For content under a name: may be kept, and is asked for again each time.
pub(crate) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// The path that was asked, as IPFS clients write it.
pub(crate) const X_IPFS_PATH: HeaderName = HeaderName::from_static("x-ipfs-path");
/// The root and the object that each segment of the path led to.
pub(crate) const X_IPFS_ROOTS: HeaderName = HeaderName::from_static("x-ipfs-roots");

/// An answer with the headers that scripts of other origins need, since content is public.
pub(crate) fn new(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in COMMON {
        headers.insert(name, value);
    }
    response
}

const COMMON: [(HeaderName, HeaderValue); 5] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Content-Type, Range, User-Agent, X-Requested-With"),
    ),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static(
            "Content-Range, Content-Length, ETag, Link, X-Ipfs-Path, X-Ipfs-Roots, X-Chunked-Output, X-Stream-Output",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// 204 with the methods, for `OPTIONS`.
pub(crate) fn options() -> Response<Body> {
    let mut response = new(StatusCode::NO_CONTENT, Body::empty());
    response.headers_mut().insert(header::ALLOW, METHODS);
    response
}

/// Sends the client to another path or URL.
pub(crate) fn redirect(status: StatusCode, to: &str, cache: HeaderValue) -> Response<Body> {
    let mut response = new(status, Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, crate::escape::header(to));
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// A page of the gateway itself, with what it may load.
pub(crate) fn page(status: StatusCode, html: String, head: bool) -> Response<Body> {
    let mut response = text(status, "text/html; charset=utf-8", html.into(), head);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(page::POLICY),
    );
    response
}

/// A short text of the gateway itself, to be asked for anew each time.
pub(crate) fn text(status: StatusCode, media: &'static str, text: Bytes, head: bool) -> Response<Body> {
    let length = text.len();
    let mut response = new(status, if head { Body::empty() } else { Body::whole(text) });
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, REVALIDATE);
    response
}

/// A problem, as a page or as plain text.
pub(crate) fn problem(problem: &Problem, html: bool, head: bool) -> Response<Body> {
    let mut response = if html {
        page(problem.status, page::problem::render(problem), head)
    } else {
        let line = page::problem::text(problem).into();
        text(problem.status, "text/plain; charset=utf-8", line, head)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, NEVER);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if problem.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, METHODS);
    }
    if let Some(seconds) = problem.wait_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
