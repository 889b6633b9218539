//! A server that cheats, as a process: `adversary DEED --key FILE --chain ID --price UNITS --listen IP:PORT PATH`. It holds
//! what a publish of PATH makes, says on standard output what it did and was promised, a line of JSON for each change, and
//! ends with its input.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use adversary::{Deed, Guise, Villain};
use anyhow::{Context, Result};
use clap::Parser;
use ledger::{Amount, SecretKey};
use serde_json::json;
use storage::{Profile, Store};

#[derive(Parser)]
struct Arguments {
    /// What it does that it should not.
    #[arg(value_enum)]
    deed: Deed,
    /// What it holds.
    path: PathBuf,
    /// The key of the node that it passes for.
    #[arg(long)]
    key: PathBuf,
    /// The id of the chain.
    #[arg(long)]
    chain: String,
    /// What it asks for a MiB, in units.
    #[arg(long)]
    price: u64,
    /// Where it listens, UDP.
    #[arg(long)]
    listen: SocketAddr,
}

/// How often it is looked whether there is something to say.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    store.import_path(&arguments.path, Profile::V1_2025, &mut |_| {})?;
    let guise = Guise {
        key: key(&arguments.key)?,
        chain: arguments.chain,
        price: Amount::from_units(arguments.price),
        listen: arguments.listen,
    };
    let villain = Villain::start(guise, arguments.deed, &store).await?;
    let over = tokio::task::spawn_blocking(|| io::stdin().read(&mut [0]));
    let mut told = None;
    loop {
        let ((sessions, sent), promised) = (villain.did(), villain.earned().units());
        let now = json!({ "sessions": sessions, "sent": sent, "promised": promised });
        if told.as_ref() != Some(&now) {
            writeln!(io::stdout(), "{now}")?;
            told = Some(now);
        }
        if over.is_finished() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A key as a node keeps it: 32 bytes in hexadecimal.
fn key(path: &PathBuf) -> Result<SecretKey> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).context("not a key")?;
    Ok(SecretKey::from_seed(seed))
}
