//! The errors of this crate: each names what was done and to what.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cid::Cid;

/// What can go wrong with blocks, trees and the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The block is not here; it may be elsewhere. Fetch it and call again.
    #[error("block {0} is not here")]
    Missing(Cid),
    /// The block is not here, and nobody who was asked for it gave it in time.
    #[error("block {cid} could not be fetched: {}", joined(tried))]
    Unavailable {
        /// The block in question.
        cid: Cid,
        /// What each provider did.
        tried: Vec<Attempt>,
    },
    /// A path does not lead anywhere.
    #[error("{cid} has nothing named {segment:?}")]
    NoLink {
        /// The object in which the segment was looked up.
        cid: Cid,
        /// The segment that is not there.
        segment: String,
    },
    /// The object is not a file, but a file was asked for.
    #[error("{0} is not a file")]
    NotFile(Cid),
    /// The object is not a folder, but a folder was asked for.
    #[error("{0} is not a folder")]
    NotDirectory(Cid),
    /// The bytes of a block do not hash to its CID.
    #[error("the bytes given for block {0} do not match its hash")]
    Mismatch(Cid),
    /// The hash function of a CID is not one that this store verifies.
    #[error("block {cid} uses hash function {code:#x}; sha2-256, sha2-512 and identity are supported")]
    UnsupportedHash {
        /// The CID in question.
        cid: Cid,
        /// The multihash code.
        code: u64,
    },
    /// A block over [`BLOCK_BYTES_MAX`](crate::BLOCK_BYTES_MAX).
    #[error("block {cid} has {bytes} bytes; {} is the limit", crate::BLOCK_BYTES_MAX)]
    TooLarge {
        /// The CID in question.
        cid: Cid,
        /// Its length.
        bytes: usize,
    },
    /// The block is what its CID says, but not a well-formed object of its codec.
    #[error("{cid} is malformed: {reason}")]
    Malformed {
        /// The CID in question.
        cid: Cid,
        /// What is wrong.
        reason: String,
    },
    /// The store holds this block, but the disk returned something else.
    #[error("block {cid} is damaged on disk: {reason}")]
    Corrupt {
        /// The CID in question.
        cid: Cid,
        /// What the database says.
        reason: String,
    },
    /// The folder belongs to a running node or another process.
    #[error("{} is in use by another process", folder.display())]
    InUse {
        /// The folder of the store.
        folder: PathBuf,
    },
    /// The folder could not be opened as a store.
    #[error("cannot open the block store in {}: {reason}", folder.display())]
    Open {
        /// The folder of the store.
        folder: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// The disk of the store is full. The store refuses further writes until it is opened again.
    #[error("no space left for the block store in {}: free some space and restart", folder.display())]
    DiskFull {
        /// The folder of the store.
        folder: PathBuf,
    },
    /// A write failed. The store refuses further writes from now on.
    #[error("cannot write to the block store in {}: {reason}", folder.display())]
    Write {
        /// The folder of the store.
        folder: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// An earlier write failed: this store reads on, but writes nothing until it is opened again.
    #[error("the block store in {} stopped writing after an error ({reason}): restart", folder.display())]
    Unusable {
        /// The folder of the store.
        folder: PathBuf,
        /// The first error.
        reason: String,
    },
    /// A read from the database failed.
    #[error("cannot read the block store in {}: {reason}", folder.display())]
    Read {
        /// The folder of the store.
        folder: PathBuf,
        /// What the database says.
        reason: String,
    },
    /// The root is not pinned here.
    #[error("{0} is not pinned")]
    NotPinned(Cid),
    /// A tar stream that cannot be imported.
    #[error("tar stream: {entry:?}: {reason}")]
    Tar {
        /// The entry, as far as it is known.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something in a local folder that cannot be published.
    #[error("cannot publish {}: {reason}", path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Two things of one name, or a file used as a folder, within one import.
    #[error("{path:?}: {reason}")]
    Conflict {
        /// The path below the root of the import.
        path: String,
        /// What is in conflict.
        reason: &'static str,
    },
    /// An object that cannot be written to a local folder.
    #[error("cannot write {}: {reason}", path.display())]
    Export {
        /// Where it would have been written.
        path: PathBuf,
        /// Why it is not.
        reason: String,
    },
    /// A CAR stream that is cut short or not a CARv1.
    #[error("CAR stream: {0}")]
    Car(String),
    /// The socket for deliveries cannot be had.
    #[error("cannot listen for deliveries on {address} (UDP): {reason}")]
    Listen {
        /// Where it would have listened.
        address: SocketAddr,
        /// Why it does not.
        reason: String,
    },
    /// An operation of the operating system failed.
    #[error("cannot {operation} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason given by the operating system.
        source: io::Error,
    },
    /// A stream that the caller gave broke.
    #[error("cannot {operation} the stream: {source}")]
    Stream {
        /// `read` or `write`.
        operation: &'static str,
        /// The reason given by the stream.
        source: io::Error,
    },
}

/// What one provider did when it was asked for a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    line: String,
    is_ours: bool,
}

impl Attempt {
    /// A provider and what it did, in one line.
    pub fn theirs(line: impl Into<String>) -> Attempt {
        let (line, is_ours) = (line.into(), false);
        Attempt { line, is_ours }
    }

    /// A provider and why this node could not use it: for the operator alone, since it may tell of the node's coins.
    pub fn ours(line: impl Into<String>) -> Attempt {
        let (line, is_ours) = (line.into(), true);
        Attempt { line, is_ours }
    }

    /// The line for readers who are not the operator.
    pub fn for_strangers(&self) -> &str {
        match self.is_ours {
            true => "this node could not pay a node that has it, or keep what came; its operator is told why",
            false => &self.line,
        }
    }
}

impl fmt::Display for Attempt {
    /// The line for the operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

fn joined(tried: &[Attempt]) -> String {
    tried
        .iter()
        .map(Attempt::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

impl Error {
    /// Whether the store is unusable from now on: reads may go on, writes need it to be opened again.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Error::DiskFull { .. } | Error::Write { .. } | Error::Unusable { .. }
        )
    }

    /// Whether only a block is wanting: what was tried may work when it is tried again.
    pub fn is_absence(&self) -> bool {
        matches!(self, Error::Missing(_) | Error::Unavailable { .. })
    }

    pub(crate) fn malformed(cid: &Cid, reason: impl Into<String>) -> Error {
        Error::Malformed {
            cid: *cid,
            reason: reason.into(),
        }
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        let path = path.to_path_buf();
        move |source| Error::Io {
            operation,
            path,
            source,
        }
    }

    pub(crate) fn reading(source: io::Error) -> Error {
        Error::Stream {
            operation: "read",
            source,
        }
    }

    pub(crate) fn writing(source: io::Error) -> Error {
        Error::Stream {
            operation: "write",
            source,
        }
    }
}
