//! What the gateway counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{StatusCode, Version};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The metrics of one gateway, registered under `gateway_`.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    requests: Family<Class, Counter>,
    remembered: Counter,
    /// Of `requests`, at hand: those of answers from memory.
    good: Counter,
    unchanged: Counter,
    versions: Family<Spoken, Counter>,
    /// The usual ones of `versions`, at hand.
    of_http1: Counter,
    of_http2: Counter,
    handshakes: Family<Agreed, Counter>,
    failed_handshakes: Counter,
    certificate_ends: Family<Named, Gauge>,
    acme_attempts: Family<Outcome, Counter>,
    sent_bytes: Counter,
    head_seconds: Histogram,
    answer_seconds: Histogram,
    in_flight: Gauge,
    fetching: Gauge,
    connections: Gauge,
    resting: Gauge,
    refused_connections: Counter,
    refused: Family<Refused, Counter>,
    /// Lines that the access log could not take.
    pub lost_log_lines: Counter,
}

/// The requests that a gateway has in hand, slow downloads included; answers from memory are none. A clone counts the same.
#[derive(Clone, Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    /// How many there are now.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.get()).unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    why: &'static str,
}

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 429: its client asks too much.
    Client,
    /// 503: all of them do.
    Busy,
    /// 508: it goes in a circle.
    Stray,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    /// `2xx` and so on.
    status: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Spoken {
    /// Of HTTP: `1.1` and so on.
    version: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Agreed {
    /// Of TLS: `1.3` or `1.2`.
    version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    host: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Metrics {
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_25, 4.0, 10));
        let (requests, versions) = (Family::default(), Family::<Spoken, Counter>::default());
        let spoken = |version| {
            versions.get_or_create_owned(&Spoken {
                version: version_name(version),
            })
        };
        let metrics = Self {
            of_http1: spoken(Version::HTTP_11),
            of_http2: spoken(Version::HTTP_2),
            good: of_class(&requests, StatusCode::OK),
            unchanged: of_class(&requests, StatusCode::NOT_MODIFIED),
            requests,
            remembered: Counter::default(),
            versions,
            handshakes: Family::default(),
            failed_handshakes: Counter::default(),
            certificate_ends: Family::default(),
            acme_attempts: Family::default(),
            sent_bytes: Counter::default(),
            head_seconds: seconds(),
            answer_seconds: seconds(),
            in_flight: Gauge::default(),
            fetching: Gauge::default(),
            connections: Gauge::default(),
            resting: Gauge::default(),
            refused_connections: Counter::default(),
            refused: Family::default(),
            lost_log_lines: Counter::default(),
        };
        metrics.register(registry.sub_registry_with_prefix("gateway"));
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Answered requests by class of status",
            self.requests.clone(),
        );
        registry.register(
            "remembered_answers",
            "Answers from memory, which the times below leave out if they are small",
            self.remembered.clone(),
        );
        registry.register(
            "requests_by_version",
            "Answered requests by version of HTTP",
            self.versions.clone(),
        );
        registry.register(
            "tls_handshakes",
            "Encrypted connections by version of TLS",
            self.handshakes.clone(),
        );
        registry.register(
            "failed_tls_handshakes",
            "Connections that ended before they were encrypted",
            self.failed_handshakes.clone(),
        );
        registry.register(
            "certificate_end_seconds",
            "When the certificate of a host ends, in seconds since 1970",
            self.certificate_ends.clone(),
        );
        registry.register(
            "acme_attempts",
            "Attempts to obtain a certificate",
            self.acme_attempts.clone(),
        );
        registry.register(
            "sent_bytes",
            "Bytes of bodies handed to clients",
            self.sent_bytes.clone(),
        );
        registry.register(
            "head_seconds",
            "From a request to the head of its answer",
            self.head_seconds.clone(),
        );
        registry.register(
            "answer_seconds",
            "From a request to the end of its answer",
            self.answer_seconds.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests that are being answered",
            self.in_flight.clone(),
        );
        registry.register(
            "fetches_in_flight",
            "Reads that wait for other nodes",
            self.fetching.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register(
            "resting_connections",
            "Plain connections of HTTP/1.1 of which nothing is in hand that memory does not have",
            self.resting.clone(),
        );
        registry.register(
            "refused_connections",
            "Connections closed at once: there were too many, or their clients broke the protocol again and again",
            self.refused_connections.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests that were not let in, by the reason",
            self.refused.clone(),
        );
        registry.register(
            "lost_log_lines",
            "Lines of the access log that were lost since the disk was too slow",
            self.lost_log_lines.clone(),
        );
    }

    /// The requests in flight, as they are counted.
    pub(crate) fn in_flight(&self) -> InFlight {
        InFlight(self.in_flight.clone())
    }

    /// Counts a request until the receipt is dropped, which is when its body has ended or its client has gone.
    pub(crate) fn request(self: &Arc<Self>) -> Receipt {
        self.in_flight.inc();
        Receipt {
            metrics: Arc::clone(self),
            since: Instant::now(),
        }
    }

    /// Counts an answer from memory.
    pub(crate) fn remembered(&self) {
        self.remembered.inc();
    }

    /// Counts an answer from memory that is given at once, as a whole.
    pub(crate) fn at_once(&self, version: Version, status: StatusCode, bytes: u64) {
        match status {
            StatusCode::NOT_MODIFIED => self.unchanged.inc(),
            _ => self.good.inc(),
        };
        self.spoken(version);
        self.sent_bytes.inc_by(bytes);
    }

    /// A request came by this version of HTTP.
    pub(crate) fn spoken(&self, version: Version) {
        match version {
            Version::HTTP_11 => self.of_http1.inc(),
            Version::HTTP_2 => self.of_http2.inc(),
            _ => {
                let version = version_name(version);
                self.versions.get_or_create(&Spoken { version }).inc()
            }
        };
    }

    /// A connection is encrypted now, by this version of TLS.
    pub(crate) fn handshake(&self, version: &'static str) {
        self.handshakes.get_or_create(&Agreed { version }).inc();
    }

    pub(crate) fn failed_handshake(&self) {
        self.failed_handshakes.inc();
    }

    /// The hosts that certificates name now, and when each ends, in seconds since 1970.
    pub(crate) fn certificates(&self, ends: BTreeMap<String, i64>) {
        self.certificate_ends.clear();
        for (host, ends) in ends {
            self.certificate_ends.get_or_create(&Named { host }).set(ends);
        }
    }

    /// A certificate was obtained, or was not.
    pub(crate) fn acme_attempt(&self, obtained: bool) {
        let outcome = if obtained { "obtained" } else { "failed" };
        self.acme_attempts.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a connection until the guard is dropped.
    pub(crate) fn connection(self: &Arc<Self>) -> Connected {
        self.connections.inc();
        Connected(Arc::clone(self))
    }

    /// Counts a read that waits for other nodes until the guard is dropped.
    pub(crate) fn fetching(&self) -> Counting {
        Counting::new(&self.fetching)
    }

    /// Counts a connection that rests until the guard is dropped.
    pub(crate) fn resting(&self) -> Counting {
        Counting::new(&self.resting)
    }

    /// Counts a request that was not let in.
    pub(crate) fn refuse(&self, why: Refusal) {
        let why = match why {
            Refusal::Client => "client",
            Refusal::Busy => "busy",
            Refusal::Stray => "loop",
        };
        self.refused.get_or_create(&Refused { why }).inc();
    }

    pub(crate) fn refuse_connection(&self) {
        self.refused_connections.inc();
    }
}

/// One request, from its arrival to the end of its answer.
#[derive(Debug)]
pub(crate) struct Receipt {
    metrics: Arc<Metrics>,
    since: Instant,
}

impl Receipt {
    /// The head of the answer is ready.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.metrics
            .requests
            .get_or_create(&Class {
                status: class(status),
            })
            .inc();
        self.metrics.head_seconds.observe(self.elapsed().as_secs_f64());
    }

    /// A part of the body goes out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.metrics.sent_bytes.inc_by(bytes as u64);
    }

    /// The time since the request came in.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        self.metrics.answer_seconds.observe(self.elapsed().as_secs_f64());
    }
}

/// One open connection.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Metrics>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

/// One read that waits for other nodes.
#[derive(Debug)]
pub(crate) struct Counting(Gauge);

impl Counting {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn of_class(requests: &Family<Class, Counter>, status: StatusCode) -> Counter {
    let class = Class {
        status: class(status),
    };
    requests.get_or_create_owned(&class)
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_3 => "3",
        Version::HTTP_2 => "2",
        Version::HTTP_11 => "1.1",
        _ => "1.0",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}
