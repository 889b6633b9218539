//! What the handles and the actor share: what the actor shows of itself, and orders that need no answer.
//!
//! Orders do not go through the channel of commands, since a full channel would lose them or make their senders wait. The
//! last order wins where only the last matters; the others are bounded, oldest out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{PublicKey, Signed};
use libp2p::PeerId;
use libp2p::kad::RecordKey;
use tokio::sync::Notify;

use super::message::{Advert, Endpoint};
use super::{Peer, Refused, Topic};

/// The most refusals that are shown.
const REFUSED_MAX: usize = 64;
/// The most messages and faults that wait for the actor, which takes them all at once.
const WAITING_MAX: usize = 1024;

/// Shared by all handles of a mesh and its actor.
#[derive(Debug, Default)]
pub struct Shared {
    view: Mutex<View>,
    orders: Mutex<Orders>,
    /// Woken when there are orders.
    pub ordered: Notify,
}

/// What the actor shows.
#[derive(Debug, Default)]
pub struct View {
    /// Where this node is reached, with its peer id.
    pub addresses: Vec<String>,
    /// The connected peers of our network.
    pub peers: HashMap<PeerId, Peer>,
    /// The last refusals, the newest last.
    pub refused: VecDeque<Refused>,
    /// The newest advert of each edge, expired ones too.
    pub adverts: HashMap<PublicKey, Advert>,
}

/// What the actor is to do.
#[derive(Debug, Default)]
pub struct Orders {
    /// Messages to everybody.
    pub publish: VecDeque<(Topic, Vec<u8>)>,
    /// Keys to announce (true) or not any more.
    pub provide: BTreeMap<Vec<u8>, bool>,
    /// Our endpoint record.
    pub endpoint: Option<Signed<Endpoint>>,
    /// Our advert.
    pub advert: Option<Signed<Advert>>,
    /// What peers did wrong.
    pub faults: VecDeque<Fault>,
}

/// What a peer did wrong.
#[derive(Debug)]
pub struct Fault {
    /// Who.
    pub peer: PeerId,
    /// How bad, in points of the standing.
    pub points: i64,
    /// What.
    pub reason: String,
}

impl Shared {
    /// The view. It is held for a few instructions only, never across an await.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the orders and wakes the actor.
    pub fn order(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        self.ordered.notify_one();
    }

    /// Takes all orders.
    pub fn take_orders(&self) -> Orders {
        std::mem::take(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl View {
    /// Shows a refusal. One line for each peer: the last.
    pub fn refuse(&mut self, who: String, kind: &'static str, reason: String) {
        self.refused.retain(|refused| refused.who != who);
        if self.refused.len() == REFUSED_MAX {
            self.refused.pop_front();
        }
        self.refused.push_back(Refused { who, kind, reason });
    }

    /// The peer is one of ours after all.
    pub fn welcome(&mut self, peer: PeerId, view: Peer) {
        self.refused.retain(|refused| refused.who != view.peer_id);
        self.peers.insert(peer, view);
    }
}

impl Orders {
    /// Adds a message; with too many waiting, the oldest is lost, and returned.
    pub fn publish(&mut self, topic: Topic, bytes: Vec<u8>) -> Option<(Topic, Vec<u8>)> {
        push(&mut self.publish, (topic, bytes))
    }

    /// Adds a fault.
    pub fn fault(&mut self, fault: Fault) {
        push(&mut self.faults, fault);
    }

    /// Announces a key, or stops. Bounded by the caller's own number of roots.
    pub fn provide(&mut self, key: &RecordKey, wanted: bool) {
        self.provide.insert(key.to_vec(), wanted);
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T) -> Option<T> {
    let lost = if queue.len() >= WAITING_MAX {
        queue.pop_front()
    } else {
        None
    };
    queue.push_back(item);
    lost
}

/// The clock: milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
