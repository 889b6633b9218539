//! Which records and addresses a client can use, as it says (IPIP-484): pure.

use super::record::Record;
use crate::ask::query::Query;
use crate::problem::Problem;

/// Names in one filter; there are about 60 protocols in all.
const NAMES_MAX: usize = 100;
/// Characters of a name (IPIP-484).
const NAME_CHARS_MAX: usize = 63;
/// Stands for what has no addresses, or no protocols.
const UNKNOWN: &str = "unknown";

/// Both filters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Filters {
    addrs: Vec<String>,
    protocols: Vec<String>,
}

impl Filters {
    pub(super) fn read(query: &Query) -> Result<Self, Problem> {
        Ok(Self {
            addrs: names(query.get("filter-addrs").unwrap_or_default())?,
            protocols: names(query.get("filter-protocols").unwrap_or_default())?,
        })
    }

    /// The record with the addresses that pass; none if it does not pass itself.
    pub(super) fn apply(&self, record: Record) -> Option<Record> {
        self.allows_protocols(&record.protocols)
            .then(|| self.with_addrs(record))
            .flatten()
    }

    fn allows_protocols(&self, protocols: &[&str]) -> bool {
        let wanted = |name: &str| self.protocols.iter().any(|wanted| wanted == name);
        self.protocols.is_empty()
            || protocols.is_empty() && wanted(UNKNOWN)
            || protocols.iter().any(|protocol| wanted(protocol))
    }

    fn with_addrs(&self, mut record: Record) -> Option<Record> {
        let is_unknown = record.addrs.is_empty() && self.addrs.iter().any(|name| name == UNKNOWN);
        if self.addrs.is_empty() || is_unknown {
            return Some(record);
        }
        record.addrs.retain(|addr| self.allows_addr(addr));
        (!record.addrs.is_empty()).then_some(record)
    }

    /// None of the protocols that are not wanted, and one of those that are, if any is named.
    fn allows_addr(&self, addr: &str) -> bool {
        let has = |name: &str| protocols(addr).any(|protocol| protocol == name);
        let mut unwanted = self.addrs.iter().filter_map(|name| name.strip_prefix('!'));
        let mut wanted = self.addrs.iter().filter(|name| !name.starts_with('!')).peekable();
        !unwanted.any(has) && (wanted.peek().is_none() || wanted.any(|name| has(name)))
    }
}

/// A list of names, lower case.
fn names(list: &str) -> Result<Vec<String>, Problem> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_ascii_lowercase).take(NAMES_MAX + 1).collect();
    let fits = |name: &String| name.chars().count() <= NAME_CHARS_MAX + 1;
    match names.len() <= NAMES_MAX && names.iter().all(fits) {
        true => Ok(names),
        false => Err(Problem::unprocessable(format!(
            "a filter has at most {NAMES_MAX} names of {NAME_CHARS_MAX} characters"
        ))),
    }
}

/// The protocols of a multiaddr, without their values.
fn protocols(addr: &str) -> impl Iterator<Item = &str> {
    let mut parts = addr.split('/').skip(1);
    std::iter::from_fn(move || {
        let protocol = parts.next()?;
        if matches!(protocol, "ip4" | "ip6" | "dns" | "tcp") {
            parts.next();
        }
        Some(protocol)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TLS: &str = "/dns/tls/tcp/443/tls/http";
    const V6: &str = "/ip6/2001:db8::1/tcp/80/http";

    fn record(addrs: &[&str], protocols: &[&'static str]) -> Record {
        Record {
            schema: "peer",
            id: "x".into(),
            addrs: addrs.iter().map(|addr| (*addr).to_owned()).collect(),
            protocols: protocols.to_vec(),
        }
    }

    #[track_caller]
    fn check(query: &str, given: &Record, expected: Option<&[&str]>) {
        let filters = Filters::read(&Query::parse(query)).expect("names");
        let passed = filters.apply(given.clone());
        let expected = expected.map(|addrs| record(addrs, &given.protocols));
        assert_eq!(passed, expected, "{query}");
    }

    #[test]
    fn addresses() {
        let both = record(&[TLS, V6], &["transport-ipfs-gateway-http"]);
        for (query, expected) in [
            ("", Some(&[TLS, V6][..])),
            ("filter-addrs=", Some(&[TLS, V6])),
            ("filter-addrs=tls", Some(&[TLS])),
            ("filter-addrs=TLS,webrtc", Some(&[TLS])),
            ("filter-addrs=%21tls", Some(&[V6])),
            ("filter-addrs=!ip6", Some(&[TLS])),
            ("filter-addrs=tcp,!ip6", Some(&[TLS])),
            ("filter-addrs=tls,!dns", None),
            ("filter-addrs=quic-v1", None),
            ("filter-addrs=443", None),
            ("filter-addrs=unknown", None),
            ("filter-addrs=unknown,http", Some(&[TLS, V6])),
            (
                "filter-addrs=https,tcp,webrtc,webrtc-direct,wss,tls",
                Some(&[TLS, V6]),
            ),
        ] {
            check(query, &both, expected);
        }
        let nowhere = record(&[], &["transport-ipfs-gateway-http"]);
        check("", &nowhere, Some(&[]));
        check("filter-addrs=tls", &nowhere, None);
        check("filter-addrs=!tls", &nowhere, None);
        check("filter-addrs=tls,unknown", &nowhere, Some(&[]));
    }

    #[test]
    fn transfer_protocols() {
        let gateway = record(&[TLS], &["transport-ipfs-gateway-http"]);
        let silent = record(&[TLS], &[]);
        for (query, of_gateway, of_silent) in [
            ("filter-protocols=transport-bitswap", false, false),
            ("filter-protocols=unknown", false, true),
            (
                "filter-protocols=unknown,transport-bitswap,Transport-IPFS-gateway-http",
                true,
                true,
            ),
            ("filter-protocols=transport-ipfs-gateway-http", true, false),
            (
                "filter-protocols=transport-ipfs-gateway-http&filter-addrs=ip4",
                false,
                false,
            ),
        ] {
            check(query, &gateway, of_gateway.then_some(&[TLS]));
            check(query, &silent, of_silent.then_some(&[TLS]));
        }
    }

    #[test]
    fn lists_are_bounded() {
        for list in ["x,".repeat(101), "x".repeat(65)] {
            let query = Query::parse(&format!("filter-addrs={list}")).to_owned();
            assert_eq!(Filters::read(&query).expect_err("too much").status, 422);
        }
    }

    proptest! {
        #[test]
        fn any_filter_is_safe(query in any::<String>(), list in "[a-z!,% -]{0,60}") {
            for query in [query, format!("filter-addrs={list}&filter-protocols={list}")] {
                if let Ok(filters) = Filters::read(&Query::parse(&query)) {
                    let _ = filters.apply(record(&[TLS, V6], &["transport-ipfs-gateway-http"]));
                }
            }
        }
    }
}
