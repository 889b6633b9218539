//! One request of a connection that carries many (HTTP/2, HTTP/3): it is answered, and the answer goes out as fast as
//! its client takes it.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::clock;
use super::connection::Limited;
use super::service::{Served, Upload};
use crate::body::Body;

/// The way back to the client, in one version of HTTP.
pub(super) trait Way: Send {
    /// Sends the head; with `last`, nothing follows.
    fn head(&mut self, head: Response<()>, last: bool) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Waits until the client takes something, and sends as much of `bytes` as it takes, one byte at least. With
    /// `last`, nothing follows them.
    fn data(&mut self, bytes: &mut Bytes, last: bool) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Says that nothing follows.
    fn end(&mut self) -> impl Future<Output = Result<(), Gone>> + Send;
    /// Says that the rest will not come.
    fn cut(&mut self);
    /// Waits until the client has all that was sent, where the connection would else have to be kept open for it.
    fn delivered(&mut self) -> impl Future<Output = ()> + Send;
    /// Waits until the client wants no more.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
}

/// The client wants no more of this answer, or takes none of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// Answers a request, unless its client leaves. A client that takes no byte for `stall_timeout` has left.
pub(super) async fn answer(served: Served, request: Request<Upload>, mut way: impl Way, limits: Limited) {
    let head_only = request.method() == Method::HEAD;
    let response = tokio::select! {
        response = served.answer(request) => response,
        () = way.gone() => return,
    };
    match send(response, head_only, &mut way, limits.stall_timeout).await {
        // The body is gone, and with it what it held; all that is left of the request is what the connection keeps.
        Ok(()) => drop(timeout(limits.request_timeout, way.delivered()).await),
        Err(Gone) => way.cut(),
    }
}

async fn send(
    response: Response<Body>,
    head_only: bool,
    way: &mut impl Way,
    stall: Duration,
) -> Result<(), Gone> {
    let (mut parts, mut body) = response.into_parts();
    let exact = body
        .size_hint()
        .exact()
        .filter(|length| *length > 0 && !head_only);
    complete(&mut parts.headers, exact);
    let head = Response::from_parts(parts, ());
    in_time(stall, way.head(head, body.is_end_stream())).await?;
    while !body.is_end_stream() {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            () = way.gone() => return Err(Gone),
        };
        let Some(frame) = frame else {
            return in_time(stall, way.end()).await;
        };
        // Why a body broke is in the log already.
        let Ok(mut bytes) = frame.map_err(|_| Gone)?.into_data() else {
            continue;
        };
        while !bytes.is_empty() {
            in_time(stall, way.data(&mut bytes, body.is_end_stream())).await?;
        }
    }
    Ok(())
}

/// Sends the rest of an answer, as fast as the client takes it.
pub(super) async fn rest(mut way: impl Way, mut bytes: Bytes, stall: Duration) {
    while !bytes.is_empty() {
        if in_time(stall, way.data(&mut bytes, true)).await.is_err() {
            return way.cut();
        }
    }
}

async fn in_time(stall: Duration, sent: impl Future<Output = Result<(), Gone>>) -> Result<(), Gone> {
    timeout(stall, sent).await.unwrap_or(Err(Gone))
}

/// What an HTTP/1 server adds, and what has no place in later versions (RFC 9113, section 8.2.2).
fn complete(headers: &mut HeaderMap, length: Option<u64>) {
    for name in CONNECTION_ONLY {
        headers.remove(name);
    }
    if let Some(length) = length {
        headers
            .entry(header::CONTENT_LENGTH)
            .or_insert_with(|| length.into());
    }
    headers.entry(header::DATE).or_insert_with(clock::date);
}

const CONNECTION_ONLY: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
