//! Telling clients of the better way: plain requests of the encrypted listener, encrypted ones of HTTP/3.

use http::HeaderValue;
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::ask::came::Came;
use crate::config::Redirect;
use crate::tls::Certificates;

/// How long clients may remember where HTTP/3 is, in seconds: the default of RFC 7838, section 3.1.
const REMEMBER_SECONDS: u32 = 86_400;

/// The encrypted listener, as clients are told of it.
#[derive(Clone, Debug)]
pub(super) struct Upgrade {
    certificates: Certificates,
    redirect: Redirect,
    port: u16,
    alt_svc: Option<HeaderValue>,
}

impl Upgrade {
    /// One that listens on `port`, for HTTP/3 too if that is so.
    pub(super) fn new(certificates: Certificates, redirect: Redirect, port: u16, http3: bool) -> Self {
        let alt_svc = format!("h3=\":{port}\"; ma={REMEMBER_SECONDS}");
        Self {
            certificates,
            redirect,
            port,
            alt_svc: HeaderValue::try_from(alt_svc).ok().filter(|_| http3),
        }
    }

    /// `Alt-Svc` (RFC 7838), for encrypted answers.
    pub(super) fn alt_svc(&self) -> Option<&HeaderValue> {
        self.alt_svc.as_ref()
    }

    /// Where a plain request should go instead. One that is encrypted as far as a trusted proxy is not plain: it would be
    /// sent round in circles.
    pub(super) fn target(&self, request: &Parts, came: Came) -> Option<String> {
        if self.redirect == Redirect::Off || came.is_secure(&request.headers) {
            return None;
        }
        let authority = came.authority(&request.uri, request.version, &request.headers);
        let authority = authority.ok()?;
        let host = host(&authority)?;
        let spared = self.redirect == Redirect::On && is_localhost(host);
        if spared || !self.certificates.cover(host) {
            return None;
        }
        let path = request.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        Some(match self.port {
            443 => format!("https://{host}{path}"),
            port => format!("https://{host}:{port}{path}"),
        })
    }
}

/// A host without its port, if it is spelled like one: it becomes a part of an address.
fn host(authority: &str) -> Option<&str> {
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    host.bytes().all(spelled).then_some(host)
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}
