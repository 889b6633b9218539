//! A tree under construction: entries arrive by path, folders are written when the next entry is elsewhere.
//!
//! Only the folders on the way to the current entry are in memory. An entry in a folder that was written already
//! reads it back and opens it again, so any order of entries works and the usual one is cheap.

use std::collections::BTreeMap;
use std::io::Read;

use super::hashing::{FileError, Hashers};
use super::{Imported, Progress};
use crate::dag::{Child, Sink, directory};
use crate::{Error, Profile, list};

/// A tree that is being written to a sink.
pub(crate) struct Tree<'a> {
    sink: &'a dyn Sink,
    profile: Profile,
    hashers: &'a Hashers,
    progress: &'a mut dyn FnMut(Progress),
    done: Progress,
    /// The folders from the root to the current entry; empty when the root is a file or nothing came yet.
    open: Vec<Open>,
    /// The root, if it is a file or a symlink.
    lone: Option<Child>,
}

struct Open {
    name: String,
    entries: BTreeMap<String, Child>,
}

impl<'a> Tree<'a> {
    pub fn new(
        sink: &'a dyn Sink,
        profile: Profile,
        hashers: &'a Hashers,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Tree<'a> {
        Tree {
            sink,
            profile,
            hashers,
            progress,
            done: Progress::default(),
            open: Vec::new(),
            lone: None,
        }
    }

    /// Adds a folder; one that is there already stays as it is.
    pub fn directory(&mut self, path: &[&str]) -> Result<(), Error> {
        self.enter(path, path.len())
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &[&str], target: &str) -> Result<(), Error> {
        if target.is_empty() || target.len() > TARGET_BYTES_MAX {
            return Err(conflict(
                path,
                "the target of a symlink must have 1 to 4096 bytes",
            ));
        }
        self.make_room(path)?;
        let child = directory::write_symlink(self.sink, self.profile, target)?;
        self.add(path, child);
        Ok(())
    }

    /// Adds a file of exactly `bytes` bytes.
    pub fn file(&mut self, path: &[&str], contents: &mut dyn Read, bytes: u64) -> Result<(), FileError> {
        self.make_room(path)?;
        let (done, progress) = (&mut self.done, &mut self.progress);
        let mut read = |bytes| {
            done.bytes += bytes;
            progress(*done);
        };
        let child = self
            .hashers
            .write_file((self.sink, self.profile), contents, bytes, &mut read)?;
        self.add(path, child);
        Ok(())
    }

    /// Whether anything was added.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.lone.is_none()
    }

    /// Writes what is open. At least one entry must have been added.
    pub fn finish(mut self) -> Result<Imported, Error> {
        while self.open.len() > 1 {
            self.close()?;
        }
        let root = match (self.open.pop(), self.lone) {
            (Some(root), _) => directory::write(self.sink, self.profile, &root.entries)?,
            (None, Some(lone)) => lone,
            (None, None) => return Err(conflict(&[], "nothing to import")),
        };
        let Progress { files, bytes } = self.done;
        Ok(Imported {
            root: root.cid,
            bytes,
            files,
            new_bytes: 0,
        })
    }

    /// Opens the folder of a file or symlink that is about to be written, and sees that its name is free.
    fn make_room(&mut self, path: &[&str]) -> Result<(), Error> {
        let Some((name, folder)) = path.split_last() else {
            return if self.is_empty() {
                Ok(())
            } else {
                Err(conflict(path, "is there twice"))
            };
        };
        check_name(path, name)?;
        self.enter(path, folder.len())?;
        let entries = &self.open[folder.len()].entries;
        if entries.contains_key(*name) {
            return Err(conflict(path, "is there twice"));
        }
        if entries.len() >= ENTRIES_MAX {
            return Err(conflict(
                folder,
                "has more entries than a folder may have (2097152)",
            ));
        }
        Ok(())
    }

    fn add(&mut self, path: &[&str], child: Child) {
        match (path.last(), self.open.last_mut()) {
            (Some(name), Some(folder)) => _ = folder.entries.insert((*name).to_owned(), child),
            _ => self.lone = Some(child),
        }
        self.done.files += 1;
        (self.progress)(self.done);
    }

    /// Makes the folder `path[..depth]` the innermost open one.
    fn enter(&mut self, path: &[&str], depth: usize) -> Result<(), Error> {
        if self.lone.is_some() {
            return Err(conflict(path, "is below a file"));
        }
        if depth > DEPTH_MAX {
            return Err(conflict(path, "is deeper than 256 folders"));
        }
        if self.open.is_empty() {
            self.open.push(Open {
                name: String::new(),
                entries: BTreeMap::new(),
            });
        }
        let open = self.open[1..].iter().zip(path).take(depth);
        let shared = open.take_while(|(folder, name)| folder.name == **name).count();
        while self.open.len() > shared + 1 {
            self.close()?;
        }
        for at in shared..depth {
            self.open(path, at)?;
        }
        Ok(())
    }

    /// Opens `path[at]` in the innermost folder: a new one, or one that was written before.
    fn open(&mut self, path: &[&str], at: usize) -> Result<(), Error> {
        check_name(path, path[at])?;
        let folder = &mut self.open[at].entries;
        if folder.len() >= ENTRIES_MAX {
            return Err(conflict(
                &path[..at],
                "has more entries than a folder may have (2097152)",
            ));
        }
        let entries = match folder.remove(path[at]) {
            None => BTreeMap::new(),
            Some(written) => self.read_back(&path[..=at], &written)?,
        };
        self.open.push(Open {
            name: path[at].to_owned(),
            entries,
        });
        Ok(())
    }

    fn read_back(&self, path: &[&str], folder: &Child) -> Result<BTreeMap<String, Child>, Error> {
        let entries = list(&self.sink, &folder.cid).map(|entry| {
            let entry = entry?;
            Ok((
                entry.name,
                Child {
                    cid: entry.cid,
                    tree_bytes: entry.tree_bytes,
                    file_bytes: 0,
                },
            ))
        });
        entries.collect::<Result<_, _>>().map_err(|error| match error {
            Error::NotDirectory(_) => conflict(path, "is both a file and a folder"),
            error => error,
        })
    }

    /// Writes the innermost folder.
    fn close(&mut self) -> Result<(), Error> {
        let Some(closed) = self.open.pop() else {
            return Ok(());
        };
        let child = directory::write(self.sink, self.profile, &closed.entries)?;
        if let Some(parent) = self.open.last_mut() {
            parent.entries.insert(closed.name, child);
        }
        Ok(())
    }
}

/// Whether a name is left out by default: both profiles leave out what starts with a dot.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

fn check_name(path: &[&str], name: &str) -> Result<(), Error> {
    match name {
        "" | "." | ".." => Err(conflict(path, "is not a plain path")),
        _ if name.contains(['/', '\0']) => Err(conflict(path, "is not a plain path")),
        _ if name.len() > NAME_BYTES_MAX => Err(conflict(path, "has a name of more than 255 bytes")),
        _ => Ok(()),
    }
}

fn conflict(path: &[&str], reason: &'static str) -> Error {
    Error::Conflict {
        path: if path.is_empty() {
            ".".to_owned()
        } else {
            path.join("/")
        },
        reason,
    }
}

/// As deep as folders may be nested; paths come from outside.
pub(crate) const DEPTH_MAX: usize = 256;
/// What file systems allow.
const NAME_BYTES_MAX: usize = 255;
/// What Linux allows.
const TARGET_BYTES_MAX: usize = 4096;
/// Open folders are held in memory, at about 200 bytes an entry.
const ENTRIES_MAX: usize = 2 << 20;
