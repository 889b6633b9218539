//! A tree as files and folders on the local disk.
//!
//! Everything is written into a fresh folder beside the target, which nobody else writes to, and renamed at the end.
//! Within it each file and folder is created anew or not at all, so nothing is written through a symlink that the tree
//! itself brought along.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use cid::Cid;

use super::file::FileReader;
use super::list::list;
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
        done: Progress::default(),
        progress,
    };
    export.object(root, &partial, 0)?;
    refuse_existing(out)?;
    fs::rename(&partial, out).map_err(Error::io("create", out))?;
    Ok(export.done)
}

struct Export<'a> {
    blocks: &'a dyn Blocks,
    done: Progress,
    progress: &'a mut dyn FnMut(Progress),
}

impl Export<'_> {
    fn object(&mut self, cid: &Cid, path: &Path, depth: usize) -> Result<(), Error> {
        let block = require(self.blocks, cid)?;
        match kind(cid, &block)? {
            Kind::Directory if depth < DEPTH_MAX => return self.folder(cid, path, depth),
            Kind::Directory => return Err(refused(path, "folders are nested too deep")),
            Kind::File { .. } | Kind::Raw { .. } => self.file(cid, path)?,
            Kind::Symlink { target } => {
                std::os::unix::fs::symlink(&target, path).map_err(Error::io("create the symlink", path))?;
            }
            Kind::DagCbor | Kind::Other { .. } => {
                return Err(refused(
                    path,
                    &format!("{cid} is neither a file, a folder nor a symlink"),
                ));
            }
        }
        self.done.files += 1;
        (self.progress)(self.done);
        Ok(())
    }

    fn folder(&mut self, cid: &Cid, path: &Path, depth: usize) -> Result<(), Error> {
        fs::create_dir(path).map_err(Error::io("create the folder", path))?;
        for entry in list(self.blocks, cid) {
            let entry = entry?;
            let below = entry_path(path, &entry.name)?;
            self.object(&entry.cid, &below, depth + 1)?;
        }
        Ok(())
    }

    fn file(&mut self, cid: &Cid, path: &Path) -> Result<(), Error> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file: File = file.map_err(Error::io("create", path))?;
        for piece in FileReader::new(self.blocks, cid, 0..u64::MAX)? {
            let piece = piece?;
            file.write_all(&piece).map_err(Error::io("write", path))?;
            self.done.bytes += piece.len() as u64;
            (self.progress)(self.done);
        }
        Ok(())
    }
}

/// The path of an entry, whose name comes from outside.
fn entry_path(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(refused(folder, &format!("it holds an entry named {name:?}")));
    }
    Ok(folder.join(name))
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
