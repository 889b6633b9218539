//! A local folder, read in a stable order and without surprises: no device is opened, no symlink followed, and a file
//! that changes while it is read is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::tree::{DEPTH_MAX, is_hidden};
use crate::Error;

/// What a walk comes across.
pub(crate) enum Found<'a> {
    Directory,
    Symlink(&'a str),
    File(&'a mut SourceFile),
}

/// Hears of everything at and below a path: the components below it, and what is there.
pub(crate) type Visit<'a> = dyn FnMut(&[&str], Found<'_>) -> Result<(), Error> + 'a;

/// Walks `root`: folders before their entries, entries by name. Hidden ones are left out, `root` itself never is.
pub(crate) fn walk(root: &Path, visit: &mut Visit<'_>) -> Result<(), Error> {
    walk_at(root, &mut Vec::new(), visit)
}

/// A regular file that is being read.
pub(crate) struct SourceFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    left: u64,
}

impl SourceFile {
    /// Opens a file whose type was looked at before; what has become something else meanwhile is refused.
    fn open(path: &Path) -> Result<SourceFile, Error> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(path);
        let file = file.map_err(|error| refused(path, &error))?;
        let metadata = file.metadata().map_err(|error| refused(path, &error))?;
        if !metadata.is_file() {
            return Err(Error::Source {
                path: path.to_owned(),
                reason: CHANGED.to_owned(),
            });
        }
        Ok(SourceFile {
            path: path.to_owned(),
            file,
            bytes: metadata.len(),
            left: metadata.len(),
        })
    }

    /// The length when it was opened; exactly so many bytes can be read.
    pub fn length(&self) -> u64 {
        self.bytes
    }

    /// The error for a read that failed.
    pub fn broken(&self, reason: &io::Error) -> Error {
        refused(&self.path, reason)
    }

    /// Sees that the file did not grow.
    fn finish(mut self) -> Result<(), Error> {
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Error::Source {
                path: self.path,
                reason: CHANGED.to_owned(),
            }),
            Err(error) => Err(refused(&self.path, &error)),
        }
    }
}

impl Read for SourceFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let length = self.file.read(&mut buffer[..room])?;
        if length == 0 {
            return Err(io::Error::other(CHANGED));
        }
        self.left -= length as u64;
        Ok(length)
    }
}

fn walk_at(path: &Path, below: &mut Vec<String>, visit: &mut Visit<'_>) -> Result<(), Error> {
    let kind = fs::symlink_metadata(path)
        .map_err(|error| refused(path, &error))?
        .file_type();
    let names: Vec<&str> = below.iter().map(String::as_str).collect();
    if kind.is_dir() {
        visit(&names, Found::Directory)?;
        walk_entries(path, below, visit)
    } else if kind.is_symlink() {
        let target = fs::read_link(path).map_err(|error| refused(path, &error))?;
        let target = target.to_str().ok_or_else(|| not_utf8(path, "its target"))?;
        visit(&names, Found::Symlink(target))
    } else if kind.is_file() {
        let mut file = SourceFile::open(path)?;
        visit(&names, Found::File(&mut file))?;
        file.finish()
    } else {
        let reason = "it is neither a file, a folder nor a symlink".to_owned();
        Err(Error::Source {
            path: path.to_owned(),
            reason,
        })
    }
}

fn walk_entries(folder: &Path, below: &mut Vec<String>, visit: &mut Visit<'_>) -> Result<(), Error> {
    if below.len() == DEPTH_MAX {
        let reason = format!("it is deeper than {DEPTH_MAX} folders");
        return Err(Error::Source {
            path: folder.to_owned(),
            reason,
        });
    }
    for name in entry_names(folder)? {
        let path = folder.join(&name);
        below.push(name);
        walk_at(&path, below, visit)?;
        below.pop();
    }
    Ok(())
}

/// The names in a folder, sorted, without hidden ones.
fn entry_names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| refused(folder, &error))? {
        let name = entry.map_err(|error| refused(folder, &error))?.file_name();
        let name = name
            .into_string()
            .map_err(|name| not_utf8(&folder.join(name), "its name"))?;
        if !is_hidden(&name) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn not_utf8(path: &Path, what: &str) -> Error {
    Error::Source {
        path: path.to_owned(),
        reason: format!("{what} is not UTF-8"),
    }
}

fn refused(path: &Path, error: &io::Error) -> Error {
    Error::Source {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

const CHANGED: &str = "it changed while it was read";
