//! Content paths: `/ipfs/CID/…` and `/ipns/NAME/…`, as requests, DNSLink records and IPNS records write them.

use cid::{Cid, CidGeneric};
use named::dap::Tlds;
use named::ipns;

use super::address::Root;
use crate::problem::Problem;

/// Longer content paths than any record or URL has are refused.
const SEGMENTS_MAX: usize = 256;

/// The root that `text` names in a namespace, `ipfs` or `ipns`. `tlds` are those of the ledgers' names.
pub(crate) fn root(namespace: &str, text: &str, tlds: &Tlds) -> Result<Root, Problem> {
    match namespace {
        "ipfs" => Cid::try_from(text).map(Root::Cid).map_err(|error| {
            let reason = match inline_bytes(text) {
                Some(bytes) => format!("carries {bytes} bytes within itself, and at most 64 are read"),
                None => format!("is not a CID ({error})"),
            };
            Problem::bad_request(format!("invalid path \"/ipfs/{text}\": {text} {reason}"))
        }),
        _ => Ok(name(text, tlds)),
    }
}

/// How many bytes an identity CID carries, of one that is too long for [`Cid`]. The rules for IPFS let up to 128 be read
/// (IPIP-512); nothing makes them that long, since a block is as short to name by its hash.
fn inline_bytes(text: &str) -> Option<usize> {
    let cid: CidGeneric<INLINE_BYTES_KNOWN> = text.parse().ok()?;
    (cid.hash().code() == IDENTITY).then(|| cid.hash().digest().len())
}

/// Multihash code of CIDs that carry their block within themselves.
const IDENTITY: u64 = 0;
/// Longer ones are not told from what is no CID.
const INLINE_BYTES_KNOWN: usize = 256;

/// A name is of a ledger if it ends like one, else of a key if it can be one, else of the DNS if it has a dot. What is
/// none of them is left to the ledger's rules, which say what is wrong with it.
pub(crate) fn name(text: &str, tlds: &Tlds) -> Root {
    let lower = text.to_lowercase();
    let domain = lower.strip_suffix('.').unwrap_or(&lower);
    if tlds.above(domain).is_some() {
        return Root::Name(text.to_owned());
    }
    match text.parse::<ipns::Name>() {
        Ok(name) => Root::Ipns(name),
        Err(_) if is_domain(domain) => Root::Domain(domain.to_owned()),
        Err(_) => Root::Name(text.to_owned()),
    }
}

/// Where a record points to: a root, and the path below it. None if it is no content path.
pub(crate) fn target(path: &str, tlds: &Tlds) -> Option<(Root, Vec<String>)> {
    let mut segments = path
        .strip_prefix('/')?
        .split('/')
        .filter(|segment| !segment.is_empty());
    let namespace = segments
        .next()
        .filter(|space| matches!(*space, "ipfs" | "ipns"))?;
    let root = root(namespace, segments.next()?, tlds).ok()?;
    let below: Vec<String> = segments.map(str::to_owned).collect();
    (below.len() <= SEGMENTS_MAX).then_some((root, below))
}

/// Whether `text`, in lower case, can be a domain name of at least two labels.
pub(crate) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    const KEY: &str = "k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam";
    const PEER: &str = "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d";

    fn tlds() -> Tlds {
        Tlds::new("ddn", vec!["mmt".into()])
    }

    #[test]
    fn targets() {
        let key = Root::Ipns(KEY.parse().expect("a key's name"));
        let below = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (path, expected) in [
            (
                format!("/ipfs/{CID}"),
                Some((Root::Cid(CID.parse().expect("a CID")), below(&[]))),
            ),
            (
                format!("/ipfs/{CID}/a//b c/"),
                Some((Root::Cid(CID.parse().expect("a CID")), below(&["a", "b c"]))),
            ),
            (format!("/ipns/{KEY}/x"), Some((key.clone(), below(&["x"])))),
            (format!("/ipns/{PEER}"), Some((key, below(&[])))),
            (
                "/ipns/Alice.ddn".into(),
                Some((Root::Name("Alice.ddn".into()), below(&[]))),
            ),
            (
                "/ipns/Alice.mmt.".into(),
                Some((Root::Name("Alice.mmt.".into()), below(&[]))),
            ),
            (
                "/ipns/En.Example.org.".into(),
                Some((Root::Domain("en.example.org".into()), below(&[]))),
            ),
            (
                "/ipns/nobody".into(),
                Some((Root::Name("nobody".into()), below(&[]))),
            ),
            (
                "/ipns/a b.example".into(),
                Some((Root::Name("a b.example".into()), below(&[]))),
            ),
            (format!("ipfs/{CID}"), None),
            ("/ipfs/nonsense".into(), None),
            ("/ipfs".into(), None),
            (format!("/ipld/{CID}"), None),
            (String::new(), None),
            (format!("/ipfs/{CID}{}", "/a".repeat(SEGMENTS_MAX + 1)), None),
        ] {
            assert_eq!(target(&path, &tlds()), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_safe(path in any::<String>(), tail in "(/ipfs|/ipns)/.{0,80}") {
            let _ = (target(&path, &tlds()), target(&tail, &tlds()));
        }
    }
}
