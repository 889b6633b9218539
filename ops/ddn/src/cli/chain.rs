//! `ddn chain`: the ledger itself, its proofs, and the genesis of a new one.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Read as _, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use cid::Cid;
use gateway::Served;
use ledger::{
    Bundle, Checkpoint, DeliveryProof, Genesis, MAX_BUNDLE_BYTES, NameEntry, Receipt, Signed, Trust,
};
use serde::Serialize;
use serde_json::Value;

use super::{
    Context, chains,
    client::{Call, Node},
    failure::{Failure, Outcome},
    genesis, init,
    name::How,
    proven, receipted,
    screen::{self, Table},
    snapshot, state_key,
};
use crate::api::{
    paths,
    types::{BlockView, ChainStatus, TxStatus, TxView},
};

/// `ddn chain …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn chain status
  ddn chain block latest
  ddn chain proof alice.ddn -o alice.proof
  ddn chain verify alice.proof --genesis genesis.json    anywhere, without a node
  ddn chain checkpoint -o trusted.json
  ddn chain verify alice.proof --checkpoint trusted.json  from a later height than the genesis
  ddn chain register --of OTHER                          follow the chain of the node whose data folder is OTHER
  ddn chain anchor --of OTHER
  ddn chain proof bob.oth -o bob.proof --data OTHER --through OWN   for those who follow the chain of OWN alone
  ddn chain verify delivery.proof                        of `ddn earn receipts --proof ID`
  ddn chain snapshot -o state.ddn
  ddn chain restore state.ddn --genesis genesis.json --data new-node
  curl -s http://127.0.0.1:8080/.well-known/ddn/proof/alice.ddn | ddn chain verify --genesis genesis.json")]
pub enum Command {
    /// Height, delegates, coins, health
    Status,
    /// A block and its transactions
    Block {
        /// Its height, or `latest`
        #[arg(default_value = "latest", value_parser = height)]
        height: String,
    },
    /// A transaction, and what became of it
    Tx {
        /// Its CID
        cid: Cid,
    },
    /// Prove an entry of the ledger, or that there is none, to anybody who has the genesis
    Proof {
        /// A name, a CID, an address, or `name/…`, `asset/…`, `account/…`, `escrow/…`, `edge/…`, `0x…`
        key: String,
        /// Write the proof into this file [default: standard output, unless that is a terminal]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Prove it to those who follow another chain that has anchored this one: the data folder of a node of that chain
        #[arg(long, value_name = "DIR")]
        through: Option<PathBuf>,
    },
    /// Check a proof, of an entry or of a delivery, or a gateway's receipt, without a node: what it says, at which height
    Verify {
        /// The proof; `-` is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// The genesis that is trusted [default: that of the data folder]
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        /// A checkpoint of that chain to trust instead: see `ddn chain checkpoint`
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Other chains that this ledger follows
    List,
    /// Make this ledger follow another chain, so that it can anchor that one's headers
    Register {
        /// The data folder of a running node of the other chain
        #[arg(long, value_name = "DIR")]
        of: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Anchor the newest header of another chain in this ledger
    Anchor {
        /// The data folder of a running node of the other chain
        #[arg(long, value_name = "DIR")]
        of: PathBuf,
        #[command(flatten)]
        how: How,
    },
    /// Write what a light client must know of the newest block, to trust it instead of the genesis
    Checkpoint {
        /// Write it into this file [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Write the newest state with its proof, for a node to begin with instead of all blocks
    Snapshot {
        /// The file to write
        #[arg(long, short, value_name = "FILE")]
        output: PathBuf,
    },
    /// Begin the data folder with a snapshot, verified from the genesis on
    Restore {
        /// The snapshot
        file: PathBuf,
        /// The genesis that is trusted [default: that of the data folder]
        #[arg(long, value_name = "FILE")]
        genesis: Option<PathBuf>,
        /// A checkpoint that it must come after: a genesis that is older than the chain's unbonding time proves less
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Copy the chain of the running node into a new data folder
    Backup {
        /// The folder, which must not be there
        dir: PathBuf,
    },
    /// Write the genesis file of a new chain
    Init(init::Args),
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Status => status(context).await,
        Command::Block { height } => {
            let node = Node::on(&context.data).await?;
            let block: BlockView = node.call(Call::get(paths::CHAIN_BLOCK, &[&height])).await?;
            context.screen.show(&block, tell_block)
        }
        Command::Tx { cid } => {
            let node = Node::on(&context.data).await?;
            let tx: TxView = node.call(Call::get(paths::CHAIN_TX, &[&cid.to_string()])).await?;
            context.screen.show(&tx, tell_tx)
        }
        Command::Proof { key, output, through } => {
            proof(context, &key, output.as_deref(), through.as_deref()).await
        }
        Command::Verify {
            file,
            genesis,
            checkpoint,
        } => verify(context, &file, genesis.as_deref(), checkpoint.as_deref()),
        Command::List => chains::list(context).await,
        Command::Register { of, how } => chains::register(context, &of, how).await,
        Command::Anchor { of, how } => chains::anchor(context, &of, how).await,
        Command::Checkpoint { output } => snapshot::checkpoint(context, output.as_deref()).await,
        Command::Snapshot { output } => snapshot::snapshot(context, &output).await,
        Command::Restore {
            file,
            genesis,
            checkpoint,
        } => snapshot::restore(context, &file, genesis.as_deref(), checkpoint.as_deref()).await,
        Command::Backup { dir } => snapshot::backup(context, &dir).await,
        Command::Init(args) => init::run(context, &args),
    }
}

async fn status(context: &Context) -> Outcome {
    let node = Node::on(&context.data).await?;
    let status: ChainStatus = node.call(Call::get(paths::CHAIN_STATUS, &[])).await?;
    context.screen.show(&status, |out, status| {
        let coins = match (status.supply, status.accounted) {
            (Some(supply), Some(counted)) if supply == counted => format!("{supply}, all accounted for"),
            (Some(supply), Some(counted)) => {
                format!("{supply}, but {counted} counted: the ledger is damaged")
            }
            (supply, _) => supply.map(|supply| supply.to_string()).unwrap_or_default(),
        };
        let health = status
            .problem
            .clone()
            .unwrap_or_else(|| "blocks go on".to_owned());
        screen::facts(
            out,
            &[
                ("chain", format!("{} (preset {})", status.chain_id, status.preset)),
                ("genesis", status.genesis.clone()),
                ("height", status.height.to_string()),
                ("time", screen::utc(status.time_ms)),
                ("block", status.cid.clone()),
                ("state root", status.state_root.clone()),
                (
                    "block time",
                    screen::span(std::time::Duration::from_millis(status.block_time_ms)),
                ),
                (
                    "delegates",
                    format!(
                        "{} of {}",
                        status.delegates.len(),
                        screen::count(status.seats.into(), "seat")
                    ),
                ),
                ("fee", format!("{} coins a transaction", status.fee)),
                ("coins", coins),
                ("names", format!("end with .{}", status.tld)),
                ("health", health),
            ],
        )
    })
}

fn tell_block(out: &mut dyn Write, block: &BlockView) -> io::Result<()> {
    let signed = format!(
        "{} in round {}",
        screen::count(block.signatures, "delegate"),
        block.round
    );
    screen::facts(
        out,
        &[
            ("height", block.height.to_string()),
            ("block", block.cid.clone()),
            ("time", screen::utc(block.time_ms)),
            ("parent", block.parent.clone()),
            ("body", block.body.clone()),
            ("state root", block.state_root.clone()),
            ("proposer", block.proposer.clone()),
            ("signed by", signed),
        ],
    )?;
    if block.txs.is_empty() {
        return writeln!(out, "no transactions");
    }
    let mut table = Table::new(&["what", "by", "transaction"]);
    for tx in &block.txs {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        table.row([known(&tx.kind), known(&tx.sender), tx.cid.clone()]);
    }
    writeln!(out)?;
    table.write(out, "")
}

fn tell_tx(out: &mut dyn Write, tx: &TxView) -> io::Result<()> {
    let status = match (tx.status, tx.height) {
        (TxStatus::Included, Some(height)) => format!("final at height {height}"),
        (TxStatus::Included, None) => "final".to_owned(),
        (TxStatus::Pending, _) => "waits for a block".to_owned(),
        (TxStatus::Refused, _) => format!(
            "refused: {}",
            tx.reason.as_deref().unwrap_or("no reason is known")
        ),
    };
    screen::facts(
        out,
        &[
            ("transaction", tx.cid.clone()),
            ("status", status),
            ("what", tx.kind.clone().unwrap_or_default()),
            ("by", tx.sender.clone().unwrap_or_default()),
            (
                "nonce",
                tx.nonce.map(|nonce| nonce.to_string()).unwrap_or_default(),
            ),
            (
                "fee",
                tx.fee.map(|fee| format!("{fee} coins")).unwrap_or_default(),
            ),
            (
                "details",
                tx.action.as_ref().map(Value::to_string).unwrap_or_default(),
            ),
        ],
    )
}

/// What a proof says.
#[derive(Debug, Serialize)]
struct Proven {
    key: String,
    exists: bool,
    value: Option<Value>,
    /// What a name and its undernames point to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    content: BTreeMap<String, String>,
    chain_id: String,
    /// CID of the block after which it was so.
    block: String,
    height: u64,
    time_ms: u64,
    /// `genesis` or `checkpoint`.
    trusted: &'static str,
    /// The chain that was trusted, if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    through: Option<PassedThrough>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<PathBuf>,
}

/// A chain through which another one's entry was proved.
#[derive(Debug, Serialize)]
struct PassedThrough {
    chain_id: String,
    height: u64,
    time_ms: u64,
    /// What the other chain's names end with, by this chain.
    tld: String,
}

/// What is to be known of a genesis, or a checkpoint, that is older than coins stay locked.
const OLD_TRUST: &str = "what is trusted is older than the coins of those who voted then stay locked: they could sign \
                         another history by now, so compare a newer checkpoint (`ddn chain checkpoint`)";

async fn proof(context: &Context, key: &str, output: Option<&Path>, through: Option<&Path>) -> Outcome {
    if output.is_none() && !context.screen.json && io::stdout().is_terminal() {
        return Err(Failure::new(
            "binary",
            "a proof is binary: write it to a file with -o FILE",
        ));
    }
    let (bytes, bundle, genesis) = match through {
        Some(main) => {
            let (bundle, trusted) = chains::proof(context, key, main).await?;
            (bundle.encode().into(), bundle, trusted)
        }
        None => {
            let node = Node::on(&context.data).await?;
            let genesis = genesis::of_data(&context.data)?;
            let (bytes, bundle) = fetch_proof(&node, key, &genesis).await?;
            (bytes, bundle, genesis)
        }
    };
    let Some(path) = output else {
        return match context.screen.json {
            true => context.screen.show(&bundle, |_, _| Ok(())),
            false => Ok(io::stdout().lock().write_all(&bytes)?),
        };
    };
    std::fs::write(path, &bytes).map_err(|error| Failure::file("write", path, &error))?;
    let proven = Proven {
        output: Some(path.to_owned()),
        ..check(&bundle, &genesis, None)?
    };
    context.screen.show(&proven, |out, proven| {
        writeln!(
            out,
            "{}  {}, height {}",
            path.display(),
            proven.key,
            proven.height
        )
    })
}

/// Fetches a proof and checks it: a node that sends a wrong one is caught here, not by whoever gets the file.
pub async fn fetch_proof(node: &Node, key: &str, genesis: &Genesis) -> Outcome<(bytes::Bytes, Bundle)> {
    let key = state_key::for_api(key, genesis)?;
    let bytes = node
        .bytes(Call::get(paths::CHAIN_PROOF, &[]).query("key", Some(&key)))
        .await?;
    let bundle = Bundle::decode(&bytes).map_err(|error| bad_proof(&key, &error))?;
    ledger::verify(&bundle, genesis).map_err(|error| bad_proof(&key, &error))?;
    Ok((bytes, bundle))
}

fn verify(context: &Context, file: &Path, trusted: Option<&Path>, checkpoint: Option<&Path>) -> Outcome {
    let genesis = match trusted {
        Some(path) => genesis::read(path)?,
        None => genesis::of_data(&context.data)?,
    };
    let checkpoint = checkpoint.map(snapshot::read_checkpoint).transpose()?;
    let bytes = read_proof(file)?;
    if let Ok(proof) = DeliveryProof::decode(&bytes) {
        let delivery = proven::delivery(&proof, &genesis).map_err(|failure| failure.about(file.display()))?;
        return context.screen.show(&delivery, proven::tell);
    }
    if let Ok(served) = Signed::<Served>::decode(&bytes, Served::BYTES_MAX) {
        let answer = receipted::answer(&served, &genesis).map_err(|failure| failure.about(file.display()))?;
        return context.screen.show(&answer, receipted::tell_answer);
    }
    if let Ok(receipt) = Receipt::decode(&bytes) {
        let delivery =
            receipted::unclaimed(&receipt, &genesis).map_err(|failure| failure.about(file.display()))?;
        return context.screen.show(&delivery, receipted::tell_unclaimed);
    }
    let bundle = Bundle::decode(&bytes).map_err(|error| bad_proof(&file.display().to_string(), &error))?;
    let proven =
        check(&bundle, &genesis, checkpoint.as_ref()).map_err(|failure| failure.about(file.display()))?;
    context.screen.show(&proven, tell_proven)
}

fn tell_proven(out: &mut dyn Write, proven: &Proven) -> io::Result<()> {
    let value = proven.value.as_ref();
    let value = value.map_or("there is no such entry".to_owned(), Value::to_string);
    let points = proven.content.iter();
    let points = points.map(|(name, cid)| ("content", format!("{cid} ({name})")));
    let facts: Vec<(&str, String)> = [("key", proven.key.clone()), ("value", value)]
        .into_iter()
        .chain(points)
        .chain([
            ("chain", proven.chain_id.clone()),
            ("block", proven.block.clone()),
            ("height", proven.height.to_string()),
            ("time", screen::utc(proven.time_ms)),
        ])
        .chain(proven.through.iter().map(|through| {
            let told = format!(
                "{}, height {}: its names end with .{}",
                through.chain_id, through.height, through.tld
            );
            ("through", told)
        }))
        .chain([("verdict", format!("proven, from this {} on", proven.trusted))])
        .chain(proven.warning.iter().map(|warning| ("warning", warning.clone())))
        .collect();
    screen::facts(out, &facts)
}

/// What the name of a proven entry and its undernames point to, by whole names under the TLD of its chain.
fn content(key: &[u8], value: Option<&[u8]>, tld: &str) -> BTreeMap<String, String> {
    let entry = value.filter(|_| key.starts_with(ledger::key::NAMES));
    let Some(entry) = entry.and_then(|value| ledger::decode::<NameEntry>(value).ok()) else {
        return BTreeMap::new();
    };
    let Ok(label) = std::str::from_utf8(&key[ledger::key::NAMES.len()..]) else {
        return BTreeMap::new();
    };
    let whole = |under: String| match under.as_str() {
        "" => format!("{label}.{tld}"),
        under => format!("{under}.{label}.{tld}"),
    };
    let records = entry.records.into_iter();
    records
        .filter_map(|(under, records)| Some((whole(under), records.content?.to_string())))
        .collect()
}

/// Verifies a bundle from the genesis, or from a checkpoint of its chain.
fn check(bundle: &Bundle, genesis: &Genesis, checkpoint: Option<&Checkpoint>) -> Outcome<Proven> {
    let trust = match checkpoint {
        Some(checkpoint) => Trust::Checkpoint(checkpoint),
        None => Trust::Genesis(genesis),
    };
    if let Some(other) = checkpoint.filter(|checkpoint| checkpoint.genesis.0 != genesis.cid()) {
        let text = format!(
            "the checkpoint is of {}, the genesis of {}",
            other.chain, genesis.chain_id
        );
        return Err(Failure::new("bad_checkpoint", text));
    }
    let verified = ledger::verify_through(bundle, trust).map_err(|error| Failure::new("bad_proof", error))?;
    // A name of another chain ends as that chain's do.
    let tld = match &verified.through {
        Some(through) => through.anchored.tld.to_string(),
        None => genesis.tld.clone(),
    };
    Ok(Proven {
        trusted: if checkpoint.is_some() {
            "checkpoint"
        } else {
            "genesis"
        },
        warning: verified.is_trust_old(now_ms()).then(|| OLD_TRUST.to_owned()),
        through: verified.through.as_ref().map(|through| PassedThrough {
            chain_id: through.chain.clone(),
            height: through.height,
            time_ms: through.time_ms,
            tld: through.anchored.tld.to_string(),
        }),
        key: state_key::show(&verified.key, genesis),
        exists: verified.value.is_some(),
        value: verified
            .value
            .as_ref()
            .map(|value| state_key::value(&verified.key, value, genesis)),
        content: content(&verified.key, verified.value.as_deref(), &tld),
        chain_id: verified.chain.clone(),
        block: match &verified.through {
            Some(through) => through.anchored.header.cid().to_string(),
            None => bundle.header.cid().to_string(),
        },
        height: verified.height,
        time_ms: verified.time_ms,
        output: None,
    })
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn bad_proof(what: &str, error: &ledger::Error) -> Failure {
    Failure::new("bad_proof", format!("{what}: {error}"))
}

/// A proof file, or stdin for `-`; what is larger than any proof is refused without being read to its end.
fn read_proof(file: &Path) -> Outcome<Vec<u8>> {
    let is_piped = file.as_os_str() == "-";
    if is_piped && io::stdin().is_terminal() {
        return Err(Failure::new(
            "no_proof",
            "no proof was given: name a file, or pipe one in",
        ));
    }
    let mut bytes = Vec::new();
    let most = MAX_BUNDLE_BYTES as u64 + 1;
    let read = match is_piped {
        true => io::stdin().take(most).read_to_end(&mut bytes),
        false => std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Failure::file("read", file, &error))?;
    Ok(bytes)
}

fn height(text: &str) -> Result<String, String> {
    match text == "latest" || text.parse::<u64>().is_ok() {
        true => Ok(text.to_owned()),
        false => Err("give a height or `latest`".to_owned()),
    }
}
