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

/// Rules of the router: what is cut off from whom, and who is reached only by answers.
const RULES: &str = "table ip net {
  set cut { type ipv4_addr . ipv4_addr; }
  set hidden { type ipv4_addr; }
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr . ip daddr @cut drop
    ct status dnat,snat accept
    ct direction original ip daddr @hidden drop
  }
  chain leave {
    type nat hook postrouting priority 100; policy accept;
    ip saddr @hidden masquerade
  }
}";

/// A star: a router, and hosts around it.
#[derive(Debug)]
pub struct Net {
    router: Namespace,
    hosts: u8,
    wires: Vec<(Ipv4Addr, Wire)>,
    /// The NATs, and the wires behind them.
    homes: Vec<(Namespace, Wire)>,
}

/// What the router at somebody's home does to packets. It lets in answers alone, and what is none leaves no trace (RFC 4787:
/// address and port-dependent filtering).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// A port of the host is one port for all whom it speaks to (endpoint-independent mapping).
    Cone,
    /// It is another one for everybody, so that no way leads in that others could know of (address and port-dependent mapping).
    Scattered,
}

impl Nat {
    fn rules(self, outside: Ipv4Addr) -> String {
        let ports = match self {
            Self::Cone => "",
            Self::Scattered => "fully-random",
        };
        format!(
            "table ip home {{
              chain enter {{
                type filter hook input priority 0; policy drop;
              }}
              chain pass {{
                type filter hook forward priority 0; policy drop;
                iifname indoors accept
                ct state established,related accept
              }}
              chain leave {{
                type nat hook postrouting priority 100; policy accept;
                oifname eth0 snat to {outside} {ports}
              }}
            }}"
        )
    }
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
                    homes: Vec::new(),
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
        let number = self.count()?;
        let (namespace, address) = (Namespace::new()?, inside(number));
        self.wire(&namespace, number, address, link)?;
        Ok(Host::new(namespace, address))
    }

    /// Another host, behind a NAT of its own that has `link` to the router. Others see another address than the host's.
    ///
    /// # Errors
    /// As [`Net::host`], or when nft refuses.
    pub fn home(&mut self, link: Link, nat: Nat) -> Result<Host> {
        let number = self.count()?;
        let (namespace, address) = (Namespace::new()?, inside(number));
        let (home, outside) = (Namespace::new()?, Ipv4Addr::new(198, 51, 100, number));
        self.wire(&home, number, outside, link)?;
        let mut indoors = Wire::new((&namespace, "eth0"), (&home, "indoors"))?;
        join((&namespace, "eth0", address), (&home, "indoors", gateway(number)))?;
        indoors.set(Link::delay_ms(0))?;
        done(home.command("nft").arg(nat.rules(outside)))?;
        self.homes.push((home, indoors));
        Ok(Host::new(namespace, address))
    }

    fn count(&mut self) -> Result<u8> {
        self.hosts = self
            .hosts
            .checked_add(1)
            .filter(|count| *count <= 250)
            .context("250 hosts are enough")?;
        Ok(self.hosts)
    }

    /// Joins `namespace` to the router, as the one with this number and address.
    fn wire(&mut self, namespace: &Namespace, number: u8, address: Ipv4Addr, link: Link) -> Result<()> {
        let port = format!("host{number}");
        let mut wire = Wire::new((namespace, "eth0"), (&self.router, &port))?;
        join(
            (namespace, "eth0", address),
            (&self.router, &port, gateway(number)),
        )?;
        wire.set(link)?;
        self.wires.push((address, wire));
        Ok(())
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

    /// `host` has another address from now on, and the one before is gone, as when a phone goes from one network to the next.
    /// What listens on the address before is not reached any more.
    ///
    /// # Errors
    /// When it is behind a NAT, or has moved before.
    pub fn renumber(&self, host: &Host) -> Result<Ipv4Addr> {
        let old = host.address();
        let number = old.octets()[2];
        ensure!(
            self.wires.iter().any(|(address, _)| *address == old),
            "{old} is behind a NAT"
        );
        let [new, other] = [2, 1].map(|last| Ipv4Addr::new(10, 78, number, last));
        ip(
            &self.router,
            &format!("addr add {other} peer {new} dev host{number}"),
        )?;
        let inside = |words: String| done(host.command("ip").args(words.split(' ')));
        inside(format!("addr add {new} peer {other} dev eth0"))?;
        inside(format!("addr del {old} peer {} dev eth0", gateway(number)))?;
        Ok(new)
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

    fn rules(&self, rules: &str) -> Result<()> {
        let mut command = self.router.command("nft");
        done(command.arg(rules))
    }
}

fn inside(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, number, 2)
}

fn gateway(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, number, 1)
}

/// Gives both ends of a wire their addresses, and the first one its way to everybody.
fn join(
    (namespace, device, address): (&Namespace, &str, Ipv4Addr),
    (router, port, gateway): (&Namespace, &str, Ipv4Addr),
) -> Result<()> {
    ip(
        namespace,
        &format!("addr add {address} peer {gateway} dev {device}"),
    )?;
    ip(router, &format!("addr add {gateway} peer {address} dev {port}"))?;
    ip(router, &format!("link set {port} up"))?;
    ip(namespace, &format!("link set {device} up"))?;
    ip(namespace, &format!("route add default dev {device}"))
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
