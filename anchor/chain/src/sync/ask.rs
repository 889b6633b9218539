//! One question to one peer, with a deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::wire::Request;
use super::{Fault, Peers};
use crate::metrics::{AskLabels, Metrics};

/// A height, or a word about a transaction, is there at once.
const WORD_WITHIN: Duration = Duration::from_secs(5);
/// Blocks of 4 MiB come within this over 4 Mbit/s.
const BLOCKS_WITHIN: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing came in time.
    Deadline(Duration),
    /// The network says why.
    Network(String),
    /// The peer says why.
    Unable(String),
}

/// Asks. What comes back is the peer's word, not looked at yet.
pub(crate) async fn ask(
    peers: Arc<dyn Peers>,
    metrics: Metrics,
    peer: &str,
    request: &Request,
) -> Result<Vec<u8>, Silence> {
    let within = match request {
        Request::Blocks { .. } => BLOCKS_WITHIN,
        Request::Status {} | Request::Submit { .. } => WORD_WITHIN,
    };
    let answer = match tokio::time::timeout(within, peers.ask(peer, ledger::encode(request))).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(reason)) => Err(Silence::Network(reason)),
        Err(_) => Err(Silence::Deadline(within)),
    };
    let outcome = if answer.is_ok() { "answered" } else { "silent" };
    metrics.count_ask(request.what(), outcome);
    answer
}

impl Silence {
    /// Letting others wait counts a little; a connection that ends, and a peer that says that it cannot, do not.
    pub(crate) fn fault(&self) -> Option<Fault> {
        match self {
            Silence::Deadline(_) => Some(Fault::Mild(self.to_string())),
            Silence::Network(_) | Silence::Unable(_) => None,
        }
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Silence::Deadline(within) => write!(f, "it did not answer within {} s", within.as_secs()),
            Silence::Network(reason) => write!(f, "it cannot be asked: {reason}"),
            Silence::Unable(reason) => write!(f, "it says: {reason}"),
        }
    }
}

impl Metrics {
    pub(crate) fn count_ask(&self, what: &'static str, outcome: &'static str) {
        self.sync_asks.get_or_create(&AskLabels { what, outcome }).inc();
    }
}
