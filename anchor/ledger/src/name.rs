//! Labels and names: `docs.alice.ddn` is the label `alice` under the chain's TLD, and `docs` in its record set.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The most characters a whole name may have (RFC 1035, without the final dot).
pub(crate) const MAX_NAME: usize = 253;
/// The most characters of a label (RFC 1035).
const MAX_LABEL: usize = 63;

/// One label of a name: `[a-z0-9-]`, 1 to 63 characters, no hyphen at an edge, `--` in third place only after `xn`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// Reads a label in its ASCII form; Unicode is turned into it (IDNA) before it comes here.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match label_fault(text) {
            None => Ok(Self(text.into())),
            Some(reason) => Err(Error::Name {
                name: text.into(),
                reason: reason.into(),
            }),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// How many characters it has, 1 to 63: the rent goes by this.
    pub fn chars(&self) -> usize {
        self.0.len()
    }
}

fn label_fault(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("a label is empty");
    }
    if text.len() > MAX_LABEL {
        return Some("a label has at most 63 characters");
    }
    if !text
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Some("a label consists of a-z, 0-9 and '-'");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Some("a label does not start or end with '-'");
    }
    if text.get(2..4) == Some("--") && !text.starts_with("xn--") {
        return Some("'--' in third place is only for labels that start with 'xn--'");
    }
    None
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Label {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A name of this chain, split into the label that is registered and what is under it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePath {
    /// What stands before the label: empty for the name itself, else one or more labels joined by dots.
    pub under: String,
    /// The label that is registered on the ledger.
    pub label: Label,
}

impl NamePath {
    /// Splits a whole name such as `docs.alice.ddn`, in lower-case ASCII without a final dot.
    ///
    /// # Errors
    /// If it is not below `tld`, is the TLD itself, is too long, or one of its labels is not possible.
    pub fn parse(name: &str, tld: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Name {
            name: name.into(),
            reason,
        };
        let below = name
            .strip_suffix(tld)
            .and_then(|rest| rest.strip_suffix('.'))
            .ok_or_else(|| bad(format!("names of this chain end with '.{tld}'")))?;
        if name.len() > MAX_NAME {
            return Err(bad(format!(
                "{} characters, at most {MAX_NAME} are allowed",
                name.len()
            )));
        }
        let (under, label) = below
            .rsplit_once('.')
            .map_or((None, below), |(under, label)| (Some(under), label));
        if let Some(reason) = under.and_then(under_fault).or_else(|| label_fault(label)) {
            return Err(bad(reason.into()));
        }
        Ok(Self {
            under: under.unwrap_or_default().into(),
            label: Label(label.into()),
        })
    }

    /// The whole name under `tld`.
    pub fn display(&self, tld: &str) -> String {
        let Self { under, label } = self;
        if under.is_empty() {
            format!("{label}.{tld}")
        } else {
            format!("{under}.{label}.{tld}")
        }
    }
}

/// What is wrong with the part of a name that stands before the label; the empty one must have been sorted out.
///
/// Its labels may begin with an underscore, as those do that say what a record is about (RFC 8552): `_dmarc`,
/// `_443._tcp`. Nobody can register one.
pub(crate) fn under_fault(under: &str) -> Option<&'static str> {
    if under.len() > MAX_NAME {
        return Some("it is longer than a name may be");
    }
    under.split('.').find_map(under_label_fault)
}

fn under_label_fault(label: &str) -> Option<&'static str> {
    match label.strip_prefix('_') {
        Some(_) if label.len() > MAX_LABEL => Some("a label has at most 63 characters"),
        Some(rest) => label_fault(rest),
        None => label_fault(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in [
            "a",
            "0",
            "alice",
            "xn--bcher-kva",
            "a-b",
            "a--b",
            "abc--d",
            &"a".repeat(63),
        ] {
            assert!(Label::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a.b",
            "a_b",
            "ab--c",
            "ü",
            "a b",
            "a\0",
            &"a".repeat(64),
        ] {
            assert!(Label::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Label::parse("Alice").unwrap_err().to_string(),
            "name 'Alice': a label consists of a-z, 0-9 and '-'"
        );
    }

    #[test]
    fn names_split_at_the_label() {
        let check = |name: &str, under: &str, label: &str| {
            let path = NamePath::parse(name, "ddn").unwrap();
            assert_eq!((path.under.as_str(), path.label.as_str()), (under, label));
            assert_eq!(path.display("ddn"), name);
        };
        check("alice.ddn", "", "alice");
        check("docs.alice.ddn", "docs", "alice");
        check("a.b.alice.ddn", "a.b", "alice");
        check("_443._tcp.alice.ddn", "_443._tcp", "alice");
        check("ddn.ddn", "", "ddn");
    }

    #[test]
    fn what_is_no_name_of_the_chain_is_refused() {
        let long = format!("{}alice.ddn", "a.".repeat(130));
        for bad in [
            "ddn",
            ".ddn",
            "alice",
            "alice.com",
            "alice.ddn.",
            "..ddn",
            ".alice.ddn",
            "aliceddn",
            "",
            "_alice.ddn",
            "_.alice.ddn",
            "__a.alice.ddn",
            "a_b.alice.ddn",
            "_-a.alice.ddn",
            &format!("_{}.alice.ddn", "a".repeat(63)),
            &long,
        ] {
            assert!(NamePath::parse(bad, "ddn").is_err(), "{bad}");
        }
    }
}
