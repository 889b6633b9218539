//! Who may come in: the token, the host name, and what strangers are told.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::failure::Failed;
use crate::node::Node;

/// Lets requests through that carry the token.
pub async fn check_token(
    State(node): State<Arc<Node>>,
    request: Request,
    next: Next,
) -> Result<Response, Failed> {
    match is_allowed(request.headers(), &node.token) {
        true => Ok(next.run(request).await),
        false => {
            let file = node.folder.admin_token();
            let text = format!(
                "give the token of {} as `Authorization: Bearer TOKEN`",
                file.display()
            );
            Err(Failed::new("unauthorized", text))
        }
    }
}

fn is_allowed(headers: &HeaderMap, token: &str) -> bool {
    let given = headers
        .get(AUTHORIZATION)
        .map(|value| value.as_bytes())
        .unwrap_or_default();
    let (scheme, given) = given.split_at_checked("Bearer ".len()).unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"Bearer ") && same(given.trim_ascii(), token.as_bytes())
}

/// Compares in a time that tells nothing about where two secrets differ: their digests are compared, and those cannot
/// be steered byte by byte.
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    a.iter()
        .zip(&b)
        .fold(0, |difference, (a, b)| difference | (a ^ b))
        == 0
}

/// Lets requests through that were meant for this machine: a page of a foreign site that has its own name point here
/// (DNS rebinding) still sends that name.
pub async fn check_host(request: Request, next: Next) -> Result<Response, Failed> {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .or(request.uri().authority().map(|a| a.as_str()));
    match host.is_some_and(is_here) {
        true => Ok(next.run(request).await),
        false => {
            let host = host.unwrap_or_default();
            let text = format!("`{host}` is not a host name of this API: use 127.0.0.1 or localhost");
            Err(Failed::new("forbidden_host", text))
        }
    }
}

fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(address, _)| address),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The answer to a path that does not exist.
pub async fn no_such_path(uri: Uri) -> Failed {
    Failed::not_found(format!(
        "there is nothing at {}: see /v1/openapi.json",
        uri.path()
    ))
}

/// The answer to a method that a path does not have.
pub async fn no_such_method(uri: Uri) -> Failed {
    Failed::new(
        "no_such_method",
        format!("{} has no such method: see /v1/openapi.json", uri.path()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:4100", true),
            ("127.0.0.1:1", true),
            ("127.9.9.9", true),
            ("[::1]:4100", true),
            ("[::1]", true),
            ("", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:4100", false),
            ("192.0.2.1", false),
            ("[2001:db8::1]:1", false),
        ] {
            assert_eq!(is_here(host), expected, "{host}");
        }
    }

    #[test]
    fn only_the_token_opens() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().expect("a value"));
            is_allowed(&headers, "secret")
        };
        assert!(check("Bearer secret") && check("bearer secret "));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer secre",
            "Bearer secret2",
            "Basic secret",
            "secret",
            "Bearer\tsecret",
        ] {
            assert!(!check(bad), "{bad}");
        }
        assert!(!is_allowed(&HeaderMap::new(), "secret"));
    }
}
