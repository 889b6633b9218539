//! Which edge should serve a user: the question of the white papers, with a door of its own.
//!
//! `?url=` says what is to be read, as any address that this gateway serves; `?ip=` says for whom, else it is the client
//! itself. The answer names every edge that is known, best first, with the reason. With `redirect=true` it is a 307 to the
//! chosen one, which must be known to the ledger: anybody can advertise an address, and a reader follows blindly.
//!
//! If the operator wants it, who opens a page is sent there without asking. Only who opens one, in a browser of its own
//! and on a host of the gateway itself: the parts of a page are asked for where the page is, and a name that somebody has
//! for itself leads where its owner says. Who was sent here already, or came through somebody, is sent nowhere.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::Uri;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use ledger::PublicKey;
use named::mesh::{Web, is_local};
use serde::Serialize;

use super::{Doors, Ranked, is_head, json, only_read};
use crate::ask::address::{Address, Face};
use crate::ask::came::Came;
use crate::ask::format::{Format, wants_html};
use crate::ask::query::Query;
use crate::ask::{self, Ask, Decision};
use crate::body::Body;
use crate::escape;
use crate::problem::Problem;
use crate::reply;
use crate::server::service::Client;

/// The longest address that is read, in bytes: what every browser takes.
const URL_BYTES_MAX: usize = 2048;

/// The parameter of an address to which a reader was sent, which is how a reader is known who was.
const SENT: &str = "ddn-sent";

/// Who has one of these comes through somebody.
const PASSED_ON: [HeaderName; 6] = [
    header::VIA,
    header::FORWARDED,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

/// What browsers say of why they ask (Fetch Metadata), on connections that nobody could have changed.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

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
        let path = path(&ask.address);
        let chosen = ranked.iter().find(|ranked| may_be_followed(ranked, user));
        let gateway = chosen.and_then(|ranked| ranked.neighbour.gateway.as_ref());
        Ok(Answer {
            ip: user,
            url: gateway.map(|gateway| format!("{gateway}{path}")),
            path,
            content: root.to_string(),
            edges: ranked.into_iter().map(Edge::of).collect(),
        })
    }
}

impl Doors {
    /// Sends a reader to the edge that should serve this content, if that is another one.
    pub(crate) async fn onward(&self, ask: &Ask, client: Client) -> Option<Response<Body>> {
        let (address, query) = (ask.address.clone(), ask.query.clone());
        let better = self.blocking(move |doors| doors.better(&address, client));
        // What is wrong with the content is said by who serves it.
        let web = better.await.ok()??;
        let query = query.map_or_else(String::new, |query| format!("{query}&"));
        let mut response = temporary(&format!("{web}{}?{query}{SENT}=1", path(&ask.address)));
        let vary = HeaderValue::from_static("Accept, Sec-Fetch-Mode, Sec-Fetch-Dest");
        response.headers_mut().insert(header::VARY, vary);
        Some(response)
    }

    fn better(&self, address: &Address, client: Client) -> Result<Option<Web>, Problem> {
        let start = self.desk.start(&address.root)?;
        self.desk.allow_all(address, &start)?;
        let user = client.address.ip().to_canonical();
        let ranked = self.node.nearest(&start.cid.to_bytes(), user);
        Ok(elsewhere(&ranked, &self.node.myself().node, user, client.secure).cloned())
    }
}

/// Whether a request is for a page of a site on a host of the gateway itself: readers of those may be sent on, so that the
/// answer for one is not the answer for all.
pub(crate) fn is_page(ask: &Ask, asked: &HeaderMap) -> bool {
    let is_ours = match &ask.address.face {
        Face::Path | Face::Subdomain { .. } => true,
        Face::Name { gateway, .. } => gateway.is_some(),
    };
    is_ours && ask.format == Format::Web && wants_html(asked)
}

/// Whether who asks this may be sent to another edge: somebody who opens a page, and comes straight here.
pub(crate) fn may_go_on(ask: &Ask, asked: &Parts) -> bool {
    let says = |name, expected: &[u8]| {
        let value = asked.headers.get(name);
        value.is_none_or(|value| value.as_bytes() == expected)
    };
    let query = Query::parse(ask.query.as_deref().unwrap_or_default());
    // To a proxy HTTP/1 says the whole address.
    let by_proxy = asked.version < Version::HTTP_2 && asked.uri.authority().is_some();
    is_page(ask, &asked.headers)
        && !ask.only_if_cached
        && says(SEC_FETCH_MODE, b"navigate")
        && says(SEC_FETCH_DEST, b"document")
        && query.get(SENT).is_none()
        && !by_proxy
        && !PASSED_ON.iter().any(|name| asked.headers.contains_key(name))
}

/// The edge that should serve a user, if it is another one than `own` and the user can be sent there. Nobody who came by an
/// encrypted connection goes on by a plain one.
fn elsewhere<'a>(ranked: &'a [Ranked], own: &PublicKey, user: IpAddr, secure: bool) -> Option<&'a Web> {
    let chosen = ranked.iter().find(|ranked| ranked.chosen)?;
    let fits = chosen.neighbour.node != *own && may_be_followed(chosen, user);
    let web = chosen.neighbour.gateway.as_ref().filter(|_| fits)?;
    (!secure || web.is_secure()).then_some(web)
}

/// The path of content on any gateway of the chain.
fn path(address: &Address) -> String {
    let slash = if address.slash { "/" } else { "" };
    format!(
        "/{}/{}{}{slash}",
        address.namespace(),
        escape::segment(&address.root_text),
        escape::path(&address.segments)
    )
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

    #[test]
    fn readers_are_sent_to_the_chosen_edge_if_it_is_another() {
        let key = |seed| ledger::SecretKey::from_seed([seed; 32]).public();
        let ranked = |seed, gateway: &str, registered, chosen| Ranked {
            neighbour: Neighbour {
                node: key(seed),
                gateway: gateway.parse().ok(),
                provider: Vec::new(),
            },
            rtt_us: None,
            chosen,
            registered,
            why: String::new(),
        };
        let (tls, plain, near) = ("https://edge.example", "http://edge.example", "http://10.0.0.1");
        for (edges, user, secure, expected) in [
            (vec![], "198.51.100.1", false, None),
            (vec![ranked(1, plain, true, true)], "198.51.100.1", false, None),
            (vec![ranked(2, tls, true, true)], "198.51.100.1", true, Some(tls)),
            (vec![ranked(2, tls, true, true)], "198.51.100.1", false, Some(tls)),
            (
                vec![ranked(2, plain, true, true)],
                "198.51.100.1",
                false,
                Some(plain),
            ),
            (vec![ranked(2, plain, true, true)], "198.51.100.1", true, None),
            (vec![ranked(2, tls, false, true)], "198.51.100.1", false, None),
            (vec![ranked(2, tls, true, false)], "198.51.100.1", false, None),
            (vec![ranked(2, near, true, true)], "198.51.100.1", false, None),
            (vec![ranked(2, near, true, true)], "10.0.0.9", false, Some(near)),
            (vec![ranked(2, "", true, true)], "198.51.100.1", false, None),
            // The nearest has no room; the one that has is this one.
            (
                vec![ranked(2, tls, true, false), ranked(1, plain, true, true)],
                "198.51.100.1",
                false,
                None,
            ),
        ] {
            let user = user.parse().expect("an address");
            let to = elsewhere(&edges, &key(1), user, secure).map(ToString::to_string);
            assert_eq!(to.as_deref(), expected, "{edges:?} {user} {secure}");
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
