//! Where content is looked up and answers are made. Everything here may block on a disk.

mod car;
mod file;
mod listing;
mod object;

use std::sync::Arc;

use bytes::Bytes;
use cid::Cid;
use http::header;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ledger::Records;
use named::dap::{self, NameError, Names, Resolution};
use storage::{Blocks, Kind, Node};
use tokio::sync::Semaphore;

use crate::ask::Ask;
use crate::ask::address::Root;
use crate::ask::condition::{Verdict, judge};
use crate::ask::format::{self, Codec, Format};
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::trail::Trail;

/// What answers are made from.
pub(crate) struct Desk {
    /// The content.
    pub blocks: Arc<dyn Blocks + Send + Sync>,
    /// The names.
    pub names: Arc<dyn Names>,
    /// Rows of a listing, at most.
    pub listing_entries_max: usize,
    /// Places for CAR streams, each of which occupies a thread.
    pub cars: Arc<Semaphore>,
}

impl Desk {
    /// Answers a request for content.
    pub(crate) fn answer(&self, ask: &Ask) -> Response<Body> {
        self.serve(ask)
            .unwrap_or_else(|problem| reply::problem(&problem, format::wants_html(&ask.headers), ask.head))
    }

    fn serve(&self, ask: &Ask) -> Result<Response<Body>, Problem> {
        let root = self.root(ask)?;
        let trail = Trail::new(&*self.blocks);
        let path: Vec<&str> = ask.address.segments.iter().map(String::as_str).collect();
        let node = storage::resolve(&trail, &root, &path).map_err(|error| failed(ask, &error))?;
        if !node.rest.is_empty() && !matches!(ask.format, Format::Car(_)) {
            let rest = node.rest.join("/");
            return Err(Problem::not_a_link(format!(
                "{rest:?} is a value inside {}, not a link",
                node.cid
            )));
        }
        match (&ask.format, &node.kind) {
            (Format::Raw, _) => object::raw(ask, &node, &trail),
            (Format::Car(car), _) => self.car(ask, &node, trail, car),
            (Format::Object(_), Kind::DagCbor | Kind::Other { .. })
            | (_, Kind::DagCbor | Kind::Other { .. }) => object::object(ask, &node, &trail),
            (Format::Object(codec), _) if !is_mild(ask, *codec) => Err(Problem::not_acceptable(format!(
                "{} is a file, folder or link of UnixFS",
                node.cid
            ))),
            (_, Kind::Directory) => self.folder(ask, &node, &trail),
            (_, Kind::File { size } | Kind::Raw { size }) => {
                let name = ask.address.segments.last().map_or("", String::as_str);
                self.file(
                    ask,
                    &node,
                    &file::File {
                        cid: node.cid,
                        size: *size,
                        name,
                        etag_of: node.cid,
                    },
                    &trail,
                )
            }
            (_, Kind::Symlink { target }) => {
                let head = Head::new(ask, &node, tag(&node.cid, ""), "inode/symlink");
                head.send(ask, &Bytes::from(target.clone()))
            }
        }
    }

    /// The root of the path: of a name, what the ledger says now.
    fn root(&self, ask: &Ask) -> Result<Cid, Problem> {
        match &ask.address.root {
            Root::Cid(cid) => Ok(*cid),
            Root::Name => self.content_of(&ask.address.root_text),
        }
    }

    /// What a name points to, through the names that it stands for.
    fn content_of(&self, asked: &str) -> Result<Cid, Problem> {
        let mut name = asked.to_owned();
        for _ in 0..=ALIASES_MAX {
            let records = self.records(&name)?;
            match (records.content, records.cname) {
                (Some(link), _) => return Ok(link.0),
                (None, Some(other)) => name = other,
                (None, None) => break,
            }
        }
        Err(Problem::name_empty(&name))
    }

    fn records(&self, name: &str) -> Result<Records, Problem> {
        match dap::resolve(&*self.names, name) {
            Ok(Resolution::Found { records, .. }) => Ok(records),
            Ok(Resolution::Absent { name, .. }) => Err(Problem::name_unknown(&name)),
            Ok(Resolution::Foreign) => Err(Problem::name_foreign(name, self.names.tld())),
            Err(NameError::State(error)) => {
                tracing::error!(%error, name, "a name could not be read");
                Err(Problem::internal())
            }
            Err(error) => Err(Problem::bad_name(name, &error.to_string())),
        }
    }

    fn folder(&self, ask: &Ask, node: &Node, trail: &Trail<'_>) -> Result<Response<Body>, Problem> {
        if !ask.address.slash {
            let query = ask
                .query
                .as_ref()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            return Ok(reply::redirect(
                &format!("{}/{query}", ask.address.url()),
                cache(ask),
            ));
        }
        match storage::resolve(trail, &node.cid, &["index.html"]) {
            Ok(Node {
                cid,
                kind: Kind::File { size } | Kind::Raw { size },
                ..
            }) => self.file(
                ask,
                node,
                &file::File {
                    cid,
                    size,
                    name: "index.html",
                    etag_of: node.cid,
                },
                trail,
            ),
            Ok(_) | Err(storage::Error::NoLink { .. }) => self.listing(ask, node),
            Err(error) => Err(failed(ask, &error)),
        }
    }
}

/// Names that stand for each other, at most: more is a loop.
const ALIASES_MAX: usize = 8;

/// Scripts often accept JSON from wherever it comes; that is no wish for another form of a file.
fn is_mild(ask: &Ask, codec: Codec) -> bool {
    ask.negotiated && matches!(codec, Codec::Json | Codec::Cbor)
}

/// What a failed read means to the client. Our own faults are told to the log alone.
fn failed(ask: &Ask, error: &storage::Error) -> Problem {
    match error {
        storage::Error::Missing(cid) => Problem::not_here(cid, ask.only_if_cached),
        storage::Error::NoLink { segment, .. } => Problem::path_missing(&ask.address.content_path(), segment),
        storage::Error::Malformed { .. } | storage::Error::UnsupportedHash { .. } => {
            Problem::unreadable(error.to_string())
        }
        error => {
            tracing::error!(%error, path = ask.address.content_path(), "content could not be read");
            Problem::internal()
        }
    }
}

/// `"CID"`, or `"CID.raw"` for another form of it.
fn tag(cid: &Cid, form: &str) -> String {
    match form {
        "" => format!("\"{cid}\""),
        form => format!("\"{cid}.{form}\""),
    }
}

fn cache(ask: &Ask) -> HeaderValue {
    if ask.address.is_mutable() {
        reply::REVALIDATE
    } else {
        reply::IMMUTABLE
    }
}

/// The head of an answer that has content.
struct Head {
    etag: String,
    headers: HeaderMap,
}

impl Head {
    fn new(ask: &Ask, node: &Node, etag: String, media: &str) -> Self {
        let mut headers = HeaderMap::new();
        let roots: Vec<String> = node.roots.iter().map(Cid::to_string).collect();
        headers.insert(header::ETAG, escape::header(&etag));
        headers.insert(header::CONTENT_TYPE, escape::header(media));
        headers.insert(header::CACHE_CONTROL, cache(ask));
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(reply::X_IPFS_PATH, escape::header(&ask.address.content_path()));
        headers.insert(reply::X_IPFS_ROOTS, escape::header(&roots.join(",")));
        if ask.negotiated {
            headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        }
        Self { etag, headers }
    }

    fn set(&mut self, name: header::HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// How the client should name what it saves. `attach` asks it to save even if it could show it.
    fn disposition(&mut self, ask: &Ask, attach: bool, fallback: &str) {
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
    fn condition(&self, ask: &Ask) -> Result<Option<Response<Body>>, Problem> {
        match judge(&ask.headers, &self.etag) {
            Verdict::Proceed => Ok(None),
            Verdict::Failed => Err(Problem::precondition(&self.etag)),
            Verdict::NotModified => {
                let mut response = self.respond(StatusCode::NOT_MODIFIED, Body::empty());
                for name in [
                    header::CONTENT_TYPE,
                    header::CONTENT_DISPOSITION,
                    header::ACCEPT_RANGES,
                ] {
                    response.headers_mut().remove(name);
                }
                Ok(Some(response))
            }
        }
    }

    fn respond(&self, status: StatusCode, body: Body) -> Response<Body> {
        let mut response = reply::new(status, body);
        for (name, value) in &self.headers {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }

    /// Sends bytes that are in memory, or the range of them that was asked.
    fn send(&self, ask: &Ask, bytes: &Bytes) -> Result<Response<Body>, Problem> {
        match self.condition(ask)? {
            Some(answer) => Ok(answer),
            None => file::ranged(self, ask, bytes.len() as u64, |range| {
                Ok(Body::whole(bytes.slice(range.start as usize..range.end as usize)))
            }),
        }
    }
}
