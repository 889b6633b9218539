//! `ddn chain checkpoint`, `snapshot`, `restore` and `backup`: the chain as others may begin with it.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger::{Checkpoint, Genesis};
use serde::Serialize;

use super::client::{Call, Node};
use super::content::{blocking, body_reader, parent};
use super::failure::{Failure, Outcome};
use super::progress::Line;
use super::{Context, genesis, screen};
use crate::api::paths;
use crate::api::types::{BackupMade, BackupOrder};

/// Writes a checkpoint of the newest block.
pub async fn checkpoint(context: &Context, output: Option<&Path>) -> Outcome {
    let node = Node::on(&context.data).await?;
    let json = node.bytes(Call::get(paths::CHAIN_CHECKPOINT, &[])).await?;
    let checkpoint = Checkpoint::parse(&json).map_err(|error| Failure::new("bad_checkpoint", error))?;
    let Some(path) = output else {
        return Ok(io::stdout().lock().write_all(&json)?);
    };
    fs::write(path, &json).map_err(|error| Failure::file("write", path, &error))?;
    let told = Told {
        chain_id: checkpoint.chain.clone(),
        height: checkpoint.height,
        time_ms: checkpoint.time_ms,
        cid: checkpoint.cid().to_string(),
        path,
    };
    context.screen.show(&told, |out, told| {
        let locked = Duration::from_millis(checkpoint.unbonding_ms);
        writeln!(
            out,
            "{}  height {}, {}, to be trusted for {}",
            path.display(),
            told.height,
            told.cid,
            screen::span(locked)
        )
    })
}

/// Reads a checkpoint file.
pub fn read_checkpoint(path: &Path) -> Outcome<Checkpoint> {
    let size = fs::metadata(path)
        .map_err(|error| Failure::file("read", path, &error))?
        .len();
    let bad = |reason: String| Failure::new("bad_checkpoint", format!("{}: {reason}", path.display()));
    if size > 4 * Checkpoint::BYTES_MAX as u64 {
        return Err(bad(format!("{size} bytes are no checkpoint")));
    }
    let json = fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    Checkpoint::parse(&json).map_err(|error| bad(error.to_string()))
}

/// What was written, or read.
#[derive(Debug, Serialize)]
struct Told<'a> {
    chain_id: String,
    height: u64,
    time_ms: u64,
    /// CID of the checkpoint, or of the newest block.
    cid: String,
    path: &'a Path,
}

/// Writes a snapshot of the node's chain.
pub async fn snapshot(context: &Context, output: &Path) -> Outcome {
    if fs::symlink_metadata(output).is_ok() {
        let text = format!(
            "{} exists already: remove it, or choose another file",
            output.display()
        );
        return Err(Failure::new("exists", text));
    }
    let node = Node::on(&context.data).await?;
    let line = Line::start(context.screen, "writing the snapshot");
    let failed = |error: &io::Error| Failure::file("write", output, error);
    // Written beside the target and renamed, so that a file of that name is whole.
    let partial = tempfile::Builder::new()
        .prefix(".ddn-partial-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(parent(output));
    let partial = partial.map_err(|error| failed(&error))?;
    let mut file = partial.reopen().map_err(|error| failed(&error))?;
    let answer = node.stream(Call::get(paths::CHAIN_SNAPSHOT, &[]), None).await?;
    let (mut reader, shown) = (body_reader(answer), line.clone_handle());
    let copied = blocking(move || {
        let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
        loop {
            let read = reader
                .read(&mut buffer)
                .map_err(|error| Failure::new("broken_off", error))?;
            if read == 0 {
                return Ok(bytes);
            }
            file.write_all(&buffer[..read])?;
            bytes += read as u64;
            shown.counted("writing", 1, bytes);
        }
    });
    let bytes = copied.await?;
    partial
        .persist_noclobber(output)
        .map_err(|error| failed(&error.error))?;
    line.end();
    let written = Written { path: output, bytes };
    context.screen.show(&written, |out, written| {
        writeln!(out, "{}  {}", output.display(), screen::bytes(written.bytes))
    })
}

#[derive(Debug, Serialize)]
struct Written<'a> {
    path: &'a Path,
    bytes: u64,
}

/// Begins the data folder with a snapshot.
pub async fn restore(
    context: &Context,
    file: &Path,
    trusted: Option<&Path>,
    checkpoint: Option<&Path>,
) -> Outcome {
    let dir = context.data.clone();
    let genesis = match trusted {
        Some(path) => genesis::read(path)?,
        None => genesis::of_data(&dir)?,
    };
    let checkpoint = checkpoint.map(read_checkpoint).transpose()?;
    let open = File::open(file).map_err(|error| Failure::file("read", file, &error))?;
    keep_genesis(&dir, &genesis)?;
    let line = Line::start(context.screen, "reading the snapshot");
    let (shown, into) = (line.clone_handle(), dir.clone());
    let (name, chain_id) = (file.to_owned(), genesis.chain_id.clone());
    let tip = blocking(move || {
        let mut input = BufReader::with_capacity(1 << 20, open);
        let progress = |done, all| shown.counted(&format!("part of {all}"), done, 0);
        chain::restore(&into, &genesis, checkpoint.as_ref(), &mut input, progress)
            .map_err(|error| Failure::new("bad_snapshot", format!("{}: {error}", name.display())))
    })
    .await?;
    line.end();
    let told = Told {
        chain_id,
        height: tip.height,
        time_ms: tip.time_ms,
        cid: tip.cid.to_string(),
        path: &dir,
    };
    context.screen.show(&told, |out, told| {
        writeln!(
            out,
            "{}  chain {}, height {}: start it with `ddn up --join …`",
            dir.display(),
            told.chain_id,
            told.height
        )
    })
}

/// A data folder holds the genesis of its chain; another one is not overwritten.
fn keep_genesis(dir: &Path, genesis: &Genesis) -> Outcome {
    let path = dir.join("genesis.json");
    if path.exists() {
        let known = genesis::read(&path)?;
        if known.cid() == genesis.cid() {
            return Ok(());
        }
        let text = format!("{} is of another chain, {}", path.display(), known.chain_id);
        return Err(Failure::new("other_genesis", text));
    }
    fs::create_dir_all(dir).map_err(|error| Failure::file("make", dir, &error))?;
    fs::write(&path, genesis.to_json()).map_err(|error| Failure::file("write", &path, &error))
}

/// Copies the node's chain into a new data folder.
pub async fn backup(context: &Context, dir: &Path) -> Outcome {
    let whole: PathBuf = std::path::absolute(dir).map_err(|error| Failure::file("find", dir, &error))?;
    let node = Node::on(&context.data).await?;
    let order = BackupOrder {
        dir: whole.display().to_string(),
    };
    let made: BackupMade = node
        .call_with(Call::post(paths::CHAIN_BACKUP, &[]), &order)
        .await?;
    context.screen.show(&made, |out, made| {
        writeln!(out, "{}  height {}", made.dir, made.height)
    })
}
