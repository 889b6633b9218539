//! Where an HTTP server of a node is reached.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest text of a [`Web`], in bytes: two of them fit an advert beside everything else.
pub const WEB_BYTES_MAX: usize = 100;

/// The root of an HTTP server: `https://edge.example`, `http://127.0.0.1:8081`. No path, no user, and one text for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Web {
    secure: bool,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Ip(IpAddr),
    Name(String),
}

/// A text is no root of an HTTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give http:// or https://, a lower-case host and a port if it is unusual, such as \"https://edge.example\""
)]
pub struct NoWeb;

impl Web {
    /// A server without TLS at an address; none if others cannot dial it.
    #[must_use]
    pub fn plain(ip: IpAddr, port: u16) -> Option<Self> {
        let web = Self {
            secure: false,
            host: Host::Ip(ip),
            port,
        };
        web.is_dialable().then_some(web)
    }

    /// A server with TLS under a host name, on port 443; none if it is no host name.
    #[must_use]
    pub fn secure(host: &str) -> Option<Self> {
        format!("https://{host}").parse().ok()
    }

    /// As IPFS writes it: `/dns/edge.example/tcp/443/tls/http`, `/ip4/127.0.0.1/tcp/8081/http`.
    #[must_use]
    pub fn multiaddr(&self) -> String {
        let host = match &self.host {
            Host::Ip(IpAddr::V4(ip)) => format!("/ip4/{ip}"),
            Host::Ip(IpAddr::V6(ip)) => format!("/ip6/{ip}"),
            Host::Name(name) => format!("/dns/{name}"),
        };
        let tls = if self.secure { "/tls" } else { "" };
        format!("{host}/tcp/{}{tls}/http", self.port)
    }

    /// Its address; none if it is known by a name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match &self.host {
            Host::Ip(ip) => Some(*ip),
            Host::Name(_) => None,
        }
    }

    /// Its TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether only machines of one network reach it: a private address, or this machine's own.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match &self.host {
            Host::Ip(ip) => is_local(*ip),
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    fn is_dialable(&self) -> bool {
        let host = match &self.host {
            Host::Ip(ip) => !ip.is_unspecified() && !ip.is_multicast(),
            Host::Name(name) => is_host_name(name),
        };
        host && self.port != 0
    }

    fn usual_port(secure: bool) -> u16 {
        if secure { 443 } else { 80 }
    }
}

/// Whether an address is one of this machine or of a private network (RFC 1918, RFC 4193, link-local).
#[must_use]
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Labels of letters, digits and inner hyphens; the last one is no number, or it would be an address.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    name.split('.').all(is_label) && !name.rsplit('.').next().is_none_or(is_number)
}

impl FromStr for Web {
    type Err = NoWeb;

    fn from_str(text: &str) -> Result<Self, NoWeb> {
        let (secure, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(NoWeb),
        };
        let bracket = rest.find(']').map_or(0, |at| at + 1);
        let (host, port) = match rest.get(bracket..).and_then(|tail| tail.find(':')) {
            Some(colon) => {
                let (host, port) = rest.split_at(bracket + colon);
                (host, port[1..].parse().map_err(|_| NoWeb)?)
            }
            None => (rest, Self::usual_port(secure)),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare.unwrap_or(host).parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host.to_owned()),
        };
        let web = Self { secure, host, port };
        // What is not written as we write it has two texts.
        let is_canonical = text.len() <= WEB_BYTES_MAX && web.to_string() == text;
        (is_canonical && web.is_dialable()).then_some(web).ok_or(NoWeb)
    }
}

impl fmt::Display for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "https://" } else { "http://" })?;
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]")?,
            Host::Ip(ip) => write!(f, "{ip}")?,
            Host::Name(name) => f.write_str(name)?,
        }
        if self.port != Self::usual_port(self.secure) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Web {
    type Error = NoWeb;

    fn try_from(text: String) -> Result<Self, NoWeb> {
        text.parse()
    }
}

impl From<Web> for String {
    fn from(web: Web) -> Self {
        web.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_text_and_one_multiaddr_for_each() {
        for (text, multiaddr, local) in [
            (
                "https://edge.example",
                "/dns/edge.example/tcp/443/tls/http",
                false,
            ),
            (
                "https://edge.example:8443",
                "/dns/edge.example/tcp/8443/tls/http",
                false,
            ),
            ("http://127.0.0.1:8081", "/ip4/127.0.0.1/tcp/8081/http", true),
            ("http://192.0.2.7", "/ip4/192.0.2.7/tcp/80/http", false),
            ("http://10.1.2.3", "/ip4/10.1.2.3/tcp/80/http", true),
            (
                "https://[2001:db8::1]:444",
                "/ip6/2001:db8::1/tcp/444/tls/http",
                false,
            ),
            ("http://[::1]:1", "/ip6/::1/tcp/1/http", true),
            ("http://localhost:8080", "/dns/localhost/tcp/8080/http", true),
        ] {
            let web: Web = text.parse().expect(text);
            assert_eq!(
                (web.to_string(), web.multiaddr(), web.is_local()),
                (text.into(), multiaddr.into(), local)
            );
        }
    }

    #[test]
    fn what_has_another_text_or_cannot_be_dialled_is_none() {
        for text in [
            "",
            "http://",
            "https://",
            "ftp://a.example",
            "edge.example",
            "https://Edge.example",
            "https://a.example/",
            "https://a.example:443",
            "http://a.example:80",
            "http://a.example:0",
            "http://a.example:",
            "http://a.example:x",
            "http://a.example:+81",
            "http://0.0.0.0:1",
            "http://[::]:1",
            "http://224.0.0.1",
            "http://user@a.example",
            "http://a..example",
            "http://-a.example",
            "http://1.2.3",
            "http://::1",
            "http://[::1",
            "http://[a.example]",
            "http://[::0001]",
            "http://a b",
            "http://a\r\nX: y",
            "http://a?b",
            "http://[1.2.3.4]",
        ] {
            assert_eq!(text.parse::<Web>(), Err(NoWeb), "{text:?}");
        }
        let long = format!("https://{}.example", "a.".repeat(60));
        assert_eq!(long.parse::<Web>(), Err(NoWeb));
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in any::<String>(), tail in "[a-z0-9.:\\[\\]/@-]{0,40}") {
            for text in [text, format!("http://{tail}"), format!("https://{tail}")] {
                if let Ok(web) = text.parse::<Web>() {
                    prop_assert_eq!(web.to_string(), text);
                }
            }
        }
    }
}
