//! The doors of a node: what it answers besides content.
//!
//! * `/routing/v1/…`: who has a block, in the language of IPFS clients (`routing`).
//! * `/dns-query`: DNS over HTTPS (`dns`).
//! * `/.well-known/ddn/nearest`: which edge should serve a user (`nearest`).
//! * `/.well-known/ddn/proof/NAME`: why to believe what a name points to (`proof`).
//! * `/.well-known/ddn/changes`: which names have changed (`changes`).
//! * `/.well-known/ddn/receipt/ID`: what was delivered (`receipt`).
//! * The provider face, a gateway of its own that gives single blocks to other nodes and fetches nothing (`provider`).
//!
//! The doors below `/.well-known/ddn/` are on every host, and no site can take their place; the others are on the
//! gateway's own hosts. What comes from outside is bounded and strictly decoded before anything is done for it.

mod budget;
mod changes;
mod dns;
pub(crate) mod nearest;
mod node;
mod proof;
pub(crate) mod provider;
mod receipt;
mod routing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use named::dap::Names;
use named::dns::Responder;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::ask::format::wants_html;
use crate::ask::host::Hosts;
use crate::body::Body;
use crate::desk::Desk;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::{Client, Upload};

pub use budget::Allowance;
pub use node::{Neighbour, Node, Ranked, Unreadable};
pub(crate) use provider::Provider;
pub use receipt::Served;

/// Look-ups in the network at once: each holds a blocking thread for up to half a second.
const SEARCHES_MAX: usize = 64;
/// Questions that wait for a name to change.
const WATCHES_MAX: usize = 256;
/// How long the body of a request may take to come; the largest has 64 KiB.
const UPLOAD_WITHIN: Duration = Duration::from_secs(10);

/// Something that is asked of the node rather than of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Delegated routing: what follows `/routing/v1/`.
    Routing(String),
    /// DNS over HTTPS.
    Dns,
    /// Which edge should serve a user.
    Nearest,
    /// Why to believe a name, percent-encoded as it came.
    Proof(String),
    /// Which names have changed.
    Changes,
    /// What was delivered, by its id.
    Receipt(String),
    /// Below `/.well-known/ddn/`, where we have nothing and sites may have nothing.
    Nowhere,
}

impl Door {
    /// The door at this path of a URL.
    pub(crate) fn at(path: &str) -> Option<Self> {
        if let Some(rest) = path.strip_prefix("/routing/v1/") {
            return Some(Self::Routing(rest.to_owned()));
        }
        if path == "/dns-query" {
            return Some(Self::Dns);
        }
        let rest = path.strip_prefix("/.well-known/ddn/")?;
        match rest.split_once('/').unwrap_or((rest, "")) {
            // The node's card, the proxy's script and the form of the landing page have their own answers.
            ("node" | "proxy.pac" | "open", "") => None,
            ("nearest", "") => Some(Self::Nearest),
            ("changes", "") => Some(Self::Changes),
            ("proof", name) => Some(Self::Proof(name.to_owned())),
            ("receipt", id) => Some(Self::Receipt(id.to_owned())),
            _ => Some(Self::Nowhere),
        }
    }

    /// Whether it is on the hosts of sites too.
    pub(crate) fn is_everywhere(&self) -> bool {
        !matches!(self, Self::Routing(_) | Self::Dns)
    }
}

/// What is behind the doors; a clone shares it.
#[derive(Clone)]
pub(crate) struct Doors {
    node: Arc<dyn Node>,
    names: Arc<dyn Names>,
    dns: Arc<Responder>,
    desk: Arc<Desk>,
    hosts: Arc<Hosts>,
    receipts: Arc<receipt::Kept>,
    searches: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    /// The gateway ends: nobody waits any more.
    stop: CancellationToken,
}

impl Doors {
    pub(crate) fn new(
        node: Arc<dyn Node>,
        dns: Arc<Responder>,
        desk: Arc<Desk>,
        hosts: Arc<Hosts>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            receipts: Arc::new(receipt::Kept::new(Arc::clone(&node))),
            names: Arc::clone(&desk.names),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            watches: Arc::new(Semaphore::new(WATCHES_MAX)),
            stop,
            node,
            dns,
            desk,
            hosts,
        }
    }

    /// Tells the node how far a reader is.
    pub(crate) fn measured(&self, reader: IpAddr, rtt_us: u32) {
        self.node.measured(reader, rtt_us);
    }

    /// Answers at a door.
    pub(crate) async fn answer(
        &self,
        door: Door,
        asked: &Parts,
        upload: Upload,
        client: Client,
    ) -> Response<Body> {
        let answer = match door {
            Door::Routing(path) => self.routing(&path, asked, upload).await,
            Door::Dns => self.dns_query(asked, upload, client).await,
            Door::Nearest => self.nearest(asked, client).await,
            Door::Changes => self.changes(asked).await,
            Door::Proof(name) => self.proof(&name, asked).await,
            Door::Receipt(id) => self.receipt(&id, asked).await,
            Door::Nowhere => Err(Problem::no_such_door()),
        };
        answer.unwrap_or_else(|problem| reply::problem(&problem, wants_html(&asked.headers), is_head(asked)))
    }

    /// Content with what goes beside it: the way to the proof of its name, and a receipt if the reader wants one.
    pub(crate) fn accompany(
        &self,
        asked: &HeaderMap,
        name: Option<&str>,
        mut response: Response<Body>,
    ) -> Response<Body> {
        let status = response.status();
        if let Some(name) = name.filter(|_| status.is_success() || status == StatusCode::NOT_MODIFIED) {
            proof::point_to(response.headers_mut(), name);
        }
        self.witnessed(asked, response)
    }

    /// Does what blocks on a thread for it.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let doors = self.clone();
        spawn_blocking(move || work(&doors))
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a door made the gateway panic");
                Err(Problem::internal())
            })
    }
}

fn is_head(asked: &Parts) -> bool {
    asked.method == Method::HEAD
}

/// Doors without a body of their own are read; `OPTIONS` says so.
fn only_read(asked: &Parts) -> Result<Option<Response<Body>>, Problem> {
    match asked.method {
        Method::GET | Method::HEAD => Ok(None),
        Method::OPTIONS => Ok(Some(reply::options())),
        _ => Err(Problem::method(&asked.method)),
    }
}

/// The whole body of a request, if it has at most `max` bytes and comes in time.
async fn whole(upload: Upload, max: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(UPLOAD_WITHIN, at_most(upload, max)).await;
    read.unwrap_or_else(|_| Err(Problem::too_slow()))
}

async fn at_most(mut upload: Upload, max: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    while let Some(frame) = upload.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("the body of the request broke off"))?;
        let data = frame.into_data().unwrap_or_default();
        if whole.len() + data.len() > max {
            return Err(Problem::too_large(max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// What the node could not read is told to the log, and not to strangers.
fn unreadable(what: &str, error: &Unreadable) -> Problem {
    tracing::error!(%error, "{what} could not be read");
    Problem::internal()
}

/// JSON of the node itself, asked for anew each time.
fn json(value: &impl serde::Serialize, head: bool) -> Result<Response<Body>, Problem> {
    let text = serde_json::to_vec_pretty(value).map_err(|_| Problem::internal())?;
    Ok(reply::text(StatusCode::OK, "application/json", text.into(), head))
}

/// An object as DAG-CBOR, to be saved under this name.
fn cbor(bytes: Vec<u8>, filename: &str, head: bool) -> Response<Body> {
    let mut response = reply::text(StatusCode::OK, "application/cbor", bytes.into(), head);
    let disposition = crate::escape::disposition("attachment", filename);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, crate::escape::header(&disposition));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_bounded() {
        for (length, status) in [(0, None), (10, None), (11, Some(StatusCode::PAYLOAD_TOO_LARGE))] {
            let body = http_body_util::Full::new(Bytes::from(vec![1; length]));
            let upload = body.map_err(|never| match never {}).boxed_unsync();
            let read = whole(upload, 10).await;
            assert_eq!(read.as_ref().err().map(|problem| problem.status), status);
            assert!(read.map_or(true, |bytes| bytes.len() == length));
        }
    }

    #[test]
    fn doors_are_found_by_their_paths() {
        for (path, expected) in [
            ("/", None),
            ("/ipfs/bafkqaaa", None),
            ("/routing/v1", None),
            (
                "/routing/v1/providers/x",
                Some(Door::Routing("providers/x".into())),
            ),
            ("/dns-query", Some(Door::Dns)),
            ("/dns-query/", None),
            ("/.well-known/ddn", None),
            ("/.well-known/other", None),
            ("/.well-known/ddn-origin", None),
            ("/.well-known/ddn/node", None),
            ("/.well-known/ddn/proxy.pac", None),
            ("/.well-known/ddn/open", None),
            ("/.well-known/ddn/nearest", Some(Door::Nearest)),
            ("/.well-known/ddn/nearest/x", Some(Door::Nowhere)),
            ("/.well-known/ddn/changes", Some(Door::Changes)),
            (
                "/.well-known/ddn/proof/alice.ddn",
                Some(Door::Proof("alice.ddn".into())),
            ),
            ("/.well-known/ddn/proof/", Some(Door::Proof(String::new()))),
            ("/.well-known/ddn/receipt/00", Some(Door::Receipt("00".into()))),
            ("/.well-known/ddn/", Some(Door::Nowhere)),
            ("/.well-known/ddn/other", Some(Door::Nowhere)),
        ] {
            assert_eq!(Door::at(path), expected, "{path}");
        }
    }
}
