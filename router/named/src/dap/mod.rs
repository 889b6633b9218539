//! The data addressing protocol: from a name as a person writes it to what its owner says of it.
//!
//! A name is read by IDNA (UTS #46, non-transitional), so `Bücher.ddn.` and `xn--bcher-kva.ddn` are one name. Then it
//! is *foreign* if it does not end with the chain's TLD; *absent* if nobody holds it, it has expired, or its owner has
//! no record set of that undername; else *found*. Absence is an answer with a time for which it may be kept, not an
//! error. Errors are names that nobody could ever hold, and state that cannot be read.

mod explain;
mod text;
mod zones;

pub use explain::{Explanation, explain};
pub use text::NameError;
pub use zones::Zones;

use std::time::Duration;

use ledger::{Address, Label, NameEntry, NamePath, Records};
use text::Spelling;

/// How long anybody may keep the knowledge that a name is absent; answers by name live as long by default. Seconds.
pub const ABSENT_TTL_SECONDS: u32 = 20;

/// The names of one chain at its tip, from state that the node has verified itself.
///
/// Each call reads the newest state, so that a change is visible in the next answer. Calls may block on a disk.
pub trait Names: Send + Sync {
    /// The chain's top-level domain, lower-case ASCII without dots at its ends.
    fn tld(&self) -> &str;

    /// The height of the newest block that the state includes.
    fn height(&self) -> u64;

    /// The entry of a label, expired ones included.
    ///
    /// # Errors
    /// The state could not be read.
    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError>;

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
        /// The height at which this is the answer.
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
        /// How long this may be kept, in seconds.
        ttl: u32,
    },
    /// It is no name of this chain: another naming system may know it.
    Foreign,
}

/// Resolves a name as a person writes it.
///
/// # Errors
/// [`NameError::Malformed`] and its like for what can be no name, [`NameError::State`] if the state is unreadable.
pub fn resolve(names: &dyn Names, input: &str) -> Result<Resolution, NameError> {
    let name = match text::spell(input, names.tld())? {
        Spelling::Foreign => return Ok(Resolution::Foreign),
        Spelling::Ours(path) => path,
    };
    let height = names.height();
    Ok(match live_entry(names, &name.label)? {
        Some(entry) => pick(names, name, height, entry),
        None => absent(names, &name),
    })
}

/// The record set of exactly this undername. A name without records is held and says nothing.
fn pick(names: &dyn Names, path: NamePath, height: u64, mut entry: NameEntry) -> Resolution {
    let records = match entry.records.remove(&path.under) {
        Some(records) => records,
        None if path.under.is_empty() => Records::default(),
        None => return absent(names, &path),
    };
    let NameEntry {
        owner,
        changed,
        expires,
        ..
    } = entry;
    let name = path.display(names.tld());
    Resolution::Found {
        name,
        under: path.under,
        label: path.label,
        records,
        owner,
        height,
        changed,
        expires,
    }
}

fn absent(names: &dyn Names, path: &NamePath) -> Resolution {
    Resolution::Absent {
        name: path.display(names.tld()),
        ttl: ABSENT_TTL_SECONDS,
    }
}

/// The entry of a label unless it has expired.
pub(crate) fn live_entry(names: &dyn Names, label: &Label) -> Result<Option<NameEntry>, NamesError> {
    let height = names.height();
    Ok(names.entry(label)?.filter(|entry| entry.is_active(height)))
}
