//! The address book: whom this node dials, and when again.
//!
//! Addresses that the operator gave are dialled for ever, with growing pauses; peers that were met are dialled while there
//! are few connections, and forgotten when they stay away. The book survives restarts as a text file, one address a line,
//! those seen last first.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// The most addresses that are kept for one peer.
pub const ADDRESSES_MAX: usize = 4;
/// The first pause after a failed or lost connection; it doubles up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The pause after a peer was refused: it will hardly change its chain.
const PAUSE_REFUSED: Duration = Duration::from_secs(300);
/// A peer that was only met is forgotten after so many failures in a row: about ten minutes.
const FAILURES_MAX: u32 = 16;
/// The most dials started at once.
const DIALS_MAX: usize = 8;
const FILE_HEADER: &str = "# Peers of this node, those seen last first; written by the node.\n";
/// A file longer than this was not written by a node: 1000 peers with 4 addresses take half of it.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The book.
#[derive(Debug)]
pub struct Book {
    entries: HashMap<PeerId, Entry>,
    peers_max: usize,
    clock: u64,
    changed: bool,
}

#[derive(Debug)]
struct Entry {
    addresses: Vec<Multiaddr>,
    joined: bool,
    /// When it was last seen: a count that grows with each meeting, since only the order matters.
    seen: u64,
    failures: u32,
    due: Instant,
}

impl Book {
    /// An empty book that remembers at most `peers_max` peers besides those of the operator.
    pub fn new(peers_max: usize) -> Self {
        Self {
            entries: HashMap::new(),
            peers_max,
            clock: 0,
            changed: false,
        }
    }

    /// Adds an address that the operator gave.
    pub fn join(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let entry = self.entry(peer, now);
        entry.joined = true;
        entry.learn([address]);
    }

    /// Somebody says that this peer is to be met. What was met is known better.
    pub fn suggest(&mut self, peer: PeerId, address: Multiaddr, now: Instant) {
        let entry = self.entry(peer, now);
        if entry.seen == 0 && entry.addresses.len() < ADDRESSES_MAX && !entry.addresses.contains(&address) {
            entry.addresses.push(address);
        }
        self.trim();
    }

    /// Whether the operator gave this peer.
    pub fn is_joined(&self, peer: &PeerId) -> bool {
        self.entries.get(peer).is_some_and(|entry| entry.joined)
    }

    /// A peer of this network is connected and can be dialled at `addresses`.
    pub fn met(&mut self, peer: PeerId, addresses: &[Multiaddr], now: Instant) {
        if addresses.is_empty() && !self.entries.contains_key(&peer) {
            return;
        }
        self.clock += 1;
        let clock = self.clock;
        let entry = self.entry(peer, now);
        entry.seen = clock;
        entry.failures = 0;
        entry.due = now;
        entry.learn(addresses.iter().cloned());
        self.changed = true;
        self.trim();
    }

    /// A connection was lost: dial again soon.
    pub fn lost(&mut self, peer: &PeerId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.due = entry.due.max(now + PAUSE_MIN);
        }
    }

    /// A dial failed, or the peer left before it said who it is.
    pub fn failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.entries.get_mut(peer) else {
            return;
        };
        entry.failures += 1;
        entry.due = now + PAUSE_MAX.min(PAUSE_MIN * 2u32.saturating_pow(entry.failures.min(10) - 1));
        if !entry.joined && entry.failures >= FAILURES_MAX {
            self.entries.remove(peer);
            self.changed = true;
        }
    }

    /// The peer was refused, for at least `pause`.
    pub fn refused(&mut self, peer: &PeerId, pause: Option<Duration>, now: Instant) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.due = now + pause.unwrap_or(PAUSE_REFUSED);
        }
    }

    /// Whom to dial now: the operator's peers, and others if `more` is set. Each is due again only after a pause.
    pub fn due(
        &mut self,
        now: Instant,
        more: bool,
        connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|(peer, entry)| (entry.joined || more) && entry.due <= now && !connected(peer))
            .collect();
        due.sort_by_key(|(_, entry)| (!entry.joined, entry.failures, u64::MAX - entry.seen));
        due.into_iter()
            .take(DIALS_MAX)
            .map(|(peer, entry)| {
                entry.due = now + PAUSE_MAX;
                (*peer, entry.addresses.clone())
            })
            .collect()
    }

    /// The text of the file, if there is something new since the last call.
    pub fn unsaved(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut met: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.seen > 0).collect();
        met.sort_by_key(|(_, entry)| u64::MAX - entry.seen);
        let lines = met.iter().flat_map(|(peer, entry)| {
            entry
                .addresses
                .iter()
                .map(move |address| format!("{}\n", full(address, peer)))
        });
        Some(std::iter::once(FILE_HEADER.to_owned()).chain(lines).collect())
    }

    /// Takes in the text of a file. Returns how many lines were no addresses.
    pub fn restore(&mut self, text: &str, now: Instant) -> usize {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (mut damaged, mut found) = (0, Vec::new());
        for line in lines {
            match line.parse().ok().and_then(split) {
                Some(pair) => found.push(pair),
                None => damaged += 1,
            }
        }
        for (peer, address) in found.into_iter().rev() {
            self.clock += 1;
            let clock = self.clock;
            let entry = self.entry(peer, now);
            entry.seen = clock;
            entry.learn([address]);
        }
        self.trim();
        damaged
    }

    fn entry(&mut self, peer: PeerId, now: Instant) -> &mut Entry {
        self.entries.entry(peer).or_insert(Entry {
            addresses: Vec::new(),
            joined: false,
            seen: 0,
            failures: 0,
            due: now,
        })
    }

    /// Forgets those that were not seen for longest.
    fn trim(&mut self) {
        while self.entries.values().filter(|entry| !entry.joined).count() > self.peers_max {
            let oldest = self
                .entries
                .iter()
                .filter(|(_, entry)| !entry.joined)
                .min_by_key(|(_, entry)| entry.seen);
            let Some(peer) = oldest.map(|(peer, _)| *peer) else {
                return;
            };
            self.entries.remove(&peer);
        }
    }
}

impl Entry {
    /// The newest addresses come first; the oldest make room.
    fn learn(&mut self, addresses: impl IntoIterator<Item = Multiaddr>) {
        let known = std::mem::take(&mut self.addresses);
        for address in addresses.into_iter().chain(known) {
            if self.addresses.len() < ADDRESSES_MAX && !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
    }
}

/// An address with the peer id at its end, as people hand it on.
pub fn full(address: &Multiaddr, peer: &PeerId) -> Multiaddr {
    address.clone().with_p2p(*peer).unwrap_or_else(|other| other)
}

/// Peer and address of a multiaddr that ends in `/p2p/…`.
pub fn split(mut address: Multiaddr) -> Option<(PeerId, Multiaddr)> {
    match address.pop() {
        Some(Protocol::P2p(peer)) if is_dialable(&address) => Some((peer, address)),
        _ => None,
    }
}

/// Whether an address is one that this node can dial: a host and a TCP port, nothing else.
pub fn is_dialable(address: &Multiaddr) -> bool {
    let mut parts = address.iter();
    let host = match parts.next() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    host && matches!(parts.next(), Some(Protocol::Tcp(port)) if port != 0)
        && parts.next().is_none()
        && address.len() <= 280
}

/// The text of the file; none if there is no file yet.
pub fn load(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Writes the file so that a crash leaves the old or the new one.
pub fn save(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests;
