//! `ddn delegate`: who decides the blocks, votes, and this node as one of them.

use ledger::Amount;

use super::{
    Context,
    client::{Call, Node},
    confirm,
    failure::Outcome,
    name::How,
    screen::Table,
    units,
};
use crate::api::{
    paths,
    types::{ByWallet, DelegateList, DelegateRegister, DelegateUpdate, DelegateView, Sent, VoteOrder},
};

/// `ddn delegate …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn delegate list
  ddn delegate vote ddn1… 500
  ddn delegate register 203.0.113.7:4103 --stake 10000
  ddn delegate unvote ddn1… 200          they are free after a while, which the chain sets

Who has the most votes at the end of a round sits in the round after the next one. A node that has
become a candidate takes part in the consensus when it is started again.")]
pub enum Command {
    /// Make this node a candidate: others reach its consensus engine at this address
    Register {
        /// IP:PORT or a multiaddr
        #[arg(value_name = "IP:PORT")]
        engine: String,
        /// How many coins it locks for itself
        #[arg(long, value_name = "COINS", value_parser = units::coins)]
        stake: Amount,
        /// The wallet that pays [default: `default`]
        #[arg(long, value_name = "WALLET")]
        wallet: Option<String>,
    },
    /// Change where others reach this node's consensus engine, or begin a new chain of reveals
    Update {
        /// IP:PORT or a multiaddr
        #[arg(long, value_name = "IP:PORT", required_unless_present = "new_reveals")]
        engine: Option<String>,
        /// Begin a new chain of reveals, as after some years
        #[arg(long)]
        new_reveals: bool,
        /// Return when it is on its way
        #[arg(long)]
        no_wait: bool,
    },
    /// Give up being a candidate; what it has locked for itself can be taken back then
    Resign {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        /// Return when it is on its way
        #[arg(long)]
        no_wait: bool,
    },
    /// Lock coins for a delegate
    Vote {
        /// Its address or key; `here` for this node
        #[arg(value_name = "DELEGATE")]
        delegate: String,
        /// How many coins
        #[arg(value_parser = units::coins)]
        amount: Amount,
        #[command(flatten)]
        how: How,
    },
    /// Take coins back from a delegate
    Unvote {
        /// Its address or key; `here` for this node
        #[arg(value_name = "DELEGATE")]
        delegate: String,
        /// How many coins
        #[arg(value_parser = units::coins)]
        amount: Amount,
        #[command(flatten)]
        how: How,
    },
    /// Collect what votes for a delegate have earned
    Collect {
        /// Its address or key; `here` for this node
        #[arg(value_name = "DELEGATE")]
        delegate: String,
        #[command(flatten)]
        how: How,
    },
    /// List those who sit and those who can be elected
    List,
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Register {
            engine,
            stake,
            wallet,
        } => {
            let order = DelegateRegister {
                engine,
                stake,
                wallet,
            };
            let call = Call::post(paths::DELEGATE_REGISTER, &[]);
            let sent: Sent = node.call_with(call, &order).await?;
            let done = "this node is a candidate: it takes a seat when it is elected";
            context.screen.sent(&sent, done)
        }
        Command::Update {
            engine,
            new_reveals,
            no_wait,
        } => {
            let order = DelegateUpdate {
                engine,
                new_reveals,
                wait: Some(!no_wait),
            };
            let call = Call::post(paths::DELEGATE_UPDATE, &[]);
            let sent: Sent = node.call_with(call, &order).await?;
            context.screen.sent(&sent, "updated this node's entry")
        }
        Command::Resign { yes, no_wait } => {
            confirm::ask(yes, "Give up being a delegate?")?;
            let order = ByWallet {
                wallet: None,
                wait: Some(!no_wait),
            };
            let call = Call::post(paths::DELEGATE_RESIGN, &[]);
            let sent: Sent = node.call_with(call, &order).await?;
            context.screen.sent(&sent, "this node is no candidate any more")
        }
        Command::Vote {
            delegate,
            amount,
            how,
        } => {
            let done = format!("locked {amount} coins for {delegate}");
            votes(
                context,
                &node,
                paths::DELEGATE_VOTE,
                &delegate,
                amount,
                how,
                &done,
            )
            .await
        }
        Command::Unvote {
            delegate,
            amount,
            how,
        } => {
            let done = format!("took {amount} coins back from {delegate}: they are free after a while");
            votes(
                context,
                &node,
                paths::DELEGATE_UNVOTE,
                &delegate,
                amount,
                how,
                &done,
            )
            .await
        }
        Command::Collect { delegate, how } => {
            let order = ByWallet {
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            let call = Call::post(paths::DELEGATE_COLLECT, &[&delegate]);
            let sent: Sent = node.call_with(call, &order).await?;
            context.screen.sent(&sent, &format!("collected from {delegate}"))
        }
        Command::List => list(context, &node).await,
    }
}

async fn votes(
    context: &Context,
    node: &Node,
    path: &str,
    delegate: &str,
    amount: Amount,
    how: How,
    done: &str,
) -> Outcome {
    let order = VoteOrder {
        amount,
        wallet: how.wallet,
        wait: Some(!how.no_wait),
    };
    let sent: Sent = node.call_with(Call::post(path, &[delegate]), &order).await?;
    context.screen.sent(&sent, done)
}

async fn list(context: &Context, node: &Node) -> Outcome {
    let list: DelegateList = node.call(Call::get(paths::DELEGATES, &[])).await?;
    context.screen.show(&list, |out, list| {
        writeln!(
            out,
            "round {}, heights {} to {}, {} seats",
            list.round, list.first, list.last, list.seats
        )?;
        let mut table = Table::new(&[
            "delegate", "seat", "standing", "votes>", "own>", "yours>", "earned>",
        ]);
        for delegate in &list.delegates {
            table.row(row(delegate));
        }
        table.write(out, "no delegates")
    })
}

fn row(delegate: &DelegateView) -> [String; 7] {
    let here = if delegate.here { " (here)" } else { "" };
    let until = delegate.until_round.map(|round| format!(" until round {round}"));
    [
        format!("{}{here}", delegate.address),
        if delegate.seat { "yes" } else { "-" }.to_owned(),
        format!("{}{}", delegate.standing, until.unwrap_or_default()),
        delegate.weight.coins(),
        delegate.own.coins(),
        delegate.voted.coins(),
        delegate.earned.coins(),
    ]
}
