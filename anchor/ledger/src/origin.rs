//! Where a site that is to be accelerated is served from now: `https://www.example.com`, and nothing more than that.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;
use crate::name::{MAX_NAME, under_fault};

/// The most bytes of an origin: a name, its scheme and its port.
const MAX_ORIGIN: usize = MAX_NAME + 16;

/// An HTTP origin (RFC 6454): scheme, host and port. No path, query, user or fragment: a request's path is the site's own.
///
/// It has one text for each meaning: lower case, no final slash, and a port only if it is not the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    text: String,
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// Reads an origin in its one form.
    ///
    /// # Errors
    /// If it is not one, or is written in another form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Records {
            reason: format!("origin '{}': {reason}", text.escape_debug()),
        };
        if text.len() > MAX_ORIGIN {
            let reason = format!("origin: {} bytes, at most {MAX_ORIGIN} are allowed", text.len());
            return Err(Error::Records { reason });
        }
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad("it starts with https:// or http://")),
        };
        let (host, port) = split(rest).ok_or_else(|| bad(FORM))?;
        if let Some(fault) = host_fault(host) {
            return Err(bad(fault));
        }
        let own = if secure { 443 } else { 80 };
        let port = match port.map(port_of) {
            None => own,
            Some(Some(port)) if port.get() != own => port.get(),
            Some(Some(_)) => return Err(bad("leave out the port that its scheme has anyway")),
            Some(None) => return Err(bad("its port is not a number from 1 to 65535")),
        };
        Ok(Self {
            text: text.into(),
            secure,
            host: host.into(),
            port,
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is spoken to over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name in lower-case ASCII, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also where the text leaves it out.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as a `Host` header has them.
    pub fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, rest)| rest)
    }
}

const FORM: &str = "give scheme, host and port alone, as in https://www.example.com";

/// Host and port.
fn split(rest: &str) -> Option<(&str, Option<&str>)> {
    if rest.starts_with('[') {
        let end = rest.find(']')? + 1;
        let (host, port) = rest.split_at(end);
        return match port {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?))),
        };
    }
    Some(
        rest.split_once(':')
            .map_or((rest, None), |(host, port)| (host, Some(port))),
    )
}

fn port_of(text: &str) -> Option<NonZeroU16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| plain)
}

fn host_fault(host: &str) -> Option<&'static str> {
    if let Some(literal) = host.strip_prefix('[') {
        let literal = literal.strip_suffix(']').unwrap_or_default();
        let one = literal
            .parse::<Ipv6Addr>()
            .is_ok_and(|ip| ip.to_string() == literal);
        return (!one).then_some("its host is not an IPv6 address in its short form");
    }
    if host.parse::<Ipv4Addr>().is_ok() {
        return None;
    }
    if let Some(fault) = under_fault(host) {
        return Some(if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            FORM
        } else {
            fault
        });
    }
    // What ends in a number is an address to some (`127.1`, `0x7f000001`) and a name to others.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|c: char| c.is_ascii_digit());
    numeric.then_some("its host ends with a label that starts with a digit, and is not an IPv4 address")
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let check = |text: &str, secure: bool, host: &str, port: u16| {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(
                (origin.is_secure(), origin.host(), origin.port()),
                (secure, host, port)
            );
            assert_eq!(origin.to_string(), text);
            assert_eq!(
                format!("http{}://{}", if secure { "s" } else { "" }, origin.authority()),
                text
            );
        };
        check("https://www.example.com", true, "www.example.com", 443);
        check("http://example.com", false, "example.com", 80);
        check("http://example.com:443", false, "example.com", 443);
        check("https://localhost:8443", true, "localhost", 8443);
        check("http://192.0.2.1:8080", false, "192.0.2.1", 8080);
        check("https://[2001:db8::1]", true, "[2001:db8::1]", 443);
        check("http://[::1]:81", false, "[::1]", 81);
        check(
            "https://xn--bcher-kva.example",
            true,
            "xn--bcher-kva.example",
            443,
        );
    }

    #[test]
    fn whatever_else_is_refused() {
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "HTTPS://example.com",
            "https://",
            "https:///",
            "https://Example.com",
            "https://example.com/",
            "https://example.com/site",
            "https://example.com?x",
            "https://example.com#x",
            "https://user@example.com",
            "https://user:1@example.com",
            "https://example.com:443",
            "http://example.com:80",
            "https://example.com:",
            "https://example.com:0",
            "https://example.com:08",
            "https://example.com:+8",
            "https://example.com:65536",
            "https://example.com.",
            "https://exam ple.com",
            "https://example.com\r\nx",
            "https://bücher.example",
            "http://127.1",
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://127.0.0.1.",
            "http://[::1",
            "http://[::1]x",
            "http://[0:0::1]",
            "http://[::FFFF:1]",
            "http://[fe80::1%25eth0]",
            &format!("https://{}.com", "a.".repeat(140)),
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Origin::parse("https://example.com/site").unwrap_err().to_string(),
            "records: origin 'https://example.com/site': give scheme, host and port alone, as in https://www.example.com"
        );
    }
}
