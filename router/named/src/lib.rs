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
    #[error("dns.listen: cannot listen on {address} over {protocol}: {}", advice(.source))]
    Listen {
        /// The address of the setting `dns.listen`.
        address: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The outer text for a bind failure: the two that operators meet get the remedy too.
fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program; stop it, or set dns.listen to another port (0 takes a free one)".into()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or set dns.listen to a higher port"
                .into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; set dns.listen to one of its own".into()
        }
        _ => error.to_string(),
    }
}
