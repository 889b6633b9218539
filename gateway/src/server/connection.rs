//! One connection of HTTP/1.1 in the hands of the HTTP library: for whatever is not usual.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::service::Served;
use super::tunnel::Tunnel;
use crate::config::Limits;
use crate::pace::Paced;

/// The least that the HTTP server accepts as a buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited {
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// How long a client may take for it.
    pub head_timeout: Duration,
    /// How long it may take nothing of an answer.
    pub stall_timeout: Duration,
}

impl Limited {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            head_bytes_max: limits.head_bytes_max.max(BUFFER_BYTES_MIN),
            head_timeout: limits.head_timeout,
            stall_timeout: limits.stall_timeout,
        }
    }
}

/// Serves requests until the client or `stop` ends the connection; a request in flight is answered first.
pub(super) fn by_library<S>(
    stream: S,
    service: Served,
    limits: Limited,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max);
    let paced = Paced::new(stream, limits.stall_timeout);
    async move {
        let (tunnel, outer) = (Tunnel::default(), TokioIo::new(paced));
        run(&http, outer, service.clone().offering(tunnel.clone()), &stop).await;
        // A tunnel inside of a tunnel would be one more layer around the connection each time.
        if let Some(inner) = tunnel.opened().await {
            run(&http, inner, service, &stop).await;
        }
    }
}

async fn run<S>(http: &http1::Builder, stream: S, service: Served, stop: &CancellationToken)
where
    S: Read + Write + Send + Unpin + 'static,
{
    let mut connection = pin!(http.serve_connection(stream, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Tells the client of a connection beyond the limit, as far as its socket takes it at once.
pub(super) fn refuse(stream: &TcpStream) {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let _ = stream.try_write(answer.as_bytes());
}
