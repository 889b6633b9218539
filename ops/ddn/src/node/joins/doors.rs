//! What the gateway's doors ask of the node.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chain::Chain;
use cid::Cid;
use gateway::{Neighbour, Ranked, Served, Unreadable};
use ledger::{Hash, Label, PublicKey, SecretKey, Signed, State as _};
use named::mesh::{Advert, Mesh, Web};
use nearest::{Edge, Verdict};
use storage::Store;
use storage::ddp::Delivery;
use tokio::runtime::Handle;

use super::acquaintances::{EdgeRow, POLICY};
use super::{EdgeFinder, NodeBlocks};
use crate::node::places::Places;
use crate::node::receipts::{self, Shown};

/// How long providers are looked for; the mesh may take as long again once it has one.
const PROVIDERS_WITHIN: Duration = Duration::from_millis(250);

/// The HTTP servers of this node, as others reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webs {
    /// For readers.
    pub gateway: Option<Web>,
    /// For other nodes.
    pub provider: Vec<Web>,
}

/// The node, as the doors see it.
pub struct NodeDoors {
    /// The ledger.
    pub chain: Chain,
    /// The other nodes.
    pub mesh: Mesh,
    /// What is here.
    pub store: Store,
    /// Content and objects of the ledger.
    pub blocks: NodeBlocks,
    /// What was measured of others.
    pub finder: Arc<EdgeFinder>,
    /// How far readers are.
    pub places: Places,
    /// The books of deliveries.
    pub delivery: Delivery,
    /// Signs.
    pub key: SecretKey,
    /// Requests that the gateway takes at once.
    pub capacity: u32,
    /// Known once the gateway listens.
    pub webs: Arc<OnceLock<Webs>>,
    /// For questions to the network.
    pub runtime: Handle,
}

impl NodeDoors {
    fn webs(&self) -> Webs {
        self.webs.get().cloned().unwrap_or_default()
    }

    fn is_registered(&self, node: &PublicKey) -> bool {
        let entry = self.chain.state().edge(node);
        entry.is_ok_and(|entry| entry.is_some())
    }
}

impl gateway::Node for NodeDoors {
    fn myself(&self) -> Neighbour {
        let Webs { gateway, provider } = self.webs();
        Neighbour {
            node: self.key.public(),
            gateway,
            provider,
        }
    }

    fn neighbours(&self) -> Vec<Neighbour> {
        let me = self.key.public();
        let others = self.mesh.adverts().into_iter().filter(|advert| advert.node != me);
        others.map(neighbour).collect()
    }

    fn has(&self, cid: &Cid) -> Result<bool, Unreadable> {
        let here = self.store.has(cid).and_then(|has| match has {
            true => Ok(true),
            // Objects of the ledger are blocks too.
            false => Ok(storage::Blocks::block(&self.blocks, cid)?.is_some()),
        });
        here.map_err(|error| Unreadable::new(error.to_string()))
    }

    fn providers(&self, root: &Cid) -> Vec<PublicKey> {
        self.runtime.block_on(self.mesh.providers(root, PROVIDERS_WITHIN))
    }

    fn nearest(&self, content: &[u8], user: IpAddr) -> Vec<Ranked> {
        let myself = self.myself();
        let mut rows: HashMap<[u8; 32], Row> = HashMap::new();
        for row in self.finder.table() {
            let (edge, how) = as_seen_by(user, row.as_edge(), &row.addresses);
            rows.insert(edge.id, Row::new(row.neighbour(), edge, how));
        }
        let mine = Edge {
            id: *myself.node.as_bytes(),
            rtt_us: MINE_US,
            capacity: self.capacity,
            inflight: self.delivery.load(),
            alive: true,
        };
        rows.insert(
            mine.id,
            Row::new(myself, mine, "this node, to which the user came"),
        );
        let edges: Vec<Edge> = rows.values().map(|row| row.edge).collect();
        let ranked = POLICY.choose(content, &edges).ranked;
        let me = self.key.public();
        ranked
            .iter()
            .filter_map(|verdict| {
                let row = rows.remove(&verdict.edge.id)?;
                let registered = row.neighbour.node == me || self.is_registered(&row.neighbour.node);
                Some(row.ranked(verdict, registered))
            })
            .collect()
    }

    fn measured(&self, reader: IpAddr, rtt_us: u32) {
        self.places.note(reader, rtt_us);
    }

    fn prove(&self, label: &Label) -> Result<Vec<u8>, Unreadable> {
        let bundle = self.chain.prove(&ledger::key::name(label));
        let bundle = bundle.map_err(|error| Unreadable::new(error.to_string()))?;
        Ok(bundle.encode())
    }

    fn delivery(&self, id: &Hash) -> Result<Option<Vec<u8>>, Unreadable> {
        let shown = receipts::show(&self.chain, &self.delivery, id);
        let shown = shown.map_err(|error| Unreadable::new(error.to_string()))?;
        Ok(shown.map(|shown| match shown {
            Shown::Receipt(receipt) => ledger::encode(&*receipt),
            Shown::Proof(proof) => proof.encode(),
        }))
    }

    fn sign(&self, served: Served) -> Signed<Served> {
        Signed::sign(served, &self.chain.genesis().chain_id, &self.key)
    }
}

fn neighbour(advert: Advert) -> Neighbour {
    Neighbour {
        node: advert.node,
        gateway: advert.gateway,
        provider: advert.provider.into_iter().collect(),
    }
}

/// An edge on its way to its place.
struct Row {
    neighbour: Neighbour,
    edge: Edge,
    how: &'static str,
}

impl Row {
    fn new(neighbour: Neighbour, edge: Edge, how: &'static str) -> Self {
        Self { neighbour, edge, how }
    }

    fn ranked(self, verdict: &Verdict, registered: bool) -> Ranked {
        Ranked {
            rtt_us: (self.edge.rtt_us != u32::MAX).then_some(self.edge.rtt_us),
            chosen: matches!(verdict.why, nearest::Why::Chosen { .. }),
            why: format!("{}; {}", verdict.why, self.how),
            neighbour: self.neighbour,
            registered,
        }
    }
}

/// How far this node is from a user who came to it: nearer than all but those in the user's own network.
const MINE_US: u32 = 1;

/// An edge as it is for a user at this address, and how that is known. The user is taken to be where this node is, since it
/// came here; only who shares its network is certainly nearer.
fn as_seen_by(user: IpAddr, edge: Edge, addresses: &[SocketAddr]) -> (Edge, &'static str) {
    let is_near = addresses
        .iter()
        .any(|address| network(address.ip()) == network(user));
    match (is_near, edge.rtt_us) {
        (true, _) => (Edge { rtt_us: 0, ..edge }, "in the user's own network"),
        (false, u32::MAX) => (edge, "its distance is not known"),
        (false, _) => (edge, "its distance is from here"),
    }
}

/// The network of an address: /24, or /48.
fn network(ip: IpAddr) -> (bool, u128) {
    match ip.to_canonical() {
        IpAddr::V4(ip) => (false, u128::from(ip.to_bits() >> 8)),
        IpAddr::V6(ip) => (true, ip.to_bits() >> 80),
    }
}

impl EdgeRow {
    fn neighbour(&self) -> Neighbour {
        Neighbour {
            node: self.node,
            gateway: self.gateway.clone(),
            provider: self.provider.iter().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_the_users_network_is_nearest() {
        let edge = |rtt_us| Edge {
            id: [1; 32],
            rtt_us,
            capacity: 1,
            inflight: 0,
            alive: true,
        };
        for (user, address, rtt_us, expected) in [
            ("192.0.2.9", "192.0.2.1:4102", 900, 0),
            ("::ffff:192.0.2.9", "192.0.2.1:4102", 900, 0),
            ("192.0.3.9", "192.0.2.1:4102", 900, 900),
            ("192.0.3.9", "192.0.2.1:4102", u32::MAX, u32::MAX),
            ("2001:db8:1::1", "[2001:db8:1:2::3]:1", 900, 0),
            ("2001:db8:2::1", "[2001:db8:1::3]:1", 900, 900),
        ] {
            let (user, address) = (
                user.parse().expect("an address"),
                address.parse().expect("an address"),
            );
            let (seen, _) = as_seen_by(user, edge(rtt_us), &[address]);
            assert_eq!(seen.rtt_us, expected, "{user} {address}");
        }
    }
}
