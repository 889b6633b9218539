//! What the doors need of the node behind the gateway.

use std::net::IpAddr;

use cid::Cid;
use ledger::{Hash, Label, PublicKey, Signed};
use named::mesh::Web;

use super::Served;

/// The node behind the gateway. Calls may block on a disk; the one that asks others says for how long.
pub trait Node: Send + Sync {
    /// This node, as others reach it. From memory.
    fn myself(&self) -> Neighbour;

    /// The other nodes that advertise themselves. From memory.
    fn neighbours(&self) -> Vec<Neighbour>;

    /// Whether a block is on this machine. The block is not read: clients ask for each.
    ///
    /// # Errors
    /// The disk could not be read.
    fn has(&self, cid: &Cid) -> Result<bool, Unreadable>;

    /// Which others say that they have the DAG under `root`. Asks the network, and waits for at most half a second.
    fn providers(&self, root: &Cid) -> Vec<PublicKey>;

    /// Every edge that could serve `content`, a key of any bytes, to a user at this address: best first.
    fn nearest(&self, content: &[u8], user: IpAddr) -> Vec<Ranked>;

    /// Takes note of the round-trip time of a reader's connection, in microseconds, when it ends. In memory, and fast: the
    /// thread serves other connections.
    fn measured(&self, reader: IpAddr, rtt_us: u32);

    /// Proves what the ledger says under a label, or that it says nothing: an encoded [`ledger::Bundle`].
    ///
    /// # Errors
    /// The state could not be read, or there is no block yet.
    fn prove(&self, label: &Label) -> Result<Vec<u8>, Unreadable>;

    /// The receipt of a delivery to another node: an encoded [`ledger::DeliveryProof`] once a claim has taken it to the
    /// ledger, an encoded [`ledger::Receipt`] before.
    ///
    /// # Errors
    /// The books could not be read.
    fn delivery(&self, id: &Hash) -> Result<Option<Vec<u8>>, Unreadable>;

    /// Signs what this node served, with its key and for its chain.
    fn sign(&self, served: Served) -> Signed<Served>;
}

/// A node and its HTTP servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Who it is.
    pub node: PublicKey,
    /// Where readers reach it.
    pub gateway: Option<Web>,
    /// Where IPFS clients get single blocks from it.
    pub provider: Vec<Web>,
}

/// An edge in the order in which it should serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Who, and where.
    pub neighbour: Neighbour,
    /// How far it is thought to be from the user, in microseconds; none if nothing is known.
    pub rtt_us: Option<u32>,
    /// Whether it is to serve: the first with room. One in the list at most.
    pub chosen: bool,
    /// Whether the ledger knows it, so that somebody stands behind its address.
    pub registered: bool,
    /// The reason for its place, one line.
    pub why: String,
}

/// The node could not read what it keeps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl Unreadable {
    /// With the reason, in words for an operator.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}
