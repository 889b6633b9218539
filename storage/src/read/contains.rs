//! Whether something is inside a tree, and where.

use std::collections::HashSet;

use cid::Cid;

use super::list::list;
use crate::block::Blocks;
use crate::{Error, codec};

/// The path of the first object of `wanted` in the tree below `root`; the root itself has the path "". Reads folders,
/// and of files the root block at most.
pub fn contains(blocks: &dyn Blocks, root: &Cid, wanted: &HashSet<Cid>) -> Result<Option<String>, Error> {
    if wanted.contains(root) {
        return Ok(Some(String::new()));
    }
    let mut seen = HashSet::from([*root]);
    let mut folders = vec![(*root, String::new())];
    while let Some((folder, path)) = folders.pop() {
        for entry in list(blocks, &folder) {
            let entry = match entry {
                Err(Error::NotDirectory(_)) => break,
                entry => entry?,
            };
            let below = if path.is_empty() {
                entry.name
            } else {
                format!("{path}/{}", entry.name)
            };
            if wanted.contains(&entry.cid) {
                return Ok(Some(below));
            }
            if entry.cid.codec() == codec::DAG_PB && seen.insert(entry.cid) {
                folders.push((entry.cid, below));
            }
        }
    }
    Ok(None)
}
