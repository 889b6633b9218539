//! What edges tell each other of how far readers are: what comes over the mesh is judged here, what is new is told.
//!
//! Only registered edges that advertise themselves are heard. Who passes on what could never have been right loses points
//! as for any such message; who says again what was replaced loses one. What only comes at the wrong time may be this
//! node's own clock's fault, and costs a point if other nodes say that this clock is right.

mod metrics;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger::{Address, PublicKey, SecretKey, Signed, StateError};
use named::mesh::{Distances, Flaw, Mesh, Topic, Verdict};
use nearest::Prefix;
use nearest::digest::{Digest, Refused};
use prometheus_client::registry::Registry;

use super::folder::{self, Folder};
use super::places::{Places, Teller};
use super::{Node, health, presence};
use metrics::Metrics;

/// How often look-ups are brought up to date.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// News are told with each so many refreshes.
const TELL_EVERY: u64 = 3;
/// How far readers are is written down with each so many, for the next start; and when the node stops.
const KEEP_EVERY: u64 = 60;
/// How long what is told holds: some of it may be lost, and what did not change is told again after ten minutes.
const HOLDS_MS: u64 = 1_800_000;
/// Two digests of one edge are at least so far apart, in milliseconds of its own clock: else one edge could flood all.
const PAUSE_MS: u64 = 10_000;
/// Edges of which it is known when they told last; with more, those are forgotten that told longest ago.
const TELLERS_MAX: usize = 16_384;

/// What the ledger says of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The height of the ledger that says so.
    pub height: u64,
    /// Who registered the node as an edge, if anybody did.
    pub owner: Option<Address>,
}

/// Looks a node up in the ledger; may read a disk.
pub type Ledger = Box<dyn Fn(&PublicKey) -> Result<Entry, StateError> + Send + Sync>;

/// Both directions of one node.
pub struct Digests {
    key: SecretKey,
    chain: String,
    places: Places,
    ledger: Ledger,
    /// Set when the mesh runs.
    mesh: OnceLock<Mesh>,
    latest: Mutex<HashMap<PublicKey, u64>>,
    metrics: Metrics,
}

/// What a digest is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Judged {
    /// It is taken, and passed on.
    Taken,
    /// It could never have been right.
    Wrong(String),
    /// It is not of an edge, as far as the ledger goes that it knows itself.
    NoEdge,
    /// It is over, or not begun.
    Late,
    /// It was replaced by a later one before.
    Replayed,
    /// Nothing is known against it, nor is it known who says it, or there is no room for it now.
    Unknown,
}

impl Digests {
    /// Of the node with this key on this chain. It takes nothing before it is connected.
    pub fn new(key: SecretKey, chain: &str, places: Places, ledger: Ledger, registry: &mut Registry) -> Self {
        places.register(registry);
        Self {
            key,
            chain: chain.to_owned(),
            places,
            ledger,
            mesh: OnceLock::new(),
            latest: Mutex::default(),
            metrics: Metrics::register(registry),
        }
    }

    /// The mesh runs.
    pub fn connect(&self, mesh: Mesh) {
        // Set once; nobody else does.
        let _ = self.mesh.set(mesh);
        self.refresh();
    }

    /// Judges a message of [`Topic::Places`] that `from` passed on, and takes it if it is good. Reads a disk.
    pub fn heard(&self, from: &PublicKey, message: &[u8]) -> Verdict {
        let Some(mesh) = self.mesh.get() else {
            return Verdict::Ignore;
        };
        let judged = self.judge(mesh, message);
        self.metrics.count(judged.word());
        match judged {
            Judged::Taken => return Verdict::Accept,
            Judged::Wrong(reason) => return Verdict::Reject(reason),
            Judged::NoEdge => return Verdict::Reject("distances of a node that is no edge".to_owned()),
            Judged::Replayed => mesh.fault(from, false, "distances that were replaced before"),
            Judged::Late if is_clock_right(mesh) => mesh.fault(from, false, "distances out of their time"),
            Judged::Late | Judged::Unknown => {}
        }
        Verdict::Ignore
    }

    fn judge(&self, mesh: &Mesh, message: &[u8]) -> Judged {
        let distances = match Distances::read(message, &self.chain, now_ms()) {
            Ok(distances) => distances,
            Err(Flaw::Wrong(reason)) => return Judged::Wrong(reason),
            Err(Flaw::Stale { .. }) => return Judged::Late,
        };
        let (teller, me) = (distances.node, self.key.public());
        let (Ok(entry), Ok(own)) = ((self.ledger)(&teller), (self.ledger)(&me)) else {
            return Judged::Unknown;
        };
        let Some(owner) = entry.owner else {
            // It may have been registered in a block that is not here yet.
            let is_ahead = distances.height > entry.height;
            return if is_ahead { Judged::Unknown } else { Judged::NoEdge };
        };
        let Some(advert) = mesh.advert(&teller).filter(|_| teller != me) else {
            return Judged::Unknown;
        };
        if let Err(judged) = self.admit(&distances) {
            return judged;
        }
        let place = advert
            .addresses
            .first()
            .map(|address| Prefix::place(address.ip()));
        let Some(place) = place else {
            return Judged::Unknown;
        };
        let digest = digest(distances, &owner, place, is_inside(mesh));
        let teller = if own.owner == Some(owner) {
            Teller::Own
        } else {
            Teller::Stranger
        };
        match self.places.told(&digest, teller) {
            Ok(()) => Judged::Taken,
            Err(Refused::Replayed) => Judged::Replayed,
            Err(Refused::OutOfTime) => Judged::Late,
            Err(Refused::OutOfBounds | Refused::Crowded) => Judged::Unknown,
        }
    }

    /// Each edge in its turn: the newest, and not too many.
    fn admit(&self, distances: &Distances) -> Result<(), Judged> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.get(&distances.node).copied();
        match before {
            Some(before_ms) if distances.time_ms <= before_ms => return Err(Judged::Replayed),
            Some(before_ms) if distances.time_ms < before_ms.saturating_add(PAUSE_MS) => {
                return Err(Judged::Unknown);
            }
            _ => {}
        }
        if latest.len() >= TELLERS_MAX && before.is_none() {
            let oldest = latest.iter().min_by_key(|(_, time_ms)| **time_ms);
            if let Some(node) = oldest.map(|(node, _)| *node) {
                latest.remove(&node);
            }
        }
        latest.insert(distances.node, distances.time_ms);
        Ok(())
    }

    /// Tells what is new, if anybody listens who would take it. Reads a disk.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn tell(&self) -> Result<(), StateError> {
        let Some(mesh) = self.mesh.get().filter(|mesh| !mesh.peers().is_empty()) else {
            return Ok(());
        };
        let entry = (self.ledger)(&self.key.public())?;
        if entry.owner.is_none() {
            return Ok(());
        }
        let told = self.places.news(is_inside(mesh));
        if !told.is_empty() {
            let time_ms = now_ms();
            let distances = Distances {
                node: self.key.public(),
                height: entry.height,
                time_ms,
                until_ms: time_ms + HOLDS_MS,
                told,
            };
            let signed = Signed::sign(distances, &self.chain, &self.key);
            mesh.publish(Topic::Places, signed.encode());
            self.metrics.count("told");
        }
        Ok(())
    }

    /// Brings look-ups up to date, and who is an edge and so no reader.
    pub fn refresh(&self) {
        if let Some(mesh) = self.mesh.get() {
            self.places.set_edges(addresses(mesh));
        }
        self.places.refresh();
    }
}

impl Judged {
    fn word(&self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Wrong(_) => "wrong",
            Self::NoEdge => "no_edge",
            Self::Late => "late",
            Self::Replayed => "replayed",
            Self::Unknown => "unknown",
        }
    }
}

/// Takes back how far readers were before the last stop.
pub fn restore(folder: &Folder, places: &Places) {
    let path = folder.readers();
    let content = folder::read(&path, Places::KEPT_BYTES_MAX);
    match content.map(|content| content.is_none_or(|content| places.restore(&content))) {
        Ok(true) => {}
        Ok(false) => {
            tracing::warn!(path = %path.display(), "how far readers were cannot be read, and is measured anew");
        }
        Err(error) => tracing::warn!(%error, "how far readers were cannot be read, and is measured anew"),
    }
}

/// Writes down how far readers are.
pub fn keep(node: &Node) {
    if let Err(error) = folder::write(&node.folder.readers(), &node.reader_places.kept()) {
        tracing::warn!(%error, "how far readers are cannot be written, and is measured anew after a restart");
    }
}

/// Until the node stops: look-ups up to date, and others told.
pub async fn keep_up(node: &Arc<Node>) {
    let mut beat = tokio::time::interval(REFRESH_EVERY);
    for count in 0u64.. {
        beat.tick().await;
        let node = Arc::clone(node);
        let worked = tokio::task::spawn_blocking(move || {
            node.digests.refresh();
            if count % KEEP_EVERY == KEEP_EVERY - 1 {
                keep(&node);
            }
            match count % TELL_EVERY {
                0 => node.digests.tell(),
                _ => Ok(()),
            }
        });
        if let Ok(Err(error)) = worked.await {
            tracing::error!(%error, "this edge's entry on the ledger cannot be read");
        }
    }
}

fn digest(distances: Distances, owner: &Address, place: Prefix, inside: bool) -> Digest {
    let mut told = distances.told;
    // Elsewhere a private network of the same number is another one.
    told.retain(|told| inside || !told.place.is_private());
    let mut operator = [0; 32];
    operator[..owner.as_bytes().len()].copy_from_slice(owner.as_bytes());
    Digest {
        reporter: *distances.node.as_bytes(),
        operator,
        place,
        issued_us: distances.time_ms.saturating_mul(1_000),
        expires_us: distances.until_ms.saturating_mul(1_000),
        distances: told,
    }
}

/// Whether this node is in a private network with all others that it can reach.
fn is_inside(mesh: &Mesh) -> bool {
    let mesh = mesh.addresses();
    let mut ips = mesh.iter().filter_map(|address| presence::ip_of(address));
    ips.all(|ip| Prefix::place(ip).is_private())
}

/// From where other nodes come, and this one.
fn addresses(mesh: &Mesh) -> HashSet<IpAddr> {
    let adverts = mesh.adverts().into_iter().flat_map(|advert| {
        let webs = advert.gateway.into_iter().chain(advert.provider);
        let webs: Vec<_> = webs.filter_map(|web| presence::ip_of(&web.multiaddr())).collect();
        advert
            .addresses
            .into_iter()
            .map(|address| address.ip())
            .chain(webs)
    });
    let peers = mesh.peers().into_iter().map(|peer| peer.address);
    let connected = peers.chain(mesh.addresses()).collect::<Vec<_>>();
    let connected = connected.iter().filter_map(|address| presence::ip_of(address));
    adverts.chain(connected).map(|ip| ip.to_canonical()).collect()
}

/// Whether others say that this node's clock is right.
fn is_clock_right(mesh: &Mesh) -> bool {
    let is_near = |ahead_ms: i64| Duration::from_millis(ahead_ms.unsigned_abs()) <= health::CLOCK_OFF_MAX;
    mesh.clock().is_some_and(|clock| is_near(clock.others_ahead_ms))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
