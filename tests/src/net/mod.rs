//! A network of its own for a test: hosts in network namespaces around one router, each at the end of a link that takes as
//! long, carries as much and loses as many packets as the test says.
//!
//! Nothing of it is seen from outside: no address, route or rule of the machine itself changes. It goes with the [`Net`] and
//! the hosts, also when the test panics or is killed.

mod host;
mod link;
mod namespace;
mod wire;

use std::env;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

pub use host::{Host, Ping};
pub use link::{Link, Shaper};
use namespace::Namespace;
use wire::Wire;

/// What builds it and looks at it.
const PROGRAMS: [&str; 7] = ["curl", "dig", "ip", "nft", "nsenter", "ping", "unshare"];

/// Rules of the router: what is cut off from whom, and who is reached only by answers. What comes to a NAT's own address and
/// is no answer leaves no trace, as in the routers that people have at home.
const RULES: &str = "table ip net {
  set cut { type ipv4_addr . ipv4_addr; }
  set hidden { type ipv4_addr; }
  map natted { type ipv4_addr : ipv4_addr; }
  map scattered { type ipv4_addr : ipv4_addr; }
  chain enter {
    type filter hook input priority 0; policy accept;
    ip daddr 198.51.100.0/24 drop
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cut drop
    ct status dnat,snat accept
    ct direction original ip daddr @hidden drop
  }
  chain leave {
    type nat hook postrouting priority 100; policy accept;
    snat to ip saddr map @natted
    snat to ip saddr map @scattered fully-random
    ip saddr @hidden masquerade
  }
}";

/// A star: a router, and hosts around it.
#[derive(Debug)]
pub struct Net {
    router: Namespace,
    hosts: u8,
    wires: Vec<(Ipv4Addr, Wire)>,
}

impl Net {
    /// A router without hosts; none where this user may not make one or a program is missing, which is said.
    ///
    /// # Errors
    /// When `DDN_REQUIRE_NETNS` is 1 and there can be none; when there is a namespace, but no rules in it.
    pub fn new() -> Result<Option<Self>> {
        match possible() {
            Ok(router) => {
                let net = Self {
                    router,
                    hosts: 0,
                    wires: Vec::new(),
                };
                net.rules(RULES)?;
                Ok(Some(net))
            }
            Err(e) if env::var_os("DDN_REQUIRE_NETNS").is_some_and(|set| set == "1") => Err(e),
            Err(e) => {
                // Past the capture of the test harness, so that a run shows what it left out.
                writeln!(
                    io::stderr(),
                    "skipped, not passed: no network of its own for this test: {e:#}"
                )?;
                Ok(None)
            }
        }
    }

    /// Another host, with `link` to the router.
    ///
    /// # Errors
    /// When a device cannot be made, or after 250 hosts.
    pub fn host(&mut self, link: Link) -> Result<Host> {
        self.hosts = self
            .hosts
            .checked_add(1)
            .filter(|count| *count <= 250)
            .context("250 hosts are enough")?;
        let address = Ipv4Addr::new(10, 77, self.hosts, 2);
        let namespace = Namespace::new()?;
        let port = format!("host{}", self.hosts);
        let mut wire = Wire::new((&namespace, "eth0"), (&self.router, &port))?;
        let gateway = Ipv4Addr::new(10, 77, self.hosts, 1);
        ip(&namespace, &format!("addr add {address} peer {gateway} dev eth0"))?;
        ip(
            &self.router,
            &format!("addr add {gateway} peer {address} dev {port}"),
        )?;
        ip(&self.router, &format!("link set {port} up"))?;
        ip(&namespace, "link set eth0 up")?;
        ip(&namespace, "route add default dev eth0")?;
        wire.set(link)?;
        self.wires.push((address, wire));
        Ok(Host::new(namespace, address))
    }

    /// The link of `host` is `link` from now on; what is on its way arrives as before.
    ///
    /// # Errors
    /// When it is none of this network's hosts.
    pub fn relink(&mut self, host: &Host, link: Link) -> Result<()> {
        let wire = self
            .wires
            .iter_mut()
            .find(|(address, _)| *address == host.address());
        wire.context("a host of another network")?.1.set(link)
    }

    /// Nothing passes between the two any more, in either direction, and no sender is told.
    ///
    /// # Errors
    /// When nft refuses.
    pub fn cut(&self, one: &Host, other: &Host) -> Result<()> {
        self.rules(&format!("add element ip net cut {}", pairs(one, other)))
    }

    /// Takes [`Net::cut`] back.
    ///
    /// # Errors
    /// When the two are not cut off from each other.
    pub fn heal(&self, one: &Host, other: &Host) -> Result<()> {
        self.rules(&format!("delete element ip net cut {}", pairs(one, other)))
    }

    /// Puts `host` behind a NAT: others see an address of the router, and reach the host only with answers.
    ///
    /// # Errors
    /// When nft refuses.
    pub fn hide(&self, host: &Host) -> Result<()> {
        self.rules(&format!("add element ip net hidden {{ {} }}", host.address()))
    }

    /// Puts `host` behind a NAT of its own, whose address is returned. It keeps a port for all whom the host speaks to, and
    /// lets nobody in but those (RFC 4787: endpoint-independent mapping, address and port-dependent filtering).
    ///
    /// # Errors
    /// When nft or ip refuses.
    pub fn nat(&self, host: &Host) -> Result<Ipv4Addr> {
        self.behind(host, "natted")
    }

    /// As [`Net::nat`], but each whom the host speaks to sees another port (address and port-dependent mapping): no way
    /// leads in that others could know of.
    ///
    /// # Errors
    /// When nft or ip refuses.
    pub fn scatter(&self, host: &Host) -> Result<Ipv4Addr> {
        self.behind(host, "scattered")
    }

    fn behind(&self, host: &Host, kind: &str) -> Result<Ipv4Addr> {
        let inside = host.address();
        let outside = Ipv4Addr::new(198, 51, 100, inside.octets()[2]);
        ip(&self.router, &format!("addr add {outside}/32 dev lo"))?;
        self.rules(&format!("add element ip net {kind} {{ {inside} : {outside} }}"))?;
        self.hide(host)?;
        Ok(outside)
    }

    fn rules(&self, rules: &str) -> Result<()> {
        let mut command = self.router.command("nft");
        done(command.arg(rules))
    }
}

fn pairs(one: &Host, other: &Host) -> String {
    let (one, other) = (one.address(), other.address());
    format!("{{ {one} . {other}, {other} . {one} }}")
}

/// A first namespace, where everything is there that a network needs.
fn possible() -> Result<Namespace> {
    for program in PROGRAMS {
        let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
        let there = folders
            .iter()
            .any(|folder| Path::new(folder).join(program).is_file());
        ensure!(there, "{program} is not installed");
    }
    ensure!(Path::new("/dev/net/tun").exists(), "there is no /dev/net/tun");
    Namespace::new()
}

fn ip(namespace: &Namespace, words: &str) -> Result<()> {
    done(namespace.command("ip").args(words.split(' ')))
}

/// Runs a command that must succeed.
fn done(command: &mut Command) -> Result<()> {
    let ran = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("starting {command:?}"))?;
    if !ran.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&ran.stderr).trim());
    }
    Ok(())
}
