//! Folders: one block while it is small, a HAMT above the threshold of the profile.

use std::collections::BTreeMap;

use super::pb::{Encoder, link_len};
use super::profile::Profile;
use super::unixfs::{DIRECTORY_NODE, symlink_node};
use super::{Child, Sink, hamt};
use crate::Error;

/// Writes a folder.
pub(crate) fn write(
    sink: &dyn Sink,
    profile: Profile,
    entries: &BTreeMap<String, Child>,
) -> Result<Child, Error> {
    let block_bytes = flat_block_bytes(entries);
    if threshold_bytes(profile, entries, block_bytes) > FLAT_BYTES_MAX {
        return hamt::write(
            sink,
            profile,
            entries.iter().map(|(name, child)| (name.as_str(), *child)),
        );
    }
    let mut node = Encoder::with_capacity(block_bytes);
    for (name, child) in entries {
        node.link(&child.cid, name.as_bytes(), child.tree_bytes);
    }
    let block = node.finish(&DIRECTORY_NODE);
    let below: u64 = entries.values().map(|child| child.tree_bytes).sum();
    let cid = profile.seal_node(sink, &block)?;
    Ok(Child {
        cid,
        tree_bytes: below + block.len() as u64,
        file_bytes: 0,
    })
}

/// Writes a symbolic link.
pub(crate) fn write_symlink(sink: &dyn Sink, profile: Profile, target: &str) -> Result<Child, Error> {
    let block = Encoder::with_capacity(target.len() + 16).finish(&symlink_node(target.as_bytes()));
    let cid = profile.seal_node(sink, &block)?;
    Ok(Child {
        cid,
        tree_bytes: block.len() as u64,
        file_bytes: 0,
    })
}

/// The size that the profile compares with the threshold.
fn threshold_bytes(profile: Profile, entries: &BTreeMap<String, Child>, block_bytes: usize) -> usize {
    match profile {
        Profile::V1_2025 => block_bytes,
        Profile::V0_2015 => entries
            .iter()
            .map(|(name, child)| name.len() + child.cid.encoded_len())
            .sum(),
    }
}

fn flat_block_bytes(entries: &BTreeMap<String, Child>) -> usize {
    let links = entries.iter();
    let links = links.map(|(name, child)| link_len(child.cid.encoded_len(), name.len(), child.tree_bytes));
    links.sum::<usize>() + 2 + DIRECTORY_NODE.len()
}

/// A folder of exactly this size is still one block.
const FLAT_BYTES_MAX: usize = 256 << 10;
