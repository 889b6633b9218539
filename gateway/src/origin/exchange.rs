//! One request to an origin and its answer, each over a connection of its own: what an answer leaves behind on a connection
//! cannot become the answer to another request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ledger::Origin;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::AbortOnDropHandle;

use super::connect::{Connector, Wire};
use super::fault::Fault;
use super::head;

/// The most bytes and lines of an answer's head.
const HEAD_BYTES_MAX: usize = 32 << 10;
const HEAD_LINES_MAX: usize = 128;

/// Where requests to origins leave.
pub(super) struct Exchanges {
    pub(super) connector: Connector,
    /// Exchanges at once.
    pub(super) places: Places,
    /// How long an origin may take for the head of an answer, connection included, and for each part of its body.
    pub(super) patience: Duration,
}

/// The head of an answer, and its body as it comes.
pub(super) struct Reply {
    pub head: response::Parts,
    pub body: Incoming,
    pub line: Line,
    /// When the request left.
    pub sent: SystemTime,
    /// When the head came.
    pub received: SystemTime,
}

/// The connection of an answer; dropping it closes it, and gives its place to the next.
pub(super) struct Line {
    _connection: AbortOnDropHandle<()>,
    _place: Place,
}

/// The places of exchanges. One origin has at most a quarter of them, so that one which never ends its answers does not
/// stand in the way of the others.
pub(super) struct Places {
    all: Arc<Semaphore>,
    each_max: usize,
    taken: Arc<Mutex<HashMap<Origin, usize>>>,
}

/// One place.
struct Place {
    origin: Origin,
    taken: Arc<Mutex<HashMap<Origin, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(max)),
            each_max: (max / 4).max(1),
            taken: Arc::default(),
        }
    }

    fn take(&self, origin: &Origin) -> Result<Place, Fault> {
        let permit = Arc::clone(&self.all).try_acquire_owned();
        let permit = permit.map_err(|_| Fault::Busy)?;
        let mut taken = lock(&self.taken);
        let count = taken.entry(origin.clone()).or_default();
        if *count == self.each_max {
            return Err(Fault::Busy);
        }
        *count += 1;
        Ok(Place {
            origin: origin.clone(),
            taken: Arc::clone(&self.taken),
            _permit: permit,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        match taken.get_mut(&self.origin) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(taken.remove(&self.origin)),
        }
    }
}

/// Each holder changes one number.
fn lock(taken: &Mutex<HashMap<Origin, usize>>) -> MutexGuard<'_, HashMap<Origin, usize>> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchanges {
    /// Sends a request, and gives the answer once its head is here and is one that cannot be misunderstood.
    pub(super) async fn send(&self, origin: &Origin, request: Request<Empty<Bytes>>) -> Result<Reply, Fault> {
        let place = self.places.take(origin)?;
        let asked = self.ask(origin, request, place);
        tokio::time::timeout(self.patience, asked)
            .await
            .map_err(|_| Fault::Slow)?
    }

    async fn ask(
        &self,
        origin: &Origin,
        request: Request<Empty<Bytes>>,
        place: Place,
    ) -> Result<Reply, Fault> {
        let wire = self.connector.connect(origin).await?;
        let wanted = head::Wanted::of(&request);
        let (mut sender, connection) = handshake(wire).await?;
        let line = Line {
            _connection: AbortOnDropHandle::new(tokio::spawn(connection)),
            _place: place,
        };
        let sent = SystemTime::now();
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        let (head, body) = answer.into_parts();
        head::check(&head, wanted).map_err(|reason| Fault::Malformed(reason.into()))?;
        Ok(Reply {
            head,
            body,
            line,
            sent,
            received: SystemTime::now(),
        })
    }
}

type Sender = http1::SendRequest<Empty<Bytes>>;

async fn handshake(
    wire: Box<dyn Wire>,
) -> Result<(Sender, impl Future<Output = ()> + Send + 'static), Fault> {
    let made = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEAD_LINES_MAX)
        .handshake(TokioIo::new(wire))
        .await;
    let (sender, connection) = made.map_err(|error| broken(&error))?;
    let run = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to an origin broke");
        }
    };
    Ok((sender, run))
}

/// What the parser or the connection says.
fn broken(error: &hyper::Error) -> Fault {
    if error.is_parse() {
        return Fault::Malformed(error.to_string());
    }
    Fault::Unreachable(format!("the connection broke ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_origin_does_not_take_all_places() {
        let origin = |name: &str| Origin::parse(&format!("https://{name}.example")).unwrap();
        let places = Places::new(8);
        let held: Vec<_> = (0..2).map(|_| places.take(&origin("a")).ok().unwrap()).collect();
        assert!(places.take(&origin("a")).is_err());
        let others: Vec<_> = ["b", "c", "d"]
            .iter()
            .flat_map(|name| [places.take(&origin(name)), places.take(&origin(name))])
            .map(|place| place.ok().unwrap())
            .collect();
        assert!(places.take(&origin("e")).is_err(), "all are taken");
        drop(held);
        assert!(places.take(&origin("a")).is_ok());
        drop(others);
        assert!(lock(&places.taken).is_empty());
    }
}
