//! The named router: what a name means, and the DNS server that tells everybody.
//!
//! * [`dap`], the data addressing protocol: from a name as a person writes it to the records of the ledger entry, and
//!   the reasons. Pure: it reads names through the [`dap::Names`] trait and nothing else.
//! * [`ipns`]: names that are keys, and their signed records.
//! * [`dns`]: an authoritative DNS server over the same names, on UDP and TCP.
//! * [`dnslink`]: where domains of the public DNS lead, by asking name servers.
//! * [`mesh`]: the node among other nodes, over libp2p: who is there, who has what, gossip, requests. It moves opaque
//!   bytes and asks its [`mesh::Handler`] what they are worth.
//!
//! What is made of a name is kept only until a block changes it: a change is visible as soon as the node has its block. This
//! crate knows nothing of the chain that keeps the ledger; whoever joins the parts implements [`dap::Names`].

// `cargo fuzz` sets `fuzzing`.
#![allow(unexpected_cfgs)]

pub mod dap;
pub mod delegation;
pub mod dns;
pub mod dnslink;
pub mod ipns;
pub mod mesh;

use std::io;
use std::net::SocketAddr;

/// Why the DNS server could not start. The mesh has [`mesh::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A host or zone name in the configuration is not a DNS name, or does not fit the other settings.
    #[error("{setting}: `{value}` {reason}")]
    Setting {
        /// The setting's name in the configuration file.
        setting: &'static str,
        /// What was configured.
        value: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("{}: cannot listen on {address} over {protocol}: {}", setting(.protocol), advice(.source, setting(.protocol)))]
    Listen {
        /// The address of the setting `dns.listen`, or of `dns.tls_listen`.
        address: SocketAddr,
        /// `UDP`, `TCP` or `TLS`.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// Where the address is set.
fn setting(protocol: &str) -> &'static str {
    match protocol {
        "TLS" => "dns.tls_listen",
        _ => "dns.listen",
    }
}

/// The outer text for a bind failure: the two that operators meet get the remedy too.
fn advice(error: &io::Error, setting: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is in use by another program; stop it, or set {setting} to another port (0 takes a free one)"
        ),
        io::ErrorKind::PermissionDenied => format!(
            "not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or set {setting} to a higher port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address; set {setting} to one of its own")
        }
        _ => error.to_string(),
    }
}
