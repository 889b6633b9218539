//! What people type to open something: a name, a CID, a link that they were sent.

use cid::Cid;

use super::segments;
use crate::escape;

/// Where the form of the landing page leads.
pub(crate) const PATH: &str = "/.well-known/ddn/open";

/// The content path that `text` means, percent-encoded. A name without a dot is one below `tld`.
pub(crate) fn content_path(text: &str, tld: &str) -> Option<String> {
    let text = text.trim();
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (namespace, rest) = namespace(text);
    let (mut segments, slash) = segments(rest).ok()?;
    let first = segments.first_mut()?;
    let namespace = match namespace {
        Some(namespace) => namespace,
        None if Cid::try_from(first.as_str()).is_ok() => "ipfs",
        None => {
            if !first.contains('.') {
                *first = format!("{first}.{tld}");
            }
            "ipns"
        }
    };
    let slash = if slash || segments.len() == 1 { "/" } else { "" };
    Some(format!("/{namespace}{}{slash}", escape::path(&segments)))
}

/// The namespace, if the text says it, and what comes behind it.
fn namespace(text: &str) -> (Option<&'static str>, &str) {
    for (start, namespace) in [
        ("ipfs://", Some("ipfs")),
        ("/ipfs/", Some("ipfs")),
        ("ipns://", Some("ipns")),
        ("/ipns/", Some("ipns")),
        ("http://", None),
        ("https://", None),
    ] {
        if let Some(rest) = text.strip_prefix(start) {
            return (namespace, rest);
        }
    }
    (None, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CID: &str = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";

    #[test]
    fn what_people_type() {
        for (text, path) in [
            ("alice.ddn", "/ipns/alice.ddn/"),
            (" alice \n", "/ipns/alice.ddn/"),
            ("alice/docs/a b.html", "/ipns/alice.ddn/docs/a%20b.html"),
            ("http://alice.ddn/%C4%85?x#y", "/ipns/alice.ddn/%C4%85"),
            ("https://alice.ddn", "/ipns/alice.ddn/"),
            ("ipns://alice.ddn/docs/", "/ipns/alice.ddn/docs/"),
            ("/ipns/docs.alice.ddn", "/ipns/docs.alice.ddn/"),
            ("{cid}", "/ipfs/{cid}/"),
            ("{cid}/a/b", "/ipfs/{cid}/a/b"),
            ("ipfs://{cid}", "/ipfs/{cid}/"),
            ("/ipfs/{cid}/a", "/ipfs/{cid}/a"),
            ("ipns://{cid}", "/ipns/{cid}/"),
        ] {
            let (text, path) = (text.replace("{cid}", CID), path.replace("{cid}", CID));
            assert_eq!(content_path(&text, "ddn"), Some(path), "{text}");
        }
        for nothing in ["", " ", "/", "ipfs://", "http://", "%ff"] {
            assert_eq!(content_path(nothing, "ddn"), None, "{nothing}");
        }
    }

    proptest! {
        #[test]
        fn stays_on_the_gateway(text in any::<String>()) {
            if let Some(path) = content_path(&text, "ddn") {
                prop_assert!(path.starts_with("/ipfs/") || path.starts_with("/ipns/"));
                prop_assert!(path.is_ascii() && !path.contains("//"));
            }
        }
    }
}
