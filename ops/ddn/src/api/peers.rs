//! The node's peers in the mesh, and who is none.

use axum::Json;
use axum::extract::State;
use named::mesh::{Peer, Refused};

use super::types::{ErrorBody, PeerList, PeerView, RefusedView};
use super::{Answer, Shared, paths};

/// The peers of this node, and who was refused.
#[utoipa::path(get, path = paths::PEERS, responses((status = 200, body = PeerList), (status = "default", body = ErrorBody)))]
pub async fn list(State(node): Shared) -> Answer<PeerList> {
    Ok(Json(PeerList {
        addresses: node.mesh.addresses(),
        peers: node.mesh.peers().into_iter().map(peer).collect(),
        refused: node.mesh.refused().into_iter().map(refused).collect(),
    }))
}

fn peer(peer: Peer) -> PeerView {
    PeerView {
        node: peer.node.to_string(),
        peer_id: peer.peer_id,
        address: peer.address,
        inbound: peer.inbound,
        rtt_us: peer.rtt_us,
        score: peer.score,
        agent: peer.agent,
        since_ms: peer.since_ms,
    }
}

fn refused(refused: Refused) -> RefusedView {
    RefusedView {
        who: refused.who,
        reason: refused.reason,
    }
}
