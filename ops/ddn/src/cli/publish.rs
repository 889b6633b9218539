//! `ddn publish`: local files to the node, which stores them, anchors them and points the name.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use serde::Serialize;
use storage::{Import, Imported, Packed, Profile, Selection, hash_path, pack_tar};

use super::{
    Context,
    client::{Call, Node},
    content::{Broken, blocking, named, upload},
    cost::{Cost, Publish},
    failure::{self, Failure, Outcome},
    genesis, links,
    name::confirm_premium,
    progress::Line,
    screen, units,
};
use crate::api::{
    paths,
    types::{PublishEvent, PublishStage, Published},
};

const HELP: &str = "\
Examples:
  ddn publish ./site --name alice.ddn    store, anchor, and point the name to it
  ddn publish photo.jpg                  store and anchor, no name
  ddn publish film.mp4 --share owner=10  its owner gets a tenth of what others earn by delivering it
  ddn publish photo.jpg --tag photo --tag harbour --licence CC-BY-4.0 --price 2.5
                                         found by its tags; others can buy a licence
  ddn publish ./site --only-hash         the CID, nothing else; needs no node

Hidden files (.name) below PATH are left out, and symlinks are kept as they are, unless --hidden
or --follow say otherwise. The name is registered if nobody has it. If the command is cut off after
the upload, the node goes on by itself.";

/// Arguments of `ddn publish`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The file or folder
    path: PathBuf,
    /// The name that points to it then, as in alice.ddn or docs.alice.ddn
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A title, told with the ownership
    #[arg(long)]
    title: Option<String>,
    /// A word that it is found by: 1 to 32 of a-z 0-9 -; may be repeated
    #[arg(long, value_name = "TAG", value_delimiter = ',')]
    tag: Vec<ledger::Tag>,
    /// What a licence of it allows: an SPDX identifier, or other words
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    /// What a licence costs, as in 2.5; none is sold without
    #[arg(long, value_name = "COINS", value_parser = units::coins)]
    price: Option<ledger::Amount>,
    /// Who gets a part of what deliveries of it earn, for ever: `owner` or an address, and a percentage
    #[arg(long, value_name = "WHO=PERCENT", value_delimiter = ',')]
    share: Vec<String>,
    /// The wallet that pays and owns [default: `default`]
    #[arg(long)]
    wallet: Option<String>,
    /// How files are cut: unixfs-v1-2025, or unixfs-v0-2015 for the CIDs of older IPFS nodes
    #[arg(long, value_name = "PROFILE", default_value_t)]
    profile: Profile,
    /// Take hidden files (.name) too
    #[arg(long)]
    hidden: bool,
    /// Take what symlinks lead to in their place
    #[arg(long)]
    follow: bool,
    /// Do not ask before a premium is paid for a name that has just become free
    #[arg(long, short)]
    yes: bool,
    /// Say what would be published and what it would cost, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Return when the content is stored and served; the ledger follows by itself
    #[arg(long)]
    no_wait: bool,
    /// Print the CID only; nothing is stored
    #[arg(long, conflicts_with_all = ["name", "title", "tag", "licence", "price", "share", "wallet", "dry_run", "no_wait"])]
    only_hash: bool,
}

impl Args {
    fn selection(&self) -> Selection {
        Selection {
            hidden: self.hidden,
            follow: self.follow,
        }
    }

    fn import(&self) -> Import {
        Import {
            profile: self.profile,
            selection: self.selection(),
        }
    }
}

/// Publishes.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let args = Args {
        path: named(&args.path)?,
        ..args
    };
    match (args.only_hash, args.dry_run) {
        (true, _) => only_hash(context, args).await,
        (_, true) => dry_run(context, args).await,
        _ => publish(context, args).await,
    }
}

async fn publish(context: &Context, args: Args) -> Outcome {
    let selection = args.selection();
    let node = Node::on(&context.data).await?;
    if let Some(name) = &args.name {
        confirm_premium(&node, name, args.yes).await?;
    }
    let line = Line::start(context.screen, &format!("publishing {}", args.path.display()));
    let query = Call::post(paths::PUBLISH, &[])
        .query("name", args.name.as_ref())
        .query("profile", Some(args.profile))
        .query("hidden", Some(args.hidden))
        .query("title", args.title.as_ref())
        .query("tag", joined(&args.tag))
        .query("licence", args.licence.as_ref())
        .query("price", args.price.map(|price| price.units()))
        .query("share", joined(&args.share))
        .query("wallet", args.wallet.as_ref())
        .query("wait", Some(!args.no_wait));
    let (path, selection) = (args.path, selection);
    let packed = Arc::new(OnceLock::new());
    let told = Arc::clone(&packed);
    let (body, reading) = upload(Broken::Ends, move |out| {
        let packed =
            pack_tar(&path, selection, out, &mut |_| {}).map_err(|error| failure::storage(&error))?;
        told.get_or_init(|| packed);
        Ok(())
    });
    let mut published = match send(&node, query, body, &line).await {
        Ok(published) => published,
        Err(answer) => return Err(reading.blame(answer).await),
    };
    line.end();
    let notes = published
        .note
        .take()
        .into_iter()
        .chain(packed.get().and_then(left_out));
    published.note = Some(notes.collect::<Vec<_>>().join("; ")).filter(|note| !note.is_empty());
    context.screen.show(&published, |out, published| {
        tell(out, published, &node.file.gateway)
    })
}

/// With commas between them; nothing if there are none.
fn joined<T: ToString>(words: &[T]) -> Option<String> {
    let words: Vec<String> = words.iter().map(T::to_string).collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// What a publisher may not expect of the folder that was sent.
fn left_out(packed: &Packed) -> Option<String> {
    let hidden = (packed.hidden > 0).then(|| {
        let count = screen::count(packed.hidden, "hidden name");
        format!("{count} left out (--hidden takes them)")
    });
    let outward = (packed.outward > 0).then(|| {
        let count = screen::count(packed.outward, "symlink");
        format!("{count} out of the folder (--follow takes what they lead to)")
    });
    let notes: Vec<String> = hidden.into_iter().chain(outward).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

async fn send(node: &Node, query: Call<'_>, body: reqwest::Body, line: &Line) -> Outcome<Published> {
    let response = node.stream(query, Some(("application/x-tar", body))).await?;
    let mut done = None;
    node.events(response, |event| match event {
        PublishEvent::Progress(progress) => {
            line.moved(words(progress.stage), progress.files, progress.bytes);
            Ok(())
        }
        PublishEvent::Done(published) => {
            done = Some(published);
            Ok(())
        }
        PublishEvent::Error(error) => Err(Failure::told(error)),
    })
    .await?;
    done.ok_or_else(|| {
        let text = "the node stopped in the middle of the publish: start it again, and if `ddn node status` tells of no \
                    publish under way, publish again";
        Failure::new("node_lost", text)
    })
}

/// What a stage of a publish is, for people.
pub fn words(stage: PublishStage) -> &'static str {
    match stage {
        PublishStage::Storing => "storing",
        PublishStage::Committing => "stored and served; announcing to the ledger",
        PublishStage::Claiming => "stored and served; claiming on the ledger",
    }
}

fn tell(out: &mut dyn io::Write, published: &Published, gateway: &str) -> io::Result<()> {
    let Published {
        cid,
        name,
        bytes,
        files,
        height,
        note,
        ..
    } = published;
    let ledger = match height {
        Some(height) => format!("final at height {height}"),
        None => "on its way: see `ddn node status`".to_owned(),
    };
    let mut urls = vec![links::of_content(gateway, cid)];
    urls.extend(name.iter().map(|name| links::of_name(gateway, name)));
    let mut facts = vec![
        ("CID", cid.clone()),
        (
            "size",
            format!("{}, {}", screen::count(*files, "file"), screen::bytes(*bytes)),
        ),
        ("name", name.clone().unwrap_or_default()),
        ("ledger", ledger),
        ("note", note.clone().unwrap_or_default()),
    ];
    facts.extend(urls.into_iter().rev().map(|url| ("URL", url)));
    screen::facts(out, &facts)
}

async fn hashed(context: &Context, path: PathBuf, how: Import) -> Outcome<Imported> {
    let line = Line::start(context.screen, "hashing");
    let shown = line.clone_handle();
    let hashed = blocking(move || {
        let hashed = hash_path(&path, how, &mut |now| {
            shown.moved("hashing", now.files, now.bytes);
        });
        hashed.map_err(|error| failure::storage(&error))
    })
    .await;
    line.end();
    hashed
}

async fn only_hash(context: &Context, args: Args) -> Outcome {
    let how = args.import();
    let Imported {
        root, bytes, files, ..
    } = hashed(context, args.path, how).await?;
    let (cid, name) = (root.to_string(), None);
    let nothing_sent = Published {
        cid,
        name,
        bytes,
        files,
        asset_tx: None,
        name_tx: None,
        height: None,
        note: None,
        job: None,
    };
    context
        .screen
        .show(&nothing_sent, |out, published| writeln!(out, "{}", published.cid))
}

/// What `--dry-run` found.
#[derive(Debug, Serialize)]
struct Plan {
    cid: String,
    name: Option<String>,
    bytes: u64,
    files: u64,
    /// None if no node runs that could tell.
    cost: Option<Cost>,
}

async fn dry_run(context: &Context, args: Args) -> Outcome {
    let how = args.import();
    let Imported {
        root, bytes, files, ..
    } = hashed(context, args.path, how).await?;
    let cid = root.to_string();
    let cost = match Node::if_running(&context.data).await? {
        Some(node) => {
            let genesis = genesis::of_data(&context.data)?;
            let publish = Publish {
                cid: Some(&cid),
                name: args.name.as_deref(),
                wallet: args.wallet.as_deref(),
            };
            Some(Cost::of(&publish, &node, &genesis).await?)
        }
        None => None,
    };
    let plan = Plan {
        cid,
        name: args.name,
        bytes,
        files,
        cost,
    };
    context.screen.show(&plan, |out, plan| {
        let size = format!(
            "{}, {}",
            screen::count(plan.files, "file"),
            screen::bytes(plan.bytes)
        );
        let name = plan.name.clone().unwrap_or_default();
        let cost = plan
            .cost
            .as_ref()
            .map_or("no node runs that could tell".to_owned(), Cost::to_string);
        screen::facts(
            out,
            &[
                ("CID", plan.cid.clone()),
                ("size", size),
                ("name", name),
                ("cost", cost),
            ],
        )?;
        writeln!(out, "Nothing was stored or sent.")
    })
}
