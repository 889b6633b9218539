//! A state tree in memory, to make real proofs from.

use std::cell::RefCell;
use std::collections::BTreeMap;

use jmt::storage::{LeafNode, Node, NodeKey, TreeReader};
use jmt::{KeyHash, OwnedValue, Sha256Jmt, Version};
use ledger::{Hash, MemoryState, StateProof};

/// One version of a tree.
#[derive(Default)]
pub struct Tree {
    nodes: RefCell<BTreeMap<NodeKey, Node>>,
    values: RefCell<BTreeMap<KeyHash, OwnedValue>>,
    pub root: Hash,
}

impl Tree {
    pub fn of(state: &MemoryState) -> Self {
        let mut tree = Self::default();
        let set = state
            .0
            .iter()
            .map(|(key, value)| (hash(key), Some(value.clone())));
        let (root, batch) = Sha256Jmt::new(&tree).put_value_set(set, 0).unwrap();
        tree.root = Hash(root.0);
        for (key, node) in batch.node_batch.nodes() {
            tree.nodes.borrow_mut().insert(key.clone(), node.clone());
        }
        for ((_, key), value) in batch.node_batch.values() {
            tree.values.borrow_mut().insert(*key, value.clone().unwrap());
        }
        tree
    }

    pub fn prove(&self, key: &[u8]) -> (Option<Vec<u8>>, StateProof) {
        let (value, proof) = Sha256Jmt::new(self).get_with_proof(hash(key), 0).unwrap();
        (value, StateProof(proof))
    }
}

fn hash(key: &[u8]) -> KeyHash {
    KeyHash(Hash::of(key).0)
}

impl TreeReader for Tree {
    fn get_node_option(&self, key: &NodeKey) -> anyhow::Result<Option<Node>> {
        Ok(self.nodes.borrow().get(key).cloned())
    }

    fn get_value_option(&self, _: Version, key: KeyHash) -> anyhow::Result<Option<OwnedValue>> {
        Ok(self.values.borrow().get(&key).cloned())
    }

    fn get_rightmost_leaf(&self) -> anyhow::Result<Option<(NodeKey, LeafNode)>> {
        Ok(None)
    }
}
