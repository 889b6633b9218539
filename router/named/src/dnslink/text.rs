//! What may be asked for, and what of an answer counts.

/// What a DNSLink record begins with.
const MARK: &[u8] = b"dnslink=";
/// Bytes of a content path that counts: more than any host name and path that people write.
const PATH_BYTES_MAX: usize = 1024;

/// Top-level domains that the public DNS does not have (RFC 6761, RFC 7686, RFC 8375, RFC 9476, and `internal`): to ask for
/// them would tell strangers the names of private machines.
const PRIVATE: &[&str] = &[
    "alt",
    "arpa",
    "internal",
    "invalid",
    "lan",
    "local",
    "localhost",
    "onion",
    "test",
];

/// Whether `domain`, in lower case and without a dot at its end, is a name that the public DNS may have, with room for the
/// label of a DNSLink before it.
#[must_use]
pub fn is_public(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    let Some((_, top)) = domain.rsplit_once('.') else {
        return false;
    };
    domain.len() + "_dnslink.".len() <= 253
        && domain.split('.').all(is_label)
        && !top.bytes().all(|b| b.is_ascii_digit())
        && !PRIVATE.contains(&top)
}

/// The content path of the DNSLink among TXT records, each of which is the bytes of its strings. Of several the first in
/// the order of their bytes counts, since the DNS has no order.
pub(super) fn link(records: impl Iterator<Item = Vec<u8>>) -> Option<String> {
    records.filter_map(|record| path(&record)).min()
}

fn path(record: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(record.strip_prefix(MARK)?).ok()?.trim();
    let is_content = path.starts_with("/ipfs/") || path.starts_with("/ipns/");
    let is_plain = path.len() <= PATH_BYTES_MAX && !path.contains(char::is_control);
    (is_content && is_plain).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for() {
        let long = format!("{}.org", "a.".repeat(130));
        for (domain, is) in [
            ("example.org", true),
            ("a-b.xn--p1ai", true),
            ("_x.example.org", true),
            ("localhost", false),
            ("com", false),
            ("printer.local", false),
            ("a.home.arpa", false),
            ("x.localhost", false),
            ("10.0.0.1", false),
            ("Example.org", false),
            ("a..org", false),
            (".org", false),
            ("a b.org", false),
            ("a\0.org", false),
            ("", false),
            (&long, false),
        ] {
            assert_eq!(is_public(domain), is, "{domain}");
        }
    }

    #[test]
    fn which_record_counts() {
        let long = format!("dnslink=/ipfs/{}", "a".repeat(PATH_BYTES_MAX));
        for (records, expected) in [
            (&["dnslink=/ipfs/cid/a b"][..], Some("/ipfs/cid/a b")),
            (
                &["v=spf1", "dnslink=/ipns/b.example", "dnslink=/ipfs/a"],
                Some("/ipfs/a"),
            ),
            (&["dnslink= /ipns/x "], Some("/ipns/x")),
            (
                &["dnslink=", "dnslink=ipfs/a", "dnslink=/ipld/a", "DNSLINK=/ipfs/a"],
                None,
            ),
            (&["dnslink=/ipfs/a\nb"], None),
            (&[&long], None),
            (&[], None),
        ] {
            let records = records.iter().map(|record| record.as_bytes().to_vec());
            assert_eq!(link(records).as_deref(), expected);
        }
        assert_eq!(link([b"dnslink=/ipfs/\xff".to_vec()].into_iter()), None);
    }
}
