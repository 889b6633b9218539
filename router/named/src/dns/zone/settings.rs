//! Zones and hosts of the configuration: each name is checked once, at the start.

use hickory_proto::rr::Name;

use super::{Holds, Host, Zone};
use crate::Error;
use crate::dns::dnssec::{Seal, ZoneKey};
use crate::dns::own::CHALLENGE_LABEL;
use crate::dns::{Config, NameServer};

/// The zones, the one with the longest apex first.
pub fn zones(config: &Config, tld: &Name, others: &[String]) -> Result<Vec<Zone>, Error> {
    let mut zones = vec![zone(tld.clone(), Holds::Own, &config.keys)?];
    for other in others {
        let apex = host_name("chain.tld", other)?;
        zones.push(zone(apex, Holds::Other(other.clone()), &config.keys)?);
    }
    for alias in &config.alias_zones {
        zones.push(zone(alias_apex(alias, tld)?, Holds::Alias, &config.keys)?);
    }
    for host in &config.challenge_hosts {
        let apex = host_name("gateway.acme_hosts", &format!("{CHALLENGE_LABEL}.{host}"))?;
        // Inside our own zones there is no need for a zone of its own. It is not signed: a zone above that delegates
        // challenges alone has no DS record for it.
        if !zones.iter().any(|zone| zone.apex.zone_of(&apex)) {
            zones.push(Zone {
                apex,
                seal: None,
                holds: Holds::Challenges,
            });
        }
    }
    zones.sort_by_key(|zone| std::cmp::Reverse(zone.apex.iter().len()));
    Ok(zones)
}

/// A zone with its key. With keys at all, each zone needs one: an unsigned zone below a signed one is not believed.
fn zone(apex: Name, holds: Holds, keys: &[ZoneKey]) -> Result<Zone, Error> {
    let mut key = None;
    for of in keys {
        if host_name("dns.keys", &of.zone)? == apex {
            key = Some(of.key.clone());
        }
    }
    if key.is_none() && !keys.is_empty() {
        return Err(setting(
            "dns.keys",
            &apex.to_string(),
            "has no key, and other zones have one",
        ));
    }
    let seal = key.map(|key| Seal {
        public: key.public(&apex),
        key,
    });
    Ok(Zone { apex, seal, holds })
}

pub fn hosts(config: &Config) -> Result<Vec<Host>, Error> {
    if config.name_servers.is_empty() {
        return Err(setting(
            "dns.name_servers",
            "[]",
            "needs at least one host name; a zone must have a name server",
        ));
    }
    let host = |server: &NameServer| {
        Ok(Host {
            name: host_name("dns.name_servers", &server.host)?,
            addresses: server.addresses.clone(),
        })
    };
    config.name_servers.iter().map(host).collect()
}

/// Gateway hosts that can be in a zone; an address cannot.
pub fn gateways(config: &Config) -> Vec<Name> {
    let hosts = config.gateway_hosts.iter();
    hosts
        .filter_map(|host| host_name("gateway.hosts", host).ok())
        .collect()
}

pub fn alias_apex(alias: &str, tld: &Name) -> Result<Name, Error> {
    let apex = host_name("dns.alias_zones", alias)?;
    if tld.zone_of(&apex) {
        let reason =
            format!("lies in the chain's own zone `{tld}`; an alias zone is a domain of the public DNS");
        return Err(setting("dns.alias_zones", alias, &reason));
    }
    Ok(apex)
}

/// The labels of `name` before the zone's apex, in lower case, from left to right. `None` if one has a byte that no
/// name of the ledger can have; a dot inside a label must not pass for two labels.
pub fn relative(zone: &Zone, name: &Name) -> Option<Vec<String>> {
    name.iter()
        .take(labels_above(&zone.apex, name))
        .map(lower_label)
        .collect()
}

/// How many labels `name` has more than `apex`, which it ends with. (`Name::num_labels` leaves a `*` out.)
pub fn labels_above(apex: &Name, name: &Name) -> usize {
    name.iter().len().saturating_sub(apex.iter().len())
}

fn lower_label(label: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let text = std::str::from_utf8(label).ok()?;
    (!label.is_empty() && label.iter().all(plain)).then(|| text.to_ascii_lowercase())
}

/// A host name of the configuration, in lower case and fully qualified.
pub fn host_name(key: &'static str, value: &str) -> Result<Name, Error> {
    let labels = value.strip_suffix('.').unwrap_or(value).split('.');
    let labels: Option<Vec<String>> = labels.map(|label| lower_label(label.as_bytes())).collect();
    let name = labels.and_then(|labels| Name::from_labels(labels.iter().map(String::as_bytes)).ok());
    let reason = "is not a host name; use letters, digits, hyphens and dots, as in `ns1.example.org`";
    name.ok_or_else(|| setting(key, value, reason))
}

fn setting(setting: &'static str, value: &str, reason: &str) -> Error {
    Error::Setting {
        setting,
        value: value.into(),
        reason: reason.into(),
    }
}
