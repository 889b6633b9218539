//! How far readers are from edges: a table by the reader's place, filled by connections that were made anyway.
//!
//! The key is a [`Prefix::place`], a /24 or a /48: the distance hardly differs within one, and it is the finest that may
//! be told to others. (An IPv6 /56 is one customer: a threshold of customers would share none of them.)
//!
//! Memory is taken once and never grows. The table has buckets of [`WAYS`] entries, found by a secret hash, so nobody
//! can aim at one. Within a bucket an entry that was seen in three different minutes is *proven*, and a newcomer may only
//! take the place of an old one, of another newcomer, or of one of the last two places: a flood of prefixes ends in
//! those. And all places of one parent (/12, /32) share a sixteenth of the buckets, so whoever has an IPv6 /32 with its 65,536 places
//! reaches no more than that.

use std::net::IpAddr;

use crate::EdgeId;
use crate::measure::Ewma;
use crate::prefix::Prefix;
use crate::rendezvous::mix;

/// Entries in a bucket.
pub const WAYS: usize = 8;
/// Edges of which the distance to one place is kept: those that a reader may be sent to, and some.
pub const EDGES_MAX: usize = 6;
/// How long a distance counts, in microseconds: an hour.
pub const AGE_US_MAX: u64 = 3_600_000_000;
/// Of so few readers nothing is told to others.
pub const READERS_MIN: u32 = 8;

const REGIONS: u64 = 16;
/// Places in a bucket that proven entries cannot hold against newcomers.
const FOR_NEWCOMERS: usize = 2;
const MINUTES_PROVEN: u8 = 3;
const MINUTE_US: u64 = 60_000_000;

/// The table.
#[derive(Clone, Debug)]
pub struct Table {
    slots: Vec<Option<Entry>>,
    secret: u64,
}

/// What is known of one place.
#[derive(Clone, Debug)]
struct Entry {
    place: Prefix,
    seen_us: u64,
    minutes: u8,
    readers: Readers,
    edges: [Option<Distance>; EDGES_MAX],
}

#[derive(Clone, Copy, Debug)]
struct Distance {
    edge: EdgeId,
    rtt: Ewma,
    at_us: u64,
}

impl Table {
    /// An empty table for at most `entries` places (rounded up to 128, 256, …; about 400 bytes each) with a secret of the
    /// process.
    #[must_use]
    pub fn new(entries: usize, secret: u64) -> Self {
        let entries = entries.max(WAYS * REGIONS as usize).next_power_of_two();
        Self {
            slots: vec![None; entries],
            secret,
        }
    }

    /// Takes note of a round-trip time between a reader and an edge.
    pub fn note(&mut self, reader: IpAddr, edge: EdgeId, rtt_us: u32, now_us: u64) {
        let place = Prefix::place(reader);
        let mark = mix(Prefix::line(reader).number() ^ mix(self.secret));
        let Some(entry) = self.entry(place, now_us) else {
            return;
        };
        entry.touch(now_us);
        entry.readers.note(mark, now_us);
        entry.distance(edge, now_us).note(u64::from(rtt_us));
    }

    /// The smoothed round-trip time between a place and an edge in microseconds, if it was measured within the hour.
    #[must_use]
    pub fn rtt_us(&self, place: &Prefix, edge: &EdgeId, now_us: u64) -> Option<u32> {
        let mut known = self.find(place)?.fresh(now_us);
        known.find(|(known, _)| known == edge).map(|(_, rtt_us)| rtt_us)
    }

    /// The edges to which a place was measured within the hour, and how far they are in microseconds, in no order.
    pub fn edges(&self, place: &Prefix, now_us: u64) -> impl Iterator<Item = (EdgeId, u32)> {
        self.find(place)
            .into_iter()
            .flat_map(move |entry| entry.fresh(now_us))
    }

    /// What may be told to others: distances of places with at least [`READERS_MIN`] readers, those seen last first.
    #[must_use]
    pub fn shareable(&self, now_us: u64, most: usize) -> Vec<(Prefix, EdgeId, u32)> {
        let known = self.slots.iter().flatten();
        let mut many: Vec<&Entry> = known
            .filter(|entry| entry.readers.count(now_us) >= READERS_MIN)
            .collect();
        many.sort_by_key(|entry| (std::cmp::Reverse(entry.seen_us), entry.place));
        let told = |entry: &Entry| {
            entry
                .fresh(now_us)
                .map(|(edge, rtt)| (entry.place, edge, rtt))
                .collect::<Vec<_>>()
        };
        many.into_iter().flat_map(told).take(most).collect()
    }

    /// All that was measured within the hour of one edge, how far and when, in microseconds: to be kept over a restart.
    pub fn of_edge(&self, edge: EdgeId, now_us: u64) -> impl Iterator<Item = (Prefix, u32, u64)> {
        let known = move |entry: &Entry| {
            let (_, rtt_us) = entry.fresh(now_us).find(|(known, _)| *known == edge)?;
            let at_us = entry
                .edges
                .iter()
                .flatten()
                .find(|known| known.edge == edge)?
                .at_us;
            Some((entry.place, rtt_us, at_us))
        };
        self.slots.iter().flatten().filter_map(known)
    }

    /// Takes back what was kept. From how many readers it came is not known any more.
    pub fn restore(&mut self, place: Prefix, edge: EdgeId, rtt_us: u32, at_us: u64) {
        if let Some(entry) = self.entry(place, at_us) {
            entry.distance(edge, at_us).note(u64::from(rtt_us));
        }
    }

    /// Entries in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    fn bucket(&self, place: &Prefix) -> std::ops::Range<usize> {
        let buckets = (self.slots.len() / WAYS) as u64;
        let region = mix(place.parent().number() ^ self.secret) % REGIONS;
        let within = mix(place.number() ^ self.secret.rotate_left(32)) % (buckets / REGIONS);
        let start = (region * (buckets / REGIONS) + within) as usize * WAYS;
        start..start + WAYS
    }

    fn find(&self, place: &Prefix) -> Option<&Entry> {
        let bucket = &self.slots[self.bucket(place)];
        bucket.iter().flatten().find(|entry| entry.place == *place)
    }

    /// The entry of a place, made if there is room for it.
    fn entry(&mut self, place: Prefix, now_us: u64) -> Option<&mut Entry> {
        let range = self.bucket(&place);
        let bucket = &mut self.slots[range];
        let known = |slot: &Option<Entry>| slot.as_ref().is_some_and(|entry| entry.place == place);
        let at = match bucket.iter().position(known) {
            Some(at) => at,
            None => {
                let at = room(bucket, now_us)?;
                bucket[at] = Some(Entry::new(place, now_us));
                at
            }
        };
        bucket[at].as_mut()
    }
}

/// Which slot a newcomer may have: an empty or old one, else the quietest unproven one, else the quietest proven one if
/// they hold more than their share.
fn room(bucket: &[Option<Entry>], now_us: u64) -> Option<usize> {
    let free = |slot: &Option<Entry>| {
        slot.as_ref()
            .is_none_or(|entry| now_us.saturating_sub(entry.seen_us) > AGE_US_MAX)
    };
    let quietest = |proven: bool| {
        let taken = bucket
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| Some((at, slot.as_ref()?)));
        taken
            .filter(|(_, entry)| entry.is_proven() == proven)
            .min_by_key(|(at, entry)| (entry.seen_us, *at))
            .map(|(at, _)| at)
    };
    let proven = bucket.iter().flatten().filter(|entry| entry.is_proven()).count();
    let crowded = proven > WAYS - FOR_NEWCOMERS;
    bucket
        .iter()
        .position(free)
        .or_else(|| quietest(false))
        .or_else(|| crowded.then(|| quietest(true)).flatten())
}

impl Entry {
    fn new(place: Prefix, now_us: u64) -> Self {
        Self {
            place,
            seen_us: now_us,
            minutes: 1,
            readers: Readers::default(),
            edges: [None; EDGES_MAX],
        }
    }

    fn is_proven(&self) -> bool {
        self.minutes >= MINUTES_PROVEN
    }

    fn touch(&mut self, now_us: u64) {
        if now_us / MINUTE_US > self.seen_us / MINUTE_US {
            self.minutes = self.minutes.saturating_add(1);
        }
        self.seen_us = now_us.max(self.seen_us);
    }

    /// The mean for an edge; a new edge takes an empty place or that of the one not measured for longest.
    fn distance(&mut self, edge: EdgeId, now_us: u64) -> &mut Ewma {
        let known = |slot: &Option<Distance>| slot.is_some_and(|known| known.edge == edge);
        let at = self.edges.iter().position(known).unwrap_or_else(|| {
            let oldest = |at: &usize| self.edges[*at].map_or(0, |known| known.at_us + 1);
            (0..EDGES_MAX).min_by_key(oldest).unwrap_or(0)
        });
        let slot = &mut self.edges[at];
        let rtt = slot
            .filter(|known| known.edge == edge)
            .map(|known| known.rtt)
            .unwrap_or_default();
        &mut slot
            .insert(Distance {
                edge,
                rtt,
                at_us: now_us,
            })
            .rtt
    }

    fn fresh(&self, now_us: u64) -> impl Iterator<Item = (EdgeId, u32)> {
        let fresh = move |known: &&Distance| now_us.saturating_sub(known.at_us) <= AGE_US_MAX;
        let rtt = |known: &Distance| {
            let rtt = known.rtt.get()?;
            Some((known.edge, u32::try_from(rtt).unwrap_or(u32::MAX)))
        };
        self.edges.iter().flatten().filter(fresh).filter_map(rtt)
    }
}

/// At least how many different readers there were in this hour and the one before: a bit for each of 64 hashes, so the
/// count is never too high.
#[derive(Clone, Copy, Debug, Default)]
struct Readers {
    hour: u64,
    now: u64,
    before: u64,
}

impl Readers {
    fn note(&mut self, mark: u64, now_us: u64) {
        *self = self.at(now_us);
        self.now |= 1 << (mark % 64);
    }

    fn at(self, now_us: u64) -> Self {
        let hour = now_us / AGE_US_MAX;
        match hour.saturating_sub(self.hour) {
            0 => self,
            1 => Self {
                hour,
                now: 0,
                before: self.now,
            },
            _ => Self {
                hour,
                ..Self::default()
            },
        }
    }

    fn count(self, now_us: u64) -> u32 {
        let current = self.at(now_us);
        (current.now | current.before).count_ones()
    }
}
