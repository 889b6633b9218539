//! Counts for any number of clients in memory of a fixed size.
//!
//! A table with an entry for each client has to forget somebody when it is full, and whoever has many addresses fills it
//! to be forgotten himself. So there are no entries: a client has one cell in each of four rows, found by a keyed hash,
//! and shares each of them with others. Every cell counts at least what the client did, so the least of the four is the
//! best guess, and is too high only if all four are shared with somebody busy. How many can be busy at once is bounded
//! by what the machine can answer at all: with 500 requests a second for each, a node that answers 200,000 has at
//! most 400 of them, and the chance of a quiet client to be mistaken for one is (400/16,384)^4, one in three million.
//!
//! Nothing is ever forgotten, so there is nothing that could be made to be forgotten. A count takes some ten
//! nanoseconds, no lock and no memory.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const ROWS: usize = 4;
/// 14 bits of the hash choose a cell of a row.
const CELLS: usize = 1 << 14;

/// The cells of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells([u16; ROWS]);

impl Cells {
    /// The cells of a client, or of what a client does of one sort. `keys` is the node's own, so that nobody can choose
    /// addresses that meet in a cell.
    pub fn of(counted: &impl Hash, keys: &RandomState) -> Self {
        let hash = keys.hash_one(counted);
        Self(std::array::from_fn(|row| {
            (hash >> (16 * row)) as u16 % CELLS as u16
        }))
    }

    fn of_table<T>(self, table: &[T]) -> impl Iterator<Item = &T> {
        let at = self.0.into_iter().enumerate();
        at.filter_map(move |(row, cell)| table.get(row * CELLS + usize::from(cell)))
    }
}

/// How often each client may do something: so many a second on average, and so many at once.
#[derive(Debug)]
pub struct Rate {
    /// Nanoseconds that one takes.
    each: u64,
    /// How many nanoseconds a client may be ahead.
    ahead: u64,
    /// When each cell's client will have nothing to make up for, in nanoseconds.
    due: Box<[AtomicU64]>,
}

impl Rate {
    /// `per_second` and `at_once` are at least one.
    pub fn new(per_second: u64, at_once: u64) -> Self {
        let each = 1_000_000_000 / per_second.clamp(1, 1_000_000_000);
        Self {
            each,
            ahead: each.saturating_mul(at_once.saturating_sub(1)),
            due: (0..ROWS * CELLS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Counts one more at `now`, nanoseconds since any fixed moment.
    ///
    /// # Errors
    /// It is too early, and it is not counted: the time until the next is allowed.
    pub fn take(&self, cells: Cells, now: u64) -> Result<(), Duration> {
        if let Some(wait) = self.wait(cells, now) {
            return Err(wait);
        }
        for due in cells.of_table(&self.due) {
            // It cannot fail: every value has a successor.
            let _ = due.fetch_update(Relaxed, Relaxed, |due| {
                Some(due.max(now).saturating_add(self.each))
            });
        }
        Ok(())
    }

    /// The time from `now` until one more is allowed, if it is not yet.
    #[must_use]
    pub fn wait(&self, cells: Cells, now: u64) -> Option<Duration> {
        let due = cells.of_table(&self.due).map(|due| due.load(Relaxed)).min();
        let early = due.unwrap_or(0).saturating_sub(now).saturating_sub(self.ahead);
        (early > 0).then(|| Duration::from_nanos(early))
    }
}

/// How many of something each client has at the same time.
#[derive(Debug)]
pub struct Crowd {
    max: u32,
    counts: Box<[AtomicU32]>,
}

impl Crowd {
    /// At most `max` of each client.
    pub fn new(max: u32) -> Self {
        Self {
            max,
            counts: (0..ROWS * CELLS).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Counts one more, unless there are as many as may be. Who is counted must [`leave`](Self::leave).
    #[must_use]
    pub fn enter(&self, cells: Cells) -> bool {
        let before = cells
            .of_table(&self.counts)
            .map(|count| count.fetch_add(1, Relaxed));
        // All four are counted before the least is looked at: of two at once, one sees the other.
        let fits = before.fold(u32::MAX, u32::min) < self.max;
        if !fits {
            self.leave(cells);
        }
        fits
    }

    /// One has ended.
    pub fn leave(&self, cells: Cells) {
        for count in cells.of_table(&self.counts) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Prefix;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const SECOND: u64 = 1_000_000_000;

    fn client(keys: &RandomState, number: u32) -> Cells {
        Cells::of(&Prefix::line(IpAddr::V4(Ipv4Addr::from_bits(number))), keys)
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let keys = RandomState::new();
        let (rate, one) = (Rate::new(10, 5), client(&keys, 1));
        for _ in 0..5 {
            assert_eq!(rate.take(one, SECOND), Ok(()));
        }
        assert_eq!(rate.take(one, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(rate.take(one, SECOND + SECOND / 10), Ok(()));
        assert!(rate.take(one, SECOND + SECOND / 10).is_err());
        // What is refused is not counted: patience helps, whatever was tried meanwhile.
        for _ in 0..1000 {
            assert!(rate.take(one, SECOND + SECOND / 10).is_err());
        }
        let later = 100 * SECOND;
        assert_eq!((0..20).filter(|_| rate.take(one, later).is_ok()).count(), 5);
    }

    #[test]
    fn others_are_not_touched() {
        let keys = RandomState::new();
        let rate = Rate::new(10, 5);
        for busy in 0..100 {
            while rate.take(client(&keys, busy), SECOND).is_ok() {}
        }
        let refused = (1000..3000).filter(|&quiet| rate.take(client(&keys, quiet), SECOND).is_err());
        assert_eq!(refused.count(), 0);
    }

    #[test]
    fn who_has_many_addresses_resets_nothing() {
        let keys = RandomState::new();
        let (rate, busy) = (Rate::new(1, 3), client(&keys, 7));
        while rate.take(busy, SECOND).is_ok() {}
        // A whole /36 of IPv6, a million prefixes: more than any table of entries would keep.
        for prefix in 0..1 << 20 {
            let address = Ipv6Addr::from_bits((0x20_010d_b800_0000 + prefix) << 72);
            let _ = rate.take(Cells::of(&Prefix::line(address.into()), &keys), SECOND);
        }
        assert!(rate.take(busy, SECOND).is_err());
    }

    #[test]
    fn a_crowd_is_bounded_and_forgets_who_left() {
        let keys = RandomState::new();
        let (crowd, one, other) = (Crowd::new(3), client(&keys, 1), client(&keys, 2));
        assert!((0..3).all(|_| crowd.enter(one)));
        assert!(!crowd.enter(one));
        assert!(crowd.enter(other));
        crowd.leave(one);
        assert!(crowd.enter(one) && !crowd.enter(one));
    }

    #[test]
    fn threads_do_not_get_past_each_other() {
        let keys = RandomState::new();
        let (crowd, one) = (Crowd::new(100), client(&keys, 1));
        let inside: usize = std::thread::scope(|scope| {
            let run = || (0..1000).filter(|_| crowd.enter(one)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(inside, 100);
    }
}
