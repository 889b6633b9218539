//! The gate: what a request passes before it is answered, and what is noted when the answer has ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::header::{CONTENT_LENGTH, HOST, HeaderName, REFERER, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::service::Client;
use crate::ask::came::Came;
use crate::config::Config;
use crate::guard::hops::Hops;
use crate::guard::trace::{TRACEPARENT, TRACERESPONSE, Trace};
use crate::guard::{Admitted, Guard, Seat, TooMuch};
use crate::journal::{Journal, Line};
use crate::metrics::{Metrics, Refusal};
use crate::problem::Problem;

/// What stands before every answer. The fast path uses its parts, all others go through [`admit`](Self::admit).
pub(crate) struct Gate {
    /// What each client may do.
    pub guard: Arc<Guard>,
    /// The access log, if there is one.
    pub journal: Option<Arc<Journal>>,
    /// The end of requests that go in a circle.
    pub hops: Hops,
    places: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Who asks, as far as one request tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// The client itself, even if it asks through a trusted proxy.
    pub client: Client,
    /// What it may say of how its request came.
    pub came: Came,
    /// How it is counted.
    pub seat: Seat,
    /// The number of the request.
    pub trace: Trace,
    since: Instant,
}

/// A request's places, until its answer has ended.
#[derive(Debug)]
pub(crate) struct Admission {
    _admitted: Admitted,
    _place: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(config: &Config, journal: Option<Journal>, metrics: Arc<Metrics>) -> Self {
        let limits = &config.limits;
        let node = config.card.node_id.clone().unwrap_or_else(|| "node".into());
        Self {
            guard: Arc::new(Guard::new(&config.guarding)),
            journal: journal.map(Arc::new),
            hops: Hops::new(&node, limits.hops_max),
            places: Arc::new(Semaphore::new(limits.requests_max)),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            metrics,
        }
    }

    /// The counters.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    /// What the requests of a connection may say of how they came. Only proxies that the operator names are believed.
    pub(crate) fn came(&self, client: &Client) -> Came {
        Came {
            secure: client.secure,
            trusted: self.guard.is_proxy(client.address.ip()),
        }
    }

    /// Who asks by the connection of `client`, which is counted as `seat`.
    pub(crate) fn asker(&self, mut client: Client, mut seat: Seat, headers: &HeaderMap) -> Asker {
        let came = self.came(&client);
        if came.trusted {
            client
                .address
                .set_ip(self.guard.client(client.address.ip(), headers));
            seat = self.guard.seat(client.address.ip());
        }
        Asker {
            client,
            came,
            seat,
            trace: Trace::of(headers),
            since: Instant::now(),
        }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// It goes in a circle, its client asks too much, or all of them together do.
    pub(crate) fn admit(&self, asker: &Asker, headers: &HeaderMap) -> Result<Admission, Problem> {
        let judged = self.hops.judge(headers);
        judged.map_err(|stray| self.refused(Refusal::Stray, Problem::stray(stray)))?;
        self.place(asker.seat)
    }

    /// Lets a request in that is known to be no stray.
    ///
    /// # Errors
    /// As with [`admit`](Self::admit).
    pub(crate) fn place(&self, seat: Seat) -> Result<Admission, Problem> {
        self.placed(self.guard.admit(seat), &self.places)
    }

    /// Lets an answer go out that is longer than a block.
    ///
    /// # Errors
    /// Its client, or all of them together, have too many of those in flight.
    pub(crate) fn stream(&self, asker: &Asker) -> Result<Admission, Problem> {
        self.placed(self.guard.stream(asker.seat), &self.streams)
    }

    fn placed(
        &self,
        admitted: Result<Admitted, TooMuch>,
        places: &Arc<Semaphore>,
    ) -> Result<Admission, Problem> {
        let admitted = admitted.map_err(|much| self.refused(Refusal::Client, Problem::too_much(much)))?;
        let place = Arc::clone(places).try_acquire_owned();
        Ok(Admission {
            _admitted: admitted,
            _place: place.map_err(|_| self.refused(Refusal::Busy, Problem::busy()))?,
        })
    }

    fn refused(&self, why: Refusal, problem: Problem) -> Problem {
        self.metrics.refuse(why);
        problem
    }

    /// What will be noted of a request, if anything is. From now on the bytes of its answer are counted.
    pub(crate) fn note<B>(&self, asker: &Asker, request: &Parts, response: &Response<B>) -> Option<Note> {
        let journal = self.journal.as_ref()?;
        let text = |name: HeaderName| request.headers.get(name).map_or(&b""[..], HeaderValue::as_bytes);
        let authority = request
            .uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
        let length = response
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse().ok());
        let is_head = request.method == Method::HEAD;
        let mut note = Note::of(
            journal,
            &Line {
                client: asker.client.address.ip().to_canonical(),
                at: SystemTime::now(),
                method: request.method.as_str().as_bytes(),
                host: authority.unwrap_or_else(|| text(HOST)),
                target: target.as_bytes(),
                version: request.version,
                status: response.status().as_u16(),
                bytes: length.filter(|_| !is_head).unwrap_or(u64::MAX),
                referer: text(REFERER),
                agent: text(USER_AGENT),
                trace: asker.trace.id,
                ..Line::default()
            },
        );
        note.since = asker.since;
        note.is_whole = is_head;
        Some(note)
    }
}

impl Asker {
    /// Tells the number of the request in its answer: to those who gave one, and to those who will ask the operator what
    /// went wrong.
    pub(crate) fn stamp<B>(&self, request: &HeaderMap, response: &mut Response<B>) {
        if request.contains_key(TRACEPARENT) || response.status().as_u16() >= 400 {
            response.headers_mut().insert(TRACERESPONSE, self.trace.value());
        }
    }
}

/// A line of the access log, which is written when the answer has ended.
#[derive(Debug)]
pub(crate) struct Note {
    journal: Arc<Journal>,
    client: IpAddr,
    at: SystemTime,
    since: Instant,
    method: Box<[u8]>,
    host: Box<[u8]>,
    target: Box<[u8]>,
    version: Version,
    status: u16,
    /// How many bytes make the answer whole, as far as it announced that.
    length: u64,
    bytes: u64,
    is_whole: bool,
    referer: Box<[u8]>,
    agent: Box<[u8]>,
    trace: u128,
}

impl Note {
    /// Will note this line, with the bytes that were sent until then: `line.bytes` of them are the whole answer.
    pub(crate) fn of(journal: &Arc<Journal>, line: &Line<'_>) -> Self {
        Self {
            journal: Arc::clone(journal),
            client: line.client,
            at: line.at,
            since: Instant::now(),
            method: line.method.into(),
            host: line.host.into(),
            target: line.target.into(),
            version: line.version,
            status: line.status,
            length: line.bytes,
            bytes: 0,
            is_whole: false,
            referer: line.referer.into(),
            agent: line.agent.into(),
            trace: line.trace,
        }
    }

    /// So many bytes of the body went out.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// So many bytes of the body are still to go out.
    pub(crate) fn left(&mut self, bytes: usize) {
        self.bytes = self.length.saturating_sub(bytes as u64);
    }

    /// The body came to its end.
    pub(crate) fn end(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.journal.note(&Line {
            client: self.client,
            at: self.at,
            method: &self.method,
            host: &self.host,
            target: &self.target,
            version: self.version,
            status: self.status,
            bytes: self.bytes,
            took: self.since.elapsed(),
            referer: &self.referer,
            agent: &self.agent,
            trace: self.trace,
            is_whole: self.is_whole || self.length == self.bytes,
        });
    }
}
