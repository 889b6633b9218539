//! IPNS: names that are public keys, and the signed records that say what each points to now.
//!
//! * [`Name`]: a key's name, however it is written.
//! * [`Record`]: a record that was checked against its name, by the rules of the IPNS specification ("Record
//!   Verification"): what is signed is the record's DAG-CBOR (V2), and older fields (V1), if there are any, must say the
//!   same; V1 signatures count for nothing.
//! * [`Records`]: the newest record of each name that this node was given, on disk.
//!
//! Nothing here asks the network. A record is worth what its signature is, so whoever brings it need not be trusted.

mod name;
mod record;
mod records;
mod time;
mod wire;

use std::io;
use std::path::PathBuf;

pub use name::Name;
pub use record::{Fault, RECORD_BYTES_MAX, Record};
pub use records::Records;

/// Why a record is not kept or not found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The record is not one of the name.
    #[error("the IPNS record of {name} is refused: {fault}")]
    Refused {
        /// Whose record it should be.
        name: Name,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The folder of the records cannot be used.
    #[error("IPNS records: cannot {operation} {}: {source}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests;
