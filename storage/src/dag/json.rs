//! DAG-JSON, as far as a path or a walk crosses it: JSON in which `{"/": "CID"}` is a link and `{"/": {"bytes": "…"}}` is
//! a byte string in base 64.

use bytes::Bytes;
use cid::Cid;
use cid::multibase::Base;
use ipld_core::ipld::Ipld;

use crate::Error;

/// Decodes an object; nesting is bounded by the decoder.
pub(crate) fn decode(cid: &Cid, block: &Bytes) -> Result<Ipld, Error> {
    let malformed = |reason: String| Error::malformed(cid, format!("dag-json: {reason}"));
    let value = serde_json::from_slice(block).map_err(|error| malformed(error.to_string()))?;
    special(value).ok_or_else(|| malformed("a link or a byte string that is none".to_owned()))
}

/// The same value, with links and byte strings where JSON has only maps for them.
fn special(value: Ipld) -> Option<Ipld> {
    match value {
        Ipld::List(list) => list
            .into_iter()
            .map(special)
            .collect::<Option<_>>()
            .map(Ipld::List),
        Ipld::Map(mut map) if map.len() == 1 && map.contains_key(SPECIAL) => match map.remove(SPECIAL)? {
            Ipld::String(text) => Cid::try_from(text.as_str()).ok().map(Ipld::Link),
            Ipld::Map(mut inner) => match (inner.remove("bytes")?, inner.is_empty()) {
                (Ipld::String(text), true) => Base::Base64.decode(text).ok().map(Ipld::Bytes),
                _ => None,
            },
            _ => None,
        },
        Ipld::Map(map) => {
            let entries = map.into_iter().map(|(key, value)| Some((key, special(value)?)));
            entries.collect::<Option<_>>().map(Ipld::Map)
        }
        plain => Some(plain),
    }
}

/// The key that makes a map something else.
const SPECIAL: &str = "/";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CID: &str = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";

    fn decode(text: &str) -> Option<Ipld> {
        super::decode(&Cid::default(), &Bytes::copy_from_slice(text.as_bytes())).ok()
    }

    #[test]
    fn links_and_bytes_are_found() {
        let value = decode(&format!(
            r#"{{"a": [1, {{"/": "{CID}"}}], "b": {{"/": {{"bytes": "AQID"}}}}, "c": {{"/": 1, "d": null}}}}"#
        ));
        let Some(Ipld::Map(map)) = value else {
            panic!("{value:?}")
        };
        let link = Ipld::Link(CID.parse().unwrap());
        assert_eq!(map["a"], Ipld::List(vec![Ipld::Integer(1), link]));
        assert_eq!(map["b"], Ipld::Bytes(vec![1, 2, 3]));
        assert!(matches!(map["c"], Ipld::Map(_)));
    }

    #[test]
    fn what_is_malformed() {
        for text in [
            "",
            "{",
            r#"{"/": "nonsense"}"#,
            r#"{"/": 1}"#,
            r#"{"/": {"bytes": "*"}}"#,
            r#"{"/": {"bytes": "AQID", "x": 1}}"#,
            &"[".repeat(10_000),
        ] {
            assert_eq!(decode(text), None, "{text:.20}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes: Vec<u8>, text in r#"[\[{}\]",:/a1 ]{0,60}"#) {
            let _ = super::decode(&Cid::default(), &bytes.into());
            let _ = decode(&text);
        }
    }
}
