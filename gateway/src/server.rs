//! The listener and its connections: accept, serve, drain.

mod connection;
mod service;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Backend;
use crate::config::{Config, Limits};
use crate::metrics::Metrics;
use service::{Client, Service};

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
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
    drain_timeout: Duration,
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
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let metrics = Arc::new(Metrics::new(registry));
        let gateway = Gateway {
            address,
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            tasks: TaskTracker::new(),
            drain_timeout: config.limits.drain_timeout,
        };
        let acceptor = Acceptor {
            listener,
            places: Arc::new(Semaphore::new(config.limits.connections_max)),
            limits: config.limits.clone(),
            service: Service::new(&config, backend, Arc::clone(&metrics)),
            metrics,
            stop: gateway.stop.clone(),
            cut: gateway.cut.clone(),
            tasks: gateway.tasks.clone(),
        };
        gateway.tasks.spawn(acceptor.run());
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
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.drain_timeout, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("the gateway cuts connections that did not end in time");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}

/// The loop that takes connections.
struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    limits: Limits,
    service: Service,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    cut: CancellationToken,
    tasks: TaskTracker,
}

impl Acceptor {
    async fn run(self) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
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
        let served = connection::serve(stream, self.service.to(client), &self.limits, self.stop.clone());
        let (cut, connected) = (self.cut.clone(), self.metrics.connection());
        self.tasks.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = served => {}
            }
            drop((place, connected));
        });
    }

    /// Out of file descriptors, most likely: accepting again at once would only spin.
    async fn pause(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
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
