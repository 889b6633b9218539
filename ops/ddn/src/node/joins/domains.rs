//! The public DNS, for the gateway.

use gateway::{Dnslink, DomainError, Domains};
use named::dnslink::DnsLinks;

/// Where domains lead, by what the name servers say.
pub struct PublicDns(pub DnsLinks);

impl Domains for PublicDns {
    fn dnslink(&self, domain: &str) -> Result<Option<Dnslink>, DomainError> {
        let found = self.0.find_blocking(domain);
        let found = found.map_err(|error| DomainError(error.to_string()))?;
        Ok(found.map(|link| Dnslink {
            path: link.path,
            ttl: link.ttl,
        }))
    }
}
