//! A tree as a tar stream, for those who have no store.
//!
//! Nothing in the stream can be unpacked outside of its root (IPIP-288): a name that steps up is followed as far as it
//! stays inside, no symlink leads out, and nothing lies below a symlink.

use std::collections::HashSet;

use bytes::Bytes;
use cid::Cid;
use tar::EntryType;

use super::file::FileReader;
use super::list::{Listing, list};
use super::resolve::{Kind, kind};
use crate::Error;
use crate::block::{Blocks, require};
use crate::import::tree::DEPTH_MAX;
use crate::tar::{END, head, leads_out, padding};

/// The stream, piece by piece. Its root has the CID as its name.
///
/// After an [absence](Error::is_absence) it may be asked again, once the block has been fetched; after any other error it
/// is over, and must not be used.
pub struct Archive<B> {
    blocks: B,
    /// What comes next is last.
    pending: Vec<Pending<B>>,
    /// Paths of the symlinks so far.
    symlinks: HashSet<String>,
}

enum Pending<B> {
    /// A file, folder or symlink that is not read yet.
    Object {
        cid: Cid,
        path: String,
        depth: usize,
    },
    Folder(Box<Listing<B>>, String, usize),
    File(Box<FileReader<B>>),
    Bytes(&'static [u8]),
}

impl<B: Blocks + Clone> Archive<B> {
    /// The tree at `root`.
    pub fn new(blocks: B, root: &Cid) -> Archive<B> {
        let root = Pending::Object {
            cid: *root,
            path: root.to_string(),
            depth: 0,
        };
        Archive {
            blocks,
            pending: vec![Pending::Bytes(&END), root],
            symlinks: HashSet::new(),
        }
    }

    /// The head of an object; what it holds is next.
    fn object(&mut self, cid: &Cid, path: &str, depth: usize) -> Result<Bytes, Error> {
        let refused = |reason: &str| Err(Error::malformed(cid, format!("{path} in a tar: {reason}")));
        if is_below(path, &self.symlinks) {
            return refused("it lies below a symlink");
        }
        let block = require(&self.blocks, cid)?;
        let (kind, path, target, bytes) = match kind(cid, &block)? {
            Kind::Directory if depth >= DEPTH_MAX => return refused("folders are nested too deep"),
            Kind::Directory => {
                let listing = Box::new(list(self.blocks.clone(), cid));
                self.pending
                    .push(Pending::Folder(listing, path.to_owned(), depth));
                (EntryType::Directory, format!("{path}/"), String::new(), 0)
            }
            Kind::File { size } | Kind::Raw { size } => {
                let reader = FileReader::new(self.blocks.clone(), cid, 0..size)?;
                self.pending.push(Pending::Bytes(padding(size)));
                self.pending.push(Pending::File(Box::new(reader)));
                (EntryType::Regular, path.to_owned(), String::new(), size)
            }
            Kind::Symlink { target } if leads_out(path.matches('/').count(), &target) => {
                return refused("a symlink leads out of it");
            }
            Kind::Symlink { .. } if self.symlinks.len() == SYMLINKS_MAX => {
                return refused("too many symlinks");
            }
            Kind::Symlink { target } => {
                self.symlinks.insert(path.to_owned());
                (EntryType::Symlink, path.to_owned(), target, 0)
            }
            Kind::DagCbor | Kind::DagJson | Kind::Other { .. } => {
                return refused("it is neither a file, a folder nor a symlink");
            }
        };
        Ok(head(kind, &path, &target, bytes).into())
    }

    /// One step; none if there was nothing to give.
    fn step(&mut self, next: &mut Pending<B>) -> Result<Step, Error> {
        match next {
            Pending::Object { cid, path, depth } => self.object(cid, path, *depth).map(Step::Last),
            Pending::Bytes(bytes) => Ok(Step::Last(Bytes::from_static(bytes))),
            Pending::File(reader) => Ok(reader.next().transpose()?.map_or(Step::Over, Step::More)),
            Pending::Folder(listing, path, depth) => {
                let Some(entry) = listing.next().transpose()? else {
                    return Ok(Step::Over);
                };
                match joined(path, &entry.name) {
                    Some(path) => Ok(Step::Below(entry.cid, path, *depth + 1)),
                    None => {
                        let reason = format!("{path} in a tar: an entry is named {:?}", entry.name);
                        Err(Error::malformed(&entry.cid, reason))
                    }
                }
            }
        }
    }
}

/// What came of a step.
enum Step {
    /// A piece, and the same again.
    More(Bytes),
    /// The last piece of it.
    Last(Bytes),
    /// An object that comes before the rest.
    Below(Cid, String, usize),
    /// No more pieces.
    Over,
}

impl<B: Blocks + Clone> Iterator for Archive<B> {
    type Item = Result<Bytes, Error>;

    fn next(&mut self) -> Option<Result<Bytes, Error>> {
        loop {
            let mut next = self.pending.pop()?;
            // What an object adds comes after its head.
            match self.step(&mut next) {
                Ok(Step::Last(piece)) if piece.is_empty() => {}
                Ok(Step::Last(piece)) => return Some(Ok(piece)),
                Ok(Step::More(piece)) => {
                    self.pending.push(next);
                    return Some(Ok(piece));
                }
                Ok(Step::Below(cid, path, depth)) => {
                    self.pending.push(next);
                    self.pending.push(Pending::Object { cid, path, depth });
                }
                Ok(Step::Over) => {}
                Err(error) => {
                    match error.is_absence() {
                        true => self.pending.push(next),
                        false => self.pending.clear(),
                    }
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The path of the entry `name` of the folder at `path`. None if it is no path inside of the root.
fn joined(path: &str, name: &str) -> Option<String> {
    let mut segments: Vec<&str> = path.split('/').collect();
    for segment in name.split('/') {
        match segment {
            ".." if segments.len() == 1 => return None,
            ".." => drop(segments.pop()),
            "" | "." => return None,
            segment => segments.push(segment),
        }
    }
    let is_entry = !name.contains('\0') && name.rsplit('/').next() != Some("..") && segments.len() > 1;
    is_entry.then(|| segments.join("/"))
}

/// Whether `path` is one of `symlinks`, or below one.
fn is_below(path: &str, symlinks: &HashSet<String>) -> bool {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    !symlinks.is_empty() && ends.into_iter().any(|end| symlinks.contains(&path[..end]))
}

/// Symlinks of one stream, whose paths are remembered.
const SYMLINKS_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (path, name, expected) in [
            ("root", "a", Some("root/a")),
            ("root/a", "..b..", Some("root/a/..b..")),
            ("root/a", "b..c", Some("root/a/b..c")),
            ("root/a/b", "../c", Some("root/a/c")),
            ("root/a/b", "../../c/d", Some("root/c/d")),
            ("root/a", "../../c", None),
            ("root", "../c", None),
            ("root/a", "..", None),
            ("root/a", "b/..", None),
            ("root/a", ".", None),
            ("root/a", "", None),
            ("root/a", "/b", None),
            ("root/a", "b\0", None),
        ] {
            assert_eq!(joined(path, name).as_deref(), expected, "{path} {name:?}");
        }
    }

    #[test]
    fn nothing_is_below_a_symlink() {
        let symlinks = HashSet::from(["root/a".to_owned()]);
        for (path, below) in [
            ("root/a", true),
            ("root/a/b", true),
            ("root/ab", false),
            ("root", false),
        ] {
            assert_eq!(is_below(path, &symlinks), below, "{path}");
        }
    }
}
