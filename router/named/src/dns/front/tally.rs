//! Replies, counted by one thread for itself: counters that all share are not touched with each reply.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::dns::metrics::{self, Metrics, ReplyLabels, Transport};

/// Types that have a label of their own.
const KINDS: [RecordType; 15] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::ANY,
    RecordType::CAA,
    RecordType::CNAME,
    RecordType::DNSKEY,
    RecordType::DS,
    RecordType::HTTPS,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::SVCB,
    RecordType::TXT,
    RecordType::NULL,
];
/// Codes below this have a label of their own (RFC 1035, section 4.1.1).
const CODES: usize = 8;

/// What one thread has done since it was last flushed.
#[derive(Debug)]
pub struct Tally {
    transport: Transport,
    replies: [u32; KINDS.len() * CODES],
    /// Replies from memory, in all.
    pub kept: u64,
    /// Replies that were cut.
    pub truncated: u64,
    /// Replies above the rate that were sent without records.
    pub slipped: u64,
    /// Replies above the rate that were not sent.
    pub limited: u64,
}

/// The place of a type and a code.
#[must_use]
pub fn label(kind: u16, code: u8) -> u8 {
    let kind = KINDS.iter().position(|known| u16::from(*known) == kind);
    let kind = kind.unwrap_or(KINDS.len() - 1);
    (kind * CODES + usize::from(code) % CODES) as u8
}

impl Tally {
    /// Of replies by this transport.
    #[must_use]
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            replies: [0; KINDS.len() * CODES],
            kept: 0,
            truncated: 0,
            slipped: 0,
            limited: 0,
        }
    }

    /// Counts a reply.
    pub fn reply(&mut self, label: u8) {
        self.replies[usize::from(label)] += 1;
    }

    /// Adds everything to the counters of the server, and begins anew.
    pub fn flush(&mut self, metrics: &Metrics) {
        for (at, count) in self.replies.iter().enumerate().filter(|(_, count)| **count > 0) {
            let labels = ReplyLabels {
                transport: self.transport.name(),
                kind: metrics::kind(Some(KINDS[at / CODES])),
                code: metrics::code(ResponseCode::from(0, (at % CODES) as u8)),
            };
            metrics.replies.get_or_create(&labels).inc_by(u64::from(*count));
        }
        metrics.kept.inc_by(self.kept);
        metrics.truncated.inc_by(self.truncated);
        metrics.slipped.inc_by(self.slipped);
        metrics.limited.inc_by(self.limited);
        *self = Self::new(self.transport);
    }
}
