//! The node among others: its peers, and what is wrong with it, if anything.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/peers`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PeerList {
    /// Where this node is reached: multiaddrs for `ddn up --join`.
    pub addresses: Vec<String>,
    /// The peers that it is connected to.
    pub peers: Vec<PeerView>,
    /// Who was refused or could not be reached lately, and why.
    pub refused: Vec<RefusedView>,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerView {
    /// Its node key, hex.
    pub node: String,
    /// The same as a libp2p peer id.
    pub peer_id: String,
    /// Its address: a multiaddr.
    pub address: String,
    /// Whether it connected to this node; else this node connected to it.
    pub inbound: bool,
    /// Round-trip time in microseconds; `null` until it is measured.
    pub rtt_us: Option<u32>,
    /// Below zero if it misbehaved.
    pub score: i64,
    /// The program that it runs, as it says.
    pub agent: String,
    /// Since when it is connected.
    pub since_ms: u64,
}

/// Somebody who is not a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedView {
    /// Its address or peer id.
    pub who: String,
    /// Why not.
    pub reason: String,
}

/// Answer of `GET /v1/doctor`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// What: `peers`, `sync`, `clock`, `disk`, `edge`, `escrow`, `earnings`, `pins`, `readers`; `outside-mesh`,
    /// `outside-delivery`, `outside-gateway`, `outside-dns` (as peers see the ports); `delegation` (as the public DNS sees the zones); `mesh`,
    /// `delivery` (as this machine sees the ports).
    pub name: String,
    /// How it is.
    pub verdict: CheckVerdict,
    /// One line: what was found, and, if it is not well, what to do.
    pub text: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// Well.
    Ok,
    /// The node works, but somebody should look.
    Warn,
    /// The node does not do this part of its work.
    Fail,
}

impl Check {
    /// A check that found nothing wrong.
    pub fn ok(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, CheckVerdict::Ok, text)
    }

    /// A check that somebody should look at.
    pub fn warn(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, CheckVerdict::Warn, text)
    }

    /// A check that failed.
    pub fn fail(name: &str, text: impl Into<String>) -> Self {
        Self::new(name, CheckVerdict::Fail, text)
    }

    fn new(name: &str, verdict: CheckVerdict, text: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            verdict,
            text: text.into(),
        }
    }
}
