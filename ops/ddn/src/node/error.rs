//! Why a node does not start, or stopped by itself. Each text is one line for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Errors of [`crate::node::run`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data folder, or a file in it, cannot be used.
    #[error("cannot {operation} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the IPNS records cannot be used.
    #[error(transparent)]
    Ipns(#[from] named::ipns::Error),
    /// Another node runs on the data folder.
    #[error("the data folder {} is in use by the node with process id {pid}: stop it, or choose another --data", dir.display())]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// The process that holds it.
        pid: String,
    },
    /// A file of ours does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Nothing says which chain the node is to keep.
    #[error(
        "{} holds no chain yet: start one with --dev, or join one with --genesis FILE",
        dir.display()
    )]
    NoChain {
        /// The data folder.
        dir: PathBuf,
    },
    /// A follower knows nobody to follow.
    #[error(
        "{} would follow the chain {chain}, but knows no node of it: name one with --join MESH_ADDR",
        dir.display()
    )]
    NoPeers {
        /// The data folder.
        dir: PathBuf,
        /// The chain.
        chain: String,
    },
    /// A dev chain of its own was asked for, and the data folder follows somebody else's.
    #[error(
        "{} follows the chain {chain}, which is not its own (keys/delegate.key holds no seat of it): leave out --dev, \
         or choose another --data",
        dir.display()
    )]
    NotOwn {
        /// The data folder.
        dir: PathBuf,
        /// The chain.
        chain: String,
    },
    /// The data folder belongs to another chain than the one asked for.
    #[error(
        "{} holds the chain {found}, but {wanted} was asked for: choose another --data, or leave out --genesis and --dev",
        dir.display()
    )]
    OtherChain {
        /// The data folder.
        dir: PathBuf,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A setting names a wallet that is not there.
    #[error("{setting}: there is no wallet `{name}`: name one that is there, such as `default`")]
    NoWallet {
        /// The setting.
        setting: &'static str,
        /// The wallet.
        name: String,
    },
    /// Settings that do not fit together.
    #[error("{setting}: {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] gateway::CertificateError),
    /// Randomness is not to be had.
    #[error("the system gives no random bytes: {reason}")]
    Random {
        /// What the system said.
        reason: String,
    },
    /// A listener cannot be had.
    #[error("{setting}: cannot listen on {address}: {}", advice(source, setting))]
    Listen {
        /// The setting with the address.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The chain could not be opened, or ended.
    #[error("{}", chained(.0))]
    Chain(#[source] chain::Error),
    /// The block store could not be opened.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// The node cannot join the mesh.
    #[error(transparent)]
    Mesh(#[from] named::mesh::Error),
    /// All nodes to join are of other networks.
    #[error(
        "no node to join keeps the chain {chain} with this genesis{}",
        refusals(refused)
    )]
    Strangers {
        /// The chain.
        chain: String,
        /// Who they are, and what each keeps instead.
        refused: Vec<(String, String)>,
    },
    /// No other node gives the chain to a follower that has nothing of it.
    #[error("{}{}", chained(asked), refusals(refused))]
    Alone {
        /// What the chain says of the peers that it asked.
        asked: chain::Error,
        /// Whom the mesh refused or could not reach, and why.
        refused: Vec<(String, String)>,
    },
    /// The DNS server could not be started.
    #[error(transparent)]
    Dns(#[from] named::Error),
    /// The gateway could not be started.
    #[error(transparent)]
    Gateway(#[from] gateway::Error),
    /// A part of the node broke down.
    #[error("{part} broke down: {reason}; restart the node")]
    Broken {
        /// Which one.
        part: &'static str,
        /// How.
        reason: String,
    },
}

impl From<chain::Error> for Error {
    fn from(error: chain::Error) -> Self {
        Self::Chain(error)
    }
}

impl Error {
    /// For `map_err`: an operation on a file failed.
    pub fn file(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File {
            operation,
            path,
            source,
        }
    }

    /// A file does not hold what it should.
    pub fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// An error with its causes in one line: what is printed once, where it is handled.
pub fn chained(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line = format!("{line}: {text}");
        }
        source = cause.source();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn refusals(refused: &[(String, String)]) -> String {
    let one = |(who, why): &(String, String)| format!("; {who}: {why}");
    refused.iter().map(one).collect()
}

fn advice(error: &io::Error, setting: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "the port is in use by another program; stop it, or set {setting} to another port (0 takes a free one)"
            )
        }
        io::ErrorKind::PermissionDenied => format!("not permitted; set {setting} to a port above 1023"),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have that address; set {setting} to one of its own")
        }
        _ => error.to_string(),
    }
}
