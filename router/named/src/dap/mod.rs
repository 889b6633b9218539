//! The data addressing protocol: from a name as a person writes it to what its owner says of it.
//!
//! A name is read by IDNA (UTS #46, non-transitional), so `Bücher.ddn.` and `xn--bcher-kva.ddn` are one name. Then it
//! is *foreign* if it ends with no TLD that is known; *absent* if nobody holds it, it has expired, or its owner has
//! no record set of that undername; else *found*. A name of a chain that the node does not follow is what that chain's
//! nodes prove of it; if none of them does, it is *delegated*: they are to be asked. Absence is an answer with a time for
//! which it may be kept, not an error. Errors are names that nobody could ever hold, and state that cannot be read.

mod explain;
mod text;
mod tlds;
mod zones;

pub use explain::{Explanation, explain};
pub use text::NameError;
pub use tlds::Tlds;
pub use zones::Zones;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{Address, Label, NameEntry, NamePath, Records};
use text::Spelling;

/// How long anybody may keep the knowledge that a name is absent; answers by name live as long by default. Seconds.
pub const ABSENT_TTL_SECONDS: u32 = 20;

/// The names of one chain at its tip, from state that the node has verified itself, and those of other chains as their nodes
/// prove them.
///
/// Each call reads the newest state, so that a change is visible in the next answer. Calls may block on a disk.
pub trait Names: Send + Sync {
    /// The top-level domains of the chain and of those that are asked.
    fn tlds(&self) -> &Tlds;

    /// The chain's top-level domain, lower-case ASCII without dots at its ends.
    fn tld(&self) -> &str {
        self.tlds().own()
    }

    /// The height of the newest block that the state includes.
    fn height(&self) -> u64;

    /// The entry of a label, expired ones included.
    ///
    /// # Errors
    /// The state could not be read.
    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError>;

    /// The entry of a label of another chain, whose top-level domain is one of [`Names::tlds`]. May wait for that chain's
    /// nodes for some seconds.
    ///
    /// # Errors
    /// No such chain is asked.
    fn elsewhere(&self, tld: &str, label: &Label) -> Result<Elsewhere, NamesError> {
        let _ = label;
        Err(NamesError::new(format!("no chain of .{tld} is asked")))
    }

    /// The labels whose entries blocks above the height `since` have changed, some twice or for nothing: for those who keep
    /// what they made of an entry. Expiry is no change. Reads memory only. `None` if that is not known: then any may have changed.
    fn changed_since(&self, since: u64) -> Option<Vec<Label>> {
        let _ = since;
        None
    }

    /// For how long an entry that [`Names::entry`] did not find may be called absent without another call, if no block comes
    /// meanwhile. `None`: as long as no block comes.
    fn absence_holds(&self) -> Option<Duration> {
        None
    }
}

/// The ledger's state could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading names from the ledger's state: {0}")]
pub struct NamesError(String);

impl NamesError {
    /// With the reason, in words for an operator.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// What is known of a label of another chain.
#[derive(Clone, Debug, PartialEq)]
pub enum Elsewhere {
    /// What one of its nodes has proven, from its genesis on.
    Proven {
        /// The entry, expired ones included.
        entry: Option<NameEntry>,
        /// Where it is from.
        source: Source,
        /// The height of the block after which it was so.
        height: u64,
        /// Until when it counts.
        until: Instant,
        /// The proof, as the node sent it.
        bundle: Arc<[u8]>,
    },
    /// None of them did.
    Silent(Delegation),
}

/// Another chain, as it was when one of its nodes proved something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The chain.
    pub chain: String,
    /// The time of its block, in milliseconds since 1970, as its proposer said.
    pub time_ms: u64,
}

/// Who can be asked for a name, since this node cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The chain of the name.
    pub chain: String,
    /// Gateways of nodes that follow it, as URLs.
    pub ask: Vec<String>,
    /// What became of asking them.
    pub why: String,
}

/// What the named router says of a name.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one for each question, never kept in numbers"
)]
pub enum Resolution {
    /// Its owner's record set.
    Found {
        /// The whole name, lower-case ASCII without a final dot.
        name: String,
        /// What stands before the label: empty for the name itself.
        under: String,
        /// The label that is registered.
        label: Label,
        /// What the owner says.
        records: Records,
        /// Who holds the name.
        owner: Address,
        /// The chain that it is of, if that is another than the node's own.
        source: Option<Source>,
        /// The height of its chain at which this is the answer.
        height: u64,
        /// The height of the last change.
        changed: u64,
        /// The height at which the name expires.
        expires: u64,
    },
    /// Nothing is there.
    Absent {
        /// The whole name, lower-case ASCII without a final dot.
        name: String,
        /// The chain that it would be of, if that is another than the node's own.
        source: Option<Source>,
        /// The height of its chain at which this is the answer.
        height: u64,
        /// How long this may be kept, in seconds.
        ttl: u32,
    },
    /// Another chain's nodes know it, and have not answered.
    Delegated {
        /// The whole name, lower-case ASCII without a final dot.
        name: String,
        /// Whom to ask.
        to: Delegation,
    },
    /// It is no name of a chain that is known: another naming system may know it.
    Foreign,
}

/// Resolves a name as a person writes it.
///
/// # Errors
/// [`NameError::Malformed`] and its like for what can be no name, [`NameError::State`] if the state is unreadable.
pub fn resolve(names: &dyn Names, input: &str) -> Result<Resolution, NameError> {
    let (tld, path) = match text::spell(input, names.tlds())? {
        Spelling::Foreign => return Ok(Resolution::Foreign),
        Spelling::Of(tld, path) => (tld, path),
    };
    let name = path.display(tld);
    if tld != names.tld() {
        return Ok(match names.elsewhere(tld, &path.label)? {
            Elsewhere::Proven {
                entry,
                source,
                height,
                ..
            } => pick(name, path, Some(source), height, entry),
            Elsewhere::Silent(to) => Resolution::Delegated { name, to },
        });
    }
    let height = names.height();
    let entry = names.entry(&path.label)?;
    Ok(pick(name, path, None, height, entry))
}

/// The record set of exactly this undername. A name without records is held and says nothing.
fn pick(
    name: String,
    path: NamePath,
    source: Option<Source>,
    height: u64,
    entry: Option<NameEntry>,
) -> Resolution {
    let entry = entry.filter(|entry| entry.is_active(height));
    let records = entry
        .as_ref()
        .and_then(|entry| match entry.records.get(&path.under) {
            None if path.under.is_empty() => Some(Records::default()),
            records => records.cloned(),
        });
    match (entry, records) {
        (Some(entry), Some(records)) => Resolution::Found {
            name,
            under: path.under,
            label: path.label,
            records,
            owner: entry.owner,
            source,
            height,
            changed: entry.changed,
            expires: entry.expires,
        },
        _ => Resolution::Absent {
            name,
            source,
            height,
            ttl: ABSENT_TTL_SECONDS,
        },
    }
}

/// The entry of a label unless it has expired.
pub(crate) fn live_entry(names: &dyn Names, label: &Label) -> Result<Option<NameEntry>, NamesError> {
    let height = names.height();
    Ok(names.entry(label)?.filter(|entry| entry.is_active(height)))
}
