//! The heads of answers that have content.

use bytes::Bytes;
use cid::Cid;
use http::header;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::file;
use crate::ask::Ask;
use crate::ask::condition::{Verdict, judge};
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;

/// The head of an answer that has content.
pub(super) struct Head {
    /// The entity tag.
    pub etag: String,
    headers: HeaderMap,
}

impl Head {
    /// For what the last of `roots` is; they are what the segments of the path led to.
    pub(super) fn new(ask: &Ask, roots: &[Cid], etag: String, media: &str) -> Self {
        let mut headers = HeaderMap::new();
        let roots: Vec<String> = roots.iter().map(Cid::to_string).collect();
        headers.insert(header::ETAG, escape::header(&etag));
        headers.insert(header::CONTENT_TYPE, escape::header(media));
        headers.insert(header::CACHE_CONTROL, ask.fresh.of_content());
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(reply::X_IPFS_PATH, escape::header(&ask.address.content_path()));
        headers.insert(reply::X_IPFS_ROOTS, escape::header(&roots.join(",")));
        if ask.negotiated {
            headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        }
        Self { etag, headers }
    }

    pub(super) fn set(&mut self, name: header::HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    pub(super) fn remove(&mut self, name: header::HeaderName) {
        self.headers.remove(name);
    }

    /// How the client should name what it saves. `attach` asks it to save even if it could show it.
    pub(super) fn disposition(&mut self, ask: &Ask, attach: bool, fallback: &str) {
        let name = ask.filename.as_deref().unwrap_or(fallback);
        let kind = if attach || ask.download {
            "attachment"
        } else {
            "inline"
        };
        self.set(
            header::CONTENT_DISPOSITION,
            escape::header(&escape::disposition(kind, name)),
        );
    }

    /// The answer that the conditions of the request make of it, before any content is read.
    pub(super) fn condition(&self, ask: &Ask) -> Result<Option<Response<Body>>, Problem> {
        match judge(&ask.headers, &self.etag) {
            Verdict::Proceed => Ok(None),
            Verdict::Failed => Err(Problem::precondition(&self.etag)),
            Verdict::NotModified => Ok(Some(self.not_modified())),
        }
    }

    /// 304: the client has it.
    pub(super) fn not_modified(&self) -> Response<Body> {
        let mut response = self.respond(StatusCode::NOT_MODIFIED, Body::empty());
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_DISPOSITION,
            header::ACCEPT_RANGES,
        ] {
            response.headers_mut().remove(name);
        }
        response
    }

    pub(super) fn respond(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = reply::new(status, body);
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// Sends bytes that are in memory, or the range of them that was asked.
    pub(super) fn send(&mut self, ask: &Ask, bytes: &Bytes) -> Result<Response<Body>, Problem> {
        if let Some(answer) = self.condition(ask)? {
            return Ok(answer);
        }
        file::ranged(self, ask, bytes.len() as u64, |_, range| {
            Ok(match ask.head {
                true => Body::empty(),
                false => Body::whole(bytes.slice(range.start as usize..range.end as usize)),
            })
        })
    }
}

/// `"CID"`, or `"CID.raw"` for another form of it.
pub(super) fn tag(cid: &Cid, form: &str) -> String {
    match form {
        "" => format!("\"{cid}\""),
        form => format!("\"{cid}.{form}\""),
    }
}
