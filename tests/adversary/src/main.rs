//! Peers that cheat, as processes. PATH is what they hold or ask for: what a publish of it makes.
//!
//! * `adversary serve DEED PATH …` says on standard output what it did and was promised, a line of JSON for each change, and
//!   ends with its input.
//! * `adversary ask TRICK PATH …` says once what came of it.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use adversary::{Deed, Errand, Guise, Trick, Villain, cheat};
use anyhow::{Context, Result};
use clap::{Args, Parser};
use ledger::{Amount, Hash, PublicKey, SecretKey};
use serde_json::json;
use storage::{Profile, Store, Walk};
use tempfile::TempDir;

#[derive(Parser)]
enum Command {
    /// Delivers, and cheats.
    Serve {
        /// What it does that it should not.
        #[arg(value_enum)]
        deed: Deed,
        #[command(flatten)]
        who: Who,
        /// What it asks for a MiB, in units.
        #[arg(long)]
        price: u64,
        /// Where it listens, UDP.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Asks for content, and cheats.
    Ask {
        /// What it does that it should not.
        #[arg(value_enum)]
        trick: Trick,
        #[command(flatten)]
        who: Who,
        /// The escrow that it names.
        #[arg(long)]
        escrow: Hash,
        /// Whom it asks.
        #[arg(long)]
        server: PublicKey,
        /// Where that delivers.
        #[arg(long)]
        at: SocketAddr,
    },
}

#[derive(Args)]
struct Who {
    /// What it is about.
    path: PathBuf,
    /// The key of the node that it passes for.
    #[arg(long)]
    key: PathBuf,
    /// The id of the chain.
    #[arg(long)]
    chain: String,
}

/// How often it is looked whether there is something to say.
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Serve {
            deed,
            who,
            price,
            listen,
        } => {
            let (store, _, _folder) = hold(&who.path)?;
            let guise = Guise {
                key: key(&who.key)?,
                chain: who.chain,
                price: Amount::from_units(price),
                listen,
            };
            serve(guise, deed, &store).await
        }
        Command::Ask {
            trick,
            who,
            escrow,
            server,
            at,
        } => {
            let (store, root, _folder) = hold(&who.path)?;
            let blocks = Walk::new(&store, &[root]).map(|block| Ok(block?.0));
            let errand = Errand {
                key: key(&who.key)?,
                chain: who.chain,
                escrow,
                server,
                at,
                blocks: blocks.collect::<Result<_>>()?,
            };
            let gain = cheat(&errand, trick).await?;
            let said = json!({
                "came": gain.came, "paid": gain.paid, "sessions": gain.sessions, "ended": gain.ended,
            });
            Ok(writeln!(io::stdout(), "{said}")?)
        }
    }
}

async fn serve(guise: Guise, deed: Deed, store: &Store) -> Result<()> {
    let villain = Villain::start(guise, deed, store).await?;
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

/// A store with what is at a path, and its root.
fn hold(path: &Path) -> Result<(Store, cid::Cid, TempDir)> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path())?;
    let imported = store.import_path(path, Profile::V1_2025, &mut |_| {})?;
    Ok((store, imported.root, folder))
}

/// A key as a node keeps it: 32 bytes in hexadecimal.
fn key(path: &Path) -> Result<SecretKey> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let mut seed = [0; 32];
    hex::decode_to_slice(text.trim(), &mut seed).context("not a key")?;
    Ok(SecretKey::from_seed(seed))
}
