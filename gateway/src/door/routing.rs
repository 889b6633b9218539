//! Delegated routing v1: who has a block, and where a node is (specs.ipfs.tech/routing/http-routing-v1).
//!
//! IPFS clients ask this for single blocks, some for each block. So what is here is answered at once, with this node
//! alone; only for what is not here the network is asked. A record names the HTTP server of a node that gives raw blocks;
//! a node without one is left out, since no IPFS client could fetch from it.

mod filter;
mod names;
mod record;

use std::time::SystemTime;

use cid::Cid;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use ledger::PublicKey;
use named::mesh;

use super::{Doors, Neighbour, is_head, only_read, unreadable};
use crate::ask::query::Query;
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::Upload;
use filter::Filters;
use record::Record;

/// Records in one answer: what the specification allows at most for JSON.
const RECORDS_MAX: usize = 100;
/// The longest text of a CID or a name that is read, in bytes; the longest in use have about 120.
const TEXT_BYTES_MAX: usize = 512;
/// For how long who has something may be kept: provider records of the mesh last longer.
const FOUND: HeaderValue =
    HeaderValue::from_static("public, max-age=300, stale-while-revalidate=172800, stale-if-error=172800");
/// For how long it may be kept that nobody has it: it may be published in a moment.
const NONE_FOUND: HeaderValue =
    HeaderValue::from_static("public, max-age=15, stale-while-revalidate=172800, stale-if-error=172800");

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Question {
    Providers(Cid),
    /// A node; none if it can be no node of ours.
    Peer(Option<PublicKey>),
    /// An IPNS name, as it came.
    Ipns(String),
}

impl Question {
    /// Reads what follows `/routing/v1/`.
    fn read(path: &str) -> Result<Self, Problem> {
        let (kind, text) = path.split_once('/').unwrap_or((path, ""));
        let text = escape::unescape(text).filter(|text| text.len() <= TEXT_BYTES_MAX);
        let text = text.ok_or_else(|| Problem::unprocessable("the path is too long, or no UTF-8"))?;
        match kind {
            "providers" => cid(&text).map(Self::Providers),
            "peers" => peer(&text).map(Self::Peer),
            "ipns" => Ok(Self::Ipns(text)),
            // Optional, and of another network's hash table.
            "dht" => Err(Problem::not_offered("this router walks no DHT for others")),
            _ => Err(Problem::bad_request(
                "delegated routing has /routing/v1/providers/CID, /peers/ID and /ipns/NAME",
            )),
        }
    }
}

fn cid(text: &str) -> Result<Cid, Problem> {
    Cid::try_from(text).map_err(|error| Problem::unprocessable(format!("{text:?} is not a CID: {error}")))
}

fn peer(text: &str) -> Result<Option<PublicKey>, Problem> {
    mesh::node_of(text).map_err(|error| Problem::unprocessable(format!("{text:?} {error}")))
}

impl Doors {
    pub(super) async fn routing(
        &self,
        path: &str,
        asked: &Parts,
        upload: Upload,
    ) -> Result<Response<Body>, Problem> {
        let question = Question::read(path)?;
        if let Question::Ipns(name) = question {
            return self.ipns(&name, asked, upload).await;
        }
        drop(upload);
        if let Some(answer) = only_read(asked).map_err(|_| Problem::not_offered("this can only be read"))? {
            return Ok(answer);
        }
        let filters = Filters::read(&Query::parse(asked.uri.query().unwrap_or_default()))?;
        let (list, found) = match question {
            Question::Providers(cid) => ("Providers", self.providers(cid).await?),
            Question::Peer(node) => ("Peers", self.peer(node)),
            Question::Ipns(_) => ("", Vec::new()),
        };
        let records = found
            .iter()
            .map(Record::of)
            .filter_map(|record| filters.apply(record));
        answer(list, &records.take(RECORDS_MAX).collect::<Vec<_>>(), asked)
    }

    /// Those that give the block to anybody over HTTP.
    async fn providers(&self, cid: Cid) -> Result<Vec<Neighbour>, Problem> {
        let here = self.blocking(move |doors| {
            let here = doors.node.has(&cid);
            here.map_err(|error| unreadable("whether a block is here", &error))
        });
        let myself = self.node.myself();
        if here.await? && !myself.provider.is_empty() {
            return Ok(vec![myself]);
        }
        self.others(cid).await
    }

    /// Those that the network knows; of them, those that say where they give it.
    async fn others(&self, cid: Cid) -> Result<Vec<Neighbour>, Problem> {
        let mut neighbours = self.node.neighbours();
        neighbours.retain(|neighbour| !neighbour.provider.is_empty());
        if neighbours.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(place) = std::sync::Arc::clone(&self.searches).try_acquire_owned() else {
            return Err(Problem::busy_searching());
        };
        let nodes = self.blocking(move |doors| {
            let nodes = doors.node.providers(&cid);
            drop(place);
            Ok(nodes)
        });
        let nodes = nodes.await?;
        let provides = |neighbour: &Neighbour| nodes.contains(&neighbour.node);
        Ok(neighbours.into_iter().filter(provides).collect())
    }

    fn peer(&self, node: Option<PublicKey>) -> Vec<Neighbour> {
        let known = std::iter::once(self.node.myself()).chain(self.node.neighbours());
        known
            .filter(|neighbour| Some(neighbour.node) == node)
            .take(1)
            .collect()
    }
}

/// Whether the client takes one record a line: only who says so gets it.
fn wants_lines(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(LINES))
}

const LINES: &str = "application/x-ndjson";

/// An answer without records is an answer (IPIP-513).
fn answer(list: &str, records: &[Record], asked: &Parts) -> Result<Response<Body>, Problem> {
    let fault = |_| Problem::internal();
    let (media, text) = match wants_lines(&asked.headers) {
        true => {
            let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
            let lines = lines.map_err(fault)?;
            (LINES, lines.into_iter().map(|line| line + "\n").collect())
        }
        false => {
            let whole = serde_json::to_string(&serde_json::json!({ list: records })).map_err(fault)?;
            ("application/json", whole)
        }
    };
    let mut response = reply::text(StatusCode::OK, media, text.into(), is_head(asked));
    let headers = response.headers_mut();
    let keep = if records.is_empty() { NONE_FOUND } else { FOUND };
    headers.insert(header::CACHE_CONTROL, keep);
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::LAST_MODIFIED, date(SystemTime::now()));
    Ok(response)
}

/// As HTTP writes it (RFC 9110, section 5.6.7).
fn date(time: SystemTime) -> HeaderValue {
    escape::header(&httpdate::fmt_http_date(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        let cid = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
        for (path, status) in [
            (format!("providers/{cid}"), None),
            (
                "providers/QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n".into(),
                None,
            ),
            (
                "peers/12D3KooWCjfPiojcCUmv78Wd1NJzi4Mraj1moxigp7AfQVQvGLwH".into(),
                None,
            ),
            (
                "peers/k51qzi5uqu5dgutdk6i1ynyzgkqngpha5xpgia3a5qqp4jsh0u4csozksxel2r".into(),
                None,
            ),
            (
                "peers/QmSoLPppuBtQSGwKDZT2M73ULpjvfd3aZ6ha4oFGL1KrGM".into(),
                None,
            ),
            ("ipns/anything".into(), None),
            ("providers/".into(), Some(422)),
            ("providers/nonsense".into(), Some(422)),
            (format!("providers/{}", "a".repeat(600)), Some(422)),
            ("providers/%ff".into(), Some(422)),
            (format!("peers/{cid}"), Some(422)),
            ("peers/x".into(), Some(422)),
            (format!("dht/closest/peers/{cid}"), Some(501)),
            ("providers".into(), Some(422)),
            ("other/x".into(), Some(400)),
            (String::new(), Some(400)),
        ] {
            let read = Question::read(&path).map_err(|problem| problem.status.as_u16());
            assert_eq!(read.err(), status, "{path}");
        }
    }
}
