//! One HTTP/2 connection: its limits, its streams, its end.
//!
//! Each flood has its bound. Streams at once are announced and enforced; a client that resets streams faster than they
//! are taken is sent away (rapid reset); header lists are bounded, and so are the frames that one may come in
//! (CONTINUATION flood); what a client says beside its requests is bounded (`talk`); what a client sends and nobody reads
//! stops at small windows; a client that lets its own window stay shut has its stream reset after `stall_timeout`; a
//! connection without a request is closed. Whose connections break these bounds again and again may open no more of
//! them for a time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Limited;
use super::cork::Cork;
use super::service::{BoxError, Served};
use super::signal::Word;
use super::staged::Staged;
use super::stream::{self, Gone, Way};

/// What a client may send of a request's body before somebody reads it, in bytes: the protocol's own default.
const UPLOAD_BYTES: u32 = 65_535;
/// The same for all requests of a connection together.
const UPLOADS_BYTES: u32 = 256 << 10;
/// Bytes of an answer that are kept for a stream whose client does not take them yet.
const SEND_BYTES_MAX: usize = 256 << 10;
/// Streams that were reset before they were looked at; a client that goes on so is sent away. Honest ones cancel a few.
const RESETS_MAX: usize = 32;
/// Streams that we had to reset since the client broke the protocol; then the connection ends.
const ERRORS_MAX: usize = 64;

/// Serves requests until the client or `stop` ends the connection; requests in flight are answered first.
pub(super) async fn serve<S>(stream: S, served: Served, limits: Limited, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let client = served.client().address;
    let stream = Cork::new(stream);
    match stream
        .gather(run(stream.clone(), served.clone(), limits, stop))
        .await
    {
        // Frames of the client's may be under way: updates of its windows, for what it reads. Also when the gateway stops.
        Ok(()) => drop(Staged::new(stream, Word::default()).shutdown().await),
        Err(error) => {
            if stream.is_excess() || is_breach(&*error) {
                served.blame();
            }
            tracing::debug!(%client, %error, "an HTTP/2 connection broke");
        }
    }
}

/// Whether the client broke the protocol, or went beyond a bound.
fn is_breach(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error
        .downcast_ref::<h2::Error>()
        .is_some_and(h2::Error::is_library)
}

async fn run<S>(
    stream: Cork<S>,
    served: Served,
    limits: Limited,
    stop: CancellationToken,
) -> Result<(), BoxError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // A head, and what may come of a body before it is read.
    let request_bytes = limits.head_bytes_max as u64 + u64::from(UPLOAD_BYTES);
    let handshake = builder(&limits).handshake::<_, Bytes>(stream.clone());
    let Ok(connection) = timeout(limits.head_timeout, handshake).await else {
        return Ok(());
    };
    let (mut connection, mut streams) = (connection?, JoinSet::new());
    let mut looks = interval_at(Instant::now() + limits.head_timeout, limits.head_timeout);
    let mut stopped = pin!(stop.cancelled());
    let (mut busy, mut closing) = (false, false);
    loop {
        tokio::select! {
            // Nothing here is ready for long, and chance has its price.
            biased;
            () = &mut stopped, if !closing => {
                closing = true;
                connection.graceful_shutdown();
            }
            _ = looks.tick() => {
                while streams.try_join_next().is_some() {}
                if streams.is_empty() && !busy {
                    if closing {
                        return Ok(());
                    }
                    closing = true;
                    connection.graceful_shutdown();
                }
                busy = false;
            }
            accepted = connection.accept() => {
                let Some(accepted) = accepted else {
                    return Ok(());
                };
                let (request, respond) = accepted?;
                stream.asked(request_bytes);
                busy = true;
                while streams.try_join_next().is_some() {}
                let at_once = match request.body().is_end_stream() {
                    true => served.at_once(&request),
                    false => None,
                };
                if let Some((head, body)) = at_once {
                    // A task costs more than the answer.
                    if let Some((back, rest)) = Back::give(respond, head, body) {
                        streams.spawn(stream::rest(back, rest, limits.stall_timeout));
                    }
                    continue;
                }
                let request = request.map(|body| Upload(body).map_err(BoxError::from).boxed_unsync());
                streams.spawn(stream::answer(served.clone(), request, Back::new(respond), limits));
            }
        }
    }
}

fn builder(limits: &Limited) -> Builder {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(u32::try_from(limits.requests_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(Some(ERRORS_MAX))
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .initial_window_size(UPLOAD_BYTES)
        .initial_connection_window_size(UPLOADS_BYTES)
        .max_send_buffer_size(SEND_BYTES_MAX);
    builder
}

/// The body of a request.
struct Upload(RecvStream);

impl Body for Upload {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let stream = &mut self.get_mut().0;
        let Some(bytes) = ready!(stream.poll_data(cx)) else {
            return Poll::Ready(None);
        };
        let released = bytes.and_then(|bytes| {
            stream.flow_control().release_capacity(bytes.len())?;
            Ok(Frame::data(bytes))
        });
        Poll::Ready(Some(released))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.is_end_stream() {
            true => SizeHint::with_exact(0),
            false => SizeHint::default(),
        }
    }
}

/// The way back to the client of one stream.
struct Back {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
}

impl Back {
    fn new(respond: SendResponse<Bytes>) -> Self {
        Self {
            respond,
            stream: None,
        }
    }

    /// Sends a small answer as far as the client takes it now. Returns what is left.
    fn give(mut respond: SendResponse<Bytes>, head: Response<()>, mut body: Bytes) -> Option<(Self, Bytes)> {
        // An error says that the client wants it no more.
        let mut stream = respond.send_response(head, body.is_empty()).ok()?;
        if body.is_empty() {
            return None;
        }
        stream.reserve_capacity(body.len());
        let part = body.split_to(stream.capacity().min(body.len()));
        if !part.is_empty() {
            stream.send_data(part, body.is_empty()).ok()?;
        }
        let back = Self {
            respond,
            stream: Some(stream),
        };
        (!body.is_empty()).then_some((back, body))
    }
}

impl Way for Back {
    async fn head(&mut self, head: Response<()>, last: bool) -> Result<(), Gone> {
        self.stream = Some(self.respond.send_response(head, last)?);
        Ok(())
    }

    async fn data(&mut self, bytes: &mut Bytes, last: bool) -> Result<(), Gone> {
        let stream = self.stream.as_mut().ok_or(Gone)?;
        stream.reserve_capacity(bytes.len());
        // What is there already is used at once; asking for it would wait for it to grow.
        while stream.capacity() == 0 {
            poll_fn(|cx| stream.poll_capacity(cx)).await.ok_or(Gone)??;
        }
        let part = bytes.split_to(stream.capacity().min(bytes.len()));
        stream.send_data(part, last && bytes.is_empty())?;
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Gone> {
        let stream = self.stream.as_mut().ok_or(Gone)?;
        stream.send_data(Bytes::new(), true)?;
        Ok(())
    }

    fn cut(&mut self) {
        self.respond.send_reset(Reason::INTERNAL_ERROR);
    }

    async fn delivered(&mut self) {}

    async fn gone(&mut self) {
        // An error says the same: the stream is no more.
        let _ = poll_fn(|cx| match &mut self.stream {
            Some(stream) => stream.poll_reset(cx),
            None => self.respond.poll_reset(cx),
        })
        .await;
    }
}

impl From<h2::Error> for Gone {
    fn from(_: h2::Error) -> Self {
        Self
    }
}
