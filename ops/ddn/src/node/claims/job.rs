//! A job: content that is to be owned, a name that is to be held, on the way from the wish to the ledger.
//!
//! A job is a file in the data folder from before its first transaction leaves until its end. It holds the secrets of
//! its claims, and each transaction before it is submitted, so that a restart at any point goes on with the same ones.

use std::collections::BTreeMap;

use ledger::{Address, AssetMeta, Hash, Label, Link, NameEntry, NamePath, Records, Split, Tx};
use serde::{Deserialize, Serialize};

/// The layout of the job file.
pub const FORMAT: u32 = 1;
/// How often a track may send before it gives up: a transaction is sent anew only when an earlier one was lost or
/// overtaken, which is rare, so more than this is a fault and not bad luck.
pub const SENDS_MAX: u32 = 64;

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// [`FORMAT`].
    pub format: u32,
    /// Sorts by time, and is unique.
    pub id: String,
    /// When it began, in milliseconds since 1970.
    pub started_ms: u64,
    /// The wallet that pays and owns.
    pub wallet: String,
    /// Its address.
    pub owner: Address,
    /// What is to be done.
    pub work: Work,
}

/// What a job does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Content is arriving; nothing was sent. After a restart there is nothing to go on with.
    Storing {
        /// The name that it is for.
        name: Option<String>,
    },
    /// It failed; its content is being removed.
    Removing {
        /// The name that it was for.
        name: Option<String>,
        /// The content's root.
        root: Link,
    },
    /// Claims are on their way.
    Claiming {
        /// The content that was stored for it; none if only a name is registered.
        content: Option<Box<Content>>,
        /// The ownership of that content.
        asset: Option<Track>,
        /// The name.
        name: Option<Box<Naming>>,
    },
}

/// Content that is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Its root.
    pub root: Link,
    /// What is said of it when it is anchored.
    pub meta: AssetMeta,
    /// Who gets a part of what its deliveries earn.
    #[serde(default, skip_serializing_if = "Split::is_empty")]
    pub split: Split,
}

/// A name and what it shall say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    /// The whole name, such as `docs.alice.ddn`.
    pub name: String,
    /// The label that is registered.
    pub label: Label,
    /// What stands before it.
    pub under: String,
    /// What it shall say.
    pub wish: Wish,
    /// How far it is.
    pub track: Track,
}

/// What a name shall say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// Point to this content; other records stay, but for a CNAME, which excludes it. The name may be ours already.
    Content(Link),
    /// Exactly these records, on a name that is not registered.
    New(Box<Records>),
}

/// How far one claim is. Each state keeps what it sent last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Track {
    /// The commit is to be sent, or is on its way.
    Commit {
        /// The secret of commit and claim.
        secret: Hash,
        /// What was sent.
        sent: Sent,
    },
    /// The commit is final; the claim is to be sent, or is on its way.
    Claim {
        /// The secret of commit and claim.
        secret: Hash,
        /// The commit.
        commit: Option<Link>,
        /// What was sent.
        sent: Sent,
    },
    /// The name is ours; its records are to be set, or that is on its way.
    Set {
        /// What was sent.
        sent: Sent,
    },
    /// It is as it should be.
    Done {
        /// The commit, if it took one.
        commit: Option<Link>,
        /// The transaction that did it; none if nothing had to be done.
        tx: Option<Link>,
        /// Height of its block, or of the tip if there was nothing to do.
        height: u64,
        /// Something to know.
        note: Option<String>,
    },
}

/// The transaction of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// The transaction, written down before it was submitted.
    pub tx: Option<Box<Tx>>,
    /// How many there were so far.
    pub times: u32,
}

impl Job {
    /// The name, if there is one.
    pub fn name(&self) -> Option<&str> {
        match &self.work {
            Work::Storing { name } | Work::Removing { name, .. } => name.as_deref(),
            Work::Claiming { name, .. } => name.as_ref().map(|naming| naming.name.as_str()),
        }
    }

    /// The content, if it is stored.
    pub fn content(&self) -> Option<&Content> {
        match &self.work {
            Work::Storing { .. } | Work::Removing { .. } => None,
            Work::Claiming { content, .. } => content.as_deref(),
        }
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        match &self.work {
            Work::Storing { .. } | Work::Removing { .. } => false,
            Work::Claiming { asset, name, .. } => {
                asset.as_ref().is_none_or(Track::is_done)
                    && name.as_ref().is_none_or(|name| name.track.is_done())
            }
        }
    }
}

impl Naming {
    /// A name that is to be had. `secret` is new.
    pub fn new(path: NamePath, tld: &str, wish: Wish, secret: Hash) -> Self {
        let track = Track::begin(secret);
        Self {
            name: path.display(tld),
            label: path.label,
            under: path.under,
            wish,
            track,
        }
    }

    /// The records that the name shall have, given those that its owner has set so far.
    pub fn records(&self, held: &BTreeMap<String, Records>) -> Records {
        match &self.wish {
            Wish::New(records) => Records::clone(records),
            Wish::Content(root) => {
                let held = held.get(&self.under).cloned().unwrap_or_default();
                Records {
                    content: Some(*root),
                    cname: None,
                    ..held
                }
            }
        }
    }

    /// Whether an entry says what it shall say.
    pub fn is_met_by(&self, entry: &NameEntry) -> bool {
        entry.records.get(&self.under).cloned().unwrap_or_default() == self.records(&entry.records)
    }
}

impl Track {
    /// A claim that is to be made with a new secret.
    pub fn begin(secret: Hash) -> Self {
        Self::Commit {
            secret,
            sent: Sent::default(),
        }
    }

    /// Whether it is as it should be.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done { .. })
    }

    /// What was sent last.
    pub fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Commit { sent, .. } | Self::Claim { sent, .. } | Self::Set { sent } => Some(sent),
            Self::Done { .. } => None,
        }
    }

    /// The same, to write to it.
    pub fn sent_mut(&mut self) -> Option<&mut Sent> {
        match self {
            Self::Commit { sent, .. } | Self::Claim { sent, .. } | Self::Set { sent } => Some(sent),
            Self::Done { .. } => None,
        }
    }

    /// The transaction that was sent last.
    pub fn tx(&self) -> Option<&Tx> {
        self.sent().and_then(|sent| sent.tx.as_deref())
    }

    /// The commit, once it is final.
    pub fn commit(&self) -> Option<&Link> {
        match self {
            Self::Claim { commit, .. } | Self::Done { commit, .. } => commit.as_ref(),
            Self::Commit { .. } | Self::Set { .. } => None,
        }
    }
}
