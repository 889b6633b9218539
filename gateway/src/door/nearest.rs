//! Which edge should serve a user: the question of the white papers, with a door of its own.
//!
//! `?url=` says what is to be read, as any address that this gateway serves; `?ip=` says for whom, else it is the client
//! itself. The answer names every edge that is known, best first, with the reason. With `redirect=true` it is a 307 to the
//! chosen one, which must be known to the ledger: anybody can advertise an address, and a reader follows blindly.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use named::mesh::{Web, is_local};
use serde::Serialize;

use super::{Doors, Ranked, is_head, json, only_read};
use crate::ask::came::Came;
use crate::ask::query::Query;
use crate::ask::{self, Ask, Decision};
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::Client;

/// The longest address that is read, in bytes: what every browser takes.
const URL_BYTES_MAX: usize = 2048;

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    /// Whom it is for.
    ip: IpAddr,
    /// The path of the content on any gateway of the chain.
    path: String,
    /// The root of the content.
    content: String,
    /// Where it should be read.
    url: Option<String>,
    /// All that are known, best first.
    edges: Vec<Edge>,
}

#[derive(Debug, Serialize)]
struct Edge {
    node_id: String,
    gateway: Option<Web>,
    rtt_us: Option<u32>,
    chosen: bool,
    registered: bool,
    why: String,
}

impl Doors {
    pub(super) async fn nearest(&self, asked: &Parts, client: Client) -> Result<Response<Body>, Problem> {
        if let Some(answer) = only_read(asked)? {
            return Ok(answer);
        }
        let query = Query::parse(asked.uri.query().unwrap_or_default());
        let user = user(&query, client)?;
        let ask = self.wanted(&query)?;
        let redirect = query.get("redirect") == Some("true");
        let answer = self.blocking(move |doors| doors.rank(&ask, user)).await?;
        match (&answer.url, redirect) {
            (Some(url), true) => Ok(temporary(url)),
            _ => json(&answer, is_head(asked)),
        }
    }

    /// What is to be read.
    fn wanted(&self, query: &Query) -> Result<Ask, Problem> {
        let malformed = || {
            Problem::bad_request(
                "say what is to be read: ?url= and an address of this gateway, /ipfs/CID, ipfs://CID or ipns://NAME",
            )
        };
        let text = query.get("url").filter(|url| url.len() <= URL_BYTES_MAX);
        let uri = uri(text.ok_or_else(malformed)?).ok_or_else(malformed)?;
        // A path without a host is of an address, which has no sites below it.
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("127.0.0.1"))]);
        let came = Came {
            secure: false,
            trusted: false,
        };
        match ask::decide(&self.hosts, came, &Method::GET, &uri, Version::HTTP_11, &headers) {
            Decision::Content(ask) => Ok(*ask),
            Decision::Refuse(problem) => Err(problem),
            _ => Err(malformed()),
        }
    }

    fn rank(&self, ask: &Ask, user: IpAddr) -> Result<Answer, Problem> {
        let root = self.desk.start(&ask.address.root)?.cid;
        let ranked = self.node.nearest(&root.to_bytes(), user);
        let path = format!(
            "/{}/{}{}",
            ask.address.namespace(),
            escape::segment(&ask.address.root_text),
            escape::path(&ask.address.segments)
        );
        let slash = if ask.address.slash { "/" } else { "" };
        let chosen = ranked.iter().find(|ranked| may_be_followed(ranked, user));
        let gateway = chosen.and_then(|ranked| ranked.neighbour.gateway.as_ref());
        Ok(Answer {
            ip: user,
            url: gateway.map(|gateway| format!("{gateway}{path}{slash}")),
            path: format!("{path}{slash}"),
            content: root.to_string(),
            edges: ranked.into_iter().map(Edge::of).collect(),
        })
    }
}

impl Edge {
    fn of(ranked: Ranked) -> Self {
        Self {
            node_id: ranked.neighbour.node.to_string(),
            gateway: ranked.neighbour.gateway,
            rtt_us: ranked.rtt_us,
            chosen: ranked.chosen,
            registered: ranked.registered,
            why: ranked.why,
        }
    }
}

/// Whether a reader can be sent there: the ledger knows who answers for it, and its address is not one of a private network
/// that the reader is not in.
fn may_be_followed(ranked: &Ranked, user: IpAddr) -> bool {
    let gateway = ranked.neighbour.gateway.as_ref();
    ranked.registered && gateway.is_some_and(|gateway| !gateway.is_local() || is_local(user))
}

fn user(query: &Query, client: Client) -> Result<IpAddr, Problem> {
    match query.get("ip") {
        Some(text) => text
            .parse()
            .map_err(|_| Problem::bad_request(format!("{text:?} is not an IP address"))),
        None => Ok(client.address.ip().to_canonical()),
    }
}

/// An address of content as the target of a request.
fn uri(url: &str) -> Option<Uri> {
    let path = match url.split_once("://") {
        Some((scheme @ ("ipfs" | "ipns"), rest)) => format!("/{scheme}/{rest}"),
        Some(("http" | "https", _)) => url.to_owned(),
        None if url.starts_with('/') => url.to_owned(),
        _ => return None,
    };
    // What follows a `#` stays in the browser.
    path.split('#').next()?.parse().ok()
}

/// 307: now, and maybe elsewhere the next time.
fn temporary(url: &str) -> Response<Body> {
    let mut response = reply::new(StatusCode::TEMPORARY_REDIRECT, Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, escape::header(url));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Neighbour;
    use proptest::prelude::*;

    #[test]
    fn addresses_of_content() {
        for (url, expected) in [
            ("ipfs://bafkqaaa/a/b", Some("/ipfs/bafkqaaa/a/b")),
            ("ipns://alice.ddn#top", Some("/ipns/alice.ddn")),
            ("/ipfs/bafkqaaa", Some("/ipfs/bafkqaaa")),
            ("http://alice.ddn/x?y#z", Some("http://alice.ddn/x?y")),
            (
                "https://alice.ddn.gw.example/",
                Some("https://alice.ddn.gw.example/"),
            ),
            ("file:///etc/passwd", None),
            ("alice.ddn", None),
            ("http://a b/", None),
            ("", None),
        ] {
            assert_eq!(
                uri(url).map(|uri| uri.to_string()).as_deref(),
                expected,
                "{url:?}"
            );
        }
    }

    #[test]
    fn readers_are_sent_only_where_somebody_answers_for_it() {
        let ranked = |gateway: Option<&str>, registered| Ranked {
            neighbour: Neighbour {
                node: ledger::SecretKey::from_seed([1; 32]).public(),
                gateway: gateway.map(|gateway| gateway.parse().expect("a server")),
                provider: Vec::new(),
            },
            rtt_us: None,
            chosen: true,
            registered,
            why: String::new(),
        };
        for (gateway, registered, user, may) in [
            (Some("https://edge.example"), true, "198.51.100.1", true),
            (Some("https://edge.example"), false, "198.51.100.1", false),
            (None, true, "198.51.100.1", false),
            (Some("http://127.0.0.1:8080"), true, "198.51.100.1", false),
            (Some("http://127.0.0.1:8080"), true, "127.0.0.1", true),
            (Some("http://10.0.0.1"), true, "2001:db8::1", false),
        ] {
            let user = user.parse().expect("an address");
            assert_eq!(
                may_be_followed(&ranked(gateway, registered), user),
                may,
                "{gateway:?} {user}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_url_is_safe(url in any::<String>(), tail in "[ -~]{0,60}") {
            for url in [url, format!("ipfs://{tail}"), format!("http://{tail}"), format!("/ipns/{tail}")] {
                let _ = uri(&url);
            }
        }
    }
}
