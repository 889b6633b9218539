//! What the DNS server counts. Label values come from small fixed sets, never from a packet's bytes.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// The counters of one server; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Replies by transport, type asked and response code.
    pub replies: Family<ReplyLabels, Counter>,
    /// Packets that got no reply.
    pub dropped: Family<DropLabels, Counter>,
    /// Replies over UDP that were cut, with TC set.
    pub truncated: Counter,
    /// Replies from memory.
    pub kept: Counter,
    /// Replies above the rate limit that went without records.
    pub slipped: Counter,
    /// Replies above the rate limit that did not go.
    pub limited: Counter,
    /// Time to compose a reply that was not in memory, in seconds, without the network.
    pub answer_seconds: Histogram,
    /// Open TCP connections.
    pub tcp_connections: Gauge,
    /// TCP connections closed at once because of the bounds in the configuration.
    pub tcp_refused: Counter,
}

/// The labels of a reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReplyLabels {
    /// `udp`, `tcp`, `tls` or `https`.
    pub transport: &'static str,
    /// The type that was asked, `other` for the rare ones, `none` if the question could not be read.
    pub kind: &'static str,
    /// The response code.
    pub code: &'static str,
}

/// The label of a packet without reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DropLabels {
    /// `short`, `reply`, `unanswerable`, `send`, or `busy`: too many questions waited to be composed.
    pub reason: &'static str,
}

/// How a question came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram: the reply is limited to what the asker takes.
    Udp,
    /// A stream: the reply is limited to 64 KiB.
    Tcp,
    /// A stream inside TLS (RFC 7858): limited as a stream.
    Tls,
    /// A request to the gateway (RFC 8484): limited as a stream.
    Https,
}

impl Transport {
    /// Whether nobody else reads what goes this way.
    #[must_use]
    pub fn is_private(self) -> bool {
        matches!(self, Self::Tls | Self::Https)
    }

    /// The label's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
        }
    }
}

impl Metrics {
    /// Registers the counters under the prefix `dns`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            replies: Family::default(),
            dropped: Family::default(),
            truncated: Counter::default(),
            kept: Counter::default(),
            slipped: Counter::default(),
            limited: Counter::default(),
            answer_seconds: Histogram::new([0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.1, 0.5]),
            tcp_connections: Gauge::default(),
            tcp_refused: Counter::default(),
        };
        let dns = registry.sub_registry_with_prefix("dns");
        dns.register("replies", "Replies sent", metrics.replies.clone());
        dns.register("dropped", "Packets without reply", metrics.dropped.clone());
        dns.register("truncated", "Replies cut to fit UDP", metrics.truncated.clone());
        dns.register("kept", "Replies from memory", metrics.kept.clone());
        dns.register(
            "slipped",
            "Replies above the rate limit sent without records",
            metrics.slipped.clone(),
        );
        dns.register(
            "limited",
            "Replies above the rate limit not sent",
            metrics.limited.clone(),
        );
        dns.register(
            "answer_seconds",
            "Time to compose a reply that was not in memory",
            metrics.answer_seconds.clone(),
        );
        dns.register(
            "tcp_connections",
            "Open TCP connections",
            metrics.tcp_connections.clone(),
        );
        dns.register(
            "tcp_refused",
            "TCP connections over the bound",
            metrics.tcp_refused.clone(),
        );
        metrics
    }

    /// Counts a packet that gets no reply.
    pub fn dropped(&self, reason: &'static str) {
        self.dropped.get_or_create(&DropLabels { reason }).inc();
    }
}

/// The label for a type asked.
#[must_use]
pub fn kind(asked: Option<RecordType>) -> &'static str {
    match asked {
        None => "none",
        Some(RecordType::A) => "a",
        Some(RecordType::AAAA) => "aaaa",
        Some(RecordType::ANY) => "any",
        Some(RecordType::CNAME) => "cname",
        Some(RecordType::HTTPS) => "https",
        Some(RecordType::NS) => "ns",
        Some(RecordType::SOA) => "soa",
        Some(RecordType::TXT) => "txt",
        Some(_) => "other",
    }
}

/// The label for a response code; we send no others.
#[must_use]
pub fn code(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "noerror",
        ResponseCode::FormErr => "formerr",
        ResponseCode::ServFail => "servfail",
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::NotImp => "notimp",
        ResponseCode::Refused => "refused",
        ResponseCode::BADVERS => "badvers",
        _ => "other",
    }
}
