//! A tree as files and folders on the local disk.
//!
//! Everything is written into a fresh folder beside the target, which nobody else writes to, and renamed at the end.
//! Within it each file and folder is created anew or not at all, so nothing is written through a symlink that the tree
//! itself brought along.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cid::Cid;

use super::AHEAD;
use super::file::FileReader;
use super::list::{Entry, list};
use super::resolve::{Kind, kind};
use crate::block::{Blocks, require};
use crate::import::tree::DEPTH_MAX;
use crate::{Error, Progress};

/// Writes the file, folder or symlink `root` to `out`, which must not exist. A failed export leaves nothing there.
pub fn export(
    blocks: &dyn Blocks,
    root: &Cid,
    out: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Progress, Error> {
    refuse_existing(out)?;
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let beside = tempfile::Builder::new()
        .prefix(".ddn-partial-")
        .tempdir_in(parent);
    let beside = beside.map_err(Error::io("create a folder in", parent))?;
    let partial = beside.path().join("content");
    let mut export = Export {
        blocks,
        out,
        partial,
        done: Progress::default(),
        progress,
    };
    export.object(root, Path::new(""), 0)?;
    refuse_existing(out)?;
    fs::rename(&export.partial, out).map_err(Error::io("create", out))?;
    Ok(export.done)
}

struct Export<'a> {
    blocks: &'a dyn Blocks,
    out: &'a Path,
    /// Where it is written for now; errors speak of `out`.
    partial: PathBuf,
    done: Progress,
    progress: &'a mut dyn FnMut(Progress),
}

impl Export<'_> {
    /// Writes an object at `below` the root.
    fn object(&mut self, cid: &Cid, below: &Path, depth: usize) -> Result<(), Error> {
        let block = require(self.blocks, cid)?;
        match kind(cid, &block)? {
            Kind::Directory if depth < DEPTH_MAX => return self.folder(cid, below, depth),
            Kind::Directory => return Err(self.refused(below, "folders are nested too deep")),
            Kind::File { .. } | Kind::Raw { .. } => self.file(cid, below)?,
            Kind::Symlink { target } => {
                let made = std::os::unix::fs::symlink(&target, join(&self.partial, below));
                made.map_err(self.io("create the symlink", below))?;
            }
            Kind::DagCbor | Kind::DagJson | Kind::Other { .. } => {
                return Err(self.refused(below, &format!("{cid} is neither a file, a folder nor a symlink")));
            }
        }
        self.done.files += 1;
        (self.progress)(self.done);
        Ok(())
    }

    fn folder(&mut self, cid: &Cid, below: &Path, depth: usize) -> Result<(), Error> {
        fs::create_dir(join(&self.partial, below)).map_err(self.io("create the folder", below))?;
        let mut listing = list(self.blocks, cid);
        loop {
            let some: Vec<Entry> = listing.by_ref().take(AHEAD).collect::<Result<_, _>>()?;
            self.blocks.soon(&mut some.iter().map(|entry| &entry.cid));
            if some.is_empty() {
                return Ok(());
            }
            for entry in some {
                self.entry(entry, below, depth)?;
            }
        }
    }

    fn entry(&mut self, entry: Entry, below: &Path, depth: usize) -> Result<(), Error> {
        if matches!(entry.name.as_str(), "" | "." | "..") || entry.name.contains(['/', '\0']) {
            return Err(self.refused(below, &format!("it holds an entry named {:?}", entry.name)));
        }
        self.object(&entry.cid, &below.join(entry.name), depth + 1)
    }

    fn file(&mut self, cid: &Cid, below: &Path) -> Result<(), Error> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(join(&self.partial, below));
        let mut file = file.map_err(self.io("create", below))?;
        for piece in FileReader::new(self.blocks, cid, 0..u64::MAX)? {
            let piece = piece?;
            file.write_all(&piece).map_err(self.io("write", below))?;
            self.done.bytes += piece.len() as u64;
            (self.progress)(self.done);
        }
        Ok(())
    }

    fn io(&self, operation: &'static str, below: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
        Error::io(operation, &join(self.out, below))
    }

    fn refused(&self, below: &Path, reason: &str) -> Error {
        refused(&join(self.out, below), reason)
    }
}

/// As `Path::join`, but joining nothing adds no slash.
fn join(root: &Path, below: &Path) -> PathBuf {
    if below == Path::new("") {
        root.to_owned()
    } else {
        root.join(below)
    }
}

fn refuse_existing(out: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(out) {
        Ok(_) => Err(refused(out, "it exists already")),
        Err(_) => Ok(()),
    }
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::Export {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
}
