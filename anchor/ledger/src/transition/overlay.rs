//! What a block changes, over a state that is only read; and within it, what one transaction changes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::encode;
use crate::state::{State, StateError, read};

type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Two layers of changes over a state: those of the block so far, and those of the transaction in hand.
pub(super) struct Overlay<'a> {
    base: &'a dyn State,
    block: Changes,
    tx: Changes,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(base: &'a dyn State) -> Self {
        Self {
            base,
            block: Changes::new(),
            tx: Changes::new(),
        }
    }

    pub(super) fn read<T: Serialize + DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StateError> {
        read(self, key)
    }

    pub(super) fn write<T: Serialize>(&mut self, key: Vec<u8>, value: &T) {
        self.tx.insert(key, Some(encode(value)));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.tx.insert(key, None);
    }

    /// Makes the transaction's changes part of the block's.
    pub(super) fn keep(&mut self) {
        // Not `append`: that would rebuild the block's map for every transaction.
        self.block.extend(std::mem::take(&mut self.tx));
    }

    /// Forgets the transaction's changes.
    pub(super) fn discard(&mut self) {
        self.tx.clear();
    }

    /// What the block changed, without what is as it was.
    pub(super) fn into_changes(self) -> Result<Changes, StateError> {
        let mut changes = Changes::new();
        for (key, value) in self.block {
            if self.base.get(&key)? != value {
                changes.insert(key, value);
            }
        }
        Ok(changes)
    }
}

impl State for Overlay<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.tx.get(key).or_else(|| self.block.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }
}
