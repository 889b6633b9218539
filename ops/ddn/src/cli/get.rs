//! `ddn get`: content by name or CID, every block checked here, written only when all of it is there.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use cid::Cid;
use serde::Serialize;

use super::{
    Context,
    client::{Call, Node},
    content::{blocking, body_reader, parent},
    failure::{self, Failure, Outcome},
    incoming::{Again, Amount, Incoming},
    progress::Line,
    screen,
    target::{Root, Target},
};
use crate::api::{
    paths,
    types::{Resolved, ResolvedStatus},
};

const HELP: &str = "\
Examples:
  ddn get alice.ddn                    into the folder ./alice.ddn
  ddn get alice.ddn/docs -o docs       a part of it
  ddn get bafy…/photo.jpg -o - | feh -

The node finds the blocks; this program checks each of them against its CID before it writes anything.";

/// Arguments of `ddn get`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// What to fetch: a name or a CID, and a path inside it
    #[arg(value_name = "NAME|CID[/PATH]")]
    target: Target,
    /// Where to put it; `-` is standard output, for files only [default: the last part of the path, here]
    #[arg(long, short, value_name = "OUT")]
    output: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Fetched {
    cid: String,
    name: Option<String>,
    output: String,
    blocks: u64,
    bytes: u64,
}

/// Fetches.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let out = args
        .output
        .unwrap_or_else(|| PathBuf::from(args.target.file_name()));
    let to_stdout = out.as_os_str() == "-";
    if !to_stdout {
        refuse_to_overwrite(&out)?;
    }
    let node = Arc::new(Node::on(&context.data).await?);
    let (root, name) = root_of(&node, &args.target).await?;
    let line = Line::start(context.screen, &format!("fetching {}", args.target));
    let progress = {
        let (line, stop, what) = (
            line.clone_handle(),
            context.stop.clone(),
            format!("fetching {}", args.target),
        );
        move |now: Amount| {
            line.counted(&what, now.blocks, now.bytes);
            !stop.is_cancelled()
        }
    };
    let blocks = fetch(&node, &args.target, root, progress).await?;
    let (path, place) = (args.target.path.clone(), out.clone());
    let (cid, amount) = blocking(move || {
        let cid = match to_stdout {
            true => print(&blocks, root, &path),
            false => export(&blocks, root, &path, &place),
        };
        cid.map(|cid| (cid, blocks.amount()))
    })
    .await?;
    line.end();
    if to_stdout {
        return Ok(());
    }
    let Amount { blocks, bytes } = amount;
    let fetched = Fetched {
        cid: cid.to_string(),
        name,
        output: out.display().to_string(),
        blocks,
        bytes,
    };
    context.screen.show(&fetched, |w, fetched| {
        let amount = format!("{}, {}", screen::count(blocks, "block"), screen::bytes(bytes));
        writeln!(w, "{}  {}  ({amount}, all verified)", fetched.output, fetched.cid)
    })
}

async fn root_of(node: &Node, target: &Target) -> Outcome<(Cid, Option<String>)> {
    match &target.root {
        Root::Cid(cid) => Ok((*cid, None)),
        Root::Name(name) => {
            let found: Resolved = node.call(Call::get(paths::RESOLVE, &[name])).await?;
            content_of(&found).map(|cid| (cid, Some(found.name)))
        }
    }
}

/// What a name points to, or a line that says why it points nowhere.
fn content_of(found: &Resolved) -> Outcome<Cid> {
    let name = &found.name;
    let text = match (found.status, &found.content) {
        (ResolvedStatus::Found, Some(content)) => {
            let parsed = Cid::try_from(content.as_str());
            return parsed.map_err(|error| {
                Failure::new("node_strange", format!("{name} points to {content}: {error}"))
            });
        }
        (ResolvedStatus::Found, None) => {
            format!("{name} has records, but points to no content: see `ddn resolve {name}`")
        }
        (ResolvedStatus::Absent, _) => format!(
            "there is no name {name} at height {}: check its spelling",
            found.height
        ),
        (ResolvedStatus::Delegated, _) => format!(
            "{name} is a name of another chain, and none of its nodes has proven what it says: see `ddn resolve {name}`"
        ),
        (ResolvedStatus::Foreign, _) => {
            format!("{name} is neither a CID nor a name of a chain that the node knows")
        }
    };
    Err(Failure::new("not_found", text))
}

type Source = Incoming<Box<dyn Read + Send>>;

/// Asks for the blocks on the way to the target and below it.
async fn fetch(
    node: &Arc<Node>,
    target: &Target,
    root: Cid,
    progress: impl Fn(Amount) -> bool + Send + Sync + 'static,
) -> Outcome<Source> {
    let root = root.to_string();
    let mut values = vec![root.as_str()];
    values.extend(target.path.iter().map(String::as_str));
    let car = body_reader(node.stream(Call::get(paths::CONTENT, &values), None).await?);
    let again = again(Arc::clone(node));
    blocking(move || {
        let car: Box<dyn Read + Send> = Box::new(car);
        Incoming::new(car, again, progress).map_err(|error| failed(&error))
    })
    .await
}

/// Asks for one block: the first of the stream with the tree below it.
fn again(node: Arc<Node>) -> Again {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |cid| {
        let root = cid.to_string();
        let answer = runtime.block_on(node.stream(Call::get(paths::CONTENT_ROOT, &[&root]), None));
        let car = match answer {
            Ok(answer) => body_reader(answer),
            Err(failure) if matches!(failure.code(), "not_found" | "missing_block") => return Ok(None),
            Err(failure) => return Err(storage::Error::Car(failure.to_string())),
        };
        let first = storage::car::Reader::new(car)?.next().transpose()?;
        Ok(first.filter(|(found, _)| found == cid).map(|(_, block)| block))
    })
}

fn export(blocks: &Source, root: Cid, path: &[String], out: &Path) -> Outcome<Cid> {
    let found = find(blocks, root, path)?;
    // Only an empty folder can be here: it makes room. One that is not empty any more stays, and the export fails.
    let made_room = std::fs::remove_dir(out).is_ok();
    let exported = storage::export(blocks, &found, out, &mut |_| {});
    if exported.is_err() && made_room {
        let _ = std::fs::create_dir(out);
    }
    exported.map(|_| found).map_err(|error| failed(&error))
}

fn print(blocks: &Source, root: Cid, path: &[String]) -> Outcome<Cid> {
    let found = find(blocks, root, path)?;
    let pieces = storage::FileReader::new(blocks, &found, 0..u64::MAX).map_err(|error| match error {
        storage::Error::NotFile(cid) => Failure::new(
            "not_a_file",
            format!("{cid} is a folder, it cannot go to standard output: use -o FOLDER"),
        ),
        other => failed(&other),
    })?;
    let mut out = io::stdout().lock();
    for piece in pieces {
        out.write_all(&piece.map_err(|error| failed(&error))?)?;
    }
    out.flush()?;
    Ok(found)
}

/// Follows the path again here, over verified blocks: the node is not trusted with it.
fn find(blocks: &Source, root: Cid, path: &[String]) -> Outcome<Cid> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    storage::resolve(blocks, &root, &path)
        .map(|node| node.cid)
        .map_err(|error| failed(&error))
}

/// A stream that breaks is the node's, everything else is told as it is.
fn failed(error: &storage::Error) -> Failure {
    match (failure::storage(error), error) {
        (
            Failure::Said { message, .. },
            storage::Error::Car(_)
            | storage::Error::Stream {
                operation: "read", ..
            },
        ) => Failure::new(
            "node_lost",
            format!("the node stopped in the middle of the fetch, try again: {message}"),
        ),
        (failure, _) => failure,
    }
}

/// Nothing may be there but an empty folder, and its parent must be.
fn refuse_to_overwrite(out: &Path) -> Outcome {
    let parent = parent(out);
    if !parent.is_dir() {
        return Err(Failure::new(
            "no_folder",
            format!("{} is not a folder: create it first", parent.display()),
        ));
    }
    let free = match std::fs::symlink_metadata(out) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(there) => {
            there.is_dir() && std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none())
        }
    };
    match free {
        true => Ok(()),
        false => {
            let text = format!(
                "{} exists already: remove it, or choose another place with -o",
                out.display()
            );
            Err(Failure::new("exists", text))
        }
    }
}
