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

    /// Whether these bytes may be signed there, by the rules of `chain`'s journal: no others were, and nothing later.
    pub fn may_sign(&mut self, place: (u64, u32, u8), bytes: &[u8]) -> bool {
        if let Some(known) = self.journal.get(&place) {
            return known == bytes;
        }
        let is_next = self.journal.last_key_value().is_none_or(|(top, _)| *top < place);
        if is_next {
            self.journal.insert(place, bytes.to_vec());
        }
        is_next
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

    /// A crash: of what was not synced, only the first `kept` entries are there. A process that is killed loses none, a machine
    /// without power may lose all.
    pub fn lose(&mut self, kept: usize) -> bool {
        let lost = self.written.len() > kept;
        self.written.truncate(kept);
        self.sync();
        lost
    }
}
