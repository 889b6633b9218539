//! The Jellyfish Merkle tree of the state, read from the store.
//!
//! A version of the tree is a height. An empty block copies the root, since the next version looks for its
//! predecessor's root under that version.

use anyhow::Context;
use jmt::storage::{LeafNode, Node, NodeKey, StaleNodeIndex, TreeReader, TreeUpdateBatch};
use jmt::{JellyfishMerkleTree, KeyHash, OwnedValue, Version};
use sha2::Sha256;

use super::columns::{NODES, VALUES};
use super::db::Db;
use crate::Error;

/// New state of keys: a value, or nothing where the key was removed.
pub(crate) type Changes = std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The proof that the light bundle carries.
pub(crate) type Proof = jmt::proof::SparseMerkleProof<Sha256>;

/// A version, and what it wrote: a value or a tombstone.
type Written = (u64, Option<Vec<u8>>);

/// Reads tree nodes and versioned values.
pub(crate) struct Tree<'a>(pub(crate) &'a Db);

impl Tree<'_> {
    /// The root and the rows that `changes` make of the version before `version`.
    pub(crate) fn update(
        &self,
        changes: &Changes,
        version: u64,
    ) -> Result<([u8; 32], TreeUpdateBatch), Error> {
        let set = changes
            .iter()
            .map(|(key, value)| (KeyHash::with::<Sha256>(key), value.clone()));
        let (root, mut batch) = JellyfishMerkleTree::<_, Sha256>::new(self)
            .put_value_set(set.collect::<Vec<_>>(), version)
            .map_err(|e| Error::damaged("state tree", format!("{e:#}")))?;
        mark_old_root_stale(&mut batch, version);
        Ok((root.0, batch))
    }

    /// The root of a version.
    pub(crate) fn root(&self, version: u64) -> Result<[u8; 32], Error> {
        let root = JellyfishMerkleTree::<_, Sha256>::new(self).get_root_hash(version);
        root.map(|root| root.0)
            .map_err(|e| Error::damaged("state tree", format!("{e:#}")))
    }

    /// The value of a key at a version, with its proof of presence or absence.
    pub(crate) fn prove(&self, key: &[u8], version: u64) -> Result<(Option<Vec<u8>>, Proof), Error> {
        JellyfishMerkleTree::<_, Sha256>::new(self)
            .get_with_proof(KeyHash::with::<Sha256>(key), version)
            .map_err(|e| Error::damaged("state tree", format!("{e:#}")))
    }

    /// The newest value of a key that is not newer than `version`, with the version that wrote it.
    pub(crate) fn value_at(&self, hash: KeyHash, version: u64) -> Result<Option<Written>, Error> {
        let Some((key, value)) = self.0.at_or_before(VALUES, &value_key(hash, version))? else {
            return Ok(None);
        };
        if key.len() != 40 || key[..32] != hash.0 {
            return Ok(None);
        }
        let written = u64::from_be_bytes(key[32..].try_into().expect("eight bytes"));
        Ok(Some((written, decode_value(&value)?)))
    }
}

impl TreeReader for Tree<'_> {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        let Some(bytes) = self.0.get(NODES, &node_key(key))? else {
            return Ok(None);
        };
        borsh::from_slice(&bytes)
            .map(Some)
            .with_context(|| format!("tree node {key:?}"))
    }

    fn get_value_option(&self, version: Version, hash: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.value_at(hash, version)?.and_then(|(_, value)| value))
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        anyhow::bail!("the rightmost leaf serves tree restoration, which this store does not do")
    }
}

/// The library leaves the old root in place when a version changes nothing; without this row it would stay for ever.
fn mark_old_root_stale(batch: &mut TreeUpdateBatch, version: u64) {
    let Some(before) = version.checked_sub(1) else {
        return;
    };
    let root = batch
        .node_batch
        .nodes()
        .keys()
        .find(|key| key.nibble_path().is_empty());
    let Some(path) = root.map(|key| key.nibble_path().clone()) else {
        return;
    };
    let node_key = NodeKey::new(before, path);
    batch.stale_node_index_batch.insert(StaleNodeIndex {
        stale_since_version: version,
        node_key,
    });
}

/// Key of a row of the nodes table.
pub(crate) fn node_key(key: &NodeKey) -> Vec<u8> {
    let mut out = key.version().to_be_bytes().to_vec();
    out.extend(borsh::to_vec(key.nibble_path()).expect("a nibble path is written to memory"));
    out
}

/// Content of a row of the nodes table.
pub(crate) fn encode_node(node: &Node) -> Vec<u8> {
    borsh::to_vec(node).expect("a node is written to memory")
}

/// Key of a row of the values table.
pub(crate) fn value_key(hash: KeyHash, version: u64) -> Vec<u8> {
    let mut out = hash.0.to_vec();
    out.extend(version.to_be_bytes());
    out
}

/// A value with a leading one, or a zero for a tombstone.
pub(crate) fn encode_value(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        Some(value) => [&[1], value].concat(),
        None => vec![0],
    }
}

pub(crate) fn decode_value(bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    match bytes.split_first() {
        Some((1, value)) => Ok(Some(value.to_vec())),
        Some((0, [])) => Ok(None),
        _ => Err(Error::damaged("state value", "neither a value nor a tombstone")),
    }
}
