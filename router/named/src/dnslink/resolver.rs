//! The questions, and reading their answers.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::{Said, text};
use crate::dap::Zones;

/// CNAMEs that are followed: more is a loop, or nobody's wish.
const ALIASES_MAX: usize = 8;
/// How long absence holds if the servers do not say.
const ABSENT_SECONDS: u32 = 30;

/// A resolver for these servers, or those of the machine if there are none, with so much time for an answer. It keeps
/// nothing itself, and reads no hosts file.
pub(crate) fn open(servers: &[SocketAddr], timeout: Duration) -> Result<TokioResolver, NetError> {
    let mut builder = match servers.is_empty() {
        true => TokioResolver::builder_tokio()?,
        false => {
            let servers = servers.iter().map(|server| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections)
            });
            let servers = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        }
    };
    let options: &mut ResolverOpts = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.timeout = timeout / 2;
    options.attempts = 1;
    builder.build()
}

/// The DNSLink at exactly `name`, or at what that is an alias of.
pub(super) async fn link(resolver: &TokioResolver, name: &str) -> Result<Said<String>, NetError> {
    let (records, ttl) = ask(resolver, name, RecordType::TXT).await?;
    Ok(Said {
        what: text::link(records.iter().filter_map(text_of)),
        ttl,
    })
}

/// The texts at exactly `name`, or at what that is an alias of, as far as they are UTF-8.
pub(crate) async fn texts(resolver: &TokioResolver, name: &str) -> Result<Vec<String>, NetError> {
    let (records, _) = ask(resolver, name, RecordType::TXT).await?;
    let texts = records.iter().filter_map(text_of);
    Ok(texts.filter_map(|text| String::from_utf8(text).ok()).collect())
}

fn text_of(record: &Record) -> Option<Vec<u8>> {
    match &record.data {
        RData::TXT(txt) => Some(txt.txt_data.concat()),
        _ => None,
    }
}

/// The content path of the ledger name that `name` is an alias of.
pub(super) async fn alias(
    resolver: &TokioResolver,
    name: &str,
    ours: &Zones,
) -> Result<Said<String>, NetError> {
    let mut name = name.to_owned();
    let mut least = Duration::MAX;
    for _ in 0..ALIASES_MAX {
        let (records, ttl) = ask(resolver, &name, RecordType::CNAME).await?;
        least = least.min(ttl);
        let target = records.iter().find_map(|record| match &record.data {
            RData::CNAME(target) => Some(target.0.to_ascii().to_ascii_lowercase()),
            _ => None,
        });
        let Some(target) = target else {
            break;
        };
        let found = ours.name(target.strip_suffix('.').unwrap_or(&target));
        if let Some(ledger_name) = found {
            return Ok(Said {
                what: Some(format!("/ipns/{ledger_name}")),
                ttl: least,
            });
        }
        name = target;
    }
    Ok(Said {
        what: None,
        ttl: least,
    })
}

/// The records of a type, and how long they, or their absence, may be kept.
pub(crate) async fn ask(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<(Vec<Record>, Duration), NetError> {
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let records = lookup.answers().to_vec();
            let ttl = records.iter().map(|record| record.ttl).min();
            Ok((records, seconds(ttl.unwrap_or(ABSENT_SECONDS))))
        }
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            Ok((Vec::new(), seconds(none.negative_ttl.unwrap_or(ABSENT_SECONDS))))
        }
        Err(error) => Err(error),
    }
}
