//! Taking connections: the loop of one listener, and what all listeners of a gateway share.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ProtocolVersion, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::connection::{self, Limited, Protocol, Refused};
use super::lobby;
use super::measured::Measured;
use super::places::{Place, Places};
use super::service::{Client, Served, Service};
use super::signal::{self, Word};
use super::workers::Workers;
use crate::metrics::{Connected, Metrics};

/// When accepting is tried again after it failed, which it does at once for as long as there are no descriptors.
pub(super) const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What all listeners of a gateway share.
#[derive(Clone)]
pub(super) struct House {
    pub limits: Limited,
    pub places: Places,
    /// Places to wait until who was refused has heard it.
    pub dismissals: Arc<Semaphore>,
    pub service: Service,
    pub metrics: Arc<Metrics>,
    /// Begins the end: nothing new is taken, what is in hand is finished.
    pub stop: Word,
    /// The end: what is left is dropped.
    pub cut: Word,
    pub tasks: TaskTracker,
}

impl House {
    /// What a new connection of `client` needs to be served.
    pub(super) fn admit(&self, client: Client) -> Result<(Served, Place), Refused> {
        let served = self.service.to(client);
        match served.barred() {
            Some(time) => Err(Refused::Barred(time)),
            None => match self.places.try_take(client.address.ip()) {
                Some(place) => Ok((served, place)),
                None => Err(Refused::Busy),
            },
        }
    }

    /// Refuses a connection. So many of those are waited for at a time; of more, the answer may be lost.
    pub(super) fn refuse(&self, stream: std::net::TcpStream, why: Refused) {
        self.metrics.refuse_connection();
        connection::refuse(&stream, why);
        let Ok(waiting) = Arc::clone(&self.dismissals).try_acquire_owned() else {
            return;
        };
        let (stop, cut) = (self.stop.clone(), self.cut.clone());
        self.tasks.spawn(async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                signal::until(&cut, connection::dismiss(stream, stop)).await;
            }
            drop(waiting);
        });
    }

    /// What a connection holds for as long as it is there.
    pub(super) fn stay(&self, place: Place) -> Stay {
        Stay {
            _place: place,
            _connected: self.metrics.connection(),
        }
    }

    /// Runs a connection to its end, or until it is cut.
    pub(super) fn host(&self, place: Place, connection: impl Future<Output = ()> + Send + 'static) {
        let stay = self.stay(place);
        self.cuttable(async move {
            connection.await;
            drop(stay);
        });
    }

    /// Runs a connection that holds its stay.
    pub(super) fn cuttable(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            // Each future that holds it by value would have room for it twice, for as long as it is idle.
            signal::until(&cut, Box::pin(connection)).await;
        });
    }
}

/// What a connection holds for as long as it is there.
pub(super) struct Stay {
    _place: Place,
    _connected: Connected,
}

/// The loop that takes connections of one listener; each worker has one.
#[derive(Clone)]
pub(super) struct Acceptor {
    /// Whether the listener is that of the provider face.
    pub is_node: bool,
    /// What encrypted connections agree on; nothing for plain ones.
    pub agreement: Option<Arc<ServerConfig>>,
    pub house: Arc<House>,
}

impl Acceptor {
    /// Takes connections until the house stops, with one of `listeners` on each of `workers`.
    pub(super) fn start(&self, listeners: Vec<std::net::TcpListener>, workers: &Workers) -> io::Result<()> {
        // Memory answers readers only, and what is encrypted has its own state.
        let rests = self.agreement.is_none() && !self.is_node;
        for (listener, worker) in listeners.into_iter().zip(workers.handles()) {
            if rests {
                lobby::open(listener, &self.house, worker)?;
                continue;
            }
            let here = worker.enter();
            let listener = TcpListener::from_std(listener)?;
            drop(here);
            self.house.tasks.spawn_on(self.clone().run(listener), worker);
        }
        Ok(())
    }

    async fn run(self, listener: TcpListener) {
        let stop = self.house.stop.token();
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
        let (house, agreement) = (Arc::clone(&self.house), self.agreement.clone());
        let client = Client {
            address,
            secure: agreement.is_some(),
            is_node: self.is_node,
        };
        let (served, place) = match house.admit(client) {
            Ok(admitted) => admitted,
            Err(why) => return stream.into_std().map_or((), |stream| house.refuse(stream, why)),
        };
        // Small answers must not wait for the acknowledgement of the last.
        let _ = stream.set_nodelay(true);
        let stream = Measured::new(stream, client, &house.service);
        self.house.host(place, async move {
            match agreement {
                None => plain(stream, served, &house).await,
                // Much larger than a plain one: not in its place.
                Some(agreement) => Box::pin(encrypted(stream, served, agreement, &house)).await,
            }
        });
    }

    /// Out of file descriptors, most likely: accepting again at once would only spin.
    async fn pause(&self) {
        let stop = self.house.stop.token();
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(ACCEPT_AGAIN) => {}
        }
    }
}

async fn plain(stream: Measured, served: Served, house: &House) {
    connection::serve(stream, Protocol::Http1, served, house.limits, house.stop.clone()).await;
}

async fn encrypted(stream: Measured, served: Served, agreement: Arc<ServerConfig>, house: &House) {
    // What is moved from one future into the next has room in both, for as long as the connection is idle.
    let handshake = Box::pin(TlsAcceptor::from(agreement).accept(stream));
    let stop = house.stop.token();
    let stream = tokio::select! {
        () = stop.cancelled() => return,
        agreed = timeout(house.limits.head_timeout, handshake) => match agreed {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => {
                house.metrics.failed_handshake();
                tracing::debug!(client = %served.client().address, %error, "a TLS handshake failed");
                return;
            }
            Err(_) => {
                house.metrics.failed_handshake();
                return;
            }
        },
    };
    let (_, session) = stream.get_ref();
    house.metrics.handshake(match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        _ => "1.2",
    });
    let protocol = match session.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    connection::serve(stream, protocol, served, house.limits, house.stop.clone()).await;
}

pub(super) fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
