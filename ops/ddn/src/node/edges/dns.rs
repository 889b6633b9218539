//! The edges as the DNS server names them.

use std::net::IpAddr;
use std::sync::Arc;

use cid::Cid;
use named::dap::{self, Resolution, Zones};
use named::dns::{Near, Nearest, Network};
use nearest::Why;

use super::Edges;
use super::view::{Known, Ranking, View, place_bits};
use crate::node::Node;
use crate::node::joins::ChainNames;

/// Edges that an answer names: the chosen one, and those to turn to if it is gone before the answer is.
const NAMED_MAX: usize = 3;
/// Fewer are named if the others are so much farther than the chosen one, in microseconds: who asks may take any of them.
const NEAR_US: u32 = 30_000;
/// But so many in any case.
const NAMED_MIN: usize = 2;

/// Names the edges that are near and have room.
pub struct NamedEdges {
    edges: Arc<Edges>,
    names: ChainNames,
    zones: Zones,
    tld: String,
    configured: Vec<IpAddr>,
}

impl NamedEdges {
    /// Of the edges that a node knows, else of those that its settings name.
    pub fn of(node: &Node) -> Self {
        let (dns, tld) = (&node.config.settings.dns, &node.chain.genesis().tld);
        Self {
            edges: Arc::clone(&node.edges),
            names: ChainNames::at_tip(node.chain.clone(), Arc::clone(&node.others)),
            zones: Zones::new(node.others.tlds(), &dns.alias_zones),
            tld: tld.clone(),
            configured: dns.edges.clone(),
        }
    }

    /// The bytes by which a host's content has its homes: those of its root, as the gateway has them, else of its name.
    fn key(&self, host: &str) -> Vec<u8> {
        if let Some(cid) = cid_of(host) {
            return cid.to_bytes();
        }
        let found = self
            .zones
            .name(host)
            .and_then(|name| dap::resolve(&self.names, &name).ok());
        match found {
            Some(Resolution::Found { records, .. }) => records.content.map(|link| link.0.to_bytes()),
            _ => None,
        }
        .unwrap_or_else(|| host.as_bytes().to_vec())
    }

    /// Those that are known for somebody in `client`, and on how much of it that depends.
    fn known(&self, host: &str, client: Network) -> (Vec<IpAddr>, u8) {
        let view = self.edges.view();
        let Some(own_port) = view.candidates.first().map(|here| here.port) else {
            return (Vec::new(), 0);
        };
        let reader = client.address();
        let is_one = |known: &Known| {
            known.is_registered && known.is_found_by_address(own_port) && known.serves(host, &self.tld)
        };
        let may = |known: &Known| is_one(known) && known.doors_for(reader).next().is_some();
        // Whoever is in a private network may be sent to what is in one, others not.
        let mut doors = view
            .candidates
            .iter()
            .filter(|known| is_one(known))
            .flat_map(|known| &known.doors);
        let by_kind = match doors.any(|door| named::mesh::is_local(*door)) {
            true => client.bits(),
            false => 0,
        };
        if !view.candidates.iter().any(may) {
            return (Vec::new(), by_kind);
        }
        // Of a network that is wider than a place nobody knows how far it is.
        let place = (client.bits() >= place_bits(reader)).then_some(reader);
        let ranking = self.edges.rank(&view, &self.key(host), place, may);
        (addresses(&view, &ranking, reader), ranking.bits.max(by_kind))
    }
}

impl Nearest for NamedEdges {
    fn edges_for(&self, host: &str, client: Network) -> Near {
        let (mut addresses, scope) = self.known(host, client);
        if addresses.is_empty() {
            addresses.clone_from(&self.configured);
        }
        Near { addresses, scope }
    }
}

/// The chosen one, then the others by distance. If nobody has room, the nearest are better than none.
pub(super) fn addresses(view: &View, ranking: &Ranking, reader: IpAddr) -> Vec<IpAddr> {
    let mut usable: Vec<&nearest::Edge> = ranking.choice.usable().collect();
    if usable.is_empty() {
        let full = |why: &Why| matches!(why, Why::Full { .. });
        let all = ranking.choice.ranked.iter();
        usable = all
            .filter(|verdict| full(&verdict.why))
            .map(|verdict| &verdict.edge)
            .collect();
        usable.sort_by_key(|edge| edge.rtt_us);
    }
    let Some((chosen, others)) = usable.split_first() else {
        return Vec::new();
    };
    let mut others = others.to_vec();
    others.sort_by_key(|edge| edge.rtt_us);
    let is_named = |(place, edge): &(usize, &nearest::Edge)| {
        place + 1 < NAMED_MIN || edge.rtt_us <= chosen.rtt_us.saturating_add(NEAR_US)
    };
    let others = others
        .into_iter()
        .take(NAMED_MAX - 1)
        .enumerate()
        .filter(is_named)
        .map(|(_, edge)| edge);
    let doors = |edge: &nearest::Edge| {
        let known = view.find(&edge.id);
        known
            .map(|known| known.doors_for(reader).collect::<Vec<_>>())
            .unwrap_or_default()
    };
    std::iter::once(*chosen).chain(others).flat_map(doors).collect()
}

/// The CID that a host begins with: `CID.ipfs.HOST`.
fn cid_of(host: &str) -> Option<Cid> {
    let (label, rest) = host.split_once('.')?;
    rest.starts_with("ipfs.").then(|| label.parse().ok()).flatten()
}
