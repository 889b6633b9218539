//! How much a client may have of what is free: so many bytes a second for each network prefix, and some at once.
//!
//! Pure: time comes in as an argument. What is taken is counted when it goes out, so a prefix may go below zero by the
//! answers that it has in hand; then it waits until that is made good.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nearest::Prefix;

/// Bytes that each prefix may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes a second, for as long as it likes; at least 1.
    pub bytes_per_s: u64,
    /// Bytes at once, after a rest.
    pub burst_bytes: u64,
}

/// What a request costs besides its bytes: a look-up of what is not here.
const REQUEST_BYTES: u64 = 1024;
/// Prefixes that are counted apart, at about 60 bytes each; those that come later share one count.
const PREFIXES_MAX: usize = 65_536;

/// The counts.
#[derive(Debug)]
pub(crate) struct Budget {
    allowance: Allowance,
    prefixes_max: usize,
    /// Under none is everybody for whom there was no room.
    taken: Mutex<HashMap<Option<Prefix>, Taken>>,
}

/// Bytes that are still to be made good, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Taken {
    bytes: u64,
    at: Instant,
}

impl Budget {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            prefixes_max: PREFIXES_MAX,
            taken: Mutex::default(),
        }
    }

    /// Counts a request, if the prefix has something left; else says after how long it has.
    pub(crate) fn admit(&self, prefix: Prefix, now: Instant) -> Result<(), Duration> {
        let mut taken = self.taken();
        let entry = self.entry(&mut taken, prefix, now);
        let over = entry.bytes.saturating_sub(self.allowance.burst_bytes);
        if over > 0 {
            return Err(self.allowance.time_for(over));
        }
        entry.bytes = entry.bytes.saturating_add(REQUEST_BYTES);
        Ok(())
    }

    /// Counts bytes that went out.
    pub(crate) fn charge(&self, prefix: Prefix, bytes: u64, now: Instant) {
        let mut taken = self.taken();
        let entry = self.entry(&mut taken, prefix, now);
        entry.bytes = entry.bytes.saturating_add(bytes);
    }

    /// The count of a prefix as of now.
    fn entry<'a>(
        &self,
        taken: &'a mut HashMap<Option<Prefix>, Taken>,
        prefix: Prefix,
        now: Instant,
    ) -> &'a mut Taken {
        let mut prefix = Some(prefix);
        if taken.len() >= self.prefixes_max && !taken.contains_key(&prefix) {
            taken.retain(|_, entry| {
                self.allowance.settle(entry, now);
                entry.bytes > 0
            });
            if taken.len() >= self.prefixes_max {
                prefix = None;
            }
        }
        let entry = taken.entry(prefix).or_insert(Taken { bytes: 0, at: now });
        self.allowance.settle(entry, now);
        entry
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Option<Prefix>, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance {
    /// Lets time make good what it can.
    fn settle(&self, entry: &mut Taken, now: Instant) {
        let passed = now.saturating_duration_since(entry.at);
        let good = passed.as_micros().saturating_mul(u128::from(self.bytes_per_s)) / 1_000_000;
        // The time of less than a byte counts on, however often one looks.
        if good > 0 {
            entry.bytes = entry
                .bytes
                .saturating_sub(u64::try_from(good).unwrap_or(u64::MAX));
            entry.at = now;
        }
    }

    /// The time that makes so many bytes good, in whole seconds.
    fn time_for(&self, bytes: u64) -> Duration {
        Duration::from_secs(bytes.div_ceil(self.bytes_per_s.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn budget() -> Budget {
        Budget::new(Allowance {
            bytes_per_s: MIB,
            burst_bytes: 4 * MIB,
        })
    }

    fn of(text: &str) -> Prefix {
        Prefix::network(text.parse().expect("an address"))
    }

    #[test]
    fn what_is_over_the_burst_waits_until_it_is_made_good() {
        let (budget, start) = (budget(), Instant::now());
        let (one, other) = (of("192.0.2.1"), of("198.51.100.1"));
        assert_eq!(budget.admit(one, start), Ok(()));
        budget.charge(one, 10 * MIB, start);
        assert_eq!(budget.admit(one, start), Err(Duration::from_secs(7)));
        assert_eq!(budget.admit(other, start), Ok(()));
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(budget.admit(one, later(6)), Err(Duration::from_secs(1)));
        assert_eq!(budget.admit(one, later(7)), Ok(()));
    }

    #[test]
    fn requests_for_nothing_cost_too() {
        let (budget, now) = (budget(), Instant::now());
        let admitted = (0..10_000)
            .take_while(|_| budget.admit(of("192.0.2.1"), now).is_ok())
            .count();
        assert_eq!(admitted as u64, 4 * MIB / REQUEST_BYTES + 1);
    }

    #[test]
    fn who_comes_when_all_counts_are_in_use_shares_one() {
        let (mut budget, start) = (budget(), Instant::now());
        budget.prefixes_max = 2;
        for text in ["192.0.2.1", "192.0.3.1", "192.0.4.1"] {
            budget.charge(of(text), 5 * MIB, start);
        }
        assert!(budget.admit(of("192.0.5.1"), start).is_err());
        assert!(budget.taken().len() <= 3);
        // Those that have rested make room.
        let later = start + Duration::from_secs(60);
        assert_eq!(budget.admit(of("192.0.5.1"), later), Ok(()));
        assert_eq!(budget.taken().len(), 1);
    }

    proptest! {
        /// Nobody gets more than the burst, the rate, and what was in hand when it ran out.
        #[test]
        fn the_rate_holds(steps in proptest::collection::vec((0u64..3_000, 0u64..2 * MIB), 1..60)) {
            let (budget, start) = (budget(), Instant::now());
            let (mut now, mut sent) = (start, 0);
            for (pause_ms, bytes) in steps {
                now += Duration::from_millis(pause_ms);
                if budget.admit(of("192.0.2.1"), now).is_ok() {
                    budget.charge(of("192.0.2.1"), bytes, now);
                    sent += bytes;
                }
            }
            let passed = u64::try_from((now - start).as_millis()).expect("a short test");
            prop_assert!(sent <= 4 * MIB + passed * MIB / 1000 + 2 * MIB + REQUEST_BYTES);
        }
    }
}
