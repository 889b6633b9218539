//! The listeners and their connections: accept, serve, drain.

pub(crate) mod admission;
mod clock;
mod connection;
mod line;
mod listen;
mod request;
mod rewound;
mod sending;
pub(crate) mod service;
mod signal;
mod tunnel;
mod watch;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::Config;
use crate::deny::{DenyError, Denylists};
use crate::journal::Journal;
use crate::metrics::Metrics;
use admission::Gate;
use connection::Limited;
use service::{Client, Service};
use signal::Word;
use workers::Workers;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{setting}: cannot listen on {address} for HTTP: {}", advice(setting, .source))]
    Listen {
        /// The setting.
        setting: &'static str,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
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
fn advice(setting: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "the port is in use by another program; stop it, or set {setting} to another port (0 takes a free one)"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!(
                "not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or set {setting} to a higher port"
            )
        }
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
    stop: Word,
    cut: Word,
    tasks: TaskTracker,
    drain_timeout: Duration,
    // Last: what runs on them is told first.
    _workers: Workers,
}

impl Gateway {
    /// Listens, and serves what `backend` has until it is shut down. Needs a running tokio runtime with time and I/O.
    ///
    /// # Errors
    /// The address cannot be listened on; the text names it and the setting.
    pub async fn bind(config: Config, backend: Backend, registry: &mut Registry) -> Result<Gateway, Error> {
        let workers = Workers::start(config.workers).map_err(Error::Workers)?;
        let count = workers.handles().len();
        let public = Listeners::bind("gateway.listen", config.listen, count)?;
        let listen = config.provider.listen;
        let provider = listen.map(|listen| Listeners::bind("provider.listen", listen, count));
        let provider = provider.transpose()?;
        let metrics = Arc::new(Metrics::new(registry));
        let gate = Gate::new(&config, open_journal(&config, &metrics)?, Arc::clone(&metrics));
        let denylists = Arc::new(Denylists::open(&config.denylists)?);
        let service = Service::new(
            &config,
            backend,
            gate,
            Arc::clone(&denylists),
            Arc::clone(&metrics),
        );
        let gateway = Gateway {
            address: public.address,
            provider: provider.as_ref().map(|provider| provider.address),
            stop: Word::default(),
            cut: Word::default(),
            tasks: TaskTracker::new(),
            drain_timeout: config.limits.drain_timeout,
            _workers: workers,
        };
        let acceptor = Acceptor {
            is_node: false,
            places: Arc::new(Semaphore::new(config.limits.connections_max)),
            limits: Limited::of(&config.limits),
            service: service.clone(),
            metrics,
            stop: gateway.stop.clone(),
            cut: gateway.cut.clone(),
            tasks: gateway.tasks.clone(),
        };
        if let Some(provider) = provider {
            let acceptor = Acceptor {
                is_node: true,
                // Readers and other nodes take no places from each other.
                places: Arc::new(Semaphore::new(config.limits.connections_max)),
                ..acceptor.clone()
            };
            tracing::info!(address = %provider.address, "the provider face listens");
            gateway.accept(provider, &acceptor)?;
        }
        let (forget, stop) = (service.clone(), gateway.stop.token());
        gateway
            .tasks
            .spawn(watch_lists(denylists, move || forget.forget(), stop));
        for _ in 0..config.limits.fills_max {
            gateway.tasks.spawn(service.fill(gateway.stop.token()));
        }
        tracing::info!(address = %public.address, "the gateway listens");
        gateway.accept(public, &acceptor)?;
        Ok(gateway)
    }

    /// Takes connections on each worker.
    fn accept(&self, listeners: Listeners, acceptor: &Acceptor) -> Result<(), Error> {
        let Listeners {
            setting,
            address,
            sockets,
        } = listeners;
        for (socket, worker) in sockets.into_iter().zip(self._workers.handles()) {
            let here = worker.enter();
            let listener = TcpListener::from_std(socket).map_err(|source| Error::Listen {
                setting,
                address,
                source,
            })?;
            drop(here);
            self.tasks.spawn_on(acceptor.clone().run(listener), worker);
        }
        Ok(())
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where the provider face listens, if it has a listener of its own.
    pub fn provider_addr(&self) -> Option<SocketAddr> {
        self.provider
    }

    /// Accepts no more, lets requests in flight end for at most [`Limits::drain_timeout`], then cuts what is left.
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
        let failed = |source| Error::Listen {
            setting,
            address,
            source,
        };
        let sockets = listen::listeners(address, count).map_err(failed)?;
        Ok(Self {
            setting,
            address: sockets[0].local_addr().map_err(failed)?,
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

/// How soon a changed denylist holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The loop that takes connections; each worker has one.
#[derive(Clone)]
struct Acceptor {
    /// Whether the listener is that of the provider face.
    is_node: bool,
    places: Arc<Semaphore>,
    limits: Limited,
    service: Service,
    metrics: Arc<Metrics>,
    stop: Word,
    cut: Word,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        let stop = self.stop.token();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.take(stream, address),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.pause().await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, address: SocketAddr) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.refuse_connection();
            connection::refuse(&stream);
            return;
        };
        let client = Client {
            address,
            secure: false,
            is_node: self.is_node,
        };
        // Small answers must not wait for the acknowledgement of the last.
        let _ = stream.set_nodelay(true);
        let served = line::serve(stream, self.service.to(client), self.limits, self.stop.clone());
        let (cut, connected) = (self.cut.clone(), self.metrics.connection());
        self.tasks.spawn(async move {
            signal::until(&cut, served).await;
            drop((place, connected));
        });
    }

    /// Out of file descriptors, most likely: accepting again at once would only spin.
    async fn pause(&self) {
        let stop = self.stop.token();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
