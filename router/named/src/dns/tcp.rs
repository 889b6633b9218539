//! Streams: a bounded number of connections, each answering its questions in order (RFC 7766).

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Config;
use super::answer::Responder;
use super::metrics::{Metrics, Transport};
use super::reuse::Client;

/// The pause after a failed accept, such as for lack of file descriptors, which would else fail again at once.
const ERROR_PAUSE: Duration = Duration::from_millis(10);

/// The bounds on connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    connections: usize,
    per_source: usize,
    idle: Duration,
}

impl Limits {
    /// How long a connection may be silent.
    pub fn idle(&self) -> Duration {
        self.idle
    }
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            connections: config.tcp_connections,
            per_source: config.tcp_connections_per_source,
            idle: config.tcp_idle,
        }
    }
}

/// Accepts connections until the stop.
pub async fn serve(
    listener: TcpListener,
    responder: Arc<Responder>,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let open = Arc::new(Open::default());
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, source)) => match open.admit(source.ip(), &limits, responder.metrics()) {
                Some(place) => {
                    let client = Client {
                        address: place.source(),
                        transport: Transport::Tcp,
                    };
                    tasks.spawn(converse(
                        stream,
                        client,
                        responder.clone(),
                        limits.idle,
                        stop.clone(),
                        place,
                    ));
                }
                None => drop(stream),
            },
            Err(error) => {
                tracing::debug!(%error, "accepting a DNS connection failed");
                tokio::time::sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// One connection, from its first question to its last.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    client: Client,
    responder: Arc<Responder>,
    idle: Duration,
    stop: CancellationToken,
    place: Place,
) {
    let _place = place;
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            asked = timeout(idle, read(&mut stream)) => asked,
        };
        let Ok(Ok(question)) = asked else { return };
        let reply = match responder.forward(&question, client) {
            Some(forwarding) => forwarding.reply().await,
            None => {
                let responder = responder.clone();
                let respond = move || responder.respond(&question, client);
                let reply = tokio::task::spawn_blocking(respond).await;
                reply.ok().flatten().map(|reply| reply.bytes)
            }
        };
        // What gets no reply is no DNS; neither is what would follow it.
        let Some(reply) = reply else { return };
        if !matches!(timeout(idle, write(&mut stream, &reply)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Length and message in one write, so that they go in one segment (RFC 7766, section 8).
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, reply: &[u8]) -> io::Result<()> {
    let length = u16::try_from(reply.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(2 + reply.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(reply);
    stream.write_all(&framed).await?;
    stream.flush().await
}

/// The open connections, counted by source address.
#[derive(Debug, Default)]
pub struct Open {
    by_source: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place among the open ones; given back when dropped.
pub struct Place {
    open: Arc<Open>,
    source: IpAddr,
    metrics: Metrics,
}

impl Open {
    /// A place for a connection from `source`, if there is one.
    pub fn admit(self: &Arc<Self>, source: IpAddr, limits: &Limits, metrics: &Metrics) -> Option<Place> {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = by_source.values().sum();
        let of_source = by_source.get(&source).copied().unwrap_or(0);
        if total >= limits.connections || of_source >= limits.per_source {
            metrics.tcp_refused.inc();
            return None;
        }
        by_source.insert(source, of_source + 1);
        metrics.tcp_connections.inc();
        Some(Place {
            open: self.clone(),
            source,
            metrics: metrics.clone(),
        })
    }

    fn leave(&self, source: IpAddr) {
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&source);
            }
        }
    }
}

impl Place {
    /// From where the connection comes.
    pub fn source(&self) -> IpAddr {
        self.source
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.leave(self.source);
        self.metrics.tcp_connections.dec();
    }
}
