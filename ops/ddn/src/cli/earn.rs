//! `ddn earn`: what this node gets for its deliveries.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use ledger::DeliveryProof;
use serde::Serialize;

use super::{
    Context,
    client::{Call, Node},
    failure::{Failure, Outcome},
    genesis,
    progress::Line,
    proven,
    screen::{self, Table},
};
use crate::api::{
    paths,
    types::{Claimed, EarnClaim, EarnStatus, Earned, ReceiptList, ReceiptView},
};

/// Receipts that are asked for at a time: as many as the node gives.
const PAGE: usize = 1000;

/// `ddn earn …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn earn status
  ddn earn claim
  ddn earn receipts
  ddn earn receipts --proof ID -o delivery.proof    see `ddn chain verify`")]
pub enum Command {
    /// What was earned, claimed on the ledger, is still unclaimed, and is owed: in all and by each escrow
    Status,
    /// Make coins of what was earned, and put the root of the receipts on the ledger
    Claim,
    /// List the receipts of deliveries, or prove one of them to anybody who has the genesis
    Receipts {
        /// From this number on
        #[arg(long, value_name = "NUMBER", conflicts_with = "proof")]
        from: Option<u64>,
        /// At most so many [default: all]
        #[arg(long, value_name = "N", conflicts_with = "proof")]
        max: Option<usize>,
        /// Write a proof of this receipt instead
        #[arg(long, value_name = "ID", requires = "output")]
        proof: Option<String>,
        /// Where the proof goes
        #[arg(long, short, value_name = "FILE", requires = "proof")]
        output: Option<PathBuf>,
    },
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Status => {
            let status: EarnStatus = node.call(Call::get(paths::EARN, &[])).await?;
            context.screen.show(&status, tell)
        }
        Command::Claim => claim(context, &node).await,
        Command::Receipts {
            proof: Some(id),
            output: Some(output),
            ..
        } => prove(context, &node, &id, &output).await,
        Command::Receipts { from, max, .. } => receipts(context, &node, from, max).await,
    }
}

fn tell(out: &mut dyn Write, status: &EarnStatus) -> io::Result<()> {
    let Earned {
        earned,
        claimed,
        unclaimed,
        owed,
        bytes,
        lost_bytes,
    } = status.total;
    let lost = match lost_bytes {
        0 => String::new(),
        lost => format!("{}, delivered to payers who left", screen::bytes(lost)),
    };
    let month = match status.month_bytes_max {
        0 => screen::bytes(status.month_bytes),
        most => format!("{} of {}", screen::bytes(status.month_bytes), screen::bytes(most)),
    };
    screen::facts(
        out,
        &[
            ("paid to", status.payee.clone()),
            ("price", format!("{} coins a MiB", status.price)),
            ("earned", format!("{earned} coins for {}", screen::bytes(bytes))),
            ("claimed", format!("{claimed} coins")),
            ("unclaimed", format!("{unclaimed} coins")),
            ("owed", format!("{owed} coins, delivered and not paid yet")),
            ("lost", lost),
            ("sent this month", month),
        ],
    )?;
    let mut table = Table::new(&[
        "escrow",
        "earned>",
        "claimed>",
        "unclaimed>",
        "owed>",
        "bytes>",
        "payer",
    ]);
    for escrow in &status.escrows {
        let payer = escrow.payer.clone().unwrap_or_else(|| "(closed)".to_owned());
        let leaving = escrow
            .claim_until
            .map(|until| format!("  claim by height {until}"));
        let counted = if escrow.metered {
            "  counted by this node"
        } else {
            ""
        };
        table.row([
            escrow.escrow.clone(),
            escrow.earned.earned.coins(),
            escrow.earned.claimed.coins(),
            escrow.earned.unclaimed.coins(),
            escrow.earned.owed.coins(),
            screen::bytes(escrow.earned.bytes),
            payer + counted + &leaving.unwrap_or_default(),
        ]);
    }
    writeln!(out)?;
    table.write(out, "nobody has paid this node yet")
}

async fn claim(context: &Context, node: &Node) -> Outcome {
    let line = Line::start(context.screen, "claiming");
    let claimed: Claimed = node
        .call_with(Call::post(paths::EARN_CLAIM, &[]), &EarnClaim {})
        .await?;
    line.end();
    context.screen.show(&claimed, |out, claimed| {
        if claimed.claims.is_empty() {
            return writeln!(out, "nothing to claim");
        }
        let receipts = screen::count(claimed.receipts, "receipt");
        let (amount, height) = (claimed.amount, claimed.height);
        writeln!(
            out,
            "claimed {amount} coins  {receipts}  final at height {height}"
        )?;
        for claim in &claimed.claims {
            let root = claim.root.as_ref().map(|root| format!("  receipts {root}"));
            let txs = match claim.txs.is_empty() {
                true => "  was on the ledger before".to_owned(),
                false => format!("  transaction {}", claim.txs.join(" ")),
            };
            let (amount, payee) = (claim.amount, &claim.payee);
            writeln!(out, "{amount} coins to {payee}{}{txs}", root.unwrap_or_default())?;
        }
        Ok(())
    })
}

async fn receipts(context: &Context, node: &Node, from: Option<u64>, max: Option<usize>) -> Outcome {
    let max = max.unwrap_or(usize::MAX);
    let mut list = ReceiptList {
        receipts: Vec::new(),
        next: Some(from.unwrap_or(0)),
    };
    while let Some(next) = list.next.filter(|_| list.receipts.len() < max) {
        let call = Call::get(paths::EARN_RECEIPTS, &[])
            .query("from", Some(next))
            .query("max", Some(PAGE.min(max - list.receipts.len())));
        let page: ReceiptList = node.call(call).await?;
        list.receipts.extend(page.receipts);
        list.next = page.next;
    }
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&[
            "number>", "time", "size>", "a MiB>", "claimed", "receipt", "content",
        ]);
        list.receipts.iter().for_each(|receipt| table.row(row(receipt)));
        table.write(out, "no receipts yet: each delivery makes one")?;
        match list.next {
            Some(next) => writeln!(out, "more with --from {next}"),
            None => Ok(()),
        }
    })
}

fn row(receipt: &ReceiptView) -> [String; 7] {
    let claimed = if receipt.claim.is_some() { "yes" } else { "no" };
    [
        receipt.seq.to_string(),
        screen::utc(receipt.time_ms),
        screen::bytes(receipt.bytes),
        receipt.price.coins(),
        claimed.to_owned(),
        receipt.id.clone(),
        receipt.root.clone(),
    ]
}

/// A proof that was written.
#[derive(Debug, Serialize)]
struct Written<'a> {
    output: &'a Path,
    #[serde(flatten)]
    delivery: proven::Delivery,
}

/// Fetches a proof and checks it: a node that sends a wrong one is caught here, not by whoever gets the file.
async fn prove(context: &Context, node: &Node, id: &str, output: &Path) -> Outcome {
    let genesis = genesis::of_data(&context.data)?;
    let bytes = node.bytes(Call::get(paths::EARN_PROOF, &[id])).await?;
    let bad = |error: ledger::Error| Failure::new("bad_proof", format!("{id}: {error}"));
    let proof = DeliveryProof::decode(&bytes).map_err(bad)?;
    let delivery = proven::delivery(&proof, &genesis)?;
    std::fs::write(output, &bytes).map_err(|error| Failure::file("write", output, &error))?;
    let written = Written { output, delivery };
    context.screen.show(&written, |out, written| {
        let (place, height) = (output.display(), written.delivery.height);
        writeln!(out, "{place}  receipt {id}, height {height}")
    })
}
