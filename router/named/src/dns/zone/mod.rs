//! The zones that we serve and what exists in them.
//!
//! There is one zone for the chain's TLD, one for that of each chain that is asked, and one for each alias zone; `alice.ddn.example` in the alias zone
//! `ddn.example` is the same ledger entry as `alice.ddn`. At a name there is what its owner's record set says, plus
//! what DDN derives from its content: the addresses of edges that serve it, and the DNSLink
//! (<https://dnslink.dev>) at the name and at `_dnslink` below it. A name exists if it has records or if a name below
//! it has (RFC 8020): the latter is an *empty non-terminal*, whose every type is NODATA, never NXDOMAIN.
//!
//! What the settings say comes before the ledger: name servers, gateway hosts and the sites below these.
//!
//! * [`asking`]: who asks, and what the answer turns out to depend on.
//! * [`held`]: what the ledger says of a name.
//! * [`settings`]: zones and hosts of the configuration.

mod asking;
mod held;
mod settings;

pub use asking::Asking;

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, RecordType};

use super::Config;
use super::dnssec::{Anchor, Seal};
use super::own::{Challenges, Directory, challenged_host};
use crate::Error;
use crate::dap::{NamesError, Tlds};

/// How long secondaries would wait; we have none, each node reads the ledger (RFC 1035, section 3.3.13). Seconds.
const SOA_REFRESH_SECONDS: i32 = 3_600;
const SOA_RETRY_SECONDS: i32 = 600;
const SOA_EXPIRE_SECONDS: i32 = 604_800;

/// Name servers and keys change with an operator's configuration, not with the ledger. Seconds.
const APEX_TTL_SECONDS: u32 = 3_600;

/// The zones of this configuration that want a key, in lower case without a final dot.
pub fn signed(config: &Config, tlds: &Tlds) -> Result<Vec<String>, Error> {
    let tld = settings::host_name("chain.tld", tlds.own())?;
    let aliases = config
        .alias_zones
        .iter()
        .map(|alias| settings::alias_apex(alias, &tld));
    let zones: Vec<Name> = tlds
        .all()
        .map(|tld| settings::host_name("chain.tld", tld))
        .chain(aliases)
        .collect::<Result<_, _>>()?;
    let text = |zone: &Name| zone.to_ascii().trim_end_matches('.').to_owned();
    Ok(zones.iter().map(text).collect())
}

/// Bounds for the TTL that an owner may ask for: below, resolvers would ask for each use; above, a change of the name
/// would take more than a day to be seen. Seconds.
const TTL_SECONDS: std::ops::RangeInclusive<u32> = 5..=86_400;

/// For so long an answer that names near edges is given to others too: whoever is gone should be out of the answers within
/// seconds, and whoever fills up too. Seconds.
const NEAR_SECONDS: u32 = 1;

/// The labels under which a gateway has one host for each site.
const SITE_LABELS: [&str; 2] = ["ipfs", "ipns"];

/// One resource record's data and how long it may be kept, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// Seconds.
    pub ttl: u32,
    /// Type and value.
    pub data: RData,
}

/// What is at a name.
#[derive(Debug, Default)]
pub struct Found {
    /// Its records, without what DNSSEC adds.
    pub data: Vec<Datum>,
    /// Whether the addresses are those of edges.
    led: bool,
}

/// All zones of this server, with what is the same in each.
#[derive(Debug)]
pub struct Zones {
    /// Longest apex first.
    zones: Vec<Zone>,
    tld: Name,
    hosts: Vec<Host>,
    gateways: Vec<Name>,
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
    /// What it is signed with, if it is.
    pub seal: Option<Seal>,
    /// What is below it.
    holds: Holds,
}

/// What is below a zone's apex.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Holds {
    /// The names of the chain.
    Own,
    /// The same, as a real domain, whose apex leads to the edges too.
    Alias,
    /// The names of another chain, with this TLD.
    Other(String),
    /// Answers to challenges alone.
    Challenges,
}

/// A name server's own host name.
#[derive(Debug)]
struct Host {
    name: Name,
    addresses: Vec<IpAddr>,
}

impl Zones {
    /// The zones for these top-level domains under this configuration.
    ///
    /// # Errors
    /// [`Error::Setting`] for what is not a host name, an empty list of name servers, an alias inside the TLD, or a zone
    /// without a key beside one that has one.
    pub fn new(config: &Config, tlds: &Tlds) -> Result<Self, Error> {
        let tld = settings::host_name("chain.tld", tlds.own())?;
        Ok(Self {
            zones: settings::zones(config, &tld, tlds.others())?,
            hosts: settings::hosts(config)?,
            gateways: settings::gateways(config),
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

    /// Who knows what is served over TLS, and which edges are near.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The zone that holds records of type `kind` at `name`: the one with the longest apex. But DS records at an apex are
    /// in the zone above, if that is ours (RFC 4035, section 3.1.4.1).
    #[must_use]
    pub fn find(&self, name: &Name, kind: RecordType) -> Option<&Zone> {
        let mut zones = self.zones.iter().filter(|zone| zone.apex.zone_of(name));
        let nearest = zones.next()?;
        match kind == RecordType::DS && nearest.apex == *name {
            true => zones.next().or(Some(nearest)),
            false => Some(nearest),
        }
    }

    /// What the records of type `kind` at `name` are signed with, and in which zone.
    #[must_use]
    pub fn seal(&self, name: &Name, kind: RecordType) -> Option<(&Name, &Seal)> {
        let zone = self.find(name, kind)?;
        Some((&zone.apex, zone.seal.as_ref()?))
    }

    /// What validators are told of the signed zones.
    pub fn anchors(&self) -> Vec<Anchor> {
        let anchor = |zone: &Zone| Some(zone.seal.as_ref()?.public.anchor(&zone.apex));
        self.zones.iter().filter_map(anchor).collect()
    }

    /// What exists at `name`, which must lie in `zone`. `None`: neither it nor anything below it exists.
    ///
    /// # Errors
    /// The ledger's state could not be read.
    pub fn lookup(
        &self,
        zone: &Zone,
        name: &Name,
        asking: &mut Asking<'_>,
    ) -> Result<Option<Vec<Datum>>, NamesError> {
        let host = name.to_lowercase().to_ascii();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let mut found = self.held(zone, name, host, asking)?;
        if challenged_host(host).is_some() {
            // Challenges come and go without a block.
            asking.this_moment();
            if let Some(challenges) = self.challenges.at(host) {
                found.get_or_insert_default().data.extend(challenges);
            }
        }
        Ok(found.map(|mut found| {
            let is_https = |datum: &Datum| matches!(datum.data, RData::HTTPS(_));
            if found.led && !found.data.iter().any(is_https) {
                asking.saw_services(self.ttl);
                found.data.extend(self.directory.https(host, &found.data));
            }
            even(&mut found.data);
            found.data
        }))
    }

    /// What settings and ledger say of `name`, which is `host` as text.
    fn held(
        &self,
        zone: &Zone,
        name: &Name,
        host: &str,
        asking: &mut Asking<'_>,
    ) -> Result<Option<Found>, NamesError> {
        if zone.apex == *name {
            return Ok(Some(self.at_apex(zone, host, asking)));
        }
        if let Some(delegated) = self.zones.iter().find(|other| other.apex == *name) {
            return Ok(Some(Found::of(self.at_cut(delegated))));
        }
        if let Some(host) = self.hosts.iter().find(|host| host.name == *name) {
            return Ok(Some(Found::of(addresses(&host.addresses, APEX_TTL_SECONDS))));
        }
        if self.is_gateway(name) {
            return Ok(Some(self.led(host, self.ttl, asking)));
        }
        let found = match settings::relative(zone, name) {
            Some(labels) => self.in_ledger(zone, &labels, host, asking)?,
            None => None,
        };
        Ok(found.or_else(|| self.is_above_a_host(name).then(Found::default)))
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
        let is_ours = |host: &&Host| self.find(&host.name, RecordType::A).is_some();
        let ours = self.hosts.iter().filter(is_ours);
        ours.flat_map(|host| {
            let data = addresses(&host.addresses, APEX_TTL_SECONDS);
            data.into_iter().map(|datum| (&host.name, datum))
        })
    }

    fn at_apex(&self, zone: &Zone, host: &str, asking: &mut Asking<'_>) -> Found {
        let mut found = match zone.holds == Holds::Alias || self.gateways.contains(&zone.apex) {
            true => self.led(host, self.ttl, asking),
            false => Found::default(),
        };
        found.data.push(self.soa(zone, asking.height()));
        found.data.extend(self.name_servers());
        let keys = zone.seal.iter().flat_map(|seal| seal.public.at_apex());
        found.data.extend(keys.map(apex_datum));
        found
    }

    /// In the zone above another one of ours.
    fn at_cut(&self, below: &Zone) -> Vec<Datum> {
        let ds = below.seal.as_ref().map(|seal| apex_datum(seal.public.ds()));
        self.name_servers().chain(ds).collect()
    }

    fn name_servers(&self) -> impl Iterator<Item = Datum> {
        self.hosts
            .iter()
            .map(|host| apex_datum(RData::NS(NS(host.name.clone()))))
    }

    /// The addresses of edges for `host`.
    fn led(&self, host: &str, ttl: u32, asking: &mut Asking<'_>) -> Found {
        let near = self.directory.near(host, asking.network());
        let data = match near {
            Some(near) => {
                asking.depend_on(near.scope);
                asking.until_after(NEAR_SECONDS.min(ttl));
                addresses(&near.addresses, ttl)
            }
            None => addresses(&self.edges, ttl),
        };
        Found { data, led: true }
    }

    /// Whether `name` is a gateway's host, or one of a site below it (`CID.ipfs.HOST`).
    fn is_gateway(&self, name: &Name) -> bool {
        let is_site = |gateway: &Name| {
            let labels: Vec<&[u8]> = name.iter().collect();
            labels.len() == gateway.iter().len() + 2
                && gateway.zone_of(name)
                && SITE_LABELS
                    .iter()
                    .any(|site| site.as_bytes().eq_ignore_ascii_case(labels[1]))
        };
        self.gateways
            .iter()
            .any(|gateway| gateway == name || is_site(gateway))
    }

    /// Whether a host of the settings is below `name`.
    fn is_above_a_host(&self, name: &Name) -> bool {
        let is_sites = |gateway: &Name| {
            let label = name.iter().next().unwrap_or_default();
            name.base_name() == *gateway
                && SITE_LABELS
                    .iter()
                    .any(|site| site.as_bytes().eq_ignore_ascii_case(label))
        };
        self.hosts.iter().any(|host| name.zone_of(&host.name))
            || self
                .gateways
                .iter()
                .any(|gateway| name.zone_of(gateway) || is_sites(gateway))
            || self.zones.iter().any(|zone| name.zone_of(&zone.apex))
    }
}

impl Found {
    fn of(data: Vec<Datum>) -> Self {
        Self { data, led: false }
    }
}

/// Records of one type at one name have one TTL (RFC 2181, section 5.2): the shortest.
fn even(data: &mut [Datum]) {
    for at in 0..data.len() {
        let kind = data[at].data.record_type();
        let same = data.iter().filter(|datum| datum.data.record_type() == kind);
        data[at].ttl = same.map(|datum| datum.ttl).min().unwrap_or(0);
    }
}

fn apex_datum(data: RData) -> Datum {
    Datum {
        ttl: APEX_TTL_SECONDS,
        data,
    }
}

fn addresses(addresses: &[IpAddr], ttl: u32) -> Vec<Datum> {
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

/// The ledger's height as a zone serial; it wraps, as serials do (RFC 1982).
pub fn serial(height: u64) -> u32 {
    (height & u64::from(u32::MAX)) as u32
}
