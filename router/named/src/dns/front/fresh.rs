//! Which kept answers still hold: a number for every name, raised when the name changes.
//!
//! Names share 65,536 cells by a keyed hash. A cell has the height of the last block that changed one of its names, and an
//! answer has the height at which it was begun, before anything was read for it. It holds as long as none of its cells is
//! above that. So a change is seen with the next question, whatever the order of events: the height of the state is read
//! with each question, and before an answer is taken from memory at a new height, the cells are.
//! A name that shares a cell with a changed one is composed once more for nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ledger::{Label, NameEntry};

use crate::dap::{Elsewhere, Names, NamesError, Tlds};

const CELLS: usize = 1 << 16;

/// What has changed, and when.
#[derive(Debug)]
pub struct Changes {
    keys: RandomState,
    cells: Box<[AtomicU64]>,
    /// The height that the cells are of.
    seen: AtomicU64,
    /// Answers from below hold no longer: what changed since is not known.
    floor: AtomicU64,
    /// Held by who reads the changes.
    reading: Mutex<()>,
}

/// What an answer was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// The height at which it was begun.
    height: u64,
    /// The cells of the names that were read.
    cells: Cells,
    /// From this height on one of them has expired.
    expires: u64,
}

/// Some cells: mostly one, which then lies with the answer and not behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cells {
    One(u16),
    Others(Box<[u16]>),
}

impl Cells {
    fn new(mut all: Vec<u16>) -> Self {
        all.sort_unstable();
        all.dedup();
        match all[..] {
            [one] => Self::One(one),
            _ => Self::Others(all.into()),
        }
    }

    fn as_slice(&self) -> &[u16] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Others(others) => others,
        }
    }
}

impl Changes {
    /// Nothing is known of what was before `height`.
    #[must_use]
    pub fn new(height: u64) -> Self {
        Self {
            keys: RandomState::new(),
            cells: (0..CELLS).map(|_| AtomicU64::new(0)).collect(),
            seen: AtomicU64::new(height),
            floor: AtomicU64::new(0),
            reading: Mutex::new(()),
        }
    }

    /// The height of the state, once all changes up to it are in the cells. One comparison unless there is a new block.
    pub fn follow(&self, names: &dyn Names) -> u64 {
        let height = names.height();
        if self.seen.load(Ordering::Acquire) != height {
            self.read(names);
        }
        height
    }

    /// Takes in what has changed since the last time. Who comes meanwhile waits: it is memory that is read.
    fn read(&self, names: &dyn Names) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (seen, height) = (self.seen.load(Ordering::Acquire), names.height());
        if seen == height {
            return;
        }
        match names.changed_since(seen).filter(|_| seen < height) {
            Some(labels) => {
                for label in &labels {
                    // Of more than `height`, if there was another block meanwhile: then that is said again.
                    self.cells[usize::from(self.cell(label))].store(height, Ordering::Release);
                }
            }
            None => self.floor.store(height, Ordering::Release),
        }
        self.seen.store(height, Ordering::Release);
    }

    /// Whether what was made of this is still so at `height`, which [`Changes::follow`] gave.
    #[must_use]
    pub fn hold(&self, basis: &Basis, height: u64) -> bool {
        let unchanged = |cell: &u16| self.cells[usize::from(*cell)].load(Ordering::Acquire) <= basis.height;
        height < basis.expires
            && self.floor.load(Ordering::Acquire) <= basis.height
            && basis.cells.as_slice().iter().all(unchanged)
    }

    fn cell(&self, label: &Label) -> u16 {
        (self.keys.hash_one(label.as_str()) % CELLS as u64) as u16
    }
}

impl Basis {
    /// The height at which it was begun.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Memory behind it. Bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match &self.cells {
            Cells::One(_) => 0,
            Cells::Others(others) => size_of_val(&**others),
        }
    }
}

/// Names, with a note of what was read of them: for one answer.
pub struct Witness<'a> {
    names: &'a dyn Names,
    height: u64,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    read: Vec<Label>,
    expires: Option<u64>,
    absent: bool,
    /// Until when what other chains say counts.
    until: Option<Instant>,
}

impl<'a> Witness<'a> {
    /// Of an answer that begins now.
    #[must_use]
    pub fn new(names: &'a dyn Names) -> Self {
        Self {
            height: names.height(),
            names,
            noted: Mutex::default(),
        }
    }

    /// What was read, and until when it counts if a name was absent or of another chain.
    #[must_use]
    pub fn basis(self, changes: &Changes) -> (Basis, Option<Instant>) {
        let noted = self.noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        let basis = Basis {
            height: self.height,
            cells: Cells::new(noted.read.iter().map(|label| changes.cell(label)).collect()),
            expires: noted.expires.unwrap_or(u64::MAX),
        };
        let holds = self.names.absence_holds().filter(|_| noted.absent);
        let holds = holds.map(|holds| Instant::now() + holds.min(A_DAY));
        (basis, holds.into_iter().chain(noted.until).min())
    }
}

impl Names for Witness<'_> {
    fn tlds(&self) -> &Tlds {
        self.names.tlds()
    }

    fn height(&self) -> u64 {
        self.height
    }

    fn elsewhere(&self, tld: &str, label: &Label) -> Result<Elsewhere, NamesError> {
        let found = self.names.elsewhere(tld, label)?;
        if let Elsewhere::Proven { until, .. } = &found {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            // A change that is told reaches the names, but no cell.
            let until = (*until).min(Instant::now() + TOLD_WITHIN);
            noted.until = Some(noted.until.map_or(until, |before| before.min(until)));
        }
        Ok(found)
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        let found = self.names.entry(label)?;
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.read.push(label.clone());
        match &found {
            Some(entry) if entry.is_active(self.height) => {
                let before = noted.expires.unwrap_or(u64::MAX);
                noted.expires = Some(before.min(entry.expires));
            }
            Some(_) => {}
            None => noted.absent = true,
        }
        Ok(found)
    }
}

/// How soon a change of a name of another chain is seen once it is known here.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
const A_DAY: Duration = Duration::from_secs(86_400);
