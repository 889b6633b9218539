//! Telling clients of the better way: plain requests of the encrypted listener, encrypted ones of HTTP/3.

use http::HeaderValue;
use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;

use crate::config::Redirect;
use crate::tls::Certificates;

/// What a proxy in front says of how it was asked itself.
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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

    /// Where a plain request should go instead.
    pub(super) fn target(&self, request: &Parts) -> Option<String> {
        if self.redirect == Redirect::Off || is_forwarded(request) {
            return None;
        }
        let host = host(request)?;
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

/// Whether the client is encrypted already, as far as the proxy in front: it would be sent round in circles.
fn is_forwarded(request: &Parts) -> bool {
    let told = request.headers.get(X_FORWARDED_PROTO);
    told.is_some_and(|told| told.as_bytes().eq_ignore_ascii_case(b"https"))
}

/// The host that is asked, without its port, if it is spelled like one: it becomes a part of an address.
fn host(request: &Parts) -> Option<&str> {
    let host = match request.uri.host() {
        Some(host) => host,
        None => request.headers.get(HOST)?.to_str().ok()?,
    };
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let spelled = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    host.bytes().all(spelled).then_some(host)
}

fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}
