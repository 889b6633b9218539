//! One connection of bytes, encrypted or not: which HTTP it speaks, and its limits. Usual requests of HTTP/1.1 are for
//! `line`, HTTP/2 for `http2`; what is left of HTTP/1 is in the hands of the HTTP library here.

use std::future::Future;
use std::io::{self, Write as _};
use std::pin::pin;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::http2;
use super::line::{self, Began};
use super::rewound::Rewound;
use super::service::Served;
use super::signal::Word;
use super::staged::Staged;
use super::tunnel::Tunnel;
use crate::config::Limits;
use crate::pace::Paced;

/// The least that the HTTP server accepts as a buffer.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// What the client of an HTTP/2 connection says first (RFC 9113, section 3.4). No request of HTTP/1 begins so.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1, or HTTP/2 with a client that says so at once.
    Http1,
    /// HTTP/2, as was agreed.
    Http2,
}

/// The limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limited {
    /// Bytes of a request's head.
    pub head_bytes_max: usize,
    /// How long a client may take for it.
    pub head_timeout: Duration,
    /// How long it may take nothing of an answer.
    pub stall_timeout: Duration,
    /// Requests at once, where there can be several.
    pub requests_max: usize,
    /// How long an answer may take in all.
    pub request_timeout: Duration,
}

impl Limited {
    pub(super) fn of(limits: &Limits) -> Self {
        Self {
            head_bytes_max: limits.head_bytes_max.max(BUFFER_BYTES_MIN),
            head_timeout: limits.head_timeout,
            stall_timeout: limits.stall_timeout,
            requests_max: limits.connection_requests_max,
            request_timeout: limits.request_timeout,
        }
    }
}

/// Serves requests until the client ends the connection, or `stop` is said; those in flight are answered first. Dropping
/// the future cuts the connection.
pub(super) async fn serve<S>(stream: S, protocol: Protocol, served: Served, limits: Limited, stop: Word)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    match protocol {
        Protocol::Http1 => {
            line::serve(stream, served, limits, stop, Began::default(), false).await;
        }
        Protocol::Http2 => {
            let paced = Paced::new(stream, limits.stall_timeout);
            // Much larger than a line: not in its place.
            Box::pin(http2::serve(paced, served, limits, stop.token())).await;
        }
    }
}

/// Serves a connection that began with `read`, which is not usual for HTTP/1.
pub(super) async fn unusual<S>(
    mut read: Vec<u8>,
    mut stream: Staged<S>,
    served: Served,
    limits: Limited,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let told = tokio::select! {
        () = stop.cancelled() => return,
        told = timeout(limits.head_timeout, sniff(&mut read, &mut stream)) => told,
    };
    // It said nothing in time, or has gone.
    let Ok(Ok(protocol)) = told else {
        return;
    };
    match protocol {
        Protocol::Http1 => by_library(Rewound::new(read, stream), served, limits, stop).await,
        Protocol::Http2 => {
            let stream = Rewound::new(read, stream.into_inner());
            let paced = Paced::new(stream, limits.stall_timeout);
            http2::serve(paced, served, limits, stop).await;
        }
    }
}

/// Reads no more than tells the two apart, to the end of `read`.
async fn sniff<S: AsyncRead + Unpin>(read: &mut Vec<u8>, stream: &mut S) -> io::Result<Protocol> {
    while read.len() < PREFACE.len() && PREFACE.starts_with(read) {
        let mut rest = [0; PREFACE.len()];
        match stream.read(&mut rest[read.len()..]).await? {
            0 => break,
            length => read.extend_from_slice(&rest[read.len()..][..length]),
        }
    }
    Ok(match read.starts_with(PREFACE) {
        true => Protocol::Http2,
        false => Protocol::Http1,
    })
}

/// Serves requests until the client or `stop` ends the connection; a request in flight is answered first.
fn by_library<S>(
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
    let client = service.client().address;
    let mut connection = pin!(http.serve_connection(stream, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%client, %error, "an HTTP/1 connection broke");
    }
}

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There are too many.
    Busy,
    /// Its client broke the protocol too often, and may come back after this time.
    Barred(Duration),
}

/// Tells the client of a plain connection, as far as its socket takes it at once.
pub(super) fn refuse(mut stream: &std::net::TcpStream, why: Refused) {
    let (status, after) = match why {
        Refused::Busy => ("503 Service Unavailable", 1),
        Refused::Barred(time) => ("429 Too Many Requests", time.as_secs() + 1),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nRetry-After: {after}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    let _ = stream.write(answer.as_bytes());
}

/// Closes a connection that was refused, so that its client sees the answer.
pub(super) async fn dismiss(stream: TcpStream, stop: Word) {
    // Who has gone already needs no goodbye.
    let _ = Staged::new(stream, stop).shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(parts: &[&[u8]]) -> (Protocol, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(64);
        let mut read = parts.first().map(|first| first.to_vec()).unwrap_or_default();
        let write = async {
            for part in parts.iter().skip(1) {
                theirs.write_all(part).await.expect("room");
                tokio::task::yield_now().await;
            }
            drop(theirs);
        };
        let (told, ()) = tokio::join!(sniff(&mut read, &mut ours), write);
        ours.read_to_end(&mut read).await.expect("the rest");
        (told.expect("a stream"), read)
    }

    #[tokio::test]
    async fn the_first_bytes_tell() {
        let preface: &[u8] = PREFACE;
        for (parts, protocol) in [
            (&[preface][..], Protocol::Http2),
            (&[&preface[..1], &preface[1..20], &preface[20..]], Protocol::Http2),
            (&[preface, b"more"], Protocol::Http2),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore"], Protocol::Http2),
            (&[b"GET / HTTP/1.1\r\n\r\n"], Protocol::Http1),
            (&[b"P", b"OST / HTTP/1.1\r\n\r\n"], Protocol::Http1),
            (&[b"PRI * HTTP/2.0\r\n", b"\r\nSM\r\n\rX"], Protocol::Http1),
            (&[b"PRI"], Protocol::Http1),
            (&[], Protocol::Http1),
        ] {
            assert_eq!(told(parts).await, (protocol, parts.concat()), "{parts:?}");
        }
    }
}
