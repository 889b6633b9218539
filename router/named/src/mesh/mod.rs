//! The node among other nodes: the control plane, on libp2p.
//!
//! It knows who is there, who has which root, which edges offer what, and moves gossip and requests. What gossip and
//! requests mean is for the [`Handler`] to say: the mesh moves opaque bytes and acts on the verdict. Only the messages about
//! nodes themselves, [`Endpoint`] and [`Advert`], are its own.
//!
//! * A peer belongs to the same chain and the same genesis, which both sides say when they connect. Others are listed in
//!   [`Mesh::refused`] with the reason, and dropped.
//! * One task owns the network and waits for nobody: checks and requests run as tasks of their own and report back.
//! * Everything that others can make grow has a bound in [`Limits`].
//! * Every request is answered: with bytes, or with an [`Error`].

mod actor;
mod behaviour;
mod book;
mod clock;
mod config;
mod distances;
mod error;
mod exchange;
mod failures;
mod gossip;
mod identity;
mod lookup;
mod message;
mod metrics;
mod peers;
mod position;
mod private;
mod remembered;
mod requests;
mod score;
mod seeds;
mod shared;
mod standing;
mod store;
mod web;

pub use clock::Clock;
pub use config::{Config, Limits};
pub use distances::{DISTANCES_BYTES_MAX, DISTANCES_LIFE_MS_MAX, Distances};
pub use error::Error;
pub use failures::{FAILURES_LIFE_MS_MAX, FAILURES_MAX, Failures};
pub use message::{
    ADDRESSES_MAX, ADVERT_LIFE_MS_MAX, Advert, CLOCK_AHEAD_MS_MAX, ENDPOINT_LIFE_MS_MAX, Endpoint, Flaw,
    HEALTH_BITS, MESSAGE_BYTES_MAX, Relay,
};
pub use position::Position;
pub use private::{NETWORK_KEY_BYTES_MAX, NetworkKey, NoNetworkKey};
pub use web::{NoWeb, WEB_BYTES_MAX, Web, is_local};

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cid::Cid;
use ledger::{PublicKey, Signed};
use libp2p::gossipsub::IdentTopic;
use libp2p::kad::RecordKey;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use actor::{Actor, Command};
use metrics::Metrics;
use shared::{Fault, Shared};

/// The most commands that wait for the actor; senders wait beyond that.
const COMMANDS_MAX: usize = 256;

/// What gossip is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Transactions.
    Tx,
    /// Headers with their certificates.
    Headers,
    /// Adverts of edges, which the mesh checks itself.
    Edges,
    /// What edges tell of their readers' distances: [`Distances`].
    Places,
    /// What edges sign of others that failed: [`Failures`].
    Failures,
}

/// What a message is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Good: it is passed on.
    Accept,
    /// Nothing new, or not to be judged now: it goes no further.
    Ignore,
    /// Wrong, and its sender should have seen that: it goes no further, and the sender loses points.
    Reject(String),
}

/// What the mesh asks of the node.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Judges a message. `from` is who passed it on, not who made it. A verdict after 4 s comes too late.
    async fn gossip(&self, topic: Topic, from: PublicKey, data: Vec<u8>) -> Verdict;

    /// Answers a request, within `Limits::request_timeout` and `Limits::answer_bytes_max`.
    async fn request(&self, from: PublicKey, request: Vec<u8>) -> Vec<u8>;
}

/// A connected peer of our network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its node key.
    pub node: PublicKey,
    /// The same as a libp2p peer id.
    pub peer_id: String,
    /// The address of the connection, a multiaddr.
    pub address: String,
    /// Whether it connected to this node; else this node connected to it.
    pub inbound: bool,
    /// The smoothed round-trip time, in microseconds; none before the first ping.
    pub rtt_us: Option<u32>,
    /// How far its clock is ahead of this node's, in milliseconds; none before it said twice what time it is.
    pub clock_ahead_ms: Option<i64>,
    /// Zero, or below if it misbehaved; at −100 it is banned.
    pub score: i64,
    /// The program that it says it runs.
    pub agent: String,
    /// Since when it is connected, in milliseconds since 1970.
    pub since_ms: u64,
}

/// Somebody who is not a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The peer id, or an address if there is none.
    pub who: String,
    /// Why not, in a word for programs: `protocol`, `chain` or `genesis` if it is of another network.
    pub kind: &'static str,
    /// Why not, for people.
    pub reason: String,
}

impl Refused {
    /// Whether it is of another network, so that asking again changes nothing.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.kind, "protocol" | "chain" | "genesis")
    }
}

/// A handle to the running mesh; clones are handles to the same. It stops when it is shut down, or the last is dropped.
#[derive(Clone)]
pub struct Mesh {
    node: PublicKey,
    chain: Arc<str>,
    limits: Limits,
    metrics: Metrics,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    stopped: CancellationToken,
}

impl Mesh {
    /// Listens, and dials the nodes to join and those of the peers file. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Setting`] for a bad address, [`Error::Listen`] if the address cannot be had, [`Error::Start`] if the
    /// system lacks something. A peers file that cannot be read is a warning only.
    pub async fn start(
        config: Config,
        handler: Arc<dyn Handler>,
        registry: &mut Registry,
    ) -> Result<Self, Error> {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let metrics = Metrics::register(registry);
        let mesh = Self {
            node: ledger::SecretKey::from_seed(config.seed).public(),
            chain: config.chain_id.as_str().into(),
            limits: config.limits.clone(),
            metrics: metrics.clone(),
            shared: Arc::default(),
            commands,
            stopped: CancellationToken::new(),
        };
        let actor = Actor::start(config, handler, mesh.shared.clone(), metrics, receiver).await?;
        let stopped = mesh.stopped.clone().drop_guard();
        tokio::spawn(async move {
            actor.run().await;
            drop(stopped);
        });
        tracing::info!(addresses = ?mesh.addresses(), "the mesh is listening");
        Ok(mesh)
    }

    /// This node's key.
    #[must_use]
    pub fn node_id(&self) -> PublicKey {
        self.node
    }

    /// Where this node is reached: multiaddrs that end in `/p2p/…`, fit for `--join`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.shared.view().addresses.clone()
    }

    /// The connected peers of our network, by peer id.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        let mut peers: Vec<_> = self.shared.view().peers.values().cloned().collect();
        peers.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        peers
    }

    /// Who was refused or could not be reached lately, and why, the newest last; at most 64.
    #[must_use]
    pub fn refused(&self) -> Vec<Refused> {
        self.shared.view().refused.iter().cloned().collect()
    }

    /// Asks a connected peer and waits for its answer.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::TooLarge`], [`Error::Busy`], [`Error::Timeout`], [`Error::Failed`] (the peer
    /// refused, left, or its answer was too large), [`Error::Stopped`].
    pub async fn request(&self, peer: &PublicKey, request: Vec<u8>) -> Result<Vec<u8>, Error> {
        let peer = identity::peer_id(peer);
        if request.len() > self.limits.request_bytes_max {
            return Err(Error::TooLarge {
                peer: peer.to_string(),
                bytes: request.len(),
                max: self.limits.request_bytes_max,
            });
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Ask { peer, request, reply }).await?;
        // The network has the same deadline, counted from the moment that the request leaves: it knows better.
        match tokio::time::timeout(self.limits.request_timeout * 2, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(requests::timeout(&peer, self.limits.request_timeout * 2)),
        }
    }

    /// Sends a message to everybody. It is lost if nobody is there (of [`Topic::Places`] and [`Topic::Failures`] the
    /// last one waits), or if it is longer than `Limits::gossip_bytes_max`.
    pub fn publish(&self, topic: Topic, bytes: Vec<u8>) {
        self.shared.order(|orders| {
            if let Some((topic, _)) = orders.publish(topic, bytes) {
                self.metrics.published(topic.name(), "failed");
            }
        });
    }

    /// Announces that this node has the DAG under `root`, now and every 20 minutes.
    pub fn provide(&self, root: &Cid) {
        self.shared.order(|orders| orders.provide(&key(root), true));
    }

    /// Announces it no more. Others forget it within an hour.
    pub fn withdraw(&self, root: &Cid) {
        self.shared.order(|orders| orders.provide(&key(root), false));
    }

    /// How many roots this node announces.
    #[must_use]
    pub fn provided(&self) -> usize {
        usize::try_from(self.metrics.provided.get()).unwrap_or_default()
    }

    /// Who has the DAG under `root`, besides this node: those that are found within `within`. Once somebody is found, the
    /// others get as long again.
    pub async fn providers(&self, root: &Cid, within: Duration) -> Vec<PublicKey> {
        let (found, results) = mpsc::channel(lookup::RESULTS_MAX);
        let key = key(root);
        if self.send(Command::Providers { key, found }).await.is_err() {
            return Vec::new();
        }
        let mut nodes = Vec::new();
        lookup::collect(results, within, |peers: Vec<_>| {
            for node in peers.iter().filter_map(identity::node_of) {
                if node != self.node && !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
            !nodes.is_empty()
        })
        .await;
        nodes
    }

    /// Publishes where the delivery plane reaches this node. To be called again before it expires.
    pub fn set_endpoint(&self, endpoint: Signed<Endpoint>) {
        self.shared.order(|orders| orders.endpoint = Some(endpoint));
    }

    /// Where the delivery plane reaches `node`: the newest record that is found within `within`.
    pub async fn endpoint(&self, node: &PublicKey, within: Duration) -> Option<Endpoint> {
        let (found, results) = mpsc::channel(lookup::RESULTS_MAX);
        self.send(Command::Endpoint { node: *node, found }).await.ok()?;
        let mut newest: Option<Endpoint> = None;
        lookup::collect(results, within, |record: Vec<u8>| {
            let read = message::read::<Endpoint>(&record, &self.chain, shared::now_ms()).ok();
            if let Some(endpoint) = read.filter(|endpoint| endpoint.node == *node)
                && newest
                    .as_ref()
                    .is_none_or(|known| known.time_ms < endpoint.time_ms)
            {
                newest = Some(endpoint);
            }
            newest.is_some()
        })
        .await;
        newest
    }

    /// Tells everybody what this edge offers. To be called again before it expires.
    pub fn advertise(&self, advert: Signed<Advert>) {
        self.shared.order(|orders| orders.advert = Some(advert));
    }

    /// The newest advert of each other edge, as long as it holds.
    #[must_use]
    pub fn adverts(&self) -> Vec<Advert> {
        let now_ms = shared::now_ms();
        let view = self.shared.view();
        let mut live: Vec<_> = view
            .adverts
            .values()
            .filter(|advert| advert.until_ms > now_ms)
            .cloned()
            .collect();
        live.sort_by_key(|advert| advert.node);
        live
    }

    /// The newest advert of one other edge, if it holds.
    #[must_use]
    pub fn advert(&self, node: &PublicKey) -> Option<Advert> {
        let advert = self.shared.view().adverts.get(node).cloned()?;
        (advert.until_ms > shared::now_ms()).then_some(advert)
    }

    /// The adverts of other edges that are newer than those that the caller knows, which `known` says by the time at which
    /// they were signed.
    #[must_use]
    pub fn adverts_since(&self, known: impl Fn(&PublicKey) -> Option<u64>) -> Vec<Advert> {
        let now_ms = shared::now_ms();
        let is_news = |advert: &&Advert| {
            advert.until_ms > now_ms && known(&advert.node).is_none_or(|time_ms| time_ms < advert.time_ms)
        };
        let view = self.shared.view();
        view.adverts.values().filter(is_news).cloned().collect()
    }

    /// What the clocks of the connected peers say of this node's clock.
    #[must_use]
    pub fn clock(&self) -> Option<Clock> {
        let view = self.shared.view();
        Clock::of(
            view.peers
                .values()
                .filter_map(|peer| peer.clock_ahead_ms)
                .collect(),
        )
    }

    /// Takes points off a peer: one, or a hundred if it is severe, which bans it for ten minutes.
    pub fn fault(&self, peer: &PublicKey, severe: bool, reason: &str) {
        let fault = Fault {
            peer: identity::peer_id(peer),
            points: if severe { standing::SEVERE } else { standing::MILD },
            reason: reason.into(),
        };
        self.shared.order(|orders| orders.fault(fault));
    }

    /// Leaves: closes the connections, writes the peers file, frees the port. Requests under way fail.
    pub async fn shutdown(&self) {
        // If the actor is gone already, so is the channel.
        let _ = self.commands.send(Command::Stop).await;
        self.stopped.cancelled().await;
    }

    async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Stopped)
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 5] = [Self::Tx, Self::Headers, Self::Edges, Self::Places, Self::Failures];

    /// The last part of its name, and its label in the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Headers => "headers",
            Self::Edges => "edges",
            Self::Places => "places",
            Self::Failures => "failures",
        }
    }

    /// The topic of one chain.
    fn on(self, chain: &str) -> IdentTopic {
        IdentTopic::new(format!("ddn/{chain}/{}", self.name()))
    }
}

/// The peer id of a node, as IPFS writes it: `12D3Koo…`.
#[must_use]
pub fn peer_id(node: &PublicKey) -> String {
    identity::peer_id(node).to_base58()
}

/// The node behind a peer id, in base 58 or as a CID of the codec libp2p-key; none if it is a peer, but no node of ours.
///
/// # Errors
/// [`NoPeerId`]: nobody could have it.
pub fn node_of(peer_id: &str) -> Result<Option<PublicKey>, NoPeerId> {
    const LIBP2P_KEY: u64 = 0x72;
    // The longest are keys of 4096 bits; a number in base 58 costs time that grows with the square of its length.
    const BYTES_MAX: usize = 128;
    if peer_id.len() > BYTES_MAX {
        return Err(NoPeerId);
    }
    let of_cid = || {
        let cid = Cid::try_from(peer_id)
            .ok()
            .filter(|cid| cid.codec() == LIBP2P_KEY)?;
        libp2p::PeerId::from_bytes(&cid.hash().to_bytes()).ok()
    };
    let peer = peer_id.parse().ok().or_else(of_cid).ok_or(NoPeerId)?;
    Ok(identity::node_of(&peer))
}

/// A text is no peer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a peer id: give it in base 58, or as a CID of the codec libp2p-key")]
pub struct NoPeerId;

/// The key of a root in the hash table: its multihash, so that version and codec of the CID do not matter.
fn key(root: &Cid) -> RecordKey {
    RecordKey::from(root.hash().to_bytes())
}
