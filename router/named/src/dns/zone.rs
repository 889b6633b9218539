//! The zones that we serve and what exists in them.
//!
//! There is one zone for the chain's TLD and one for each alias zone; `alice.ddn.example` in the alias zone
//! `ddn.example` is the same ledger entry as `alice.ddn`. At a name there is what its owner's record set says, plus
//! what DDN derives from its content: the addresses of edges that serve it, and the DNSLink
//! (<https://dnslink.dev>) at the name and at `_dnslink` below it. A name exists if it has records or if a name below
//! it has (RFC 8020): the latter is an *empty non-terminal*, whose every type is NODATA, never NXDOMAIN.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData};
use ledger::{Label, Records};

use super::Config;
use super::own::{CHALLENGE_LABEL, Challenges, Directory};
use crate::Error;
use crate::dap::{self, Names, NamesError};

/// How long secondaries would wait; we have none, each node reads the ledger (RFC 1035, section 3.3.13). Seconds.
const SOA_REFRESH_SECONDS: i32 = 3_600;
const SOA_RETRY_SECONDS: i32 = 600;
const SOA_EXPIRE_SECONDS: i32 = 604_800;

/// Name servers change with an operator's configuration, not with the ledger. Seconds.
const NS_TTL_SECONDS: u32 = 3_600;

/// Bounds for the TTL that an owner may ask for: below, resolvers would ask for each use; above, a change of the name
/// would take more than a day to be seen. Seconds.
const TTL_SECONDS: std::ops::RangeInclusive<u32> = 5..=86_400;

/// A DNSLink lives here too, beside the name itself (<https://dnslink.dev>).
const DNSLINK_LABEL: &str = "_dnslink";
const DNSLINK_PREFIX: &str = "dnslink=";

/// One resource record's data and how long it may be kept, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// Seconds.
    pub ttl: u32,
    /// Type and value.
    pub data: RData,
}

/// All zones of this server, with what is the same in each.
#[derive(Debug)]
pub struct Zones {
    /// Longest apex first.
    zones: Vec<Zone>,
    tld: Name,
    hosts: Vec<Host>,
    edges: Vec<IpAddr>,
    ttl: u32,
    challenges: Challenges,
    directory: Directory,
}

/// One zone.
#[derive(Debug, PartialEq, Eq)]
pub struct Zone {
    /// Lower case, fully qualified.
    pub apex: Name,
    /// Whether it is an alias of the TLD: a real domain, whose apex leads to the edges too.
    alias: bool,
}

/// A name server's own host name.
#[derive(Debug)]
struct Host {
    name: Name,
    addresses: Vec<IpAddr>,
}

impl Zones {
    /// The zones for `tld` under this configuration.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is not a host name, an empty list of name servers, or an alias inside the TLD.
    pub fn new(config: &Config, tld: &str) -> Result<Self, Error> {
        let tld = host_name("chain.tld", tld)?;
        let mut zones = vec![Zone {
            apex: tld.clone(),
            alias: false,
        }];
        for alias in &config.alias_zones {
            zones.push(Zone {
                apex: alias_apex(alias, &tld)?,
                alias: true,
            });
        }
        for host in &config.challenge_hosts {
            let apex = challenge_apex(host)?;
            // Inside our own zones there is no need for a zone of its own.
            if !zones.iter().any(|zone| zone.apex.zone_of(&apex)) {
                zones.push(Zone { apex, alias: false });
            }
        }
        zones.sort_by_key(|zone| std::cmp::Reverse(zone.apex.iter().len()));
        Ok(Self {
            zones,
            hosts: hosts(config)?,
            edges: config.edges.clone(),
            ttl: config.ttl.min(*TTL_SECONDS.end()),
            challenges: Challenges::default(),
            directory: Directory::default(),
            tld,
        })
    }

    /// The answers to challenges of certificate authorities.
    #[must_use]
    pub fn challenges(&self) -> &Challenges {
        &self.challenges
    }

    /// Who knows what is served over TLS.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The zone that `name` belongs to: the one with the longest apex.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.apex.zone_of(name))
    }

    /// What exists at `name`, which must lie in `zone`. `None`: neither it nor anything below it exists.
    ///
    /// # Errors
    /// The ledger's state could not be read.
    pub fn lookup(
        &self,
        zone: &Zone,
        name: &Name,
        names: &dyn Names,
    ) -> Result<Option<Vec<Datum>>, NamesError> {
        let host = name.to_lowercase().to_ascii();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let mut found = self.held(zone, name, names)?;
        if let Some(challenges) = self.challenges.at(host) {
            found.get_or_insert_default().extend(challenges);
        }
        if let Some(data) = &mut found
            && let Some(https) = self.directory.https(host, data, &self.edges)
        {
            data.push(https);
        }
        Ok(found)
    }

    /// What settings and ledger say of `name`.
    fn held(&self, zone: &Zone, name: &Name, names: &dyn Names) -> Result<Option<Vec<Datum>>, NamesError> {
        if zone.apex == *name {
            return Ok(Some(self.at_apex(zone, names.height())));
        }
        if let Some(host) = self.hosts.iter().find(|host| host.name == *name) {
            return Ok(Some(self.addresses(&host.addresses, NS_TTL_SECONDS)));
        }
        let found = match relative(zone, name) {
            Some(labels) => self.in_ledger(zone, &labels, names)?,
            None => None,
        };
        let above_a_host = || self.hosts.iter().any(|host| name.zone_of(&host.name));
        Ok(found.or_else(|| above_a_host().then(Vec::new)))
    }

    /// The zone's SOA, for an answer or, with the same TTL, for the authority section of a negative one (RFC 2308,
    /// section 3: the lesser of the TTL and MINIMUM, which are equal here).
    #[must_use]
    pub fn soa(&self, zone: &Zone, height: u64) -> Datum {
        let responsible = Name::from_ascii("hostmaster").and_then(|name| name.append_domain(&zone.apex));
        let responsible = responsible.unwrap_or_else(|_| zone.apex.clone());
        let soa = SOA::new(
            self.hosts[0].name.clone(),
            responsible,
            serial(height),
            SOA_REFRESH_SECONDS,
            SOA_RETRY_SECONDS,
            SOA_EXPIRE_SECONDS,
            self.ttl,
        );
        Datum {
            ttl: self.ttl,
            data: RData::SOA(soa),
        }
    }

    /// The addresses of those name servers that are named inside our own zones, to spare the asker a question.
    pub fn glue(&self) -> impl Iterator<Item = (&Name, Datum)> {
        let ours = self.hosts.iter().filter(|host| self.find(&host.name).is_some());
        ours.flat_map(|host| {
            self.addresses(&host.addresses, NS_TTL_SECONDS)
                .into_iter()
                .map(|d| (&host.name, d))
        })
    }

    fn at_apex(&self, zone: &Zone, height: u64) -> Vec<Datum> {
        let mut data = vec![self.soa(zone, height)];
        data.extend(self.hosts.iter().map(|h| Datum {
            ttl: NS_TTL_SECONDS,
            data: RData::NS(NS(h.name.clone())),
        }));
        if zone.alias {
            data.extend(self.addresses(&self.edges, self.ttl));
        }
        data
    }

    /// What the ledger holds at the labels, given from left to right without the apex.
    fn in_ledger(
        &self,
        zone: &Zone,
        labels: &[String],
        names: &dyn Names,
    ) -> Result<Option<Vec<Datum>>, NamesError> {
        let Some((last, under)) = labels.split_last() else {
            return Ok(None);
        };
        let Ok(label) = Label::parse(last) else {
            return Ok(None);
        };
        let Some(entry) = dap::live_entry(names, &label)? else {
            return Ok(None);
        };
        let under = under.join(".");
        if let Some(own) = entry.records.get(&under) {
            return self.of_owner(zone, own).map(Some);
        }
        let parent = parent_of_dnslink(&under).and_then(|parent| entry.records.get(parent));
        if let Some(link) = parent.and_then(|records| self.link(records)) {
            return Ok(Some(vec![link]));
        }
        let exists = under.is_empty() || entry.records.keys().any(|path| lies_below(path, &under));
        Ok(exists.then(Vec::new))
    }

    /// What an owner's record set gives at the name itself.
    fn of_owner(&self, zone: &Zone, records: &Records) -> Result<Vec<Datum>, NamesError> {
        let ttl = self.ttl_of(records);
        if let Some(target) = &records.cname {
            let target = self.target(zone, target)?;
            return Ok(vec![Datum {
                ttl,
                data: RData::CNAME(CNAME(target)),
            }]);
        }
        let own: Vec<IpAddr> = records
            .a
            .iter()
            .copied()
            .map(IpAddr::V4)
            .chain(records.aaaa.iter().copied().map(IpAddr::V6))
            .collect();
        let served = records.content.is_some() || records.origin.is_some();
        let mut data = match own.is_empty() && served {
            true => self.addresses(&self.edges, ttl),
            false => self.addresses(&own, ttl),
        };
        data.extend(self.link(records));
        let linked = records.content.is_some();
        let texts = records
            .txt
            .iter()
            .filter(|text| !(linked && text.starts_with(DNSLINK_PREFIX)));
        data.extend(texts.map(|text| Datum {
            ttl,
            data: RData::TXT(txt(text)),
        }));
        Ok(data)
    }

    /// The DNSLink of a record set with content.
    fn link(&self, records: &Records) -> Option<Datum> {
        let content = records.content.as_ref()?;
        let text = format!("{DNSLINK_PREFIX}/ipfs/{}", content.0);
        Some(Datum {
            ttl: self.ttl_of(records),
            data: RData::TXT(txt(&text)),
        })
    }

    fn ttl_of(&self, records: &Records) -> u32 {
        records.ttl.map_or(self.ttl, |ttl| {
            ttl.clamp(*TTL_SECONDS.start(), *TTL_SECONDS.end())
        })
    }

    fn addresses(&self, addresses: &[IpAddr], ttl: u32) -> Vec<Datum> {
        let data = |address: &IpAddr| match address {
            IpAddr::V4(v4) => RData::A(A(*v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(*v6)),
        };
        addresses
            .iter()
            .map(|address| Datum {
                ttl,
                data: data(address),
            })
            .collect()
    }

    /// Where a CNAME leads. In an alias zone a target below the TLD is given inside that zone, since who asks there
    /// may not be able to resolve the TLD.
    fn target(&self, zone: &Zone, target: &str) -> Result<Name, NamesError> {
        let invalid = |_| NamesError::new(format!("the CNAME target `{target}` is not a DNS name"));
        let mut name = Name::from_ascii(target).map_err(invalid)?;
        name.set_fqdn(true);
        if !zone.alias || !self.tld.zone_of(&name) {
            return Ok(name);
        }
        let own = name.iter().take(labels_above(&self.tld, &name));
        Name::from_labels(own.chain(zone.apex.iter())).map_err(invalid)
    }
}

/// The ledger's height as a zone serial; it wraps, as serials do (RFC 1982).
pub fn serial(height: u64) -> u32 {
    (height & u64::from(u32::MAX)) as u32
}

/// Whether a record at `path` makes `under` an empty non-terminal.
fn lies_below(path: &str, under: &str) -> bool {
    path.strip_suffix(under).is_some_and(|rest| rest.ends_with('.'))
}

/// The undername whose DNSLink lives at `under`, if `under` is a place for one.
fn parent_of_dnslink(under: &str) -> Option<&str> {
    let rest = under.strip_prefix(DNSLINK_LABEL)?;
    if rest.is_empty() {
        Some("")
    } else {
        rest.strip_prefix('.')
    }
}

/// The labels of `name` before the zone's apex, in lower case, from left to right. `None` if one has a byte that no
/// name of the ledger can have; a dot inside a label must not pass for two labels.
fn relative(zone: &Zone, name: &Name) -> Option<Vec<String>> {
    name.iter()
        .take(labels_above(&zone.apex, name))
        .map(lower_label)
        .collect()
}

/// How many labels `name` has more than `apex`, which it ends with. (`Name::num_labels` leaves a `*` out.)
fn labels_above(apex: &Name, name: &Name) -> usize {
    name.iter().len().saturating_sub(apex.iter().len())
}

fn lower_label(label: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let text = std::str::from_utf8(label).ok()?;
    (!label.is_empty() && label.iter().all(plain)).then(|| text.to_ascii_lowercase())
}

/// A TXT record of one string; the ledger keeps texts to the 255 bytes of a string (RFC 1035, section 3.3).
fn txt(text: &str) -> TXT {
    TXT::new(vec![text.into()])
}

fn hosts(config: &Config) -> Result<Vec<Host>, Error> {
    if config.name_servers.is_empty() {
        return Err(setting(
            "dns.name_servers",
            "[]",
            "needs at least one host name; a zone must have a name server",
        ));
    }
    let host = |server: &super::NameServer| {
        let name = host_name("dns.name_servers", &server.host)?;
        Ok(Host {
            name,
            addresses: server.addresses.clone(),
        })
    };
    config.name_servers.iter().map(host).collect()
}

fn alias_apex(alias: &str, tld: &Name) -> Result<Name, Error> {
    let apex = host_name("dns.alias_zones", alias)?;
    if tld.zone_of(&apex) {
        let reason =
            format!("lies in the chain's own zone `{tld}`; an alias zone is a domain of the public DNS");
        return Err(setting("dns.alias_zones", alias, &reason));
    }
    Ok(apex)
}

/// The zone of challenges of a host whose own zone somebody else serves.
fn challenge_apex(host: &str) -> Result<Name, Error> {
    host_name("gateway.acme_hosts", &format!("{CHALLENGE_LABEL}.{host}"))
}

/// A host name of the configuration, in lower case and fully qualified.
fn host_name(key: &'static str, value: &str) -> Result<Name, Error> {
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
