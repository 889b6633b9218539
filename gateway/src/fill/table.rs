//! Which file is filled next, and how far.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;

use cid::Cid;

/// A part of a file that a reader took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    /// What it was reached through.
    pub root: Cid,
    pub file: Cid,
    /// Bytes of the whole file.
    pub size: u64,
    pub range: Range<u64>,
    /// Whether some of it came from others. Files that are here need no filling.
    pub from_others: bool,
}

/// A part of a file to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub root: Cid,
    pub file: Cid,
    pub range: Range<u64>,
}

/// The files that readers take parts of.
#[derive(Debug, Default)]
pub(super) struct Table {
    files: HashMap<Cid, File>,
    /// Files with credit that nobody fills, the one that waits longest first.
    waiting: VecDeque<Cid>,
    /// Files in the order in which they came.
    ages: VecDeque<Cid>,
}

#[derive(Debug)]
struct File {
    root: Cid,
    size: u64,
    /// Where filling goes on.
    next: u64,
    /// Bytes until the whole file was gone through.
    left: u64,
    credit: u64,
    is_queued: bool,
}

impl Table {
    /// Adds to a file's credit; whether there is something to do.
    pub(super) fn note(&mut self, taken: &Taken) -> bool {
        let length = taken.range.end.saturating_sub(taken.range.start);
        if length == 0 || length >= taken.size {
            return false;
        }
        if !self.files.contains_key(&taken.file) {
            if !taken.from_others {
                return false;
            }
            self.begin(taken);
        }
        let Some(file) = self.files.get_mut(&taken.file) else {
            return false;
        };
        file.credit = file.credit.saturating_add(length).min(file.size);
        if file.is_queued || file.credit < CREDIT_MIN.min(file.left) {
            return false;
        }
        file.is_queued = true;
        self.waiting.push_back(taken.file);
        true
    }

    fn begin(&mut self, taken: &Taken) {
        while self.files.len() >= FILES_MAX {
            let Some(oldest) = self.ages.pop_front() else {
                return;
            };
            self.files.remove(&oldest);
            self.waiting.retain(|cid| *cid != oldest);
        }
        self.ages.push_back(taken.file);
        let file = File {
            root: taken.root,
            size: taken.size,
            next: taken.range.end % taken.size,
            left: taken.size,
            credit: 0,
            is_queued: false,
        };
        self.files.insert(taken.file, file);
    }

    /// The next part to fill.
    pub(super) fn next(&mut self) -> Option<Job> {
        while let Some(cid) = self.waiting.pop_front() {
            let Some(file) = self.files.get(&cid) else {
                continue;
            };
            let length = file.credit.min(file.left).min(STEP_BYTES);
            return Some(Job {
                root: file.root,
                file: cid,
                range: file.next..file.size.min(file.next + length),
            });
        }
        None
    }

    /// A part was filled, and so many bytes of it came from others; None if it failed, then the file is given up.
    pub(super) fn done(&mut self, job: &Job, fetched: Option<u64>) {
        let Some(file) = self.files.get_mut(&job.file) else {
            return;
        };
        let length = job.range.end.saturating_sub(job.range.start);
        file.left = file.left.saturating_sub(length);
        file.next = if job.range.end >= file.size {
            0
        } else {
            job.range.end
        };
        let Some(fetched) = fetched.filter(|_| file.left > 0) else {
            self.files.remove(&job.file);
            self.ages.retain(|cid| *cid != job.file);
            return;
        };
        file.credit = file.credit.saturating_sub(fetched);
        file.is_queued = file.credit >= CREDIT_MIN.min(file.left);
        if file.is_queued {
            self.waiting.push_back(job.file);
        }
    }
}

/// Files that are remembered, at some 200 bytes each.
const FILES_MAX: usize = 256;
/// Less is not worth a look: a block comes as a whole anyway.
const CREDIT_MIN: u64 = 1 << 20;
/// What is filled before another file has its turn.
const STEP_BYTES: u64 = 8 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;

    fn cid(number: u32) -> Cid {
        Cid::new_v1(
            0x55,
            cid::multihash::Multihash::wrap(0, &number.to_be_bytes()).unwrap(),
        )
    }

    fn taken(file: u32, range: Range<u64>, from_others: bool) -> Taken {
        Taken {
            root: cid(0),
            file: cid(file),
            size: 100 * MIB,
            range,
            from_others,
        }
    }

    #[test]
    fn what_is_taken_is_filled_behind_it() {
        let mut table = Table::default();
        assert!(!table.note(&taken(1, 0..4 * MIB, false)), "it is here");
        assert!(table.note(&taken(1, 10 * MIB..14 * MIB, true)));
        let job = table.next().unwrap();
        assert_eq!((job.file, job.range.clone()), (cid(1), 14 * MIB..18 * MIB));
        assert_eq!(table.next(), None);
        table.done(&job, Some(4 * MIB));
        assert_eq!(table.next(), None, "the credit is used up");
        assert!(
            table.note(&taken(1, 14 * MIB..18 * MIB, false)),
            "who goes on reads what was filled"
        );
        assert_eq!(table.next().unwrap().range, 18 * MIB..22 * MIB);
    }

    #[test]
    fn what_is_here_costs_no_credit() {
        let mut table = Table::default();
        table.note(&taken(1, 0..2 * MIB, true));
        let job = table.next().unwrap();
        table.done(&job, Some(0));
        assert_eq!(table.next().unwrap().range, 4 * MIB..6 * MIB);
    }

    #[test]
    fn single_bytes_are_no_reason() {
        let mut table = Table::default();
        for at in 0..1000 {
            assert!(!table.note(&taken(1, at..at + 1, true)));
        }
        assert!(
            !table.note(&taken(2, 0..100 * MIB, true)),
            "who takes all needs nothing in advance"
        );
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_file_ends_at_its_end_and_a_failure_ends_it() {
        let mut table = Table::default();
        table.note(&taken(1, 90 * MIB..99 * MIB, true));
        let job = table.next().unwrap();
        assert_eq!(job.range, 99 * MIB..100 * MIB);
        table.done(&job, Some(MIB));
        assert_eq!(
            table.next().unwrap().range,
            0..8 * MIB,
            "it goes on at the beginning"
        );
        table.done(&job, None);
        assert!(table.files.is_empty() && table.ages.is_empty());
    }

    #[test]
    fn files_have_their_turns_and_are_bounded() {
        let mut table = Table::default();
        table.note(&taken(1, 0..50 * MIB, true));
        table.note(&taken(2, 0..50 * MIB, true));
        let first = table.next().unwrap();
        table.done(&first, Some(8 * MIB));
        assert_eq!((first.file, table.next().unwrap().file), (cid(1), cid(2)));
        for file in 0..2 * FILES_MAX as u32 {
            table.note(&taken(file, 0..2 * MIB, true));
        }
        assert!(table.files.len() <= FILES_MAX && table.ages.len() <= FILES_MAX);
    }

    proptest! {
        #[test]
        fn no_more_is_fetched_than_was_taken(parts in proptest::collection::vec((0_u64..100, 0_u64..100), 1..40)) {
            let mut table = Table::default();
            let (mut served, mut fetched) = (0, 0);
            for (one, other) in parts {
                let range = one.min(other) * MIB..one.max(other) * MIB;
                served += range.end - range.start;
                table.note(&taken(1, range, true));
                while let Some(job) = table.next() {
                    let length = job.range.end - job.range.start;
                    prop_assert!(length > 0 && job.range.end <= 100 * MIB);
                    fetched += length;
                    table.done(&job, Some(length));
                }
                prop_assert!(fetched <= served);
            }
        }
    }
}
