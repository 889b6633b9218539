//! The messages of the sync protocol, version 1: one question, one answer, each one strict DAG-CBOR object.
//!
//! Blocks travel as the bytes that were hashed and voted on, so that a node hands them over as it holds them, and each
//! is decoded on its own, with its own limits. Fixtures in `tests/fixtures` pin every form.

use ledger::{Certificate, Hash, Header, Link, Tx};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The largest question: a transaction is at most 16 KiB.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// The largest answer. A block with everything that belongs to it is smaller than 3 MiB.
pub(crate) const ANSWER_BYTES_MAX: usize = 4 << 20;
/// The largest announcement: the certificate of a set of 1024 has 67 KiB.
pub(crate) const ANNOUNCEMENT_BYTES_MAX: usize = 128 << 10;
/// The most blocks of one answer: what is small is verified faster than it is asked for.
pub(crate) const BLOCKS_MAX: u32 = 128;
/// The most bytes of a reason that a peer gives.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Which chain do you keep, and how far is it?
    Status {},
    /// The blocks from a height on, in order, at most so many: fewer if they do not fit an answer, none if you have none.
    Blocks { from: u64, max: u32 },
    /// Take this transaction, and pass it on.
    Submit { tx: Box<Tx> },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Answer {
    /// To `Status`. `header` is the id of the newest header, the genesis' hash at height 0.
    Status {
        chain: String,
        genesis: Link,
        height: u64,
        header: Hash,
    },
    /// To `Blocks`.
    Blocks { blocks: Vec<Sealed> },
    /// To `Submit`: it waits for a block now, or is in one.
    Taken {},
    /// To `Submit`: the ledger refuses it.
    Refused { reason: String },
    /// To everything: not now.
    Failed { reason: String },
}

/// A block as it is kept: the encodings of header, body and certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sealed {
    pub(crate) header: ByteBuf,
    pub(crate) body: ByteBuf,
    pub(crate) certificate: ByteBuf,
}

/// What gossip tells about a new block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Announcement {
    pub(crate) header: Header,
    pub(crate) certificate: Certificate,
}

impl Request {
    /// What it asks for, for counters.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Request::Status {} => "status",
            Request::Blocks { .. } => "blocks",
            Request::Submit { .. } => "submit",
        }
    }
}

impl Answer {
    /// Decodes an answer of a peer.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Answer, String> {
        let answer = decode::<Answer>("its answer", bytes, ANSWER_BYTES_MAX)?;
        match &answer {
            Answer::Refused { reason } | Answer::Failed { reason } if reason.len() > REASON_BYTES_MAX => {
                Err(format!("it gives a reason of {} bytes", reason.len()))
            }
            _ => Ok(answer),
        }
    }

    /// Its kind, for counters.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Answer::Status { .. } => "status",
            Answer::Blocks { .. } => "blocks",
            Answer::Taken {} => "taken",
            Answer::Refused { .. } => "refused",
            Answer::Failed { .. } => "failed",
        }
    }
}

impl Sealed {
    /// Bytes in an answer, rounded up.
    pub(crate) fn bytes(&self) -> usize {
        self.header.len() + self.body.len() + self.certificate.len() + SEALED_OVERHEAD_BYTES
    }
}

/// Bytes of an encoded [`Sealed`] that are not its three parts: a map of three names, and three lengths.
const SEALED_OVERHEAD_BYTES: usize = 64;

/// Decodes one strict object of at most `max` bytes.
pub(crate) fn decode<T: Serialize + DeserializeOwned>(
    what: &str,
    bytes: &[u8],
    max: usize,
) -> Result<T, String> {
    if bytes.len() > max {
        return Err(format!(
            "{what} has {} bytes, at most {max} are allowed",
            bytes.len()
        ));
    }
    ledger::decode(bytes).map_err(|e| format!("{what} is malformed: {e}"))
}

/// A reason of ours, short enough to be sent.
pub(crate) fn reason(text: impl std::fmt::Display) -> String {
    let mut text = text.to_string();
    let mut end = REASON_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// A reason of a peer's, fit for a log line.
pub(crate) fn quoted(reason: &str) -> String {
    reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
