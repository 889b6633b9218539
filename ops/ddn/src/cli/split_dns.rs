//! Split DNS: how each resolver of a machine is told to ask the node for the names of its chain, and no other names.
//!
//! Pure text; nothing is changed. Sources: resolved.conf(5) (`DNS=` with a port since 246, `Domains=~tld`),
//! dnssec-trust-anchors.d(5) (negative anchors, since the root does not know the TLD), dnsmasq(8) `--server`,
//! NetworkManager.conf(5) `dns=dnsmasq`, resolver(5) of macOS, unbound.conf(5), the reference manual of BIND 9. The last
//! two validate, so they are told what to trust; the others leave it to us.

use std::{net::SocketAddr, path::Path};

use serde::Serialize;

/// A resolver that can send one zone elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolver {
    /// systemd-resolved
    Resolved,
    /// NetworkManager with its own dnsmasq
    NetworkManager,
    /// dnsmasq as a service of its own
    Dnsmasq,
    /// Unbound
    Unbound,
    /// BIND
    Bind,
    /// macOS
    Macos,
}

/// What to do for one resolver.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// For which resolver.
    pub resolver: Resolver,
    /// Its name for people.
    pub title: &'static str,
    /// Files to write, as root.
    pub files: Vec<File>,
    /// The command that makes it take effect, as root; empty if none is needed.
    pub then: &'static str,
}

/// A file to write.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct File {
    /// Where.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Resolver {
    /// All that we know.
    pub const ALL: [Self; 6] = [
        Self::Resolved,
        Self::NetworkManager,
        Self::Dnsmasq,
        Self::Unbound,
        Self::Bind,
        Self::Macos,
    ];

    /// Those that run on this machine; `exists` looks at a path.
    pub fn detect(exists: impl Fn(&Path) -> bool) -> Vec<Self> {
        if cfg!(target_os = "macos") {
            return vec![Self::Macos];
        }
        let there = |path: &str| exists(Path::new(path));
        if there("/run/systemd/resolve/stub-resolv.conf") {
            return vec![Self::Resolved];
        }
        let mut found = Vec::new();
        if there("/run/NetworkManager") {
            found.push(Self::NetworkManager);
        }
        if there("/run/dnsmasq") || there("/run/dnsmasq.pid") || there("/run/dnsmasq/dnsmasq.pid") {
            found.push(Self::Dnsmasq);
        }
        if there("/run/unbound.pid") || there("/run/unbound.ctl") {
            found.push(Self::Unbound);
        }
        if there("/run/named/named.pid") {
            found.push(Self::Bind);
        }
        found
    }

    /// The setup for the names under `tld`, answered at `dns`, and signed so that the DS record `anchor` is to be
    /// trusted.
    pub fn setup(self, tld: &str, dns: SocketAddr, anchor: Option<&str>) -> Setup {
        let (title, files, then) = match self {
            Self::Resolved => (
                "systemd-resolved",
                resolved(tld, dns),
                "systemctl restart systemd-resolved",
            ),
            Self::NetworkManager => (
                "NetworkManager with dnsmasq",
                network_manager(tld, dns),
                "systemctl reload NetworkManager",
            ),
            Self::Dnsmasq => (
                "dnsmasq",
                dnsmasq("/etc/dnsmasq.d", tld, dns),
                "systemctl restart dnsmasq",
            ),
            Self::Unbound => ("Unbound", unbound(tld, dns, anchor), "systemctl restart unbound"),
            Self::Bind => ("BIND", bind(tld, dns, anchor), "rndc reconfig"),
            Self::Macos => ("macOS", macos(tld, dns), ""),
        };
        Setup {
            resolver: self,
            title,
            files,
            then,
        }
    }
}

fn resolved(tld: &str, dns: SocketAddr) -> Vec<File> {
    let conf = format!("[Resolve]\nDNS={dns}\nDomains=~{tld}\n");
    vec![
        file("/etc/systemd/resolved.conf.d/ddn.conf", conf),
        file(
            &format!("/etc/dnssec-trust-anchors.d/{tld}.negative"),
            format!("{tld}\n"),
        ),
    ]
}

fn network_manager(tld: &str, dns: SocketAddr) -> Vec<File> {
    let mut files = vec![file(
        "/etc/NetworkManager/conf.d/ddn.conf",
        "[main]\ndns=dnsmasq\n".to_owned(),
    )];
    files.extend(dnsmasq("/etc/NetworkManager/dnsmasq.d", tld, dns));
    files
}

/// `rebind-domain-ok`: a dev chain answers with loopback addresses, which some configurations would drop.
fn dnsmasq(dir: &str, tld: &str, dns: SocketAddr) -> Vec<File> {
    let (ip, port) = (dns.ip(), dns.port());
    vec![file(
        &format!("{dir}/ddn.conf"),
        format!("server=/{tld}/{ip}#{port}\nrebind-domain-ok=/{tld}/\n"),
    )]
}

/// A validator refuses what it has no anchor for, since the root says that the TLD does not exist.
fn unbound(tld: &str, dns: SocketAddr, anchor: Option<&str>) -> Vec<File> {
    let trust = match anchor {
        Some(ds) => format!("trust-anchor: \"{ds}\""),
        None => format!("domain-insecure: \"{tld}.\""),
    };
    let (ip, port) = (dns.ip(), dns.port());
    let text = format!(
        "server:\n  do-not-query-localhost: no\n  {trust}\nstub-zone:\n  name: \"{tld}.\"\n  stub-addr: {ip}@{port}\n"
    );
    vec![file("/etc/unbound/unbound.conf.d/ddn.conf", text)]
}

/// To be included: BIND has one file.
fn bind(tld: &str, dns: SocketAddr, anchor: Option<&str>) -> Vec<File> {
    let words: Vec<&str> = anchor.unwrap_or_default().split(' ').collect();
    let trust = match words[..] {
        [zone, "IN", "DS", tag, algorithm, kind, digest] => {
            format!("trust-anchors {{ \"{zone}\" static-ds {tag} {algorithm} {kind} \"{digest}\"; }};\n")
        }
        _ => String::new(),
    };
    let (ip, port) = (dns.ip(), dns.port());
    let text = format!(
        "// In named.conf: include \"/etc/bind/ddn.conf\";\n{trust}zone \"{tld}\" {{ type forward; forward only; forwarders {{ \
         {ip} port {port}; }}; }};\n"
    );
    vec![file("/etc/bind/ddn.conf", text)]
}

fn macos(tld: &str, dns: SocketAddr) -> Vec<File> {
    vec![file(
        &format!("/etc/resolver/{tld}"),
        format!("nameserver {}\nport {}\n", dns.ip(), dns.port()),
    )]
}

fn file(path: &str, text: String) -> File {
    File {
        path: path.to_owned(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(resolver: Resolver, dns: &str, expected: &[(&str, &str)]) {
        let setup = resolver.setup(
            "ddn",
            dns.parse().expect("an address"),
            Some("ddn. IN DS 7 13 2 AB"),
        );
        let found: Vec<(&str, &str)> = setup
            .files
            .iter()
            .map(|file| (&*file.path, &*file.text))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_resolver_has_its_lines() {
        let dnsmasq = "server=/ddn/127.0.0.1#5300\nrebind-domain-ok=/ddn/\n";
        check(
            Resolver::Resolved,
            "[::1]:5300",
            &[
                (
                    "/etc/systemd/resolved.conf.d/ddn.conf",
                    "[Resolve]\nDNS=[::1]:5300\nDomains=~ddn\n",
                ),
                ("/etc/dnssec-trust-anchors.d/ddn.negative", "ddn\n"),
            ],
        );
        check(
            Resolver::Dnsmasq,
            "127.0.0.1:5300",
            &[("/etc/dnsmasq.d/ddn.conf", dnsmasq)],
        );
        check(
            Resolver::NetworkManager,
            "127.0.0.1:5300",
            &[
                ("/etc/NetworkManager/conf.d/ddn.conf", "[main]\ndns=dnsmasq\n"),
                ("/etc/NetworkManager/dnsmasq.d/ddn.conf", dnsmasq),
            ],
        );
        check(
            Resolver::Macos,
            "127.0.0.1:53",
            &[("/etc/resolver/ddn", "nameserver 127.0.0.1\nport 53\n")],
        );
    }

    #[test]
    fn validators_are_told_what_to_trust() {
        check(
            Resolver::Unbound,
            "127.0.0.1:5300",
            &[(
                "/etc/unbound/unbound.conf.d/ddn.conf",
                "server:\n  do-not-query-localhost: no\n  trust-anchor: \"ddn. IN DS 7 13 2 AB\"\nstub-zone:\n  name: \
                 \"ddn.\"\n  stub-addr: 127.0.0.1@5300\n",
            )],
        );
        check(
            Resolver::Bind,
            "127.0.0.1:5300",
            &[(
                "/etc/bind/ddn.conf",
                "// In named.conf: include \"/etc/bind/ddn.conf\";\ntrust-anchors { \"ddn.\" static-ds 7 13 2 \"AB\"; \
                 };\nzone \"ddn\" { type forward; forward only; forwarders { 127.0.0.1 port 5300; }; };\n",
            )],
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn resolved_wins_over_what_feeds_it() {
        assert_eq!(Resolver::detect(|_| true), [Resolver::Resolved]);
        assert_eq!(
            Resolver::detect(|path| path.ends_with("NetworkManager")),
            [Resolver::NetworkManager]
        );
        assert_eq!(Resolver::detect(|_| false), []);
    }
}
