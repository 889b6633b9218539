//! What a proof of a delivery says, judged with a genesis and nothing else.

use std::io::{self, Write};

use ledger::{Amount, DeliveryProof, Genesis};
use serde::Serialize;

use super::{
    failure::{Failure, Outcome},
    screen,
};

/// A proven delivery.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// The receipt's id, hex.
    receipt: String,
    /// Key of the node that delivered, hex.
    node: String,
    /// Root of what it delivered.
    root: String,
    /// The session, hex.
    session: String,
    /// Payload bytes of that session.
    bytes: u64,
    /// Blocks of that session.
    blocks: u64,
    /// Price of a MiB.
    price: Amount,
    /// Address that was paid.
    payee: String,
    /// The escrow that paid, hex; `null` for a delivery that was free.
    escrow: Option<String>,
    /// What the escrow's voucher came to with this delivery.
    vouched: Option<Amount>,
    /// The claim on the ledger.
    claim: Claim,
    chain_id: String,
    /// The ledger's height of which this is proven.
    pub height: u64,
    time_ms: u64,
}

/// The claim that a delivery is part of.
#[derive(Debug, Serialize)]
struct Claim {
    /// Merkle root of its receipts, hex.
    root: String,
    /// How many they are.
    receipts: u64,
    /// What it was paid.
    amount: Amount,
    /// Height of its block.
    height: u64,
}

/// Checks a proof.
pub fn delivery(proof: &DeliveryProof, genesis: &Genesis) -> Outcome<Delivery> {
    let verified =
        ledger::verify_delivery(proof, genesis).map_err(|error| Failure::new("bad_proof", error))?;
    let (receipt, claim) = (&verified.receipt, &verified.claim);
    let (quote, statement) = (&receipt.quote.body, &receipt.statement.body);
    Ok(Delivery {
        receipt: receipt.id().to_string(),
        node: quote.node.to_string(),
        root: statement.root.to_string(),
        session: statement.session.to_string(),
        bytes: statement.bytes,
        blocks: statement.blocks,
        price: quote.price,
        payee: verified.payee.display(&genesis.prefix),
        escrow: statement.escrow.map(|escrow| escrow.to_string()),
        vouched: receipt.voucher.as_ref().map(|voucher| voucher.body.cumulative),
        claim: Claim {
            root: claim.root.to_string(),
            receipts: claim.receipts,
            amount: claim.amount,
            height: claim.height,
        },
        chain_id: genesis.chain_id.clone(),
        height: verified.height,
        time_ms: verified.time_ms,
    })
}

/// As text.
pub fn tell(out: &mut dyn Write, delivery: &Delivery) -> io::Result<()> {
    let (size, blocks) = (
        screen::bytes(delivery.bytes),
        screen::count(delivery.blocks, "block"),
    );
    let claim = &delivery.claim;
    screen::facts(
        out,
        &[
            ("receipt", delivery.receipt.clone()),
            (
                "delivered",
                format!("{} bytes ({size}), {blocks}", delivery.bytes),
            ),
            ("of", delivery.root.clone()),
            ("by node", delivery.node.clone()),
            ("price", format!("{} coins a MiB", delivery.price)),
            ("to the escrow", delivery.escrow.clone().unwrap_or_default()),
            ("paid to", delivery.payee.clone()),
            (
                "claimed",
                format!(
                    "at height {}, one of {} for {} coins",
                    claim.height,
                    screen::count(claim.receipts, "receipt"),
                    claim.amount
                ),
            ),
            ("chain", delivery.chain_id.clone()),
            ("height", delivery.height.to_string()),
            ("time", screen::utc(delivery.time_ms)),
            ("verdict", "proven, from this genesis on".to_owned()),
        ],
    )
}
