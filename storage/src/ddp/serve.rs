//! The serving half: sessions for whoever opens them, of what the store holds, within what the money rules allow.
//!
//! Every connection and every session is a task of its own: what breaks in one of them, a panic too, ends that one alone.
//! A session never waits for another; sessions of one payer meet in its tab ([`pairs`]).

mod fair;
mod line;
mod metrics;
mod open;
mod pairs;
mod paying;
mod peers;
mod quotes;
mod reading;
mod relaying;
mod session;
mod told;
mod uplink;
mod waiting;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use iroh::TransportAddr;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, RecvStream, SendStream, VarInt};
use ledger::{Address, Amount, PublicKey, Quote};
use nearest::Prefix;
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, info_span};

use super::books::{Books, Traffic};
use super::endpoint::Endpoint;
use super::relay::{Relay, RelayConfig};
use super::seats::Seats;
use super::{Config, Funds, now_ms};
use crate::{Error, Store};
use metrics::Metrics;
use pairs::Pairs;
use peers::Peers;
use quotes::Quotes;
use uplink::Uplink;

/// The serving half of a node.
pub(crate) struct Server {
    config: Config,
    store: Store,
    books: Books,
    funds: Arc<dyn Funds>,
    quotes: Quotes,
    /// The relay of this node, if it is one, and what that asks.
    relay: Option<(Relay, Quotes)>,
    pairs: Pairs,
    connections: Seats,
    peers: Peers,
    sessions: Seats,
    uplink: Uplink,
    metrics: Metrics,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Server {
    /// Begins to accept connections.
    ///
    /// # Errors
    /// If the books cannot be read.
    pub fn start(
        config: &Config,
        endpoint: &Endpoint,
        store: &Store,
        books: &Books,
        funds: Arc<dyn Funds>,
        relay: Option<Relay>,
        registry: &mut Registry,
    ) -> Result<Arc<Server>, Error> {
        let metrics = Metrics::default();
        metrics.register(registry);
        let server = Arc::new(Server {
            quotes: Quotes::new(config, config.price),
            relay: relay.zip(
                config
                    .relay
                    .as_ref()
                    .map(|relay| Quotes::new(config, relay.price)),
            ),
            pairs: Pairs::new(books.clone(), config.credit, metrics.clone()),
            connections: Seats::new(2 * config.sessions_max, CONNECTIONS_PER_PEER),
            uplink: Uplink::open(books.clone(), config.rate_max, config.month_max)?,
            peers: Peers::default(),
            sessions: Seats::new(config.sessions_max, config.sessions_per_peer),
            config: config.clone(),
            store: store.clone(),
            books: books.clone(),
            funds,
            metrics,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let accepting = Arc::clone(&server).accept(endpoint.clone());
        server.tasks.spawn(accepting);
        Ok(server)
    }

    /// What it asks now.
    pub fn quote(&self) -> Quote {
        self.quotes.now(now_ms()).body
    }

    /// Asks this from now on, see [`super::Delivery::set_terms`].
    pub fn set_terms(&self, terms: Option<(Address, Amount)>) {
        self.quotes.set(terms);
        if let (Some((_, quotes)), Some(RelayConfig { price, .. })) = (&self.relay, &self.config.relay) {
            quotes.set(terms.map(|(payee, _)| (payee, *price)));
        }
    }

    /// What the relay asks now, and for how many more nodes it has room; `None` if this node is none.
    pub fn relay(&self) -> Option<(Quote, u32)> {
        let (relay, quotes) = self.relay.as_ref()?;
        let free = relay.nodes().free();
        Some((quotes.now(now_ms()).body, u32::try_from(free).unwrap_or(u32::MAX)))
    }

    /// What has left in this calendar month.
    pub fn traffic(&self) -> Traffic {
        self.uplink.traffic(now_ms())
    }

    /// See [`Config::claim_blocks`].
    pub fn claim_blocks(&self) -> u64 {
        self.config.claim_blocks
    }

    /// Sessions in hand; as many as there can be when nothing more may leave this month.
    pub fn load(&self) -> u32 {
        if self.uplink.spent_for_ms(now_ms()).is_some() {
            return u32::MAX;
        }
        u32::try_from(self.sessions.taken()).unwrap_or(u32::MAX)
    }

    /// Tells every session to end, and waits for that.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP_TIME_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("some deliveries did not end in order");
        }
        if let Err(error) = self.uplink.keep() {
            tracing::warn!(%error, "the last of what was sent this month is not written down");
        }
    }

    async fn accept(self: Arc<Self>, endpoint: Endpoint) {
        loop {
            let incoming = tokio::select! {
                incoming = endpoint.accept() => incoming,
                () = self.stop.cancelled() => None,
            };
            let Some(incoming) = incoming else { return };
            if self.connections.is_full() {
                incoming.refuse();
                continue;
            }
            self.tasks
                .spawn(Arc::clone(&self).greet(endpoint.clone(), incoming));
        }
    }

    async fn greet(self: Arc<Self>, endpoint: Endpoint, incoming: Incoming) {
        let network = network(&incoming.remote_addr());
        let greeted = tokio::select! {
            greeted = timeout(HANDSHAKE_TIME_MAX, endpoint.admit(incoming, network.is_some())) => greeted,
            () = self.stop.cancelled() => return,
        };
        let Ok(Ok(connection)) = greeted else {
            debug!("a connection was not made");
            return;
        };
        let Ok(peer) = PublicKey::from_bytes(*connection.remote_id().as_bytes()) else {
            return connection.close(REFUSED, b"a weak key");
        };
        let Some(_seat) = self.connections.take(&peer, network) else {
            return connection.close(REFUSED, b"too many connections");
        };
        let span = info_span!("delivery", %peer);
        let talk = self.peers.begin(peer, &connection).await;
        self.clone()
            .converse(connection, peer, network)
            .instrument(span)
            .await;
        self.peers.end(&peer, &talk);
    }

    /// Serves the streams of one connection until it is closed.
    async fn converse(self: Arc<Self>, connection: Connection, peer: PublicKey, network: Option<Prefix>) {
        let sessions = TaskTracker::new();
        loop {
            let stream = tokio::select! {
                stream = connection.accept_bi() => stream,
                () = self.stop.cancelled() => break,
            };
            let Ok((send, recv)) = stream else { break };
            let session = Arc::clone(&self).serve(peer, network, seen(&connection), send, recv);
            // The connection lives as long as its sessions.
            let held = connection.clone();
            sessions.spawn(async move {
                // What it shares is whole after a panic: each lock guards one write.
                if AssertUnwindSafe(session).catch_unwind().await.is_err() {
                    error!(%peer, "a session failed; the others go on");
                }
                drop(held);
            });
        }
        sessions.close();
        sessions.wait().await;
    }

    async fn serve(
        self: Arc<Self>,
        peer: PublicKey,
        network: Option<Prefix>,
        seen: Option<SocketAddr>,
        send: SendStream,
        recv: RecvStream,
    ) {
        let seat = self.sessions.take(&peer, network);
        let peer = Peer {
            node: peer,
            network,
            seen,
        };
        session::run(self, peer, seat, send, recv).await;
    }
}

/// Who opened a session.
#[derive(Clone, Copy)]
struct Peer {
    node: PublicKey,
    /// See [`network`].
    network: Option<Prefix>,
    /// Where its packets come from, if they come by no relay.
    seen: Option<SocketAddr>,
}

/// Where the packets of a connection come from now.
fn seen(connection: &Connection) -> Option<SocketAddr> {
    let paths = connection.paths();
    let selected = paths.iter().find(|path| path.is_selected())?;
    match selected.remote_addr() {
        TransportAddr::Ip(address) => Some(*address),
        _ => None,
    }
}

/// The network that a connection comes from; on this machine and in private networks that says nothing.
fn network(from: &IncomingAddr) -> Option<Prefix> {
    let IncomingAddr::Ip(address) = from else {
        return None;
    };
    let network = Prefix::network(address.ip().to_canonical());
    (!network.is_private()).then_some(network)
}

/// A connection that takes longer to be made is dropped.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections of one peer: one, and another that takes its place.
const CONNECTIONS_PER_PEER: usize = 4;
/// What a stop waits for sessions.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// The close code of a connection that is not wanted.
const REFUSED: VarInt = VarInt::from_u32(1);
