//! One fetch for all who want the same at the same time, and bodies that are read while they come.
//!
//! A fetch that is shared depends on none of its readers: it goes on when the first one leaves.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::{mpsc, watch};

use super::fault::Fault;
use super::store::{Stored, Variant};

/// Parts of a body that its reader has not taken yet.
const PARTS_AHEAD: usize = 1;

/// What a shared fetch came to.
#[derive(Clone)]
pub(super) enum Outcome {
    /// It is here, and may be shared.
    Stored(Arc<Stored>, How),
    /// Its head is here, its body comes, and both may be shared.
    Coming(Arc<Coming>),
    /// It is for one reader only: each asks alone.
    Alone,
    /// There is no answer.
    Failed(Fault),
}

/// How an answer was had, for `Cache-Status` (RFC 9211).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It was here, and fresh.
    Hit,
    /// It was not here.
    Miss,
    /// It was here, and the origin said that it has not changed.
    Renewed,
    /// It was here, and the origin was ill.
    Stale,
    /// It is not for a cache.
    Bypass,
}

/// The fetches under way.
#[derive(Default)]
pub(super) struct Flights(Mutex<HashMap<Variant, watch::Receiver<Option<Outcome>>>>);

/// A place in a fetch.
pub(super) enum Seat {
    /// Whoever has it makes the fetch.
    First(Pilot),
    /// Somebody else makes it.
    Other(Passenger),
}

/// Makes a fetch for all who join it, until it is dropped.
pub(super) struct Pilot {
    flights: Arc<Flights>,
    variant: Variant,
    tell: watch::Sender<Option<Outcome>>,
}

/// Waits for a fetch.
pub(super) struct Passenger(watch::Receiver<Option<Outcome>>);

impl Flights {
    pub(super) fn join(self: &Arc<Self>, variant: &Variant) -> Seat {
        let mut flights = self.lock();
        if let Some(told) = flights.get(variant) {
            return Seat::Other(Passenger(told.clone()));
        }
        let (tell, told) = watch::channel(None);
        flights.insert(variant.clone(), told);
        Seat::First(Pilot {
            flights: Arc::clone(self),
            variant: variant.clone(),
            tell,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Variant, watch::Receiver<Option<Outcome>>>> {
        // Each holder changes one entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pilot {
    /// What is fetched.
    pub(super) fn variant(&self) -> &Variant {
        &self.variant
    }

    /// Tells all who wait, and all who come until this is dropped.
    pub(super) fn tell(&self, outcome: Outcome) {
        self.tell.send_replace(Some(outcome));
    }
}

impl Drop for Pilot {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.variant);
    }
}

impl Passenger {
    pub(super) async fn outcome(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(told) => told.clone().unwrap_or(Outcome::Alone),
            // Whoever made the fetch is gone without a word.
            Err(_) => Outcome::Alone,
        }
    }
}

/// An answer whose body is on its way, and can be read from its start by anybody.
pub(super) struct Coming {
    pub status: StatusCode,
    /// As readers get them.
    pub headers: HeaderMap,
    pub length: u64,
    body: watch::Sender<Growing>,
}

#[derive(Default)]
struct Growing {
    parts: Vec<Bytes>,
    /// Whether it came to its end, once it has ended.
    whole: Option<bool>,
}

impl Coming {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, length: u64) -> Self {
        Self {
            status,
            headers,
            length,
            body: watch::Sender::default(),
        }
    }

    pub(super) fn push(&self, part: Bytes) {
        self.body.send_modify(|body| body.parts.push(part));
    }

    pub(super) fn end(&self, whole: bool) {
        self.body.send_modify(|body| body.whole = Some(whole));
    }

    /// All parts, once it has ended well.
    pub(super) fn parts(&self) -> Vec<Bytes> {
        self.body.borrow().parts.clone()
    }

    /// The body for one reader, who may be slower than it comes.
    pub(super) fn read(&self) -> Parts {
        let (mut body, (give, parts)) = (self.body.subscribe(), mpsc::channel(PARTS_AHEAD));
        tokio::spawn(async move {
            for next in 0.. {
                let grown = body.wait_for(|body| next < body.parts.len() || body.whole.is_some());
                let part = match grown.await {
                    Ok(body) => match (body.parts.get(next), body.whole) {
                        (Some(part), _) => Ok(part.clone()),
                        (None, Some(true)) => return,
                        (None, _) => Err(cut()),
                    },
                    Err(_) => Err(cut()),
                };
                let over = part.is_err();
                if give.send(part).await.is_err() || over {
                    return;
                }
            }
        });
        parts
    }
}

/// A body, part by part; an error if it ends too early.
pub(super) type Parts = mpsc::Receiver<io::Result<Bytes>>;

/// A body that is given to one reader as fast as it takes it. `next` gives the parts.
pub(super) fn pipe<S: Source + Send + 'static>(mut source: S) -> Parts {
    let (give, parts) = mpsc::channel(PARTS_AHEAD);
    tokio::spawn(async move {
        loop {
            let part = tokio::select! {
                part = source.next() => part,
                // Nobody reads: the connection is closed.
                () = give.closed() => return,
            };
            let (part, over) = match part {
                Ok(None) => return,
                Ok(Some(part)) => (Ok(part), false),
                Err(error) => (Err(error), true),
            };
            if give.send(part).await.is_err() || over {
                return;
            }
        }
    });
    parts
}

/// Where the parts of a body come from.
pub(super) trait Source {
    /// The next part; `None` at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

pub(super) fn cut() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the origin did not give the whole answer",
    )
}

#[cfg(test)]
mod tests {
    use super::super::store::Page;
    use super::*;

    fn variant() -> Variant {
        Variant {
            page: Page {
                site: "a".into(),
                target: "/".into(),
            },
            selected: vec![],
        }
    }

    async fn all(mut parts: Parts) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(part) = parts.recv().await {
            bytes.extend(part?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn one_flies_and_the_others_are_told() {
        let flights = Arc::new(Flights::default());
        let Seat::First(pilot) = flights.join(&variant()) else {
            panic!("nobody flies yet");
        };
        let others: Vec<_> = (0..3)
            .map(|_| match flights.join(&variant()) {
                Seat::Other(passenger) => tokio::spawn(passenger.outcome()),
                Seat::First(_) => panic!("two fly"),
            })
            .collect();
        pilot.tell(Outcome::Failed(Fault::Slow));
        for other in others {
            assert!(matches!(other.await.unwrap(), Outcome::Failed(Fault::Slow)));
        }
        drop(pilot);
        let Seat::First(pilot) = flights.join(&variant()) else {
            panic!("it is over");
        };
        let Seat::Other(passenger) = flights.join(&variant()) else {
            panic!("two fly");
        };
        // A fetch that ends without a word strands nobody.
        drop(pilot);
        assert!(matches!(passenger.outcome().await, Outcome::Alone));
    }

    #[tokio::test]
    async fn a_body_is_read_while_it_comes_and_after() {
        let coming = Arc::new(Coming::new(StatusCode::OK, HeaderMap::new(), 4));
        let early = tokio::spawn(all(coming.read()));
        coming.push(Bytes::from_static(b"ab"));
        let middle = tokio::spawn(all(coming.read()));
        coming.push(Bytes::from_static(b"cd"));
        coming.end(true);
        let late = tokio::spawn(all(coming.read()));
        for reader in [early, middle, late] {
            assert_eq!(reader.await.unwrap().unwrap(), b"abcd");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_breaks_off_for_all() {
        let coming = Coming::new(StatusCode::OK, HeaderMap::new(), 4);
        coming.push(Bytes::from_static(b"ab"));
        let (one, other) = (coming.read(), coming.read());
        coming.end(false);
        assert!(all(one).await.is_err());
        // Nor does a fetch that dies leave readers waiting.
        drop(coming);
        assert!(all(other).await.is_err());
    }
}
