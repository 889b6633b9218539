//! The protocols of the mesh, put together and bounded.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use ledger::Hash;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::request_response::ProtocolSupport;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{
    Multiaddr, StreamProtocol, Swarm, SwarmBuilder, allow_block_list, connection_limits, gossipsub, identify,
    kad, memory_connection_limits, ping, request_response,
};

use super::Topic;
use super::config::{Config, Limits};
use super::error::Error;
use super::exchange;
use super::identity::{self, Network};
use super::private;
use super::score;
use super::store::Records;

/// The protocol of the hash table. A node gets into it only after identify, so it need not carry the chain's name.
const KAD: StreamProtocol = StreamProtocol::new("/ddn/kad/1");
/// Announcements are made again before others forget them: a node that is gone is forgotten within the hour.
pub const RECORD_LIFE: Duration = Duration::from_secs(3600);
const RECORD_AGAIN: Duration = Duration::from_secs(1200);
/// A look-up asks nodes that may be gone; whoever waits for it has a shorter deadline of its own.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Twenty providers and twenty closer nodes with four addresses each.
const KAD_PACKET_BYTES_MAX: usize = 64 << 10;
/// Gossip keeps a message for this many heartbeats of a second: a verdict must come before that.
const GOSSIP_HISTORY: usize = 5;
const AGENT: &str = concat!("ddn/", env!("CARGO_PKG_VERSION"));

/// All protocols of a node. The limits come first, so that a refusal costs nothing else.
#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub limits: connection_limits::Behaviour,
    pub memory: memory_connection_limits::Behaviour,
    pub banned: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub kad: kad::Behaviour<Records>,
    pub gossip: Gossip,
    pub exchange: request_response::Behaviour<exchange::Codec>,
}

/// Gossip on our topics only: what others subscribe to besides takes no memory here.
pub type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

/// A swarm that listens nowhere yet.
pub fn swarm(config: &Config, network: &Network) -> Result<Swarm<Behaviour>, Error> {
    let failed = |part: &'static str| move |reason: String| Error::Start { part, reason };
    let limits = &config.limits;
    let mut swarm = SwarmBuilder::with_existing_identity(identity::keypair(config.seed))
        .with_tokio()
        .with_other_transport(|own| Ok(private::transport(own, config.network_key)?))
        .map_err(|e| failed("the transport")(e.to_string()))?
        .with_dns()
        .map_err(|e| failed("the DNS client, from the system's configuration")(e.to_string()))?
        .with_behaviour(|key| Ok(behaviour(key, network, limits)?))
        .map_err(|e| failed("the protocols")(e.to_string()))?
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(limits.idle))
        .build();
    // Without an address that somebody confirmed, a node would stay a client: it would store nothing for anybody.
    swarm.behaviour_mut().kad.set_mode(Some(kad::Mode::Server));
    for topic in Topic::ALL {
        let topic = topic.on(&network.chain);
        let subscribed = swarm.behaviour_mut().gossip.subscribe(&topic);
        subscribed.map_err(|e| failed("gossip")(e.to_string()))?;
    }
    Ok(swarm)
}

/// Listens on `address`, which must not be in use: the transport itself would share a port with another node.
pub fn listen(swarm: &mut Swarm<Behaviour>, address: SocketAddr) -> Result<(), Error> {
    let taken = |source| Error::Listen { address, source };
    drop(std::net::TcpListener::bind(address).map_err(taken)?);
    let multiaddr = Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()));
    match swarm.listen_on(multiaddr) {
        Ok(_) => Ok(()),
        Err(error) => Err(taken(std::io::Error::other(error))),
    }
}

fn behaviour(key: &Keypair, network: &Network, limits: &Limits) -> Result<Behaviour, String> {
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connections(limits)),
        memory: memory_connection_limits::Behaviour::with_max_bytes(
            usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX),
        ),
        banned: allow_block_list::Behaviour::default(),
        identify: identify::Behaviour::new(
            identify::Config::new(network.version(), key.public())
                .with_agent_version(AGENT.into())
                .with_push_listen_addr_updates(true),
        ),
        ping: ping::Behaviour::new(ping::Config::new().with_timeout(Duration::from_secs(10))),
        kad: table(key, limits),
        gossip: gossip(network, limits)?,
        exchange: requests(limits),
    })
}

/// Two connections to a peer: both sides may dial at the same time.
fn connections(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.handshakes_max))
        .with_max_pending_outgoing(Some(limits.handshakes_max))
        .with_max_established_incoming(Some(limits.incoming_max))
        .with_max_established_outgoing(Some(limits.outgoing_max))
        .with_max_established_per_peer(Some(2))
}

/// Peers get into the table by hand, after identify; records into the store after a look at them.
fn table(key: &Keypair, limits: &Limits) -> kad::Behaviour<Records> {
    let me = key.public().to_peer_id();
    let mut config = kad::Config::new(KAD);
    config
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_caching(kad::Caching::Disabled)
        .set_query_timeout(LOOKUP_TIMEOUT)
        .set_substreams_timeout(LOOKUP_TIMEOUT / 2)
        .set_max_packet_size(KAD_PACKET_BYTES_MAX)
        .set_record_ttl(Some(RECORD_LIFE))
        .set_replication_interval(None)
        .set_publication_interval(Some(RECORD_AGAIN))
        .set_provider_record_ttl(Some(RECORD_LIFE))
        .set_provider_publication_interval(Some(RECORD_AGAIN));
    kad::Behaviour::with_config(me, Records::new(me, limits.clone()), config)
}

/// Messages are anonymous: what is inside is signed by whom it concerns. They are known by their content, so the same
/// message from two nodes is one, and nothing is passed on before its verdict.
fn gossip(network: &Network, limits: &Limits) -> Result<Gossip, String> {
    let config = gossipsub::ConfigBuilder::default()
        .validation_mode(gossipsub::ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| message_id(&message.topic, &message.data))
        .max_transmit_size(limits.gossip_bytes_max)
        .history_length(GOSSIP_HISTORY)
        .heartbeat_initial_delay(Duration::from_secs(1))
        .flood_publish(true)
        .mesh_n_low(2)
        .mesh_n(4)
        .mesh_n_high(8)
        .mesh_outbound_min(1)
        .connection_handler_queue_len(256)
        .build()
        .map_err(|e| e.to_string())?;
    let topics: HashSet<_> = Topic::ALL
        .iter()
        .map(|topic| topic.on(&network.chain).hash())
        .collect();
    let (params, thresholds) = score::scoring(&topics);
    let filter = gossipsub::WhitelistSubscriptionFilter(topics);
    let mut gossip =
        Gossip::new_with_subscription_filter(gossipsub::MessageAuthenticity::Anonymous, config, filter)?;
    gossip.with_peer_score(params, thresholds)?;
    Ok(gossip)
}

/// The id of a message: its topic and the hash of its bytes.
pub fn message_id(topic: &gossipsub::TopicHash, data: &[u8]) -> gossipsub::MessageId {
    gossipsub::MessageId::new(&[topic.as_str().as_bytes(), &Hash::of(data).0].concat())
}

fn requests(limits: &Limits) -> request_response::Behaviour<exchange::Codec> {
    let codec = exchange::Codec {
        request_bytes_max: limits.request_bytes_max,
        answer_bytes_max: limits.answer_bytes_max,
    };
    let streams = limits.requests_in_per_peer_max + limits.requests_out_max;
    let config = request_response::Config::default()
        .with_request_timeout(limits.request_timeout)
        .with_max_concurrent_streams(streams);
    request_response::Behaviour::with_codec(codec, [(exchange::PROTOCOL, ProtocolSupport::Full)], config)
}
