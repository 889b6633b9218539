//! What the ledger says of a name, as records.

use std::net::IpAddr;

use hickory_proto::rr::rdata::svcb::{Alpn, SVCB, SvcParamKey, SvcParamValue};
use hickory_proto::rr::rdata::{CAA, CNAME, HTTPS, MX, SRV, TXT};
use hickory_proto::rr::{Name, RData};
use ledger::{Caa, Https, Label, NameEntry, Records};

use super::{Asking, Datum, Found, Holds, TTL_SECONDS, Zone, Zones, addresses, settings};
use crate::dap::{self, Elsewhere, NamesError};

/// A DNSLink lives here too, beside the name itself (<https://dnslink.dev>).
const DNSLINK_LABEL: &str = "_dnslink";
const DNSLINK_PREFIX: &str = "dnslink=";

impl Zones {
    /// What the ledger holds at the labels, given from left to right without the apex; `host` is the whole name.
    pub(super) fn in_ledger(
        &self,
        zone: &Zone,
        labels: &[String],
        host: &str,
        asking: &mut Asking<'_>,
    ) -> Result<Option<Found>, NamesError> {
        let Some((last, under)) = labels.split_last() else {
            return Ok(None);
        };
        let Ok(label) = Label::parse(last) else {
            return Ok(None);
        };
        let Some(entry) = live_entry(zone, &label, asking)? else {
            return Ok(None);
        };
        let under = under.join(".");
        if let Some(own) = entry.records.get(&under) {
            return self.of_owner(zone, own, host, asking).map(Some);
        }
        let parent = parent_of_dnslink(&under).and_then(|parent| entry.records.get(parent));
        if let Some(link) = parent.and_then(|records| self.link(records)) {
            return Ok(Some(Found::of(vec![link])));
        }
        let exists = under.is_empty() || entry.records.keys().any(|path| lies_below(path, &under));
        Ok(exists.then(Found::default))
    }

    /// What an owner's record set gives at the name itself.
    fn of_owner(
        &self,
        zone: &Zone,
        records: &Records,
        host: &str,
        asking: &mut Asking<'_>,
    ) -> Result<Found, NamesError> {
        let ttl = self.ttl_of(records);
        if let Some(target) = &records.cname {
            let data = RData::CNAME(CNAME(self.target(zone, target)?));
            return Ok(Found::of(vec![Datum { ttl, data }]));
        }
        let mut found = self.places(records, host, ttl, asking);
        found.data.extend(self.link(records));
        let linked = records.content.is_some();
        let texts = records
            .txt
            .iter()
            .filter(|text| !(linked && text.starts_with(DNSLINK_PREFIX)));
        found.data.extend(texts.map(|text| Datum {
            ttl,
            data: RData::TXT(txt(text)),
        }));
        for data in self.services(zone, records)? {
            found.data.push(Datum { ttl, data });
        }
        Ok(found)
    }

    /// Where services are, and who may issue certificates.
    fn services(&self, zone: &Zone, records: &Records) -> Result<Vec<RData>, NamesError> {
        let mut data = Vec::new();
        for mx in &records.mx {
            let host = self.target(zone, &mx.host)?;
            data.push(RData::MX(MX::new(mx.preference, host)));
        }
        for srv in &records.srv {
            let target = self.target(zone, &srv.target)?;
            data.push(RData::SRV(SRV::new(srv.priority, srv.weight, srv.port, target)));
        }
        for https in &records.https {
            let target = self.target(zone, &https.target)?;
            let parameters = parameters(https);
            data.push(RData::HTTPS(HTTPS(SVCB::new(https.priority, target, parameters))));
        }
        data.extend(records.caa.iter().map(caa));
        Ok(data)
    }

    /// Addresses: the owner's, else those of edges if there is something to serve.
    fn places(&self, records: &Records, host: &str, ttl: u32, asking: &mut Asking<'_>) -> Found {
        let v4 = records.a.iter().copied().map(IpAddr::V4);
        let v6 = records.aaaa.iter().copied().map(IpAddr::V6);
        let own: Vec<IpAddr> = v4.chain(v6).collect();
        let served = records.content.is_some() || records.origin.is_some();
        match own.is_empty() && served {
            true => self.led(host, ttl, asking),
            false => Found::of(addresses(&own, ttl)),
        }
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

    /// Where a record leads; `.` is nowhere, or the name itself. In an alias zone a target below the TLD is given inside that zone, since who
    /// asks there may not be able to resolve the TLD.
    fn target(&self, zone: &Zone, target: &str) -> Result<Name, NamesError> {
        let invalid = |_| NamesError::new(format!("the target `{target}` is not a DNS name"));
        let mut name = Name::from_ascii(target).map_err(invalid)?;
        name.set_fqdn(true);
        if zone.holds != Holds::Alias || !self.tld.zone_of(&name) {
            return Ok(name);
        }
        let own = name.iter().take(settings::labels_above(&self.tld, &name));
        Name::from_labels(own.chain(zone.apex.iter())).map_err(invalid)
    }
}

/// The entry of a label on the chain whose names are in the zone, unless it has expired.
fn live_entry(zone: &Zone, label: &Label, asking: &Asking<'_>) -> Result<Option<NameEntry>, NamesError> {
    let tld = match &zone.holds {
        Holds::Own | Holds::Alias => return dap::live_entry(asking.names(), label),
        Holds::Challenges => return Ok(None),
        Holds::Other(tld) => tld,
    };
    match asking.names().elsewhere(tld, label)? {
        Elsewhere::Proven { entry, height, .. } => Ok(entry.filter(|entry| entry.is_active(height))),
        Elsewhere::Silent(to) => Err(NamesError::new(format!(
            "{label}.{tld} is a name of {}: {}",
            to.chain, to.why
        ))),
    }
}

/// Keys in their order (RFC 9460, section 2.2).
fn parameters(https: &Https) -> Vec<(SvcParamKey, SvcParamValue)> {
    let alpn = Some(Alpn(https.alpn.clone())).filter(|alpn| !alpn.0.is_empty());
    let alpn = alpn.map(|alpn| (SvcParamKey::Alpn, SvcParamValue::Alpn(alpn)));
    let port = https
        .port
        .map(|port| (SvcParamKey::Port, SvcParamValue::Port(port)));
    alpn.into_iter().chain(port).collect()
}

fn caa(caa: &Caa) -> RData {
    let mut data = CAA::new_issue(caa.critical, None, Vec::new());
    data.tag.clone_from(&caa.tag);
    data.value = caa.value.clone().into_bytes();
    RData::CAA(data)
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

/// A TXT record of one string; the ledger keeps texts to the 255 bytes of a string (RFC 1035, section 3.3).
fn txt(text: &str) -> TXT {
    TXT::new(vec![text.into()])
}
