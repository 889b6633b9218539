//! `ddn wallet`: accounts of this node, and coins.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use ledger::Amount;

use super::{
    Context,
    client::{Call, Node},
    failure::{Failure, Outcome},
    screen::{self, Table},
    units,
};
use crate::api::{
    paths,
    types::{AccountView, Sent, WalletExport, WalletImport, WalletList, WalletNew, WalletSend, WalletView},
};

/// The wallet that pays if nobody says which.
pub const DEFAULT: &str = "default";

/// `ddn wallet …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn wallet list
  ddn wallet new savings
  ddn wallet send ddn1… 1.5
  ddn wallet export savings -o savings.seed")]
pub enum Command {
    /// Make a new account, with a key from this node's random source
    New {
        /// Its name on this node: 1 to 32 of a-z 0-9 - _
        name: String,
    },
    /// Take in an account whose seed you have
    Import {
        /// Its name on this node: 1 to 32 of a-z 0-9 - _
        name: String,
        /// The file with the seed, 64 hex digits; `-` is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Print the seed of an account: whoever has it, has its coins and names
    Export {
        /// Its name on this node
        name: String,
        /// Write it into this new file, readable by you alone, instead of printing it
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the accounts of this node
    List,
    /// What an account has
    Balance {
        /// A wallet of this node or any address
        #[arg(value_name = "WALLET|ADDRESS", default_value = DEFAULT)]
        account: String,
    },
    /// Send coins
    Send {
        /// Who gets them: an address or a wallet of this node
        to: String,
        /// How many coins, as in 1.5
        #[arg(value_parser = units::coins)]
        amount: Amount,
        /// Who pays
        #[arg(long, value_name = "WALLET")]
        wallet: Option<String>,
        /// Return when it is on its way
        #[arg(long)]
        no_wait: bool,
    },
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::New { name } => {
            let made: WalletView = node
                .call_with(Call::post(paths::WALLET_NEW, &[]), &WalletNew { name })
                .await?;
            context.screen.show(&made, |out, made| {
                writeln!(out, "{}  {}", made.name, made.address)
            })
        }
        Command::Import { name, file } => {
            let seed = seed_of(&file)?;
            let made: WalletView = node
                .call_with(
                    Call::post(paths::WALLET_IMPORT, &[]),
                    &WalletImport { name, seed },
                )
                .await?;
            context.screen.show(&made, |out, made| {
                writeln!(out, "{}  {}", made.name, made.address)
            })
        }
        Command::Export { name, output } => export(context, &node, &name, output.as_deref()).await,
        Command::List => list(context, &node).await,
        Command::Balance { account } => balance(context, &node, &account).await,
        Command::Send {
            to,
            amount,
            wallet,
            no_wait,
        } => {
            let shown = to.clone();
            let order = WalletSend {
                to,
                amount,
                wallet,
                wait: Some(!no_wait),
            };
            let sent: Sent = node
                .call_with(Call::post(paths::WALLET_SEND, &[]), &order)
                .await?;
            context
                .screen
                .sent(&sent, &format!("sent {amount} coins to {shown}"))
        }
    }
}

/// A wallet of the node by its name, the default one if none is given.
pub async fn named(node: &Node, name: Option<&str>) -> Outcome<WalletView> {
    let name = name.unwrap_or(DEFAULT);
    let list: WalletList = node.call(Call::get(paths::WALLET, &[])).await?;
    let found = list.wallets.into_iter().find(|wallet| wallet.name == name);
    found.ok_or_else(|| {
        Failure::new(
            "not_found",
            format!("this node has no wallet `{name}`: see `ddn wallet list`"),
        )
    })
}

async fn export(context: &Context, node: &Node, name: &str, output: Option<&Path>) -> Outcome {
    let key: WalletExport = node.call(Call::get(paths::WALLET_EXPORT, &[name])).await?;
    match output {
        None => context
            .screen
            .show(&key, |out, key| writeln!(out, "{}", key.seed)),
        Some(path) => {
            write_secret(path, &key.seed).map_err(|error| Failure::file("write", path, &error))?;
            let place = serde_json::json!({ "name": key.name, "address": key.address, "output": path });
            context.screen.show(&place, |out, _| {
                writeln!(out, "{}  the seed of {name}", path.display())
            })
        }
    }
}

/// A new file that only its owner may read; an existing one stays as it is.
fn write_secret(path: &Path, seed: &str) -> io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{seed}")?;
    file.sync_all()
}

async fn list(context: &Context, node: &Node) -> Outcome {
    let list: WalletList = node.call(Call::get(paths::WALLET, &[])).await?;
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&["name", "coins>", "address"]);
        for wallet in &list.wallets {
            table.row([
                wallet.name.clone(),
                wallet.balance.coins(),
                wallet.address.clone(),
            ]);
        }
        table.write(out, "no wallets yet: make one with `ddn wallet new NAME`")
    })
}

async fn balance(context: &Context, node: &Node, account: &str) -> Outcome {
    let list: WalletList = node.call(Call::get(paths::WALLET, &[])).await?;
    let known = list.wallets.into_iter().find(|wallet| wallet.name == account);
    let address = known.map_or(account.to_owned(), |wallet| wallet.address);
    let view: Outcome<AccountView> = node.call(Call::get(paths::ACCOUNT, &[&address])).await;
    let view = view.map_err(|failure| match failure.code() {
        "bad_request" => Failure::argument(
            account,
            "neither a wallet (see `ddn wallet list`) nor an address of this chain",
        ),
        _ => failure,
    })?;
    context.screen.show(&view, |out, view| {
        let (coins, height) = (view.balance.coins(), view.height.to_string());
        screen::facts(
            out,
            &[
                ("account", view.address.clone()),
                ("coins", coins),
                ("at height", height),
            ],
        )
    })
}

/// The seed in a file or on stdin: 64 hex digits, with or without a line end.
fn seed_of(file: &Path) -> Outcome<String> {
    const BYTES_MAX: u64 = 1024;
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        io::stdin().take(BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::file("read a seed from", file, &error))?;
    let seed = text.trim();
    if hex::decode(seed).is_ok_and(|bytes| bytes.len() == 32) {
        return Ok(seed.to_lowercase());
    }
    Err(Failure::new(
        "bad_seed",
        format!("{} holds no seed: it is 64 hex digits", file.display()),
    ))
}
