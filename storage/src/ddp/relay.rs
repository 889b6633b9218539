//! The role of a relay: it passes packets on between nodes of which one cannot be reached, and is paid for that by the node
//! that is to be reached.
//!
//! The packets travel in the relay protocol of iroh, over WebSockets: a [`Passage`](passage::Passage) for each client. A
//! node opens a paid session as well, about [`RELAY_ROOT`](super::wire::relay_root), over QUIC (`serve::relaying`): that
//! session fills the client's [`Meter`], and without one in it nothing passes. So whoever wants to speak to a paying node
//! needs no escrow, and two strangers cannot use the relay at all.

mod frame;
mod meter;
mod passage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use iroh_relay::KeyCache;
use iroh_relay::http::{RELAY_PATH, RELAY_PROBE_PATH};
use iroh_relay::server::clients::Clients;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::seats::Seats;
use crate::Error;
pub(crate) use meter::{GRANT, Meter, Meters};

/// What a relay is configured with.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where it listens, TCP; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it asks for each MiB that it passes on to or from the node that pays.
    pub price: ledger::Amount,
    /// Nodes that it passes packets on for at once, each with a paid session.
    pub nodes_max: usize,
}

/// A relay that works. Clones share it.
#[derive(Clone)]
pub(crate) struct Relay(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    meters: Arc<Meters>,
    /// Those that have a paid session.
    nodes: Seats,
    stop: CancellationToken,
    tasks: TaskTracker,
    clients: Clients,
}

/// What all its connections share.
#[derive(Clone)]
struct Hall {
    meters: Arc<Meters>,
    metrics: Metrics,
    clients: Clients,
    /// Clients that have said who they are.
    seats: Arc<Seats>,
    keys: KeyCache,
    relayed: Arc<iroh_relay::server::Metrics>,
}

/// What it counts.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    bytes: Counter,
    dropped: Counter,
}

/// Who connected, and its place among those that may be connected.
#[derive(Clone)]
struct Visitor {
    from: SocketAddr,
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Relay {
    /// Begins to listen.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn start(config: &RelayConfig, registry: &mut Registry) -> Result<Relay, Error> {
        let failed = |error: std::io::Error| Error::Listen {
            address: config.listen,
            reason: error.to_string(),
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let clients_max = CLIENTS_PER_NODE * config.nodes_max;
        let hall = Hall {
            meters: Arc::default(),
            metrics: Metrics::register(registry),
            clients: Clients::default(),
            seats: Arc::new(Seats::new(clients_max, CONNECTIONS_PER_CLIENT)),
            keys: KeyCache::new(clients_max),
            relayed: Arc::default(),
        };
        let relay = Relay(Arc::new(Shared {
            address,
            meters: Arc::clone(&hall.meters),
            nodes: Seats::new(config.nodes_max, 1),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            clients: hall.clients.clone(),
        }));
        let permits = Arc::new(Semaphore::new(clients_max));
        relay.0.tasks.spawn(relay.clone().accept(listener, hall, permits));
        Ok(relay)
    }

    /// Where it listens, TCP.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.address
    }

    /// The meters of those that pay.
    pub fn meters(&self) -> &Meters {
        &self.0.meters
    }

    /// The seats of those that pay.
    pub fn nodes(&self) -> &Seats {
        &self.0.nodes
    }

    /// Ends all connections.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.clients.shutdown().await;
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn accept(self, listener: TcpListener, hall: Hall, permits: Arc<Semaphore>) {
        let router = Router::new()
            .route(RELAY_PATH, get(passage::enter))
            .route(RELAY_PROBE_PATH, get(passage::probe))
            .with_state(hall);
        loop {
            let connection = tokio::select! {
                connection = admit(&listener, &permits) => connection,
                () = self.0.stop.cancelled() => return,
            };
            let Some((stream, visitor)) = connection else {
                continue;
            };
            let stop = self.0.stop.clone();
            let served = serve(stream, visitor, router.clone());
            self.0.tasks.spawn(async move {
                tokio::select! {
                    () = served => {}
                    () = stop.cancelled() => {}
                }
            });
        }
    }
}

/// The next connection, once there is room for one.
async fn admit(listener: &TcpListener, permits: &Arc<Semaphore>) -> Option<(TcpStream, Visitor)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => {
            let visitor = Visitor {
                from,
                _permit: Arc::new(permit),
            };
            Some((stream, visitor))
        }
        Err(error) => {
            tracing::debug!(%error, "a connection to the relay was not made");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Serves one connection until it asks to be a client, or is closed.
async fn serve(stream: TcpStream, visitor: Visitor, router: Router) {
    // Packets wait for nothing.
    let _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(visitor.clone());
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the relay broke");
    }
}

impl Metrics {
    fn register(registry: &mut Registry) -> Metrics {
        let metrics = Metrics::default();
        for (name, help, counter) in [
            ("relayed_bytes", "Bytes of packets passed on", &metrics.bytes),
            (
                "relayed_dropped",
                "Bytes of packets not passed on, since nobody had paid for them",
                &metrics.dropped,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        metrics
    }
}

/// Connections for each node that pays: itself, and those who speak to it.
const CLIENTS_PER_NODE: usize = 16;
/// Connections of one client: one, and another that takes its place.
const CONNECTIONS_PER_CLIENT: usize = 2;
/// What a request may take to say what it wants.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
/// The largest head; a client's has some 600 bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// A machine without descriptors has some again a moment later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
