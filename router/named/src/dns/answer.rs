//! From a packet to its reply: the whole protocol, without sockets.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use prometheus_client::registry::Registry;

use super::Config;
use super::dnssec::{self, Signer, Window};
use super::forward::{Forwarder, Forwarding};
use super::front;
use super::message::{self, ClientEdns, ExtendedError, Ignored, Packet, Reply, Request};
use super::metrics::{self, Metrics, ReplyLabels, Transport};
use super::own::Directory;
use super::reuse::{Client, Composed, Reuse};
use super::subnet::Network;
use super::zone::{Asking, Datum, Zone, Zones};
use crate::Error;
use crate::dap::{Names, NamesError};

/// A chain of more CNAMEs than this inside our zones is cut here; the asker may follow the last one itself.
const CNAME_HOPS_MAX: usize = 8;

/// Answers packets; shared by all sockets.
pub struct Responder {
    zones: Zones,
    names: Arc<dyn Names>,
    signer: Signer,
    forwarder: Option<Forwarder>,
    metrics: Metrics,
}

/// Why a well-formed question gets SERVFAIL.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Names(#[from] NamesError),
    #[error("no signature can be made: the system gives no random numbers")]
    Signature,
}

impl Responder {
    /// A responder for the zones of this configuration, without sockets.
    ///
    /// # Errors
    /// [`Error::Setting`] for a bad host or zone name.
    pub fn new(config: &Config, names: Arc<dyn Names>, registry: &mut Registry) -> Result<Self, Error> {
        let zones = Zones::new(config, names.tlds())?;
        Ok(Self {
            zones,
            names,
            signer: Signer::new(config.signatures_kept),
            forwarder: Forwarder::new(&config.forward),
            metrics: Metrics::register(registry),
        })
    }

    /// The question in a packet, if it is one to put to another server; else [`Responder::respond`] has the reply.
    #[must_use]
    pub fn forward(&self, packet: &[u8], client: Client) -> Option<Forwarding> {
        let is_ours = |query: &Query| self.zones.find(query.name(), query.query_type()).is_some();
        self.forwarder.as_ref()?.take(packet, client, is_ours)
    }

    /// The reply to a question that came over HTTPS, and for how many seconds it may be kept (RFC 8484, section 5.1). As
    /// [`Responder::respond`] otherwise.
    #[must_use]
    pub fn respond_https(&self, packet: &[u8], address: IpAddr) -> Option<(Composed, u32)> {
        let transport = Transport::Https;
        let mut reply = self.respond(packet, Client { address, transport })?;
        front::pad(packet, transport, &mut reply.bytes);
        let keep = message::keep_seconds(&reply.bytes);
        Some((reply, keep))
    }

    /// As [`Responder::forward`], for a question that came over HTTPS: asks, and gives the reply and for how many seconds it may
    /// be kept. It is for this asker alone, since others may not ask.
    pub fn forward_https(
        &self,
        packet: &[u8],
        address: IpAddr,
    ) -> Option<impl Future<Output = Option<(Composed, u32)>> + Send + use<>> {
        let transport = Transport::Https;
        let forwarding = self.forward(packet, Client { address, transport })?;
        let packet = packet.to_vec();
        Some(async move {
            let mut bytes = forwarding.reply().await?;
            front::pad(&packet, transport, &mut bytes);
            let keep = message::keep_seconds(&bytes);
            let reuse = Reuse::Never;
            Some((Composed { bytes, reuse }, keep))
        })
    }

    /// Where to say what is served over TLS, for HTTPS records, and which edges are near.
    #[must_use]
    pub fn directory(&self) -> Directory {
        self.zones.directory().clone()
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
        let reply = self.made(&*self.names, packet, client)?;
        let labels = ReplyLabels {
            transport: client.transport.name(),
            kind: metrics::kind(reply.query.as_ref().map(|query| query.query_type())),
            code: metrics::code(reply.metadata.response_code),
        };
        let reuse = reply.reuse;
        let Some(bytes) = self.write(reply, client.transport) else {
            self.metrics.dropped("unanswerable");
            return None;
        };
        self.metrics.replies.get_or_create(&labels).inc();
        Some(Composed { bytes, reuse })
    }

    /// The whole reply to a packet, for any transport, made of these names. It is not counted.
    pub(super) fn whole(&self, names: &dyn Names, packet: &[u8], client: Client) -> Option<Composed> {
        let reply = self.made(names, packet, client)?;
        let reuse = reply.reuse;
        let limit = reply.limit(Transport::Tcp);
        let bytes = reply.write(limit)?.bytes;
        Some(Composed { bytes, reuse })
    }

    fn made(&self, names: &dyn Names, packet: &[u8], client: Client) -> Option<Reply> {
        let started = Instant::now();
        let reply = match message::read(packet) {
            Packet::Ignored(why) => return self.ignore(why),
            Packet::Refused(reply) => *reply,
            Packet::Request(request) => self.answer(*request, client.address, names),
        };
        self.metrics
            .answer_seconds
            .observe(started.elapsed().as_secs_f64());
        Some(reply)
    }

    fn ignore(&self, why: Ignored) -> Option<Reply> {
        self.metrics.dropped(match why {
            Ignored::Short => "short",
            Ignored::Reply => "reply",
        });
        None
    }

    fn write(&self, reply: Reply, transport: Transport) -> Option<Vec<u8>> {
        let limit = reply.limit(transport);
        let written = reply.write(limit)?;
        if written.truncated {
            self.metrics.truncated.inc();
        }
        Some(written.bytes)
    }

    /// The reply to a well-formed query.
    fn answer(&self, request: Request, source: IpAddr, names: &dyn Names) -> Reply {
        let Request { reply, query, edns } = request;
        let code = refused(&query, edns);
        let (name, kind) = (query.name().clone(), query.query_type());
        let mut reply = Reply::error(reply, Some(query), edns, code.unwrap_or(ResponseCode::NoError));
        // Of a question that could be read, only the type can be ill-formed.
        reply.extended_error =
            (code == Some(ResponseCode::FormErr)).then_some(ExtendedError::InvalidQueryType);
        if code.is_none()
            && let Err(error) = self.compose(&mut reply, &name, kind, source, names)
        {
            tracing::warn!(%name, %error, "a DNS question could not be answered");
            reply = Reply::error(reply.metadata, reply.query, edns, ResponseCode::ServFail);
            reply.metadata.authoritative = false;
        }
        reply
    }

    /// Fills in everything.
    fn compose(
        &self,
        reply: &mut Reply,
        name: &Name,
        kind: RecordType,
        source: IpAddr,
        names: &dyn Names,
    ) -> Result<(), Failure> {
        let named = reply.edns.and_then(|edns| edns.subnet?.network());
        let network = named.unwrap_or_else(|| Network::of_source(source));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut asking = Asking::new(names, network, now.as_secs());
        self.resolve(reply, name, kind, &mut asking)?;
        let is_denied = !reply.authorities.is_empty();
        if matches!(kind, RecordType::HTTPS | RecordType::NSEC) || is_denied && wants_proof(reply) {
            asking.depend_on_services();
        }
        if wants_proof(reply) {
            self.sign(reply, &mut asking)?;
        }
        if let Some(edns) = &mut reply.edns {
            edns.scope = asking.scope();
        }
        // What is refused costs nothing to refuse again.
        if reply.metadata.response_code != ResponseCode::Refused {
            reply.reuse = asking.reuse();
        }
        Ok(())
    }

    /// Fills in the answer for `name` and `kind`, following CNAMEs as far as they stay in our zones (RFC 1034,
    /// section 4.3.2). The response code is that of the last name (RFC 6604).
    fn resolve(
        &self,
        reply: &mut Reply,
        name: &Name,
        kind: RecordType,
        asking: &mut Asking<'_>,
    ) -> Result<(), Failure> {
        let mut name = name.clone();
        for hop in 0..=CNAME_HOPS_MAX {
            let Some(zone) = self.zones.find(&name, kind) else {
                if hop == 0 {
                    reply.metadata.response_code = ResponseCode::Refused;
                }
                return Ok(());
            };
            reply.metadata.authoritative = true;
            let found = self.zones.lookup(zone, &name, asking)?;
            let types = found.as_deref().map(types);
            if zone.seal.is_some() && matches!(kind, RecordType::NSEC | RecordType::RRSIG) {
                return self.prove(reply, zone, &name, kind, types, asking);
            }
            let Some(data) = found else {
                reply.metadata.response_code = absent(reply, zone);
                self.deny(reply, zone, &name, types, asking.height());
                return Ok(());
            };
            match self.add_answers(reply, &name, kind, data) {
                Added::Alias(target) if !answered(reply, &target) => name = target,
                Added::Alias(_) | Added::Records => return Ok(()),
                Added::Nothing => {
                    self.deny(reply, zone, &name, types, asking.height());
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Adds what `data` has of `kind`.
    fn add_answers(&self, reply: &mut Reply, name: &Name, kind: RecordType, data: Vec<Datum>) -> Added {
        let alias = data.iter().find_map(|datum| match &datum.data {
            RData::CNAME(target) if kind != RecordType::CNAME => Some((target.0.clone(), datum.clone())),
            _ => None,
        });
        if let Some((target, datum)) = alias {
            reply.answers.push(record(name, datum));
            return match kind {
                RecordType::ANY => Added::Records,
                _ => Added::Alias(target),
            };
        }
        let before = reply.answers.len();
        if kind == RecordType::ANY && !data.is_empty() {
            reply.answers.push(record(name, any(data[0].ttl)));
        }
        let wanted = data.into_iter().filter(|datum| datum.data.record_type() == kind);
        reply.answers.extend(wanted.map(|datum| record(name, datum)));
        if reply.answers.len() == before {
            return Added::Nothing;
        }
        if kind == RecordType::NS {
            let glue = self.zones.glue();
            reply.additionals = glue.map(|(host, datum)| record(host, datum)).collect();
        }
        Added::Records
    }

    /// The SOA that says how long the absence may be kept, and to who wants it the proof. The SOA's owner is the end of
    /// the name asked, in its case.
    fn deny(&self, reply: &mut Reply, zone: &Zone, name: &Name, types: Option<Vec<RecordType>>, height: u64) {
        let apex = name.trim_to(zone.apex.iter().len());
        let soa = self.zones.soa(zone, height);
        let ttl = soa.ttl;
        reply.authorities.push(record(&apex, soa));
        if zone.seal.is_some() && wants_proof(reply) {
            reply.authorities.push(denial(name, types, ttl));
        }
    }

    /// Answers a question for what exists only with a question: the NSEC record of a name, or its signature.
    fn prove(
        &self,
        reply: &mut Reply,
        zone: &Zone,
        name: &Name,
        kind: RecordType,
        types: Option<Vec<RecordType>>,
        asking: &mut Asking<'_>,
    ) -> Result<(), Failure> {
        let ttl = self.zones.soa(zone, asking.height()).ttl;
        let nsec = vec![denial(name, types, ttl)];
        reply.answers.extend(match kind {
            RecordType::NSEC => nsec,
            _ => self.signatures(&nsec, asking)?,
        });
        Ok(())
    }

    /// Adds the signatures of everything that is in a signed zone.
    fn sign(&self, reply: &mut Reply, asking: &mut Asking<'_>) -> Result<(), Failure> {
        for section in [&mut reply.answers, &mut reply.authorities, &mut reply.additionals] {
            let made = self.signatures(section, asking)?;
            section.extend(made);
        }
        Ok(())
    }

    fn signatures(&self, section: &[Record], asking: &mut Asking<'_>) -> Result<Vec<Record>, Failure> {
        let window = Window::at(asking.now());
        let made = self
            .signer
            .sign(section, window, |name, kind| self.zones.seal(name, kind));
        let made = made.ok_or(Failure::Signature)?;
        if !made.is_empty() {
            asking.until_at(window.renewal);
        }
        Ok(made)
    }
}

/// Why a question is not even looked up, if so.
pub(super) fn refused(query: &Query, edns: Option<ClientEdns>) -> Option<ResponseCode> {
    match (query.query_class(), query.query_type()) {
        _ if edns.is_some_and(|edns| edns.version > 0) => Some(ResponseCode::BADVERS),
        (class, _) if class != DNSClass::IN => Some(ResponseCode::Refused),
        (_, RecordType::AXFR | RecordType::IXFR) => Some(ResponseCode::Refused),
        (_, RecordType::OPT | RecordType::TSIG | RecordType::ZERO | dnssec::NXNAME) => {
            Some(ResponseCode::FormErr)
        }
        _ => None,
    }
}

/// What came of an attempt to answer.
enum Added {
    /// The records asked for.
    Records,
    /// A CNAME to this name.
    Alias(Name),
    /// The name has none of the type.
    Nothing,
}

/// Whether who asks wants signatures (RFC 3225).
fn wants_proof(reply: &Reply) -> bool {
    reply.edns.is_some_and(|edns| edns.dnssec_ok)
}

/// The code for a name that does not exist. The compact proof is one of a name without records; so is the code, but for
/// those who know that proof (RFC 9824, sections 3.3 and 5).
fn absent(reply: &Reply, zone: &Zone) -> ResponseCode {
    let knows = |edns: ClientEdns| edns.compact_ok;
    match zone.seal.is_some() && wants_proof(reply) && !reply.edns.is_some_and(knows) {
        true => ResponseCode::NoError,
        false => ResponseCode::NXDomain,
    }
}

fn types(data: &[Datum]) -> Vec<RecordType> {
    data.iter().map(|datum| datum.data.record_type()).collect()
}

/// The NSEC record at `name`; no types: the name does not exist.
fn denial(name: &Name, types: Option<Vec<RecordType>>, ttl: u32) -> Record {
    let data = dnssec::nsec(name, types);
    record(name, Datum { ttl, data })
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
