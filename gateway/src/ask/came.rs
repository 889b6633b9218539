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

    /// The host that the request is for: of an absolute target first, then what a proxy says, then `Host`, which HTTP/1.1
    /// demands exactly once.
    pub(crate) fn authority(
        &self,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<String, Problem> {
        if let Some(authority) = uri.authority() {
            return Ok(authority.as_str().to_owned());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host
                .to_str()
                .map_err(|_| Problem::bad_request("the Host header is malformed"))?,
            (None, _) if version < Version::HTTP_11 => "localhost",
            (None, _) => return Err(Problem::bad_request("the Host header is missing")),
            (Some(_), Some(_)) => {
                return Err(Problem::bad_request("the Host header is there more than once"));
            }
        };
        Ok(self
            .forwarded(headers, "x-forwarded-host")
            .unwrap_or(host.trim())
            .to_owned())
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
