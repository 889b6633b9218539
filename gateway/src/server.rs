//! The listeners and their connections: accept, serve, drain.

mod clock;
mod connection;
mod line;
mod listen;
mod request;
mod rewound;
mod sending;
mod service;
mod signal;
mod tunnel;
mod watch;
mod workers;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::Config;
use crate::metrics::Metrics;
use connection::Limited;
use service::{Client, Service};
use signal::Word;
use workers::Workers;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("gateway.listen: cannot listen on {address} for HTTP: {}", advice(.source))]
    Listen {
        /// The address of the setting `gateway.listen`.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The threads for connections cannot be started.
    #[error("gateway.workers: cannot start the threads of the gateway: {0}")]
    Workers(#[source] io::Error),
}

/// The outer text for a bind failure: those that operators meet get the remedy too.
fn advice(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program; stop it, or set gateway.listen to another port (0 takes a free one)".into()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or set gateway.listen to a higher port".into()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; set gateway.listen to one of its own".into()
        }
        _ => error.to_string(),
    }
}

/// A running gateway. Dropping it cuts all its connections; [`Gateway::shutdown`] lets answers in flight end first.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
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
        let failed = |source| Error::Listen {
            address: config.listen,
            source,
        };
        let workers = Workers::start(config.workers).map_err(Error::Workers)?;
        let listeners = listen::listeners(config.listen, workers.handles().len()).map_err(failed)?;
        let address = listeners[0].local_addr().map_err(failed)?;
        let metrics = Arc::new(Metrics::new(registry));
        let gateway = Gateway {
            address,
            stop: Word::default(),
            cut: Word::default(),
            tasks: TaskTracker::new(),
            drain_timeout: config.limits.drain_timeout,
            _workers: workers,
        };
        let acceptor = Acceptor {
            places: Arc::new(Semaphore::new(config.limits.connections_max)),
            limits: Limited::of(&config.limits),
            service: Service::new(&config, backend, Arc::clone(&metrics)),
            metrics,
            stop: gateway.stop.clone(),
            cut: gateway.cut.clone(),
            tasks: gateway.tasks.clone(),
        };
        for (listener, worker) in listeners.into_iter().zip(gateway._workers.handles()) {
            let here = worker.enter();
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            drop(here);
            gateway.tasks.spawn_on(acceptor.clone().run(listener), worker);
        }
        tracing::info!(%address, "the gateway listens");
        Ok(gateway)
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
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

/// The loop that takes connections; each worker has one.
#[derive(Clone)]
struct Acceptor {
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
