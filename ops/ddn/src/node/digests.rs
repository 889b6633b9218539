//! What edges tell each other of how far readers are: what comes over the mesh is judged here, what is new is told.
//!
//! Only edges that advertise themselves are heard, and as [`super::hearsay`] says.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ledger::{Address, PublicKey, SecretKey, Signed, StateError};
use named::mesh::{Distances, Flaw, Mesh, Topic, Verdict};
use nearest::Prefix;
use nearest::digest::{Digest, Refused};
use prometheus_client::registry::Registry;

use super::folder::{self, Folder};
use super::hearsay::{Fates, Judged, Ledger, Turns, now_ms, operator};
use super::places::{Places, Teller};
use super::{Node, presence};

/// How often look-ups are brought up to date.
const REFRESH_EVERY: Duration = Duration::from_secs(10);
/// News are told with each so many refreshes.
const TELL_EVERY: u64 = 3;
/// How far readers are is written down with each so many, for the next start; and when the node stops.
const KEEP_EVERY: u64 = 60;
/// How long what is told holds: some of it may be lost, and what did not change is told again after ten minutes.
const HOLDS_MS: u64 = 1_800_000;

/// Both directions of one node.
pub struct Digests {
    key: SecretKey,
    chain: String,
    places: Places,
    ledger: Ledger,
    /// Set when the mesh runs.
    mesh: OnceLock<Mesh>,
    turns: Turns,
    fates: Fates,
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
            turns: Turns::default(),
            fates: Fates::register(registry, "places_digests", "Digests of readers' distances"),
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
        self.fates.count(judged.word());
        judged.verdict(mesh, from, "distances")
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
        let owner = match entry.owner(distances.height) {
            Ok(owner) => owner,
            Err(judged) => return judged,
        };
        let Some(advert) = mesh.advert(&teller).filter(|_| teller != me) else {
            return Judged::Unknown;
        };
        if let Err(judged) = self.turns.admit(&teller, distances.time_ms) {
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
            self.fates.count("told");
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
    Digest {
        reporter: *distances.node.as_bytes(),
        operator: operator(owner),
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

#[cfg(test)]
mod tests;
