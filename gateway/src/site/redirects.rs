//! `_redirects`: where paths lead that do not exist (<https://specs.ipfs.tech/http-gateways/web-redirects-file/>).
//!
//! One rule a line, `FROM TO [STATUS]`, the first that fits decides. It decides once: what a rule leads to is served or
//! redirected to as it is, and no rule is asked about it again. So rules that lead to each other make no loop here; a loop
//! of redirects is between the reader's browser and itself, which ends it.

use http::StatusCode;

use super::path::{Found, Pattern};
use super::{FILE_BYTES_MAX, text};
use crate::escape;

/// The rules of a site, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Redirects(Vec<Rule>);

/// What becomes of a path that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The reader is sent to another URL.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// A path on the same host, or a whole URL of http or https; ASCII without blanks.
        to: String,
    },
    /// Another object of the same site is served in its place.
    Serve {
        /// 200, 404, 410 or 451.
        status: StatusCode,
        /// Where the object is: decoded segments.
        segments: Vec<String>,
        /// Whether the target ends with a slash: then a folder is served by its index page.
        slash: bool,
    },
}

/// Why there are no rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadRedirects {
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("redirects file size cannot exceed {max} bytes", max = FILE_BYTES_MAX)]
    TooLong,
    /// It is no text.
    #[error("the file is not UTF-8")]
    NotText,
    /// A line is no rule.
    #[error("line {line}: {reason}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What is wrong with it, and with which part.
        reason: String,
    },
}

/// The rule of a line fits, and makes of the path something that is too long to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what `{to}` becomes is longer than {max} bytes", max = TARGET_BYTES_MAX)]
pub(crate) struct TooLong {
    to: String,
}

/// Bytes that the target of a redirect may have. A placeholder may stand in a target many times, and the path that it
/// stands for may be long.
const TARGET_BYTES_MAX: usize = 8 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    from: Pattern,
    to: String,
    status: StatusCode,
}

impl Redirects {
    /// Reads the file.
    ///
    /// # Errors
    /// It is too long, no text, or a line is no rule: then none of it counts.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, BadRedirects> {
        if file.len() as u64 > FILE_BYTES_MAX {
            return Err(BadRedirects::TooLong);
        }
        let lines = text(file).ok_or(BadRedirects::NotText)?.lines().zip(1..);
        let rules = lines.filter_map(|(text, line)| {
            let text = text.trim();
            let says_nothing = text.is_empty() || text.starts_with('#');
            (!says_nothing).then(|| Rule::parse(text).map_err(|reason| BadRedirects::Line { line, reason }))
        });
        rules.collect::<Result<_, _>>().map(Self)
    }

    /// What becomes of the path, if a rule is for it. `query` is that of the request, without its `?`.
    ///
    /// # Errors
    /// The rule makes something of it that is too long.
    pub(crate) fn decide(&self, path: &[String], query: Option<&str>) -> Result<Option<Outcome>, TooLong> {
        let mut fitting = self
            .0
            .iter()
            .filter_map(|rule| Some((rule, rule.from.find(path)?)));
        let Some((rule, found)) = fitting.next() else {
            return Ok(None);
        };
        let too_long = || TooLong { to: rule.to.clone() };
        let to = expand(&rule.to, &found).ok_or_else(too_long)?;
        if !rule.status.is_redirection() {
            return Ok(Some(Outcome::Serve {
                status: rule.status,
                segments: segments(&to),
                slash: path_of(&to).ends_with('/'),
            }));
        }
        let to = with_query(&to, query);
        match to.len() <= TARGET_BYTES_MAX {
            true => Ok(Some(Outcome::Redirect {
                status: rule.status,
                to,
            })),
            false => Err(too_long()),
        }
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, String> {
        let mut fields = line.split_whitespace();
        let from = fields.next().unwrap_or_default();
        let to = fields
            .next()
            .ok_or_else(|| format!("`{from}` leads nowhere; a rule is `FROM TO [STATUS]`"))?;
        let status = fields.next().map_or(Ok(StatusCode::MOVED_PERMANENTLY), status)?;
        if fields.next().is_some() {
            return Err("more than three fields; a rule is `FROM TO [STATUS]`".into());
        }
        let pattern = Pattern::parse(from).map_err(|reason| format!("the path `{from}` {reason}"))?;
        if pattern.goes_on_after_splat() {
            return Err(format!("the path `{from}` goes on after its asterisk"));
        }
        let is_path = to.starts_with('/') && !to.starts_with("//");
        let is_url = to.starts_with("http://") || to.starts_with("https://");
        match (is_path, is_url && status.is_redirection()) {
            (false, false) if is_url => Err(format!(
                "`{to}` is on another host, which only a redirect leads to"
            )),
            (false, false) => Err(format!("`{to}` is neither a path nor a URL of http or https")),
            _ => Ok(Self {
                from: pattern,
                to: to.to_owned(),
                status,
            }),
        }
    }
}

fn status(text: &str) -> Result<StatusCode, String> {
    if text.ends_with('!') {
        return Err(format!(
            "status `{text}`: a rule cannot be forced, what exists is always served"
        ));
    }
    match text {
        "200" | "301" | "302" | "303" | "307" | "308" | "404" | "410" | "451" => {
            StatusCode::from_bytes(text.as_bytes()).map_err(|error| error.to_string())
        }
        _ => Err(format!(
            "unsupported redirect status `{text}`; there are 200, 301, 302, 303, 307, 308, 404, 410 and 451"
        )),
    }
}

/// The target with its placeholders filled in: ASCII, still percent-encoded. A path stays one on the same host, whatever
/// is filled in. None if it grows too long.
fn expand(to: &str, found: &Found<'_>) -> Option<String> {
    let (mut out, mut in_query) = (String::new(), false);
    let mut rest = to;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        let part = (character == ':').then(|| found.part(after)).flatten();
        rest = match part {
            Some((name_bytes, value)) => {
                in_query |= out.contains('?');
                match escape::unescape(&value).filter(|_| in_query) {
                    Some(plain) => out.push_str(&escape::query_value(&plain)),
                    None => out.push_str(&value),
                }
                &after[name_bytes..]
            }
            None => {
                match character.is_ascii_graphic() && character != '\\' {
                    true => out.push(character),
                    false => out.push_str(&escape::query_value(character.encode_utf8(&mut [0; 4]))),
                }
                after
            }
        };
        if out.len() > TARGET_BYTES_MAX {
            return None;
        }
    }
    match to.starts_with('/') {
        true => Some(format!("/{}", out.trim_start_matches('/'))),
        false => Some(out),
    }
}

fn path_of(to: &str) -> &str {
    to.split(['?', '#']).next().unwrap_or_default()
}

/// The target as a path of the site.
fn segments(to: &str) -> Vec<String> {
    let decoded = path_of(to).split('/').filter_map(escape::unescape);
    decoded.filter(|segment| !segment.is_empty()).collect()
}

/// The target with the parameters of the request; of the target's own those are kept that the request does not name.
fn with_query(to: &str, query: Option<&str>) -> String {
    let Some(asked) = query.filter(|query| !query.is_empty()) else {
        return to.to_owned();
    };
    let (rest, fragment) = match to.split_once('#') {
        Some((rest, fragment)) => (rest, format!("#{fragment}")),
        None => (to, String::new()),
    };
    let (path, own) = rest.split_once('?').unwrap_or((rest, ""));
    let name =
        |pair: &str| -> Option<String> { escape::unescape(&pair.split('=').next()?.replace('+', " ")) };
    let named: Vec<_> = asked.split('&').map(name).collect();
    let kept = own
        .split('&')
        .filter(|pair| !pair.is_empty() && !named.contains(&name(pair)));
    let asked = asked.split('&').filter(|pair| !pair.is_empty()).map(plain);
    let query: Vec<String> = kept.map(str::to_owned).chain(asked).collect();
    format!("{path}?{}{fragment}", query.join("&"))
}

/// A parameter of the request without what cannot stand in a header, or would end the query.
fn plain(pair: &str) -> String {
    pair.chars()
        .filter(|c| c.is_ascii_graphic() && *c != '#')
        .collect()
}

#[cfg(test)]
mod tests;
