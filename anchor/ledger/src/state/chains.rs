//! What the state holds about other chains: how far each is followed, and which of its headers are anchored.

use serde::{Deserialize, Serialize};

use crate::codec::Link;
use crate::hash::Hash;
use crate::keys::Address;
use crate::light::Checkpoint;
use crate::name::Label;
use crate::validators::ValidatorSet;

/// A chain that this ledger follows as a light client.
///
/// What it was registered with is the word of who registered it: the ledger cannot know whether another chain's genesis is
/// the one that people mean. Who comes first holds the TLD, and pays for that; from then on nobody can lie about what follows
/// from that checkpoint, not even who registered it, without more than two thirds of its validators. That holds while its
/// headers are anchored more often than those validators' coins become free ([`Checkpoint::unbonding_ms`]): this ledger has no
/// clock to notice that one was forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainEntry {
    /// Who registered it. This gives no rights.
    pub owner: Address,
    /// What its names end with.
    pub tld: Label,
    /// What its addresses start with.
    pub prefix: String,
    /// The height of this ledger at which it was registered.
    pub registered: u64,
    /// The newest that is known of it.
    pub checkpoint: Checkpoint,
    /// Who voted before the last change of its validators: two headers of their heights can still be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ValidatorSet>,
    /// Its heights that are anchored, ascending; the newest [`ChainEntry::ANCHORS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<u64>,
    /// Its height at which its validators have signed two headers: nothing is anchored any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked: Option<u64>,
}

impl ChainEntry {
    /// The most headers of a chain that are kept: a day's, if one is anchored every half hour.
    pub const ANCHORS_MAX: usize = 48;
}

/// A header of another chain that its validators have signed. It says all that a proof through this ledger needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchored {
    /// The other chain's id.
    pub chain: String,
    /// The CID of its genesis, as it was registered.
    pub genesis: Link,
    /// What its names end with.
    pub tld: Label,
    /// Its height.
    pub height: u64,
    /// [`crate::Header::id`].
    pub header: Hash,
    /// The root of its state after that block.
    pub state_root: Hash,
    /// When the block was made, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
    /// [`ValidatorSet::hash`] of those who have signed it.
    pub validators: Hash,
    /// The height of this ledger at which it was anchored.
    pub at: u64,
}
