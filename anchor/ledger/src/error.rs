//! The crate's error: what was being done, on which object, and why it did not work.

use crate::codec::DecodeError;

/// Why something that came from outside is not acceptable. Refused transactions have [`crate::Refusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes are not one strict DAG-CBOR object of the wanted type.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Text is not an amount of coins.
    #[error("amount '{input}': {reason}")]
    Amount {
        /// The text.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Text is not an address of this chain.
    #[error("address '{input}': {reason}")]
    Address {
        /// The text.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes or text are not a usable key, hash or signature.
    #[error("{what}: {reason}")]
    Key {
        /// Which kind of object.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Text is not a label or a name under the chain's TLD.
    #[error("name '{name}': {reason}")]
    Name {
        /// The text.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Records of a name break a bound.
    #[error("records: {reason}")]
    Records {
        /// Which bound, and how.
        reason: String,
    },
    /// A genesis breaks a rule.
    #[error("genesis: {field}: {reason}")]
    Genesis {
        /// The field of the genesis file.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A set of validators is not possible.
    #[error("validator set: {reason}")]
    Validators {
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate does not prove that its header was committed.
    #[error("certificate of height {height}: {reason}")]
    Certificate {
        /// The height that the certificate claims.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A header does not follow from what is trusted.
    #[error("header of height {height}: {reason}")]
    Header {
        /// The height that the header claims.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is no checkpoint.
    #[error("checkpoint: {reason}")]
    Checkpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// A block breaks a rule that needs no execution.
    #[error("block at height {height}: {reason}")]
    Block {
        /// The height that the header claims.
        height: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A proof bundle does not prove what it says.
    #[error("proof bundle: {reason}")]
    Bundle {
        /// What is wrong with it.
        reason: String,
    },
    /// A receipt's parts do not hold, or do not belong together.
    #[error("receipt: {reason}")]
    Receipt {
        /// What is wrong with it.
        reason: String,
    },
    /// A proof of a delivery does not prove what it says.
    #[error("proof of a delivery: {reason}")]
    Delivery {
        /// What is wrong with it.
        reason: String,
    },
    /// An entry of the state cannot be counted.
    #[error("audit: state entry {key}: {reason}")]
    Audit {
        /// The key, as text where it is text, else hex.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}
