//! What content a user means: `alice.ddn/docs`, `bafy…/a.txt`, `/ipfs/bafy…`, `ipns://alice.ddn`.

use std::{fmt, str::FromStr};

use cid::Cid;

/// Content by CID or name, and a path inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the path starts.
    pub root: Root,
    /// The path, without empty segments.
    pub path: Vec<String>,
}

/// The start of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// Content that never changes.
    Cid(Cid),
    /// What a name points to now. Whether it is a name at all is the named router's to say.
    Name(String),
}

/// Why something is no target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing there.
    #[error("neither a name nor a CID, give one as in `alice.ddn/docs` or `bafy…/a.txt`")]
    Empty,
    /// `.` and `..` mean nothing in a DAG.
    #[error("`{0}` cannot be part of a path")]
    Dots(String),
    /// After /ipfs/ there must be a CID.
    #[error("`{0}` is not a CID")]
    NotCid(String),
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let prefixed = |kinds: [&str; 2]| kinds.iter().find_map(|kind| text.strip_prefix(kind));
        let (rest, only_cid) = match (prefixed(["/ipfs/", "ipfs://"]), prefixed(["/ipns/", "ipns://"])) {
            (Some(rest), _) => (rest, true),
            (_, Some(rest)) => (rest, false),
            _ => (text, false),
        };
        let mut segments = rest
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(str::to_owned);
        let first = segments.next().ok_or(TargetError::Empty)?;
        let root = match Cid::try_from(first.as_str()) {
            Ok(cid) => Root::Cid(cid),
            Err(_) if only_cid => return Err(TargetError::NotCid(first)),
            Err(_) => Root::Name(first),
        };
        let path: Vec<String> = segments.collect();
        match path.iter().find(|segment| matches!(segment.as_str(), "." | "..")) {
            Some(dots) => Err(TargetError::Dots(dots.clone())),
            None => Ok(Self { root, path }),
        }
    }
}

impl Target {
    /// The name that a copy of it has: the last segment, else the CID or name.
    pub fn file_name(&self) -> String {
        match (self.path.last(), &self.root) {
            (Some(segment), _) => segment.clone(),
            (None, root) => root.to_string(),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cid(cid) => cid.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)?;
        self.path.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CID: &str = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";

    fn check(input: &str, expected: &str, file_name: &str) {
        let target: Target = input.parse().expect(input);
        assert_eq!(
            (target.to_string().as_str(), target.file_name().as_str()),
            (expected, file_name)
        );
    }

    #[test]
    fn forms_of_a_target() {
        check("alice.ddn", "alice.ddn", "alice.ddn");
        check("alice.ddn//docs/a b.txt", "alice.ddn/docs/a b.txt", "a b.txt");
        check("ipns://alice.ddn/docs/", "alice.ddn/docs", "docs");
        check(CID, CID, CID);
        check(&format!("/ipfs/{CID}/x"), &format!("{CID}/x"), "x");
        check(&format!("ipfs://{CID}"), CID, CID);
    }

    #[test]
    fn what_is_none() {
        for (input, expected) in [
            ("", TargetError::Empty),
            ("///", TargetError::Empty),
            ("alice.ddn/../x", TargetError::Dots("..".into())),
            ("/ipfs/alice.ddn", TargetError::NotCid("alice.ddn".into())),
        ] {
            assert_eq!(input.parse::<Target>(), Err(expected));
        }
    }
}
