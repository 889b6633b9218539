//! A local folder, read in a stable order and without surprises: no device is opened, no symlink followed unless asked for, and a file
//! that changes while it is read is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Selection;
use super::tree::{DEPTH_MAX, is_hidden};
use crate::Error;

/// What a walk comes across.
pub(crate) enum Found<'a> {
    /// A file or folder that is left out.
    Hidden,
    Directory,
    Symlink(&'a str),
    File(&'a mut SourceFile),
}

/// Hears of everything at and below a path: the components below it, and what is there.
pub(crate) type Visit<'a> = dyn FnMut(&[&str], Found<'_>) -> Result<(), Error> + 'a;

/// Walks `root`: folders before their entries, entries by name. `root` itself is never hidden.
pub(crate) fn walk(root: &Path, selection: Selection, visit: &mut Visit<'_>) -> Result<(), Error> {
    let mut walk = Walk {
        selection,
        below: Vec::new(),
        open: Vec::new(),
    };
    walk.at(root, visit)
}

struct Walk {
    selection: Selection,
    /// The names on the way from the root.
    below: Vec<String>,
    /// Device and inode of the folders on the way, to find links that lead back into them.
    open: Vec<(u64, u64)>,
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
    fn open(path: &Path, follow: bool) -> Result<SourceFile, Error> {
        let mut flags = rustix::fs::OFlags::NONBLOCK;
        flags.set(rustix::fs::OFlags::NOFOLLOW, !follow);
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

impl Walk {
    fn at(&mut self, path: &Path, visit: &mut Visit<'_>) -> Result<(), Error> {
        let metadata = if self.selection.follow {
            fs::metadata(path)
        } else {
            fs::symlink_metadata(path)
        };
        let metadata = metadata.map_err(|error| refused(path, &error))?;
        let kind = metadata.file_type();
        let names: Vec<&str> = self.below.iter().map(String::as_str).collect();
        if kind.is_dir() {
            visit(&names, Found::Directory)?;
            self.entries(path, (metadata.dev(), metadata.ino()), visit)
        } else if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| refused(path, &error))?;
            let target = target.to_str().ok_or_else(|| not_utf8(path, "its target"))?;
            visit(&names, Found::Symlink(target))
        } else if kind.is_file() {
            let mut file = SourceFile::open(path, self.selection.follow)?;
            visit(&names, Found::File(&mut file))?;
            file.finish()
        } else {
            Err(unfit(path, "it is neither a file, a folder nor a symlink"))
        }
    }

    fn entries(&mut self, folder: &Path, id: (u64, u64), visit: &mut Visit<'_>) -> Result<(), Error> {
        if self.below.len() == DEPTH_MAX {
            return Err(unfit(folder, &format!("it is deeper than {DEPTH_MAX} folders")));
        }
        if self.open.contains(&id) {
            return Err(unfit(folder, "it leads back into a folder that it is in"));
        }
        self.open.push(id);
        for name in entry_names(folder)? {
            let path = folder.join(&name);
            let hidden = !self.selection.hidden && is_hidden(&name);
            self.below.push(name);
            if hidden {
                let names: Vec<&str> = self.below.iter().map(String::as_str).collect();
                visit(&names, Found::Hidden)?;
            } else {
                self.at(&path, visit)?;
            }
            self.below.pop();
        }
        self.open.pop();
        Ok(())
    }
}

/// The names in a folder, sorted.
fn entry_names(folder: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| refused(folder, &error))? {
        let name = entry.map_err(|error| refused(folder, &error))?.file_name();
        let name = name
            .into_string()
            .map_err(|name| not_utf8(&folder.join(name), "its name"))?;
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

fn unfit(path: &Path, reason: &str) -> Error {
    Error::Source {
        path: path.to_owned(),
        reason: reason.to_owned(),
    }
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
