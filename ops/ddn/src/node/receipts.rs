//! The receipts of this node's deliveries, with the proof that a claim has taken them to the ledger.

use chain::Chain;
use ledger::{DeliveryProof, Hash, Receipt};
use storage::ddp::Delivery;

use super::error::Error;

/// What can be shown of a delivery.
pub enum Shown {
    /// The receipt: no claim has taken it to the ledger, or none that the ledger has.
    Receipt(Box<Receipt>),
    /// The receipt, its claim, and the way from one to the other.
    Proof(Box<DeliveryProof>),
}

/// What there is of the delivery with this receipt; none if it is no receipt of this node.
///
/// # Errors
/// The books or the state could not be read.
pub fn show(chain: &Chain, delivery: &Delivery, id: &Hash) -> Result<Option<Shown>, Error> {
    let Some(row) = delivery.receipt(id)? else {
        return Ok(None);
    };
    let batch = row.claim.map(|root| delivery.batch(&root)).transpose()?.flatten();
    let place = batch.and_then(|batch| {
        let index = batch.leaves.iter().position(|leaf| leaf == id)?;
        Some((batch, index))
    });
    let Some((batch, index)) = place else {
        return Ok(Some(Shown::Receipt(Box::new(row.receipt))));
    };
    let claim = ledger::key::claim(&row.receipt.quote.body.payee, &batch.root);
    let bundle = chain.prove(&claim)?;
    Ok(Some(match bundle.value {
        None => Shown::Receipt(Box::new(row.receipt)),
        Some(_) => Shown::Proof(Box::new(DeliveryProof {
            bundle,
            receipt: row.receipt,
            index: index as u64,
            path: ledger::receipt_path(&batch.leaves, index),
        })),
    }))
}
