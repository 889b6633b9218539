//! The task that keeps the edges: hears adverts, asks the watched once a second, looks at what was measured, and shows what
//! is known now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chain::Chain;
use ledger::{EdgeEntry, PublicKey, State as _};
use nearest::advert::Health;
use nearest::candidates::{Distance, Limits};
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::track::Sighting;
use super::{Edges, Known, NamedEdges, probe, view, wall_us};
use crate::node::look::Door;
use crate::node::verdicts::{Turn, epoch_blocks};
use crate::node::{Node, health, notices, presence, setup};

/// How often it looks: who is gone loses its readers so much later than the rule says.
const LOOK_EVERY: Duration = Duration::from_millis(125);
/// The watched are asked with each so many looks: once a second, [`super::book::ASKED_EVERY_US`].
const ASK_EVERY: u64 = 8;

/// Until the node stops.
pub async fn keep(node: Arc<Node>) {
    let mut keeper = Keeper {
        asked: JoinSet::new(),
        told: JoinSet::new(),
        epoch: None,
        ledger: Ledger::default(),
        names_edges: false,
        me: None,
        verifier: setup::verifier(&node.config.settings, node.folder.dir()),
        node: Arc::clone(&node),
    };
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let kept = async {
        for count in 0u64.. {
            looks.tick().await;
            keeper.step(count % ASK_EVERY == 0).await;
        }
    };
    tokio::select! {
        () = node.stop.cancelled() => {}
        () = kept => {}
    }
}

struct Keeper {
    node: Arc<Node>,
    asked: JoinSet<(PublicKey, Sighting)>,
    /// Notices on their way.
    told: JoinSet<()>,
    /// The epoch of the last turn.
    epoch: Option<u64>,
    ledger: Ledger,
    /// Whether DNS asks for the edges already.
    names_edges: bool,
    /// Which the disk is asked for, so once a second only.
    me: Option<Known>,
    /// By what certificates are judged.
    verifier: Option<Arc<ClientConfig>>,
}

impl Keeper {
    async fn step(&mut self, asks: bool) {
        let node = Arc::clone(&self.node);
        let edges = &node.edges;
        self.hear(edges).await;
        while let Some(seen) = self.asked.try_join_next() {
            // One that broke down asked nobody: φ will tell.
            let Ok((who, seen)) = seen else { continue };
            let now_us = edges.now_us();
            edges.book().seen(&who, seen, now_us);
        }
        if asks {
            let own = self.ledger.of(&node.node_key().public());
            edges.book().belong(own.as_ref());
            self.me = Some(myself(&node, own.is_some()));
            for errand in edges.book().errands(wall_us()) {
                let verifier = self.verifier.clone();
                self.asked
                    .spawn(async move { (errand.node, probe::visit(&errand, verifier).await) });
            }
            self.judge(edges).await;
        }
        let Some(me) = self.me.clone() else { return };
        let view = {
            let mut book = edges.book();
            book.look(edges.now_us());
            book.view(with_load(me, &node), &limits(), (edges.now_us(), wall_us()))
        };
        let is_somebody_named = view
            .candidates
            .iter()
            .any(|known| known.is_registered && !known.doors.is_empty());
        edges.publish(view);
        if is_somebody_named && !std::mem::replace(&mut self.names_edges, true) {
            // Not before: what the settings say may be kept for as long as nothing else is known.
            node.directory.set_nearest(Arc::new(NamedEdges::of(&node)));
        }
        presence::tell_load(&node);
    }

    /// What comes of what was measured over minutes and hours: who is in quarantine is told, who failed is named to the other
    /// judges, and whom they convicted is out.
    async fn judge(&mut self, edges: &Edges) {
        while self.told.try_join_next().is_some() {}
        let told = edges.book().count(edges.now_us());
        for (edge, why) in told {
            let mesh = self.node.mesh.clone();
            self.told
                .spawn(async move { notices::tell(&mesh, &edge, why).await });
        }
        self.turn(edges).await;
        if let Some((epoch, convicted)) = self.node.verdicts.convicted() {
            edges.book().convict(&convicted, epoch, edges.now_us());
        }
    }

    /// Ends an epoch, once.
    async fn turn(&mut self, edges: &Edges) {
        let chain = &self.node.chain;
        let blocks = epoch_blocks(chain.genesis().block_time_ms);
        let epoch = chain.height() / blocks;
        if epoch == 0 || self.epoch.replace(epoch) == Some(epoch) {
            return;
        }
        let failing = edges.book().turn(epoch, edges.now_us());
        let (operators, node) = (edges.book().operators(), Arc::clone(&self.node));
        let turned = tokio::task::spawn_blocking(move || {
            // Without the first block, as after a start from a snapshot, nobody is judged for it.
            let (first, _) = node.chain.block(epoch * blocks).ok().flatten()?;
            let seed = first.header.id().0;
            node.verdicts.turn(Turn { epoch, seed }, operators, &failing);
            Some(())
        });
        // One that broke down judges nobody.
        let _ = turned.await;
    }

    /// Takes what is new of adverts and of the ledger.
    async fn hear(&mut self, edges: &Edges) {
        let node = &self.node;
        let news = node.mesh.adverts_since(|who| edges.book().newest_ms(who));
        let mut known: Vec<PublicKey> = edges.book().nodes().collect();
        known.push(node.node_key().public());
        known.extend(news.iter().map(|said| said.node));
        let changed = self.ledger.read(&node.chain, known).await;
        let mut book = edges.book();
        for who in changed {
            book.register(&who, self.ledger.of(&who), wall_us());
        }
        for said in news {
            let entry = self.ledger.of(&said.node);
            book.hear(said, entry, wall_us());
        }
    }
}

/// What the ledger says of edges, as it was read last.
#[derive(Default)]
struct Ledger {
    height: Option<u64>,
    entries: HashMap<PublicKey, Option<EdgeEntry>>,
}

impl Ledger {
    fn of(&self, node: &PublicKey) -> Option<EdgeEntry> {
        self.entries.get(node).cloned().flatten()
    }

    /// Reads the entries of these nodes, all after a block, else only those that are new; returns whose is another one.
    async fn read(&mut self, chain: &Chain, nodes: Vec<PublicKey>) -> Vec<PublicKey> {
        let height = chain.height();
        let is_stale = self.height != Some(height);
        let wanted: Vec<PublicKey> = nodes
            .iter()
            .filter(|node| is_stale || !self.entries.contains_key(node))
            .copied()
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        let chain = chain.clone();
        let read = tokio::task::spawn_blocking(move || {
            let state = chain.state();
            let of = |node: PublicKey| Some((node, state.edge(&node).ok()?));
            wanted.into_iter().filter_map(of).collect::<Vec<_>>()
        });
        let read = read.await.unwrap_or_default();
        self.height = Some(height);
        self.entries.retain(|node, _| nodes.contains(node));
        let mut changed = Vec::new();
        for (node, entry) in read {
            let before = self.entries.insert(node, entry);
            if before.as_ref() != self.entries.get(&node) {
                changed.push(node);
            }
        }
        changed
    }
}

/// Readers are sent to nobody who says that anything is wrong with it.
fn limits() -> Limits {
    Limits {
        ills: Health::new(named::mesh::HEALTH_BITS).unwrap_or_default(),
        ..Limits::default()
    }
}

/// This node as one of the edges: peers say whether its gateway is reached.
fn myself(node: &Node, is_registered: bool) -> Known {
    let webs = node.webs.get().cloned().unwrap_or_default();
    let is_well = health::bits(node) == 0;
    let sights = node.outlook.sights();
    let reached = sights
        .iter()
        .find(|sight| matches!(sight.door, Door::Gateway { .. }) && sight.reached > 0)
        .filter(|_| is_well);
    let id = *node.node_key().public().as_bytes();
    Known {
        node: node.node_key().public(),
        is_here: true,
        is_registered,
        distance: Distance::Measured(0),
        edge: nearest::Edge {
            id,
            rtt_us: 0,
            capacity: node.capacity(),
            inflight: 0,
            alive: is_well,
        },
        addresses: presence::addresses(node),
        doors: reached
            .and_then(|sight| sight.address)
            .map(|address| address.ip())
            .into_iter()
            .collect(),
        port: webs.port,
        tls_port: webs.tls_port.map(std::num::NonZeroU16::get),
        gateway: webs.gateway,
        provider: webs.provider,
        domains: node.domains(),
    }
}

fn with_load(mut me: Known, node: &Node) -> Known {
    me.edge.inflight = node.load();
    me
}

/// In how large a part of its capacity this node is, for its adverts.
pub fn own_step(node: &Node) -> u32 {
    view::load_step(node.load(), node.capacity())
}
