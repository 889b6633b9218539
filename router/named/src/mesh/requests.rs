//! Requests and answers between peers.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::request_response::{
    Event, InboundFailure, InboundRequestId, Message, OutboundFailure, OutboundRequestId, ResponseChannel,
};
use tokio::sync::oneshot;

use super::actor::Actor;
use super::error::Error;
use super::exchange;
use super::identity::node_of;
use super::peers::Link;
use super::standing::MILD;

type Reply = oneshot::Sender<Result<Vec<u8>, Error>>;

/// Requests under way, in both directions.
#[derive(Debug, Default)]
pub struct Requests {
    asked: HashMap<OutboundRequestId, Reply>,
    /// From the request until its answer has left, or cannot any more: answers take memory.
    serving: HashMap<InboundRequestId, Serving>,
}

#[derive(Debug)]
struct Serving {
    peer: PeerId,
    channel: Option<ResponseChannel<Vec<u8>>>,
}

/// What the handler said to a request; nothing if it took too long.
#[derive(Debug)]
pub struct Answer {
    id: InboundRequestId,
    bytes: Option<Vec<u8>>,
}

impl Actor {
    pub(super) fn ask(&mut self, peer: PeerId, request: Vec<u8>, reply: Reply) {
        let max = self.limits.requests_out_max;
        let refusal = if !self.links.get(&peer).is_some_and(Link::is_peer) {
            Some((
                "unconnected",
                Error::NotConnected {
                    peer: peer.to_string(),
                },
            ))
        } else if self.requests.asked.len() >= max {
            Some((
                "busy",
                Error::Busy {
                    peer: peer.to_string(),
                    max,
                },
            ))
        } else {
            None
        };
        if let Some((outcome, error)) = refusal {
            self.metrics.asked(outcome);
            // Whoever asked may have left.
            let _ = reply.send(Err(error));
            return;
        }
        let id = self.swarm.behaviour_mut().exchange.send_request(&peer, request);
        self.requests.asked.insert(id, reply);
    }

    pub(super) fn on_exchange(&mut self, event: Event<Vec<u8>, Vec<u8>>) {
        match event {
            Event::Message { peer, message, .. } => match message {
                Message::Request {
                    request_id,
                    request,
                    channel,
                } => self.serve(peer, request_id, request, channel),
                Message::Response { request_id, response } => {
                    self.asked(request_id, "answered", Ok(response));
                }
            },
            Event::OutboundFailure {
                peer,
                request_id,
                error,
                ..
            } => {
                let outcome = if matches!(error, OutboundFailure::Timeout) {
                    "timeout"
                } else {
                    "failed"
                };
                if let OutboundFailure::Io(error) = &error
                    && error.kind() == io::ErrorKind::InvalidData
                {
                    self.fault(peer, MILD, &error.to_string());
                }
                let error = failure(&peer, &error, self.limits.request_timeout);
                self.asked(request_id, outcome, Err(error));
            }
            Event::ResponseSent { request_id, .. } => self.served(request_id, "answered"),
            Event::InboundFailure {
                request_id, error, ..
            } => {
                let outcome = if matches!(error, InboundFailure::Timeout) {
                    "timeout"
                } else {
                    "failed"
                };
                self.served(request_id, outcome);
            }
        }
    }

    fn asked(&mut self, id: OutboundRequestId, outcome: &'static str, answer: Result<Vec<u8>, Error>) {
        self.metrics.asked(outcome);
        if let Some(reply) = self.requests.asked.remove(&id) {
            // Whoever asked may have left.
            let _ = reply.send(answer);
        }
    }

    /// A dropped channel closes the stream, which the other side sees at once.
    fn serve(
        &mut self,
        peer: PeerId,
        id: InboundRequestId,
        request: Vec<u8>,
        channel: ResponseChannel<Vec<u8>>,
    ) {
        let Some(from) = node_of(&peer).filter(|_| !self.is_refused(&peer)) else {
            return;
        };
        let serving = &self.requests.serving;
        let of_peer = serving.values().filter(|serving| serving.peer == peer).count();
        let in_hand = serving.len().max(self.answers.len());
        if in_hand >= self.limits.requests_in_max || of_peer >= self.limits.requests_in_per_peer_max {
            self.metrics.served("busy");
            return;
        }
        let channel = Some(channel);
        self.requests.serving.insert(id, Serving { peer, channel });
        let (handler, within) = (self.handler.clone(), self.limits.request_timeout);
        self.answers.spawn(async move {
            let bytes = tokio::time::timeout(within, handler.request(from, request))
                .await
                .ok();
            Answer { id, bytes }
        });
    }

    pub(super) fn on_answer(&mut self, answer: Answer) {
        let channel = self
            .requests
            .serving
            .get_mut(&answer.id)
            .and_then(|serving| serving.channel.take());
        let (Some(channel), Some(bytes)) = (channel, answer.bytes) else {
            return;
        };
        let max = self.limits.answer_bytes_max;
        if bytes.len() > max {
            tracing::error!(bytes = bytes.len(), max, "an answer is too large, and not sent");
            return;
        }
        // If the stream is closed already, its failure was or will be told.
        let _ = self.swarm.behaviour_mut().exchange.send_response(channel, bytes);
    }

    fn served(&mut self, id: InboundRequestId, outcome: &'static str) {
        if self.requests.serving.remove(&id).is_some() {
            self.metrics.served(outcome);
        }
    }
}

/// The error for a peer that does not answer.
pub fn timeout(peer: &PeerId, within: Duration) -> Error {
    Error::Timeout {
        peer: peer.to_string(),
        millis: within.as_millis(),
    }
}

fn failure(peer: &PeerId, error: &OutboundFailure, within: Duration) -> Error {
    let reason = match error {
        OutboundFailure::Timeout => return timeout(peer, within),
        OutboundFailure::DialFailure | OutboundFailure::ConnectionClosed => {
            "it left before it answered".into()
        }
        OutboundFailure::UnsupportedProtocols => format!("it does not speak {}", exchange::PROTOCOL),
        OutboundFailure::Io(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
        OutboundFailure::Io(_) => "it refused the request: too large, or it is busy".into(),
    };
    Error::Failed {
        peer: peer.to_string(),
        reason,
    }
}
