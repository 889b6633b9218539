//! The command line: what a user types, turned into one call to the node that runs on the data folder.
//!
//! Each command group has a file with its arguments and its `run`. Answers go to stdout, everything else to stderr.
//! A command ends with exit code 0 only if it did what it says; clap gives 2 for bad usage; all other failures are a
//! [`Failure`]: one line, exit code 1. No command but `up`, and `repo` on a data folder without a node, opens
//! databases: the node does the work.

mod asset;
mod chain;
mod chains;
mod client;
mod config;
mod confirm;
mod content;
mod cost;
mod data;
mod delegate;
mod docs;
mod doctor;
mod earn;
mod edge;
mod failure;
mod genesis;
mod get;
mod incoming;
mod init;
mod links;
mod log;
mod name;
mod node;
mod pay;
mod peers;
mod progress;
mod proven;
mod publish;
mod receipted;
mod repo;
mod resolve;
mod screen;
mod snapshot;
mod split_dns;
mod state_key;
mod target;
mod units;
mod up;
mod wallet;

use std::{path::PathBuf, pin::pin, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use failure::{Failure, Outcome};
use screen::Screen;

const AFTER_HELP: &str = "\
Examples:
  ddn up --dev                          run a node with a chain of its own
  ddn publish ./site --name alice.ddn   publish a folder under a name
  ddn get alice.ddn -o copy             fetch it back, every block verified
  ddn asset show CID                    who owns it, since when

Every command talks to the node that runs on the data folder (--data).
Exit codes: 0 success, 2 bad usage, 1 anything else, with one line on stderr.";

const GLOBAL: &str = "Global options";

/// DDN: publish, name, own and deliver content without trusting a server.
#[derive(Debug, Parser)]
#[command(name = "ddn", version, after_help = AFTER_HELP, subcommand_required = true, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
struct Global {
    /// The node's data folder [default: `ddn` in the platform's folder for user data]
    #[arg(long, global = true, env = "DDN_DATA", value_name = "DIR")]
    #[arg(hide_env_values = true, help_heading = GLOBAL)]
    data: Option<PathBuf>,
    /// Print one JSON document instead of text; errors too
    #[arg(long, global = true, help_heading = GLOBAL)]
    json: bool,
    /// Log more to stderr; up to -vvv, or by module with DDN_LOG
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = GLOBAL)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node until it is told to stop
    Up(up::Args),
    /// Publish a file or a folder: store it, anchor its ownership, point a name to it
    Publish(publish::Args),
    /// Fetch content by name or CID, and verify every block of it
    Get(get::Args),
    /// What the named router says about a name, and which edge should serve it
    Resolve(resolve::Args),
    /// Names: register, point, renew, hand over
    #[command(subcommand)]
    Name(Box<name::Command>),
    /// Ownership of content: who, since when, its history
    #[command(subcommand)]
    Asset(asset::Command),
    /// Accounts and coins
    #[command(subcommand)]
    Wallet(wallet::Command),
    /// Delegates: who decides the blocks, votes, and this node as one of them
    #[command(subcommand)]
    Delegate(delegate::Command),
    /// Edges: this node as one that delivers for coins, and the others
    #[command(subcommand)]
    Edge(edge::Command),
    /// What this node pays for deliveries: escrows and payees
    #[command(subcommand)]
    Pay(pay::Command),
    /// What this node gets for deliveries: claims and receipts
    #[command(subcommand)]
    Earn(earn::Command),
    /// The ledger: status, blocks, transactions, proofs, a new chain
    #[command(subcommand)]
    Chain(chain::Command),
    /// The node that runs here: status, peers, what is wrong with it, how this machine finds its names
    #[command(subcommand)]
    Node(node::Command),
    /// The block store: statistics, check, garbage, pins, CAR files
    #[command(subcommand)]
    Repo(repo::Command),
    /// The configuration in force, and a check of a configuration file
    #[command(subcommand)]
    Config(config::Command),
    /// Print the completion script for a shell
    Completions(docs::Completions),
    /// Print a manual page, or write them all into a folder
    Man(docs::Man),
}

/// What a command needs to know besides its own arguments.
pub struct Context {
    /// The data folder, absolute.
    data: PathBuf,
    /// Where answers go.
    screen: Screen,
    /// Begins at Ctrl-C, for a command that takes away what it has half written.
    stop: CancellationToken,
}

const INTERRUPTED_PUBLISH: &str = "interrupted: if all was uploaded the node goes on by itself, see `ddn node status`; else nothing is published";
/// Half a tree of files is gone in less, unless the disk hangs.
const CLEANED_UP_WITHIN: Duration = Duration::from_secs(5);

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

fn run(cli: Cli) -> Outcome {
    let screen = Screen {
        json: cli.global.json,
    };
    // These two need neither a data folder nor a node.
    match cli.command {
        Command::Completions(args) => return args.run(),
        Command::Man(args) => return args.run(),
        _ => {}
    }
    log::start(cli.global.verbose, cli.global.json)?;
    let (data, stop) = (data::folder(cli.global.data)?, CancellationToken::new());
    let context = Context { data, screen, stop };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::new("system", format!("cannot start threads: {error}")))?;
    let outcome = runtime.block_on(dispatch(&context, cli.command));
    // A blocked read of stdin or a slow disk must not keep the program from ending.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    if let Command::Up(args) = command {
        return up::run(context, args).await;
    }
    let (words, cleans_up) = match command {
        Command::Publish(_) => (INTERRUPTED_PUBLISH, false),
        Command::Get(_) => ("interrupted: nothing was written", true),
        _ => ("interrupted", false),
    };
    let mut work = pin!(answer(context, command));
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = tokio::signal::ctrl_c() => context.stop.cancel(),
    }
    if cleans_up {
        tokio::select! {
            _ = tokio::time::timeout(CLEANED_UP_WITHIN, work) => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
    Err(Failure::new("interrupted", words))
}

async fn answer(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Publish(args) => publish::run(context, args).await,
        Command::Get(args) => get::run(context, args).await,
        Command::Resolve(args) => resolve::run(context, args).await,
        Command::Name(command) => name::run(context, *command).await,
        Command::Asset(command) => asset::run(context, command).await,
        Command::Wallet(command) => wallet::run(context, command).await,
        Command::Delegate(command) => delegate::run(context, command).await,
        Command::Edge(command) => edge::run(context, command).await,
        Command::Pay(command) => pay::run(context, command).await,
        Command::Earn(command) => earn::run(context, command).await,
        Command::Chain(command) => chain::run(context, command).await,
        Command::Node(command) => node::run(context, command).await,
        Command::Repo(command) => repo::run(context, command).await,
        Command::Config(command) => config::run(context, command).await,
        Command::Up(_) | Command::Completions(_) | Command::Man(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_hold_together() {
        super::Cli::command().debug_assert();
    }
}
