//! The listeners and their connections: accept, serve, drain.

mod accept;
pub(crate) mod admission;
mod clock;
mod connection;
mod cork;
mod echo;
mod given;
mod http2;
mod http3;
mod line;
mod listen;
mod lobby;
mod measured;
mod places;
mod qpack;
mod quic;
mod request;
mod rewound;
mod secure;
mod sending;
pub(crate) mod service;
mod signal;
mod staged;
mod stream;
mod talk;
mod tunnel;
mod upgrade;
mod watch;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::Config;
use crate::deny::{DenyError, Denylists};
use crate::journal::Journal;
use crate::labour::Labour;
use crate::metrics::{InFlight, Metrics};
use accept::{Acceptor, House};
use admission::Gate;
use connection::Limited;
use places::Places;
use secure::{Secure, failed};
use service::Service;
use signal::Word;
use workers::Workers;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("{setting}: cannot listen on {address} for {protocol}: {}", advice(.source, setting))]
    Listen {
        /// The setting with the address.
        setting: &'static str,
        /// What was to be spoken there.
        protocol: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing can be encrypted.
    #[error("gateway.tls_listen: encryption cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The threads for connections cannot be started.
    #[error("gateway.workers: cannot start the threads of the gateway: {0}")]
    Workers(#[source] io::Error),
    /// A denylist cannot be used.
    #[error(transparent)]
    Denylist(#[from] DenyError),
    /// The access log cannot be written.
    #[error("gateway.access_log: cannot write to {}: {source}", path.display())]
    AccessLog {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The outer text for a bind failure: those that operators meet get the remedy too.
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

/// A running gateway. Dropping it cuts all its connections; [`Gateway::shutdown`] lets answers in flight end first.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    provider: Option<SocketAddr>,
    secure: Option<SocketAddr>,
    stop: Word,
    cut: Word,
    tasks: TaskTracker,
    drain_timeout: Duration,
    in_flight: InFlight,
    // Last: what runs on them is told first.
    _workers: Workers,
}

impl Gateway {
    /// Listens, and serves what `backend` has until it is shut down. Needs a running tokio runtime with time and I/O.
    ///
    /// # Errors
    /// An address cannot be listened on; the text names it and the setting.
    pub async fn bind(config: Config, backend: Backend, registry: &mut Registry) -> Result<Gateway, Error> {
        let workers = Workers::start(config.workers).map_err(Error::Workers)?;
        let (limits, count) = (Limited::of(&config.limits), workers.handles().len());
        let public = Listeners::bind("gateway.listen", config.listen, count)?;
        let provider = config.provider.listen;
        let provider = provider.map(|listen| Listeners::bind("provider.listen", listen, count));
        let provider = provider.transpose()?;
        let secure = config.tls.as_ref();
        let secure = secure.map(|tls| Secure::bind(tls, &limits, count)).transpose()?;
        let metrics = Arc::new(Metrics::new(registry));
        let gate = Gate::new(&config, open_journal(&config, &metrics)?, Arc::clone(&metrics));
        // A processor that is busy with work takes a moment to turn to something else: half of them never are.
        let labour = Labour::start(count.div_ceil(2), Arc::clone(&gate.guard)).map_err(Error::Workers)?;
        let denylists = Arc::new(Denylists::open(&config.denylists)?);
        let stop = Word::default();
        let service = Service::new(
            &config,
            backend,
            gate,
            labour,
            Arc::clone(&denylists),
            secure.as_ref().map(Secure::upgrade),
            stop.token(),
        );
        let gateway = Gateway {
            address: public.address,
            provider: provider.as_ref().map(|provider| provider.address),
            secure: secure.as_ref().map(|secure| secure.address),
            stop,
            cut: Word::default(),
            tasks: TaskTracker::new(),
            drain_timeout: config.limits.drain_timeout,
            in_flight: metrics.in_flight(),
            _workers: workers,
        };
        let places = || {
            Places::new(
                config.limits.connections_max,
                config.limits.connections_per_prefix_max,
            )
        };
        let house = Arc::new(House {
            limits,
            places: places(),
            dismissals: Arc::new(Semaphore::new(DISMISSALS_MAX)),
            service: service.clone(),
            metrics,
            stop: gateway.stop.clone(),
            cut: gateway.cut.clone(),
            tasks: gateway.tasks.clone(),
        });
        if let Some(provider) = provider {
            // Readers and other nodes take no places from each other.
            let house = House {
                places: places(),
                ..House::clone(&house)
            };
            tracing::info!(address = %provider.address, "the provider face listens");
            gateway.accept(provider, true, Arc::new(house))?;
        }
        if let Some(secure) = secure {
            secure.start(&house, &gateway._workers)?;
        }
        let (forget, stop) = (service.clone(), gateway.stop.token());
        gateway
            .tasks
            .spawn(watch_lists(denylists, move || forget.forget(), stop));
        for _ in 0..config.limits.fills_max {
            gateway.tasks.spawn(service.fill(gateway.stop.token()));
        }
        tracing::info!(address = %public.address, "the gateway listens");
        gateway.accept(public, false, house)?;
        Ok(gateway)
    }

    /// Takes connections on each worker.
    fn accept(&self, listeners: Listeners, is_node: bool, house: Arc<House>) -> Result<(), Error> {
        let acceptor = Acceptor {
            is_node,
            agreement: None,
            house,
        };
        let Listeners {
            setting,
            address,
            sockets,
        } = listeners;
        let started = acceptor.start(sockets, &self._workers);
        started.map_err(failed(setting, "HTTP", address))
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the provider face listens, if it has a listener of its own.
    pub fn provider_addr(&self) -> Option<SocketAddr> {
        self.provider
    }

    /// Where it listens for encrypted connections, with the port that was taken; the same for TCP and UDP.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.secure
    }

    /// The requests that it has in hand.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.clone()
    }

    /// Accepts no more, lets requests in flight end for at most [`Limits::drain_timeout`](crate::Limits::drain_timeout),
    /// then cuts what is left.
    /// Returns when every connection is closed.
    pub async fn shutdown(&self) {
        self.stop.say();
        self.tasks.close();
        if tokio::time::timeout(self.drain_timeout, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("the gateway cuts connections that did not end in time");
            self.cut.say();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.say();
        self.cut.say();
    }
}

/// The listeners of one address.
struct Listeners {
    setting: &'static str,
    /// With the port that was taken.
    address: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
}

impl Listeners {
    /// `count` of them, at the address of a setting.
    fn bind(setting: &'static str, address: SocketAddr, count: usize) -> Result<Self, Error> {
        let unheard = || failed(setting, "HTTP", address);
        let sockets = listen::listeners(address, count).map_err(unheard())?;
        Ok(Self {
            setting,
            address: sockets[0].local_addr().map_err(unheard())?,
            sockets,
        })
    }
}

fn open_journal(config: &Config, metrics: &Metrics) -> Result<Option<Journal>, Error> {
    let Some(log) = &config.access_log else {
        return Ok(None);
    };
    let opened = Journal::open(log, metrics.lost_log_lines.clone());
    opened.map(Some).map_err(|source| Error::AccessLog {
        path: log.path.clone(),
        source,
    })
}

/// Sees that changed denylists hold.
async fn watch_lists(lists: Arc<Denylists>, forget: impl Fn(), stop: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while !lists.is_empty() {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        let of_thread = Arc::clone(&lists);
        match tokio::task::spawn_blocking(move || of_thread.renew()).await {
            Ok(true) => forget(),
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the denylists could not be read again"),
        }
    }
}

/// Refused connections that are waited for at a time: each costs little, and none for long.
const DISMISSALS_MAX: usize = 64;

/// How soon a changed denylist holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);
