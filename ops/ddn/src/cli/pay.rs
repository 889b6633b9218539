//! `ddn pay`: what this node pays others for deliveries, and from what.

use std::{
    io::{self, Write},
    time::Duration,
};

use ledger::Amount;

use super::{
    Context,
    client::{Call, Node},
    failure::Outcome,
    genesis,
    screen::{self, Table},
    units,
};
use crate::api::{
    paths,
    types::{EscrowSent, EscrowStep, EscrowView, PayAllot, PayExit, PayOpen, PayStatus, PayTopUp},
};

/// The escrow that is meant if none is named.
const DEFAULT: &str = "default";

/// `ddn pay …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn pay status
  ddn pay open 10                   put coins aside to pay from
  ddn pay allot ddn1… 2 --for 7d    set some of them aside for one payee
  ddn pay allot NODE 2 --metered    let that gateway count what it serves of your names' origins
  ddn pay exit                      ask for the rest back; again later, to get it

A node opens an escrow by itself when the first delivery has to be paid (settings delivery.escrow and
delivery.price_max). What it spends in a day is bounded by delivery.budget_day, delivery.budget_day_payee and
delivery.budget_day_name.")]
pub enum Command {
    /// Put coins into a new escrow, from which this node can pay
    Open {
        /// How many coins, as in 10
        #[arg(value_name = "COINS", value_parser = units::coins)]
        amount: Amount,
        /// Who pays
        #[arg(long, value_name = "WALLET")]
        wallet: Option<String>,
        /// Return when it is on its way
        #[arg(long)]
        no_wait: bool,
    },
    /// Set coins of an escrow aside for one payee, so that its claims depend on nobody else's
    Allot {
        /// For whom: an address, a wallet of this node, or the node key of a registered edge
        payee: String,
        /// How many coins it can claim from now on
        #[arg(value_name = "COINS", value_parser = units::coins)]
        amount: Amount,
        /// For how long, as in 12h or 30d [default: 1d]
        #[arg(long = "for", value_name = "SPAN", value_parser = units::span)]
        span: Option<Duration>,
        /// For what the payee counts by itself: a gateway that serves the origins of your names. It claims what it has
        /// counted, and these coins are the most that it can claim so
        #[arg(long)]
        metered: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Add coins to an escrow
    TopUp {
        /// How many coins
        #[arg(value_name = "COINS", value_parser = units::coins)]
        amount: Amount,
        /// Who pays [default: who opened it]
        #[arg(long, value_name = "WALLET")]
        wallet: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Get the rest of an escrow back, in two steps: the first says from which height the second works
    Exit {
        #[command(flatten)]
        which: Which,
    },
    /// Each escrow: what is in it, what is set aside, what was signed away and not claimed yet, and for whom
    Status,
}

/// Which escrow, and whether to wait.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The escrow's id [default: the one that this node pays from]
    #[arg(long, value_name = "ID", default_value = DEFAULT, hide_default_value = true)]
    escrow: String,
    /// Return when it is on its way, not when it is final
    #[arg(long)]
    no_wait: bool,
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    let sent: EscrowSent = match command {
        Command::Status => return status(context, &node).await,
        Command::Open {
            amount,
            wallet,
            no_wait,
        } => {
            let wait = Some(!no_wait);
            let order = PayOpen { amount, wallet, wait };
            node.call_with(Call::post(paths::PAY_OPEN, &[]), &order).await?
        }
        Command::Allot {
            payee,
            amount,
            span,
            metered,
            which,
        } => {
            let order = PayAllot {
                payee,
                amount,
                blocks: span.map(|span| blocks(context, span)).transpose()?,
                metered,
                wait: Some(!which.no_wait),
            };
            node.call_with(Call::post(paths::PAY_ALLOT, &[&which.escrow]), &order)
                .await?
        }
        Command::TopUp {
            amount,
            wallet,
            which,
        } => {
            let wait = Some(!which.no_wait);
            let order = PayTopUp { amount, wallet, wait };
            node.call_with(Call::post(paths::PAY_TOP_UP, &[&which.escrow]), &order)
                .await?
        }
        Command::Exit { which } => {
            let wait = Some(!which.no_wait);
            node.call_with(Call::post(paths::PAY_EXIT, &[&which.escrow]), &PayExit { wait })
                .await?
        }
    };
    let block_time_ms = block_time_ms(context);
    context
        .screen
        .show(&sent, |out, sent| tell_sent(out, sent, block_time_ms))
}

/// A span in blocks of the chain, rounded up.
fn blocks(context: &Context, span: Duration) -> Outcome<u64> {
    let block_ms = u128::from(genesis::of_data(&context.data)?.block_time_ms.max(1));
    Ok(u64::try_from(span.as_millis().div_ceil(block_ms)).unwrap_or(u64::MAX))
}

fn block_time_ms(context: &Context) -> Option<u64> {
    let genesis = genesis::of_data(&context.data).ok();
    genesis.map(|genesis| genesis.block_time_ms)
}

fn tell_sent(out: &mut dyn Write, sent: &EscrowSent, block_time_ms: Option<u64>) -> io::Result<()> {
    let escrow = &sent.escrow;
    let done = match sent.step {
        EscrowStep::Open => format!("opened the escrow {escrow}"),
        EscrowStep::TopUp => format!("added to the escrow {escrow}"),
        EscrowStep::Allot => format!("set aside in the escrow {escrow}"),
        EscrowStep::Exit => format!("asked for the exit of the escrow {escrow}"),
        EscrowStep::Close => format!("closed the escrow {escrow}"),
    };
    let state = match sent.height {
        Some(height) => format!("final at height {height}"),
        None => "on its way".to_owned(),
    };
    writeln!(out, "{done}  {state}  transaction {}", sent.tx)?;
    let until = |height| screen::until(height, sent.height.unwrap_or(height), block_time_ms);
    if let Some(height) = sent.expires {
        writeln!(out, "until {}", until(height))?;
    }
    if let Some(amount) = sent.returned {
        writeln!(out, "{amount} coins are back")?;
    }
    match (sent.step, sent.closes_at) {
        (EscrowStep::Exit, Some(height)) => {
            writeln!(out, "from {} on, `ddn pay exit` again finishes it", until(height))
        }
        _ => Ok(()),
    }
}

async fn status(context: &Context, node: &Node) -> Outcome {
    let status: PayStatus = node.call(Call::get(paths::PAY, &[])).await?;
    let block_time_ms = block_time_ms(context);
    context.screen.show(&status, |out, status| {
        for escrow in &status.escrows {
            tell_escrow(out, escrow, status.height, block_time_ms)?;
        }
        if status.escrows.is_empty() {
            let text =
                "no escrow yet: the first delivery that costs something opens one, or `ddn pay open COINS`";
            writeln!(out, "{text}")?;
        }
        writeln!(out, "this node pays {} coins a MiB at most", status.price_max)?;
        let of = match status.budget_day.is_zero() {
            true => String::new(),
            false => format!(" of {}", status.budget_day),
        };
        writeln!(
            out,
            "deliveries have cost {}{of} coins today (UTC)",
            status.spent_today
        )
    })
}

fn tell_escrow(
    out: &mut dyn Write,
    escrow: &EscrowView,
    height: u64,
    block_time_ms: Option<u64>,
) -> io::Result<()> {
    let state = match (escrow.in_use, escrow.usable, escrow.closes_at) {
        (_, _, Some(closes)) if closes <= height + 1 => "in exit: `ddn pay exit` finishes it".to_owned(),
        (_, _, Some(closes)) => {
            let until = screen::until(closes, height, block_time_ms);
            format!("in exit: `ddn pay exit` finishes it from {until} on")
        }
        (true, ..) => "this node pays from it".to_owned(),
        (_, true, _) => "open".to_owned(),
        _ => "open, but its voucher key is not this node's".to_owned(),
    };
    screen::facts(
        out,
        &[
            ("escrow", escrow.escrow.clone()),
            ("state", state),
            ("payer", escrow.payer.clone()),
            ("coins", escrow.balance.coins()),
            ("set aside", escrow.reserved.coins()),
            ("signed away, not claimed", escrow.signed_unclaimed.coins()),
            ("opened", format!("height {}", escrow.opened)),
        ],
    )?;
    let mut table = Table::new(&[
        "payee",
        "signed>",
        "claimed>",
        "unclaimed>",
        "set aside>",
        "until height>",
    ]);
    for payee in &escrow.payees {
        let counts = if payee.metered { " (counts by itself)" } else { "" };
        table.row([
            format!("{}{counts}", payee.payee),
            payee.signed.coins(),
            payee.claimed.coins(),
            payee.unclaimed.coins(),
            payee.reserved.coins(),
            payee.expires.map_or("-".to_owned(), |height| height.to_string()),
        ]);
    }
    table.write(out, "nobody was paid from it yet")?;
    writeln!(out)
}
