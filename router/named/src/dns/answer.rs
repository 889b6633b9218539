//! From a packet to its reply: the whole protocol, without sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use prometheus_client::registry::Registry;

use super::Config;
use super::message::{self, Ignored, Packet, Reply, Request};
use super::metrics::{self, Metrics, ReplyLabels, Transport};
use super::reuse::{Client, Composed, Reuse, Validity};
use super::zone::{Datum, Zone, Zones};
use crate::Error;
use crate::dap::{Names, NamesError};

/// A chain of more CNAMEs than this inside our zones is cut here; the asker may follow the last one itself.
const CNAME_HOPS_MAX: usize = 8;

/// The largest DNS message over TCP and HTTPS, in bytes.
const TCP_MESSAGE_BYTES_MAX: usize = 65_535;

/// Answers packets; shared by all sockets.
pub struct Responder {
    zones: Zones,
    names: Arc<dyn Names>,
    metrics: Metrics,
}

impl Responder {
    /// A responder for the zones of this configuration, without sockets.
    ///
    /// # Errors
    /// [`Error::Setting`] for a bad host or zone name.
    pub fn new(config: &Config, names: Arc<dyn Names>, registry: &mut Registry) -> Result<Self, Error> {
        let zones = Zones::new(config, names.tld())?;
        Ok(Self {
            zones,
            names,
            metrics: Metrics::register(registry),
        })
    }

    /// The reply to a question that came over HTTPS, and for how many seconds it may be kept (RFC 8484, section 5.1). As
    /// [`Responder::respond`] otherwise.
    #[must_use]
    pub fn respond_https(&self, packet: &[u8]) -> Option<(Vec<u8>, u32)> {
        let client = Client {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            transport: Transport::Https,
        };
        let reply = self.respond(packet, client)?.bytes;
        let keep = message::keep_seconds(&reply);
        Some((reply, keep))
    }

    /// What is served.
    pub(super) fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The counters of this server.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The reply to a packet; `None` if it must not get one. Reads the ledger's state, so it may block on a disk.
    #[must_use]
    pub fn respond(&self, packet: &[u8], client: Client) -> Option<Composed> {
        let (reply, reuse) = self.made(&*self.names, packet)?;
        let labels = ReplyLabels {
            transport: client.transport.name(),
            kind: metrics::kind(reply.query.as_ref().map(|query| query.query_type())),
            code: metrics::code(reply.metadata.response_code),
        };
        let Some(bytes) = self.write(reply, client.transport) else {
            self.metrics.dropped("unanswerable");
            return None;
        };
        self.metrics.replies.get_or_create(&labels).inc();
        Some(Composed { bytes, reuse })
    }

    /// The whole reply to a packet, for any transport, made of these names. It is not counted.
    pub(super) fn whole(&self, names: &dyn Names, packet: &[u8], _client: Client) -> Option<Composed> {
        let (reply, reuse) = self.made(names, packet)?;
        let bytes = reply.write(TCP_MESSAGE_BYTES_MAX)?.bytes;
        Some(Composed { bytes, reuse })
    }

    fn made(&self, names: &dyn Names, packet: &[u8]) -> Option<(Reply, Reuse)> {
        let started = Instant::now();
        let reply = match message::read(packet) {
            Packet::Ignored(why) => {
                self.ignore(why);
                return None;
            }
            Packet::Refused(reply) => *reply,
            Packet::Request(request) => self.answer(*request, names),
        };
        let https = reply.query.as_ref().is_some_and(|query| query.query_type() == RecordType::HTTPS);
        let reuse = match https || reply.metadata.response_code == ResponseCode::ServFail {
            true => Reuse::Never,
            false => Reuse::Everybody(Validity { height: names.height(), until: Validity::NO_END }),
        };
        self.metrics
            .answer_seconds
            .observe(started.elapsed().as_secs_f64());
        Some((reply, reuse))
    }

    fn ignore(&self, why: Ignored) {
        self.metrics.dropped(match why {
            Ignored::Short => "short",
            Ignored::Reply => "reply",
        });
    }

    fn write(&self, reply: Reply, transport: Transport) -> Option<Vec<u8>> {
        let limit = match transport {
            Transport::Udp => reply.udp_limit(),
            Transport::Tcp | Transport::Https => TCP_MESSAGE_BYTES_MAX,
        };
        let written = reply.write(limit)?;
        if written.truncated {
            self.metrics.truncated.inc();
        }
        Some(written.bytes)
    }

    /// The reply to a well-formed query.
    fn answer(&self, request: Request, names: &dyn Names) -> Reply {
        let Request { reply, query, edns } = request;
        let code = match (query.query_class(), query.query_type()) {
            _ if edns.is_some_and(|edns| edns.version > 0) => Some(ResponseCode::BADVERS),
            (class, _) if class != DNSClass::IN => Some(ResponseCode::Refused),
            (_, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
            (_, RecordType::OPT | RecordType::TSIG | RecordType::ZERO) => Some(ResponseCode::FormErr),
            _ => None,
        };
        let (name, kind) = (query.name().clone(), query.query_type());
        let mut reply = Reply::error(reply, Some(query), edns, code.unwrap_or(ResponseCode::NoError));
        if code.is_none()
            && let Err(error) = self.resolve(&mut reply, &name, kind, names)
        {
            tracing::warn!(%name, %error, "a DNS question could not be answered");
            reply = Reply::error(reply.metadata, reply.query, edns, ResponseCode::ServFail);
            reply.metadata.authoritative = false;
        }
        reply
    }

    /// Fills in the answer for `name` and `kind`, following CNAMEs as far as they stay in our zones (RFC 1034,
    /// section 4.3.2). The response code is that of the last name (RFC 6604).
    fn resolve(&self, reply: &mut Reply, name: &Name, kind: RecordType, names: &dyn Names) -> Result<(), NamesError> {
        let mut name = name.clone();
        for hop in 0..=CNAME_HOPS_MAX {
            let Some(zone) = self.zones.find(&name) else {
                if hop == 0 {
                    reply.metadata.response_code = ResponseCode::Refused;
                }
                return Ok(());
            };
            reply.metadata.authoritative = true;
            let Some(data) = self.zones.lookup(zone, &name, names)? else {
                reply.metadata.response_code = ResponseCode::NXDomain;
                self.deny(reply, zone, &name, names.height());
                return Ok(());
            };
            match self.add_answers(reply, zone, &name, kind, data, names.height()) {
                Some(target) if !answered(reply, &target) => name = target,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// Adds what `data` has of `kind`, or the proof that there is none. Returns where to go on, if it is a CNAME.
    fn add_answers(
        &self,
        reply: &mut Reply,
        zone: &Zone,
        name: &Name,
        kind: RecordType,
        data: Vec<Datum>,
        height: u64,
    ) -> Option<Name> {
        let alias = data.iter().find_map(|datum| match &datum.data {
            RData::CNAME(target) if kind != RecordType::CNAME => Some((target.0.clone(), datum.clone())),
            _ => None,
        });
        if let Some((target, datum)) = alias {
            reply.answers.push(record(name, datum));
            return (kind != RecordType::ANY).then_some(target);
        }
        let before = reply.answers.len();
        if kind == RecordType::ANY && !data.is_empty() {
            reply.answers.push(record(name, any(data[0].ttl)));
        }
        let wanted = data.into_iter().filter(|datum| datum.data.record_type() == kind);
        reply.answers.extend(wanted.map(|datum| record(name, datum)));
        if reply.answers.len() == before {
            self.deny(reply, zone, name, height);
        }
        if kind == RecordType::NS && reply.answers.len() > before {
            reply.additionals = self
                .zones
                .glue()
                .map(|(host, datum)| record(host, datum))
                .collect();
        }
        None
    }

    /// The SOA that says how long the absence may be kept. Its owner is the end of the name asked, in its case.
    fn deny(&self, reply: &mut Reply, zone: &Zone, name: &Name, height: u64) {
        let apex = name.trim_to(zone.apex.iter().len());
        reply
            .authorities
            .push(record(&apex, self.zones.soa(zone, height)));
    }
}

/// Whether the chain has come back to a name whose CNAME is in the answer already.
fn answered(reply: &Reply, name: &Name) -> bool {
    reply.answers.iter().any(|record| record.name == *name)
}

fn record(owner: &Name, datum: Datum) -> Record {
    Record::from_rdata(owner.clone(), datum.ttl, datum.data)
}

/// What a question for ANY gets (RFC 8482, section 4.2): big answers to small forged questions serve nobody else.
fn any(ttl: u32) -> Datum {
    Datum {
        ttl,
        data: RData::HINFO(HINFO::new("RFC8482".into(), String::new())),
    }
}
