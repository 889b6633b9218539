//! What the node itself puts into the zones, beside the ledger: answers to the challenges of certificate authorities,
//! where hosts are served over TLS, and which edges are near.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use hickory_proto::rr::rdata::svcb::{Alpn, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{HTTPS, TXT};
use hickory_proto::rr::{Name, RData};

use super::subnet::Network;
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
        let host = challenged_host(name)?;
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let datum = |value: &String| Datum {
            ttl: 0,
            data: RData::TXT(TXT::new(vec![value.clone()])),
        };
        Some(set.get(host)?.iter().map(datum).collect())
    }
}

/// The host whose challenges are answered at `name`, if it is a place for them.
pub(super) fn challenged_host(name: &str) -> Option<&str> {
    name.strip_prefix(CHALLENGE_LABEL)?.strip_prefix('.')
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

/// Knows which edges are best for whom.
pub trait Nearest: Send + Sync {
    /// The edges for `host`, in lower case and without a dot at its end, to somebody in `client`; the best first. It is
    /// called for each such question, so it must not wait.
    fn edges_for(&self, host: &str, client: Network) -> Near;
}

/// Edges for a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Near {
    /// Their addresses, the best first. None: there is no edge that serves this host.
    pub addresses: Vec<IpAddr>,
    /// On how many bits of the client's network this depends: whoever shares them gets the same. 0 if everybody does.
    pub scope: u8,
}

/// Those that are asked, once there are some; a clone shares them. The gateway starts after the DNS server, which gives it
/// a certificate.
#[derive(Clone, Default)]
pub struct Directory(Arc<Asked>);

#[derive(Default)]
struct Asked {
    services: OnceLock<Arc<dyn Services>>,
    nearest: OnceLock<Arc<dyn Nearest>>,
}

impl Directory {
    /// How many stages there are.
    pub(super) const STAGES: usize = 4;

    /// Who is asked so far: answers from before are not those from after.
    pub(super) fn stage(&self) -> usize {
        usize::from(self.0.services.get().is_some()) | usize::from(self.0.nearest.get().is_some()) << 1
    }

    /// Asks `services` from now on. Only the first call counts.
    pub fn set(&self, services: Arc<dyn Services>) {
        let _ = self.0.services.set(services);
    }

    /// Asks `nearest` for edges from now on, instead of naming those of the settings. Only the first call counts.
    pub fn set_nearest(&self, nearest: Arc<dyn Nearest>) {
        let _ = self.0.nearest.set(nearest);
    }

    /// The edges for a host and a client, if somebody knows.
    pub(super) fn near(&self, host: &str, client: Network) -> Option<Near> {
        Some(self.0.nearest.get()?.edges_for(host, client))
    }

    /// The HTTPS record (RFC 9460) of a host that leads to edges by these data.
    pub(super) fn https(&self, host: &str, data: &[Datum]) -> Option<Datum> {
        let ttl = data.iter().find(|datum| is_address(datum))?.ttl;
        let service = self.0.services.get()?.service(host)?;
        Some(Datum {
            ttl,
            data: RData::HTTPS(HTTPS(record(service))),
        })
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("services", &self.0.services.get().is_some())
            .field("nearest", &self.0.nearest.get().is_some())
            .finish()
    }
}

fn is_address(datum: &Datum) -> bool {
    matches!(datum.data, RData::A(_) | RData::AAAA(_))
}

/// At the host itself, keys in their order (RFC 9460, section 2.2). HTTP/1.1 needs no mention, and neither do addresses:
/// those of the host are asked for anyway, and hints would outlive them in caches.
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
