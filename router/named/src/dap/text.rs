//! Names as people write them: upper case, Unicode, a final dot; and what exactly is wrong with those that are none.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use ledger::{Label, NamePath};

use super::{NamesError, Tlds};

/// Longer input is refused unread: the longest name has 253 characters, and each takes at most 4 bytes.
const INPUT_BYTES_MAX: usize = 1_024;

/// The full stops of UTS #46, section 2.3.
const STOPS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Why a name cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty; give one such as `alice.{tld}`")]
    Empty {
        /// The chain's TLD.
        tld: String,
    },
    /// It is longer than any name.
    #[error("the name is {bytes} bytes long, a name has at most 253 characters")]
    TooLong {
        /// Its length as given.
        bytes: usize,
    },
    /// The TLD alone.
    #[error("`{tld}` is the top-level domain; put a name before it, such as `alice.{tld}`")]
    Bare {
        /// The chain's TLD.
        tld: String,
    },
    /// A label has characters that IDNA does not allow, or an `xn--` label is not the form of any Unicode label.
    #[error("name {input:?}: {label:?} is not a valid internationalised label (IDNA, UTS #46)")]
    Idna {
        /// The name as given.
        input: String,
        /// The label; the whole name if only the combination of labels is wrong.
        label: String,
    },
    /// A label breaks a rule of the ledger.
    #[error("name {input:?}: label {label:?}: {reason}")]
    Label {
        /// The name as given.
        input: String,
        /// The label, after IDNA.
        label: String,
        /// The rule.
        reason: String,
    },
    /// The name as a whole breaks a rule of the ledger.
    #[error("name {input:?}: {reason}")]
    Malformed {
        /// The name as given.
        input: String,
        /// The rule.
        reason: String,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] NamesError),
}

impl NameError {
    /// Whether the input is at fault, rather than the node.
    #[must_use]
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::State(_))
    }
}

/// A name in its only form.
pub enum Spelling<'a> {
    /// Below the TLD of a chain.
    Of(&'a str, NamePath),
    /// Of another naming system.
    Foreign,
}

/// Reads a name.
pub fn spell<'a>(input: &str, tlds: &'a Tlds) -> Result<Spelling<'a>, NameError> {
    if input.len() > INPUT_BYTES_MAX {
        return Err(NameError::TooLong { bytes: input.len() });
    }
    if input.is_empty() {
        let tld = tlds.own().into();
        return Err(NameError::Empty { tld });
    }
    let ascii = to_ascii(input).ok_or_else(|| idna_fault(input))?;
    let ascii = ascii.strip_suffix('.').unwrap_or(&ascii);
    if tlds.all().any(|tld| tld == ascii) {
        return Err(NameError::Bare { tld: ascii.into() });
    }
    let below = |tld| Some((tld, ascii.strip_suffix(tld)?.strip_suffix('.')?));
    let Some((tld, below)) = tlds.all().find_map(below) else {
        return Ok(Spelling::Foreign);
    };
    let last = below.matches('.').count();
    let mut labels = below.split('.').enumerate();
    if let Some((label, reason)) = labels.find_map(|(at, label)| label_fault(label, at < last)) {
        return Err(NameError::Label {
            input: input.into(),
            label,
            reason,
        });
    }
    NamePath::parse(ascii, tld)
        .map(|path| Spelling::Of(tld, path))
        .map_err(|error| malformed(input, &error))
}

/// Maps to lower-case ASCII; which characters a label may have is the ledger's rule, not decided here.
fn to_ascii(text: &str) -> Option<String> {
    let mapped = Uts46::new().to_ascii(
        text.as_bytes(),
        AsciiDenyList::EMPTY,
        Hyphens::Allow,
        DnsLength::Ignore,
    );
    mapped.ok().map(String::from)
}

fn idna_fault(input: &str) -> NameError {
    let label = input
        .split(STOPS)
        .find(|label| to_ascii(label).is_none())
        .unwrap_or(input);
    NameError::Idna {
        input: input.into(),
        label: label.into(),
    }
}

/// A label of an undername may begin with an underscore, as in `_dmarc`.
fn label_fault(label: &str, is_under: bool) -> Option<(String, String)> {
    let plain = label.strip_prefix('_').filter(|_| is_under);
    match Label::parse(plain.unwrap_or(label)) {
        Ok(_) => None,
        Err(ledger::Error::Name { reason, .. }) => Some((label.into(), reason)),
        Err(other) => Some((label.into(), other.to_string())),
    }
}

fn malformed(input: &str, error: &ledger::Error) -> NameError {
    let reason = match error {
        ledger::Error::Name { reason, .. } => reason.clone(),
        other => other.to_string(),
    };
    NameError::Malformed {
        input: input.into(),
        reason,
    }
}
