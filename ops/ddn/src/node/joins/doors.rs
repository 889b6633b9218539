//! What the gateway's doors ask of the node.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chain::Chain;
use cid::Cid;
use gateway::{Neighbour, Ranked, Served, Unreadable};
use ledger::{Hash, Label, PublicKey, SecretKey, Signed};
use named::mesh::{Advert, Mesh, Web};
use nearest::{Verdict, Why};
use storage::Store;
use storage::ddp::Delivery;
use tokio::runtime::Handle;

use super::NodeBlocks;
use crate::node::edges::{Edges, Known};
use crate::node::places::Places;
use crate::node::receipts::{self, Shown};

/// How long providers are looked for; the mesh may take as long again once it has one.
const PROVIDERS_WITHIN: Duration = Duration::from_millis(250);

/// The HTTP servers of this node, as others reach them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webs {
    /// For readers.
    pub gateway: Option<Web>,
    /// The port of the gateway.
    pub port: u16,
    /// The port of its encrypted side.
    pub tls_port: Option<NonZeroU16>,
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
    /// The edges, and how far they are.
    pub edges: Arc<Edges>,
    /// How far readers are.
    pub places: Places,
    /// The books of deliveries.
    pub delivery: Delivery,
    /// Signs.
    pub key: SecretKey,
    /// Known once the gateway listens.
    pub webs: Arc<OnceLock<Webs>>,
    /// For questions to the network.
    pub runtime: Handle,
}

impl NodeDoors {
    fn webs(&self) -> Webs {
        self.webs.get().cloned().unwrap_or_default()
    }
}

impl gateway::Node for NodeDoors {
    fn myself(&self) -> Neighbour {
        let Webs {
            gateway, provider, ..
        } = self.webs();
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
        let view = self.edges.view();
        let is_registered = |known: &Known| known.is_registered;
        let ranking = self.edges.rank(&view, content, Some(user), is_registered);
        let verdicts = ranking.choice.ranked.iter();
        let mut ranked: Vec<Ranked> = verdicts
            .filter_map(|verdict| Some(row(view.find(&verdict.edge.id)?, verdict)))
            .collect();
        let nobody = !ranked.iter().any(|ranked| ranked.chosen);
        let others = view.candidates.iter().filter(|known| !known.is_registered);
        // Who came here and has nowhere to go stays here.
        ranked.extend(
            others.map(|known| unranked(known, known.is_here && nobody, "the ledger does not know it")),
        );
        ranked.extend(
            view.passed_over
                .iter()
                .map(|(known, why)| unranked(known, false, &why.to_string())),
        );
        ranked.sort_by_key(|ranked| !ranked.chosen);
        ranked
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

/// An edge in its place, and why it is there.
fn row(known: &Known, verdict: &Verdict) -> Ranked {
    let edge = &verdict.edge;
    let how = match (known.is_here, edge.rtt_us == known.edge.rtt_us) {
        (true, _) => "this node, to which the user came".to_owned(),
        (false, true) => known.distance.to_string(),
        (false, false) => "as it is for that place".to_owned(),
    };
    Ranked {
        neighbour: neighbour_of(known),
        rtt_us: (edge.rtt_us != u32::MAX).then_some(edge.rtt_us),
        chosen: matches!(verdict.why, Why::Chosen { .. }),
        registered: known.is_registered,
        why: format!(
            "{}; {how}, {} of {} in hand",
            verdict.why, edge.inflight, edge.capacity
        ),
    }
}

/// An edge that was not among those to choose from.
fn unranked(known: &Known, chosen: bool, why: &str) -> Ranked {
    Ranked {
        neighbour: neighbour_of(known),
        rtt_us: (known.edge.rtt_us != u32::MAX).then_some(known.edge.rtt_us),
        chosen,
        registered: known.is_registered || chosen,
        why: match chosen {
            true => format!("chosen: the user came here, and no other edge has room; {why}"),
            false => why.to_owned(),
        },
    }
}

fn neighbour_of(known: &Known) -> Neighbour {
    Neighbour {
        node: known.node,
        gateway: known.gateway.clone(),
        provider: known.provider.clone(),
    }
}
