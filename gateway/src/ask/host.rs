//! Which site a host name stands for.

use std::net::IpAddr;

use cid::Cid;
use named::dap::{Tlds, Zones};

use super::address::Root;
use super::content_path::{self, is_domain};
use super::isolate::{LABEL_BYTES_MAX, restored};

/// What the node answers for: its own public names, and the suffix of ledger names.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Names of the gateway itself, lower case: paths are served on them, sites on names below them.
    pub gateways: Vec<String>,
    /// The top-level domains of chains, `ddn`.
    pub tlds: Tlds,
    /// Where the ledgers' names are: below these, and below domains that stand for it.
    pub zones: Zones,
}

/// What a `Host` stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// No site of its own, and no host that sites could be below: content has paths, `/ipfs/…` and `/ipns/…`.
    Paths,
    /// The gateway itself, by host and port as the client wrote them: content has paths, and hosts below it.
    Gateway(String),
    /// One site with an origin of its own: `CID.ipfs.GATEWAY`, `KEY.ipns.GATEWAY`, `alice.ddn`, `alice.ddn.GATEWAY`,
    /// `alice-ddn.ipns.GATEWAY`, `example-org.ipns.GATEWAY`.
    Root {
        /// What it is the site of.
        root: Root,
        /// CID or name as written in the host, a name that was one label as it was before.
        text: String,
        /// Host and port as the client wrote them.
        host: String,
        /// Host and port of the gateway, if the name is below one.
        gateway: Option<String>,
    },
    /// A host of the public DNS, which may be a site by DNSLink; if it is none, it is as good as an address.
    Stranger {
        /// The domain, lower case.
        domain: String,
        /// Host and port as the client wrote them.
        host: String,
    },
}

/// Why a `Host` cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadHost {
    /// No host name at all.
    Malformed,
    /// The label before `.ipfs.` is no CID that a host name can carry.
    NotACid(String),
    /// The label before `.ipfs.` is longer than one may be.
    TooLong,
}

impl Hosts {
    /// Reads a `Host` value or the authority of an absolute request target.
    pub(crate) fn site(&self, authority: &str) -> Result<Site, BadHost> {
        let (host, port) = split_port(authority).ok_or(BadHost::Malformed)?;
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if is_address(&host) {
            return Ok(Site::Paths);
        }
        if self.gateways.contains(&host) {
            return Ok(Site::Gateway(authority.to_owned()));
        }
        let own = self
            .gateways
            .iter()
            .find_map(|own| Some((host.strip_suffix(own)?.strip_suffix('.')?, own)));
        let gateway = own.map(|(prefix, own)| (prefix, format!("{own}{port}")));
        if let Some((prefix, gateway)) = &gateway
            && let Some(site) = self.below(prefix, authority, gateway)?
        {
            return Ok(site);
        }
        if let Some(name) = self.zones.name(&host) {
            return Ok(site(
                Root::Name(name.clone()),
                name,
                authority,
                gateway.map(|(_, gateway)| gateway),
            ));
        }
        Ok(match host {
            _ if gateway.is_some() => Site::Paths,
            domain if is_domain(&domain) => Site::Stranger {
                domain,
                host: authority.to_owned(),
            },
            _ => Site::Paths,
        })
    }

    /// Whether this gateway is what `authority` stands for: its own names, the sites that it knows by their host alone, and
    /// addresses of this machine. A domain may be a site of ours by its DNSLink, but the DNS leads there without us.
    pub(crate) fn is_own(&self, authority: &str) -> bool {
        match self.site(authority) {
            Ok(Site::Gateway(_) | Site::Root { .. }) => true,
            Ok(Site::Paths) => split_port(authority)
                .and_then(|(host, _)| host.trim_matches(['[', ']']).parse::<IpAddr>().ok())
                .is_some_and(|address| address.is_loopback()),
            Ok(Site::Stranger { .. }) | Err(_) => false,
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

    /// The site that a name below `gateway` stands for, if it has the form of one.
    fn below(&self, prefix: &str, authority: &str, gateway: &str) -> Result<Option<Site>, BadHost> {
        let site = |root, text| site(root, text, authority, Some(gateway.to_owned()));
        if let Some(text) = prefix.strip_suffix(".ipfs") {
            if text.len() > LABEL_BYTES_MAX {
                return Err(BadHost::TooLong);
            }
            let cid = Cid::try_from(text).map_err(|_| BadHost::NotACid(text.to_owned()))?;
            return Ok(Some(site(Root::Cid(cid), text.to_owned())));
        }
        if let Some(text) = prefix.strip_suffix(".ipns") {
            let (root, text) = self.named(text);
            return Ok(Some(site(root, text)));
        }
        let name = self.tlds.above(prefix).map(|_| prefix.to_owned());
        Ok(name.map(|name| site(Root::Name(name.clone()), name)))
    }

    /// What stands before `.ipns.`: a key or a name, which may be written as one label.
    fn named(&self, text: &str) -> (Root, String) {
        match content_path::name(text, &self.tlds) {
            Root::Name(label) if !label.contains('.') => {
                let name = restored(&label);
                (content_path::name(&name, &self.tlds), name)
            }
            root => (root, text.to_owned()),
        }
    }
}

fn site(root: Root, text: String, authority: &str, gateway: Option<String>) -> Site {
    Site::Root {
        root,
        text,
        host: authority.to_owned(),
        gateway,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    const KEY: &str = "k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam";

    fn hosts() -> Hosts {
        let tlds = Tlds::new("ddn", vec!["mmt".into()]);
        Hosts {
            gateways: vec!["localhost".into(), "gw.example".into()],
            zones: Zones::new(&tlds, &["ddn.example".into(), "gw.example".into()]),
            tlds,
        }
    }

    fn named(site: Result<Site, BadHost>) -> Option<(String, Option<String>)> {
        match site {
            Ok(Site::Root {
                root: Root::Name(name),
                gateway,
                ..
            }) => Some((name, gateway)),
            _ => None,
        }
    }

    #[test]
    fn paths() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:8080",
            "ddn",
            "ddn.localhost",
            ".ddn",
            "foo.localhost",
            "notddn",
        ] {
            assert_eq!(hosts().site(host), Ok(Site::Paths), "{host}");
        }
        for host in ["localhost", "localhost:8080", "LOCALHOST.", "gw.example:443"] {
            assert_eq!(hosts().site(host), Ok(Site::Gateway(host.into())), "{host}");
        }
        for host in [
            "elsewhere.example",
            "alice.ddn.Elsewhere.example:80",
            "a_b.example",
        ] {
            let domain = split_port(host).expect("a host").0.to_ascii_lowercase();
            let host = host.to_owned();
            assert_eq!(hosts().site(&host.clone()), Ok(Site::Stranger { domain, host }));
        }
    }

    #[test]
    fn keys_and_domains() {
        let key: named::ipns::Name = KEY.parse().expect("a key");
        for (label, root) in [
            (KEY, Root::Ipns(key)),
            (
                "dnslink--test-example-org",
                Root::Domain("dnslink-test.example.org".into()),
            ),
            (
                "dnslink-test.example.org",
                Root::Domain("dnslink-test.example.org".into()),
            ),
            ("alice-ddn", Root::Name("alice.ddn".into())),
            ("nobody", Root::Name("nobody".into())),
        ] {
            match hosts().site(&format!("{label}.ipns.gw.example")) {
                Ok(Site::Root {
                    root: found, gateway, ..
                }) => {
                    assert_eq!((found, gateway.as_deref()), (root, Some("gw.example")), "{label}");
                }
                other => panic!("{label}: {other:?}"),
            }
        }
    }

    #[test]
    fn which_hosts_are_this_gateway() {
        for (authority, own) in [
            ("localhost:8080", true),
            ("gw.example:443", true),
            ("alice.ddn:80", true),
            ("alice.ddn.example:80", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("192.0.2.1:80", false),
            ("elsewhere.example:443", false),
            ("ddn:80", false),
            ("user@localhost:80", false),
            ("", false),
        ] {
            assert_eq!(hosts().is_own(authority), own, "{authority}");
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
            ("Alice.ddn.example:8443", "alice.ddn", None),
            ("docs.alice.ddn.example", "docs.alice.ddn", None),
            ("alice.gw.example:1", "alice.ddn", Some("gw.example:1")),
            ("alice.ddn.gw.example", "alice.ddn", Some("gw.example")),
        ] {
            let expected = Some((name.to_owned(), gateway.map(str::to_owned)));
            assert_eq!(named(hosts().site(host)), expected, "{host}");
        }
    }

    #[test]
    fn cids() {
        let site = hosts().site(&format!("{CID}.ipfs.localhost:8080"));
        let expected = Site::Root {
            root: Root::Cid(Cid::try_from(CID).unwrap()),
            text: CID.into(),
            host: format!("{CID}.ipfs.localhost:8080"),
            gateway: Some("localhost:8080".into()),
        };
        assert_eq!(site, Ok(expected));
        assert_eq!(
            hosts().site("nonsense.ipfs.localhost"),
            Err(BadHost::NotACid("nonsense".into()))
        );
        let long = format!("{}.ipfs.localhost", "b".repeat(64));
        assert_eq!(hosts().site(&long), Err(BadHost::TooLong));
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
