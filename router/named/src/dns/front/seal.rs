//! The signed serial of a zone at the newest height: so that a signed denial holds for longer than one block.
//!
//! Every denial names the serial of its zone, and the serial is the height. Without signatures it is written into each answer
//! as it goes. With them, the signature of the SOA has to be that of the same height. It is the same for all answers of the
//! zone: so it is kept once, and each kept answer takes it from there. After a block, the first denial that is composed brings
//! the new one, and all others are right again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// Zones times the windows of signatures that overlap; older ones are given up, and what was made with them is composed again.
const SEALS_MAX: usize = 256;

/// The newest signature of a zone's SOA, for one window of time.
#[derive(Debug)]
pub struct Seal {
    /// What it covers beside the serial, and all else that is in the RRSIG record.
    covers: Box<[u8]>,
    newest: ArcSwap<Signed>,
}

/// A signature at a height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The height, which is the serial.
    pub height: u64,
    /// The signature's bytes.
    pub signature: Box<[u8]>,
}

impl Seal {
    /// Writes the signature of this height to its place in a message. False if there is none, or it does not fit.
    #[must_use]
    pub fn write(&self, height: u64, place: &mut [u8]) -> bool {
        let newest = self.newest.load();
        let is_it = newest.height == height && newest.signature.len() == place.len();
        if is_it {
            place.copy_from_slice(&newest.signature);
        }
        is_it
    }

    /// Whether it is of this height.
    #[must_use]
    pub fn is_of(&self, height: u64) -> bool {
        self.newest.load().height == height
    }
}

/// Those in use. Only who composes answers waits for the lock.
#[derive(Debug, Default)]
pub struct Seals(Mutex<VecDeque<Arc<Seal>>>);

impl Seals {
    /// The seal that covers this, which now knows what was signed.
    pub fn learn(&self, covers: &[u8], signed: Signed) -> Arc<Seal> {
        let mut seals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seal) = seals.iter().find(|seal| *seal.covers == *covers) {
            if seal.newest.load().height < signed.height {
                seal.newest.store(Arc::new(signed));
            }
            return Arc::clone(seal);
        }
        let seal = Arc::new(Seal {
            covers: covers.into(),
            newest: ArcSwap::from_pointee(signed),
        });
        if seals.len() >= SEALS_MAX {
            seals.pop_front();
        }
        seals.push_back(Arc::clone(&seal));
        seal
    }
}
