//! To whom the public DNS delegates a zone: asked as any resolver would, so that an operator sees what readers see.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::proto::rr::{RData, RecordType};

use crate::dnslink::resolver;

/// The hosts of the zone's name servers, in no order; none if the zone is not delegated. `servers` are asked, or those of
/// this machine if there are none.
///
/// # Errors
/// One line: the name servers gave no answer.
pub async fn name_servers(
    zone: &str,
    servers: &[SocketAddr],
    within: Duration,
) -> Result<Vec<String>, String> {
    let resolver = resolver::open(servers, within).map_err(|error| error.to_string())?;
    let asked = resolver::ask(&resolver, zone, RecordType::NS).await;
    let (records, _) = asked.map_err(|error| error.to_string())?;
    let hosts = records.iter().filter_map(|record| match &record.data {
        RData::NS(host) => Some(host.0.to_ascii()),
        _ => None,
    });
    Ok(hosts.collect())
}
