//! From a path on the gateway's own host to a host that the content has for itself, since a browser keeps sites apart by
//! their hosts (subdomain gateway specification).

use cid::Cid;
use cid::multibase::Base;

use super::address::{Address, Root};
use crate::escape;
use crate::problem::Problem;

/// The longest label of a host name (RFC 1035).
pub(crate) const LABEL_BYTES_MAX: usize = 63;

/// The URL of what `address` names, on a host below `gateway` (host and port). None if no host can carry the name.
pub(crate) fn url(
    address: &Address,
    gateway: &str,
    secure: bool,
    query: Option<&str>,
) -> Result<Option<String>, Problem> {
    let Some(site) = site(&address.root, secure)? else {
        return Ok(None);
    };
    let scheme = if secure { "https" } else { "http" };
    let path = escape::path(&address.segments);
    let slash = if address.slash || path.is_empty() { "/" } else { "" };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Some(format!("{scheme}://{site}.{gateway}{path}{slash}{query}")))
}

/// What stands before the gateway's host. The certificate of an encrypted host covers one label, so there every name is
/// one label.
fn site(root: &Root, secure: bool) -> Result<Option<String>, Problem> {
    Ok(match root {
        Root::Cid(cid) => Some(format!("{}.ipfs", cid_label(cid)?)),
        Root::Ipns(name) => Some(format!("{name}.ipns")),
        Root::Name(name) if !is_host(name) => None,
        Root::Name(name) if !secure => Some(name.to_ascii_lowercase()),
        Root::Name(name) | Root::Domain(name) => Some(match inlined(&name.to_ascii_lowercase()) {
            Some(label) => format!("{label}.ipns"),
            None => format!("{name}.ipns"),
        }),
    })
}

/// The CID in the form that survives in a host name, which has no upper case: version 1, base 32; base 36 if only that is
/// short enough.
pub(crate) fn cid_label(cid: &Cid) -> Result<String, Problem> {
    let cid = cid.into_v1().unwrap_or(*cid);
    let fits = |base| {
        cid.to_string_of_base(base)
            .ok()
            .filter(|label| label.len() <= LABEL_BYTES_MAX)
    };
    fits(Base::Base32Lower)
        .or_else(|| fits(Base::Base36Lower))
        .ok_or_else(too_long)
}

/// 400: no host name can carry the CID.
pub(crate) fn too_long() -> Problem {
    Problem::bad_request("CID incompatible with DNS label length limit of 63")
}

/// A name as one label: `.` is written `-`, and `-` is `--`. None if it is too long for that.
fn inlined(name: &str) -> Option<String> {
    let label = name.replace('-', "--").replace('.', "-");
    (label.len() <= LABEL_BYTES_MAX).then_some(label)
}

/// The name that a label was made of.
pub(crate) fn restored(label: &str) -> String {
    label.replace("--", "\0").replace('-', ".").replace('\0', "-")
}

/// Whether the name can stand in a host as it is; others are explained where they are looked up.
fn is_host(name: &str) -> bool {
    super::content_path::is_domain(&name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask::address::Face;
    use crate::ask::content_path;
    use proptest::prelude::*;

    const V0: &str = "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR";
    const V1: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    const PEER: &str = "12D3KooWLQzUv2FHWGVPXTXSZpdHs7oHbXub2G5WC8Tx4NQhyd2d";
    const KEY: &str = "k51qzi5uqu5dk3v4rmjber23h16xnr23bsggmqqil9z2gduiis5se8dht36dam";

    fn of(namespace: &str, text: &str, segments: &[&str], slash: bool, secure: bool) -> Option<String> {
        let address = Address {
            root: content_path::root(namespace, text, &named::dap::Tlds::of("ddn")).expect("a root"),
            root_text: text.into(),
            segments: segments.iter().map(|s| (*s).to_owned()).collect(),
            slash,
            face: Face::Path,
        };
        url(&address, "gw.example:8080", secure, None).expect("a label that fits")
    }

    #[test]
    fn table() {
        for (namespace, text, secure, site) in [
            ("ipfs", V1, false, format!("{V1}.ipfs")),
            ("ipns", PEER, true, format!("{KEY}.ipns")),
            ("ipns", "Alice.ddn", false, "alice.ddn".into()),
            ("ipns", "my-site.ddn", true, "my--site-ddn.ipns".into()),
            (
                "ipns",
                "en.my-site.example.org",
                false,
                "en-my--site-example-org.ipns".into(),
            ),
        ] {
            let scheme = if secure { "https" } else { "http" };
            let expected = format!("{scheme}://{site}.gw.example:8080/");
            assert_eq!(of(namespace, text, &[], false, secure), Some(expected), "{text}");
        }
        let first = of("ipfs", V0, &[], false, false).expect("a URL");
        assert!(first.starts_with("http://bafybei"), "{first}");
        assert_eq!(of("ipns", "Bücher.ddn", &[], false, false), None);
        let long = format!("{}.example", "a-".repeat(30));
        assert_eq!(
            of("ipns", &long, &[], false, false),
            Some(format!("http://{long}.ipns.gw.example:8080/"))
        );
    }

    #[test]
    fn the_path_stays() {
        let file = of("ipfs", V1, &["a%2C+b=c d", "é"], false, false).expect("a URL");
        assert!(file.ends_with(".gw.example:8080/a%252C+b=c%20d/%C3%A9"), "{file}");
        let folder = of("ipfs", V1, &["a"], true, false).expect("a URL");
        assert!(folder.ends_with("/a/"), "{folder}");
    }

    #[test]
    fn too_long_for_a_label() {
        let hash = cid::multihash::Multihash::wrap(0x13, &[7; 64]).expect("64 bytes");
        assert!(cid_label(&Cid::new_v1(0x55, hash)).is_err());
    }

    proptest! {
        #[test]
        fn a_label_is_the_same_name(name in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}\\.[a-z]{2,6}") {
            prop_assert_eq!(inlined(&name).map(|label| restored(&label)), Some(name));
        }
    }
}
