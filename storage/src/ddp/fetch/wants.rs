//! What the readers of one root need: what somebody waits for first, then what will be read soon.
//!
//! Pure: no socket, no clock but the deadline of who waits. A block is asked for once, however many readers want it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use cid::Cid;

use crate::Attempt;

/// What a reader is told about the block that it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Here it is, verified and kept.
    Block(Bytes),
    /// Nobody is known to have the root.
    NoProvider,
    /// Those who were asked did not give it: what each of them did.
    Failed(Vec<Attempt>),
}

/// Where readers wait for one block.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    answer: Mutex<Option<Answer>>,
    given: Condvar,
}

impl Slot {
    /// Blocks until there is an answer; `None` when there was none in time.
    pub fn wait(&self, deadline: Instant) -> Option<Answer> {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .given
            .wait_timeout_while(answer, left, |answer| answer.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    fn give(&self, answer: Answer) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.given.notify_all();
    }
}

/// Everything that the readers of one root need and do not have.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Blocks that readers wait for; a reader that gave up has left its slot.
    waiting: HashMap<Cid, Arc<Slot>>,
    /// Those of them that are not asked for yet, the first in line first.
    urgent: VecDeque<Cid>,
    /// Blocks that will be read soon, and by whom: nobody fetches for a reader that is gone.
    soon: VecDeque<(Cid, Weak<()>)>,
    /// A path that will be read.
    path: Option<(Vec<String>, Weak<()>)>,
    /// What is asked of the provider and not answered.
    asked: HashMap<Cid, Asked>,
    asked_ever: u64,
    closed: bool,
}

/// A block under way.
#[derive(Debug)]
struct Asked {
    /// Its place in the order in which blocks were asked for.
    order: u64,
    /// Who will read it, if nobody waits for it.
    reader: Weak<()>,
}

impl Wants {
    /// A reader needs this block now; `None` when this session is over.
    pub fn wait(&mut self, cid: &Cid) -> Option<Arc<Slot>> {
        if self.closed {
            return None;
        }
        if let Some(slot) = self.waiting.get(cid) {
            return Some(Arc::clone(slot));
        }
        let slot = Arc::new(Slot::default());
        self.waiting.insert(*cid, Arc::clone(&slot));
        if !self.asked.contains_key(cid) {
            self.soon.retain(|(soon, _)| soon != cid);
            self.urgent.push_back(*cid);
        }
        Some(slot)
    }

    /// A reader will need this block; false when it has no place for it.
    pub fn soon(&mut self, cid: &Cid, reader: &Arc<()>) -> bool {
        if self.closed || self.soon.len() >= SOON_MAX {
            return false;
        }
        let known = self.asked.contains_key(cid)
            || self.waiting.contains_key(cid)
            || self.soon.iter().any(|(soon, _)| soon == cid);
        if !known {
            self.soon.push_back((*cid, Arc::downgrade(reader)));
        }
        true
    }

    /// A reader will follow this path from the root. One at a time: the next reader finds most of it here.
    pub fn path(&mut self, segments: Vec<String>, reader: &Arc<()>) {
        if !self.closed && self.path.is_none() {
            self.path = Some((segments, Arc::downgrade(reader)));
        }
    }

    /// The path to be asked for, once.
    pub fn take_path(&mut self) -> Option<Vec<String>> {
        self.forget_those_gone();
        self.path.take().map(|(segments, _)| segments)
    }

    /// What to ask for now: all that somebody waits for, and of the rest so many that `room` are under way.
    pub fn take(&mut self, room: usize) -> Vec<Cid> {
        self.forget_those_gone();
        let mut taken = Vec::new();
        while self.asked.len() < ASKED_MAX && taken.len() < TAKEN_MAX {
            let next = match self.urgent.pop_front() {
                Some(cid) => Some((cid, Weak::new())),
                None if self.asked.len() < room => self.soon.pop_front(),
                None => None,
            };
            let Some((cid, reader)) = next else { break };
            let order = self.asked_ever;
            self.asked_ever += 1;
            self.asked.insert(cid, Asked { order, reader });
            taken.push(cid);
        }
        taken
    }

    /// Whether this block was asked for and not answered.
    pub fn is_asked(&self, cid: &Cid) -> bool {
        self.asked.contains_key(cid)
    }

    /// How many blocks are asked for and not answered.
    pub fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Whether nothing is to be got for anybody.
    pub fn is_idle(&mut self) -> bool {
        self.forget_those_gone();
        self.waiting.is_empty() && self.soon.is_empty() && self.asked.is_empty() && self.path.is_none()
    }

    /// Closes if nothing is to be got for anybody; then nobody can wait here any more.
    pub fn close_if_idle(&mut self) -> bool {
        self.closed = self.is_idle();
        self.closed
    }

    /// Closes if no reader waits.
    pub fn close_unless_waited_for(&mut self) -> bool {
        self.closed = !self.is_waited_for();
        self.closed
    }

    /// Whether nobody can wait here any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a reader waits.
    pub fn is_waited_for(&mut self) -> bool {
        self.forget_those_gone();
        !self.waiting.is_empty()
    }

    /// A block is here: whoever waits for it has it.
    pub fn arrived(&mut self, cid: &Cid, block: &Bytes) {
        self.forget(cid);
        if let Some(slot) = self.waiting.remove(cid) {
            slot.give(Answer::Block(block.clone()));
        }
    }

    /// The provider does not have this block. Returns whether a reader waits for it: then it stays wanted.
    pub fn absent(&mut self, cid: &Cid) -> bool {
        self.forget_those_gone();
        self.forget(cid);
        let waited = self.waiting.contains_key(cid);
        if waited {
            self.urgent.push_front(*cid);
        }
        waited
    }

    /// The provider is lost: what was asked of it is wanted again, in the same order.
    pub fn lost(&mut self) {
        let mut again: Vec<(Cid, Asked)> = self.asked.drain().collect();
        again.sort_unstable_by_key(|(_, asked)| std::cmp::Reverse(asked.order));
        for (cid, asked) in again {
            match self.waiting.contains_key(&cid) {
                true => self.urgent.push_front(cid),
                false => self.soon.push_front((cid, asked.reader)),
            }
        }
    }

    /// Nobody gives this block.
    pub fn fail_one(&mut self, cid: &Cid, answer: Answer) {
        self.forget(cid);
        if let Some(slot) = self.waiting.remove(cid) {
            slot.give(answer);
        }
    }

    /// It is over: who still waits is told why, and nobody can wait any more.
    pub fn close(&mut self, answer: &Answer) {
        for (_, slot) in self.waiting.drain() {
            slot.give(answer.clone());
        }
        *self = Wants {
            closed: true,
            ..Wants::default()
        };
    }

    fn forget(&mut self, cid: &Cid) {
        if self.asked.remove(cid).is_none() {
            self.urgent.retain(|urgent| urgent != cid);
            self.soon.retain(|(soon, _)| soon != cid);
        }
    }

    fn forget_those_gone(&mut self) {
        self.waiting.retain(|_, slot| Arc::strong_count(slot) > 1);
        self.urgent.retain(|cid| self.waiting.contains_key(cid));
        self.soon.retain(|(_, reader)| reader.strong_count() > 0);
        self.path.take_if(|(_, reader)| reader.strong_count() == 0);
    }
}

/// Look-ahead that is remembered: a few readers' worth.
const SOON_MAX: usize = 256;
/// Blocks under way at once, by the rule of the protocol.
const ASKED_MAX: usize = 4096;
/// Blocks in one frame, by the rule of the protocol.
const TAKEN_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use multihash_codetable::{Code, MultihashDigest};

    use super::*;
    use crate::codec;

    #[test]
    fn who_waits_goes_first_and_each_block_is_asked_for_once() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        for at in [1, 2, 3] {
            assert!(wants.soon(&cid(at), &reader));
        }
        let _two = wants.wait(&cid(2)).unwrap();
        let _nine = wants.wait(&cid(9)).unwrap();
        assert_eq!(wants.take(3), [cid(2), cid(9), cid(1)]);
        let _again = wants.wait(&cid(1)).unwrap();
        assert!(wants.soon(&cid(1), &reader));
        assert_eq!(wants.take(3), []);
        assert_eq!(wants.take(9), [cid(3)]);
        assert_eq!(wants.asked(), 4);
    }

    #[test]
    fn all_who_wait_are_answered() {
        let mut wants = Wants::default();
        let slots = [wants.wait(&cid(1)).unwrap(), wants.wait(&cid(1)).unwrap()];
        assert_eq!(wants.take(0), [cid(1)]);
        let readers = slots.map(|slot| std::thread::spawn(move || slot.wait(soon())));
        wants.arrived(&cid(1), &block(1));
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Some(Answer::Block(block(1))));
        }
        assert!(wants.is_idle());
    }

    #[test]
    fn nothing_is_fetched_for_who_is_gone() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        assert!(wants.soon(&cid(1), &reader));
        let slot = wants.wait(&cid(2)).unwrap();
        assert_eq!(slot.wait(Instant::now()), None);
        drop((slot, reader));
        assert!(wants.is_idle());
        assert_eq!(wants.take(9), []);
    }

    #[test]
    fn what_a_lost_provider_owes_is_wanted_again_in_order() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        let _slots = [5, 6].map(|at| wants.wait(&cid(at)).unwrap());
        for at in [1, 2] {
            assert!(wants.soon(&cid(at), &reader));
        }
        assert_eq!(wants.take(9), [cid(5), cid(6), cid(1), cid(2)]);
        wants.arrived(&cid(5), &block(5));
        assert!(!wants.absent(&cid(1)), "nobody waits for it: it is let go");
        wants.lost();
        assert_eq!(wants.take(9), [cid(6), cid(2)]);
        assert!(wants.absent(&cid(6)));
        assert_eq!(wants.take(9), [cid(6)]);
    }

    #[test]
    fn a_closed_session_tells_why_and_takes_nobody() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        let slot = wants.wait(&cid(1)).unwrap();
        let answer = Answer::Failed(vec![Attempt::theirs("x: silent")]);
        wants.close(&answer);
        assert_eq!(slot.wait(soon()), Some(answer));
        assert!(wants.wait(&cid(1)).is_none());
        assert!(!wants.soon(&cid(1), &reader));
        assert!(wants.is_idle());
    }

    fn cid(at: u8) -> Cid {
        Cid::new_v1(codec::RAW, Code::Sha2_256.digest(&[at]))
    }

    fn block(at: u8) -> Bytes {
        Bytes::copy_from_slice(&[at])
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }
}
