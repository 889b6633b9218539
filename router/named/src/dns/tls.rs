//! Questions over TLS (RFC 7858): the same streams as over TCP, inside a channel that nobody else reads.
//!
//! The certificates are those of the gateway, which may come while the server runs; here they are whatever resolves a
//! name to one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::ResolvesServerCert;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::front::Front;
use super::metrics::Transport;
use super::reuse::Client;
use super::tcp::{self, Limits, Open, Place};

/// How the protocol is called in ALPN (RFC 7858, registered with IANA).
const PROTOCOL: &[u8] = b"dot";

/// The pause after a failed accept, such as for lack of file descriptors, which would else fail again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// What an encrypted listener needs.
pub struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    front: Arc<Front>,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Secure {
    /// Ready to serve.
    pub fn new(
        listener: TcpListener,
        certificates: Arc<dyn ResolvesServerCert>,
        front: Arc<Front>,
        limits: Limits,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            listener,
            acceptor: TlsAcceptor::from(Arc::new(configuration(certificates))),
            front,
            limits,
            tasks,
            stop,
        }
    }

    /// Accepts connections until the stop.
    pub async fn serve(self) {
        let open = Arc::new(Open::default());
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, source)) => self.take(&open, stream, source),
                Err(error) => {
                    tracing::debug!(%error, "accepting a DNS connection over TLS failed");
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
        }
    }

    fn take(&self, open: &Arc<Open>, stream: TcpStream, source: SocketAddr) {
        let metrics = self.front.responder().metrics();
        if let Some(place) = open.admit(source.ip(), &self.limits, metrics) {
            let (acceptor, front) = (self.acceptor.clone(), Arc::clone(&self.front));
            let (limits, stop) = (self.limits, self.stop.clone());
            self.tasks.spawn(async move {
                converse(stream, &acceptor, &front, &limits, &stop, &place).await;
                drop(place);
            });
        }
    }
}

/// One connection: the handshake within the time of a question, then questions.
async fn converse(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    front: &Arc<Front>,
    limits: &Limits,
    stop: &CancellationToken,
    place: &Place,
) {
    // Replies go as soon as they are there; a failure is none.
    let _ = stream.set_nodelay(true);
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        shaken = timeout(limits.idle(), acceptor.accept(stream)) => shaken,
    };
    let Ok(Ok(stream)) = shaken else { return };
    let client = Client {
        address: place.source(),
        transport: Transport::Tls,
    };
    tcp::converse(stream, front, client, limits, stop).await;
}

/// TLS 1.2 and 1.3 (RFC 8310); without early data, which could be played back.
fn configuration(certificates: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let versions = builder.with_safe_default_protocol_versions();
    let builder = versions.expect("ring has suites for the default versions");
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config
}
