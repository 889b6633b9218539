//! Kept answers, for all threads, without a lock: a table of small buckets, bounded in bytes.
//!
//! A bucket is one line of the processor's cache: six marks and six places. A look-up reads that line and, if a mark fits,
//! the answer. Places are swapped, never changed, so a reader has the old answer or the new one. When there are too many
//! bytes, a hand goes round and takes out what was not used since it came by last (CLOCK).
//!
//! There are twice as many buckets when they hold two answers each, so that few answers lie close together: what is
//! scattered over the whole bound costs a miss of the processor's caches for each question. Who composes answers makes
//! the table grow; readers go on meanwhile, and what is kept during it may be lost, and is composed again. A full bucket
//! lends from its neighbour, which the processor fetches with it: an answer without a place would be composed again and again.

use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicUsize};
use std::sync::{Mutex, OnceLock};

use arc_swap::{ArcSwapAny, Guard};

use super::asked::Key;
use super::kept::{Kept, Known, is_for, memory, parts};

const PLACES: usize = 6;
/// From so many in each bucket on there are to be more buckets: then one in 5,000 answers finds two buckets full.
const PLACES_FILLED: usize = 2;
/// An answer, about. Bytes.
const BYTES_EXPECTED: usize = 256;
/// Buckets to begin with.
const BUCKETS_MIN: usize = 64;
/// More than there is memory for.
const SEGMENTS: usize = 40;

/// Answers that share a bound.
#[derive(Debug)]
pub struct Table {
    /// The first has [`BUCKETS_MIN`] buckets, each other one as many as all before it. Made when they are wanted.
    segments: [OnceLock<Box<[Bucket]>>; SEGMENTS],
    /// In use: a power of two.
    buckets: AtomicUsize,
    buckets_max: usize,
    kept: AtomicUsize,
    bytes: AtomicUsize,
    bytes_max: usize,
    hand: AtomicUsize,
    /// Held by who makes it grow.
    growing: Mutex<()>,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    /// 16 bits of the hash of what is in a place; 0 if there is nothing.
    marks: [AtomicU16; PLACES],
    places: [ArcSwapAny<Option<Kept>>; PLACES],
}

impl Bucket {
    fn empty() -> Self {
        Self {
            marks: Default::default(),
            places: Default::default(),
        }
    }

    fn set(&self, place: usize, kept: Option<Kept>) -> Option<Kept> {
        self.marks[place].store(kept.as_ref().map_or(0, |kept| mark(known(kept).hash)), Relaxed);
        self.places[place].swap(kept)
    }

    /// The first place whose answer is like this.
    fn place(&self, is_it: impl Fn(Option<&Kept>) -> bool) -> Option<usize> {
        (0..PLACES).find(|place| is_it(self.places[*place].load().as_ref()))
    }

    fn find(&self, hash: u64, key: &Key) -> Option<Found> {
        let mark = mark(hash);
        (0..PLACES)
            .filter(|place| self.marks[*place].load(Relaxed) == mark)
            .map(|place| self.places[place].load())
            .find(|kept| kept.as_ref().is_some_and(|kept| is_for(kept, hash, key)))
    }
}

/// An answer that was found; it stays as long as this is held.
pub type Found = Guard<Option<Kept>>;

fn known(kept: &Kept) -> &Known {
    parts(kept).0
}

/// Where an answer goes: the place that it has, or a free one, or one that nobody wants, or any.
fn place_for<'a>(pair: [&'a Bucket; 2], kept: &Kept, key: &Key) -> (&'a Bucket, usize) {
    let is_same = |there: Option<&Kept>| there.is_some_and(|there| is_for(there, known(kept).hash, key));
    let is_idle = |there: Option<&Kept>| there.is_none_or(|there| !known(there).was_used());
    among(pair, is_same)
        .or_else(|| among(pair, |there| there.is_none()))
        .or_else(|| among(pair, is_idle))
        .unwrap_or((pair[0], (known(kept).hash >> 32) as usize % PLACES))
}

/// The first place of these buckets that is as wished.
fn among(pair: [&Bucket; 2], is: impl Fn(Option<&Kept>) -> bool) -> Option<(&Bucket, usize)> {
    pair.into_iter()
        .find_map(|bucket| Some((bucket, bucket.place(&is)?)))
}

impl Table {
    /// Keeps at most `bytes_max`, its own places included.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let buckets_max = (bytes_max / BYTES_EXPECTED / PLACES_FILLED)
            .max(1)
            .next_power_of_two()
            .max(BUCKETS_MIN);
        let table = Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
            buckets: AtomicUsize::new(BUCKETS_MIN),
            buckets_max,
            kept: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            bytes_max: bytes_max.saturating_sub(buckets_max * size_of::<Bucket>()),
            hand: AtomicUsize::new(0),
            growing: Mutex::new(()),
        };
        table.make(0, BUCKETS_MIN);
        table
    }

    /// What is kept for this key.
    #[must_use]
    pub fn find(&self, hash: u64, key: &Key) -> Option<Found> {
        let [first, second] = self.pair(hash)?;
        first.find(hash, key).or_else(|| second.find(hash, key))
    }

    /// Keeps an answer, in the place of the one before or of one that nobody wants.
    pub fn keep(&self, kept: Kept, key: &Key) {
        if memory(&kept) > self.bytes_max {
            return;
        }
        let Some(pair) = self.pair(known(&kept).hash) else {
            return;
        };
        let (bucket, place) = place_for(pair, &kept, key);
        self.put(bucket, place, Some(kept));
        self.make_room();
        if self.is_full() {
            self.grow();
        }
    }

    /// Takes out what is kept for this key.
    pub fn forget(&self, hash: u64, key: &Key) {
        for bucket in self.pair(hash).into_iter().flatten() {
            self.take_out(bucket, |kept| is_for(kept, hash, key));
        }
    }

    /// Fills a place or empties it, and counts.
    fn put(&self, bucket: &Bucket, place: usize, kept: Option<Kept>) {
        if let Some(kept) = &kept {
            self.bytes.fetch_add(memory(kept), Relaxed);
            self.kept.fetch_add(1, Relaxed);
        }
        if let Some(gone) = bucket.set(place, kept) {
            self.bytes.fetch_sub(memory(&gone), Relaxed);
            self.kept.fetch_sub(1, Relaxed);
        }
    }

    fn take_out(&self, bucket: &Bucket, is_wanted: impl Fn(&Kept) -> bool) {
        for place in 0..PLACES {
            let is_it = bucket.places[place].load().as_ref().is_some_and(&is_wanted);
            if is_it {
                self.put(bucket, place, None);
            }
        }
    }

    fn make_room(&self) {
        // Twice round finds everything unused; others may fill it up meanwhile.
        let buckets = self.buckets.load(Acquire);
        for _ in 0..2 * buckets {
            if self.bytes.load(Relaxed) <= self.bytes_max {
                return;
            }
            let at = self.hand.fetch_add(1, Relaxed) & (buckets - 1);
            if let Some(bucket) = self.bucket(at) {
                self.take_out(bucket, |kept| !known(kept).was_used());
            }
        }
    }

    fn is_full(&self) -> bool {
        let buckets = self.buckets.load(Relaxed);
        buckets < self.buckets_max && self.kept.load(Relaxed) > buckets * PLACES_FILLED
    }

    /// Doubles the buckets: what belongs into the new ones is there before they count, and leaves the old ones after that.
    fn grow(&self) {
        let Ok(_growing) = self.growing.try_lock() else {
            return;
        };
        if !self.is_full() {
            return;
        }
        let buckets = self.buckets.load(Relaxed);
        self.make(buckets, buckets);
        let is_above = |kept: &Kept| known(kept).hash as usize & buckets != 0;
        for at in 0..buckets {
            let (Some(below), Some(above)) = (self.bucket(at), self.bucket(at + buckets)) else {
                return;
            };
            for place in 0..PLACES {
                let kept = below.places[place].load_full();
                if let Some(kept) = kept.filter(|kept| is_above(kept)) {
                    self.put(above, place, Some(kept));
                }
            }
        }
        self.buckets.store(2 * buckets, Release);
        for bucket in (0..buckets).filter_map(|at| self.bucket(at)) {
            self.take_out(bucket, is_above);
        }
    }

    /// Makes the segment that begins with bucket `at`.
    fn make(&self, at: usize, buckets: usize) {
        let made = || (0..buckets).map(|_| Bucket::empty()).collect();
        if let Some(segment) = self.segments.get(segment(at).0) {
            segment.get_or_init(made);
        }
    }

    /// The bucket of an answer, and the one that lends to it: they lie side by side.
    fn pair(&self, hash: u64) -> Option<[&Bucket; 2]> {
        let at = hash as usize & (self.buckets.load(Acquire) - 1);
        let (segment, start) = segment(at);
        let buckets = self.segments.get(segment)?.get()?;
        Some([buckets.get(at - start)?, buckets.get((at - start) ^ 1)?])
    }

    fn bucket(&self, at: usize) -> Option<&Bucket> {
        let (segment, start) = segment(at);
        self.segments.get(segment)?.get()?.get(at - start)
    }
}

/// The segment that a bucket is in, and the first bucket of that.
fn segment(at: usize) -> (usize, usize) {
    match at.checked_ilog2() {
        Some(log) if at >= BUCKETS_MIN => ((log - BUCKETS_MIN.ilog2() + 1) as usize, 1 << log),
        _ => (0, 0),
    }
}

/// The bits of the hash that no bucket is chosen by; never 0.
fn mark(hash: u64) -> u16 {
    (hash >> 48) as u16 | 1
}

/// The first so many bits of an address, for a key.
#[must_use]
pub fn network(address: IpAddr, bits: (u8, u8)) -> (u128, u8) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (
            u128::from(v4.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits.0)).unwrap_or(0)),
            4,
        ),
        IpAddr::V6(v6) => (
            v6.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits.1)).unwrap_or(0),
            6,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::front::asked::Asked;
    use crate::dns::front::kept::What;

    /// The question for the name with a number, and something to keep for it.
    fn pair(number: u32) -> (Key, Kept) {
        let mut packet = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 8];
        packet.extend(format!("{number:08}").bytes());
        packet.extend([0, 0, 1, 0, 1]);
        let key = Asked::read(&packet).expect("a usual question").key();
        // Spread as by a hash: products alone fill all buckets alike.
        let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ hash >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let hash = hash ^ hash >> 32;
        (
            key,
            Known::keep(hash, key.class(), What::ByNetwork(24, 56), key.question()),
        )
    }

    fn holds(table: &Table, number: u32) -> bool {
        let (key, kept) = pair(number);
        let found = table.find(known(&kept).hash, &key);
        let found = found.as_ref().and_then(|found| found.as_ref());
        found.inspect(|found| known(found).touch()).is_some()
    }

    #[test]
    fn what_is_kept_is_found_and_can_be_forgotten() {
        let table = Table::new(1 << 20);
        for number in 0..1_000 {
            let (key, kept) = pair(number);
            table.keep(kept, &key);
        }
        assert_eq!((0..1_000).filter(|number| holds(&table, *number)).count(), 1_000);
        assert!(!holds(&table, 1_000));
        let (key, kept) = pair(7);
        table.forget(known(&kept).hash, &key);
        assert!(!holds(&table, 7) && holds(&table, 8));
    }

    #[test]
    fn segments_follow_each_other() {
        let mut next = 0;
        for index in 0..8 {
            let length = if index < 2 { BUCKETS_MIN } else { next };
            for at in next..next + length {
                assert_eq!(segment(at), (index, next), "{at}");
            }
            next += length;
        }
    }

    #[test]
    fn the_table_grows_with_what_is_kept_and_loses_next_to_nothing() {
        let table = Table::new(64 << 20);
        let few = table.buckets.load(Relaxed);
        for number in 0..20_000 {
            let (key, kept) = pair(number);
            table.keep(kept, &key);
        }
        let buckets = table.buckets.load(Relaxed);
        assert!(buckets > few && buckets * PLACES_FILLED >= 20_000, "{buckets}");
        let found = (0..20_000).filter(|number| holds(&table, *number)).count();
        assert!(found >= 19_990, "{found}");
        assert_eq!(table.kept.load(Relaxed), found, "nothing is kept twice");
    }

    #[test]
    fn bytes_are_bounded_and_what_is_used_stays() {
        let table = Table::new(64 << 10);
        let (key, kept) = pair(0);
        table.keep(kept, &key);
        for number in 1..20_000 {
            assert!(holds(&table, 0), "it is used all the time: {number}");
            let (key, kept) = pair(number);
            table.keep(kept, &key);
            assert!(table.bytes.load(Relaxed) <= table.bytes_max);
        }
        let kept: usize = (0..20_000).filter(|number| holds(&table, *number)).count();
        assert!(kept > 100, "{kept}");
        for number in 0..20_000 {
            let (key, kept) = pair(number);
            table.forget(known(&kept).hash, &key);
        }
        assert_eq!(
            table.bytes.load(Relaxed),
            0,
            "nothing is counted that is not there"
        );
    }
}
