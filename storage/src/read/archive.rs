//! A tree as a tar stream, for those who have no store.
//!
//! Nothing in the stream can be unpacked outside of its root: names are single segments, and no symlink leads out
//! (IPIP-288).

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
        }
    }

    /// The head of an object; what it holds is next.
    fn object(&mut self, cid: &Cid, path: &str, depth: usize) -> Result<Bytes, Error> {
        let refused = |reason: &str| Err(Error::malformed(cid, format!("{path} in a tar: {reason}")));
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
            Kind::Symlink { target } if leads_out(depth, &target) => {
                return refused("a symlink leads out of it");
            }
            Kind::Symlink { target } => (EntryType::Symlink, path.to_owned(), target, 0),
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
                if matches!(entry.name.as_str(), "" | "." | "..") || entry.name.contains(['/', '\0']) {
                    let reason = format!("{path} in a tar: an entry is named {:?}", entry.name);
                    return Err(Error::malformed(&entry.cid, reason));
                }
                Ok(Step::Below(
                    entry.cid,
                    format!("{path}/{}", entry.name),
                    *depth + 1,
                ))
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
