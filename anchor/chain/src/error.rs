//! What can go wrong with the chain of a node.

use std::io;
use std::path::PathBuf;

use crate::Failure;

/// Errors of [`crate::Chain`]. Each names the operation and the object; the source is not repeated in the text.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The chain folder cannot be made.
    #[error("cannot make the folder {}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the chain folder open.
    #[error("the chain folder {} is in use by another process: stop it, or choose another --data", dir.display())]
    InUse {
        /// The folder.
        dir: PathBuf,
    },
    /// The chain folder cannot be opened.
    #[error("cannot open the chain folder {}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: rocksdb::Error,
    },
    /// The folder was written by a version of the program with another layout.
    #[error("the chain folder {} has format {found}, this program writes format {wanted}", dir.display())]
    Format {
        /// The folder.
        dir: PathBuf,
        /// Format of the folder.
        found: String,
        /// Format of this program.
        wanted: &'static str,
    },
    /// The folder holds another chain.
    #[error("the folder {} holds the chain {found:?}, not {wanted:?}: choose another --data", dir.display())]
    OtherChain {
        /// The folder.
        dir: PathBuf,
        /// Chain id of the folder.
        found: String,
        /// Chain id that was asked for.
        wanted: String,
    },
    /// The folder holds a chain of the same id that began with another genesis.
    #[error(
        "the folder {} holds a chain {chain:?} that began with genesis {found}, not {wanted}: choose another --data",
        dir.display()
    )]
    OtherGenesis {
        /// The folder.
        dir: PathBuf,
        /// The chain id of both.
        chain: String,
        /// CID of the folder's genesis.
        found: String,
        /// CID of the genesis that was asked for.
        wanted: String,
    },
    /// A read failed.
    #[error("cannot read {what} from the chain store")]
    Read {
        /// The table.
        what: &'static str,
        /// Why.
        source: rocksdb::Error,
    },
    /// A write failed; the store is unusable from now on.
    #[error("cannot write {what} to the chain store")]
    Write {
        /// What was to be written.
        what: &'static str,
        /// Why.
        source: rocksdb::Error,
    },
    /// A write has failed before.
    #[error("the chain store {} is closed, since {reason}: free the disk and restart the node", dir.display())]
    Broken {
        /// The folder.
        dir: PathBuf,
        /// The failure that closed it.
        reason: String,
    },
    /// What is stored does not make sense.
    #[error("the chain store is damaged: {what}: {reason}")]
    Damaged {
        /// The table or object.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The genesis contradicts itself.
    #[error("the genesis of {chain:?} cannot be used: {reason}")]
    Genesis {
        /// The chain id.
        chain: String,
        /// The contradiction.
        reason: String,
    },
    /// The key is not a delegate of the chain.
    #[error("{address} is not a delegate of the chain {chain:?}: follow the chain instead")]
    NotDelegate {
        /// Address of the key.
        address: String,
        /// The chain id.
        chain: String,
    },
    /// The delegate was away, and others may sit by now: an engine of one who does not sit is not heard.
    #[error(
        "the newest block of {chain:?} here, {height}, is {age_s} s old, and the delegates may have changed since: \
         follow the chain to its tip first"
    )]
    Away {
        /// The chain id.
        chain: String,
        /// The newest height.
        height: u64,
        /// Seconds since that block was made.
        age_s: u64,
    },
    /// Others have a signature of this delegate that its journal does not know.
    #[error(
        "the certificate of height {height} has a signature of this delegate, of which its journal {} knows nothing: its \
         folder was restored from a backup, or another node has its key. It must not sign before the chain is two blocks \
         further",
        path.display()
    )]
    SignedElsewhere {
        /// The height.
        height: u64,
        /// The journal.
        path: PathBuf,
    },
    /// The state of a height was asked for that is not here.
    #[error("the state after block {height} is not here: it is there for heights {first} to {last}")]
    NotKept {
        /// The height.
        height: u64,
        /// The lowest height that is here.
        first: u64,
        /// The greatest.
        last: u64,
    },
    /// What should be a snapshot is none, or not of this chain.
    #[error("the snapshot cannot be used: {reason}")]
    Snapshot {
        /// What is wrong with it.
        reason: String,
    },
    /// A folder that should be made is there.
    #[error("there is a chain already in {}", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// The signer's journal cannot be used; signing without it could sign twice.
    #[error("cannot {operation} the signer's journal {}: {reason}", path.display())]
    Journal {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it did not work.
        reason: String,
    },
    /// The journal of a chain of several delegates is gone.
    #[error(
        "the signer's journal {} is gone, although the chain is at height {height}: put it back, or begin with an empty \
         folder; without it the delegate could sign twice",
        path.display()
    )]
    JournalLost {
        /// The file.
        path: PathBuf,
        /// The newest height.
        height: u64,
    },
    /// The engine's log is gone in the middle of a height.
    #[error(
        "the consensus log {} is gone, although the delegate has voted on height {height}, which is not decided here: \
         put it back, or begin with an empty folder; without it the delegate could vote against its lock",
        path.display()
    )]
    WalLost {
        /// The file.
        path: PathBuf,
        /// The height in question.
        height: u64,
    },
    /// The engine did not start.
    #[error("cannot start the consensus engine on {listen}: {reason}")]
    Engine {
        /// Listen address.
        listen: String,
        /// What the engine said.
        reason: String,
    },
    /// The ledger refused something that a committed block cannot contain.
    #[error("cannot {operation}: {reason}")]
    Ledger {
        /// What was tried.
        operation: &'static str,
        /// What the ledger said.
        reason: String,
    },
    /// There is no block yet, so nothing can be proven.
    #[error("the chain {chain:?} has no block yet: nothing can be proven before the first")]
    NoBlock {
        /// The chain id.
        chain: String,
    },
    /// Every peer was refused: none of them gives this chain.
    #[error("no peer gives the chain {chain:?} that began with genesis {genesis}: {said}")]
    Refused {
        /// The chain id.
        chain: String,
        /// CID of the genesis.
        genesis: String,
        /// Each peer, and why it was refused.
        said: String,
    },
    /// No peer answers, and there is no block yet.
    #[error(
        "no peer has answered within {seconds} s, and the chain {chain:?} has no block here yet: {said}: give the \
         address of a node that runs"
    )]
    Unanswered {
        /// The chain id.
        chain: String,
        /// Seconds that were waited.
        seconds: u64,
        /// Each peer, and what came of it.
        said: String,
    },
    /// The chain does not go on in this process.
    #[error("{0}")]
    Failed(Failure),
}

impl Error {
    pub(crate) fn damaged(what: &'static str, reason: impl Into<String>) -> Error {
        Error::Damaged {
            what,
            reason: reason.into(),
        }
    }

    pub(crate) fn genesis(genesis: &ledger::Genesis, reason: impl std::fmt::Display) -> Error {
        Error::Genesis {
            chain: genesis.chain_id.clone(),
            reason: reason.to_string(),
        }
    }

    /// The error with its sources, for the log.
    pub(crate) fn with_sources(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(inner) = source {
            text = format!("{text}: {inner}");
            source = inner.source();
        }
        text
    }
}

/// Why a transaction was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The ledger's rules refuse it in the state after the pending ones.
    #[error("{0}")]
    Refused(ledger::Refusal),
    /// The mempool is full.
    #[error(
        "the node has {txs} pending transactions ({bytes} bytes), which is its limit: submit again later{}",
        or_pay(.least)
    )]
    Full {
        /// Pending transactions.
        txs: usize,
        /// Their bytes.
        bytes: usize,
        /// The fee that gets in now; absent if none does.
        least: Option<ledger::Amount>,
    },
    /// Another transaction of the account's nonce waits.
    #[error(
        "another transaction of nonce {nonce} is pending: one that replaces it pays at least {least} coins"
    )]
    Outbid {
        /// The nonce.
        nonce: u64,
        /// The fee that replaces it.
        least: ledger::Amount,
    },
    /// The transaction alone is larger than a block may be.
    #[error("the transaction has {bytes} bytes, a block of this chain at most {max}")]
    TooLarge {
        /// Encoded bytes of the transaction.
        bytes: usize,
        /// Bytes that a block may have.
        max: usize,
    },
    /// The chain cannot be read, or does not go on.
    #[error(transparent)]
    Chain(#[from] Error),
}

fn or_pay(least: &Option<ledger::Amount>) -> String {
    least.map_or_else(String::new, |least| format!(", or pay at least {least} coins"))
}
