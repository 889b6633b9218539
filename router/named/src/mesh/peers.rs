//! Who is connected: from the first byte to the last, and what is held against whom.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, PeerId, identify, ping};

use super::Peer;
use super::actor::Actor;
use super::book;
use super::clock::Told;
use super::identity::{node_of, shown};
use super::private;
use super::shared::now_ms;
use super::standing::BAN;

/// How long a peer may take to say what it is.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a refused peer stays connected, so that it learns from our side of identify why it is refused.
const REFUSAL: Duration = Duration::from_secs(1);
const AGENT_CHARS_MAX: usize = 64;

/// All connections to one peer.
#[derive(Debug)]
pub struct Link {
    connections: HashMap<ConnectionId, ConnectedPoint>,
    since: Instant,
    since_ms: u64,
    rtt_us: Option<u32>,
    told: Told,
    state: State,
}

/// How far a peer got.
#[derive(Debug)]
enum State {
    /// It did not say yet what it is.
    New,
    /// It is of our network, and listens at these addresses.
    Peer(Vec<Multiaddr>),
    /// It is not wanted; the connection is closed then.
    Refused(Instant),
}

impl Link {
    fn new() -> Self {
        Self {
            connections: HashMap::new(),
            since: Instant::now(),
            since_ms: now_ms(),
            rtt_us: None,
            told: Told::default(),
            state: State::New,
        }
    }

    /// Where the peer listens, as far as it said.
    pub fn addresses(&self) -> &[Multiaddr] {
        match &self.state {
            State::Peer(addresses) => addresses,
            State::New | State::Refused(_) => &[],
        }
    }

    /// Whether it is of our network.
    pub fn is_peer(&self) -> bool {
        matches!(self.state, State::Peer(_))
    }

    /// Whether what it sends is not even looked at.
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    fn was_dialled(&self) -> bool {
        self.connections.values().any(ConnectedPoint::is_dialer)
    }

    /// Where the peer can be dialled: what we dialled ourselves, then what it says. Loopback means something only to those
    /// who came over it.
    fn reachable(&self, said: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let remotes = self.connections.values().map(ConnectedPoint::get_remote_address);
        let is_local = remotes.clone().any(is_loopback);
        let dialled = self
            .connections
            .values()
            .filter(|c| c.is_dialer())
            .map(|c| c.get_remote_address().clone());
        let said = said
            .into_iter()
            .filter(|address| is_local || !is_loopback(address));
        let mut addresses = Vec::new();
        for address in dialled.chain(said).map(bare) {
            if addresses.len() < book::ADDRESSES_MAX
                && book::is_dialable(&address)
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
        addresses
    }
}

impl Actor {
    /// How many peers of our network are connected.
    pub(super) fn peer_count(&self) -> usize {
        self.links.values().filter(|link| link.is_peer()).count()
    }

    /// Whether what `peer` sends is to be dropped.
    pub(super) fn is_refused(&self, peer: &PeerId) -> bool {
        self.links.get(peer).is_none_or(Link::is_refused)
    }

    pub(super) fn connected(&mut self, peer: PeerId, id: ConnectionId, endpoint: ConnectedPoint) {
        self.links
            .entry(peer)
            .or_insert_with(Link::new)
            .connections
            .insert(id, endpoint);
    }

    pub(super) fn closed(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(link) = self.links.get_mut(peer) else {
            return;
        };
        let was_dialled = link.was_dialled();
        link.connections.remove(&id);
        if !link.connections.is_empty() {
            return;
        }
        let now = Instant::now();
        match self.links.remove(peer).map(|link| link.state) {
            Some(State::Peer(_)) => self.book.lost(peer, now),
            Some(State::New) if was_dialled => {
                self.book.failed(peer, now);
                let reason = "it closed the connection before it said what it is: it may be full, or have banned this node";
                self.list(peer, "silent", reason);
            }
            _ => {}
        }
        self.shared.view().peers.remove(peer);
        self.metrics.peers.set(self.peer_count() as i64);
    }

    pub(super) fn undialled(&mut self, peer: &PeerId, error: &DialError) {
        if matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        self.book.failed(peer, Instant::now());
        tracing::debug!(%peer, %error, "cannot dial");
        let mut reason = format!("cannot be dialled: {}", dial_reason(error));
        if private::is_after_contact(error) {
            reason = format!("{reason}; {}", private::suspicion(self.network_key));
            if self.network_key.is_some() {
                tracing::warn!(%peer, reason, "no connection in the private network");
            }
        }
        if self.book.is_joined(peer) && !self.swarm.behaviour().banned.blocked_peers().contains(peer) {
            self.list(peer, "dial", &reason);
        }
    }

    /// Somebody came who did not get through the handshake. In an open network that is anybody; in a private one perhaps a
    /// node with another key, which the operator of either should see.
    pub(super) fn unintelligible(&mut self, from: &Multiaddr) {
        let Some(key) = self.network_key else {
            return;
        };
        // The port is another one each time.
        let who: Multiaddr = from.iter().take(1).collect();
        let reason = format!(
            "it came and did not speak with the key of this private network ({key:?}, mesh.psk_file): it has another one, or none"
        );
        tracing::warn!(%who, reason, "no connection in the private network");
        self.metrics.refused("key");
        self.shared.view().refuse(who.to_string(), "key", reason);
    }

    pub(super) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            peer_id: peer, info, ..
        } = event
        else {
            return;
        };
        match self.network.judge(&info.protocol_version) {
            Ok(()) if node_of(&peer).is_some() => self.welcome(peer, info),
            Ok(()) => self.refuse(&peer, "protocol", "its key is not ed25519, which no node has"),
            Err(foreign) => {
                if self.book.is_joined(&peer) {
                    tracing::warn!(%peer, reason = foreign.reason, "a node to join is refused");
                }
                self.book.refused(&peer, None, Instant::now());
                self.refuse(&peer, foreign.kind, &foreign.reason);
            }
        }
    }

    fn welcome(&mut self, peer: PeerId, info: identify::Info) {
        let (Some(link), Some(node)) = (self.links.get_mut(&peer), node_of(&peer)) else {
            return;
        };
        if link.is_refused() {
            return;
        }
        let addresses = link.reachable(info.listen_addrs);
        for address in &addresses {
            self.swarm.behaviour_mut().kad.add_address(&peer, address.clone());
        }
        self.book.met(peer, &addresses, Instant::now());
        let is_new = !link.is_peer();
        link.state = State::Peer(addresses);
        let Some(connection) = link.connections.values().next() else {
            return;
        };
        let score = self.standings.score(&peer);
        let view = Peer {
            node,
            peer_id: peer.to_string(),
            address: connection.get_remote_address().to_string(),
            inbound: connection.is_listener(),
            rtt_us: link.rtt_us,
            clock_ahead_ms: link.told.ahead_ms(),
            score,
            agent: shown(&info.agent_version, AGENT_CHARS_MAX),
            since_ms: link.since_ms,
        };
        self.shared.view().welcome(peer, view);
        if is_new {
            tracing::debug!(%peer, "a peer");
            self.swarm
                .behaviour_mut()
                .gossip
                .set_application_score(&peer, score as f64);
            let count = self.peer_count();
            self.metrics.peers.set(count as i64);
            if count == 1 {
                self.announce_all();
            }
        }
    }

    pub(super) fn on_ping(&mut self, event: &ping::Event) {
        let Some(link) = self.links.get_mut(&event.peer) else {
            return;
        };
        match &event.result {
            Ok(rtt) => {
                let now = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                // As TCP smooths it (RFC 6298, section 2).
                let smooth = |old: u32| ((u64::from(old) * 7 + u64::from(now)) / 8) as u32;
                link.rtt_us = Some(link.rtt_us.map_or(now, smooth));
                if let Some(peer) = self.shared.view().peers.get_mut(&event.peer) {
                    peer.rtt_us = link.rtt_us;
                }
            }
            // A peer without ping is only not measured.
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "no pong");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    /// A peer said itself what time it has.
    pub(super) fn time_told(&mut self, peer: &PeerId, signed_ms: u64, now_ms: u64) {
        let Some(link) = self.links.get_mut(peer) else {
            return;
        };
        link.told.hear(signed_ms, now_ms);
        if let Some(view) = self.shared.view().peers.get_mut(peer) {
            view.clock_ahead_ms = link.told.ahead_ms();
        }
    }

    /// Takes points off a peer.
    pub(super) fn fault(&mut self, peer: PeerId, points: i64, reason: &str) {
        let now = Instant::now();
        let reason = shown(reason, 200);
        tracing::debug!(%peer, points, reason, "a fault");
        let is_banned = self.standings.fault(peer, points, now);
        self.show_score(&peer, self.standings.score(&peer));
        if is_banned {
            tracing::warn!(%peer, reason, "a peer is banned for 10 minutes");
            self.book.refused(&peer, Some(BAN), now);
            self.refuse(&peer, "banned", &format!("banned for 10 minutes: {reason}"));
            self.swarm.behaviour_mut().banned.block_peer(peer);
        }
    }

    /// Gives points back as time goes by.
    pub(super) fn pardon(&mut self, now: Instant) {
        let pardons = self.standings.pardon(now);
        for (peer, score) in pardons.scores {
            self.show_score(&peer, score);
        }
        for peer in pardons.free {
            self.swarm.behaviour_mut().banned.unblock_peer(peer);
            let who = peer.to_string();
            self.shared.view().refused.retain(|refused| refused.who != who);
        }
    }

    fn show_score(&mut self, peer: &PeerId, score: i64) {
        self.swarm
            .behaviour_mut()
            .gossip
            .set_application_score(peer, score as f64);
        if let Some(view) = self.shared.view().peers.get_mut(peer) {
            view.score = score;
        }
    }

    /// Closes connections to those who said nothing, and to those who were refused.
    pub(super) fn drop_overdue(&mut self, now: Instant) {
        let is_silent =
            |link: &Link| matches!(link.state, State::New) && now.duration_since(link.since) >= SILENCE;
        let silent: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| is_silent(link))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in silent {
            self.book.failed(&peer, now);
            self.refuse(&peer, "silent", "it did not say within 10 s what it is");
        }
        for (peer, link) in &self.links {
            if matches!(link.state, State::Refused(until) if until <= now) {
                // It may be closing already.
                let _ = self.swarm.disconnect_peer_id(*peer);
            }
        }
    }

    /// Dials whom the book says.
    pub(super) fn dial(&mut self, now: Instant) {
        let more = self.peer_count() < self.limits.peers_wanted;
        let links = &self.links;
        for (peer, addresses) in self.book.due(now, more, |peer| links.contains_key(peer)) {
            let opts = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .build();
            if let Err(error) = self.swarm.dial(opts) {
                self.undialled(&peer, &error);
            }
        }
    }

    /// From here on nothing from this peer is looked at, and soon it is gone.
    fn refuse(&mut self, peer: &PeerId, kind: &'static str, reason: &str) {
        self.swarm.behaviour_mut().kad.remove_peer(peer);
        if let Some(link) = self.links.get_mut(peer) {
            if link.is_refused() {
                return;
            }
            link.state = State::Refused(Instant::now() + REFUSAL);
        }
        self.list(peer, kind, reason);
        self.shared.view().peers.remove(peer);
        self.metrics.peers.set(self.peer_count() as i64);
    }

    fn list(&self, peer: &PeerId, kind: &'static str, reason: &str) {
        self.metrics.refused(kind);
        self.shared.view().refuse(peer.to_string(), kind, reason.into());
    }
}

/// An address without the peer id at its end.
fn bare(mut address: Multiaddr) -> Multiaddr {
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        address.pop();
    }
    address
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        _ => false,
    }
}

/// One line, with the system's own words at its end.
fn dial_reason(error: &DialError) -> String {
    match error {
        DialError::WrongPeerId { obtained, address } => {
            format!("another node, {obtained}, answers at {address}")
        }
        DialError::Transport(attempts) => attempts.first().map_or_else(
            || "no address is left".into(),
            |(address, error)| {
                let mut cause: &dyn std::error::Error = error;
                while let Some(source) = cause.source() {
                    cause = source;
                }
                format!("{address}: {cause}")
            },
        ),
        other => other
            .source()
            .map_or_else(|| other.to_string(), ToString::to_string),
    }
}
