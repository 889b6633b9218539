//! DNS messages on the wire: what a packet asks, and how a reply is written.
//!
//! Reading is strict and bounded before anything is allocated: one question (RFC 9619), no answers, at most the few
//! records that a query may carry. What cannot be read still gets a reply as long as it has a header that asks
//! something; a reply never gets a reply (RFC 1035, section 4.1.1; two servers would else talk for ever).

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

/// The largest UDP payload that passes nearly every path unfragmented (DNS Flag Day 2020, RFC 9715). Bytes.
pub const UDP_PAYLOAD_MAX: u16 = 1232;

/// The largest payload for who does not speak EDNS (RFC 1035, section 4.2.1). Bytes.
pub const UDP_PAYLOAD_PLAIN: u16 = 512;

/// A query carries an SOA in an IXFR (RFC 1995), an OPT and a TSIG or SIG(0), and nothing else.
const AUTHORITIES_MAX: u16 = 1;
const ADDITIONALS_MAX: u16 = 2;

/// A packet that asks something.
#[derive(Debug)]
pub struct Request {
    /// The reply's header, with id, opcode, RD and CD of the request. AA and TC are not set.
    pub reply: Metadata,
    /// The question, in the letter case of the asker.
    pub query: Query,
    /// What the asker said of EDNS, if it speaks it.
    pub edns: Option<ClientEdns>,
}

/// The part of an asker's OPT record that we honour (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientEdns {
    /// The version; we speak 0.
    pub version: u8,
    /// The UDP payload that the asker can take, in bytes; at least 512.
    pub payload: u16,
    /// The DO bit, which goes back as it came (RFC 3225, section 3).
    pub dnssec_ok: bool,
}

/// What a packet is.
#[derive(Debug)]
pub enum Packet {
    /// A well-formed query.
    Request(Box<Request>),
    /// A message that gets an error, with as much of it as could be read.
    Refused(Box<Reply>),
    /// Not a question, or too short to tell: gets nothing.
    Ignored(Ignored),
}

/// Why a packet gets no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// Shorter than a header.
    Short,
    /// It is itself a reply.
    Reply,
}

/// A reply to be written.
#[derive(Debug)]
pub struct Reply {
    /// Header flags and the response code.
    pub metadata: Metadata,
    /// The question as it came; absent if it could not be read.
    pub query: Option<Query>,
    /// The asker's EDNS; the reply has an OPT record exactly if this is set.
    pub edns: Option<ClientEdns>,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section, without OPT. Left out first when space is short.
    pub additionals: Vec<Record>,
}

/// Reads a packet.
#[must_use]
pub fn read(packet: &[u8]) -> Packet {
    let mut decoder = BinDecoder::new(packet);
    let Ok(header) = Header::read(&mut decoder) else {
        return Packet::Ignored(Ignored::Short);
    };
    if header.message_type == MessageType::Response {
        return Packet::Ignored(Ignored::Reply);
    }
    let reply = Metadata::response_from_request(&header.metadata);
    if header.op_code != OpCode::Query {
        return refuse(reply, None, ResponseCode::NotImp);
    }
    if header.counts.queries != 1 {
        return refuse(reply, None, ResponseCode::FormErr);
    }
    let Ok(query) = Query::read(&mut decoder) else {
        return refuse(reply, None, ResponseCode::FormErr);
    };
    match read_rest(&header, &mut decoder) {
        Ok(edns) => Packet::Request(Box::new(Request { reply, query, edns })),
        Err(Malformed) => refuse(reply, Some(query), ResponseCode::FormErr),
    }
}

/// The message does not follow the format.
struct Malformed;

impl From<DecodeError> for Malformed {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

/// Reads what follows the question, to the last byte.
fn read_rest(header: &Header, decoder: &mut BinDecoder<'_>) -> Result<Option<ClientEdns>, Malformed> {
    let counts = header.counts;
    if counts.answers > 0 || counts.authorities > AUTHORITIES_MAX || counts.additionals > ADDITIONALS_MAX {
        return Err(Malformed);
    }
    Message::read_records(decoder, usize::from(counts.authorities), false, header.op_code)?;
    let (_, edns, _) = Message::read_records(decoder, usize::from(counts.additionals), true, header.op_code)?;
    if !decoder.is_empty() {
        return Err(Malformed);
    }
    Ok(edns.as_ref().map(ClientEdns::from))
}

impl From<&Edns> for ClientEdns {
    fn from(edns: &Edns) -> Self {
        Self {
            version: edns.version(),
            payload: edns.max_payload().max(UDP_PAYLOAD_PLAIN),
            dnssec_ok: edns.flags().dnssec_ok,
        }
    }
}

fn refuse(reply: Metadata, query: Option<Query>, code: ResponseCode) -> Packet {
    Packet::Refused(Box::new(Reply::error(reply, query, None, code)))
}

impl Reply {
    /// A reply without records.
    #[must_use]
    pub fn error(
        mut metadata: Metadata,
        query: Option<Query>,
        edns: Option<ClientEdns>,
        code: ResponseCode,
    ) -> Self {
        metadata.response_code = code;
        Self {
            metadata,
            query,
            edns,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
        }
    }

    /// The largest UDP datagram that may carry this reply, in bytes.
    #[must_use]
    pub fn udp_limit(&self) -> usize {
        let payload = self
            .edns
            .map_or(UDP_PAYLOAD_PLAIN, |edns| edns.payload.min(UDP_PAYLOAD_MAX));
        usize::from(payload)
    }

    /// Writes the reply in at most `limit` bytes.
    ///
    /// What does not fit loses its additional section first, which is no truncation (RFC 2181, section 9), then
    /// every record, with TC set, so that the asker comes again over TCP and nobody takes a part for the whole.
    /// `None` if even that cannot be written.
    #[must_use]
    pub fn write(mut self, limit: usize) -> Option<Written> {
        let full = self.encode();
        if let Some(bytes) = full.filter(|bytes| bytes.len() <= limit) {
            return Some(Written {
                bytes,
                truncated: false,
            });
        }
        self.additionals.clear();
        if let Some(bytes) = self.encode().filter(|bytes| bytes.len() <= limit) {
            return Some(Written {
                bytes,
                truncated: false,
            });
        }
        self.metadata.truncation = true;
        (self.answers, self.authorities) = (Vec::new(), Vec::new());
        self.encode().map(|bytes| Written {
            bytes,
            truncated: true,
        })
    }

    /// The whole message, if it fits a message at all.
    fn encode(&self) -> Option<Vec<u8>> {
        let metadata = &self.metadata;
        let mut message = Message::response(metadata.id, metadata.op_code);
        message.metadata = *metadata;
        message.queries.extend(self.query.clone());
        message.answers.clone_from(&self.answers);
        message.authorities.clone_from(&self.authorities);
        message.additionals.clone_from(&self.additionals);
        message.edns = self.edns.map(own_edns);
        let bytes = message.to_vec().ok()?;
        // The encoder stops at 64 KiB by setting TC on what it has; a part is no answer.
        (bytes.get(2)? & TC_BIT == 0 || metadata.truncation).then_some(bytes)
    }
}

/// For how long a reply may be kept: as long as each of its answers; without any, as long as the SOA says that there are
/// none (RFC 2308, section 5). A failure is not kept.
#[must_use]
pub fn keep_seconds(reply: &[u8]) -> u32 {
    let Ok(message) = Message::from_vec(reply) else {
        return 0;
    };
    let is_an_answer = matches!(
        message.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    );
    let answers = message.answers.iter().map(|record| record.ttl);
    let absence = message
        .authorities
        .iter()
        .filter_map(|record| match &record.data {
            RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
            _ => None,
        });
    let least = answers.min().or_else(|| absence.min());
    least.filter(|_| is_an_answer).unwrap_or(0)
}

/// TC in the third byte of a message.
const TC_BIT: u8 = 0b10;

/// A reply as bytes.
#[derive(Debug)]
pub struct Written {
    /// The message.
    pub bytes: Vec<u8>,
    /// TC is set: the asker should come again over TCP.
    pub truncated: bool,
}

/// Our OPT record: version 0, our payload size, no options.
fn own_edns(client: ClientEdns) -> Edns {
    let mut edns = Edns::new();
    edns.set_version(0)
        .set_max_payload(UDP_PAYLOAD_MAX)
        .set_dnssec_ok(client.dnssec_ok);
    edns
}
