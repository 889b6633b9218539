//! What the state holds about assets: who owns content, since when, and what its owner says about it.

use serde::{Deserialize, Serialize};

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
}

impl AssetMeta {
    /// Checks every bound.
    pub fn check(&self) -> Result<(), Error> {
        for (field, text, max) in [("profile", &self.profile, 32), ("title", &self.title, 128)] {
            let Some(text) = text else { continue };
            if text.len() > max {
                let reason = format!("asset {field}: {} bytes, at most {max} are allowed", text.len());
                return Err(Error::Records { reason });
            }
            if text.chars().any(char::is_control) {
                let reason = format!("asset {field}: control characters are not allowed");
                return Err(Error::Records { reason });
            }
        }
        Ok(())
    }
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
    /// The height of the commit that it was anchored by; as in [`NameEntry::committed`].
    pub committed: u64,
    /// What its owner said when anchoring it.
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

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Asset {
    /// The most owners that a history lists.
    pub const MAX_HISTORY: usize = 64;

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
