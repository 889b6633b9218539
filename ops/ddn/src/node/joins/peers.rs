//! The chain's network: requests and gossip between its nodes, carried by the mesh.

use std::sync::Arc;

use async_trait::async_trait;
use chain::{Chain, Fault, Gossip, Peers};
use gateway::Upstream;
use ledger::PublicKey;
use named::mesh::{Handler, Mesh, Topic};
use tokio::sync::Semaphore;

use crate::node::digests::Digests;
use crate::node::look::Looker;
use crate::node::notices::Notices;
use crate::node::verdicts::Verdicts;

/// Requests and messages of the mesh that the chain works on at once. Each takes a thread and a disk, and a machine
/// has few of either; more wait, in the mesh's own bounded queues.
const AT_ONCE: usize = 8;

/// The mesh, as the gateway sees it: those who could have content.
pub struct MeshUpstream(pub Mesh);

impl Upstream for MeshUpstream {
    fn is_there(&self) -> bool {
        !self.0.peers().is_empty()
    }
}

/// The mesh, as the chain sees it. A peer's id is its node key in hex.
pub struct ChainPeers(pub Mesh);

#[async_trait]
impl Peers for ChainPeers {
    fn peers(&self) -> Vec<String> {
        self.0
            .peers()
            .into_iter()
            .map(|peer| peer.node.to_string())
            .collect()
    }

    async fn ask(&self, peer: &str, request: Vec<u8>) -> Result<Vec<u8>, String> {
        let peer: PublicKey = peer.parse().map_err(|error: ledger::Error| error.to_string())?;
        self.0
            .request(&peer, request)
            .await
            .map_err(|error| error.to_string())
    }

    fn fault(&self, peer: &str, fault: Fault) {
        let Ok(peer) = peer.parse() else { return };
        match fault {
            Fault::Severe(reason) => self.0.fault(&peer, true, &reason),
            Fault::Mild(reason) => self.0.fault(&peer, false, &reason),
        }
    }

    fn publish(&self, what: Gossip, bytes: Vec<u8>) {
        let topic = match what {
            Gossip::Header => Topic::Headers,
            Gossip::Tx => Topic::Tx,
        };
        self.0.publish(topic, bytes);
    }
}

/// The chain, as the mesh sees it. The chain reads a disk, so it answers on threads for that.
pub struct MeshHandler {
    chain: Chain,
    ears: Ears,
    turns: Arc<Semaphore>,
}

/// Who else in this node hears what peers say.
pub struct Ears {
    /// Peers who want to know how they are seen.
    pub looker: Arc<Looker>,
    /// Peers who send no readers here.
    pub notices: Arc<Notices>,
    /// How far readers are.
    pub digests: Arc<Digests>,
    /// Which edges failed.
    pub verdicts: Arc<Verdicts>,
}

impl MeshHandler {
    /// For a chain and whoever else hears.
    pub fn new(chain: Chain, ears: Ears) -> Self {
        Self {
            chain,
            ears,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// What edges say of others: whether it is of an edge, only the ledger knows.
    async fn hearsay(
        &self,
        judge: impl FnOnce() -> named::mesh::Verdict + Send + 'static,
    ) -> named::mesh::Verdict {
        let judged = self.work(move |_| judge()).await;
        judged.unwrap_or(named::mesh::Verdict::Ignore)
    }

    /// Work on the chain, in turn. `None` if it broke down, which is logged.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Chain) -> T + Send + 'static) -> Option<T> {
        // The semaphore is never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        let chain = self.chain.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&chain)
        });
        worked
            .await
            .inspect_err(|error| tracing::error!(%error, "the chain broke down over a message of the mesh"))
            .ok()
    }
}

#[async_trait]
impl Handler for MeshHandler {
    async fn gossip(&self, topic: Topic, from: PublicKey, data: Vec<u8>) -> named::mesh::Verdict {
        let what = match topic {
            Topic::Headers => Gossip::Header,
            Topic::Tx => Gossip::Tx,
            // The mesh judges adverts itself.
            Topic::Edges => return named::mesh::Verdict::Ignore,
            Topic::Places => {
                let digests = Arc::clone(&self.ears.digests);
                return self.hearsay(move || digests.heard(&from, &data)).await;
            }
            Topic::Failures => {
                let verdicts = Arc::clone(&self.ears.verdicts);
                return self.hearsay(move || verdicts.heard(&from, &data)).await;
            }
        };
        let heard = self.work(move |chain| chain.heard(what, &from.to_string(), &data));
        match heard.await {
            Some(chain::Verdict::Accept) => named::mesh::Verdict::Accept,
            Some(chain::Verdict::Reject(reason)) => named::mesh::Verdict::Reject(reason),
            Some(chain::Verdict::Ignore) | None => named::mesh::Verdict::Ignore,
        }
    }

    async fn request(&self, from: PublicKey, request: Vec<u8>) -> Vec<u8> {
        if let Some(answer) = self.ears.looker.answer(&from, &request).await {
            return answer;
        }
        if let Some(answer) = self.ears.notices.answer(&from, &request) {
            return answer;
        }
        self.work(move |chain| chain.answer(&request))
            .await
            .unwrap_or_default()
    }
}
