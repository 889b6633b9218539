//! How much to have under way on one lane.
//!
//! The line is to be full, and a block that somebody waits for is to have its turn soon: so much as comes in half a
//! second, and no more than a stream's window has room for. It begins with little and doubles with what comes, so a slow
//! provider never has many blocks that others wait for.

use std::time::{Duration, Instant};

/// What one lane brings.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// A moving average of the length of a block.
    block_bytes: usize,
    /// Bytes that came.
    got: u64,
    /// Bytes in a second, once known.
    rate: Option<u64>,
    /// The bytes that came since this point in time.
    counting: Option<(Instant, usize)>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            block_bytes: FIRST_BLOCK_BYTES,
            got: 0,
            rate: None,
            counting: None,
        }
    }
}

impl Pace {
    /// A block came.
    pub fn saw(&mut self, block_bytes: usize, now: Instant) {
        self.block_bytes = (3 * self.block_bytes + block_bytes) / 4;
        self.got += block_bytes as u64;
        let Some((since, bytes)) = &mut self.counting else {
            self.counting = Some((now, 0));
            return;
        };
        *bytes += block_bytes;
        let took = now.saturating_duration_since(*since);
        if took >= COUNTED_FOR {
            let rate = *bytes as u64 * 1_000 / took.as_millis() as u64;
            self.rate = Some(self.rate.map_or(rate, |before| before.midpoint(rate)));
            self.counting = Some((now, 0));
        }
    }

    /// Nothing was asked for: the time until the next block says nothing.
    pub fn rests(&mut self) {
        self.counting = None;
    }

    /// Blocks to have under way.
    pub fn room(&self) -> usize {
        let shown = FIRST_BYTES.saturating_add(2 * self.got).min(UNDER_WAY_BYTES);
        let bytes = self.rate.map_or(shown, |rate| shown.min(rate / UNDER_WAY_PART));
        let blocks = bytes / self.block_bytes.max(1) as u64;
        (blocks as usize).clamp(ROOM_MIN, ROOM_MAX)
    }
}

/// What is wanted at once: more than a stream's window has room for on the longest path.
const UNDER_WAY_BYTES: u64 = 4 << 20;
/// Before anything came.
const FIRST_BYTES: u64 = 1 << 20;
/// And no more than comes in this part of a second: the longest path and back.
const UNDER_WAY_PART: u64 = 2;
/// The rate is that of so long.
const COUNTED_FOR: Duration = Duration::from_millis(100);
const FIRST_BLOCK_BYTES: usize = 256 << 10;
/// One comes while the next is asked for.
const ROOM_MIN: usize = 2;
const ROOM_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_lane_has_little_under_way_and_a_fast_one_its_windows_worth() {
        let check = |block_bytes: usize, every: Duration, expected: usize| {
            let (mut pace, began) = (Pace::default(), Instant::now());
            for at in 0..64 {
                pace.saw(block_bytes, began + every * at);
            }
            assert_eq!(pace.room(), expected, "{block_bytes} bytes every {every:?}");
        };
        assert_eq!(Pace::default().room(), 4, "nothing is known yet");
        check(1 << 20, Duration::from_millis(2), 4);
        check(256 << 10, Duration::from_millis(1), 16);
        check(256 << 10, Duration::from_millis(50), 10);
        check(1 << 20, Duration::from_secs(1), 2);
        check(100, Duration::from_micros(10), 256);
    }

    #[test]
    fn a_rest_is_not_taken_for_slowness() {
        let (mut pace, began) = (Pace::default(), Instant::now());
        let ms = |ms| began + Duration::from_millis(ms);
        for at in 0..300 {
            pace.saw(256 << 10, ms(at));
        }
        pace.rests();
        for at in 60_000..60_300 {
            pace.saw(256 << 10, ms(at));
        }
        assert_eq!(pace.room(), 16);
    }
}
