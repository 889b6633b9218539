//! What came from one provider, over all its streams.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::session::lock;

/// What came, and how long that took.
#[derive(Debug, Default)]
pub(super) struct Got(Mutex<Sum>);

#[derive(Debug, Default)]
struct Sum {
    bytes: u64,
    /// While something was wanted, up to the last block.
    took: Duration,
    /// Streams on which something is wanted.
    busy: usize,
    /// Since when there are any.
    since: Option<Instant>,
    /// When the last block came.
    last: Option<Instant>,
}

/// Whether something is wanted on one stream.
pub(super) struct Busy<'a> {
    got: &'a Got,
    is_busy: bool,
}

impl Got {
    /// Verified payload.
    pub fn bytes(&self) -> u64 {
        lock(&self.0).bytes
    }

    /// While something was wanted.
    pub fn took(&self) -> Duration {
        lock(&self.0).took
    }

    /// A block was verified.
    pub fn came(&self, bytes: usize) {
        let mut sum = lock(&self.0);
        sum.bytes += bytes as u64;
        sum.last = Some(Instant::now());
    }

    /// One more stream, on which nothing is wanted yet.
    pub fn stream(&self) -> Busy<'_> {
        Busy {
            got: self,
            is_busy: false,
        }
    }
}

impl Busy<'_> {
    /// Whether something is wanted.
    pub fn is(&self) -> bool {
        self.is_busy
    }

    /// Takes note of it.
    pub fn set(&mut self, is_busy: bool) {
        let changed = std::mem::replace(&mut self.is_busy, is_busy) != is_busy;
        let mut sum = lock(&self.got.0);
        match (changed, is_busy) {
            (false, _) => {}
            (true, true) => {
                sum.busy += 1;
                sum.since.get_or_insert_with(Instant::now);
            }
            (true, false) => {
                sum.busy -= 1;
                if sum.busy == 0
                    && let (Some(since), Some(last)) = (sum.since.take(), sum.last)
                {
                    sum.took += last.saturating_duration_since(since);
                }
            }
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn streams_that_bring_at_the_same_time_take_no_longer_together() {
        let got = Got::default();
        let (mut one, mut two) = (got.stream(), got.stream());
        let second = || tokio::time::advance(Duration::from_secs(1));
        one.set(true);
        second().await;
        got.came(100);
        two.set(true);
        one.set(false);
        second().await;
        got.came(200);
        second().await;
        drop(two);
        second().await;
        assert_eq!((got.bytes(), got.took()), (300, Duration::from_secs(2)));
    }
}
