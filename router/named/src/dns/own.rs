//! What the node itself puts into the zones, beside the ledger: answers to the challenges of certificate authorities, and
//! where hosts are served over TLS.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hickory_proto::rr::rdata::svcb::{Alpn, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{HTTPS, TXT};
use hickory_proto::rr::{Name, RData};

use super::zone::Datum;

/// The label under which a host proves to a certificate authority that it is controlled (RFC 8555, section 8.4).
pub(super) const CHALLENGE_LABEL: &str = "_acme-challenge";

/// The port that needs no mention.
const HTTPS_PORT: u16 = 443;

/// Answers to challenges, as they are set now; a clone shares them. Not on the ledger: they are for minutes, and of this
/// node alone.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<RwLock<BTreeMap<String, Vec<String>>>>);

/// An answer that is given until this is dropped.
#[derive(Debug)]
pub struct Answer {
    challenges: Challenges,
    host: String,
    value: String,
}

impl Challenges {
    /// Answers at `_acme-challenge` below `host` with `value`, beside what is answered there already: a host and the
    /// wildcard below it have one challenge each, at the same name.
    #[must_use]
    pub fn answer(&self, host: &str, value: &str) -> Answer {
        let (host, value) = (host.to_ascii_lowercase(), value.to_owned());
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        set.entry(host.clone()).or_default().push(value.clone());
        drop(set);
        Answer {
            challenges: self.clone(),
            host,
            value,
        }
    }

    /// What is answered at `name`, if it is a place for challenges and there are some. Nobody may keep it: a resolver
    /// that did would tell the authority of the last attempt.
    pub(super) fn at(&self, name: &str) -> Option<Vec<Datum>> {
        let host = name.strip_prefix(CHALLENGE_LABEL)?.strip_prefix('.')?;
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let datum = |value: &String| Datum {
            ttl: 0,
            data: RData::TXT(TXT::new(vec![value.clone()])),
        };
        Some(set.get(host)?.iter().map(datum).collect())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let mut set = self.challenges.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = set.get_mut(&self.host) {
            values.retain(|value| *value != self.value);
            if values.is_empty() {
                set.remove(&self.host);
            }
        }
    }
}

/// Where a host is served over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// The port, of TCP and of UDP.
    pub port: u16,
    /// Whether HTTP/3 is spoken there.
    pub http3: bool,
}

/// Knows which hosts are served over TLS.
pub trait Services: Send + Sync {
    /// Where `host`, in lower case and without a dot at its end, is served with a certificate that names it.
    fn service(&self, host: &str) -> Option<Service>;
}

/// The one that is asked, once there is one; a clone shares it. The gateway starts after the DNS server, which gives it a
/// certificate.
#[derive(Clone, Default)]
pub struct Directory(Arc<OnceLock<Arc<dyn Services>>>);

impl Directory {
    /// Asks `services` from now on. Only the first call counts.
    pub fn set(&self, services: Arc<dyn Services>) {
        let _ = self.0.set(services);
    }

    /// The HTTPS record (RFC 9460) of a host with these data, if it leads to `edges`.
    pub(super) fn https(&self, host: &str, data: &[Datum], edges: &[IpAddr]) -> Option<Datum> {
        let ttl = data.iter().find(|datum| leads_to(datum, edges))?.ttl;
        let service = self.0.get()?.service(host)?;
        Some(Datum {
            ttl,
            data: RData::HTTPS(HTTPS(record(service))),
        })
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Directory").field(&self.0.get().is_some()).finish()
    }
}

fn leads_to(datum: &Datum, edges: &[IpAddr]) -> bool {
    let address = match &datum.data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        _ => return false,
    };
    edges.contains(&address)
}

/// At the host itself, keys in their order (RFC 9460, section 2.2). HTTP/1.1 needs no mention.
fn record(service: Service) -> SVCB {
    let protocols = match service.http3 {
        true => &["h3", "h2"][..],
        false => &["h2"],
    };
    let alpn = Alpn(protocols.iter().map(|name| (*name).to_owned()).collect());
    let mut parameters = vec![(SvcParamKey::Alpn, SvcParamValue::Alpn(alpn))];
    if service.port != HTTPS_PORT {
        parameters.push((SvcParamKey::Port, SvcParamValue::Port(service.port)));
    }
    SVCB::new(1, Name::root(), parameters)
}
