//! The two clocks that an answer is measured by.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// When a packet came.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub(super) at: Instant,
    /// Seconds since 1970, as they were then.
    pub(super) unix: u64,
    looked: Instant,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let at = Instant::now();
        Self {
            at,
            unix: unix_now(),
            looked: at,
        }
    }

    /// Now. The clock of days is looked at once in a while: it counts seconds here.
    #[must_use]
    pub fn later(self) -> Self {
        let at = Instant::now();
        match at.duration_since(self.looked) < LOOK_AGAIN {
            true => Self { at, ..self },
            false => Self {
                at,
                unix: unix_now(),
                looked: at,
            },
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Seconds since 1970.
pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}
