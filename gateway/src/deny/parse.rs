//! One line of a denylist, or the header before them.

use cid::Cid;
use cid::multihash::Multihash;

use crate::escape;

/// A rule as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// What it is about.
    pub item: Item,
    /// It takes back what rules before it denied.
    pub allows: bool,
    /// The status of the answer, if the line says one.
    pub status: Option<Status>,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A path, decoded, without slashes at its ends; the root alone has an empty one.
    Path { root: Root, path: String },
    /// Every path that begins like this, the root included if it is empty.
    Prefix { root: Root, path: String },
    /// The hash of a content path, by the rules for multihashes.
    Hashed(Hashed),
    /// The sha2-256 of `CID/PATH`, by the older rules.
    Legacy([u8; 32]),
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Root {
    /// Content, by its multihash: the codec does not matter.
    Content(Vec<u8>),
    /// A name that is a key.
    Key(Vec<u8>),
    /// Any other name, in lower case.
    Name(String),
}

/// A hash of what is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashed {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
    Blake3([u8; 32]),
}

/// The status with which something is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    /// 410: it is not served any more.
    #[default]
    Gone,
    /// 451: it must not be served.
    Unlawful,
}

impl Rule {
    /// Reads a line; `Ok(None)` if it is empty or a comment.
    ///
    /// # Errors
    /// What is wrong with it, in a few words.
    pub(crate) fn parse(line: &str) -> Result<Option<Rule>, &'static str> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let mut words = line.split_ascii_whitespace();
        let text = words.next().unwrap_or_default();
        let (allows, text) = match text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, text),
        };
        Ok(Some(Rule {
            item: item(text)?,
            allows,
            status: words
                .filter_map(|hint| hint.split_once(':'))
                .rev()
                .find_map(status),
        }))
    }
}

fn item(text: &str) -> Result<Item, &'static str> {
    if let Some(hash) = text.strip_prefix("//") {
        return hashed(hash);
    }
    let content = text.strip_prefix("/ipfs/");
    let named = text.strip_prefix("/ipns/");
    let rest = content
        .or(named)
        .ok_or("a rule begins with /ipfs/, /ipns/ or //")?;
    let (root, path) = rest.split_once('/').unwrap_or((rest, ""));
    let root = match content {
        Some(_) => Root::Content(multihash(root).ok_or("after /ipfs/ comes a CID")?),
        None => Root::named(root).ok_or("after /ipns/ comes a name or a key")?,
    };
    let (path, is_prefix) = match path.strip_suffix('*') {
        Some(path) => (path.strip_suffix('/').unwrap_or(path), true),
        None => (path, false),
    };
    let path = escape::unescape(path.trim_matches('/')).ok_or("the path is not UTF-8")?;
    Ok(match is_prefix {
        true => Item::Prefix { root, path },
        false => Item::Path { root, path },
    })
}

impl Root {
    /// The root of a path below `/ipns/`; None for an empty text.
    pub(crate) fn named(text: &str) -> Option<Root> {
        match multihash(text) {
            Some(hash) => Some(Root::Key(hash)),
            None if text.is_empty() => None,
            None => Some(Root::Name(text.trim_end_matches('.').to_lowercase())),
        }
    }
}

/// The multihash of a CID, or one that is written alone.
fn multihash(text: &str) -> Option<Vec<u8>> {
    if let Ok(cid) = Cid::try_from(text) {
        return Some(cid.hash().to_bytes());
    }
    let bytes = cid::multibase::Base::Base58Btc.decode(text).ok()?;
    Some(Multihash::<64>::from_bytes(&bytes).ok()?.to_bytes())
}

fn hashed(text: &str) -> Result<Item, &'static str> {
    if let Some(hash) = hex(text) {
        return Ok(Item::Legacy(hash));
    }
    let bytes = cid::multibase::Base::Base58Btc.decode(text);
    let hash = bytes
        .ok()
        .and_then(|bytes| Multihash::<64>::from_bytes(&bytes).ok());
    let hash = hash.ok_or("after // comes a multihash, or a sha2-256 in hexadecimal digits")?;
    match (hash.code(), hash.digest()) {
        (SHA2_256, digest) => digest.try_into().map(Hashed::Sha256).ok(),
        (SHA2_512, digest) => digest.try_into().map(Hashed::Sha512).ok(),
        (BLAKE3, digest) => digest.try_into().map(Hashed::Blake3).ok(),
        _ => None,
    }
    .map(Item::Hashed)
    .ok_or("of hashed rules, those by sha2-256, sha2-512 and blake3 with 32 bytes are understood")
}

/// 64 hexadecimal digits.
fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

/// The status that a hint asks for: `gateway_status:451`.
fn status((key, value): (&str, &str)) -> Option<Status> {
    match (key.trim(), value.trim()) {
        ("gateway_status", "410") => Some(Status::Gone),
        ("gateway_status", "451") => Some(Status::Unlawful),
        _ => None,
    }
}

/// What a list says of itself before its rules, as far as it matters: the status for all of them.
///
/// The header is YAML; read is the part that lists have: `key: value`, and the indented lines below `hints:`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn header(text: &str) -> Result<Status, &'static str> {
    let (mut default, mut section) = (Status::default(), "");
    for line in text.lines() {
        let bare = line.trim_end();
        if bare.is_empty() || bare.trim_start().starts_with('#') {
            continue;
        }
        let is_below = bare.starts_with([' ', '\t', '-']);
        let pair = bare.split_once(':');
        match (is_below, pair) {
            (true, Some(pair)) if section == "hints" => default = status(pair).unwrap_or(default),
            (true, _) => {}
            (false, Some((key, value))) => {
                section = key;
                let version = value.trim().trim_matches(['"', '\'']);
                if key == "version" && !version.is_empty() && version != "1" {
                    return Err("it has a version other than 1");
                }
            }
            (false, None) => return Err("its header is no YAML"),
        }
    }
    Ok(default)
}

const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;
const BLAKE3: u64 = 0x1e;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const V0: &str = "QmecDgNqCRirkc3Cjz9eoRBNwXGckJ9WvTdmY16HP88768";
    const V1: &str = "bafybeihrw75yfhdx5qsqgesdnxejtjybscwuclpusvxkuttep6h7pkgmze";
    const KEY: &str = "k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf";

    fn rule(line: &str) -> Rule {
        Rule::parse(line).unwrap().unwrap()
    }

    fn content() -> Root {
        Root::Content(multihash(V1).unwrap())
    }

    #[test]
    fn paths() {
        let path = |path: &str| Item::Path {
            root: content(),
            path: path.into(),
        };
        let prefix = |path: &str| Item::Prefix {
            root: content(),
            path: path.into(),
        };
        for (text, expected) in [
            (format!("/ipfs/{V0}"), path("")),
            (format!("/ipfs/{V1}"), path("")),
            (format!("/ipfs/{V1}/"), path("")),
            (format!("  /ipfs/{V0}/a/b/  "), path("a/b")),
            (format!("/ipfs/{V0}/a%20b%2C"), path("a b,")),
            (format!("/ipfs/{V0}/*"), prefix("")),
            (format!("/ipfs/{V0}/test*"), prefix("test")),
            (format!("/ipfs/{V0}/test/*"), prefix("test")),
            (format!("/ipfs/{V0}/a/b*"), prefix("a/b")),
        ] {
            assert_eq!(rule(&text).item, expected, "{text}");
        }
    }

    #[test]
    fn names_and_keys() {
        let named = |text: &str| match rule(text).item {
            Item::Path { root, path } => (root, path),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            named("/ipns/Domain.example"),
            (Root::Name("domain.example".into()), String::new())
        );
        assert_eq!(
            named("/ipns/domain.example./path"),
            (Root::Name("domain.example".into()), "path".into())
        );
        let (key, _) = named(&format!("/ipns/{KEY}"));
        assert!(matches!(key, Root::Key(_)));
        let id = Cid::try_from(KEY).unwrap().hash().to_bytes();
        let written = cid::multibase::Base::Base58Btc.encode(id);
        assert_eq!(
            named(&format!("/ipns/{written}")).0,
            key,
            "the same key in base 58"
        );
    }

    #[test]
    fn hashes() {
        assert!(matches!(
            rule("//QmX9dhRcQcKUw3Ws8485T5a9dtjrSCQaUAHnG4iK9i4ceM").item,
            Item::Hashed(Hashed::Sha256(_))
        ));
        // The example of the specification.
        assert!(matches!(
            rule("//gW813G35CnLsy7gRYYHuf63hrz71U1xoLFDVeV7actx6oX").item,
            Item::Hashed(Hashed::Blake3(_))
        ));
        let legacy = "d9d295bde21f422d471a90f2a37ec53049fdf3e5fa3ee2e8f20e10003da429e7";
        assert!(
            matches!(rule(&format!("//{legacy}")).item, Item::Legacy(hash) if hash[0] == 0xd9 && hash[31] == 0xe7)
        );
    }

    #[test]
    fn hints_and_exceptions() {
        let line = |rest: &str| rule(&format!("/ipfs/{V0}{rest}"));
        assert_eq!(line(" gateway_status:451").status, Some(Status::Unlawful));
        assert_eq!(
            line(" a:b gateway_status:451 gateway_status:410 c").status,
            Some(Status::Gone)
        );
        assert_eq!(line(" gateway_status:200").status, None);
        assert!(rule(&format!("!/ipfs/{V0}")).allows && !line("").allows);
    }

    #[test]
    fn lines_that_say_nothing_or_nothing_that_can_be_understood() {
        for line in ["", "   ", "# /ipfs/x", "\t"] {
            assert_eq!(Rule::parse(line), Ok(None), "{line:?}");
        }
        for line in [
            "/ipfs/",
            "/ipfs/nonsense",
            "/ipns/",
            "/mime/text",
            "QmecDgNqCRirkc3Cjz9eoRBNwXGckJ9WvTdmY16HP88768",
            "//",
            "//nonsense0",
        ] {
            assert!(Rule::parse(line).is_err(), "{line}");
        }
        assert!(Rule::parse(&format!("/ipfs/{V0}/%ff")).is_err());
    }

    #[test]
    fn headers() {
        for (text, expected) in [
            ("", Ok(Status::Gone)),
            (
                "version: 1\nname: x: y\n# c\n\ndescription:\n  more\n  - of it\n",
                Ok(Status::Gone),
            ),
            (
                "hints:\n  gateway_status: 451\n  other: 410\n",
                Ok(Status::Unlawful),
            ),
            (
                "hints:\n  a: b\nauthor:\n  gateway_status: 451\n",
                Ok(Status::Gone),
            ),
            ("version: 2", Err("it has a version other than 1")),
            ("no yaml", Err("its header is no YAML")),
        ] {
            assert_eq!(header(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_safe(line in any::<String>()) {
            let _ = Rule::parse(&line);
            let _ = Rule::parse(&format!("/ipfs/{V0}/{line}"));
            let _ = Rule::parse(&format!("//{line}"));
            let _ = header(&line);
        }
    }
}
