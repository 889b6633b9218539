//! IPNS by delegated routing: the newest record that this node was given, and the way to give it one.
//!
//! Whoever brings a record need not be known: it is worth what its signature is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use ledger::Hash;
use named::ipns;

use super::date;
use crate::body::Body;
use crate::door::{Doors, is_head, whole};
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::Upload;

const MEDIA: &str = "application/vnd.ipfs.ipns-record";
/// For how long a record may be kept whose owner says nothing.
const TTL: Duration = Duration::from_secs(60);

impl Doors {
    pub(super) async fn ipns(
        &self,
        name: &str,
        asked: &Parts,
        upload: Upload,
    ) -> Result<Response<Body>, Problem> {
        let name: ipns::Name = name
            .parse()
            .map_err(|error| Problem::bad_request(format!("{name:?}: {error}")))?;
        match asked.method {
            Method::GET | Method::HEAD => self.record(name, asked).await,
            Method::PUT => self.publish(name, asked, upload).await,
            Method::OPTIONS => Ok(methods(reply::options())),
            _ => Err(Problem::not_offered("records are read and put")),
        }
    }

    async fn record(&self, name: ipns::Name, asked: &Parts) -> Result<Response<Body>, Problem> {
        if !takes_records(&asked.headers) {
            return Err(Problem::not_acceptable(format!(
                "records are given as {MEDIA}: ask with Accept: {MEDIA}"
            )));
        }
        let now = SystemTime::now();
        let found = self.blocking(move |doors| match doors.desk.ipns.get(&name, now) {
            Ok(record) => Ok(record),
            // It was good when it came: it has expired, or the disk is not what it was.
            Err(ipns::Error::Refused { .. }) => Ok(None),
            Err(error) => Err(failed(&error)),
        });
        let response = match found.await? {
            Some(record) => given(&record, now, is_head(asked)),
            None => none(is_head(asked)),
        };
        Ok(methods(response))
    }

    async fn publish(
        &self,
        name: ipns::Name,
        asked: &Parts,
        upload: Upload,
    ) -> Result<Response<Body>, Problem> {
        let media = asked.headers.get(header::CONTENT_TYPE);
        if media.is_none_or(|media| !media.as_bytes().eq_ignore_ascii_case(MEDIA.as_bytes())) {
            return Err(Problem::not_acceptable(format!(
                "records are taken as Content-Type: {MEDIA}"
            )));
        }
        let bytes = whole(upload, ipns::RECORD_BYTES_MAX).await?;
        let kept = self.blocking(move |doors| {
            match doors.desk.ipns.put(&name, &bytes, SystemTime::now()) {
                // A newer one is here, which is what whoever publishes wants of the network.
                Ok(_) => Ok(()),
                Err(error @ ipns::Error::Refused { .. }) => Err(Problem::bad_request(error.to_string())),
                Err(error) => Err(failed(&error)),
            }
        });
        kept.await?;
        let response = reply::text(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new(), false);
        Ok(methods(response))
    }
}

fn failed(error: &ipns::Error) -> Problem {
    tracing::error!(%error, "an IPNS record could not be read or kept");
    Problem::internal()
}

fn given(record: &ipns::Record, now: SystemTime, head: bool) -> Response<Body> {
    let bytes = Bytes::copy_from_slice(record.bytes());
    let etag = format!("\"{}\"", Hash::of(&bytes));
    let left = record.eol().duration_since(now).unwrap_or_default();
    let ttl = Some(record.ttl(now)).filter(|ttl| !ttl.is_zero());
    let keep = format!(
        "public, max-age={}, stale-while-revalidate={left}, stale-if-error={left}",
        ttl.unwrap_or(TTL.min(left)).as_secs(),
        left = left.as_secs()
    );
    let mut response = reply::text(StatusCode::OK, MEDIA, bytes, head);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, escape::header(&keep));
    headers.insert(header::ETAG, escape::header(&etag));
    headers.insert(header::LAST_MODIFIED, date(now));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    // Years that HTTP cannot write are far enough away to say nothing.
    if let Some(expires) = in_http(record.eol()) {
        headers.insert(header::EXPIRES, expires);
    }
    response
}

/// A time of this millennium and the next few.
fn in_http(time: SystemTime) -> Option<HeaderValue> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since.as_secs() < LAST_HTTP_SECOND).then(|| date(time))
}

/// The end of the year 9999.
const LAST_HTTP_SECOND: u64 = 253_402_300_800;

/// No record is an answer of another media type (delegated routing v1, "IPNS API").
fn none(head: bool) -> Response<Body> {
    let text = Bytes::from_static(b"no record of this name was found\n");
    let mut response = reply::text(StatusCode::OK, "text/plain; charset=utf-8", text, head);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, super::NONE_FOUND);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

/// Who says nothing, or takes anything, takes records.
fn takes_records(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    values.peek().is_none()
        || values
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains(MEDIA) || value.contains("*/*") || value.contains("application/*"))
}

/// What pages of other origins may do here.
fn methods(mut response: Response<Body>) -> Response<Body> {
    let methods = HeaderValue::from_static("GET, HEAD, PUT, OPTIONS");
    let headers = response.headers_mut();
    if headers.contains_key(header::ALLOW) {
        headers.insert(header::ALLOW, methods.clone());
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    response
}
