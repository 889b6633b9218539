//! One connection: HTTP/1.1 with its limits.

use std::future::Future;
use std::pin::pin;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::service::Served;
use crate::config::Limits;
use crate::pace::Paced;

/// The least that the HTTP server accepts as a buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// Serves requests until the client or `stop` ends the connection; a request in flight is answered first.
pub(super) fn serve(
    stream: TcpStream,
    service: Served,
    limits: &Limits,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    // Small answers must not wait for the acknowledgement of the last.
    let _ = stream.set_nodelay(true);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max.max(BUFFER_BYTES_MIN));
    let paced = Paced::new(stream, limits.stall_timeout);
    async move {
        let mut connection = pin!(http.serve_connection(TokioIo::new(paced), service));
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
}

/// Tells the client of a connection beyond the limit, as far as its socket takes it at once.
pub(super) fn refuse(stream: &TcpStream) {
    let answer = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let _ = stream.try_write(answer.as_bytes());
}
