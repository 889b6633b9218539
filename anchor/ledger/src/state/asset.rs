//! What the state holds about assets: who owns content, since when, what its owner says about it, and who has a licence.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::is_zero;
use crate::amount::Amount;
use crate::error::Error;
use crate::keys::Address;
use crate::payment::Split;

/// What an owner says about an asset; the ledger does not check it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetMeta {
    /// The import profile that makes this CID from the files, at most 32 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// A title, at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Bytes of all files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// What it is found by, each once, in the order of their bytes; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What a licence allows: an SPDX identifier or other words, 1 to 64 bytes without control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// What a licence costs; absent if none is sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
}

impl AssetMeta {
    /// The most tags of an asset.
    pub const TAGS_MAX: usize = 16;

    /// Checks every bound.
    ///
    /// # Errors
    /// A text that is too long or has control characters, an empty licence, too many tags, or tags out of order.
    pub fn check(&self) -> Result<(), Error> {
        for (field, text, max) in [
            ("profile", &self.profile, 32),
            ("title", &self.title, 128),
            ("licence", &self.licence, 64),
        ] {
            let Some(text) = text else { continue };
            if text.len() > max {
                return Err(bad(format!(
                    "asset {field}: {} bytes, at most {max} are allowed",
                    text.len()
                )));
            }
            if text.chars().any(char::is_control) {
                return Err(bad(format!("asset {field}: control characters are not allowed")));
            }
        }
        if self.licence.as_ref().is_some_and(String::is_empty) {
            return Err(bad("asset licence: it is empty, leave it out".into()));
        }
        self.check_tags()
    }

    fn check_tags(&self) -> Result<(), Error> {
        let (count, max) = (self.tags.len(), Self::TAGS_MAX);
        if count > max {
            return Err(bad(format!("asset tags: {count}, at most {max} are allowed")));
        }
        if !self.tags.is_sorted_by(|a, b| a < b) {
            let reason = "asset tags: list each once, in the order of their bytes";
            return Err(bad(reason.into()));
        }
        Ok(())
    }
}

fn bad(reason: String) -> Error {
    Error::Records { reason }
}

/// A word that assets are found by: 1 to 32 characters of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The most characters.
    pub const CHARS_MAX: usize = 32;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=Self::CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text.into()));
        }
        let max = Self::CHARS_MAX;
        Err(bad(format!(
            "asset tag '{text}': write 1 to {max} characters of a-z, 0-9 and '-'"
        )))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Tag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// That an asset has a tag: an entry of the index. All that there is to know is in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tagged {}

/// A licence that an account has bought. It stays, whoever owns the asset later and whatever is sold then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// The height at which it was bought.
    pub height: u64,
    /// What was paid for it.
    pub price: Amount,
    /// What the owner said then that it allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// Who owned an asset from a height on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ownership {
    /// From this height on.
    pub height: u64,
    /// This account.
    pub owner: Address,
}

/// An anchored asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asset {
    /// Who owns it.
    pub owner: Address,
    /// The height at which it was anchored.
    pub anchored: u64,
    /// The height of the commit that it was anchored by; as in [`crate::NameEntry::committed`].
    pub committed: u64,
    /// What its owner says about it.
    pub meta: AssetMeta,
    /// Who else gets a part of what deliveries of it earn.
    #[serde(default, skip_serializing_if = "Split::is_empty")]
    pub split: Split,
    /// The first owner, then the later ones, oldest first; at most 64.
    pub history: Vec<Ownership>,
    /// How many owners were dropped from the history between the first and the second that it lists.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// The height at which its owner withdrew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tombstone: Option<u64>,
}

impl Asset {
    /// The most owners that a history lists.
    pub const MAX_HISTORY: usize = 64;

    /// The tags that it is found by: none once it is withdrawn.
    pub fn indexed_tags(&self) -> &[Tag] {
        match self.tombstone {
            None => &self.meta.tags,
            Some(_) => &[],
        }
    }

    /// Adds an owner; the first one is always kept.
    pub(crate) fn push_owner(&mut self, height: u64, owner: Address) {
        if self.history.len() == Self::MAX_HISTORY {
            self.history.remove(1);
            self.dropped += 1;
        }
        self.history.push(Ownership { height, owner });
        self.owner = owner;
    }
}
