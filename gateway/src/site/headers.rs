//! `_headers`: what a publisher sends beside its content. A line that starts with a slash is a path, with `:name` for any
//! segment and at most one `*` for any text; the lines after it are headers, `Name: value`, for all content at such paths:
//!
//! ```text
//! /*
//!   Content-Security-Policy: default-src 'self'
//!   X-Frame-Options: DENY
//! /assets/*.wasm
//!   Content-Type: application/wasm
//! ```
//!
//! Sites come here that were written for other hosts, so a line that is no path and no header is passed over, and so are
//! headers that are not the publisher's to say ([`OWN`]). A file that cannot be read at all is an error, not an absence: it
//! may be what keeps a page safe.
//!
//! Of a header with several values under rules that apply, each is sent, but for those that have one value by nature: there
//! the last one counts. `Cache-Control` can only be made stricter: what is under a name changes, and a reader must see it.

use http::HeaderValue;
use http::header::{self, HeaderMap, HeaderName};

use super::path::Pattern;
use super::{FILE_BYTES_MAX, text};

/// The rules of a site, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    path: Pattern,
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// Why there are no rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHeaders {
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("headers file size cannot exceed {max} bytes", max = FILE_BYTES_MAX)]
    TooLong,
    /// It is no text.
    #[error("the file is not UTF-8")]
    NotText,
}

/// Bytes of headers that are added to one answer: with those of the gateway it must fit the heads that clients take.
const ADDED_BYTES_MAX: usize = 8 << 10;

/// Headers that say what the gateway knows, or that reach beyond the site. Rules for them are passed over.
const OWN: &[&str] = &[
    // The message and the connection: a wrong one makes one answer pass for two, or ends in the middle of one.
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    // Which bytes these are, and how they were packed: made from the CID, the request and the compression.
    "accept-ranges",
    "content-encoding",
    "content-range",
    "digest",
    "etag",
    "last-modified",
    "repr-digest",
    "content-digest",
    // How old they are: names are never kept, CIDs for ever.
    "age",
    "date",
    "expires",
    "pragma",
    // Whom it comes from, by which way, and where else it is to be had: the edge's to say.
    "alt-svc",
    "cdn-loop",
    "forwarded",
    "server",
    "traceparent",
    "tracestate",
    "via",
    // Where to go instead: `_redirects` says it, with a status that browsers follow.
    "location",
    "retry-after",
    // Who may read it: content is public, and preflights are answered before a site is known. Passwords for another host
    // that were left in the file must not become a header.
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "basic-auth",
    "www-authenticate",
    // Whoever holds a name below a shared domain would set and clear cookies for all others there.
    "clear-site-data",
    "set-cookie",
    "set-cookie2",
    // Always `nosniff`.
    "x-content-type-options",
];
/// What the gateway says of content, whatever it will be.
const OWN_PREFIXES: &[&str] = &["x-ipfs-", "x-ddn-", "proxy-"];

/// Headers with one value.
const SINGLE: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
    "referrer-policy",
    "refresh",
    "strict-transport-security",
    "x-frame-options",
];

/// Headers to which the gateway has something to say as well.
const SHARED: &[&str] = &["link", "vary"];

impl Headers {
    /// Reads the file.
    ///
    /// # Errors
    /// It is too long, or no text.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, BadHeaders> {
        if file.len() as u64 > FILE_BYTES_MAX {
            return Err(BadHeaders::TooLong);
        }
        let mut rules: Vec<Rule> = Vec::new();
        // What follows a line that is no path of ours is for a path that we do not know.
        let mut known = false;
        for line in text(file).ok_or(BadHeaders::NotText)?.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if is_path(line) {
                let path = Pattern::parse(line);
                known = path.is_ok();
                rules.extend(path.map(|path| Rule {
                    path,
                    fields: Vec::new(),
                }));
            } else if let (true, Some(rule), Some(field)) = (known, rules.last_mut(), field(line)) {
                rule.fields.push(field);
            }
        }
        rules.retain(|rule| !rule.fields.is_empty());
        Ok(Self(rules))
    }

    /// Adds to the headers of an answer what the rules say for its path, which has decoded segments.
    pub(crate) fn apply(&self, path: &[String], headers: &mut HeaderMap) {
        let mut added: Vec<&HeaderName> = Vec::new();
        let mut room = ADDED_BYTES_MAX;
        let rules = self.0.iter().filter(|rule| rule.path.find(path).is_some());
        for (name, value) in rules.flat_map(|rule| &rule.fields) {
            let Some(left) = room.checked_sub(name.as_str().len() + value.len()) else {
                return;
            };
            room = left;
            let joins = added.contains(&name) && !SINGLE.contains(&name.as_str());
            if joins || SHARED.contains(&name.as_str()) {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
            added.push(name);
        }
    }
}

/// Some hosts have rules for other hosts in the same file.
fn is_path(line: &str) -> bool {
    line.starts_with('/') || line.starts_with("http://") || line.starts_with("https://")
}

/// A header that a publisher may set.
fn field(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let name = HeaderName::from_bytes(name.trim_end().as_bytes()).ok()?;
    let value = HeaderValue::from_str(value.trim()).ok()?;
    let is_own =
        OWN.contains(&name.as_str()) || OWN_PREFIXES.iter().any(|own| name.as_str().starts_with(own));
    let is_laxer = name == header::CACHE_CONTROL && !is_strict(&value);
    (!is_own && !is_laxer).then_some((name, value))
}

/// Whether whoever obeys this `Cache-Control` asks again before it uses the answer another time.
fn is_strict(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else {
        return false;
    };
    let directives: Vec<String> = text
        .split(',')
        .map(|part| part.trim().to_ascii_lowercase())
        .collect();
    let asks = |directive: &String| matches!(directive.as_str(), "no-store" | "no-cache");
    let adds = |directive: &String| {
        matches!(
            directive.as_str(),
            "private" | "no-transform" | "must-revalidate" | "proxy-revalidate" | "max-age=0" | "s-maxage=0"
        )
    };
    directives.iter().any(asks)
        && directives
            .iter()
            .all(|directive| asks(directive) || adds(directive))
}

#[cfg(test)]
mod tests;
