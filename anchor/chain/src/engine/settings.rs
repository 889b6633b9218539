//! What the engine is told: its limits, its peers. How long it waits is in the crate `consensus`.

use std::net::SocketAddr;
use std::time::Duration;

use arc_malachitebft_app_channel::app::config::{
    ConsensusConfig, DiscoveryConfig, NodeConfig, P2pConfig, ProtocolNames, PubSubProtocol, ValuePayload,
    ValueSyncConfig,
};
use arc_malachitebft_app_channel::app::net::Multiaddr;
use ledger::Genesis;

/// Blocks in one answer to a peer that catches up.
pub(crate) const SYNC_BLOCKS_MAX: usize = 20;
/// Inputs that the engine keeps for one future height, at least: its own default.
const QUEUE_PER_HEIGHT_MIN: usize = 500;
/// Rounds of a height whose messages fit in that queue.
const QUEUED_ROUNDS: usize = 10;
/// Bytes of a message beside the body of its block: the header, signatures, and certificates of large sets.
const MESSAGE_OVERHEAD_BYTES: u64 = 512 << 10;

/// The engine's configuration.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    moniker: String,
    consensus: ConsensusConfig,
    value_sync: ValueSyncConfig,
}

impl Settings {
    /// Settings of one seat on a chain. `peers` are the other delegates.
    pub(crate) fn new(
        genesis: &Genesis,
        moniker: String,
        listen: SocketAddr,
        peers: Vec<Multiaddr>,
    ) -> Settings {
        let seats = seats(genesis, &peers);
        Settings {
            moniker,
            value_sync: value_sync(seats > 1),
            consensus: ConsensusConfig {
                enabled: true,
                p2p: p2p(genesis, listen, peers),
                value_payload: ValuePayload::ProposalAndParts,
                queue_per_height_capacity: QUEUE_PER_HEIGHT_MIN.max(2 * seats * QUEUED_ROUNDS),
                ..ConsensusConfig::default()
            },
        }
    }
}

/// How many there may be: others may be elected, and must be able to catch up then.
fn seats(genesis: &Genesis, peers: &[Multiaddr]) -> usize {
    (peers.len() + 1).max(genesis.seats as usize)
}

/// Every delegate speaks with every other directly: a broadcast is not passed on. Strangers are not let in.
fn p2p(genesis: &Genesis, listen: SocketAddr, peers: Vec<Multiaddr>) -> P2pConfig {
    let seats = seats(genesis, &peers);
    let chain = &genesis.chain_id;
    let message_bytes = format!("{}B", genesis.max_block_bytes + MESSAGE_OVERHEAD_BYTES);
    P2pConfig {
        listen_addr: multiaddr(listen),
        persistent_peers: peers,
        persistent_peers_only: true,
        protocol: PubSubProtocol::Broadcast,
        pubsub_max_size: message_bytes.parse().expect("a number of bytes"),
        discovery: DiscoveryConfig {
            // Several delegates may live behind one address, each with two connections while one replaces the other.
            max_connections_per_ip: 4 * seats + 16,
            num_inbound_peers: 2 * seats + 8,
            num_outbound_peers: 2 * seats + 8,
            ..DiscoveryConfig::default()
        },
        protocol_names: ProtocolNames {
            consensus: format!("/ddn/{chain}/consensus/1"),
            sync: format!("/ddn/{chain}/sync/1"),
            ..ProtocolNames::default()
        },
        ..P2pConfig::default()
    }
}

/// Peers hear of our height every second, so that one that was away is level within two.
fn value_sync(enabled: bool) -> ValueSyncConfig {
    ValueSyncConfig {
        enabled,
        status_update_interval: Duration::from_secs(1),
        request_timeout: Duration::from_secs(5),
        batch_size: SYNC_BLOCKS_MAX,
        ..ValueSyncConfig::default()
    }
}

/// A socket address as the engine writes it.
pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    let family = if address.is_ipv4() { "ip4" } else { "ip6" };
    let text = format!("/{family}/{}/tcp/{}", address.ip(), address.port());
    text.parse().expect("an IP address and a port make a multiaddr")
}

impl NodeConfig for Settings {
    fn moniker(&self) -> &str {
        &self.moniker
    }

    fn consensus(&self) -> &ConsensusConfig {
        &self.consensus
    }

    fn consensus_mut(&mut self) -> &mut ConsensusConfig {
        &mut self.consensus
    }

    fn value_sync(&self) -> &ValueSyncConfig {
        &self.value_sync
    }

    fn value_sync_mut(&mut self) -> &mut ValueSyncConfig {
        &mut self.value_sync
    }
}
