//! What a receipt says that no claim has taken to the ledger: a gateway's of an answer, or a node's of a delivery.

use std::io::{self, Write};

use gateway::Served;
use ledger::{Amount, Genesis, Receipt, Signed};
use serde::Serialize;

use super::{
    failure::{Failure, Outcome},
    screen,
};

/// An answer of a gateway, in its own words.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The receipt's id, hex.
    receipt: String,
    /// Key of the node that answered, hex.
    node: String,
    /// What was asked.
    path: String,
    /// What that was.
    content: String,
    /// Bytes that were sent.
    bytes: u64,
    /// Whether that was all.
    complete: bool,
    chain_id: String,
    /// The ledger's height at which the path led there.
    height: u64,
    time_ms: u64,
    until_ms: u64,
}

/// A delivery between nodes that is not on the ledger.
#[derive(Debug, Serialize)]
pub struct Unclaimed {
    /// The receipt's id, hex.
    receipt: String,
    /// Key of the node that delivered, hex.
    node: String,
    /// Root of what it delivered.
    root: String,
    /// Payload bytes of that session.
    bytes: u64,
    /// Price of a MiB.
    price: Amount,
    /// The escrow that is to pay, hex; `null` for a delivery that was free.
    escrow: Option<String>,
    /// What the escrow's voucher came to with this delivery.
    vouched: Option<Amount>,
    chain_id: String,
}

/// Checks who signed it.
pub fn answer(signed: &Signed<Served>, genesis: &Genesis) -> Outcome<Answer> {
    let served = &signed.body;
    if signed.key != served.node || !signed.verify(&genesis.chain_id) {
        let chain = &genesis.chain_id;
        return Err(bad(format!(
            "the node that it names did not sign it for chain '{chain}'"
        )));
    }
    Ok(Answer {
        receipt: served.id.to_string(),
        node: served.node.to_string(),
        path: served.path.clone(),
        content: served.content.to_string(),
        bytes: served.bytes,
        complete: served.complete,
        chain_id: genesis.chain_id.clone(),
        height: served.height,
        time_ms: served.time_ms,
        until_ms: served.until_ms,
    })
}

/// Checks the signatures, and that they speak of one delivery.
pub fn unclaimed(receipt: &Receipt, genesis: &Genesis) -> Outcome<Unclaimed> {
    receipt.check(&genesis.chain_id).map_err(bad)?;
    let (quote, statement) = (&receipt.quote.body, &receipt.statement.body);
    Ok(Unclaimed {
        receipt: receipt.id().to_string(),
        node: quote.node.to_string(),
        root: statement.root.to_string(),
        bytes: statement.bytes,
        price: quote.price,
        escrow: statement.escrow.map(|escrow| escrow.to_string()),
        vouched: receipt.voucher.as_ref().map(|voucher| voucher.body.cumulative),
        chain_id: genesis.chain_id.clone(),
    })
}

fn bad(reason: impl std::fmt::Display) -> Failure {
    Failure::new("bad_proof", reason)
}

/// As text.
pub fn tell_answer(out: &mut dyn Write, answer: &Answer) -> io::Result<()> {
    let end = if answer.complete {
        "to its end"
    } else {
        "not to its end"
    };
    screen::facts(
        out,
        &[
            ("receipt", answer.receipt.clone()),
            ("asked", answer.path.clone()),
            ("which was", answer.content.clone()),
            (
                "sent",
                format!("{} bytes ({}), {end}", answer.bytes, screen::bytes(answer.bytes)),
            ),
            ("by node", answer.node.clone()),
            ("chain", answer.chain_id.clone()),
            ("height", answer.height.to_string()),
            ("time", screen::utc(answer.time_ms)),
            ("verdict", "signed by that node; nobody else says so".to_owned()),
        ],
    )
}

/// As text.
pub fn tell_unclaimed(out: &mut dyn Write, delivery: &Unclaimed) -> io::Result<()> {
    screen::facts(
        out,
        &[
            ("receipt", delivery.receipt.clone()),
            (
                "delivered",
                format!("{} bytes ({})", delivery.bytes, screen::bytes(delivery.bytes)),
            ),
            ("of", delivery.root.clone()),
            ("by node", delivery.node.clone()),
            ("price", format!("{} coins a MiB", delivery.price)),
            ("to the escrow", delivery.escrow.clone().unwrap_or_default()),
            ("chain", delivery.chain_id.clone()),
            (
                "verdict",
                "signed by those that it names; no claim has taken it to the ledger".to_owned(),
            ),
        ],
    )
}
