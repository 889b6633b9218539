//! What of a request decides its answer.
//!
//! A request is asked here only if every header of it is known: to have a part in the key, to be read below, or to
//! change nothing. With any other header the usual path answers, so that a header which begins to matter there is never
//! overlooked here.

use http::header::HeaderMap;
use http::{Method, Uri, Version};

use crate::ask::came::Came;

/// A `GET`, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    way: Way,
    host: &'a [u8],
    target: &'a [u8],
    /// The headers that have a part in the key, in the order of [`KEYED`].
    keyed: [&'a [u8]; KEYED.len()],
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
    /// `If-None-Match`.
    pub none_match: Option<&'a str>,
}

/// How a request came: what is told on one way may be of no use on another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way(u8);

/// What a header is to the fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Host,
    Keyed(usize),
    Range,
    IfRange,
    NoneMatch,
    CacheControl,
    /// It changes no answer.
    Nothing,
    /// It may change it.
    Unknown,
}

/// Headers whose bytes choose among the answers for one address.
const KEYED: [&str; 4] = [
    "accept",
    "accept-encoding",
    "x-forwarded-proto",
    "x-forwarded-host",
];

impl<'a> Asked<'a> {
    /// Reads the head of a `GET`. `None` if something in it is unknown, or there more than once.
    pub(crate) fn read(
        way: Way,
        target: &'a [u8],
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<Self> {
        let mut host = None;
        let mut asked = Asked {
            way,
            host: b"",
            target,
            keyed: [b""; KEYED.len()],
            range: None,
            if_range: None,
            none_match: None,
        };
        // In the origin form: whoever names a host in the target means that one.
        if !target.starts_with(b"/") {
            return None;
        }
        for (name, value) in headers {
            let text = || std::str::from_utf8(value).ok();
            let twice = match role(name) {
                Role::Nothing => false,
                Role::Host => host.replace(value).is_some(),
                Role::Keyed(at) => !std::mem::replace(&mut asked.keyed[at], value).is_empty(),
                Role::Range => asked.range.replace(text()?).is_some(),
                Role::IfRange => asked.if_range.replace(text()?).is_some(),
                Role::NoneMatch => asked.none_match.replace(text()?).is_some(),
                Role::CacheControl => !is_of_caches(value),
                Role::Unknown => true,
            };
            if twice {
                return None;
            }
        }
        asked.host = host?;
        Some(asked)
    }

    /// Reads the head of a request that came by HTTP/2 or 3, or in a way that had to be taken apart already.
    pub(crate) fn of(
        method: &Method,
        uri: &'a Uri,
        version: Version,
        headers: &'a HeaderMap,
        way: Way,
    ) -> Option<Self> {
        if method != Method::GET {
            return None;
        }
        let target = uri.path_and_query()?.as_str().as_bytes();
        let mut named = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        match uri.authority() {
            // HTTP/1 knows it as an absolute target.
            Some(_) if version < Version::HTTP_2 => None,
            Some(authority) if !headers.contains_key(http::header::HOST) => {
                let host = [("host", authority.as_str().as_bytes())];
                Self::read(way, target, host.into_iter().chain(named))
            }
            Some(authority) => {
                let same = authority.as_str().as_bytes();
                let agrees = named.all(|(name, value)| name != "host" || value == same);
                agrees.then(|| Self::read(way, target, pairs(headers)))?
            }
            None => Self::read(way, target, named),
        }
    }

    /// Appends what the answer is kept under.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.way.name());
        for part in [self.host, self.target].into_iter().chain(self.keyed) {
            out.extend_from_slice(part);
            out.push(SEPARATOR);
        }
    }
}

/// No byte of a request's head.
const SEPARATOR: u8 = 0;

impl Way {
    /// By this version of HTTP, on a connection of which this is known.
    pub(crate) fn of(version: Version, came: Came) -> Self {
        let quic = version == Version::HTTP_3;
        Self(u8::from(came.secure) | u8::from(came.trusted) << 1 | u8::from(quic) << 2)
    }

    fn name(self) -> &'static [u8] {
        let at = usize::from(self.0 & 7);
        &b"01234567"[at..=at]
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
}

/// What browsers say to caches when a page is loaded anew; it is nothing to who has the content itself.
fn is_of_caches(value: &[u8]) -> bool {
    matches!(value, b"no-cache" | b"max-age=0")
}

/// What a header is here, however its name is written.
pub(super) fn role(name: &str) -> Role {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if let Some(at) = KEYED.iter().position(|keyed| is(keyed)) {
        return Role::Keyed(at);
    }
    match name.len() {
        4 if is("host") => Role::Host,
        5 if is("range") => Role::Range,
        8 if is("if-range") => Role::IfRange,
        13 if is("if-none-match") => Role::NoneMatch,
        13 if is("cache-control") => Role::CacheControl,
        _ if NOTHING.iter().any(|known| is(known)) || is_of_browsers(name) => Role::Nothing,
        _ => Role::Unknown,
    }
}

/// What browsers tell of themselves and of their page.
fn is_of_browsers(name: &str) -> bool {
    ["sec-fetch-", "sec-ch-"].iter().any(|prefix| {
        name.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    })
}

/// Headers that change no answer. `Connection` is judged by who reads the connection.
const NOTHING: [&str; 12] = [
    "user-agent",
    "connection",
    "accept-language",
    "referer",
    "cookie",
    "origin",
    "priority",
    "pragma",
    "dnt",
    "sec-gpc",
    "upgrade-insecure-requests",
    "save-data",
];
