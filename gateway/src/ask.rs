//! What a request asks for, decided from its head alone: pure, so that every rule is a row in a table of tests.

pub(crate) mod address;
pub(crate) mod came;
pub(crate) mod condition;
pub(crate) mod content_path;
pub(crate) mod format;
pub(crate) mod host;
pub(crate) mod isolate;
pub(crate) mod open;
pub(crate) mod query;
pub(crate) mod range;

use http::header::CACHE_CONTROL;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::door::Door;
use crate::escape;
use crate::fresh::Fresh;
use crate::guard::Seat;
use crate::pack::Wish;
use crate::problem::Problem;
use address::{Address, Face, Root};
use came::Came;
use format::{Format, NoFormat};
use host::{BadHost, Hosts, Site};
use query::Query;

/// Content that is wanted, and how.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// What.
    pub address: Address,
    /// Where the site begins below the root's CID: what the records that lead to it add to the path. Empty until they are
    /// read.
    pub lead: Vec<String>,
    /// For how long the answer holds; until the records that lead to the content are read, as if they were none.
    pub fresh: Fresh,
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
    /// The request's headers, for conditions and ranges; entity tags are those of plain answers.
    pub headers: HeaderMap,
    /// Whether the answer shall be compressed.
    pub wish: Wish,
    /// How whoever asks is counted; the gate knows it, and nothing is decided from it here.
    pub seat: Seat,
}

impl Ask {
    /// The whole path below the root's CID.
    pub(crate) fn path(&self) -> Vec<&str> {
        let segments = self.lead.iter().chain(&self.address.segments);
        segments.map(String::as_str).collect()
    }
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
        /// Whether the client came by `https`.
        secure: bool,
    },
    /// The node's card.
    Card,
    /// Go to this path, or this URL.
    Redirect {
        /// 301, or 302 where another answer is possible one day.
        status: StatusCode,
        /// Where to.
        to: String,
    },
    /// The host may be that of a site, which DNS says.
    Stranger {
        /// The domain to be looked up.
        domain: String,
        /// What to do if it has a DNSLink.
        site: Box<Decision>,
        /// What to do if it has none.
        otherwise: Box<Decision>,
    },
    /// The file that tells browsers to open names of ours through this gateway.
    Pac {
        /// Host and port of the gateway, as the client wrote them.
        authority: String,
        /// Whether the client speaks TLS with it.
        secure: bool,
    },
    /// `CONNECT` to a host of ours: from now on the connection is one with that host, which is this gateway.
    Tunnel,
    /// The answer to `OPTIONS`.
    Options,
    /// Nothing to serve.
    Refuse(Problem),
}

/// The door at which a request knocks: something that is asked of the node itself. Some are on every host, so that no site can
/// stand in their place.
pub(crate) fn door(
    hosts: &Hosts,
    came: Came,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Option<Door> {
    let door = Door::at(uri.path())?;
    let is_ours = |host: String| matches!(hosts.site(&host), Ok(Site::Paths | Site::Gateway(_)));
    let is_here = door.is_everywhere() || came.authority(uri, version, headers).is_ok_and(is_ours);
    is_here.then_some(door)
}

/// Decides what to do with a request that knocks at no [`door`].
pub(crate) fn decide(
    hosts: &Hosts,
    came: Came,
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
) -> Decision {
    if method == Method::OPTIONS {
        return Decision::Options;
    }
    if method == Method::CONNECT && version < Version::HTTP_2 {
        return tunnel(hosts, uri);
    }
    if method != Method::GET && method != Method::HEAD {
        return Decision::Refuse(Problem::method(method));
    }
    let request = Request {
        hosts,
        method,
        uri,
        headers,
        secure: came.is_secure(headers),
    };
    let host = came.authority(uri, version, headers);
    host.and_then(|host| request.by_host(&host))
        .unwrap_or_else(Decision::Refuse)
}

/// What the decision is made from.
struct Request<'a> {
    hosts: &'a Hosts,
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    secure: bool,
}

impl Request<'_> {
    fn by_host(&self, host: &str) -> Result<Decision, Problem> {
        let site = self.hosts.site(host).map_err(|bad| bad_host(&bad, host))?;
        if self.uri.path() == "/.well-known/ddn/node" {
            return Ok(Decision::Card);
        }
        if self.uri.path() == "/.well-known/ddn/proxy.pac" {
            return Ok(Decision::Pac {
                authority: host.to_owned(),
                secure: self.secure,
            });
        }
        if self.uri.path() == open::PATH && matches!(site, Site::Paths | Site::Gateway(_)) {
            return self.by_wish();
        }
        match site {
            Site::Paths => self.by_path(host, None),
            Site::Gateway(gateway) => self.by_path(host, Some(&gateway)),
            Site::Root {
                root,
                text,
                host,
                gateway,
            } => self.site(root, text, host, gateway),
            Site::Stranger { domain, host } => Ok(Decision::Stranger {
                site: Box::new(self.site(
                    Root::Domain(domain.clone()),
                    domain.clone(),
                    host.clone(),
                    None,
                )?),
                otherwise: Box::new(self.by_path(&host, None).unwrap_or_else(Decision::Refuse)),
                domain,
            }),
        }
    }

    /// The site that has the host for itself.
    fn site(
        &self,
        root: Root,
        root_text: String,
        host: String,
        gateway: Option<String>,
    ) -> Result<Decision, Problem> {
        let (segments, slash) = segments(self.uri.path())?;
        let canonical = match &root {
            Root::Cid(cid) => isolate::cid_label(cid)? == root_text,
            Root::Ipns(name) => name.to_string() == root_text,
            Root::Name(_) | Root::Domain(_) => true,
        };
        let face = match (&root, &gateway) {
            (Root::Cid(_), Some(gateway)) => Face::Subdomain {
                gateway: gateway.clone(),
            },
            _ => Face::Name {
                host,
                gateway: gateway.clone(),
            },
        };
        let address = Address {
            root,
            root_text,
            segments,
            slash,
            face,
        };
        match gateway {
            // One origin for one site, however its CID or key is written.
            Some(gateway) if !canonical => {
                let url = isolate::url(&address, &gateway, self.secure, self.uri.query())?;
                Ok(moved(url.unwrap_or_default()))
            }
            _ => Ok(Decision::Content(Box::new(self.ask(address)?))),
        }
    }

    /// Content that has a path. On the host of a `gateway` that leads to a host of its own, unless it is nothing that a
    /// browser would show.
    fn by_path(&self, host: &str, gateway: Option<&str>) -> Result<Decision, Problem> {
        let (mut segments, slash) = segments(self.uri.path())?;
        if segments.is_empty() {
            return Ok(Decision::Landing {
                host: host.to_owned(),
                secure: self.secure,
            });
        }
        let namespace = segments.remove(0);
        if !matches!(namespace.as_str(), "ipfs" | "ipns") {
            return Err(Problem::no_such_page());
        }
        if segments.is_empty() {
            return by_uri(&namespace, self.uri.query().unwrap_or_default());
        }
        let root_text = segments.remove(0);
        let ask = self.ask(Address {
            root: content_path::root(&namespace, &root_text, &self.hosts.tlds)?,
            root_text,
            segments,
            slash,
            face: Face::Path,
        })?;
        if !ask.format.is_shown() {
            return Ok(Decision::Content(Box::new(ask)));
        }
        let query = ask.query.as_deref();
        if let Some(gateway) = gateway
            && let Some(url) = isolate::url(&ask.address, gateway, self.secure, query)?
        {
            return Ok(moved(url));
        }
        Ok(match canonical_key(&ask) {
            Some(to) => Decision::Redirect {
                status: StatusCode::FOUND,
                to,
            },
            None => Decision::Content(Box::new(ask)),
        })
    }

    /// What the form of the landing page asks for.
    fn by_wish(&self) -> Result<Decision, Problem> {
        let query = Query::parse(self.uri.query().unwrap_or_default());
        let path = open::content_path(query.get("address").unwrap_or_default(), self.hosts.tlds.own());
        path.map(|to| Decision::Redirect {
            status: StatusCode::FOUND,
            to,
        })
        .ok_or_else(|| {
            Problem::bad_request("there is neither a name nor a CID in what was asked to be opened")
        })
    }

    fn ask(&self, address: Address) -> Result<Ask, Problem> {
        let query = Query::parse(self.uri.query().unwrap_or_default());
        let (format, negotiated) = format::negotiate(&query, self.headers).map_err(|error| match error {
            NoFormat::Malformed(reason) => Problem::bad_request(reason),
            NoFormat::NotOffered(reason) => Problem::not_acceptable(reason),
        })?;
        let mut plain = self.headers.clone();
        let wish = Wish::take(&mut plain, format == Format::Web);
        let fresh = match address.root {
            Root::Cid(_) => Fresh::Forever,
            Root::Name(_) | Root::Ipns(_) | Root::Domain(_) => Fresh::Never,
        };
        Ok(Ask {
            address,
            lead: Vec::new(),
            fresh,
            format,
            negotiated,
            head: self.method == Method::HEAD,
            filename: query.get("filename").map(str::to_owned),
            download: query.get("download") == Some("true"),
            only_if_cached: only_if_cached(self.headers),
            query: self
                .uri
                .query()
                .filter(|query| !query.is_empty())
                .map(str::to_owned),
            headers: plain,
            wish,
            seat: Seat::default(),
        })
    }
}

/// A tunnel leads nowhere but to this gateway, so whoever wants one to somebody else is told so, and nobody takes the
/// gateway for an open proxy.
fn tunnel(hosts: &Hosts, uri: &Uri) -> Decision {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match hosts.is_own(authority) {
        true => Decision::Tunnel,
        false => Decision::Refuse(Problem::no_tunnel(authority)),
    }
}

fn moved(to: String) -> Decision {
    Decision::Redirect {
        status: StatusCode::MOVED_PERMANENTLY,
        to,
    }
}

/// The path of a key in its one form, if it was written in another.
fn canonical_key(ask: &Ask) -> Option<String> {
    let Root::Ipns(name) = &ask.address.root else {
        return None;
    };
    let name = name.to_string();
    let slash = if ask.address.slash { "/" } else { "" };
    let query = ask
        .query
        .as_ref()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let path = escape::path(&ask.address.segments);
    (name != ask.address.root_text).then(|| format!("/ipns/{name}{path}{slash}{query}"))
}

fn only_if_cached(headers: &HeaderMap) -> bool {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("only-if-cached"))
}

fn bad_host(bad: &BadHost, host: &str) -> Problem {
    match bad {
        BadHost::Malformed => Problem::bad_request(format!("the Host header {host:?} is malformed")),
        BadHost::TooLong => isolate::too_long(),
        BadHost::NotACid(text) => {
            Problem::bad_request(format!("invalid path \"/ipfs/{text}\": {text} is not a CID"))
        }
    }
}

/// Segments of a path: several times what the deepest folders have. Each is copied, escaped and compared many times,
/// and a head has room for thousands.
const SEGMENTS_MAX: usize = 512;

/// Decoded segments without the empty ones, and whether the path ends with a slash.
fn segments(path: &str) -> Result<(Vec<String>, bool), Problem> {
    let raw = || path.split('/').filter(|raw| !raw.is_empty());
    if raw().nth(SEGMENTS_MAX).is_some() {
        return Err(Problem::bad_request(format!(
            "the path has more than {SEGMENTS_MAX} segments"
        )));
    }
    let segments: Option<Vec<String>> = raw().map(escape::unescape).collect();
    let segments = segments.ok_or_else(|| Problem::bad_request("the path is not UTF-8"))?;
    Ok((segments, path.ends_with('/')))
}

/// `/ipfs/?uri=ipfs://CID/path`: where browsers send links of the registered protocol.
fn by_uri(namespace: &str, query: &str) -> Result<Decision, Problem> {
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
    Ok(moved(format!(
        "/{namespace}{}{slash}{query}",
        escape::path(&segments)
    )))
}

#[cfg(test)]
mod tests;
