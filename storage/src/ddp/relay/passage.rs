//! The connection of one client: a WebSocket, through which only such packets pass as somebody pays for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Sink, Stream};
use iroh_relay::ExportKeyingMaterial;
use iroh_relay::http::{CLIENT_AUTH_HEADER, ProtocolVersion};
use iroh_relay::protos::handshake;
use iroh_relay::protos::streams::StreamError;
use iroh_relay::server::client::Config;
use iroh_relay::server::streams::RelayedStream;
use iroh_relay::server::{Access, AccessControl, ClientRequest, DynAccessControl};
use ledger::PublicKey;
use nearest::Prefix;
use tokio::time::timeout;

use super::frame::Frame;
use super::{HEAD_TIME_MAX, Hall, Visitor};
use crate::ddp::seats::Seat;

/// One client.
pub(super) struct Passage {
    socket: Pin<Box<WebSocket>>,
    hall: Hall,
    _visitor: Visitor,
    /// Who it is, once it has said so.
    client: Option<(PublicKey, Seat)>,
}

/// Answers whoever measures how far the relay is.
pub(super) async fn probe() -> impl IntoResponse {
    (StatusCode::OK, [(ACCESS_CONTROL_ALLOW_ORIGIN, "*")])
}

/// Takes whoever wants to be a client.
pub(super) async fn enter(
    State(hall): State<Hall>,
    Extension(visitor): Extension<Visitor>,
    upgrade: WebSocketUpgrade,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    upgrade
        .protocols([ProtocolVersion::V2.to_str()])
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            let begun = timeout(HEAD_TIME_MAX, begin(socket, hall, visitor, parts));
            if let Ok(Err(error)) = begun.await {
                tracing::debug!(%error, "a client of the relay was not taken");
            }
        })
}

/// Lets the client say who it is, and takes it if there is room.
async fn begin(socket: WebSocket, hall: Hall, visitor: Visitor, parts: Parts) -> Result<(), String> {
    let network = Prefix::network(visitor.from.ip().to_canonical());
    let auth = parts.headers.get(CLIENT_AUTH_HEADER).cloned();
    let mut passage = Passage {
        socket: Box::pin(socket),
        hall: hall.clone(),
        _visitor: visitor,
        client: None,
    };
    let proven = handshake::serverside(&mut passage, auth)
        .await
        .map_err(|error| error.to_string())?;
    let client = PublicKey::from_bytes(*proven.client_key.as_bytes()).map_err(|error| error.to_string())?;
    let seat = hall
        .seats
        .take(&client, (!network.is_private()).then_some(network));
    let room: Arc<dyn DynAccessControl> = Arc::new(Room(seat.is_some()));
    let request = ClientRequest::new(proven.client_key, ProtocolVersion::V2, parts);
    let guard = proven
        .authorize_with(&request, &room, &mut passage)
        .await
        .map_err(|error| error.to_string())?;
    passage.client = seat.map(|seat| (client, seat));
    let stream = RelayedStream::new(passage, hall.keys.clone());
    hall.clients
        .register(Config::new(guard, stream, ProtocolVersion::V2), hall.relayed);
    Ok(())
}

/// Whether there is room for a client.
#[derive(Debug)]
struct Room(bool);

impl AccessControl for Room {
    async fn on_connect(&self, _: &ClientRequest) -> Access {
        match self.0 {
            true => Access::Allow,
            false => Access::Deny {
                reason: Some("this relay has as many clients as it takes".to_owned()),
            },
        }
    }
}

impl Passage {
    /// Whether a frame from the client goes on.
    fn enters(&self, frame: &[u8]) -> bool {
        let Some((client, _)) = &self.client else {
            return true;
        };
        match Frame::of(frame) {
            Frame::Packets(packets) => self.note(packets.bytes, self.hall.meters.enters(client, &packets)),
            Frame::Other => true,
            Frame::Nobody => false,
        }
    }

    /// Whether a frame to the client goes on.
    fn leaves(&self, frame: &[u8]) -> bool {
        let Some((client, _)) = &self.client else {
            return true;
        };
        match Frame::of(frame) {
            Frame::Packets(packets) => self.hall.meters.leaves(client, &packets),
            Frame::Other => true,
            Frame::Nobody => false,
        }
    }

    fn note(&self, bytes: u64, passes: bool) -> bool {
        let counter = match passes {
            true => &self.hall.metrics.bytes,
            false => &self.hall.metrics.dropped,
        };
        counter.inc_by(bytes);
        passes
    }
}

impl Stream for Passage {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // Whatever does not pass is dropped, as any network may do: who sends it slows down.
        for _ in 0..FRAMES_AT_ONCE {
            match ready!(self.socket.as_mut().poll_next(context)) {
                Some(Ok(Message::Binary(frame))) if self.enters(&frame) => {
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(StreamError::from_std(error)))),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Sink<Bytes> for Passage {
    type Error = StreamError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.socket
            .as_mut()
            .poll_ready(context)
            .map_err(StreamError::from_std)
    }

    fn start_send(mut self: Pin<&mut Self>, frame: Bytes) -> Result<(), Self::Error> {
        if !self.leaves(&frame) {
            return Ok(());
        }
        self.socket
            .as_mut()
            .start_send(Message::Binary(frame))
            .map_err(StreamError::from_std)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.socket
            .as_mut()
            .poll_flush(context)
            .map_err(StreamError::from_std)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.socket
            .as_mut()
            .poll_close(context)
            .map_err(StreamError::from_std)
    }
}

/// Keys are shown by a signed challenge, not by what a TLS session has in secret.
impl ExportKeyingMaterial for Passage {
    fn export_keying_material<T: AsMut<[u8]>>(&self, _: T, _: &[u8], _: Option<&[u8]>) -> Option<T> {
        None
    }
}

/// Frames that are dropped before others have their turn.
const FRAMES_AT_ONCE: usize = 32;
/// The largest frame of the protocol, 64 KiB, and its head.
const FRAME_BYTES_MAX: usize = (64 << 10) + 256;
