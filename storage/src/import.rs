//! How files and folders come in: a tree is fed file by file, blocks leave for a [`Sink`] as soon
//! as they are complete.
//!
//! Memory is bounded: chunks in flight by the window of the [`hashing`] threads, folders by those that are open on
//! the way to the current entry.

#[cfg(test)]
mod golden;
mod hashing;
pub(crate) mod pack;
pub(crate) mod source;
pub(crate) mod tar;
pub(crate) mod tree;

use std::path::Path;

use bytes::Bytes;
use cid::Cid;

use crate::dag::Sink;
use crate::{Blocks, Error, Profile};
pub(crate) use hashing::{FileError, with_hashers};
use source::Found;
pub(crate) use tree::Tree;

/// How far an import or a packing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files and symlinks done.
    pub files: u64,
    /// Bytes of files read.
    pub bytes: u64,
}

/// What of a folder is taken. By default, as both profiles say: no hidden files, and symlinks as symlinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Also take files and folders whose name starts with a dot.
    pub hidden: bool,
    /// Take what symlinks lead to in their place. A link that leads nowhere, or into a folder that it is in, is
    /// refused.
    pub follow: bool,
}

/// How files are imported: which, and how they are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// How they are cut.
    pub profile: Profile,
    /// Which.
    pub selection: Selection,
}

impl From<Profile> for Import {
    fn from(profile: Profile) -> Import {
        Import {
            profile,
            selection: Selection::default(),
        }
    }
}

/// What came of an import. From [`Store::import_tar`](crate::Store::import_tar) and its siblings it means: on disk,
/// synced and pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The root of the file, folder or symlink.
    pub root: Cid,
    /// Bytes of all files, repetitions counted.
    pub bytes: u64,
    /// Files and symlinks.
    pub files: u64,
    /// Bytes of blocks that the store did not have before.
    pub new_bytes: u64,
}

/// The CID that an import of `path` would give, without a store.
pub fn hash_path(
    path: &Path,
    import: impl Into<Import>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, Error> {
    import_path(&Discard, path, import.into(), progress)
}

/// Feeds what is at `path` to `sink`.
pub(crate) fn import_path(
    sink: &dyn Sink,
    path: &Path,
    Import { profile, selection }: Import,
    progress: &mut dyn FnMut(Progress),
) -> Result<Imported, Error> {
    with_hashers(sink, profile, |hashers| {
        let mut tree = Tree::new(sink, profile, hashers, progress);
        source::walk(path, selection, &mut |below, found| match found {
            Found::Hidden => Ok(()),
            Found::Directory => tree.directory(below),
            Found::Symlink(target) => tree.symlink(below, target),
            Found::File(file) => {
                let bytes = file.length();
                let written = tree.file(below, file, bytes);
                written.map_err(|error| match error {
                    FileError::Read(reason) => file.broken(&reason),
                    FileError::Blocks(error) => error,
                })
            }
        })?;
        tree.finish()
    })
}

/// Takes blocks and forgets them: only the CID is wanted.
struct Discard;

impl Sink for Discard {
    fn put(&self, _: &Cid, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

impl Blocks for Discard {
    fn block(&self, _: &Cid) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }
}
