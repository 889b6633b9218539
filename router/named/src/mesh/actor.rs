//! The one task that owns the network. It takes events, commands, orders and the results of its tasks, one after the other,
//! and never waits for a peer or for the handler.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ledger::PublicKey;
use libp2p::kad::RecordKey;
use libp2p::swarm::{ListenError, SwarmEvent};
use libp2p::{PeerId, Swarm, allow_block_list};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};

use super::behaviour::{self, Behaviour, BehaviourEvent};
use super::book::{self, Book};
use super::config::{Config, Limits};
use super::error::Error;
use super::gossip::{Checked, Talk};
use super::identity::Network;
use super::lookup::Lookups;
use super::metrics::Metrics;
use super::peers::Link;
use super::private::NetworkKey;
use super::remembered::{self, Clocks};
use super::requests::{Answer, Requests};
use super::seeds::{Seeds, Sown};
use super::shared::{Shared, now_ms};
use super::standing::Standings;
use super::{Handler, Topic};

/// How often the clock is looked at: for dials, silent peers, pardons, the peers file.
const TICK: Duration = Duration::from_millis(500);
/// How often records that expired are dropped; they are not served in between.
const SWEEP: Duration = Duration::from_secs(60);
/// How often the peers file is written at most.
const SAVE_PAUSE: Duration = Duration::from_secs(5);
/// How often the seeds are asked while there are too few peers.
const SEEDS_PAUSE: Duration = Duration::from_secs(60);
/// How long the system may take to listen.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may take to close in order.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// What handles ask for. Each sender is answered or dropped.
pub enum Command {
    /// A request to a peer.
    Ask {
        /// Whom.
        peer: PeerId,
        /// What.
        request: Vec<u8>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Vec<u8>, Error>>,
    },
    /// Who provides a key. Dropped when there is no more to find.
    Providers {
        /// The key.
        key: RecordKey,
        /// Where they go.
        found: mpsc::Sender<Vec<PeerId>>,
    },
    /// The endpoint records of a node, unchecked. Dropped when there is no more to find.
    Endpoint {
        /// The node.
        node: PublicKey,
        /// Where they go.
        found: mpsc::Sender<Vec<u8>>,
    },
    /// The end.
    Stop,
}

/// The owner of the network.
pub struct Actor {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) network: Network,
    pub(super) limits: Limits,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Metrics,
    pub(super) links: HashMap<PeerId, Link>,
    pub(super) book: Book,
    pub(super) network_key: Option<NetworkKey>,
    pub(super) standings: Standings,
    pub(super) talk: Talk,
    pub(super) lookups: Lookups,
    pub(super) requests: Requests,
    pub(super) checks: JoinSet<Checked>,
    pub(super) answers: JoinSet<Answer>,
    commands: mpsc::Receiver<Command>,
    peers_file: PathBuf,
    saves: JoinSet<()>,
    saved: Option<Instant>,
    providers_file: PathBuf,
    provider_saves: JoinSet<std::io::Result<()>>,
    swept: Instant,
    seeds: Option<Seeds>,
    sowing: JoinSet<Sown>,
    sown: Option<Instant>,
}

impl Actor {
    /// Binds the address. Nothing happens on it until [`Self::run`].
    pub async fn start(
        config: Config,
        handler: Arc<dyn Handler>,
        shared: Arc<Shared>,
        metrics: Metrics,
        commands: mpsc::Receiver<Command>,
    ) -> Result<Self, Error> {
        let (network, addresses, now) = (config.network(), config.addresses()?, Instant::now());
        let seeds = Seeds::open(&config.seeds, &config.seed_servers)?;
        let mut swarm = behaviour::swarm(&config, &network)?;
        restore_providers(&mut swarm, &config.providers_file);
        listen(&mut swarm, &config).await?;
        for address in addresses.external {
            swarm.add_external_address(address);
        }
        let mut book = Book::new(config.limits.peers_remembered_max);
        restore(&mut book, &config, now);
        for (peer, address) in addresses.join {
            book.join(peer, address, now);
        }
        let actor = Self {
            talk: Talk::new(&network),
            lookups: Lookups::default(),
            requests: Requests::default(),
            swarm,
            network,
            limits: config.limits,
            handler,
            shared,
            metrics,
            links: HashMap::new(),
            book,
            network_key: config.network_key,
            standings: Standings::default(),
            checks: JoinSet::new(),
            answers: JoinSet::new(),
            commands,
            peers_file: config.peers_file,
            saves: JoinSet::new(),
            saved: None,
            providers_file: config.providers_file,
            provider_saves: JoinSet::new(),
            swept: now,
            seeds,
            sowing: JoinSet::new(),
            sown: None,
        };
        actor.show_addresses();
        Ok(actor)
    }

    /// Runs until it is told to stop, or nobody has a handle any more.
    pub async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                command = self.commands.recv() => match command {
                    Some(Command::Stop) | None => break,
                    Some(command) => self.on_command(command),
                },
                () = self.shared.ordered.notified() => self.on_orders(),
                Some(checked) = self.checks.join_next() => match checked {
                    Ok(checked) => self.on_checked(checked),
                    Err(error) => tracing::error!(%error, "a check of gossip ended badly"),
                },
                Some(answer) = self.answers.join_next() => match answer {
                    Ok(answer) => self.on_answer(answer),
                    Err(error) => tracing::error!(%error, "answering a request ended badly"),
                },
                Some(_) = self.saves.join_next() => {}
                Some(saved) = self.provider_saves.join_next() => self.on_providers_saved(saved.ok()),
                Some(sown) = self.sowing.join_next() => match sown {
                    Ok(sown) => self.on_sown(sown),
                    Err(error) => tracing::error!(%error, "asking the seeds ended badly"),
                },
                _ = tick.tick() => self.on_tick(),
            }
        }
        self.close().await;
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                self.connected(peer_id, connection_id, endpoint);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => self.closed(&peer_id, connection_id),
            SwarmEvent::OutgoingConnectionError {
                peer_id: Some(peer),
                error,
                ..
            } => self.undialled(&peer, &error),
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Transport(_),
                send_back_addr,
                ..
            } => self.unintelligible(&send_back_addr),
            SwarmEvent::IncomingConnectionError {
                error: ListenError::Denied { cause },
                ..
            } => {
                let is_banned = cause.downcast_ref::<allow_block_list::Blocked>().is_some();
                self.metrics.refused(if is_banned { "banned" } else { "limit" });
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.show_addresses(),
            SwarmEvent::ListenerClosed { reason, .. } => tracing::error!(?reason, "the mesh listens no more"),
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "accepting a connection failed");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => self.on_identify(event),
            BehaviourEvent::Ping(event) => self.on_ping(&event),
            BehaviourEvent::Kad(event) => self.on_kad(event),
            BehaviourEvent::Gossip(event) => self.on_gossip(event),
            BehaviourEvent::Exchange(event) => self.on_exchange(event),
            BehaviourEvent::Limits(never) | BehaviourEvent::Memory(never) | BehaviourEvent::Banned(never) => {
                let never: Infallible = never;
                match never {}
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Ask { peer, request, reply } => self.ask(peer, request, reply),
            Command::Providers { key, found } => self.find_providers(key, found),
            Command::Endpoint { node, found } => self.find_endpoint(&node, found),
            Command::Stop => {}
        }
    }

    fn on_orders(&mut self) {
        let orders = self.shared.take_orders();
        for fault in orders.faults {
            self.fault(fault.peer, fault.points, &fault.reason);
        }
        for (key, wanted) in orders.provide {
            self.provide(RecordKey::from(key), wanted);
        }
        if let Some(endpoint) = orders.endpoint {
            self.set_endpoint(endpoint);
        }
        for (topic, bytes) in orders.publish {
            match topic {
                Topic::Places | Topic::Failures => self.say(topic, bytes),
                _ => {
                    self.publish(topic, bytes);
                }
            }
        }
        if let Some(advert) = orders.advert {
            self.advertise(advert);
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        self.pardon(now);
        self.drop_overdue(now);
        self.sow(now);
        self.dial(now);
        self.stop_unwanted_lookups();
        self.talk.forget(now);
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.swarm.behaviour_mut().kad.store_mut().sweep(now);
        }
        let store = self.swarm.behaviour_mut().kad.store_mut();
        self.metrics.provider_records.set(store.provider_records() as i64);
        self.metrics.provided.set(store.own_keys() as i64);
        self.forget_adverts(now_ms());
        self.save(now);
    }

    pub(super) fn show_addresses(&self) {
        let me = self.swarm.local_peer_id();
        let mut addresses = Vec::new();
        for address in self.swarm.external_addresses().chain(self.swarm.listeners()) {
            let address = book::full(address, me).to_string();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        self.shared.view().addresses = addresses;
    }

    fn save(&mut self, now: Instant) {
        let is_soon = self
            .saved
            .is_some_and(|saved| now.duration_since(saved) < SAVE_PAUSE);
        if is_soon || !self.saves.is_empty() {
            return;
        }
        if let Some(text) = self.book.unsaved() {
            self.saved = Some(now);
            let path = self.peers_file.clone();
            self.saves.spawn_blocking(move || save(&path, &text));
        }
        self.save_providers(now);
    }

    fn save_providers(&mut self, now: Instant) {
        if !self.provider_saves.is_empty() {
            return;
        }
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let clocks = Clocks {
            now,
            now_ms: now_ms(),
        };
        if let Some(change) = store.unsaved(clocks) {
            self.saved = Some(now);
            let path = self.providers_file.clone();
            self.provider_saves
                .spawn_blocking(move || remembered::save(&path, &change));
        }
    }

    fn on_providers_saved(&mut self, saved: Option<std::io::Result<()>>) {
        if let Some(Ok(())) = saved {
            return;
        }
        let (path, error) = (self.providers_file.display(), saved.and_then(Result::err));
        tracing::warn!(%path, ?error, "who provides what cannot be written; after a restart it is learnt anew");
        self.swarm.behaviour_mut().kad.store_mut().unwritten();
    }

    /// Asks the seeds while there are too few peers, now and then.
    fn sow(&mut self, now: Instant) {
        let is_soon = self
            .sown
            .is_some_and(|sown| now.duration_since(sown) < SEEDS_PAUSE);
        if is_soon || !self.sowing.is_empty() || self.peer_count() >= self.limits.peers_wanted {
            return;
        }
        if let Some(seeds) = self.seeds.clone() {
            self.sown = Some(now);
            self.sowing.spawn(seeds.ask());
        }
    }

    fn on_sown(&mut self, sown: Sown) {
        let (me, now) = (*self.swarm.local_peer_id(), Instant::now());
        for (domain, reason) in sown.barren {
            tracing::warn!(seed = domain, reason, "a seed brings no peers");
            self.shared.view().refuse(domain, "seed", reason);
        }
        for (peer, address) in sown.peers.into_iter().filter(|(peer, _)| *peer != me) {
            self.book.suggest(peer, address, now);
        }
        self.dial(now);
    }

    /// Tells everybody, then lets go of everything. Whoever waits for an answer learns that there will be none.
    async fn close(mut self) {
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            // It may have left by itself.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let deadline = tokio::time::Instant::now() + CLOSE_TIMEOUT;
        while self.swarm.connected_peers().next().is_some()
            && timeout_at(deadline, self.swarm.select_next_some()).await.is_ok()
        {}
        if let Some(text) = self.book.unsaved() {
            let path = std::mem::take(&mut self.peers_file);
            self.saves.spawn_blocking(move || save(&path, &text));
        }
        while self.saves.join_next().await.is_some() {}
        while self.provider_saves.join_next().await.is_some() {}
        self.save_providers(Instant::now());
        while let Some(saved) = self.provider_saves.join_next().await {
            self.on_providers_saved(saved.ok());
        }
    }
}

fn restore_providers(swarm: &mut Swarm<Behaviour>, path: &std::path::Path) {
    let clocks = Clocks {
        now: Instant::now(),
        now_ms: now_ms(),
    };
    let bytes = remembered::load(path).unwrap_or_else(|error| {
        tracing::warn!(path = %path.display(), %error, "who provides what cannot be read; it is learnt anew");
        Vec::new()
    });
    if bytes.is_empty() {
        return;
    }
    let known = remembered::read(&bytes, clocks, behaviour::RECORD_LIFE);
    if !known.is_whole {
        tracing::warn!(path = %path.display(), "the end of this file is broken; what it said is learnt anew");
    }
    swarm.behaviour_mut().kad.store_mut().restore(known);
}

/// Returns when the address is known, since port 0 becomes another one.
async fn listen(swarm: &mut Swarm<Behaviour>, config: &Config) -> Result<(), Error> {
    behaviour::listen(swarm, config.listen)?;
    let failed = |source| Error::Listen {
        address: config.listen,
        source,
    };
    loop {
        match timeout(LISTEN_TIMEOUT, swarm.select_next_some()).await {
            Ok(SwarmEvent::NewListenAddr { .. }) => return Ok(()),
            Ok(SwarmEvent::ListenerClosed {
                reason: Err(error), ..
            }) => return Err(failed(error)),
            Ok(_) => {}
            Err(_) => return Err(failed(std::io::ErrorKind::TimedOut.into())),
        }
    }
}

fn restore(book: &mut Book, config: &Config, now: Instant) {
    let path = config.peers_file.display();
    match book::load(&config.peers_file) {
        Ok(None) => {}
        Ok(Some(text)) => {
            let damaged = book.restore(&text, now);
            if damaged > 0 {
                tracing::warn!(%path, lines = damaged, "the peers file is damaged; these lines are left out");
            }
        }
        Err(error) => tracing::warn!(%path, %error, "the peers file cannot be read; starting without it"),
    }
}

fn save(path: &std::path::Path, text: &str) {
    if let Err(error) = book::save(path, text) {
        tracing::warn!(path = %path.display(), %error, "the peers file cannot be written");
    }
}
