//! What the chain needs of the network. The network moves bytes that it does not understand, and scores peers by what
//! the chain says about them.

use async_trait::async_trait;

/// The peers of a node, by ids that mean something to the network only.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Those that can be asked now.
    fn peers(&self) -> Vec<String>;

    /// Sends a question, which the peer's [`crate::Chain::answer`] answers.
    ///
    /// # Errors
    /// Why there is no answer. The caller limits the time.
    async fn ask(&self, peer: &str, request: Vec<u8>) -> Result<Vec<u8>, String>;

    /// Counts against a peer.
    fn fault(&self, peer: &str, fault: Fault);

    /// Gives something to everybody, whose [`crate::Chain::heard`] judges it.
    fn publish(&self, what: Gossip, bytes: Vec<u8>);
}

/// What is spread by gossip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gossip {
    /// The header of a new block with its certificate.
    Header,
    /// A transaction.
    Tx,
}

/// What a peer did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No honest node of this chain does this: be rid of it. With the reason.
    Severe(String),
    /// It happens to honest nodes too, only not often. With the reason.
    Mild(String),
}

/// What is to be done with something that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is good and new: pass it on.
    Accept,
    /// It is of no use here, or cannot be judged: do not pass it on, nobody is at fault.
    Ignore,
    /// No honest node passes this on. With the reason.
    Reject(String),
}
