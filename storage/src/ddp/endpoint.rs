//! The QUIC endpoint of a node, shared by both halves: its own sockets, no relays but those of this network, no resolvers or port mappers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iroh::dns::{DnsResolver, FallbackMode};
use iroh::endpoint::{
    Connection, Incoming, QuicTransportConfig, ServerConfig, VarInt, WeakConnectionHandle, presets,
};
use iroh::{
    EndpointAddr, EndpointId, NetReportConfig, RelayConfig, RelayMap, RelayMode, RelayUrl, Watcher as _,
};
use ledger::PublicKey;
use noq_proto::congestion::{Bbr3Config, ControllerFactory, CubicConfig};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{Instant, sleep_until};

use super::wire::ALPN;
use super::{Config, Congestion, Provider};
use crate::Error;

/// The endpoint. Clones share it.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Shared>);

struct Shared {
    inner: iroh::Endpoint,
    /// How those are served who come from far away, if otherwise than others.
    far: Option<Arc<ServerConfig>>,
    /// One connection for each peer that is or was dialled; a peer's lock is held while it is dialled.
    dialled: Mutex<HashMap<PublicKey, Arc<AsyncMutex<Option<Dialled>>>>>,
}

/// A connection that was dialled.
struct Dialled {
    connection: WeakConnectionHandle,
    /// When it was asked for last; what holds it open meanwhile looks there.
    asked: Arc<Mutex<Instant>>,
}

impl Endpoint {
    pub async fn bind(config: &Config) -> Result<Endpoint, Error> {
        let failed = |reason: String| Error::Listen {
            address: config.listen,
            reason,
        };
        let builder = iroh::Endpoint::builder(presets::Minimal)
            .secret_key(iroh::SecretKey::from_bytes(&config.key.seed()))
            .alpns(vec![ALPN.to_vec()])
            .relay_mode(RelayMode::Custom(RelayMap::empty()))
            .net_report_config(net_report())
            .dns_resolver(dns_resolver())
            .transport_config(transport(config, config.congestion))
            .clear_ip_transports()
            .bind_addr(config.listen)
            .map_err(|error| failed(error.to_string()))?;
        let bound = builder.bind().await;
        let inner = bound.map_err(|error| failed(chain_of(&error)))?;
        let far = (config.congestion == Congestion::Auto).then(|| {
            let server = inner.create_server_config_builder(vec![ALPN.to_vec()]);
            let transport = transport(config, Congestion::Bbr3);
            Arc::new(server.set_transport_config(transport).build())
        });
        Ok(Endpoint(Arc::new(Shared {
            inner,
            far,
            dialled: Mutex::default(),
        })))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.inner.bound_sockets().into_iter().next()
    }

    /// A connection to this provider: the one that is there, or a new one. It stays for [`LINGER`] after the call, and as
    /// long as somebody holds it.
    ///
    /// # Errors
    /// One line: why it cannot be reached.
    pub async fn connect(&self, provider: &Provider) -> Result<Connection, String> {
        let slot = self.slot(&provider.node);
        let mut slot = slot.lock().await;
        let known = slot.as_ref().and_then(Dialled::open);
        if let (Some(known), Some(true)) = (&known, slot.as_ref().map(Dialled::is_held)) {
            return Ok(known.clone());
        }
        let connection = match known {
            Some(connection) => connection,
            None => self.dial(provider).await?,
        };
        *slot = Some(Dialled::hold(&connection));
        Ok(connection)
    }

    /// The next connection that somebody opens; `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Incoming> {
        self.0.inner.accept().await
    }

    /// Lets somebody in, who comes from far away or not.
    ///
    /// # Errors
    /// If the connection is not made.
    pub async fn admit(&self, incoming: Incoming, is_far: bool) -> Result<Connection, String> {
        let accepting = match self.0.far.as_ref().filter(|_| is_far) {
            Some(far) => incoming.accept_with(Arc::clone(far)),
            None => incoming.accept(),
        };
        let connection = accepting.map_err(|error| chain_of(&error))?.await;
        connection.map_err(|error| chain_of(&error))
    }

    /// From now on others reach this node through this relay, which sees its packets come from `seen`.
    ///
    /// # Errors
    /// If there is no such address.
    pub async fn settle(&self, relay: SocketAddr, seen: Option<SocketAddr>) -> Result<(), String> {
        let url = relay_url(relay)?;
        let config = RelayConfig::new(url.clone(), None);
        self.0.inner.insert_relay(url, Arc::new(config)).await;
        if let Some(seen) = seen {
            self.0.inner.add_external_addr(seen).await;
        }
        Ok(())
    }

    /// From now on nobody reaches this node through this relay.
    pub async fn unsettle(&self, relay: SocketAddr, seen: Option<SocketAddr>) {
        if let Ok(url) = relay_url(relay) {
            self.0.inner.remove_relay(&url).await;
        }
        if let Some(seen) = seen {
            self.0.inner.remove_external_addr(&seen).await;
        }
    }

    /// Waits until this relay passes packets on to this node, or does so no more.
    pub async fn until_settled(&self, relay: SocketAddr, is_settled: bool) {
        let url = relay_url(relay).ok();
        let mut watcher = self.0.inner.home_relay_status();
        loop {
            let homes = watcher.get();
            let is_there = homes
                .iter()
                .any(|home| Some(home.url()) == url.as_ref() && home.is_connected());
            if is_there == is_settled || watcher.updated().await.is_err() {
                return;
            }
        }
    }

    /// Bytes of packets that went and came through relays, of all connections ever.
    pub fn relayed(&self) -> u64 {
        let socket = &self.0.inner.metrics().socket;
        socket.send_relay.get() + socket.recv_data_relay.get()
    }

    /// Closes all connections, and returns when the other sides were told, or after some seconds.
    pub async fn close(&self) {
        self.0.inner.close().await;
    }

    fn slot(&self, node: &PublicKey) -> Arc<AsyncMutex<Option<Dialled>>> {
        let mut dialled = lock(&self.0.dialled);
        if dialled.len() >= DIALLED_MAX {
            // Nobody dials: at most the weak handle of a connection that lingers is forgotten.
            dialled.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(dialled.entry(*node).or_default())
    }

    async fn dial(&self, provider: &Provider) -> Result<Connection, String> {
        let id = EndpointId::from_bytes(provider.node.as_bytes()).map_err(|error| error.to_string())?;
        let addresses = provider.addresses.iter().take(ADDRESSES_MAX);
        let address = addresses.fold(EndpointAddr::new(id), |address, ip| address.with_ip_addr(*ip));
        let address = match provider.relay {
            Some(relay) => address.with_relay_url(relay_url(relay)?),
            None => address,
        };
        let connection = self.0.inner.connect(address, ALPN).await;
        connection.map_err(|error| chain_of(&error))
    }
}

impl Dialled {
    fn hold(connection: &Connection) -> Dialled {
        let asked = Arc::new(Mutex::new(Instant::now()));
        tokio::spawn(linger(connection.clone(), Arc::clone(&asked)));
        Dialled {
            connection: connection.weak_handle(),
            asked,
        }
    }

    /// The connection, if it is open.
    fn open(&self) -> Option<Connection> {
        let connection = self.connection.upgrade()?;
        connection.close_reason().is_none().then_some(connection)
    }

    /// Whether it is still held; then it is from now on for as long as after the first time.
    fn is_held(&self) -> bool {
        let mut asked = lock(&self.asked);
        let is_held = asked.elapsed() < LINGER;
        if is_held {
            *asked = Instant::now();
        }
        is_held
    }
}

/// Holds a connection until nobody has asked for it for so long.
async fn linger(connection: Connection, asked: Arc<Mutex<Instant>>) {
    loop {
        let until = *lock(&asked) + LINGER;
        if Instant::now() >= until {
            return drop(connection);
        }
        sleep_until(until).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The reasons of an error, outermost first.
fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Addresses are given as numbers. What still asks for a name must not ask strangers for it.
fn dns_resolver() -> DnsResolver {
    DnsResolver::builder()
        .with_system_defaults()
        .with_fallback_mode(FallbackMode::Never)
        .build()
}

/// Relays are asked how far they are, since the endpoint settles only where it was answered; and nothing else.
fn net_report() -> NetReportConfig {
    let mut config = NetReportConfig::minimal();
    config.https_probes = true;
    config
}

/// Packets are encrypted from end to end, and who they are for is no more than addresses say: so no TLS.
fn relay_url(relay: SocketAddr) -> Result<RelayUrl, String> {
    let url = format!("http://{relay}").parse();
    url.map_err(|error: iroh::RelayUrlParseError| error.to_string())
}

/// Streams have the default window of 1.25 MB: with more, a burst of loss ends the connection.
fn transport(config: &Config, kind: Congestion) -> QuicTransportConfig {
    // Twice as many as are served, so that a refusal is told.
    let streams = u32::try_from(2 * config.sessions_per_peer).unwrap_or(u32::MAX);
    QuicTransportConfig::builder()
        .max_concurrent_bidi_streams(VarInt::from_u32(streams))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(RECEIVE_BYTES_MAX))
        .send_window(SEND_BYTES_MAX)
        .datagram_receive_buffer_size(Some(DATAGRAM_BYTES_MAX))
        .congestion_controller_factory(congestion(kind))
        .build()
}

fn congestion(kind: Congestion) -> Arc<dyn ControllerFactory + Send + Sync + 'static> {
    match kind {
        Congestion::Auto | Congestion::Cubic => {
            let mut config = CubicConfig::default();
            config.initial_window(FIRST_WINDOW_BYTES);
            Arc::new(config)
        }
        Congestion::Bbr3 => {
            let mut config = Bbr3Config::default();
            config.initial_window(FIRST_WINDOW_BYTES);
            Arc::new(config)
        }
    }
}

/// How long a connection that nobody holds stays open for the next.
const LINGER: Duration = Duration::from_secs(60);
/// Peers whose connections are remembered.
const DIALLED_MAX: usize = 1024;
/// Addresses of a provider that are tried; an endpoint record has at most 8.
const ADDRESSES_MAX: usize = 8;
/// What a connection may hold unread, over all its streams, in bytes.
const RECEIVE_BYTES_MAX: u32 = 64 << 20;
/// What a connection may hold unacknowledged, in bytes: the windows of as many streams as a fetch opens.
const SEND_BYTES_MAX: u64 = 16 << 20;
/// What leaves before anything is acknowledged: a small page comes in one way there and back (RFC 6928 has
/// 14,600 bytes). Chosen, not measured.
const FIRST_WINDOW_BYTES: u64 = 32 * 1200;
/// What a connection may hold of datagrams, which nobody reads: they ask for a sign of life.
const DATAGRAM_BYTES_MAX: usize = 4 << 10;
