//! Edges: register, change, leave.

use super::money::{Bill, impossible};
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
        bill: Bill,
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
        self.check_free(node)?;
        let bond = self.rebond(node, owner)?;
        self.pay_price(owner, bill)?;
        self.write_edge(owner, node, offer, self.height, with(bond, bill)?)
    }

    pub(super) fn set_edge(
        &mut self,
        sender: &Address,
        node: &PublicKey,
        offer: Offer,
        bill: Bill,
    ) -> Result<(), Refusal> {
        let edge = self.own_edge(sender, node)?;
        self.pay_price(sender, bill)?;
        self.write_edge(sender, node, offer, edge.registered, with(edge.bond, bill)?)
    }

    pub(super) fn leave_edge(&mut self, sender: &Address, node: &PublicKey) -> Result<(), Refusal> {
        let edge = self.own_edge(sender, node)?;
        self.overlay.remove(key::edge(node));
        self.unbond(node, edge.owner, edge.bond)
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

    fn write_edge(
        &mut self,
        owner: &Address,
        node: &PublicKey,
        offer: Offer,
        registered: u64,
        bond: Amount,
    ) -> Result<(), Refusal> {
        let least = self.genesis.delivery.bond_min;
        if bond < least {
            let node = node.to_string();
            return Err(Refusal::EdgeBond { node, bond, least });
        }
        let edge = EdgeEntry {
            owner: *owner,
            payout: offer.payout,
            price: offer.price,
            capacity: offer.capacity,
            traffic_max: offer.traffic_max,
            registered,
            bond,
        };
        self.overlay.write(key::edge(node), &edge);
        Ok(())
    }
}

/// A bond with what is added to it, which is the bill's price.
fn with(bond: Amount, bill: Bill) -> Result<Amount, Refusal> {
    bond.checked_add(bill.price).ok_or_else(impossible)
}
