//! Settings and bounds of the mesh.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cid::Cid;
use libp2p::{Multiaddr, PeerId};

use super::book;
use super::error::Error;
use super::identity::{self, Network};
use super::private::NetworkKey;

/// The settings of the mesh, section `mesh` of the configuration.
#[derive(Clone)]
pub struct Config {
    /// The seed of the node key, which is this node's identity here and in the delivery plane.
    pub seed: [u8; 32],
    /// The chain's id.
    pub chain_id: String,
    /// The CID of the chain's genesis. Peers of another chain or genesis are refused.
    pub genesis: Cid,
    /// Where to listen, over TCP. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Addresses under which others reach this node, if they are not those that it listens on: multiaddrs with a host and a
    /// TCP port, such as `/dns4/ddn.example/tcp/4101`.
    pub external: Vec<String>,
    /// Nodes to join, for ever: multiaddrs that end in `/p2p/…`, as nodes print them.
    pub join: Vec<String>,
    /// Domains whose `dnsaddr` records name nodes to meet, while there are fewer peers than [`Limits::peers_wanted`].
    pub seeds: Vec<String>,
    /// The name servers to ask for them; empty takes those of this machine.
    pub seed_servers: Vec<SocketAddr>,
    /// The key of a private network, which only nodes with the same key can join; none is an open one.
    pub network_key: Option<NetworkKey>,
    /// Where peers are remembered, a text file. Its folder must exist.
    pub peers_file: PathBuf,
    /// Where it is remembered who provides what. Its folder must exist.
    pub providers_file: PathBuf,
    /// The bounds.
    pub limits: Limits,
}

/// The bounds of the mesh. Everything that others can make grow has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections that others opened. Each takes some 100 KiB; a small machine bears 256.
    pub incoming_max: u32,
    /// The most connections that this node opened: its own peers, and the steps of look-ups, each to some 20 nodes.
    pub outgoing_max: u32,
    /// The most connections in their handshake, each way: a handshake costs us as much as it costs the other side.
    pub handshakes_max: u32,
    /// No new connections while the process holds more memory than this, in bytes. Far above what the block cache takes.
    pub memory_bytes_max: u64,
    /// A connection that nothing used for so long is closed, unless gossip keeps it.
    pub idle: Duration,
    /// With fewer peers than this, peers from before are dialled: gossip wants 4 to 8.
    pub peers_wanted: usize,
    /// The most peers that are remembered across restarts.
    pub peers_remembered_max: usize,
    /// The largest gossip message, in bytes: a header with the certificate of the largest set takes half of it.
    pub gossip_bytes_max: usize,
    /// The most messages and records that are checked at once; others are dropped until there is room.
    pub checks_max: usize,
    /// The largest request, in bytes: a transaction and its envelope fit.
    pub request_bytes_max: usize,
    /// The largest answer, in bytes: a block of 2 MiB with its certificate fits, or many small ones.
    pub answer_bytes_max: usize,
    /// How long a request may take, on either side.
    pub request_timeout: Duration,
    /// The most requests of others in hand, each with an answer in memory until it is sent.
    pub requests_in_max: usize,
    /// The most of them from one peer, so that nobody takes all.
    pub requests_in_per_peer_max: usize,
    /// The most requests of our own under way.
    pub requests_out_max: usize,
    /// The most look-ups under way; each asks some 20 nodes.
    pub lookups_max: usize,
    /// The most roots that this node announces: each takes a look-up every 20 minutes.
    pub provided_max: usize,
    /// The most provider records that this node keeps for others, of some 200 bytes.
    pub provider_records_max: usize,
    /// The most of them for one provider, so that nobody takes all.
    pub provider_records_per_peer_max: usize,
    /// The most of them for one root: as many as an answer of the hash table carries.
    pub provider_records_per_root_max: usize,
    /// The most endpoint records that this node keeps for others, of some 400 bytes.
    pub endpoint_records_max: usize,
    /// The most edges whose adverts are kept.
    pub adverts_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            incoming_max: 256,
            outgoing_max: 128,
            handshakes_max: 64,
            memory_bytes_max: 4 << 30,
            idle: Duration::from_secs(300),
            peers_wanted: 8,
            peers_remembered_max: 1000,
            gossip_bytes_max: 128 << 10,
            checks_max: 256,
            request_bytes_max: 64 << 10,
            answer_bytes_max: 4 << 20,
            request_timeout: Duration::from_secs(10),
            requests_in_max: 32,
            requests_in_per_peer_max: 8,
            requests_out_max: 128,
            lookups_max: 128,
            provided_max: 10_000,
            provider_records_max: 100_000,
            provider_records_per_peer_max: 10_000,
            provider_records_per_root_max: 20,
            endpoint_records_max: 10_000,
            adverts_max: 4096,
        }
    }
}

/// What the text settings say.
pub struct Addresses {
    /// The setting `external`.
    pub external: Vec<Multiaddr>,
    /// The setting `join`, without this node itself.
    pub join: Vec<(PeerId, Multiaddr)>,
}

impl Config {
    /// The network of this node.
    pub(super) fn network(&self) -> Network {
        Network {
            chain: self.chain_id.clone(),
            genesis: self.genesis,
        }
    }

    /// Reads the addresses.
    pub(super) fn addresses(&self) -> Result<Addresses, Error> {
        let me = identity::keypair(self.seed).public().to_peer_id();
        let external = self
            .external
            .iter()
            .map(|text| external(text))
            .collect::<Result<_, _>>()?;
        let join: Vec<_> = self
            .join
            .iter()
            .map(|text| join(text))
            .collect::<Result<_, _>>()?;
        Ok(Addresses {
            external,
            join: join.into_iter().filter(|(peer, _)| *peer != me).collect(),
        })
    }
}

fn external(text: &str) -> Result<Multiaddr, Error> {
    let address: Option<Multiaddr> = text.parse().ok();
    address.filter(book::is_dialable).ok_or_else(|| Error::Setting {
        setting: "external",
        value: text.into(),
        reason: "is not a host and a TCP port, such as /dns4/ddn.example/tcp/4101".into(),
    })
}

fn join(text: &str) -> Result<(PeerId, Multiaddr), Error> {
    let wrong = |reason: &str| Error::Setting {
        setting: "join",
        value: text.into(),
        reason: reason.into(),
    };
    let address: Multiaddr = text
        .parse()
        .map_err(|_| wrong("is not a multiaddr such as /ip4/192.0.2.1/tcp/4101/p2p/12D3KooW…"))?;
    let (peer, address) = book::split(address).ok_or_else(|| {
        wrong("is not a host, a TCP port and a peer id; copy the address that the other node prints, with its /p2p/… end")
    })?;
    if identity::node_of(&peer).is_none() {
        return Err(wrong("names a peer whose key is not ed25519, which no node has"));
    }
    Ok((peer, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_say_what_is_wrong_with_them() {
        let peer = identity::keypair([1; 32]).public().to_peer_id();
        for (text, word) in [
            ("127.0.0.1:4101".to_owned(), "is not a multiaddr"),
            ("/ip4/127.0.0.1/tcp/4101".to_owned(), "copy the address"),
            (format!("/ip4/127.0.0.1/udp/4101/p2p/{peer}"), "a TCP port"),
            (format!("/ip4/127.0.0.1/tcp/0/p2p/{peer}"), "a TCP port"),
        ] {
            let error = join(&text).expect_err(&text).to_string();
            assert!(
                error.starts_with(&format!("mesh.join: `{text}` ")) && error.contains(word),
                "{error}"
            );
        }
        assert!(join(&format!("/dns4/ddn.example/tcp/4101/p2p/{peer}")).is_ok());
        let error = external("ddn.example").expect_err("no multiaddr").to_string();
        assert!(
            error.starts_with("mesh.external: `ddn.example` is not a host"),
            "{error}"
        );
    }
}
