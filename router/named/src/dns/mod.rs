//! An authoritative DNS server over the ledger's names, on UDP and TCP.
//!
//! It serves the chain's TLD and any alias zones, signed, and nothing else: it is no resolver, so foreign names are refused.
//! [`Responder`] is the protocol, from packet to packet, without sockets; [`DnsServer`] is the sockets around it.
//!
//! * No packet stops it: what cannot be read gets FORMERR, or nothing if it has no header or is a reply itself.
//! * Usual questions are answered from memory by bytes that were composed before (`front`), without a lock and without a
//!   disk: one socket and one thread for each core. A change of the ledger is seen with the next question.
//! * Reading the ledger's state may touch a disk, so replies that are not in memory are composed by other threads.
//! * Memory is bounded: one buffer for each thread, so many bytes of answers, so many packets that wait to be composed, a
//!   bounded number of TCP connections with a bounded number of questions each.

mod answer;
mod datagrams;
mod dnssec;
mod forward;
mod front;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod listen;
mod message;
mod metrics;
mod own;
mod reuse;
mod subnet;
mod tcp;
mod tls;
mod udp;
mod zone;

pub use answer::Responder;
pub use dnssec::{Anchor, KeyError, SigningKey, ZoneKey};
pub use forward::{Forward, Forwarding};
pub use front::RateLimit;
pub use metrics::Transport;
pub use own::{Answer, Challenges, Directory, Near, Nearest, Service, Services};
pub use reuse::{Client, Composed, Reuse, Validity};
pub use subnet::Network;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use prometheus_client::registry::Registry;
use rustls::server::ResolvesServerCert;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::front::Front;
use self::listen::Sockets;
use self::udp::{Composing, Threads};
use crate::Error;
use crate::dap::{ABSENT_TTL_SECONDS, Names, Tlds};

/// The settings of the DNS server, section `dns` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen, over UDP and TCP alike. Port 0 takes one that is free for both.
    pub listen: SocketAddr,
    /// The name servers of our zones, at least one; the first is the primary in the SOA.
    pub name_servers: Vec<NameServer>,
    /// Where readers are sent for a name with content and without addresses of its own.
    pub edges: Vec<IpAddr>,
    /// Domains of the public DNS under which the chain's names are served too: with `ddn.example`,
    /// `alice.ddn.example` is `alice.ddn`.
    pub alias_zones: Vec<String>,
    /// Hosts for which certificates are obtained, without `*.`. The challenges of those outside of our zones are answered
    /// at `_acme-challenge` below them, if that name is delegated to us.
    pub challenge_hosts: Vec<String>,
    /// The gateway's own hosts. Those in our zones lead to the edges, and so do the hosts of sites below them
    /// (`CID.ipfs.HOST`, `NAME.ipns.HOST`).
    pub gateway_hosts: Vec<String>,
    /// What the zones are signed with: one key for the TLD and each alias zone, or none at all.
    pub keys: Vec<ZoneKey>,
    /// Signatures that are kept, so that the same records are not signed for each question; each takes some 300 bytes.
    pub signatures_kept: usize,
    /// How long an answer, positive or negative, may be kept if the owner says nothing else. Seconds, at most a
    /// day.
    pub ttl: u32,
    /// The most TCP connections open at once. Each holds at most two messages of 64 KiB.
    pub tcp_connections: usize,
    /// The most of them from one address, so that nobody takes all.
    pub tcp_connections_per_source: usize,
    /// Who answers for names that are not ours, and to whom.
    pub forward: Forward,
    /// The most questions of one TCP connection that are composed at the same time.
    pub tcp_in_flight: usize,
    /// Threads for UDP, each with a socket; 0: one for each core.
    pub threads: usize,
    /// Threads that compose replies which are not in memory, over UDP.
    pub compose_threads: usize,
    /// The most packets that wait for them; more are dropped.
    pub compose_waiting: usize,
    /// Memory for answers. Bytes.
    pub memory_bytes: usize,
    /// How many answers each network of clients gets.
    pub rate: RateLimit,
    /// A TCP connection is closed when no whole question came, or no reply went, for this long (RFC 7766, section
    /// 6.2.3, asks for a few seconds).
    pub tcp_idle: Duration,
}

/// A name server of our zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its host name. Inside one of our zones, it takes precedence over a ledger name.
    pub host: String,
    /// Its addresses, which are served if the host name lies in one of our zones.
    pub addresses: Vec<IpAddr>,
}

impl Config {
    /// The zones that want a key, in lower case without a final dot: those of the TLDs and the alias zones.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is not a zone's name.
    pub fn signed_zones(&self, tlds: &Tlds) -> Result<Vec<String>, Error> {
        zone::signed(self, tlds)
    }
}

impl Default for Config {
    /// A node for its own machine: everything on loopback.
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            listen: SocketAddr::new(loopback, 5300),
            name_servers: vec![NameServer {
                host: "localhost".into(),
                addresses: vec![loopback],
            }],
            edges: vec![loopback],
            alias_zones: Vec::new(),
            challenge_hosts: Vec::new(),
            gateway_hosts: Vec::new(),
            keys: Vec::new(),
            signatures_kept: 65_536,
            ttl: ABSENT_TTL_SECONDS,
            tcp_connections: 256,
            tcp_connections_per_source: 32,
            forward: Forward::default(),
            tcp_in_flight: 32,
            threads: 0,
            compose_threads: 8,
            compose_waiting: 1024,
            memory_bytes: 64 << 20,
            rate: RateLimit::default(),
            tcp_idle: Duration::from_secs(10),
        }
    }
}

/// A running server. Dropping it stops it at once; [`DnsServer::shutdown`] lets replies in hand go out.
pub struct DnsServer {
    address: SocketAddr,
    front: Arc<Front>,
    threads: Mutex<Option<Threads>>,
    limits: tcp::Limits,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl DnsServer {
    /// Binds UDP and TCP on one port and serves until it is shut down. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Setting`] for a bad host or zone name, [`Error::Listen`] if the address cannot be had.
    pub async fn bind(config: Config, names: Arc<dyn Names>, registry: &mut Registry) -> Result<Self, Error> {
        let responder = Arc::new(Responder::new(&config, Arc::clone(&names), registry)?);
        let front = Arc::new(Front::new(responder, names, config.memory_bytes, &config.rate));
        let cores = || available_parallelism().map_or(1, usize::from);
        let threads = NonZeroUsize::new(config.threads).map_or_else(cores, NonZeroUsize::get);
        let Sockets { udp, tcp } = listen::bind(config.listen, threads).await?;
        let address = tcp
            .local_addr()
            .map_err(|source| listen::failed(config.listen, "TCP", source))?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let composing = Composing {
            threads: config.compose_threads.max(1),
            waiting_max: config.compose_waiting.max(1),
        };
        let threads = Threads::start(udp, &front, composing)?;
        tasks.spawn(rotate(Arc::clone(&front), stop.clone()));
        let limits = tcp::Limits::from(&config);
        tasks.spawn(tcp::serve(
            tcp,
            Arc::clone(&front),
            limits,
            tasks.clone(),
            stop.clone(),
        ));
        tasks.close();
        tracing::info!(%address, "DNS server is listening");
        Ok(Self {
            address,
            front,
            threads: Mutex::new(Some(threads)),
            limits,
            stop,
            tasks,
        })
    }

    /// Serves over TLS too (DoT, RFC 7858), within the bounds of TCP, until the shutdown. Returns the address in use.
    ///
    /// # Errors
    /// [`Error::Listen`] if the address cannot be had.
    pub async fn serve_tls(
        &self,
        listen: SocketAddr,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> Result<SocketAddr, Error> {
        let failed = |source| listen::failed(listen, "TLS", source);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let secure = tls::Secure::new(
            listener,
            certificates,
            Arc::clone(&self.front),
            self.limits,
            self.tasks.clone(),
            self.stop.clone(),
        );
        self.tasks.spawn(secure.serve());
        tracing::info!(%address, "DNS server is listening for TLS");
        Ok(address)
    }

    /// The answers to challenges of certificate authorities, to set some.
    #[must_use]
    pub fn challenges(&self) -> Challenges {
        self.front.responder().zones().challenges().clone()
    }

    /// What validators need to believe the signed zones.
    #[must_use]
    pub fn anchors(&self) -> Vec<Anchor> {
        self.front.responder().zones().anchors()
    }

    /// Where to say what is served over TLS, for HTTPS records, and which edges are near.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.front.responder().directory()
    }

    /// The address in use, the same for UDP and TCP.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What answers the packets, for those who get them in another way: the gateway over HTTPS.
    #[must_use]
    pub fn responder(&self) -> Arc<Responder> {
        Arc::clone(self.front.responder())
    }

    /// Stops listening and waits until the replies in hand have gone.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut threads) = threads {
            threads.stop();
            let _ = tokio::task::spawn_blocking(move || threads.join()).await;
        }
        self.tasks.wait().await;
    }
}

/// Gives cookies a new secret each day.
async fn rotate(front: Arc<Front>, stop: CancellationToken) {
    while stop.run_until_cancelled(sleep(front::SECRET_AGE)).await.is_some() {
        front.rotate_secret();
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
