//! Which names have changed: caches that keep names of this chain are told at once, instead of asking for each again and
//! again. `/.well-known/ddn/changes?since=HEIGHT&wait=SECONDS` answers with the first block above that height that changes
//! a name, or when the time is over; what is answered is to be asked for by `since` the next time.

use std::time::Duration;

use http::Response;
use http::request::Parts;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use super::{Doors, is_head, json, only_read};
use crate::ask::query::Query;
use crate::body::Body;
use crate::problem::Problem;

/// The longest that a question waits, and what it waits if it does not say.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How often the height is looked at meanwhile: it is in memory.
const LOOK: Duration = Duration::from_millis(50);
/// With more names than this, any may have changed.
const NAMES_MAX: usize = 1_000;

/// What has changed.
#[derive(Debug, Serialize)]
struct Changes {
    /// The top-level domain of the chain's names.
    tld: String,
    /// Up to the block of this height.
    height: u64,
    /// The names, without those below them, some twice or for nothing; `null` if any may have changed.
    names: Option<Vec<String>>,
}

impl Doors {
    pub(super) async fn changes(&self, asked: &Parts) -> Result<Response<Body>, Problem> {
        if let Some(answer) = only_read(asked)? {
            return Ok(answer);
        }
        let query = Query::parse(asked.uri.query().unwrap_or_default());
        let number = |key: &str| match query.get(key) {
            None => Ok(None),
            Some(text) => text
                .parse::<u64>()
                .map(Some)
                .map_err(|_| Problem::bad_request(format!("{key}={text}: give a whole number"))),
        };
        let (since, wait) = (number("since")?, number("wait")?);
        let wait = wait.map_or(WAIT_MAX, Duration::from_secs).min(WAIT_MAX);
        let changes = match since {
            None => self.changed(None),
            Some(since) => self.changed_after(since, wait).await,
        };
        json(&changes, is_head(asked))
    }

    /// Waits for a change. Of so many that wait; who comes beside them is answered at once.
    async fn changed_after(&self, since: u64, wait: Duration) -> Changes {
        let place = self.watches.try_acquire();
        let end = Instant::now() + place.map_or(Duration::ZERO, |_| wait);
        let mut seen = since;
        loop {
            if self.names.height() != seen {
                let changes = self.changed(Some(since));
                if changes.names.as_ref().is_none_or(|names| !names.is_empty()) {
                    return changes;
                }
                seen = changes.height;
            }
            let now = Instant::now();
            if now >= end || self.stop.is_cancelled() {
                return self.changed(Some(since));
            }
            tokio::select! {
                () = sleep_until((now + LOOK).min(end)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// What has changed above a height. The height is read first: a change of meanwhile is told again.
    fn changed(&self, since: Option<u64>) -> Changes {
        let height = self.names.height();
        let tld = self.names.tld();
        let since = since.filter(|since| *since <= height);
        let labels = since.and_then(|since| self.names.changed_since(since));
        let labels = labels.filter(|labels| labels.len() <= NAMES_MAX);
        Changes {
            tld: tld.to_owned(),
            height,
            names: labels.map(|labels| labels.iter().map(|label| format!("{label}.{tld}")).collect()),
        }
    }
}
