//! The tree of receipts: the Merkle tree of RFC 6962, section 2.1, over receipt ids.

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// The root over receipt ids in this order. Of none: the sha2-256 of nothing.
pub fn receipts_root(ids: &[Hash]) -> Hash {
    match ids {
        [] => Hash::of(b""),
        [id] => leaf(id),
        _ => {
            let (left, right) = ids.split_at(split(ids.len()));
            node(&receipts_root(left), &receipts_root(right))
        }
    }
}

/// The hashes beside the way from receipt number `index` (from 0) to the root, lowest first. Empty if there is no such
/// receipt, or only this one.
pub fn receipt_path(ids: &[Hash], index: usize) -> Vec<Hash> {
    if ids.len() < 2 || index >= ids.len() {
        return vec![];
    }
    let (left, right) = ids.split_at(split(ids.len()));
    let (mut path, beside) = if index < left.len() {
        (receipt_path(left, index), receipts_root(right))
    } else {
        (receipt_path(right, index - left.len()), receipts_root(left))
    };
    path.push(beside);
    path
}

/// Whether receipt `id` is number `index` (from 0) of the `count` receipts under `root`.
pub fn check_path(root: Hash, count: u64, index: u64, id: Hash, path: &[Hash]) -> bool {
    if index >= count {
        return false;
    }
    // As RFC 9162, 2.1.3.2: `place` is the node's number in its row, `last` that of the row's last node.
    let (mut place, mut last, mut hash) = (index, count - 1, leaf(&id));
    for beside in path {
        if last == 0 {
            return false;
        }
        if place % 2 == 1 || place == last {
            hash = node(beside, &hash);
            // A last node without a partner goes up as it is.
            while place.is_multiple_of(2) && place != 0 {
                (place, last) = (place / 2, last / 2);
            }
        } else {
            hash = node(&hash, beside);
        }
        (place, last) = (place / 2, last / 2);
    }
    last == 0 && hash == root
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

fn leaf(id: &Hash) -> Hash {
    Hash(
        Sha256::new()
            .chain_update([0])
            .chain_update(id.0)
            .finalize()
            .into(),
    )
}

fn node(left: &Hash, right: &Hash) -> Hash {
    let digest = Sha256::new()
        .chain_update([1])
        .chain_update(left.0)
        .chain_update(right.0);
    Hash(digest.finalize().into())
}
