//! What a request asks for, decided from its head alone: pure, so that every rule is a row in a table of tests.

pub(crate) mod address;
pub(crate) mod condition;
pub(crate) mod format;
pub(crate) mod host;
pub(crate) mod query;
pub(crate) mod range;

use cid::Cid;
use http::header::{CACHE_CONTROL, HOST};
use http::{HeaderMap, Method, Uri, Version};

use crate::escape;
use crate::problem::Problem;
use address::{Address, Face, Root};
use format::{Format, NoFormat};
use host::{BadHost, Hosts, Site};
use query::Query;

/// Content that is wanted, and how.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What.
    pub address: Address,
    /// In which form.
    pub format: Format,
    /// Whether `Accept` chose the form, so that a cache must not hand it to others.
    pub negotiated: bool,
    /// `HEAD`: the head of the answer without its body.
    pub head: bool,
    /// `?filename=`.
    pub filename: Option<String>,
    /// `?download=true`: to be saved rather than shown.
    pub download: bool,
    /// `Cache-Control: only-if-cached`: answer 412 rather than 404 if it is not on this node.
    pub only_if_cached: bool,
    /// The query string, to be repeated in redirects.
    pub query: Option<String>,
    /// The request's headers, for conditions and ranges.
    pub headers: HeaderMap,
}

/// What to do with a request.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Look the content up and serve it.
    Content(Box<Ask>),
    /// The page at `/` of the gateway.
    Landing {
        /// Host and port as the client wrote them, for the examples on the page.
        host: String,
    },
    /// The node's card.
    Card,
    /// 301 to this path.
    Redirect(String),
    /// The answer to `OPTIONS`.
    Options,
    /// Nothing to serve.
    Refuse(Problem),
}

/// Decides what to do with a request.
pub(crate) fn decide(
    hosts: &Hosts,
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Decision {
    if method == Method::OPTIONS {
        return Decision::Options;
    }
    if method != Method::GET && method != Method::HEAD {
        return Decision::Refuse(Problem::method(method));
    }
    let routed = authority(uri, version, headers).and_then(|host| route(hosts, &host, uri));
    match routed {
        Ok(Route::Landing { host }) => Decision::Landing { host },
        Ok(Route::Card) => Decision::Card,
        Ok(Route::Redirect(to)) => Decision::Redirect(to),
        Ok(Route::Content(address)) => content(address, method, uri, headers),
        Err(problem) => Decision::Refuse(problem),
    }
}

fn content(address: Address, method: &Method, uri: &Uri, headers: &HeaderMap) -> Decision {
    let query = Query::parse(uri.query().unwrap_or_default());
    let (format, negotiated) = match format::negotiate(&query, headers) {
        Ok(format) => format,
        Err(NoFormat::Malformed(reason)) => return Decision::Refuse(Problem::bad_request(reason)),
        Err(NoFormat::NotOffered(reason)) => return Decision::Refuse(Problem::not_acceptable(reason)),
    };
    Decision::Content(Box::new(Ask {
        address,
        format,
        negotiated,
        head: method == Method::HEAD,
        filename: query.get("filename").map(str::to_owned),
        download: query.get("download") == Some("true"),
        only_if_cached: only_if_cached(headers),
        query: uri.query().filter(|query| !query.is_empty()).map(str::to_owned),
        headers: headers.clone(),
    }))
}

fn only_if_cached(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("only-if-cached"))
}

/// The host that the request is for: of an absolute target first, then `Host`, which HTTP/1.1 demands exactly once.
fn authority(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<String, Problem> {
    if let Some(authority) = uri.authority() {
        return Ok(authority.as_str().to_owned());
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let text = host
                .to_str()
                .map_err(|_| Problem::bad_request("the Host header is malformed"))?;
            Ok(text.trim().to_owned())
        }
        (None, _) if version < Version::HTTP_11 => Ok("localhost".into()),
        (None, _) => Err(Problem::bad_request("the Host header is missing")),
        (Some(_), Some(_)) => Err(Problem::bad_request("the Host header is there more than once")),
    }
}

enum Route {
    Landing { host: String },
    Card,
    Redirect(String),
    Content(Address),
}

fn route(hosts: &Hosts, host: &str, uri: &Uri) -> Result<Route, Problem> {
    let site = hosts.site(host).map_err(|bad| bad_host(&bad, host))?;
    let path = uri.path();
    if path == "/.well-known/ddn/node" {
        return Ok(Route::Card);
    }
    let (segments, slash) = segments(path)?;
    match site {
        Site::Paths => by_path(host, segments, slash, uri.query().unwrap_or_default()),
        Site::Cid { cid, text, gateway } => Ok(Route::Content(Address {
            root: Root::Cid(cid),
            root_text: text,
            segments,
            slash,
            face: Face::Subdomain { gateway },
        })),
        Site::Name { name, host, gateway } => Ok(Route::Content(Address {
            root: Root::Name,
            root_text: name,
            segments,
            slash,
            face: Face::Name { host, gateway },
        })),
    }
}

fn bad_host(bad: &BadHost, host: &str) -> Problem {
    match bad {
        BadHost::Malformed => Problem::bad_request(format!("the Host header {host:?} is malformed")),
        BadHost::NotACid(text) if text.len() > 63 => {
            Problem::bad_request("CID incompatible with DNS label length limit of 63")
        }
        BadHost::NotACid(text) => {
            Problem::bad_request(format!("invalid path \"/ipfs/{text}\": {text} is not a CID"))
        }
    }
}

/// Decoded segments without the empty ones, and whether the path ends with a slash.
fn segments(path: &str) -> Result<(Vec<String>, bool), Problem> {
    let decoded = path
        .split('/')
        .filter(|raw| !raw.is_empty())
        .map(escape::unescape);
    let segments: Option<Vec<String>> = decoded.collect();
    let segments = segments.ok_or_else(|| Problem::bad_request("the path is not UTF-8"))?;
    Ok((segments, path.ends_with('/')))
}

fn by_path(host: &str, mut segments: Vec<String>, slash: bool, query: &str) -> Result<Route, Problem> {
    if segments.is_empty() {
        return Ok(Route::Landing {
            host: host.to_owned(),
        });
    }
    let namespace = segments.remove(0);
    if !matches!(namespace.as_str(), "ipfs" | "ipns") {
        return Err(Problem::no_such_page());
    }
    if segments.is_empty() {
        return by_uri(&namespace, query);
    }
    let root_text = segments.remove(0);
    let root = match namespace.as_str() {
        "ipfs" => Root::Cid(parse_cid(&root_text)?),
        _ => Root::Name,
    };
    Ok(Route::Content(Address {
        root,
        root_text,
        segments,
        slash,
        face: Face::Path,
    }))
}

fn parse_cid(text: &str) -> Result<Cid, Problem> {
    Cid::try_from(text).map_err(|error| {
        Problem::bad_request(format!(
            "invalid path \"/ipfs/{text}\": {text} is not a CID ({error})"
        ))
    })
}

/// `/ipfs/?uri=ipfs://CID/path`: where browsers send links of the registered protocol.
fn by_uri(namespace: &str, query: &str) -> Result<Route, Problem> {
    let wanted = match namespace {
        "ipfs" => "after /ipfs/ comes a CID",
        _ => "after /ipns/ comes a name",
    };
    let query = Query::parse(query);
    let Some(uri) = query.get("uri") else {
        return Err(Problem::bad_request(wanted));
    };
    let rest = uri
        .strip_prefix(namespace)
        .and_then(|rest| rest.strip_prefix("://"));
    let rest =
        rest.ok_or_else(|| Problem::bad_request(format!("the uri does not start with {namespace}://")))?;
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, format!("?{}", query.split('#').next().unwrap_or_default())),
        None => (rest.split('#').next().unwrap_or_default(), String::new()),
    };
    let (segments, slash) = segments(path)?;
    let slash = if slash && !segments.is_empty() { "/" } else { "" };
    let query: String = query.chars().filter(|c| c.is_ascii_graphic()).collect();
    Ok(Route::Redirect(format!(
        "/{namespace}{}{slash}{query}",
        escape::path(&segments)
    )))
}

#[cfg(test)]
mod tests;
