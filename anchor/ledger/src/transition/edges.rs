//! Edges: register, change, leave.

use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::keys::{Address, PublicKey, Signature};
use crate::state::{EdgeEntry, State, key};
use crate::tx::edge_consents;

/// What an edge offers.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    payout: Address,
    price: Amount,
    capacity: u32,
    traffic_max: u64,
}

impl Offer {
    pub(super) fn new(
        payout: Address,
        price: Amount,
        capacity: u32,
        traffic_max: u64,
    ) -> Result<Self, Refusal> {
        if capacity == 0 {
            return Err(Refusal::EdgeCapacity);
        }
        Ok(Self {
            payout,
            price,
            capacity,
            traffic_max,
        })
    }
}

impl Transition<'_> {
    pub(super) fn register_edge(
        &mut self,
        owner: &Address,
        node: &PublicKey,
        consent: &Signature,
        offer: Offer,
    ) -> Result<(), Refusal> {
        if let Some(edge) = self.overlay.edge(node)? {
            return Err(Refusal::EdgeTaken {
                node: node.to_string(),
                owner: self.show(&edge.owner),
            });
        }
        if !edge_consents(&self.genesis.chain_id, node, owner, consent) {
            return Err(Refusal::EdgeConsent {
                node: node.to_string(),
                owner: self.show(owner),
            });
        }
        self.write_edge(owner, node, offer, self.height);
        Ok(())
    }

    pub(super) fn set_edge(
        &mut self,
        sender: &Address,
        node: &PublicKey,
        offer: Offer,
    ) -> Result<(), Refusal> {
        let edge = self.own_edge(sender, node)?;
        self.write_edge(sender, node, offer, edge.registered);
        Ok(())
    }

    pub(super) fn leave_edge(&mut self, sender: &Address, node: &PublicKey) -> Result<(), Refusal> {
        self.own_edge(sender, node)?;
        self.overlay.remove(key::edge(node));
        Ok(())
    }

    fn own_edge(&self, sender: &Address, node: &PublicKey) -> Result<EdgeEntry, Refusal> {
        let edge = self.overlay.edge(node)?.ok_or_else(|| Refusal::EdgeUnknown {
            node: node.to_string(),
        })?;
        if edge.owner == *sender {
            return Ok(edge);
        }
        Err(Refusal::NotOwner {
            object: format!("node {node}"),
            owner: self.show(&edge.owner),
            sender: self.show(sender),
        })
    }

    fn write_edge(&mut self, owner: &Address, node: &PublicKey, offer: Offer, registered: u64) {
        let edge = EdgeEntry {
            owner: *owner,
            payout: offer.payout,
            price: offer.price,
            capacity: offer.capacity,
            traffic_max: offer.traffic_max,
            registered,
        };
        self.overlay.write(key::edge(node), &edge);
    }
}
