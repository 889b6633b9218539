//! How much may pass for each node that pays, and how much did.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger::PublicKey;
use tokio::sync::Notify;

use super::frame::Packets;

/// The meters of all nodes that pay.
#[derive(Default)]
pub(crate) struct Meters(Mutex<HashMap<PublicKey, Arc<Meter>>>);

/// The meter of one node, for as long as it pays: what passes to it and from it.
#[derive(Default)]
pub(crate) struct Meter {
    counts: Mutex<Counts>,
    /// There is less credit than [`LOW`].
    low: Notify,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// What may pass yet, in bytes.
    credit: u64,
    /// What has passed.
    passed: u64,
}

impl Meters {
    /// A new meter for a node, in the place of its last one.
    pub fn begin(&self, node: PublicKey) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        self.lock().insert(node, Arc::clone(&meter));
        meter
    }

    /// The node pays no more.
    pub fn end(&self, node: &PublicKey, meter: &Arc<Meter>) {
        let mut meters = self.lock();
        if meters.get(node).is_some_and(|known| Arc::ptr_eq(known, meter)) {
            meters.remove(node);
        }
    }

    /// Whether packets that come in from a client may pass: it pays for them, or, if it is a guest, whoever they are for
    /// will, when they leave.
    pub(super) fn enters(&self, from: &PublicKey, packets: &Packets) -> bool {
        let meters = self.lock();
        match meters.get(from).cloned() {
            Some(meter) => {
                drop(meters);
                meter.take(packets.bytes)
            }
            None => meters.contains_key(&packets.other),
        }
    }

    /// Whether packets may leave to a client: it pays for them, or, if it is a guest, whoever sent them did, when they came
    /// in.
    pub(super) fn leaves(&self, to: &PublicKey, packets: &Packets) -> bool {
        let meters = self.lock();
        match meters.get(to).cloned() {
            Some(meter) => {
                drop(meters);
                meter.take(packets.bytes)
            }
            None => meters.contains_key(&packets.other),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Arc<Meter>>> {
        // Each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter {
    /// Lets so much more pass.
    pub fn grant(&self, bytes: u64) {
        let mut counts = self.lock();
        counts.credit = counts.credit.saturating_add(bytes);
    }

    /// Lets nothing pass any more; what could have yet.
    pub fn close(&self) -> u64 {
        std::mem::take(&mut self.lock().credit)
    }

    /// What has passed.
    pub fn passed(&self) -> u64 {
        self.lock().passed
    }

    /// Whether it should be granted more.
    pub fn is_low(&self) -> bool {
        self.lock().credit < LOW
    }

    /// Resolves when it became low.
    pub async fn low(&self) {
        self.low.notified().await;
    }

    /// Lets packets pass, if there is credit for all of them.
    fn take(&self, bytes: u64) -> bool {
        let mut counts = self.lock();
        let passes = counts.credit >= bytes;
        if passes {
            counts.credit -= bytes;
            counts.passed += bytes;
        }
        if counts.credit < LOW {
            self.low.notify_one();
        }
        passes
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is granted at a time, in bytes: what a node can owe beyond what passed.
pub(crate) const GRANT: u64 = 64 << 10;
/// With less than this, more is granted: packets come on while that is done.
const LOW: u64 = 2 * GRANT;

#[cfg(test)]
mod tests {
    use ledger::SecretKey;

    use super::*;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed([seed; 32]).public()
    }

    #[test]
    fn a_node_pays_for_what_passes_to_it_and_from_it_and_strangers_for_nothing() {
        let (meters, [node, guest, other]) = (Meters::default(), [1, 2, 3].map(key));
        let packets = |other, bytes| Packets { other, bytes };
        assert!(!meters.enters(&guest, &packets(node, 1)), "nobody pays");
        let meter = meters.begin(node);
        assert!(!meters.enters(&node, &packets(guest, 1)), "nothing is granted");
        meter.grant(100);
        assert!(meters.enters(&node, &packets(guest, 60)));
        assert!(meters.leaves(&guest, &packets(node, 60)), "it is paid for");
        assert!(meters.enters(&guest, &packets(node, 40)), "it will be");
        assert!(meters.leaves(&node, &packets(guest, 40)));
        assert!(
            !meters.leaves(&node, &packets(guest, 1)),
            "beyond what was granted"
        );
        assert!(!meters.enters(&guest, &packets(other, 1)), "between strangers");
        assert!(!meters.leaves(&guest, &packets(other, 1)));
        assert_eq!((meter.passed(), meter.close()), (100, 0));
    }

    #[test]
    fn the_newest_meter_of_a_node_counts() {
        let (meters, node) = (Meters::default(), key(1));
        let first = meters.begin(node);
        let second = meters.begin(node);
        meters.end(&node, &first);
        second.grant(7);
        let packets = Packets {
            other: key(2),
            bytes: 7,
        };
        assert!(meters.enters(&node, &packets));
        meters.end(&node, &second);
        assert!(!meters.enters(&node, &packets));
    }

    #[tokio::test]
    async fn who_runs_low_is_heard() {
        let meter = Meter::default();
        meter.grant(LOW + 10);
        assert!(!meter.is_low() && meter.take(10));
        assert!(!meter.is_low() && meter.take(1));
        assert!(meter.is_low());
        meter.low().await;
        assert_eq!(meter.close(), LOW - 1);
    }
}
