//! Kept answers, for all threads, without a lock: a table of small buckets, bounded in bytes.
//!
//! A bucket is one line of the processor's cache: six marks and six places. A look-up reads that line and, if a mark fits,
//! the answer. Places are swapped, never changed, so a reader has the old answer or the new one. When there are too many
//! bytes, a hand goes round and takes out what was not used since it came by last (CLOCK).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwapOption, Guard};

use super::asked::Key;
use super::kept::Kept;

const PLACES: usize = 6;
/// A place for each answer of this size, and half as many more, so that buckets are seldom full before the bytes are.
const BYTES_EXPECTED: usize = 256;
const PLACES_FILLED: usize = 4;
/// Buckets that are made together: a page of memory.
const CHUNK: usize = 64;

/// Answers that share a bound.
#[derive(Debug)]
pub struct Table {
    /// Chunks of buckets, made when they are first wanted.
    chunks: Box<[OnceLock<Box<[Bucket]>>]>,
    buckets: usize,
    bytes: AtomicUsize,
    bytes_max: usize,
    hand: AtomicUsize,
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket {
    /// 16 bits of the hash of what is in a place; 0 if there is nothing.
    marks: [AtomicU16; PLACES],
    places: [ArcSwapOption<Kept>; PLACES],
}

impl Bucket {
    fn empty() -> Self {
        Self {
            marks: Default::default(),
            places: Default::default(),
        }
    }

    fn set(&self, place: usize, kept: Option<Arc<Kept>>) -> Option<Arc<Kept>> {
        self.marks[place].store(kept.as_ref().map_or(0, |kept| mark(kept.hash)), Relaxed);
        self.places[place].swap(kept)
    }

    fn place_for(&self, kept: &Kept, key: &Key) -> usize {
        let is_same = |place: &usize| {
            let there = self.places[*place].load();
            there.as_ref().is_some_and(|there| there.is_for(kept.hash, key))
        };
        let is_free = |place: &usize| self.marks[*place].load(Relaxed) == 0;
        let is_idle = |place: &usize| {
            let there = self.places[*place].load();
            there.as_ref().is_none_or(|there| !there.was_used())
        };
        let mut places = 0..PLACES;
        let found = places.clone().find(is_same);
        let found = found.or_else(|| places.clone().find(is_free));
        let found = found.or_else(|| places.find(is_idle));
        found.unwrap_or((kept.hash >> 32) as usize % PLACES)
    }
}

impl Table {
    /// Keeps at most `bytes_max`, its own places included.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let buckets = (bytes_max / BYTES_EXPECTED / PLACES_FILLED)
            .max(1)
            .next_power_of_two()
            .max(CHUNK);
        let own = buckets * size_of::<Bucket>();
        Self {
            chunks: (0..buckets / CHUNK).map(|_| OnceLock::new()).collect(),
            buckets,
            bytes: AtomicUsize::new(0),
            bytes_max: bytes_max.saturating_sub(own),
            hand: AtomicUsize::new(0),
        }
    }

    /// What is kept for this key.
    #[must_use]
    pub fn find(&self, hash: u64, key: &Key) -> Option<Guard<Option<Arc<Kept>>>> {
        let (bucket, mark) = (self.bucket(hash)?, mark(hash));
        (0..PLACES)
            .filter(|place| bucket.marks[*place].load(Relaxed) == mark)
            .map(|place| bucket.places[place].load())
            .find(|kept| kept.as_ref().is_some_and(|kept| kept.is_for(hash, key)))
    }

    /// Keeps an answer, in the place of the one before or of one that nobody wants.
    pub fn keep(&self, kept: Kept, key: &Key) {
        let bytes = kept.bytes();
        if bytes > self.bytes_max {
            return;
        }
        let bucket = self.bucket_made(kept.hash);
        let place = bucket.place_for(&kept, key);
        self.bytes.fetch_add(bytes, Relaxed);
        self.gone(bucket.set(place, Some(Arc::new(kept))));
        self.make_room();
    }

    /// Takes out what is kept for this key.
    pub fn forget(&self, hash: u64, key: &Key) {
        let Some(bucket) = self.bucket(hash) else { return };
        for place in 0..PLACES {
            let is_it = bucket.places[place]
                .load()
                .as_ref()
                .is_some_and(|kept| kept.is_for(hash, key));
            if is_it {
                self.gone(bucket.set(place, None));
            }
        }
    }

    fn make_room(&self) {
        // Twice round finds everything unused; others may fill it up meanwhile.
        for _ in 0..2 * self.buckets {
            if self.bytes.load(Relaxed) <= self.bytes_max {
                return;
            }
            let at = self.hand.fetch_add(1, Relaxed) & (self.buckets - 1);
            if let Some(chunk) = self.chunks[at / CHUNK].get() {
                self.sweep(&chunk[at % CHUNK]);
            }
        }
    }

    fn sweep(&self, bucket: &Bucket) {
        for place in 0..PLACES {
            let unused = match &*bucket.places[place].load() {
                Some(kept) => !kept.was_used(),
                None => false,
            };
            if unused {
                self.gone(bucket.set(place, None));
            }
        }
    }

    fn gone(&self, kept: Option<Arc<Kept>>) {
        if let Some(kept) = kept {
            self.bytes.fetch_sub(kept.bytes(), Relaxed);
        }
    }

    fn bucket(&self, hash: u64) -> Option<&Bucket> {
        let at = self.at(hash);
        self.chunks[at / CHUNK].get().map(|chunk| &chunk[at % CHUNK])
    }

    fn bucket_made(&self, hash: u64) -> &Bucket {
        let at = self.at(hash);
        let chunk = self.chunks[at / CHUNK].get_or_init(|| (0..CHUNK).map(|_| Bucket::empty()).collect());
        &chunk[at % CHUNK]
    }

    fn at(&self, hash: u64) -> usize {
        hash as usize & (self.buckets - 1)
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
        let what = What::ByNetwork {
            question: key.question().into(),
            bits: (24, 56),
        };
        // A step of Fibonacci's hashing spreads numbers well enough.
        let hash = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (key, Kept::new(hash, key.class(), what))
    }

    fn holds(table: &Table, number: u32) -> bool {
        let (key, kept) = pair(number);
        let found = table.find(kept.hash, &key);
        let found = found.as_ref().and_then(|found| found.as_ref());
        found.inspect(|found| found.touch()).is_some()
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
        table.forget(kept.hash, &key);
        assert!(!holds(&table, 7) && holds(&table, 8));
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
            table.forget(kept.hash, &key);
        }
        assert_eq!(
            table.bytes.load(Relaxed),
            0,
            "nothing is counted that is not there"
        );
    }
}
