//! Names that are not ours, for those who may ask us for them: the question is put to another server.
//!
//! Off unless servers are set, and then for the configured networks alone: a resolver that is open to everybody serves
//! attackers first. Nothing is kept. An answer is believed by the rules of RFC 5452: it comes from the server's address to
//! the port that the question left from, a fresh one each time, with its random id and its name in the same random case.
//!
//! * [`exchange`]: one question to one server.
//! * [`question`]: what is sent, and which answer fits. Pure.

mod exchange;
mod question;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use nearest::Network;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::answer;
use super::message::{self, Packet, Reply, Request};
use super::reuse::Client;
use question::Outgoing;

/// Where questions for other names go, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// Whose questions are forwarded.
    pub clients: Vec<Network>,
    /// The most questions on their way at once; more get SERVFAIL. Each takes a socket.
    pub in_flight: usize,
    /// How long one server has for its answer.
    pub patience: Duration,
}

impl Default for Forward {
    /// Nobody is asked.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            clients: Network::loopback(),
            in_flight: 256,
            patience: Duration::from_secs(2),
        }
    }
}

/// Puts questions to other servers.
pub struct Forwarder {
    settings: Arc<Forward>,
    places: Arc<Semaphore>,
    runtime: Handle,
}

/// A question that is another server's to answer.
pub struct Forwarding {
    request: Request,
    client: Client,
    settings: Arc<Forward>,
    places: Arc<Semaphore>,
    runtime: Handle,
}

impl Forwarder {
    /// One that works on the runtime that this is called on; none without servers or without a runtime.
    pub fn new(settings: &Forward) -> Option<Self> {
        let runtime = Handle::try_current().ok();
        runtime
            .filter(|_| !settings.servers.is_empty())
            .map(|runtime| Self {
                places: Arc::new(Semaphore::new(settings.in_flight)),
                settings: Arc::new(settings.clone()),
                runtime,
            })
    }

    /// The question in a packet, if it is one to forward: well-formed, recursion desired (RFC 1035, section 4.1.1), about
    /// no name of ours, from somebody who may.
    pub fn take(
        &self,
        packet: &[u8],
        client: Client,
        is_ours: impl FnOnce(&Query) -> bool,
    ) -> Option<Forwarding> {
        if !self.is_client(client.address) {
            return None;
        }
        let Packet::Request(request) = message::read(packet) else {
            return None;
        };
        let is_usual = answer::refused(&request.query, request.edns).is_none();
        let is_wanted = request.reply.recursion_desired && is_usual;
        (is_wanted && !is_ours(&request.query)).then(|| Forwarding {
            request: *request,
            client,
            settings: Arc::clone(&self.settings),
            places: Arc::clone(&self.places),
            runtime: self.runtime.clone(),
        })
    }

    fn is_client(&self, address: IpAddr) -> bool {
        let networks = &self.settings.clients;
        networks.iter().any(|network| network.contains(address))
    }
}

impl Forwarding {
    /// Asks, and then does something with the reply; returns at once.
    pub fn spawn(self, then: impl FnOnce(Vec<u8>) + Send + 'static) {
        let runtime = self.runtime.clone();
        runtime.spawn(async move {
            if let Some(reply) = self.reply().await {
                then(reply);
            }
        });
    }

    /// The reply: what the first server says that knows, else SERVFAIL. `None` if it cannot be written.
    pub async fn reply(self) -> Option<Vec<u8>> {
        let transport = self.client.transport;
        let answered = match self.places.try_acquire() {
            Ok(_place) => self.ask().await,
            Err(_) => None,
        };
        let reply = match answered {
            Some(answer) => question::reply(self.request, answer),
            None => failed(self.request),
        };
        let limit = reply.limit(transport);
        Some(reply.write(limit)?.bytes)
    }

    /// A server that fails, refuses or is silent is passed over.
    async fn ask(&self) -> Option<Message> {
        for server in &self.settings.servers {
            let outgoing = Outgoing::new(&self.request)?;
            let answer = exchange::ask(*server, &outgoing, self.settings.patience).await;
            match answer {
                Ok(answer) if !is_failure(answer.metadata.response_code) => return Some(answer),
                Ok(answer) => {
                    let code = answer.metadata.response_code;
                    tracing::debug!(%server, %code, "a name server could not answer");
                }
                Err(error) => tracing::debug!(%server, %error, "a name server did not answer"),
            }
        }
        None
    }
}

fn is_failure(code: ResponseCode) -> bool {
    !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn failed(request: Request) -> Reply {
    let mut reply = Reply::error(
        request.reply,
        Some(request.query),
        request.edns,
        ResponseCode::ServFail,
    );
    reply.metadata.recursion_available = true;
    reply
}
