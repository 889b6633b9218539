//! Fraud proofs, and the bonds that they take.
//!
//! A bond is locked with its edge, and for a while after the edge has left, in an entry of its own: so long that a lie of the
//! last block can still be proved. Who proves a lie gets a small part, the rest is burnt, and the node's key is out for ever.
//! A proof can be copied on its way by whoever makes the block: then the copy gets that part, and the liar loses all the same.

use super::money::impossible;
use super::{Refusal, Transition};
use crate::amount::Amount;
use crate::genesis::part_of;
use crate::keys::{Address, PublicKey};
use crate::payment::{FraudProof, Statement};
use crate::state::{Bond, Conviction, State, key};

impl Transition<'_> {
    pub(super) fn fraud(&mut self, by: &Address, proof: &FraudProof) -> Result<(), Refusal> {
        let node = proof.node();
        self.check_free(node)?;
        self.check_age(proof.statement().body.height)?;
        let nothing = |reason: &str| Refusal::FraudProvesNothing {
            node: node.to_string(),
            reason: reason.into(),
        };
        if !proof.holds(&self.genesis.chain_id) {
            return Err(nothing(
                "it needs words that contradict each other, all signed by its key",
            ));
        }
        if let FraudProof::Withdrawn { statement } = proof
            && let Some(reason) = self.allowed(&statement.body)?
        {
            return Err(nothing(&reason));
        }
        let bond = self.take_bond(node)?;
        let bounty = part_of(bond, self.genesis.delivery.bounty);
        self.credit(by, bounty)?;
        self.burn(bond.checked_sub(bounty).ok_or_else(impossible)?)?;
        let conviction = Conviction {
            height: self.height,
            offence: proof.offence(),
            by: *by,
            bond,
        };
        self.overlay.write(key::conviction(node), &conviction);
        Ok(())
    }

    /// Whether a node was never convicted.
    pub(super) fn check_free(&self, node: &PublicKey) -> Result<(), Refusal> {
        self.overlay.conviction(node)?.map_or(Ok(()), |found| {
            Err(Refusal::EdgeConvicted {
                node: node.to_string(),
                height: found.height,
            })
        })
    }

    /// Whether evidence of a height is taken.
    pub(super) fn check_age(&self, height: u64) -> Result<(), Refusal> {
        let oldest = self.height.saturating_sub(self.genesis.election.evidence_age);
        let newest = self.height;
        if (oldest..=newest).contains(&height) {
            return Ok(());
        }
        Err(Refusal::EvidenceAge {
            height,
            oldest,
            newest,
        })
    }

    /// Why a node could state this delivery; `None` if its root had been withdrawn for too long.
    fn allowed(&self, said: &Statement) -> Result<Option<String>, Refusal> {
        let Some(grace) = self.genesis.delivery.withdrawn_grace else {
            return Ok(Some(
                "this chain does not punish deliveries of withdrawn assets".into(),
            ));
        };
        let asset = self.overlay.asset(&said.root.0)?;
        let Some(withdrawn) = asset.and_then(|asset| asset.tombstone) else {
            return Ok(Some(format!("{} is no withdrawn asset", said.root)));
        };
        let last = withdrawn.saturating_add(grace);
        Ok((said.height <= last).then(|| {
            format!(
                "until height {last} it could state deliveries of {}, this is of {}",
                said.root, said.height
            )
        }))
    }

    /// All that a node has at stake, whether it is registered or has left; both entries are gone.
    fn take_bond(&mut self, node: &PublicKey) -> Result<Amount, Refusal> {
        let registered = self.overlay.edge(node)?.map(|edge| edge.bond);
        let left = self.overlay.bond(node)?.map(|bond| bond.amount);
        self.overlay.remove(key::edge(node));
        self.overlay.remove(key::bond(node));
        let sum = registered
            .unwrap_or_default()
            .checked_add(left.unwrap_or_default());
        sum.ok_or_else(impossible)
    }

    /// The bond of an edge that leaves stays locked.
    pub(super) fn unbond(&mut self, node: &PublicKey, owner: Address, amount: Amount) -> Result<(), Refusal> {
        if amount.is_zero() {
            return Ok(());
        }
        let until = self.height.saturating_add(self.genesis.election.unbonding);
        let bond = Bond { owner, amount, until };
        self.overlay.write(key::bond(node), &bond);
        let place = key::unbonded(until);
        let mut nodes: Vec<PublicKey> = self.overlay.read(&place)?.unwrap_or_default();
        nodes.push(*node);
        self.overlay.write(place, &nodes);
        Ok(())
    }

    /// What an owner still has locked for a node that comes back: it is its bond again.
    pub(super) fn rebond(&mut self, node: &PublicKey, owner: &Address) -> Result<Amount, Refusal> {
        let Some(bond) = self.overlay.bond(node)? else {
            return Ok(Amount::ZERO);
        };
        if bond.owner != *owner {
            return Err(Refusal::EdgeBonded {
                node: node.to_string(),
                owner: self.show(&bond.owner),
                until: bond.until,
            });
        }
        self.overlay.remove(key::bond(node));
        Ok(bond.amount)
    }

    /// Gives back the bonds whose time ends with this block.
    pub(super) fn free_bonds(&mut self) -> Result<(), Refusal> {
        let place = key::unbonded(self.height);
        let Some(nodes) = self.overlay.read::<Vec<PublicKey>>(&place)? else {
            return Ok(());
        };
        for node in nodes {
            let due = self.overlay.bond(&node)?.filter(|bond| bond.until == self.height);
            if let Some(bond) = due {
                self.credit(&bond.owner, bond.amount)?;
                self.overlay.remove(key::bond(&node));
            }
        }
        self.overlay.remove(place);
        Ok(())
    }
}
