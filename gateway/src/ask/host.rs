//! Which site a host name stands for.

use cid::Cid;

/// What the node answers for: its own public names, and the suffix of ledger names.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Names of the gateway itself, lower case: paths are served on them, sites on names below them.
    pub gateways: Vec<String>,
    /// The chain's top-level name, without a dot: `ddn`.
    pub tld: String,
}

/// What a `Host` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// The gateway itself (or a host that we do not know): content has paths, `/ipfs/…` and `/ipns/…`.
    Paths,
    /// `CID.ipfs.GATEWAY`: one immutable site with an origin of its own.
    Cid {
        /// The root.
        cid: Cid,
        /// The CID as written in the host name.
        text: String,
        /// Host and port of the gateway that the name is below.
        gateway: String,
    },
    /// `alice.ddn`, `alice.ddn.GATEWAY` or `alice-ddn.ipns.GATEWAY`: the site of a ledger name.
    Name {
        /// The ledger name, `alice.ddn`.
        name: String,
        /// Host and port as the client wrote them.
        host: String,
        /// Host and port of the gateway, if the name is below one.
        gateway: Option<String>,
    },
}

/// Why a `Host` cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHost {
    /// No host name at all.
    Malformed,
    /// The label before `.ipfs.` is no CID that a host name can carry.
    NotACid(String),
}

impl Hosts {
    /// Reads a `Host` value or the authority of an absolute request target.
    pub(crate) fn site(&self, authority: &str) -> Result<Site, BadHost> {
        let (host, port) = split_port(authority).ok_or(BadHost::Malformed)?;
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if self.gateways.contains(&host) || is_address(&host) {
            return Ok(Site::Paths);
        }
        let own = self
            .gateways
            .iter()
            .find_map(|own| Some((host.strip_suffix(own)?.strip_suffix('.')?, own)));
        match own {
            Some((prefix, own)) => self.below(prefix, authority, &format!("{own}{port}")),
            None if self.is_name(&host) => Ok(name(host, authority, None)),
            None => Ok(Site::Paths),
        }
    }

    /// Host and port under which sites can be reached by host name from where `authority` was asked: itself if it is
    /// ours, else our first name with the same port, since nothing can be below an address.
    pub(crate) fn public(&self, authority: &str) -> String {
        let (host, port) = split_port(authority).unwrap_or((authority, ""));
        let is_own = self.gateways.contains(&host.to_ascii_lowercase());
        match self.gateways.first() {
            Some(first) if !is_own => format!("{first}{port}"),
            _ => authority.to_owned(),
        }
    }

    fn below(&self, prefix: &str, authority: &str, gateway: &str) -> Result<Site, BadHost> {
        if let Some(text) = prefix.strip_suffix(".ipfs") {
            let cid = Cid::try_from(text).map_err(|_| BadHost::NotACid(text.to_owned()))?;
            return Ok(Site::Cid {
                cid,
                text: text.to_owned(),
                gateway: gateway.to_owned(),
            });
        }
        if let Some(text) = prefix.strip_suffix(".ipns") {
            return Ok(name(joined(text), authority, Some(gateway)));
        }
        match self.is_name(prefix) {
            true => Ok(name(prefix.to_owned(), authority, Some(gateway))),
            false => Ok(Site::Paths),
        }
    }

    fn is_name(&self, host: &str) -> bool {
        host.strip_suffix(&self.tld)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

fn name(name: String, authority: &str, gateway: Option<&str>) -> Site {
    Site::Name {
        name,
        host: authority.to_owned(),
        gateway: gateway.map(Into::into),
    }
}

/// Splits `host[:port]`; the port keeps its colon. None if the text is no authority (user names are refused too).
fn split_port(authority: &str) -> Option<(&str, &str)> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    let port_ok = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit());
    let host_ok = host
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._[]:".contains(&b));
    (port_ok && host_ok && !host.is_empty()).then_some((host, port))
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// A name in one DNS label, so that one wildcard certificate covers it: `.` is written `-`, and `-` is `--`.
/// A text with a dot is a name already.
fn joined(text: &str) -> String {
    if text.contains('.') {
        return text.to_owned();
    }
    text.replace("--", "\0").replace('-', ".").replace('\0', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

    fn hosts() -> Hosts {
        Hosts {
            gateways: vec!["localhost".into(), "gw.example".into()],
            tld: "ddn".into(),
        }
    }

    fn named(site: Result<Site, BadHost>) -> Option<(String, Option<String>)> {
        match site {
            Ok(Site::Name { name, gateway, .. }) => Some((name, gateway)),
            _ => None,
        }
    }

    #[test]
    fn paths() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST.",
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "gw.example:443",
            "elsewhere.example",
            "ddn",
            "ddn.localhost",
            ".ddn",
            "foo.localhost",
            "notddn",
            "alice.ddn.elsewhere.example",
            "a_b.example",
        ] {
            assert_eq!(hosts().site(host), Ok(Site::Paths), "{host}");
        }
    }

    #[test]
    fn names() {
        for (host, name, gateway) in [
            ("alice.ddn", "alice.ddn", None),
            ("Alice.DDN.:8080", "alice.ddn", None),
            ("alice.ddn.localhost:8080", "alice.ddn", Some("localhost:8080")),
            ("docs.alice.ddn.localhost", "docs.alice.ddn", Some("localhost")),
            ("alice.ddn.gw.example", "alice.ddn", Some("gw.example")),
            ("alice-ddn.ipns.localhost:1", "alice.ddn", Some("localhost:1")),
            ("my--site-ddn.ipns.localhost", "my-site.ddn", Some("localhost")),
            ("alice.ddn.ipns.localhost", "alice.ddn", Some("localhost")),
        ] {
            let expected = Some((name.to_owned(), gateway.map(str::to_owned)));
            assert_eq!(named(hosts().site(host)), expected, "{host}");
        }
    }

    #[test]
    fn cids() {
        let site = hosts().site(&format!("{CID}.ipfs.localhost:8080"));
        let expected = Site::Cid {
            cid: Cid::try_from(CID).unwrap(),
            text: CID.into(),
            gateway: "localhost:8080".into(),
        };
        assert_eq!(site, Ok(expected));
        assert_eq!(
            hosts().site("nonsense.ipfs.localhost"),
            Err(BadHost::NotACid("nonsense".into()))
        );
    }

    #[test]
    fn examples_use_a_name_that_can_have_names_below() {
        for (asked, public) in [
            ("localhost:8080", "localhost:8080"),
            ("GW.example", "GW.example"),
            ("127.0.0.1:8080", "localhost:8080"),
            ("[::1]", "localhost"),
        ] {
            assert_eq!(hosts().public(asked), public);
        }
    }

    #[test]
    fn malformed() {
        for host in [
            "",
            ":80",
            "a b",
            "user@localhost",
            "[::1",
            "localhost:x",
            "localhost:999999",
            "a/b",
            "a:1:2",
        ] {
            assert_eq!(hosts().site(host), Err(BadHost::Malformed), "{host:?}");
        }
    }

    proptest! {
        #[test]
        fn any_host_is_safe(host in any::<String>()) {
            let _ = hosts().site(&host);
        }

        #[test]
        fn one_label_form_is_the_same_name(label in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}") {
            let inlined = format!("{label}.ddn").replace('-', "--").replace('.', "-");
            let expected = Some((format!("{label}.ddn"), Some("localhost".to_owned())));
            prop_assert_eq!(named(hosts().site(&format!("{inlined}.ipns.localhost"))), expected);
        }
    }
}
