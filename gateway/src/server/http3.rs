//! HTTP/3: connections over QUIC, their requests, their end.
//!
//! QUIC bounds the floods that are below requests: a client shows that it is where it says (by a retry, once places are
//! scarce), streams at once are announced and enforced, and what nobody reads stops at small windows. A stream counts
//! until its answer has ended, so a client that resets its requests gains no more of them at once; and one that resets
//! them faster than it asks is sent away.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn::{
    Endpoint, EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use rustls::ServerConfig as Agreement;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};

use super::accept::House;
use super::connection::Limited;
use super::qpack;
use super::quic::{self, Outlet, Quic, Receiver, Sender, Stopped};
use super::service::{BoxError, Client, Served};
use super::stream::{self, Gone, Way};

/// What a client may send of a request's body, beside its head. No question of ours is longer.
const UPLOAD_BYTES_MAX: usize = 64 << 10;
/// What a client may send on one stream before it is read, in bytes.
const STREAM_WINDOW: u32 = 64 << 10;
/// The same for a whole connection.
const CONNECTION_WINDOW: u32 = 512 << 10;
/// Bytes on their way to one client and not acknowledged, at most; this by the round-trip time is the highest rate.
const SEND_WINDOW: u64 = 2 << 20;
/// The streams of a client's own: control, two of QPACK, and some that only train us to ignore them.
const UNI_STREAMS_MAX: u32 = 8;
/// Handshakes that wait to be looked at.
const INCOMING_MAX: usize = 1024;
/// Streams that a client may leave before it has asked for anything, from one look at the connection to the next; one
/// that goes on so is sent away (RFC 9114, section 10.5). Honest ones cancel what they have asked for.
const LEFT_MAX: usize = 64;
/// The most that is handed over at once, so that a client that takes little is seen to take something.
const PIECE_BYTES: usize = 64 << 10;

/// What the head of an answer takes, about.
const HEAD_BYTES: usize = 1 << 10;

/// The UDP side of the encrypted listener.
pub(super) struct Acceptor {
    pub endpoint: Endpoint,
    pub house: Arc<House>,
}

/// Listens on a socket.
pub(super) fn endpoint(
    socket: std::net::UdpSocket,
    agreement: Arc<Agreement>,
    limits: &Limited,
) -> io::Result<Endpoint> {
    let config = server_config(agreement, limits).map_err(io::Error::other)?;
    Endpoint::new(
        EndpointConfig::default(),
        Some(config),
        socket,
        Arc::new(TokioRuntime),
    )
}

fn server_config(agreement: Arc<Agreement>, limits: &Limited) -> Result<ServerConfig, NoInitialCipherSuite> {
    let crypto = QuicServerConfig::try_from(agreement)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let streams = u32::try_from(limits.requests_max).unwrap_or(u32::MAX);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(UNI_STREAMS_MAX.into())
        .stream_receive_window(STREAM_WINDOW.into())
        .receive_window(CONNECTION_WINDOW.into())
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(idle(limits.head_timeout));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(INCOMING_MAX);
    Ok(config)
}

fn idle(time: Duration) -> Option<IdleTimeout> {
    Some(IdleTimeout::try_from(time).unwrap_or(IdleTimeout::from(VarInt::MAX)))
}

impl Acceptor {
    pub(super) async fn run(self) {
        let (stop, cut) = (self.house.stop.token(), self.house.cut.token());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                incoming = self.endpoint.accept() => match incoming {
                    Some(incoming) => self.take(incoming),
                    None => break,
                }
            }
        }
        // New ones are told so; those that are there go on with the same socket.
        self.endpoint.set_server_config(None);
        tokio::select! {
            () = self.endpoint.wait_idle() => {}
            () = cut.cancelled() => self.endpoint.close(code(Code::H3_NO_ERROR), b""),
        }
    }

    fn take(&self, incoming: Incoming) {
        if self.house.places.are_scarce() && incoming.may_retry() {
            // It was checked just now that this may be done.
            let _ = incoming.retry();
            return;
        }
        let address = incoming.remote_address();
        let Some(place) = self.house.places.try_take(address.ip()) else {
            self.house.metrics.refuse_connection();
            incoming.refuse();
            return;
        };
        let house = Arc::clone(&self.house);
        self.house
            .host(place, async move { connect(incoming, address, &house).await });
    }
}

async fn connect(incoming: Incoming, address: SocketAddr, house: &House) {
    let handshake = async { incoming.accept()?.await };
    match timeout(house.limits.head_timeout, handshake).await {
        Ok(Ok(connection)) => {
            house.metrics.handshake("1.3");
            let client = Client {
                address,
                secure: true,
                is_node: false,
            };
            let served = house.service.to(client);
            if let Err(error) = serve(connection.clone(), &served, house).await {
                tracing::debug!(client = %address, %error, "an HTTP/3 connection broke");
            }
            measure(&connection, &client, house);
        }
        Ok(Err(error)) => {
            house.metrics.failed_handshake();
            tracing::debug!(client = %address, %error, "a QUIC handshake failed");
        }
        Err(_) => house.metrics.failed_handshake(),
    }
}

/// Tells how far the client was. One that moved to another address may have said so falsely, and is left out.
fn measure(connection: &quinn::Connection, client: &Client, house: &House) {
    if connection.remote_address() == client.address && house.service.measures(client) {
        let rtt_us = u32::try_from(connection.rtt().as_micros()).unwrap_or(u32::MAX);
        house.service.measured(client, rtt_us);
    }
}

/// Serves requests until the client or the house ends the connection; requests in flight are answered first.
async fn serve(
    connection: quinn::Connection,
    served: &Served,
    house: &House,
) -> Result<(), h3::error::ConnectionError> {
    let (limits, stop) = (house.limits, house.stop.token());
    let quic = Quic::new(connection.clone(), limits.head_bytes_max + UPLOAD_BYTES_MAX);
    let outlets = quic.outlets();
    let mut builder = h3::server::builder();
    // Frames of unknown types, which are there to keep clients tolerant (RFC 9114, section 7.2.8), would come between an
    // answer and its end, where aioquic misses the end then.
    builder
        .max_field_section_size(limits.head_bytes_max as u64)
        .send_grease(false);
    let mut h3 = builder.build::<_, Bytes>(quic).await?;
    let mut streams = JoinSet::new();
    let mut looks = interval_at(Instant::now() + limits.head_timeout, limits.head_timeout);
    let (mut busy, mut left) = (false, 0);
    loop {
        tokio::select! {
            accepted = h3.accept() => {
                let Some(resolver) = accepted? else {
                    break;
                };
                busy = true;
                left += left_of(&mut streams);
                if left > LEFT_MAX {
                    connection.close(code(Code::H3_EXCESSIVE_LOAD), b"");
                    return Ok(());
                }
                if let Some(outlet) = quic::latest(&outlets) {
                    streams.spawn(request(resolver, outlet, served.clone(), limits));
                }
            }
            () = stop.cancelled() => break,
            _ = looks.tick() => {
                left_of(&mut streams);
                left = 0;
                if streams.is_empty() && !busy {
                    break;
                }
                busy = false;
            }
        }
    }
    // Those from the next one on were not looked at, so their client may ask again elsewhere (RFC 9114, section 5.2).
    h3.shutdown(1).await?;
    while streams.join_next().await.is_some() {}
    Ok(())
}

/// Answers a request. Returns whether there was one.
async fn request(
    resolver: RequestResolver<Quic, Bytes>,
    (outlet, stopped): (Outlet, Stopped),
    served: Served,
    limits: Limited,
) -> bool {
    let resolved = timeout(limits.head_timeout, resolver.resolve_request()).await;
    // What was wrong with it was told to the client.
    let Ok(Ok((head, stream))) = resolved else {
        return false;
    };
    let (send, receive) = stream.split();
    let mut back = Back {
        outlet,
        stopped,
        _open: send,
    };
    if let Some((answer, body)) = served.at_once(&head) {
        match timeout(limits.stall_timeout, back.give(answer, body)).await {
            Ok(Ok(())) => drop(timeout(limits.request_timeout, back.delivered()).await),
            _ => back.cut(),
        }
        drop(timeout(limits.head_timeout, skip(receive)).await);
        return true;
    }
    let (unread, rest) = oneshot::channel();
    let upload = Upload {
        receive: Some(receive),
        unread: Some(unread),
    };
    let request = head.map(|()| upload.map_err(BoxError::from).boxed_unsync());
    stream::answer(served.clone(), request, back, limits).await;
    let rest = async {
        if let Ok(rest) = rest.await {
            skip(rest).await;
        }
    };
    drop(timeout(limits.head_timeout, rest).await);
    true
}

/// How many of the streams that have ended were left before they asked for anything.
fn left_of(streams: &mut JoinSet<bool>) -> usize {
    let ended = std::iter::from_fn(|| streams.try_join_next());
    ended.filter(|asked| matches!(asked, Ok(false))).count()
}

/// Reads what nobody wanted: mostly the end of a request without a body, which may come after its answer has gone.
/// A client that is told to stop before could take that for a failure.
async fn skip(mut rest: RequestStream<Receiver, Bytes>) {
    while let Ok(Some(_)) = rest.recv_data().await {}
}

/// The body of a request. What is not read of it comes back when it is dropped.
struct Upload {
    receive: Option<RequestStream<Receiver, Bytes>>,
    unread: Option<oneshot::Sender<RequestStream<Receiver, Bytes>>>,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let Some(receive) = &mut self.get_mut().receive else {
            return Poll::Ready(None);
        };
        let data = ready!(receive.poll_recv_data(cx)).transpose();
        let frame = data.map(|data| data.map(|mut data| Frame::data(data.copy_to_bytes(data.remaining()))));
        Poll::Ready(frame)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(unread), Some(receive)) = (self.unread.take(), self.receive.take()) {
            // Who cut the request does not wait for it.
            let _ = unread.send(receive);
        }
    }
}

/// The way back to the client of one request. Frames go past the HTTP/3 library, which would copy bodies, and write heads
/// at the price of several answers.
struct Back {
    outlet: Outlet,
    stopped: Stopped,
    /// For the HTTP/3 library, the request is answered when this is gone.
    _open: RequestStream<Sender<Bytes>, Bytes>,
}

impl Back {
    /// Sends a small answer as a whole.
    async fn give(&mut self, head: Response<()>, body: Bytes) -> Result<(), Gone> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        qpack::head(&mut bytes, head.status(), head.headers());
        if body.is_empty() {
            self.write(&mut [bytes.into()]).await?;
        } else {
            qpack::data(&mut bytes, body.len());
            self.write(&mut [bytes.into(), body]).await?;
        }
        self.end().await
    }

    /// Writes all of `parts`, none of which is empty.
    async fn write(&mut self, parts: &mut [Bytes]) -> Result<(), Gone> {
        let mut at = 0;
        while at < parts.len() {
            let written = poll_fn(|cx| {
                let mut outlet = quic::lock(&self.outlet);
                // What waits is the stream, not this future of it.
                pin!(outlet.write_chunks(&mut parts[at..])).poll(cx)
            });
            at += written.await.map_err(|_| Gone)?.chunks;
        }
        Ok(())
    }
}

impl Way for Back {
    async fn head(&mut self, head: Response<()>, last: bool) -> Result<(), Gone> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        qpack::head(&mut bytes, head.status(), head.headers());
        self.write(&mut [bytes.into()]).await?;
        match last {
            true => self.end().await,
            false => Ok(()),
        }
    }

    async fn data(&mut self, bytes: &mut Bytes, last: bool) -> Result<(), Gone> {
        let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
        let mut begin = Vec::new();
        qpack::data(&mut begin, piece.len());
        self.write(&mut [begin.into(), piece]).await?;
        match last && bytes.is_empty() {
            true => self.end().await,
            false => Ok(()),
        }
    }

    async fn end(&mut self) -> Result<(), Gone> {
        quic::lock(&self.outlet).finish().map_err(|_| Gone)
    }

    fn cut(&mut self) {
        // It has ended already if this fails.
        let _ = quic::lock(&self.outlet).reset(code(Code::H3_INTERNAL_ERROR));
    }

    /// After its end a stream is stopped when all of it has arrived.
    async fn delivered(&mut self) {
        self.gone().await;
    }

    async fn gone(&mut self) {
        self.stopped.as_mut().await;
    }
}

/// Every code of HTTP/3 is small enough.
fn code(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}
