//! What a node finds again after a crash.

use std::collections::BTreeMap;
use std::rc::Rc;

use arc_malachitebft_core_consensus::Input;
use consensus::{Chain, Part};
use ledger::{Certificate, Hash};

use crate::book::After;

/// What a node finds again after a crash.
pub struct Disk {
    pub tip: Rc<After>,
    /// That of the tip, as this node saw it.
    pub certificate: Option<Certificate>,
    /// Blocks of the next height, with the round in which they came.
    pub undecided: Vec<(Part, Hash)>,
    pub wal: Wal,
    /// What was signed, by height, round and kind of message.
    journal: BTreeMap<(u64, u32, u8), Vec<u8>>,
}

/// The engine's log of one height.
#[derive(Default)]
pub struct Wal {
    height: u64,
    synced: Vec<Input<Chain>>,
    /// Written, but lost in a crash.
    written: Vec<Input<Chain>>,
}

impl Disk {
    pub fn new(tip: Rc<After>) -> Self {
        Self {
            tip,
            certificate: None,
            undecided: Vec::new(),
            wal: Wal::default(),
            journal: BTreeMap::new(),
        }
    }

    /// A decided block; what was for its height is over.
    pub fn commit(&mut self, tip: Rc<After>, certificate: Certificate) {
        self.journal = self.journal.split_off(&(tip.height, 0, 0));
        self.undecided.clear();
        self.tip = tip;
        self.certificate = Some(certificate);
    }

    /// Whether these bytes may be signed there: others were not.
    pub fn may_sign(&mut self, place: (u64, u32, u8), bytes: &[u8]) -> bool {
        self.journal.entry(place).or_insert_with(|| bytes.to_vec()) == bytes
    }
}

impl Wal {
    /// What was logged of a height; the log of another is dropped.
    pub fn start(&mut self, height: u64) -> Vec<Input<Chain>> {
        if self.height != height {
            *self = Self {
                height,
                ..Self::default()
            };
        }
        self.synced.clone()
    }

    pub fn append(&mut self, height: u64, input: Input<Chain>) {
        if self.height == height {
            self.written.push(input);
        }
    }

    pub fn sync(&mut self) {
        self.synced.append(&mut self.written);
    }

    /// A crash: of what was not synced, only the first `kept` entries are there.
    pub fn lose(&mut self, kept: usize) {
        self.written.truncate(kept);
        self.sync();
    }
}
