//! The streams of a QUIC connection, as HTTP/3 wants them: what a client sends on one is bounded, and that it wants no
//! more of one is told.
//!
//! The HTTP/3 library keeps a frame until it has all of it, whatever length the frame announces, so the bound has to be
//! below it. A request is its head and a small body; beyond that its stream ends. The client's own streams carry
//! settings and priorities; beyond their bound the connection ends, and a client that has lived so long opens another.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};

/// What is read at once: a request is rarely more than one packet.
const READ_BYTES: usize = 2 << 10;
/// What a client may send on its own streams in all: the settings, and some 20 bytes for each priority.
const CONTROL_BYTES_MAX: usize = 1 << 20;

type Opened<T> = Pin<Box<dyn Future<Output = Result<T, ConnectionError>> + Send + Sync>>;
type Pair = (quinn::SendStream, quinn::RecvStream);

/// Resolves when the client wants no more of an answer.
pub(super) type Stopped = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// Where an answer goes: the HTTP/3 library has it while it looks at the request.
pub(super) type Outlet = Arc<Mutex<quinn::SendStream>>;

/// The ways back for the requests that were taken and not yet looked at, in their order.
pub(super) type Outlets = Arc<Mutex<VecDeque<(Outlet, Stopped)>>>;

/// A connection.
pub(super) struct Quic {
    connection: quinn::Connection,
    request_bytes_max: usize,
    outlets: Outlets,
    bidi: Option<Opened<Pair>>,
    uni: Option<Opened<quinn::RecvStream>>,
    opener: Opener,
}

impl Quic {
    /// A connection on whose requests clients may send `request_bytes_max`.
    pub(super) fn new(connection: quinn::Connection, request_bytes_max: usize) -> Self {
        Self {
            opener: Opener::new(connection.clone()),
            connection,
            request_bytes_max,
            outlets: Outlets::default(),
            bidi: None,
            uni: None,
        }
    }

    pub(super) fn outlets(&self) -> Outlets {
        Arc::clone(&self.outlets)
    }
}

/// The latest of them: the one that belongs to the request that was just taken.
pub(super) fn latest(outlets: &Outlets) -> Option<(Outlet, Stopped)> {
    let mut outlets = lock(outlets);
    let latest = outlets.pop_back();
    outlets.clear();
    latest
}

/// Nothing is left half done by who panicked.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Buf> quic::Connection<B> for Quic {
    type RecvStream = Receiver;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Receiver, ConnectionErrorIncoming>> {
        let connection = &self.connection;
        let uni = self.uni.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = ready!(uni.as_mut().poll(cx));
        self.uni = None;
        Poll::Ready(
            accepted
                .map(|stream| Receiver::new(stream, CONTROL_BYTES_MAX))
                .map_err(broken),
        )
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bidi<B>, ConnectionErrorIncoming>> {
        let connection = &self.connection;
        let bidi = self.bidi.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_bi().await })
        });
        let accepted = ready!(bidi.as_mut().poll(cx));
        self.bidi = None;
        let (send, receive) = accepted.map_err(broken)?;
        let stopped = send.stopped();
        let stopped: Stopped = Box::pin(async move { drop(stopped.await) });
        let send = Sender::new(send);
        lock(&self.outlets).push_back((Arc::clone(&send.stream), stopped));
        Poll::Ready(Ok(Bidi {
            send,
            receive: Receiver::new(receive, self.request_bytes_max),
        }))
    }

    fn opener(&self) -> Opener {
        Opener::new(self.connection.clone())
    }
}

impl<B: Buf> quic::OpenStreams<B> for Quic {
    type BidiStream = Bidi<B>;
    type SendStream = Sender<B>;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bidi<B>, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sender<B>, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(number(code.value()), reason);
    }
}

/// Opens streams of the server's own. It opens those of the protocol and no others.
pub(super) struct Opener {
    connection: quinn::Connection,
    opening: Option<Opened<quinn::SendStream>>,
}

impl Opener {
    fn new(connection: quinn::Connection) -> Self {
        Self {
            connection,
            opening: None,
        }
    }
}

impl<B: Buf> quic::OpenStreams<B> for Opener {
    type BidiStream = Bidi<B>;
    type SendStream = Sender<B>;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Bidi<B>, StreamErrorIncoming>> {
        // A server of HTTP/3 has none (RFC 9114, section 6.1).
        let reason = "a server opens no requests".to_owned();
        Poll::Ready(Err(StreamErrorIncoming::ConnectionErrorIncoming {
            connection_error: ConnectionErrorIncoming::InternalError(reason),
        }))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sender<B>, StreamErrorIncoming>> {
        let connection = &self.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        Poll::Ready(opened.map(Sender::new).map_err(lost))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(number(code.value()), reason);
    }
}

/// A request and its answer.
pub(super) struct Bidi<B: Buf> {
    send: Sender<B>,
    receive: Receiver,
}

impl<B: Buf> quic::BidiStream<B> for Bidi<B> {
    type SendStream = Sender<B>;
    type RecvStream = Receiver;

    fn split(self) -> (Sender<B>, Receiver) {
        (self.send, self.receive)
    }
}

impl<B: Buf> quic::RecvStream for Bidi<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.receive.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl<B: Buf> quic::SendStream<B> for Bidi<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// What a client sends.
pub(super) struct Receiver {
    stream: quinn::RecvStream,
    bytes_left: usize,
    buffer: BytesMut,
}

impl Receiver {
    fn new(stream: quinn::RecvStream, bytes_max: usize) -> Self {
        Self {
            stream,
            bytes_left: bytes_max,
            buffer: BytesMut::new(),
        }
    }
}

impl quic::RecvStream for Receiver {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.buffer.resize(READ_BYTES, 0);
        let read = ready!(self.stream.poll_read(cx, &mut self.buffer)).map_err(unread)?;
        let Some(left) = self.bytes_left.checked_sub(read) else {
            let code = Code::H3_EXCESSIVE_LOAD.value();
            self.stop_sending(code);
            return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code: code }));
        };
        self.bytes_left = left;
        let data = self.buffer.split_to(read).freeze();
        Poll::Ready(Ok(Some(data).filter(|data| !data.is_empty())))
    }

    fn stop_sending(&mut self, code: u64) {
        // It has ended already if this fails.
        let _ = self.stream.stop(number(code));
    }

    fn recv_id(&self) -> StreamId {
        id(self.stream.id())
    }
}

/// What a client is sent.
pub(super) struct Sender<B: Buf> {
    stream: Outlet,
    writing: Option<WriteBuf<B>>,
}

impl<B: Buf> Sender<B> {
    fn new(stream: quinn::SendStream) -> Self {
        Self {
            stream: Arc::new(Mutex::new(stream)),
            writing: None,
        }
    }
}

impl<B: Buf> quic::SendStream<B> for Sender<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(data) = &mut self.writing {
            while data.has_remaining() {
                let mut stream = lock(&self.stream);
                let written = ready!(Pin::new(&mut *stream).poll_write(cx, data.chunk())).map_err(unsent)?;
                data.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            let reason = "data was sent before the stream was ready".to_owned();
            return Err(StreamErrorIncoming::ConnectionErrorIncoming {
                connection_error: ConnectionErrorIncoming::InternalError(reason),
            });
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        let finished = lock(&self.stream).finish();
        Poll::Ready(finished.map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        // It has ended already if this fails.
        let _ = lock(&self.stream).reset(number(code));
    }

    fn send_id(&self) -> StreamId {
        id(lock(&self.stream).id())
    }
}

fn broken(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => ConnectionErrorIncoming::ApplicationClose {
            error_code: close.error_code.into_inner(),
        },
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        error => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

fn lost(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming {
        connection_error: broken(error),
    }
}

fn unread(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        ReadError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

fn unsent(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated {
            error_code: code.into_inner(),
        },
        WriteError::ConnectionLost(error) => lost(error),
        error => StreamErrorIncoming::Unknown(Box::new(error)),
    }
}

/// Every code of HTTP/3 is small enough.
fn number(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

fn id(id: quinn::StreamId) -> StreamId {
    let number = VarInt::from(id).into_inner();
    // Both count the same way; the bound of both is 2^62.
    StreamId::try_from(number).expect("a stream id of QUIC is one of HTTP/3")
}
