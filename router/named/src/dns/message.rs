//! DNS messages on the wire: what a packet asks, and how a reply is written.
//!
//! Reading is strict and bounded before anything is allocated: one question (RFC 9619), no answers, at most the few
//! records that a query may carry. What cannot be read still gets a reply as long as it has a header that asks
//! something; a reply never gets a reply (RFC 1035, section 4.1.1; two servers would else talk for ever).

use hickory_proto::op::{Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};

use super::metrics::Transport;
use super::reuse::Reuse;
use super::subnet::Subnet;

/// The largest UDP payload that passes nearly every path unfragmented (DNS Flag Day 2020, RFC 9715). Bytes.
pub const UDP_PAYLOAD_MAX: u16 = 1232;

/// The largest payload for who does not speak EDNS (RFC 1035, section 4.2.1). Bytes.
pub const UDP_PAYLOAD_PLAIN: u16 = 512;

/// The largest message on a stream, in bytes.
const STREAM_MESSAGE_BYTES_MAX: usize = 65_535;

/// A query carries an SOA in an IXFR (RFC 1995), an OPT and a TSIG or SIG(0), and nothing else.
const AUTHORITIES_MAX: u16 = 1;
const ADDITIONALS_MAX: u16 = 2;

/// Type, class, TTL and length of an OPT record.
const OPT_HEAD_BYTES: usize = 10;
/// The option that names a client's subnet (RFC 7871).
const SUBNET_OPTION: u16 = 8;
/// The option that says more about a response code (RFC 8914).
const EXTENDED_ERROR_OPTION: u16 = 15;
/// The CO flag of EDNS (RFC 9824, section 5).
const COMPACT_OK: u16 = 0x4000;

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
    /// The CO bit: who asks understands that a name is denied by a compact proof (RFC 9824, section 5).
    pub compact_ok: bool,
    /// For whom is asked, if that is said (RFC 7871).
    pub subnet: Option<Subnet>,
    /// On how many bits of that the reply depends.
    pub scope: u8,
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

/// What a response code alone does not say, for who speaks EDNS (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ExtendedError {
    /// There are no records of a type that is about the protocol (RFC 9824, section 3.5).
    InvalidQueryType = 30,
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
    /// More about the response code.
    pub extended_error: Option<ExtendedError>,
    /// Answer section.
    pub answers: Vec<Record>,
    /// Authority section.
    pub authorities: Vec<Record>,
    /// Additional section, without OPT. Left out first when space is short.
    pub additionals: Vec<Record>,
    /// For whom else it is right.
    pub reuse: Reuse,
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
    match read_rest(&header, &mut decoder, packet) {
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
fn read_rest(
    header: &Header,
    decoder: &mut BinDecoder<'_>,
    packet: &[u8],
) -> Result<Option<ClientEdns>, Malformed> {
    let counts = header.counts;
    if counts.answers > 0 || counts.authorities > AUTHORITIES_MAX || counts.additionals > ADDITIONALS_MAX {
        return Err(Malformed);
    }
    Message::read_records(decoder, usize::from(counts.authorities), false, header.op_code)?;
    let mut client = None;
    for _ in 0..counts.additionals {
        let start = decoder.index();
        let (_, edns, _) = Message::read_records(decoder, 1, true, header.op_code)?;
        let Some(edns) = edns else { continue };
        let record = packet.get(start..decoder.index()).ok_or(Malformed)?;
        if client.replace(ClientEdns::read(&edns, record)?).is_some() {
            return Err(Malformed);
        }
    }
    match decoder.is_empty() {
        true => Ok(client),
        false => Err(Malformed),
    }
}

impl ClientEdns {
    /// From an OPT record and its bytes.
    fn read(edns: &Edns, record: &[u8]) -> Result<Self, Malformed> {
        // Its owner is the root: one byte, then type, class, TTL and length (RFC 6891, section 6.1.2).
        let [0, rest @ ..] = record else {
            return Err(Malformed);
        };
        let mut subnet = None;
        for (code, data) in options(rest.get(OPT_HEAD_BYTES..).ok_or(Malformed)?)? {
            if code == SUBNET_OPTION && subnet.replace(Subnet::read(data)?).is_some() {
                return Err(Malformed);
            }
        }
        Ok(Self {
            version: edns.version(),
            payload: edns.max_payload().max(UDP_PAYLOAD_PLAIN),
            dnssec_ok: edns.flags().dnssec_ok,
            compact_ok: edns.flags().z & COMPACT_OK != 0,
            subnet,
            scope: 0,
        })
    }
}

/// The options of an OPT record, as code and data.
fn options(mut data: &[u8]) -> Result<Vec<(u16, &[u8])>, Malformed> {
    let mut options = Vec::new();
    while let [c1, c2, l1, l2, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*l1, *l2]));
        let (value, after) = rest.split_at_checked(length).ok_or(Malformed)?;
        options.push((u16::from_be_bytes([*c1, *c2]), value));
        data = after;
    }
    data.is_empty().then_some(options).ok_or(Malformed)
}

impl From<super::subnet::Malformed> for Malformed {
    fn from(_: super::subnet::Malformed) -> Self {
        Self
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
            extended_error: None,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            reuse: Reuse::Never,
        }
    }

    /// The most bytes that this reply may have on its way.
    #[must_use]
    pub fn limit(&self, transport: Transport) -> usize {
        let datagram = || {
            self.edns
                .map_or(UDP_PAYLOAD_PLAIN, |edns| edns.payload.min(UDP_PAYLOAD_MAX))
        };
        match transport {
            Transport::Udp => usize::from(datagram()),
            Transport::Tcp | Transport::Tls | Transport::Https => STREAM_MESSAGE_BYTES_MAX,
        }
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
        message.edns = self.edns.map(|client| own_edns(client, self.extended_error));
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

/// Our OPT record: version 0, our payload size; the subnet exactly if the query had one (RFC 7871, section 7.2.1).
fn own_edns(client: ClientEdns, error: Option<ExtendedError>) -> Edns {
    let mut edns = Edns::new();
    edns.set_version(0)
        .set_max_payload(UDP_PAYLOAD_MAX)
        .set_dnssec_ok(client.dnssec_ok);
    if client.dnssec_ok && client.compact_ok {
        edns.flags_mut().z = COMPACT_OK;
    }
    if let Some(subnet) = client.subnet {
        edns.options_mut()
            .insert(EdnsOption::Subnet(subnet.answer(client.scope)));
    }
    if let Some(error) = error {
        let code = (error as u16).to_be_bytes().to_vec();
        edns.options_mut()
            .insert(EdnsOption::Unknown(EXTENDED_ERROR_OPTION, code));
    }
    edns
}
