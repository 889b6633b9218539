//! The provider face: a trustless gateway for other nodes, which gives blocks and CARs of what is here, and fetches nothing.
//!
//! It is what an unmodified IPFS client takes blocks from, so it keeps to what those read of an answer. Its statuses are
//! few, since clients drop a provider that says anything else: what it does not have, and what it does not do, is 404;
//! 429 and 503 mean later. Its heads are short, since clients refuse long ones (2 KiB in Go's count). It is free, so each
//! network prefix has an allowance.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cid::Cid;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use nearest::Prefix;
use storage::Blocks;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::budget::{Allowance, Budget};
use crate::ask::Ask;
use crate::ask::address::{Address, Face, Root};
use crate::ask::condition::{Verdict, judge};
use crate::ask::format::{self, Format};
use crate::ask::query::Query;
use crate::body::{Body, Onlooker};
use crate::deny;
use crate::desk::{Desk, Tried};
use crate::escape;
use crate::fresh::Fresh;
use crate::guard::Seat;
use crate::pack::Wish;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::Client;

/// The longest inline block of a CID (IPIP-512), in bytes.
const INLINE_BYTES_MAX: usize = 128;
/// Multihash code of CIDs that carry their block within themselves.
const IDENTITY: u64 = 0;
/// The longest path of a request, in bytes: a CID, and the way down a deep tree.
const PATH_BYTES_MAX: usize = 4096;

/// What of an answer's head goes to other nodes.
const HEAD: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CACHE_CONTROL,
    header::ETAG,
    header::ACCEPT_RANGES,
    header::ALLOW,
    header::RETRY_AFTER,
];

/// The face; a clone shares it.
#[derive(Clone)]
pub(crate) struct Provider {
    desk: Arc<Desk>,
    budget: Arc<Budget>,
    hosts: Arc<[String]>,
}

/// What is asked of it.
enum Wanted {
    Block(Cid),
    Car(Arc<Ask>),
}

impl Provider {
    /// `hosts` are the names under which it is found on listeners that it shares.
    pub(crate) fn new(desk: Arc<Desk>, allowance: Allowance, hosts: &[String]) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase());
        Self {
            desk,
            budget: Arc::new(Budget::new(allowance)),
            hosts: hosts.collect(),
        }
    }

    /// Whether a request for this host is for this face, wherever it came in.
    pub(crate) fn is_host(&self, authority: &str) -> bool {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Answers another node.
    pub(crate) async fn answer(&self, asked: &Parts, client: Client) -> Response<Body> {
        let head = asked.method == Method::HEAD;
        if !head && asked.method != Method::GET {
            return methods(&asked.method);
        }
        let prefix = Prefix::network(client.address.ip());
        if let Err(wait) = self.budget.admit(prefix, Instant::now()) {
            return later(StatusCode::TOO_MANY_REQUESTS, wait.as_secs());
        }
        let Some(wanted) = read(asked) else {
            return absent();
        };
        let (this, headers) = (self.clone(), asked.headers.clone());
        let answered = spawn_blocking(move || match wanted {
            Wanted::Block(cid) => this.block(&cid, &headers, head),
            Wanted::Car(ask) => this.car(&ask),
        });
        let answer = answered.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request of another node made the gateway panic");
            later(StatusCode::SERVICE_UNAVAILABLE, 1)
        });
        self.charged(answer, prefix)
    }

    /// Counts the body while it goes out.
    fn charged(&self, answer: Response<Body>, prefix: Prefix) -> Response<Body> {
        let budget = Arc::clone(&self.budget);
        answer.map(|body| body.seen_by(Box::new(Charge { budget, prefix })))
    }

    fn block(&self, cid: &Cid, headers: &HeaderMap, head: bool) -> Response<Body> {
        let block = match inline(cid) {
            Some(block) => Ok(Some(block)),
            None => self.desk.source.here().block(cid),
        };
        match block {
            Ok(Some(block)) => raw(cid, block, headers, head),
            Ok(None) => absent(),
            Err(error) if let Some(denied) = deny::denial(&error) => bare(denied.status()),
            Err(error) => {
                tracing::error!(%error, %cid, "a block could not be read");
                later(StatusCode::SERVICE_UNAVAILABLE, 10)
            }
        }
    }

    fn car(&self, ask: &Arc<Ask>) -> Response<Body> {
        let answer = match self.desk.here(ask, CancellationToken::new()) {
            Tried::Answered(answer) => *answer,
            Tried::Elsewhere(..) | Tried::Origin(_) => return absent(),
        };
        match answer.status() {
            StatusCode::OK | StatusCode::NOT_MODIFIED => lean(answer, &ask_name(ask, "car")),
            StatusCode::GONE | StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS => bare(answer.status()),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => later(answer.status(), 1),
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                later(StatusCode::SERVICE_UNAVAILABLE, 10)
            }
            _ => absent(),
        }
    }
}

/// Charges what goes out.
struct Charge {
    budget: Arc<Budget>,
    prefix: Prefix,
}

impl Onlooker for Charge {
    fn sent(&mut self, bytes: usize) {
        self.budget.charge(self.prefix, bytes as u64, Instant::now());
    }
}

/// `/ipfs/CID` as a block, `/ipfs/CID/path` as a CAR; none if it is anything else.
fn read(asked: &Parts) -> Option<Wanted> {
    let path = asked.uri.path();
    let rest = path
        .strip_prefix("/ipfs/")
        .filter(|_| path.len() <= PATH_BYTES_MAX)?;
    let mut parts = rest.split('/').filter(|part| !part.is_empty());
    let root_text = escape::unescape(parts.next()?)?;
    let cid = Cid::try_from(root_text.as_str()).ok()?;
    let segments: Option<Vec<String>> = parts.map(escape::unescape).collect();
    let segments = segments?;
    let query = Query::parse(asked.uri.query().unwrap_or_default());
    match format::negotiate(&query, &asked.headers).ok()? {
        (Format::Raw, _) if segments.is_empty() => Some(Wanted::Block(cid)),
        (format @ Format::Car(_), _) => Some(Wanted::Car(Arc::new(Ask {
            address: Address {
                root: Root::Cid(cid),
                root_text,
                segments,
                slash: false,
                face: Face::Path,
            },
            lead: Vec::new(),
            fresh: Fresh::Forever,
            format,
            negotiated: false,
            head: asked.method == Method::HEAD,
            filename: None,
            download: false,
            // Nobody else is asked.
            only_if_cached: true,
            query: None,
            headers: asked.headers.clone(),
            wish: Wish::default(),
            seat: Seat::default(),
        }))),
        _ => None,
    }
}

/// The bytes of a CID that carries its block within itself.
fn inline(cid: &Cid) -> Option<Bytes> {
    let digest = cid.hash().digest();
    let is_inline = cid.hash().code() == IDENTITY && digest.len() <= INLINE_BYTES_MAX;
    is_inline.then(|| Bytes::copy_from_slice(digest))
}

fn raw(cid: &Cid, block: Bytes, asked: &HeaderMap, head: bool) -> Response<Body> {
    let etag = format!("\"{cid}.raw\"");
    let known = matches!(judge(asked, &etag), Verdict::NotModified);
    let length = block.len();
    let mut response = Response::new(match head || known {
        true => Body::empty(),
        false => Body::whole(block),
    });
    let headers = response.headers_mut();
    headers.insert(header::ETAG, escape::header(&etag));
    headers.insert(header::CACHE_CONTROL, reply::IMMUTABLE);
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format::RAW));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    lean(response, &format!("{cid}.bin"))
}

/// The same answer with the head that other nodes read. Pages of any origin may read it, and none may show it.
fn lean(answer: Response<Body>, filename: &str) -> Response<Body> {
    let (mut parts, body) = answer.into_parts();
    let mut headers = HeaderMap::with_capacity(HEAD.len() + 3);
    for name in HEAD {
        if let Some(value) = parts.headers.remove(&name) {
            headers.insert(name, value);
        }
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    if parts.status == StatusCode::OK {
        let disposition = format!("attachment; filename=\"{filename}\"");
        headers.insert(header::CONTENT_DISPOSITION, escape::header(&disposition));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
    }
    parts.headers = headers;
    // It is made anew each time, so that each time is counted.
    parts.extensions.clear();
    Response::from_parts(parts, body)
}

fn ask_name(ask: &Ask, ending: &str) -> String {
    match &ask.address.root {
        Root::Cid(cid) => format!("{cid}.{ending}"),
        _ => format!("content.{ending}"),
    }
}

/// 404: it is not here, or it is nothing that is given here.
fn absent() -> Response<Body> {
    bare(StatusCode::NOT_FOUND)
}

/// A status and no more; clients read nothing else of it.
fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What another node is told when the gateway itself refuses its request: to come later, or nothing.
pub(crate) fn refuse(problem: &Problem) -> Response<Body> {
    match problem.status {
        StatusCode::TOO_MANY_REQUESTS => later(problem.status, problem.wait_s.unwrap_or(1).into()),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => later(
            StatusCode::SERVICE_UNAVAILABLE,
            problem.wait_s.unwrap_or(1).into(),
        ),
        _ => absent(),
    }
}

/// Not now, but after so many seconds.
fn later(status: StatusCode, seconds: u64) -> Response<Body> {
    let mut response = bare(status);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    response
}

/// What pages of other origins may ask, and what nobody may.
fn methods(method: &Method) -> Response<Body> {
    let mut response = bare(match *method {
        Method::OPTIONS => StatusCode::NO_CONTENT,
        _ => StatusCode::METHOD_NOT_ALLOWED,
    });
    let methods = HeaderValue::from_static("GET, HEAD, OPTIONS");
    let headers = response.headers_mut();
    if *method == Method::OPTIONS {
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.insert(header::ALLOW, methods.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    response
}
