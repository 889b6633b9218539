//! The records of delegated routing: the schema `peer`.

use serde::Serialize;

use super::Neighbour;

/// The transfer protocol of an HTTP server that gives raw blocks and CARs.
const GATEWAY: &str = "transport-ipfs-gateway-http";

/// A node and where it can be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Record {
    pub schema: &'static str,
    /// The peer id. Clients want one even of nodes that they reach over HTTP only.
    #[serde(rename = "ID")]
    pub id: String,
    /// Multiaddrs.
    pub addrs: Vec<String>,
    /// Transfer protocols.
    pub protocols: Vec<&'static str>,
}

impl Record {
    pub(super) fn of(node: &Neighbour) -> Self {
        let gives = !node.provider.is_empty();
        Self {
            schema: "peer",
            id: named::mesh::peer_id(&node.node),
            addrs: node.provider.iter().map(named::mesh::Web::multiaddr).collect(),
            protocols: gives.then_some(GATEWAY).into_iter().collect(),
        }
    }
}
