//! `ddn get`: content by name or CID, every block checked here, written only when all of it is there.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use cid::Cid;
use serde::Serialize;

use super::{
    Context,
    client::{Call, Node},
    content::{Spool, blocking, body_reader},
    failure::{self, Failure, Outcome},
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
    output: Option<String>,
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
    let node = Node::on(&context.data).await?;
    let (root, name) = root_of(&node, &args.target).await?;
    let line = Line::start(context.screen, &format!("fetching {}", args.target));
    let dir = if to_stdout {
        std::env::temp_dir()
    } else {
        parent(&out).to_owned()
    };
    let spool = fetch(&node, &args.target, root, &dir, &line).await?;
    let (blocks, bytes) = spool.amounts();
    let path = args.target.path.clone();
    let place = out.clone();
    let cid = blocking(move || match to_stdout {
        true => print(&spool, root, &path),
        false => export(&spool, root, &path, &place),
    })
    .await?;
    line.end();
    if to_stdout {
        return Ok(());
    }
    let fetched = Fetched {
        cid: cid.to_string(),
        name,
        output: Some(out.display().to_string()),
        blocks,
        bytes,
    };
    context.screen.show(&fetched, |w, fetched| {
        let amount = format!("{}, {}", screen::count(blocks, "block"), screen::bytes(bytes));
        writeln!(w, "{}  {}  ({amount}, all verified)", out.display(), fetched.cid)
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
        (ResolvedStatus::Foreign, _) => format!("{name} is neither a CID nor a name of this chain"),
    };
    Err(Failure::new("not_found", text))
}

async fn fetch(node: &Node, target: &Target, root: Cid, dir: &Path, line: &Line) -> Outcome<Spool> {
    let root = root.to_string();
    let mut values = vec![root.as_str()];
    values.extend(target.path.iter().map(String::as_str));
    let car = body_reader(node.stream(Call::get(paths::CONTENT, &values), None).await?);
    let (mut spool, line, what) = (
        Spool::beside(dir)?,
        line.clone_handle(),
        format!("fetching {target}"),
    );
    blocking(move || {
        spool.fill(car, |blocks, bytes| line.counted(&what, blocks, bytes))?;
        Ok(spool)
    })
    .await
}

fn export(spool: &Spool, root: Cid, path: &[String], out: &Path) -> Outcome<Cid> {
    let found = find(spool, root, path)?;
    // Only an empty folder can be here; one that is not empty any more makes this fail, and the export too.
    let _ = std::fs::remove_dir(out);
    storage::export(spool, &found, out, &mut |_| {}).map_err(|error| failure::storage(&error))?;
    Ok(found)
}

fn print(spool: &Spool, root: Cid, path: &[String]) -> Outcome<Cid> {
    let found = find(spool, root, path)?;
    let pieces = storage::FileReader::new(spool, &found, 0..u64::MAX).map_err(|error| match error {
        storage::Error::NotFile(cid) => Failure::new(
            "not_a_file",
            format!("{cid} is a folder, it cannot go to standard output: use -o FOLDER"),
        ),
        other => failure::storage(&other),
    })?;
    let mut out = io::stdout().lock();
    for piece in pieces {
        out.write_all(&piece.map_err(|error| failure::storage(&error))?)?;
    }
    out.flush()?;
    Ok(found)
}

/// Follows the path again here, over verified blocks: the node is not trusted with it.
fn find(spool: &Spool, root: Cid, path: &[String]) -> Outcome<Cid> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    storage::resolve(spool, &root, &path)
        .map(|node| node.cid)
        .map_err(|error| failure::storage(&error))
}

fn parent(out: &Path) -> &Path {
    out.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
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
