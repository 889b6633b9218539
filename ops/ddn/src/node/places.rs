//! How far readers are from edges, by the place that they come from (a /24 or a /48).
//!
//! There are two sources, and they are never mixed. What this node measures of its own readers' connections is its own
//! distance, and no other edge's. What other edges tell of theirs counts by the rules of [`nearest::digest`]: of an edge of
//! the same operator as it is, of strangers if enough of them, who do not depend on each other, say the same of a third.
//!
//! Everything here is in memory and bounded. A look-up, as DNS makes one for each edge of an answer, takes a read lock on a
//! sixteenth of the own measurements, or none at all for what others told: of that there is a finished copy.

mod kept;

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use nearest::digest::{DISTANCES_MAX, Digest, Hearsay, Refused, Step, Told};
use nearest::table::Table;
use nearest::{EdgeId, Prefix};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Parts of the table, so that a look-up seldom meets a measurement. All places of one provider are in one part: who has
/// many prefixes fills no more than that.
const PARTS: usize = 16;
/// More is no distance, but a connection that broke, in microseconds.
const RTT_US_MAX: u32 = 10_000_000;
/// A finished copy of what others told is made so often at most, in microseconds.
const COPY_EVERY_US: u64 = 1_000_000;
/// A distance that did not change is told again after so long, in microseconds: new nodes do not know it.
const AGAIN_US: u64 = 600_000_000;

/// Distances of readers' places; a clone is a handle to the same.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    me: EdgeId,
    keys: RandomState,
    own: Box<[RwLock<Table>]>,
    heard: Mutex<Heard>,
    /// What `heard` comes to.
    copy: ArcSwap<HashMap<(Prefix, EdgeId), u32>>,
    /// From where no readers come.
    edges: ArcSwap<HashSet<IpAddr>>,
    told: Mutex<HashMap<(Prefix, EdgeId), (Step, u64)>>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Metrics {
    known: Gauge,
    heard: Gauge,
    rtt_seconds: Histogram,
}

#[derive(Debug)]
struct Heard {
    hearsay: Hearsay,
    copied_us: u64,
}

/// Whose digest it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// An edge of the operator of this node, who does not lie to himself.
    Own,
    /// Anybody else's.
    Stranger,
}

impl Places {
    /// The largest content of [`Places::kept`], in bytes.
    pub const KEPT_BYTES_MAX: u64 = kept::BYTES_MAX;

    /// Nothing known yet, at the edge `me`, for readers of at most `places_max` places; each takes about 400 bytes.
    pub fn new(me: EdgeId, places_max: usize) -> Self {
        let keys = RandomState::new();
        let table = |part: usize| RwLock::new(Table::new(places_max / PARTS, keys.hash_one(part)));
        Self(Arc::new(Shared {
            me,
            own: (0..PARTS).map(table).collect(),
            heard: Mutex::new(Heard {
                hearsay: Hearsay::new(keys.hash_one(PARTS)),
                copied_us: 0,
            }),
            copy: ArcSwap::default(),
            edges: ArcSwap::default(),
            told: Mutex::default(),
            metrics: Metrics {
                known: Gauge::default(),
                heard: Gauge::default(),
                rtt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 12)),
            },
            keys,
        }))
    }

    /// Shows what is known under the prefix `places`.
    pub fn register(&self, registry: &mut Registry) {
        let (places, metrics) = (registry.sub_registry_with_prefix("places"), &self.0.metrics);
        let rtt = metrics.rtt_seconds.clone();
        places.register("known", "Places that readers came from", metrics.known.clone());
        places.register(
            "heard",
            "Distances between places and other edges that count",
            metrics.heard.clone(),
        );
        places.register("rtt_seconds", "Round-trip times of readers' connections", rtt);
    }

    /// Takes note of the round-trip time between a reader and this node, in microseconds. Nobody is a reader who is on this
    /// machine or at an address of an edge.
    pub fn note(&self, reader: IpAddr, rtt_us: u32) {
        let reader = reader.to_canonical();
        let is_reader = !reader.is_loopback() && !reader.is_unspecified() && !reader.is_multicast();
        if is_reader && (1..=RTT_US_MAX).contains(&rtt_us) && !self.0.edges.load().contains(&reader) {
            let mut table = write(self.part(&Prefix::place(reader)));
            table.note(reader, self.0.me, rtt_us, now_us());
            drop(table);
            self.0.metrics.rtt_seconds.observe(f64::from(rtt_us) / 1e6);
        }
    }

    /// How far an edge is from the place of this reader, in microseconds; none if nobody knows who may be believed. For this
    /// node what it measured within the hour, for others what was told.
    #[must_use]
    pub fn rtt_us(&self, reader: IpAddr, edge: &EdgeId) -> Option<u32> {
        let place = Prefix::place(reader);
        match *edge == self.0.me {
            true => read(self.part(&place)).rtt_us(&place, edge, now_us()),
            false => self.0.copy.load().get(&(place, *edge)).copied(),
        }
    }

    /// Takes what another edge told; its signature was verified, and that it is registered.
    ///
    /// # Errors
    /// If it is out of its time or bounds, or was told before.
    pub fn told(&self, digest: &Digest, teller: Teller) -> Result<(), Refused> {
        let (mut heard, now_us) = (self.heard(), now_us());
        match teller {
            Teller::Own => heard.hearsay.take_own(digest, now_us)?,
            Teller::Stranger => heard.hearsay.take(digest, now_us)?,
        }
        if now_us.saturating_sub(heard.copied_us) >= COPY_EVERY_US {
            self.copy(&mut heard, now_us);
        }
        Ok(())
    }

    /// Brings look-ups up to date with what was told and what is over. To be called every few seconds.
    pub fn refresh(&self) {
        self.copy(&mut self.heard(), now_us());
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        self.0.metrics.known.set(count(self.known()));
        self.0.metrics.heard.set(count(self.heard_of()));
    }

    /// From now on these are the addresses of edges, this node among them: who comes from there is no reader.
    pub fn set_edges(&self, addresses: HashSet<IpAddr>) {
        self.0.edges.store(Arc::new(addresses));
    }

    /// What is to be told to others now: distances of places with enough readers that changed, or were not told for long;
    /// places of private networks only if `private`, where the others are in the same one.
    #[must_use]
    pub fn news(&self, private: bool) -> Vec<Told> {
        let now_us = now_us();
        let known = self
            .0
            .own
            .iter()
            .flat_map(|part| read(part).shareable(now_us, DISTANCES_MAX))
            .filter(|(place, ..)| private || !place.is_private());
        let known: Vec<Told> = known.map(told).collect();
        let mut before = self.0.told.lock().unwrap_or_else(PoisonError::into_inner);
        before.retain(|_, (_, at_us)| now_us.saturating_sub(*at_us) < AGAIN_US);
        let is_news = |told: &Told| {
            let known = before.get(&(told.place, told.edge));
            // It goes to and fro between two steps.
            known.is_none_or(|(step, _)| step.number().abs_diff(told.step.number()) > 1)
        };
        let mut news: Vec<Told> = known.into_iter().filter(is_news).take(DISTANCES_MAX).collect();
        news.sort_unstable_by_key(|told| (told.edge, told.place));
        before.extend(
            news.iter()
                .map(|told| ((told.place, told.edge), (told.step, now_us))),
        );
        news
    }

    /// What is worth keeping over a restart, as the content of a file of at most [`Places::KEPT_BYTES_MAX`] bytes.
    #[must_use]
    pub fn kept(&self) -> Vec<u8> {
        let now_us = now_us();
        let part = |part: &RwLock<Table>| read(part).of_edge(self.0.me, now_us).collect::<Vec<_>>();
        kept::encode(self.0.own.iter().flat_map(part).collect())
    }

    /// Takes back what was kept, as far as it is not too old. False if that is no such content.
    #[must_use]
    pub fn restore(&self, content: &[u8]) -> bool {
        let lines = kept::decode(content, now_us());
        for (place, rtt_us, at_us) in lines.iter().flatten() {
            write(self.part(place)).restore(*place, self.0.me, *rtt_us, *at_us);
        }
        lines.is_some()
    }

    /// Places that readers came from.
    #[must_use]
    pub fn known(&self) -> usize {
        self.0.own.iter().map(|part| read(part).len()).sum()
    }

    /// Distances of other edges that count by what was told.
    #[must_use]
    pub fn heard_of(&self) -> usize {
        self.0.copy.load().len()
    }

    fn part(&self, place: &Prefix) -> &RwLock<Table> {
        &self.0.own[self.0.keys.hash_one(place.parent()) as usize % PARTS]
    }

    fn copy(&self, heard: &mut Heard, now_us: u64) {
        heard.copied_us = now_us;
        let copy = heard.hearsay.answers(now_us).collect();
        self.0.copy.store(Arc::new(copy));
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        // A panic leaves a digest half taken: what is there of it is right.
        self.0.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn told((place, edge, rtt_us): (Prefix, EdgeId, u32)) -> Told {
    Told {
        place,
        edge,
        step: Step::of(rtt_us),
    }
}

fn read(part: &RwLock<Table>) -> std::sync::RwLockReadGuard<'_, Table> {
    part.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(part: &RwLock<Table>) -> std::sync::RwLockWriteGuard<'_, Table> {
    part.write().unwrap_or_else(PoisonError::into_inner)
}

/// Microseconds since 1970.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
