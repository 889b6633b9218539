//! Who has what: provider records and adverts of the mesh, ranked by what this node measured itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cid::Cid;
use futures::future::join_all;
use ledger::{Amount, PublicKey};
use named::mesh::{Advert, Mesh, Relay};
use storage::ddp::{Finder, Outcome, Provider, RelayNode};

use super::acquaintances::{Acquaintances, Candidate, EdgeRow};
use crate::node::edges::Edges;

/// How long provider records are looked for; the mesh may take as long again once it has one. With the endpoints below,
/// a search stays within its second.
const PROVIDERS_WITHIN: Duration = Duration::from_millis(300);
/// How long the addresses of providers are looked for that advertise none.
const ENDPOINTS_WITHIN: Duration = Duration::from_millis(200);
/// The most providers that are considered: more are no better, and each costs a look-up.
const PROVIDERS_MAX: usize = 24;
/// The edges that are asked for content of which no provider is known.
const NEAREST_ASKED: usize = 4;

/// Finds providers.
pub struct EdgeFinder {
    mesh: Mesh,
    edges: Arc<Edges>,
    known: Mutex<Acquaintances>,
}

impl EdgeFinder {
    /// On a mesh, with what is known of its edges.
    pub fn new(mesh: Mesh, edges: Arc<Edges>) -> Self {
        Self {
            mesh,
            edges,
            known: Mutex::default(),
        }
    }

    /// Every other edge that advertises itself, nearest first.
    pub fn table(&self) -> Vec<EdgeRow> {
        let (adverts, pings, now) = (self.adverts(), self.pings(), Instant::now());
        let known = self.known();
        let row = |advert: Advert| EdgeRow {
            rtt_us: self.rtt_us(&advert.node, &known, &pings),
            record: known.record(&advert.node, now),
            node: advert.node,
            addresses: advert.addresses,
            payee: advert.payee,
            price: advert.price,
            capacity: advert.capacity,
            load: advert.load,
            height: advert.height,
            health: advert.health,
        };
        let mut rows: Vec<EdgeRow> = adverts.into_values().map(row).collect();
        rows.sort_by_key(|row| (row.rtt_us.unwrap_or(u32::MAX), row.node));
        rows
    }

    /// The adverts of others that are in force.
    fn adverts(&self) -> HashMap<PublicKey, Advert> {
        let me = self.mesh.node_id();
        let others = self.mesh.adverts().into_iter().filter(|advert| advert.node != me);
        others.map(|advert| (advert.node, advert)).collect()
    }

    fn pings(&self) -> HashMap<PublicKey, u32> {
        let peers = self.mesh.peers().into_iter();
        peers.filter_map(|peer| Some((peer.node, peer.rtt_us?))).collect()
    }

    /// By the probes of edges, by sessions, else by the mesh's ping.
    fn rtt_us(
        &self,
        node: &PublicKey,
        known: &Acquaintances,
        pings: &HashMap<PublicKey, u32>,
    ) -> Option<u32> {
        let probed = self.edges.rtt_us(node);
        probed.or(known.rtt_us(node)).or(pings.get(node).copied())
    }

    /// The relays that others advertise, none dearer than this, in the order in which this node should try them: near, with
    /// room, and not where it failed a moment ago.
    pub fn relays(&self, price_max: Amount) -> Vec<RelayNode> {
        let (adverts, pings, known) = (self.adverts(), self.pings(), self.known());
        let offers: HashMap<PublicKey, Relay> = adverts
            .values()
            .filter_map(|advert| Some((advert.node, advert.relay.clone()?)))
            .filter(|(_, relay)| relay.price <= price_max && relay.free > 0)
            .collect();
        let candidates = offers.iter().filter_map(|(node, relay)| {
            Some(Candidate {
                node: *node,
                addresses: adverts.get(node)?.addresses.clone(),
                relay: None,
                ping_us: self.edges.rtt_us(node).or(pings.get(node).copied()),
                stands: self.edges.stands(node),
                advertised: Some((relay.capacity, relay.capacity - relay.free)),
            })
        });
        let ordered = known.order_relays(&self.mesh.node_id(), candidates.collect(), Instant::now());
        let relay = |provider: Provider| {
            let address = offers.get(&provider.node)?.address;
            Some(RelayNode { provider, address })
        };
        ordered.into_iter().filter_map(relay).collect()
    }

    /// This node has left a relay, for this reason.
    pub fn left_relay(&self, node: &PublicKey, failure: &str) {
        let outcome = Outcome {
            failure: Some(failure.to_owned()),
            ..Outcome::default()
        };
        self.known().note(node, &outcome, Instant::now());
    }

    /// Those that say they have the content; a bounded number of them.
    async fn provided(&self, root: &Cid) -> Vec<PublicKey> {
        let me = self.mesh.node_id();
        let mut nodes = self.mesh.providers(root, PROVIDERS_WITHIN).await;
        nodes.retain(|node| *node != me);
        nodes.truncate(PROVIDERS_MAX);
        nodes
    }

    /// A node with its addresses: as it advertises, else by its endpoint record.
    async fn candidate(&self, node: PublicKey, advert: Option<&Advert>, ping_us: Option<u32>) -> Candidate {
        let (addresses, relay) = match advert {
            Some(advert) => (advert.addresses.clone(), advert.home_relay),
            None => {
                let endpoint = self.mesh.endpoint(&node, ENDPOINTS_WITHIN).await;
                endpoint
                    .map(|endpoint| (endpoint.addresses, endpoint.home_relay))
                    .unwrap_or_default()
            }
        };
        Candidate {
            node,
            addresses,
            relay,
            ping_us,
            // Whoever is behind a NAT answers no probe; how its sessions go says what it is worth.
            stands: relay.is_some() || self.edges.stands(&node),
            advertised: advert.map(|advert| (advert.capacity, advert.load)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Acquaintances> {
        // Each note is one change: a panic leaves nothing half-done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Finder for EdgeFinder {
    async fn providers(&self, root: &Cid) -> Vec<Provider> {
        let provided = self.provided(root).await;
        let (adverts, pings) = (self.adverts(), self.pings());
        let nobody_says = provided.is_empty();
        let nodes = match nobody_says {
            true => adverts.keys().copied().collect(),
            false => provided,
        };
        let candidates = nodes.into_iter().map(|node| {
            let advert = adverts.get(&node);
            let ping_us = self.edges.rtt_us(&node).or(pings.get(&node).copied());
            self.candidate(node, advert, ping_us)
        });
        let candidates = join_all(candidates).await;
        let mut ordered = self.known().order(&root.to_bytes(), candidates, Instant::now());
        if nobody_says {
            ordered.truncate(NEAREST_ASKED);
        }
        ordered
    }

    fn outcome(&self, node: &PublicKey, outcome: Outcome) {
        if let Some(failure) = &outcome.failure {
            tracing::info!(%node, lied = outcome.lied, "a delivery failed: {failure}");
            if outcome.lied {
                self.mesh.fault(node, false, failure);
            }
        }
        self.edges.note(node, &outcome);
        self.known().note(node, &outcome, Instant::now());
    }

    fn fetched(&self, root: &Cid) {
        self.mesh.provide(root);
    }
}
