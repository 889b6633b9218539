//! What is known of one domain, and for how long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Error, Said};

/// The content path, if there is one, and how much longer it holds.
pub(super) type Answer = (Option<Arc<str>>, Duration);

/// Bounds for the time that an answer is kept. Below, each object of a page would ask anew; above, a change would take
/// days to be seen.
const FOUND_FOR: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(86_400));
/// The same for absence; who has just made a record wants to see it.
const ABSENT_FOR: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// Failures.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// How long an answer that has run out is better than none.
const STALE_FOR: Duration = Duration::from_secs(3600);

/// What is known of a domain.
#[derive(Default)]
pub(super) struct Known {
    /// Held by whoever asks for it.
    pub asking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What was said last, and how long that holds.
    said: Option<(Option<Arc<str>>, Instant)>,
    /// Why nothing newer is said, and until when nobody asks again.
    failed: Option<(Error, Instant)>,
}

impl Known {
    /// What holds now, if anything is known that does.
    pub(super) fn fresh(&self, now: Instant) -> Option<Result<Answer, Error>> {
        let state = self.state();
        if let Some((path, until)) = state.said.as_ref().filter(|(_, until)| *until > now) {
            return Some(Ok((path.clone(), *until - now)));
        }
        let (error, _) = state.failed.as_ref().filter(|(_, until)| *until > now)?;
        Some(state.stale(now).ok_or_else(|| error.clone()))
    }

    /// What held until a short while ago.
    pub(super) fn stale(&self, now: Instant) -> Option<Answer> {
        self.state().stale(now)
    }

    /// Keeps what was said, and gives what holds now.
    pub(super) fn learn(&self, said: Result<Said<String>, Error>, now: Instant) -> Result<Answer, Error> {
        let mut state = self.state();
        match said {
            Ok(Said { what, ttl }) => {
                let (least, most) = if what.is_some() { FOUND_FOR } else { ABSENT_FOR };
                let (path, ttl) = (what.map(Arc::from), ttl.clamp(least, most));
                *state = State {
                    said: Some((path.clone(), now + ttl)),
                    failed: None,
                };
                Ok((path, ttl))
            }
            Err(error) => {
                state.failed = Some((error.clone(), now + FAILED_FOR));
                state.stale(now).ok_or(error)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn stale(&self, now: Instant) -> Option<Answer> {
        let (path, until) = self.said.as_ref()?;
        (*until + STALE_FOR > now).then(|| (path.clone(), Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(path: Option<&str>, seconds: u64) -> Result<Said<String>, Error> {
        Ok(Said {
            what: path.map(str::to_owned),
            ttl: Duration::from_secs(seconds),
        })
    }

    fn failure() -> Error {
        Error::Busy {
            domain: "a.example".into(),
        }
    }

    #[test]
    fn an_answer_holds_within_bounds() {
        for (path, says, holds) in [
            (Some("/ipfs/a"), 60, 60),
            (Some("/ipfs/a"), 0, 5),
            (Some("/ipfs/a"), 1 << 30, 86_400),
            (None, 0, 5),
            (None, 3600, 300),
        ] {
            let (known, now) = (Known::default(), Instant::now());
            let holds = Duration::from_secs(holds);
            let expected = (path.map(Arc::from), holds);
            assert_eq!(known.learn(said(path, says), now), Ok(expected.clone()));
            assert_eq!(known.fresh(now), Some(Ok(expected)));
            assert!(known.fresh(now + holds).is_none(), "{path:?} {says}");
        }
    }

    #[test]
    fn a_failure_changes_nothing_for_an_hour() {
        let (known, start) = (Known::default(), Instant::now());
        let old = (Some(Arc::from("/ipfs/a")), Duration::ZERO);
        assert!(known.learn(said(Some("/ipfs/a"), 60), start).is_ok());
        let over = start + Duration::from_secs(60);
        assert_eq!(known.stale(over), Some(old.clone()));
        assert_eq!(known.learn(Err(failure()), over), Ok(old.clone()));
        assert_eq!(
            known.fresh(over + FAILED_FOR / 2),
            Some(Ok(old)),
            "nobody is asked for a moment"
        );
        assert_eq!(known.fresh(over + FAILED_FOR), None);
        let late = over + STALE_FOR;
        assert_eq!(known.learn(Err(failure()), late), Err(failure()));
        assert_eq!(known.fresh(late), Some(Err(failure())));
        assert!(known.learn(said(None, 60), late).is_ok());
        assert_eq!(known.fresh(late), Some(Ok((None, Duration::from_secs(60)))));
    }
}
