//! The rules of all lists, so that finding those that fit takes no longer for longer lists.

use std::collections::HashMap;
use std::hash::Hash;

use cid::multibase::Base;
use cid::{Cid, Version};
use http::StatusCode;
use sha2::{Digest, Sha256, Sha512};

use super::parse::{Hashed, Item, Root, Rule, Status};
use crate::escape;

/// Something is not served, and how that is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a denylist names it")]
pub(crate) struct Denied(Status);

impl Denied {
    /// 410 or 451.
    pub(crate) fn status(self) -> StatusCode {
        match self.0 {
            Status::Gone => StatusCode::GONE,
            Status::Unlawful => StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS,
        }
    }
}

/// What a rule says, and its place among all rules.
#[derive(Clone, Copy, Debug)]
struct Verdict {
    order: u32,
    allows: bool,
    status: Status,
}

#[derive(Clone, Debug)]
struct PathRule {
    path: Box<str>,
    is_prefix: bool,
    verdict: Verdict,
}

/// All rules of all lists.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    paths: HashMap<Root, Vec<PathRule>>,
    sha256: HashMap<[u8; 32], Verdict>,
    sha512: HashMap<[u8; 64], Verdict>,
    blake3: HashMap<[u8; 32], Verdict>,
    legacy: HashMap<[u8; 32], Verdict>,
    count: u32,
}

impl Rules {
    /// Adds a rule after all others. `default` is the status that its list has for all rules.
    pub(crate) fn add(&mut self, rule: Rule, default: Status) {
        let verdict = Verdict {
            order: self.count,
            allows: rule.allows,
            status: rule.status.unwrap_or(default),
        };
        self.count = self.count.saturating_add(1);
        match rule.item {
            Item::Path { root, path } => self.add_path(root, &path, false, verdict),
            Item::Prefix { root, path } => self.add_path(root, &path, true, verdict),
            Item::Hashed(Hashed::Sha256(hash)) => _ = self.sha256.insert(hash, verdict),
            Item::Hashed(Hashed::Sha512(hash)) => _ = self.sha512.insert(hash, verdict),
            Item::Hashed(Hashed::Blake3(hash)) => _ = self.blake3.insert(hash, verdict),
            Item::Legacy(hash) => _ = self.legacy.insert(hash, verdict),
        }
    }

    fn add_path(&mut self, root: Root, path: &str, is_prefix: bool, verdict: Verdict) {
        self.paths.entry(root).or_default().push(PathRule {
            path: path.into(),
            is_prefix,
            verdict,
        });
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether a block, or a path that begins at it, is denied. `path` is decoded, without slashes at its ends.
    pub(crate) fn content(&self, cid: &Cid, path: &str) -> Option<Denied> {
        if self.count == 0 {
            return None;
        }
        let hash = cid.hash().to_bytes();
        let written = || Base::Base58Btc.encode(&hash);
        let legacy = || format!("{}/", in_base32(cid));
        let by_path = self.by_path(&Root::Content(hash.clone()), path);
        judged([by_path, self.by_hash(written, legacy, path)])
    }

    /// Whether a name, or a path that begins at it, is denied.
    pub(crate) fn name(&self, name: &str, path: &str) -> Option<Denied> {
        let root = Root::named(name).filter(|_| self.count > 0)?;
        let by_path = self.by_path(&root, path);
        let by_hash = match &root {
            Root::Key(hash) => {
                let key = Cid::try_from(name).map(|cid| in_base32(&cid));
                let legacy = || format!("{}/", key.as_deref().unwrap_or(name));
                self.by_hash(|| Base::Base58Btc.encode(hash), legacy, path)
            }
            Root::Name(name) => self.by_hash(|| format!("/ipns/{name}"), || format!("{name}/"), path),
            Root::Content(_) => None,
        };
        judged([by_path, by_hash])
    }

    fn by_path(&self, root: &Root, path: &str) -> Option<Verdict> {
        let fits = |rule: &&PathRule| match rule.is_prefix {
            true => path.starts_with(&*rule.path),
            false => path == &*rule.path,
        };
        let rules = self.paths.get(root)?.iter().filter(fits);
        rules.map(|rule| rule.verdict).max_by_key(|verdict| verdict.order)
    }

    /// The rule that names the hash of `root` (or `legacy_root`, which ends with a slash) and `path`. Whether the path was
    /// decoded before it was hashed is not said anywhere, so both count.
    fn by_hash(
        &self,
        root: impl Fn() -> String,
        legacy_root: impl Fn() -> String,
        path: &str,
    ) -> Option<Verdict> {
        let is_hashed = !self.sha256.is_empty() || !self.sha512.is_empty() || !self.blake3.is_empty();
        let is_legacy = !self.legacy.is_empty();
        if !is_hashed && !is_legacy {
            return None;
        }
        let encoded = path.split('/').map(escape::segment).collect::<Vec<_>>().join("/");
        let mut found = None;
        for path in [path, &encoded] {
            if is_hashed {
                let text = [root().as_str(), if path.is_empty() { "" } else { "/" }, path].concat();
                found = latest(found, look_up(&self.sha256, || Sha256::digest(&text).into()));
                found = latest(found, look_up(&self.sha512, || Sha512::digest(&text).into()));
                found = latest(
                    found,
                    look_up(&self.blake3, || blake3::hash(text.as_bytes()).into()),
                );
            }
            if is_legacy {
                let hash = || Sha256::digest([&legacy_root(), path].concat()).into();
                found = latest(found, look_up(&self.legacy, hash));
            }
            if encoded == path {
                break;
            }
        }
        found
    }
}

fn look_up<K: Hash + Eq>(rules: &HashMap<K, Verdict>, key: impl FnOnce() -> K) -> Option<Verdict> {
    (!rules.is_empty()).then(|| rules.get(&key()).copied()).flatten()
}

fn latest(one: Option<Verdict>, other: Option<Verdict>) -> Option<Verdict> {
    one.into_iter().chain(other).max_by_key(|verdict| verdict.order)
}

fn judged(found: [Option<Verdict>; 2]) -> Option<Denied> {
    let [one, other] = found;
    let verdict = latest(one, other)?;
    (!verdict.allows).then_some(Denied(verdict.status))
}

fn in_base32(cid: &Cid) -> String {
    let cid = match cid.version() {
        Version::V0 => Cid::new_v1(cid.codec(), *cid.hash()),
        Version::V1 => *cid,
    };
    cid.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2";
    const B: &str = "QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK";
    const C: &str = "bafybeihvvulpp4evxj7x7armbqcyg6uezzuig6jp3lktpbovlqfkuqeuoq";
    const LEGACY: &str = "bafybeiefwqslmf6zyyrxodaxx4vwqircuxpza5ri45ws3y5a62ypxti42e";
    const HASHED: &str = "QmVTF1yEejXd9iMgoRTFDxBv7HAz9kuZcQNBzHrceuK9HR";

    fn rules(text: &str) -> Rules {
        let mut rules = Rules::default();
        for line in text.lines() {
            if let Some(rule) = Rule::parse(line).unwrap() {
                rules.add(rule, Status::Gone);
            }
        }
        rules
    }

    fn is_denied(rules: &Rules, root: &str, path: &str) -> bool {
        let cid = Cid::try_from(root).unwrap();
        let denied = rules.content(&cid, path).is_some();
        let other = match cid.version() {
            Version::V0 => Cid::new_v1(0x55, *cid.hash()),
            Version::V1 => Cid::new_v0(*cid.hash()).unwrap_or(cid),
        };
        if rules.legacy.is_empty() {
            assert_eq!(
                rules.content(&other, path).is_some(),
                denied,
                "codec and version do not matter"
            );
        }
        denied
    }

    #[test]
    fn content_and_paths() {
        let rules = rules(&format!(
            "/ipfs/{C}\n/ipfs/{A}/test*\n/ipfs/{B}/blocked*\n!/ipfs/{B}/blockednot\n!/ipfs/{B}/blocked/not\n\
             !/ipfs/{B}/blocked/exceptions*\n/ipfs/{B}/exact/path\n"
        ));
        for (root, path, denied) in [
            (C, "", true),
            (C, "any", false),
            (A, "", false),
            (A, "test", true),
            (A, "testing/more", true),
            (A, "tes", false),
            (A, "other", false),
            (B, "blocked", true),
            (B, "blocked/yes", true),
            (B, "blockednot", false),
            (B, "blocked/not", false),
            (B, "blocked/not/below", true),
            (B, "blocked/exceptions1", false),
            (B, "exact/path", true),
            (B, "exact", false),
            (B, "exact/path/below", false),
        ] {
            assert_eq!(is_denied(&rules, root, path), denied, "{root}/{path}");
        }
    }

    #[test]
    fn the_whole_tree() {
        let rules = rules(&format!("/ipfs/{A}/*"));
        assert!(is_denied(&rules, A, "") && is_denied(&rules, A, "x/y"));
        assert!(!is_denied(&rules, B, ""));
    }

    #[test]
    fn the_last_rule_counts() {
        let after = format!("!/ipfs/{A}\n/ipfs/{A}");
        let before = format!("/ipfs/{A} gateway_status:451\n!/ipfs/{A}");
        assert!(is_denied(&rules(&after), A, ""));
        assert!(!is_denied(&rules(&before), A, ""));
        let hash = cid_hash(A);
        assert!(!is_denied(&rules(&format!("//{hash}\n!/ipfs/{A}")), A, ""));
        assert!(is_denied(&rules(&format!("!/ipfs/{A}\n//{hash}")), A, ""));
    }

    fn cid_hash(text: &str) -> String {
        let hash: [u8; 32] = Sha256::digest(text).into();
        Base::Base58Btc.encode([&[0x12, 0x20][..], &hash].concat())
    }

    #[test]
    fn hashes_of_what_is_denied() {
        // Both are examples of the specification.
        let rules = rules(
            "//QmX9dhRcQcKUw3Ws8485T5a9dtjrSCQaUAHnG4iK9i4ceM\n\
             //d9d295bde21f422d471a90f2a37ec53049fdf3e5fa3ee2e8f20e10003da429e7\n\
             //3f8b9febd851873b3774b937cce126910699ceac56e72e64b866f8e258d09572\n\
             //c555c4de78827ba42527dd3dc5398db38d6c0a8c345a88e0158b2d100f317e50\n",
        );
        for (root, path, denied) in [
            (HASHED, "", true),
            (
                "bafybeidjwik6im54nrpfg7osdvmx7zojl5oaxqel5cmsz46iuelwf5acja",
                "",
                true,
            ),
            (HASHED, "x", false),
            (LEGACY, "", true),
            (LEGACY, "path", true),
            (LEGACY, "path2", false),
            (A, "", false),
        ] {
            assert_eq!(is_denied(&rules, root, path), denied, "{root}/{path}");
        }
        assert!(rules.name("bad-domain-name.tld", "").is_some());
        assert!(rules.name("bad-domain-name.tld", "x").is_none());
    }

    #[test]
    fn hashes_by_blake3() {
        // An example of the specification, with the ways in which it writes what is denied.
        let rules = rules("//gW813G35CnLsy7gRYYHuf63hrz71U1xoLFDVeV7actx6oX\n");
        for root in [
            "bafyb4ieqht3b2rssdmc7sjv2cy2gfdilxkfh7623nvndziyqnawkmo266a",
            "f01701e20903cf61d46521b05f926ba1634628d0bba8a7ffb5b6d5a3ca310682ca63b5ef0",
        ] {
            assert!(is_denied(&rules, root, "path"), "{root}");
            assert!(
                !is_denied(&rules, root, "") && !is_denied(&rules, root, "path2"),
                "{root}"
            );
        }
        assert!(!is_denied(&rules, A, "path"));
    }

    #[test]
    fn hashes_of_paths_and_names() {
        let lines = [
            format!("{A}/a b"),
            format!("{B}/a%20b"),
            "/ipns/alice.ddn".into(),
            "/ipns/bob.ddn/x".into(),
        ];
        let list: String = lines
            .iter()
            .map(|text| format!("//{}\n", cid_hash(text)))
            .collect();
        let rules = rules(&list);
        assert!(is_denied(&rules, A, "a b") && is_denied(&rules, B, "a b"));
        assert!(rules.name("Alice.ddn", "").is_some() && rules.name("alice.ddn", "x").is_none());
        assert!(rules.name("bob.ddn", "x").is_some() && rules.name("bob.ddn", "").is_none());
    }

    #[test]
    fn names() {
        let key = "k51qzi5uqu5dhmzyv3zac033i7rl9hkgczxyl81lwoukda2htteop7d3x0y1mf";
        let rules = rules(&format!(
            "/ipns/alice.ddn gateway_status:451\n/ipns/bob.ddn/x*\n/ipns/{key}\n"
        ));
        let denied = rules.name("ALICE.ddn.", "").map(Denied::status);
        assert_eq!(denied, Some(StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS));
        assert!(rules.name("bob.ddn", "").is_none());
        assert_eq!(
            rules.name("bob.ddn", "xy/z").map(Denied::status),
            Some(StatusCode::GONE)
        );
        let hash = Cid::try_from(key).unwrap().hash().to_bytes();
        for written in [key.to_owned(), Base::Base58Btc.encode(hash)] {
            assert!(rules.name(&written, "").is_some(), "{written}");
        }
        assert!(rules.name("", "").is_none());
    }
}
