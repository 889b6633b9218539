//! `ddn asset`: ownership of content.

use std::path::{Path, PathBuf};

use cid::Cid;
use storage::{Profile, hash_path};

use super::{
    Context,
    client::{Call, Node},
    confirm,
    content::{blocking, named},
    failure::{self, Failure, Outcome},
    name::How,
    progress::Line,
    screen::{self, Table},
};
use crate::api::{
    paths,
    types::{
        AssetFound, AssetList, AssetShare, AssetVerified, AssetVerify, AssetView, ByWallet, Sent, TransferTo,
    },
};

/// `ddn asset …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn asset show bafy…
  ddn asset verify photo.jpg       whose is this file, and since when
  ddn asset transfer bafy… ddn1…")]
pub enum Command {
    /// Who owns content, since when, and who did before
    Show {
        /// Root of the content
        cid: Cid,
    },
    /// List what this node's wallets own
    List {
        /// Of this address or wallet instead; `*` for all assets of the chain
        #[arg(long, value_name = "ADDRESS|WALLET")]
        owner: Option<String>,
    },
    /// Give content to another account
    Transfer {
        /// Root of the content
        cid: Cid,
        /// The new owner: an address or a wallet of this node
        to: String,
        #[command(flatten)]
        how: How,
    },
    /// Find out where a local file or folder is anchored, alone or inside a folder
    Verify {
        /// The file or folder
        file: PathBuf,
    },
    /// Withdraw content for ever: its ownership stays on the ledger, marked
    Tombstone {
        /// Root of the content
        cid: Cid,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        how: How,
    },
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let node = Node::on(&context.data).await?;
    match command {
        Command::Show { cid } => {
            let view: AssetView = node.call(Call::get(paths::ASSET, &[&cid.to_string()])).await?;
            context.screen.show(&view, tell)
        }
        Command::List { owner } => list(context, &node, owner).await,
        Command::Transfer { cid, to, how } => {
            let done = format!("{cid} now belongs to {to}");
            let order = TransferTo {
                to,
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(context, &node, paths::ASSET_TRANSFER, &cid, &order, &done).await
        }
        Command::Verify { file } => verify(context, &node, &file).await,
        Command::Tombstone { cid, yes, how } => {
            confirm::ask(yes, &format!("Withdraw {cid} for ever?"))?;
            let order = ByWallet {
                wallet: how.wallet,
                wait: Some(!how.no_wait),
            };
            send(
                context,
                &node,
                paths::ASSET_TOMBSTONE,
                &cid,
                &order,
                &format!("withdrew {cid}"),
            )
            .await
        }
    }
}

async fn send(
    context: &Context,
    node: &Node,
    path: &str,
    cid: &Cid,
    order: &impl serde::Serialize,
    done: &str,
) -> Outcome {
    let sent: Sent = node
        .call_with(Call::post(path, &[&cid.to_string()]), order)
        .await?;
    context.screen.sent(&sent, done)
}

fn tell(out: &mut dyn std::io::Write, asset: &AssetView) -> std::io::Result<()> {
    let size = match (asset.files, asset.bytes) {
        (Some(files), Some(bytes)) => format!("{}, {}", screen::count(files, "file"), screen::bytes(bytes)),
        (_, Some(bytes)) => screen::bytes(bytes),
        _ => String::new(),
    };
    let withdrawn = asset
        .tombstone
        .map(|height| format!("by its owner, at height {height}"));
    screen::facts(
        out,
        &[
            ("CID", asset.cid.clone()),
            ("owner", asset.owner.clone()),
            (
                "anchored",
                format!("height {}, {}", asset.anchored, screen::utc(asset.anchored_ms)),
            ),
            ("title", asset.title.clone().unwrap_or_default()),
            ("size", size),
            ("shares", shares(&asset.split)),
            ("profile", asset.profile.clone().unwrap_or_default()),
            ("withdrawn", withdrawn.unwrap_or_default()),
            (
                "here",
                if asset.held {
                    "yes, this node holds it"
                } else {
                    "no"
                }
                .to_owned(),
            ),
            ("at height", asset.height.to_string()),
        ],
    )?;
    let mut table = Table::new(&["height>", "since", "owner"]);
    for owner in &asset.history {
        table.row([
            owner.height.to_string(),
            screen::utc(owner.time_ms),
            owner.owner.clone(),
        ]);
    }
    writeln!(out)?;
    table.write(out, "no history")
}

/// Who gets what of its deliveries.
fn shares(split: &[AssetShare]) -> String {
    let share = |share: &AssetShare| {
        let (whole, rest) = (share.points / 100, share.points % 100);
        let percent = match rest {
            0 => whole.to_string(),
            _ => format!("{whole}.{rest:02}"),
        };
        format!("{percent} % to {}", share.to.as_deref().unwrap_or("its owner"))
    };
    split.iter().map(share).collect::<Vec<_>>().join(", ")
}

async fn list(context: &Context, node: &Node, owner: Option<String>) -> Outcome {
    let list: AssetList = node
        .call(Call::get(paths::ASSETS, &[]).query("owner", owner))
        .await?;
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&["CID", "anchored>", "files>", "size>", "title", "owner"]);
        for asset in &list.assets {
            let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            let title = if asset.tombstone.is_some() {
                Some("(withdrawn)".to_owned())
            } else {
                asset.title.clone()
            };
            table.row([
                asset.cid.clone(),
                asset.anchored.to_string(),
                known(asset.files.map(|files| files.to_string())),
                known(asset.bytes.map(screen::bytes)),
                known(title),
                asset.owner.clone(),
            ]);
        }
        table.write(out, "no assets yet: `ddn publish PATH` anchors one")
    })
}

async fn verify(context: &Context, node: &Node, file: &Path) -> Outcome {
    let path = named(file)?;
    let line = Line::start(context.screen, &format!("hashing {}", file.display()));
    let cids = blocking(move || cids_of(&path)).await?;
    line.say("asking the node");
    let order = AssetVerify { cids: cids.clone() };
    let answer: AssetVerified = node
        .call_with(Call::post(paths::ASSETS_VERIFY, &[]), &order)
        .await?;
    line.end();
    if answer.found.is_empty() {
        return Err(nowhere(file, &cids, &answer));
    }
    context.screen.show(&answer, |out, answer| {
        answer.found.iter().enumerate().try_for_each(|(index, found)| {
            if index > 0 {
                writeln!(out)?;
            }
            tell_found(out, found)
        })
    })
}

/// The CIDs of a file under every import profile, each once.
fn cids_of(path: &Path) -> Outcome<Vec<String>> {
    let mut cids = Vec::new();
    for profile in [Profile::V1_2025, Profile::V0_2015] {
        let hashed = hash_path(path, profile, &mut |_| {}).map_err(|error| failure::storage(&error))?;
        let cid = hashed.root.to_string();
        if !cids.contains(&cid) {
            cids.push(cid);
        }
    }
    Ok(cids)
}

fn tell_found(out: &mut dyn std::io::Write, found: &AssetFound) -> std::io::Result<()> {
    let asset = &found.asset;
    let place = match found.path.as_str() {
        "" => "the asset itself".to_owned(),
        path => format!("{path} inside {}", asset.cid),
    };
    let withdrawn = asset
        .tombstone
        .map(|height| format!("by its owner, at height {height}"));
    screen::facts(
        out,
        &[
            ("CID", found.cid.clone()),
            ("owner", asset.owner.clone()),
            (
                "anchored",
                format!("height {}, {}", asset.anchored, screen::utc(asset.anchored_ms)),
            ),
            ("place", place),
            ("title", asset.title.clone().unwrap_or_default()),
            ("withdrawn", withdrawn.unwrap_or_default()),
        ],
    )
}

fn nowhere(file: &Path, cids: &[String], answer: &AssetVerified) -> Failure {
    let mut text = format!(
        "{} ({}) is anchored nowhere that this node can see: not by itself, and not inside one of the {} anchored folders \
         that were searched",
        file.display(),
        cids.join(", "),
        answer.searched,
    );
    if answer.not_held > 0 {
        text += &format!("; {} more are not held here", answer.not_held);
    }
    Failure::new("not_anchored", text + "; `ddn publish` anchors it")
}
