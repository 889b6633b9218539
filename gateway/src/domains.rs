//! Domains of the public DNS that are sites: what their DNSLink says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Asks the DNS what the content of a domain is.
pub trait Domains: Send + Sync {
    /// What the domain (lower case, without a final dot) points to; None if it says nothing. May wait for the network, so
    /// it must answer in bounded time, and should remember answers, absent ones too, for as long as they hold.
    ///
    /// # Errors
    /// The DNS could not be asked; the text says why.
    fn dnslink(&self, domain: &str) -> Result<Option<Dnslink>, DomainError>;
}

/// What a domain points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnslink {
    /// The content path as the record has it: `/ipfs/CID/…` or `/ipns/NAME/…`. It comes from strangers, and is read
    /// strictly.
    pub path: String,
    /// For how long it holds.
    pub ttl: Duration,
}

/// The DNS could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DomainError(pub String);

/// The domains that the settings name, then those that the DNS knows.
#[derive(Clone)]
pub(crate) struct KnownDomains {
    set: BTreeMap<String, String>,
    dns: Option<Arc<dyn Domains>>,
}

impl KnownDomains {
    pub(crate) fn new(set: &BTreeMap<String, String>, dns: Option<Arc<dyn Domains>>) -> Self {
        let lower = |(domain, path): (&String, &String)| (domain.to_ascii_lowercase(), path.clone());
        Self {
            set: set.iter().map(lower).collect(),
            dns,
        }
    }
}

impl Domains for KnownDomains {
    fn dnslink(&self, domain: &str) -> Result<Option<Dnslink>, DomainError> {
        match (self.set.get(domain), &self.dns) {
            (Some(path), _) => Ok(Some(Dnslink {
                path: path.clone(),
                ttl: SET_TTL,
            })),
            (None, Some(dns)) => dns.dnslink(domain),
            (None, None) => Ok(None),
        }
    }
}

/// The settings of a node may change whenever it is started anew.
const SET_TTL: Duration = Duration::from_secs(60);
