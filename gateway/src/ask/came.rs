//! How a request came: by which scheme, and for which host, also through a proxy in front of this node.

use http::header::HOST;
use http::{HeaderMap, Uri, Version};

use crate::problem::Problem;

/// What the connection says of its requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Came {
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Whether it comes from a proxy that may speak for its clients (`X-Forwarded-…`).
    pub trusted: bool,
}

impl Came {
    /// Whether the client's own connection is encrypted.
    pub(crate) fn is_secure(&self, headers: &HeaderMap) -> bool {
        match self.forwarded(headers, "x-forwarded-proto") {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => self.secure,
        }
    }

    /// The host that the request is for: what a proxy says first, then that of an absolute target (or `:authority`), then
    /// `Host`, which HTTP/1.1 demands exactly once.
    pub(crate) fn authority(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<String, Problem> {
        if let Some(host) = self.forwarded(headers, "x-forwarded-host") {
            return Ok(host.to_owned());
        }
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

    /// What the first proxy on the way says.
    fn forwarded<'a>(&self, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        let value = headers.get(name).filter(|_| self.trusted)?.to_str().ok()?;
        value
            .split(',')
            .next()
            .map(str::trim)
            .filter(|first| !first.is_empty())
    }
}
