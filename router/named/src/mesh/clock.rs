//! What time others have: each peer's adverts say when they were signed, by its own clock.
//!
//! Only what a peer says of itself over its own connection counts, so nobody can replay another's time; and of many peers
//! the median counts, so that half of them would have to lie.

/// How this node's clock stands beside those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// How far others are ahead of this node, in milliseconds: the median.
    pub others_ahead_ms: i64,
    /// How many others.
    pub peers: usize,
}

impl Clock {
    /// None without others.
    pub(super) fn of(mut ahead_ms: Vec<i64>) -> Option<Self> {
        ahead_ms.sort_unstable();
        let peers = ahead_ms.len();
        let middle = ahead_ms.get(peers.checked_sub(1)? / 2)?;
        // Of two in the middle, the one nearer to our own: what is in doubt is no alarm.
        let other = ahead_ms.get(peers / 2)?;
        let others_ahead_ms = if other.abs() < middle.abs() {
            *other
        } else {
            *middle
        };
        Some(Self {
            others_ahead_ms,
            peers,
        })
    }
}

/// What one peer said lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    last_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl Told {
    /// The peer signed something at `signed_ms` by its clock, which came at `now_ms` by ours.
    pub fn hear(&mut self, signed_ms: u64, now_ms: u64) {
        let ahead = i64::try_from(i128::from(signed_ms) - i128::from(now_ms)).unwrap_or(i64::MAX);
        self.before_ms = self.last_ms.replace(ahead);
    }

    /// How far it is ahead. A message may have waited on its way, so of two the later one by its own clock is right.
    pub fn ahead_ms(&self) -> Option<i64> {
        Some(self.last_ms?.max(self.before_ms?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_would_have_to_lie() {
        for (ahead_ms, expected) in [
            (vec![], None),
            (vec![7], Some(7)),
            (vec![60_000, 1], Some(1)),
            (vec![60_000, 2, 1], Some(2)),
            (vec![60_000, 60_001, 60_002, 1], Some(60_000)),
            (vec![i64::MIN, -3, -2, i64::MAX], Some(-2)),
        ] {
            let peers = ahead_ms.len();
            let clock = Clock::of(ahead_ms);
            assert_eq!(
                clock,
                expected.map(|others_ahead_ms| Clock {
                    others_ahead_ms,
                    peers
                })
            );
        }
    }

    #[test]
    fn what_waited_on_its_way_says_little() {
        let mut told = Told::default();
        told.hear(1_000, 11_000);
        assert_eq!(told.ahead_ms(), None);
        told.hear(11_500, 12_000);
        assert_eq!(told.ahead_ms(), Some(-500));
        told.hear(u64::MAX, 0);
        assert_eq!(told.ahead_ms(), Some(i64::MAX));
    }
}
