//! `ddn repo`: the block store. Through the node if one runs on the data folder, else by opening the store itself.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use cid::Cid;
use serde::Serialize;
use storage::{Checked, Store};

use super::{
    Context,
    client::{Call, Node},
    content::{Broken, blocking, body_reader, parent, upload},
    failure::{self, Failure, Outcome},
    progress::Line,
    screen::{self, Table},
};
use crate::api::{
    paths,
    types::{
        CarImported, Empty, PinList, PinView, RepoAmount, RepoBad, RepoEvent, RepoMissing, RepoReport,
        RepoStat,
    },
};

/// `ddn repo …`
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  ddn repo verify
  ddn repo export bafy… -o site.car
  ddn repo import site.car

Without a node on the data folder these commands open the store themselves.")]
pub enum Command {
    /// How much is stored
    Stat,
    /// Read every block, check it, and look for what is missing below pins
    Verify,
    /// Remove what no pin keeps
    Gc,
    /// Keep content and all below it; a node fetches what is not here
    Pin {
        /// The root
        cid: Cid,
        /// Why
        #[arg(long, default_value = "user")]
        label: String,
    },
    /// Do not keep content any more; the next gc removes it
    Unpin {
        /// The root
        cid: Cid,
    },
    /// List what is pinned
    Pins,
    /// Take in the blocks of a CAR file, and pin its roots
    Import {
        /// The CARv1 file; `-` is standard input
        file: PathBuf,
        /// Take the blocks without pinning the roots: they need not be whole, and `gc` removes them
        #[arg(long)]
        no_pin: bool,
    },
    /// Write content and all below it as a CAR file
    Export {
        /// The root
        cid: Cid,
        /// The new file; `-` is standard output [default: CID.car]
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// Where the blocks are.
enum Repo {
    Node(Box<Node>),
    Folder(Store),
}

/// Runs it.
pub async fn run(context: &Context, command: Command) -> Outcome {
    let repo = Repo::open(&context.data).await?;
    match command {
        Command::Stat => stat(context, repo).await,
        Command::Verify => verify(context, repo).await,
        Command::Gc => gc(context, repo).await,
        Command::Pin { cid, label } => pin(context, repo, cid, label).await,
        Command::Unpin { cid } => unpin(context, repo, cid).await,
        Command::Pins => pins(context, repo).await,
        Command::Import { file, no_pin } => import(context, repo, &file, !no_pin).await,
        Command::Export { cid, output } => {
            let output = output.unwrap_or_else(|| format!("{cid}.car").into());
            export(context, repo, cid, &output).await
        }
    }
}

impl Repo {
    async fn open(data: &Path) -> Outcome<Self> {
        if let Some(node) = Node::if_running(data).await? {
            return Ok(Self::Node(Box::new(node)));
        }
        let folder = data.join("blocks");
        if !folder.is_dir() {
            let text = format!(
                "there is no block store in {}: `ddn up --dev` makes one, or choose another --data",
                data.display()
            );
            return Err(Failure::new("no_store", text));
        }
        blocking(move || Store::open(&folder).map_err(|error| failure::storage(&error)))
            .await
            .map(Self::Folder)
    }
}

async fn stat(context: &Context, repo: Repo) -> Outcome {
    let stat = match repo {
        Repo::Node(node) => node.call(Call::get(paths::REPO_STAT, &[])).await?,
        Repo::Folder(store) => {
            let stat = blocking(move || store.stat().map_err(|error| failure::storage(&error))).await?;
            RepoStat {
                blocks: stat.blocks,
                bytes: stat.bytes,
                disk_bytes: stat.disk_bytes,
                pins: stat.pins,
            }
        }
    };
    context.screen.show(&stat, |out, stat| {
        screen::facts(
            out,
            &[
                ("blocks", stat.blocks.to_string()),
                ("size", screen::bytes(stat.bytes)),
                ("on disk", screen::bytes(stat.disk_bytes)),
                ("pins", stat.pins.to_string()),
            ],
        )
    })
}

async fn verify(context: &Context, repo: Repo) -> Outcome {
    let line = Line::start(context.screen, "checking");
    let report = match repo {
        Repo::Node(node) => match work(&node, paths::REPO_VERIFY, &line).await? {
            RepoEvent::Verified(report) => report,
            other => return Err(unexpected(&other)),
        },
        Repo::Folder(store) => {
            let line = line.clone_handle();
            blocking(move || verify_store(&store, &line)).await?
        }
    };
    line.end();
    context.screen.show(&report, tell_report)?;
    let (bad, missing) = (report.bad.len() as u64, report.missing.len() as u64);
    if bad + missing == 0 {
        return Ok(());
    }
    let text = format!(
        "{} damaged and {missing} missing in {}: publish that content again, or import it from another node",
        screen::count(bad, "block"),
        context.data.display()
    );
    Err(Failure::new("damaged", text))
}

fn verify_store(store: &Store, line: &Line) -> Outcome<RepoReport> {
    let report = store.verify(&mut |now| line.counted("checking", now.blocks, now.bytes));
    let report = report.map_err(|error| failure::storage(&error))?;
    let bad = report.bad.iter().map(|bad| RepoBad {
        cid: bad.cid.to_string(),
        reason: bad.reason.clone(),
    });
    let missing = report.missing.iter().map(|hole| RepoMissing {
        root: Some(hole.cid.to_string()),
        cid: cid_in(&hole.reason),
    });
    Ok(RepoReport {
        blocks: report.blocks,
        bytes: report.bytes,
        bad: bad.collect(),
        missing: missing.collect(),
    })
}

/// The block that a reason names.
fn cid_in(reason: &str) -> String {
    reason
        .split(' ')
        .find(|word| Cid::try_from(*word).is_ok())
        .unwrap_or(reason)
        .to_owned()
}

fn tell_report(out: &mut dyn Write, report: &RepoReport) -> io::Result<()> {
    for bad in &report.bad {
        writeln!(out, "damaged  {}  {}", bad.cid, bad.reason)?;
    }
    for missing in &report.missing {
        let below = missing
            .root
            .as_ref()
            .map(|root| format!("  below {root}"))
            .unwrap_or_default();
        writeln!(out, "missing  {}{below}", missing.cid)?;
    }
    let checked = format!(
        "{}, {}",
        screen::count(report.blocks, "block"),
        screen::bytes(report.bytes)
    );
    let verdict = if report.bad.is_empty() && report.missing.is_empty() {
        ", all is well"
    } else {
        ""
    };
    writeln!(out, "checked {checked}{verdict}")
}

async fn gc(context: &Context, repo: Repo) -> Outcome {
    let line = Line::start(context.screen, "collecting garbage");
    let freed = match repo {
        Repo::Node(node) => match work(&node, paths::REPO_GC, &line).await? {
            RepoEvent::Freed(freed) => freed,
            other => return Err(unexpected(&other)),
        },
        Repo::Folder(store) => {
            let line = line.clone_handle();
            let freed = blocking(move || {
                let freed = store.gc(&mut |now| line.counted("collecting garbage", now.blocks, now.bytes));
                freed.map_err(|error| failure::storage(&error))
            });
            let freed = freed.await?;
            RepoAmount {
                blocks: freed.blocks,
                bytes: freed.bytes,
            }
        }
    };
    line.end();
    context.screen.show(&freed, |out, freed| {
        writeln!(
            out,
            "removed {}, {}",
            screen::count(freed.blocks, "block"),
            screen::bytes(freed.bytes)
        )
    })
}

/// Long work of the node: its progress, then its last event.
async fn work(node: &Node, path: &str, line: &Line) -> Outcome<RepoEvent> {
    let response = node.stream(Call::post(path, &[]), None).await?;
    let mut last = None;
    node.events(response, |event| match event {
        RepoEvent::Progress(now) => {
            line.counted("checking", now.blocks, now.bytes);
            Ok(())
        }
        RepoEvent::Error(error) => Err(Failure::told(error)),
        end => {
            last = Some(end);
            Ok(())
        }
    })
    .await?;
    last.ok_or_else(|| {
        Failure::new(
            "node_lost",
            "the node stopped in the middle of this: start it, and try again",
        )
    })
}

fn unexpected(event: &RepoEvent) -> Failure {
    Failure::new(
        "node_strange",
        format!("the node ended with {event:?}: is it another version?"),
    )
}

async fn pin(context: &Context, repo: Repo, cid: Cid, label: String) -> Outcome {
    let pinned = match repo {
        Repo::Node(node) => {
            let (text, line) = (
                cid.to_string(),
                Line::start(context.screen, &format!("pinning {cid}")),
            );
            let call = Call::post(paths::REPO_PIN, &[&text]).query("label", Some(label));
            // It may have to be fetched, which takes as long as it takes.
            let pinned = node.parse(node.stream(call, None).await?).await?;
            line.end();
            pinned
        }
        Repo::Folder(store) => {
            let view = PinView {
                cid: cid.to_string(),
                label: label.clone(),
            };
            blocking(move || store.pin(&cid, &label).map_err(|error| failure::storage(&error))).await?;
            view
        }
    };
    context
        .screen
        .show(&pinned, |out, pinned| writeln!(out, "pinned {}", pinned.cid))
}

async fn unpin(context: &Context, repo: Repo, cid: Cid) -> Outcome {
    let done = match repo {
        Repo::Node(node) => {
            node.call(Call::delete(paths::REPO_PIN, &[&cid.to_string()]))
                .await?
        }
        Repo::Folder(store) => {
            blocking(move || store.unpin(&cid).map_err(|error| failure::storage(&error))).await?;
            Empty {}
        }
    };
    context.screen.show(&done, |out, _| {
        writeln!(out, "unpinned {cid}: the next `ddn repo gc` removes it")
    })
}

async fn pins(context: &Context, repo: Repo) -> Outcome {
    let list = match repo {
        Repo::Node(node) => node.call(Call::get(paths::REPO_PINS, &[])).await?,
        Repo::Folder(store) => {
            let pins = blocking(move || store.pins().map_err(|error| failure::storage(&error))).await?;
            let view = |pin: storage::Pin| PinView {
                cid: pin.cid.to_string(),
                label: pin.label,
            };
            PinList {
                pins: pins.into_iter().map(view).collect(),
            }
        }
    };
    context.screen.show(&list, |out, list| {
        let mut table = Table::new(&["CID", "why"]);
        list.pins
            .iter()
            .for_each(|pin| table.row([pin.cid.clone(), pin.label.clone()]));
        table.write(out, "nothing is pinned")
    })
}

async fn import(context: &Context, repo: Repo, file: &Path, pin: bool) -> Outcome {
    let from_stdin = file.as_os_str() == "-";
    let path = file.to_owned();
    let open = move || -> Outcome<Box<dyn io::Read + Send>> {
        match from_stdin {
            true => Ok(Box::new(io::stdin())),
            false => Ok(Box::new(
                File::open(&path).map_err(|error| Failure::file("read", &path, &error))?,
            )),
        }
    };
    let line = Line::start(context.screen, &format!("importing {}", file.display()));
    let imported = match repo {
        Repo::Node(node) => {
            let mut car = open()?;
            let path = file.to_owned();
            let (body, reading) = upload(Broken::BreaksOff, move |out| {
                io::copy(&mut car, out)
                    .map(drop)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::BrokenPipe => Failure::PipeClosed,
                        _ => Failure::file("read", &path, &error),
                    })
            });
            let media_type = "application/vnd.ipld.car";
            let answer = node
                .stream(
                    Call::post(paths::REPO_IMPORT, &[]).query("pin", Some(pin)),
                    Some((media_type, body)),
                )
                .await;
            match answer {
                Ok(response) => node.parse(response).await?,
                Err(answer) => return Err(reading.blame(answer.about(file.display())).await),
            }
        }
        Repo::Folder(store) => {
            let line = line.clone_handle();
            let imported = blocking(move || Ok(import_into(&store, open()?, pin, &line))).await?;
            imported.map_err(|error| match error {
                storage::Error::Stream { source, .. } => Failure::file("read", file, &source),
                other => failure::storage(&other).about(file.display()),
            })?
        }
    };
    line.end();
    context.screen.show(&imported, |out, imported| {
        let (blocks, bytes) = (
            screen::count(imported.blocks, "block"),
            screen::bytes(imported.bytes),
        );
        let pinned = if pin { "pinned" } else { "not pinned:" };
        writeln!(
            out,
            "imported {blocks}, {bytes}, {pinned} {}",
            imported.roots.join(" ")
        )
    })
}

fn import_into(
    store: &Store,
    car: Box<dyn io::Read + Send>,
    pin: bool,
    line: &Line,
) -> Result<CarImported, storage::Error> {
    let mut read = Checked::default();
    let mut progress = |now: Checked| {
        read = now;
        line.counted("importing", now.blocks, now.bytes);
    };
    let car = io::BufReader::new(car);
    let roots = match pin {
        true => store.import_car(car, &mut progress),
        false => store.add_car(car, &mut progress),
    };
    let roots = roots?.iter().map(Cid::to_string).collect();
    Ok(CarImported {
        roots,
        blocks: read.blocks,
        bytes: read.bytes,
    })
}

/// Where the blocks of an export come from.
enum Source {
    /// A CAR stream of the node.
    Stream(Box<dyn io::Read + Send>),
    /// A store that we opened.
    Store(Store),
}

async fn export(context: &Context, repo: Repo, cid: Cid, output: &Path) -> Outcome {
    let to_stdout = output.as_os_str() == "-";
    if !to_stdout && std::fs::symlink_metadata(output).is_ok() {
        let text = format!(
            "{} exists already: remove it, or choose another file with -o",
            output.display()
        );
        return Err(Failure::new("exists", text));
    }
    let line = Line::start(context.screen, &format!("exporting {cid}"));
    let source = match repo {
        Repo::Node(node) => {
            let car = node
                .stream(Call::get(paths::REPO_EXPORT, &[&cid.to_string()]), None)
                .await?;
            Source::Stream(Box::new(body_reader(car)))
        }
        Repo::Folder(store) => Source::Store(store),
    };
    let shown = line.clone_handle();
    if to_stdout {
        blocking(move || source.write(cid, io::stdout().lock(), &shown)).await?;
        line.end();
        return Ok(());
    }
    // Written beside the target and renamed, so that a file of that name is whole; gone if this is interrupted.
    let failed = |error: &io::Error| Failure::file("write", output, error);
    let readable = std::fs::Permissions::from_mode(0o666);
    let partial = tempfile::Builder::new()
        .prefix(".ddn-partial-")
        .permissions(readable)
        .tempfile_in(parent(output));
    let partial = partial.map_err(|error| failed(&error))?;
    let file = partial.reopen().map_err(|error| failed(&error))?;
    let written = blocking(move || source.write(cid, io::BufWriter::new(file), &shown)).await?;
    partial
        .persist_noclobber(output)
        .map_err(|error| failed(&error.error))?;
    line.end();
    let exported = Exported {
        cid: cid.to_string(),
        output,
        blocks: written.blocks,
        bytes: written.bytes,
    };
    context.screen.show(&exported, |out, exported| {
        let amount = format!(
            "{}, {}",
            screen::count(exported.blocks, "block"),
            screen::bytes(exported.bytes)
        );
        writeln!(out, "{}  {amount}", output.display())
    })
}

#[derive(Serialize)]
struct Exported<'a> {
    cid: String,
    output: &'a Path,
    blocks: u64,
    bytes: u64,
}

impl Source {
    /// What comes from the node is checked block by block on its way.
    fn write(self, cid: Cid, out: impl Write, line: &Line) -> Outcome<Checked> {
        let mut shown = |now: Checked| line.counted("exporting", now.blocks, now.bytes);
        match self {
            Self::Store(store) => storage::car::write(&store, &[cid], out, &mut shown),
            Self::Stream(stream) => copy_checked(stream, cid, out, &mut shown),
        }
        .map_err(|error| failure::storage(&error))
    }
}

fn copy_checked(
    stream: Box<dyn io::Read + Send>,
    cid: Cid,
    out: impl Write,
    shown: &mut dyn FnMut(Checked),
) -> Result<Checked, storage::Error> {
    let reader = storage::car::Reader::new(io::BufReader::new(stream))?;
    let mut writer = storage::car::Writer::new(out, &[cid])?;
    let mut checked = Checked::default();
    for block in reader {
        let (cid, bytes) = block?;
        writer.block(&cid, &bytes)?;
        checked.blocks += 1;
        checked.bytes += bytes.len() as u64;
        shown(checked);
    }
    writer.finish()?;
    Ok(checked)
}
