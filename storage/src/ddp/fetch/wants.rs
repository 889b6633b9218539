//! What the readers of one root need: what somebody waits for first, then what will be read soon.
//!
//! Pure: no socket, no clock but the deadline of who waits. A block is asked for once, however many readers want it; one
//! that somebody waits for may be asked for on a second lane, when the first takes too long with it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

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
#[derive(Debug)]
pub(crate) struct Slot {
    since: Instant,
    answer: Mutex<Option<Answer>>,
    given: Condvar,
}

impl Slot {
    fn new() -> Slot {
        Slot {
            since: Instant::now(),
            answer: Mutex::default(),
            given: Condvar::new(),
        }
    }

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

/// A stream of a provider that is asked, of those that a session asks at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub provider: u32,
    pub stream: u32,
}

/// How much one lane may ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Blocks.
    pub blocks: usize,
    /// Whether there is no other lane: then what somebody waits for goes here in any case.
    pub is_alone: bool,
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
    /// What is asked for and not answered.
    asked: HashMap<Cid, Asked>,
    asked_ever: u64,
    closed: bool,
}

/// A block under way.
#[derive(Debug)]
struct Asked {
    /// Its place in the order in which blocks were asked for.
    order: u64,
    /// When it was asked for first.
    since: Instant,
    /// Who will read it, if nobody waits for it.
    reader: Weak<()>,
    /// Where it is asked for.
    lane: Lane,
    /// Where else, since that takes too long.
    second: Second,
}

/// Whether a block is asked for once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    No,
    /// Any other provider shall be asked for it.
    Wanted,
    At(Lane),
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
        let slot = Arc::new(Slot::new());
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

    /// What to ask for on a lane now: what somebody waits for, then what will be read soon, as far as there is room.
    pub fn take(&mut self, lane: Lane, room: Room, now: Instant) -> Vec<Cid> {
        self.forget_those_gone();
        let mut taken = self.take_second(lane, room);
        while self.asked.len() < ASKED_MAX && taken.len() < TAKEN_MAX {
            let has_room = taken.len() < room.blocks;
            let next = match self.urgent.front() {
                Some(_) if has_room || room.is_alone => self.urgent.pop_front().map(|cid| (cid, Weak::new())),
                None if has_room => self.soon.pop_front(),
                _ => None,
            };
            let Some((cid, reader)) = next else { break };
            let asked = Asked {
                order: self.asked_ever,
                since: now,
                reader,
                lane,
                second: Second::No,
            };
            self.asked_ever += 1;
            self.asked.insert(cid, asked);
            taken.push(cid);
        }
        taken
    }

    /// The blocks that are to be asked for once more, unless it was of this provider that they were asked for.
    fn take_second(&mut self, lane: Lane, room: Room) -> Vec<Cid> {
        let wanted = self
            .asked
            .iter_mut()
            .filter(|(_, asked)| asked.second == Second::Wanted && asked.lane.provider != lane.provider);
        wanted
            .take(room.blocks)
            .map(|(cid, asked)| {
                asked.second = Second::At(lane);
                *cid
            })
            .collect()
    }

    /// The block that is asked for once and that readers wait for longest, and how long they do. What was asked for before
    /// anybody waited may well come at once.
    pub fn latest(&self, now: Instant) -> Option<(Cid, Duration)> {
        let waited = self.waiting.iter().filter_map(|(cid, slot)| {
            let asked = self.asked.get(cid)?;
            let since = asked.since.max(slot.since);
            (asked.second == Second::No).then(|| (*cid, now.saturating_duration_since(since)))
        });
        waited.max_by_key(|(_, took)| *took)
    }

    /// The other blocks that are asked for once, and of the same provider: since when, the oldest first. Who is late with one is
    /// late with them too, and readers come to them next.
    pub fn beside(&self, cid: &Cid) -> Vec<(Cid, Instant)> {
        let Some(late) = self.asked.get(cid) else {
            return Vec::new();
        };
        let mut beside: Vec<(&Cid, &Asked)> = self
            .asked
            .iter()
            .filter(|(other, asked)| *other != cid && asked.second == Second::No)
            .filter(|(_, asked)| asked.lane.provider == late.lane.provider)
            .collect();
        beside.sort_by_key(|(_, asked)| asked.order);
        beside
            .into_iter()
            .map(|(cid, asked)| (*cid, asked.since))
            .collect()
    }

    /// Has it asked for of a second provider.
    pub fn hedge(&mut self, cid: &Cid) {
        if let Some(asked) = self.asked.get_mut(cid).filter(|asked| asked.second == Second::No) {
            asked.second = Second::Wanted;
        }
    }

    /// Whether a reader waits, and more is wanted than the lanes have room for.
    pub fn is_behind(&self) -> bool {
        let is_more_wanted = !self.urgent.is_empty() || !self.soon.is_empty();
        is_more_wanted && !self.waiting.is_empty()
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

    /// The provider at this lane does not have this block. Returns whether a reader waits for it who has nobody else to
    /// wait for: then it stays wanted.
    pub fn absent(&mut self, lane: Lane, cid: &Cid) -> bool {
        self.forget_those_gone();
        if !self.leave(lane, cid) {
            return false;
        }
        self.forget(cid);
        let waited = self.waiting.contains_key(cid);
        if waited {
            self.urgent.push_front(*cid);
        }
        waited
    }

    /// The provider at this lane is lost: what was asked of nobody else is wanted again, in the same order.
    pub fn lost(&mut self, lane: Lane) {
        let asked: Vec<Cid> = self.asked.keys().copied().collect();
        let alone = asked.into_iter().filter(|cid| self.leave(lane, cid));
        let alone: Vec<Cid> = alone.collect();
        let mut again: Vec<(Cid, Asked)> = alone
            .iter()
            .filter_map(|cid| self.asked.remove_entry(cid))
            .collect();
        again.sort_unstable_by_key(|(_, asked)| std::cmp::Reverse(asked.order));
        for (cid, asked) in again {
            match self.waiting.contains_key(&cid) {
                true => self.urgent.push_front(cid),
                false => self.soon.push_front((cid, asked.reader)),
            }
        }
    }

    /// A block does not come on this lane. Returns whether it is asked for on no other.
    fn leave(&mut self, lane: Lane, cid: &Cid) -> bool {
        let Some(asked) = self.asked.get_mut(cid) else {
            return false;
        };
        match asked.second {
            Second::At(second) if second == lane => asked.second = Second::No,
            Second::At(second) if asked.lane == lane => (asked.lane, asked.second) = (second, Second::No),
            _ => return asked.lane == lane,
        }
        false
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
        assert_eq!(take(&mut wants, 3), [cid(2), cid(9), cid(1)]);
        let _again = wants.wait(&cid(1)).unwrap();
        assert!(wants.soon(&cid(1), &reader));
        assert_eq!(take(&mut wants, 0), []);
        assert!(wants.is_behind());
        assert_eq!(take(&mut wants, 9), [cid(3)]);
        assert!(!wants.is_behind());
    }

    #[test]
    fn all_who_wait_are_answered() {
        let mut wants = Wants::default();
        let slots = [wants.wait(&cid(1)).unwrap(), wants.wait(&cid(1)).unwrap()];
        assert_eq!(take(&mut wants, 0), [cid(1)]);
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
        assert_eq!(take(&mut wants, 9), []);
    }

    #[test]
    fn what_a_lost_provider_owes_is_wanted_again_in_order() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        let _slots = [5, 6].map(|at| wants.wait(&cid(at)).unwrap());
        for at in [1, 2] {
            assert!(wants.soon(&cid(at), &reader));
        }
        assert_eq!(take(&mut wants, 9), [cid(5), cid(6), cid(1), cid(2)]);
        wants.arrived(&cid(5), &block(5));
        assert!(!wants.absent(ONE, &cid(1)), "nobody waits for it: it is let go");
        wants.lost(ONE);
        assert_eq!(take(&mut wants, 9), [cid(6), cid(2)]);
        assert!(wants.absent(ONE, &cid(6)));
        assert_eq!(take(&mut wants, 9), [cid(6)]);
    }

    #[test]
    fn lanes_share_the_work_and_what_somebody_waits_for_goes_where_there_is_room() {
        let (mut wants, reader) = (Wants::default(), Arc::new(()));
        for at in 1..=4 {
            assert!(wants.soon(&cid(at), &reader));
        }
        let now = Instant::now();
        assert_eq!(wants.take(ONE, room(2), now), [cid(1), cid(2)]);
        assert_eq!(wants.take(TWO, room(1), now), [cid(3)]);
        let _slot = wants.wait(&cid(9)).unwrap();
        assert_eq!(wants.take(ONE, room(0), now), [], "another one has room");
        assert_eq!(wants.take(TWO, room(2), now), [cid(9), cid(4)]);
        wants.lost(ONE);
        assert_eq!(
            wants.take(TWO, room(9), now),
            [cid(1), cid(2)],
            "the rest is under way"
        );
    }

    #[test]
    fn what_takes_too_long_is_asked_for_once_more_on_another_lane() {
        let mut wants = Wants::default();
        let _slots = [1, 2].map(|at| wants.wait(&cid(at)).unwrap());
        let began = Instant::now();
        assert_eq!(wants.take(ONE, room(1), began), [cid(1)]);
        let now = began + Duration::from_secs(1);
        assert_eq!(wants.take(TWO, room(1), now), [cid(2)]);
        assert_eq!(wants.latest(now), Some((cid(1), Duration::from_secs(1))));
        wants.hedge(&cid(1));
        assert_eq!(wants.latest(now), Some((cid(2), Duration::ZERO)));
        assert_eq!(wants.take(ONE, room(9), now), [], "not where it takes so long");
        assert_eq!(wants.take(TWO, room(9), now), [cid(1)]);
        assert_eq!(wants.take(TWO, room(9), now), []);
        assert!(!wants.absent(ONE, &cid(1)), "it may come from the other one");
        wants.hedge(&cid(1));
        assert_eq!(wants.take(ONE, room(9), now), [cid(1)]);
        wants.lost(TWO);
        assert_eq!(wants.take(ONE, room(9), now), [cid(2)], "the first still comes");
        wants.arrived(&cid(1), &block(1));
        wants.lost(ONE);
        assert_eq!(wants.take(TWO, room(9), now), [cid(2)]);
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

    const ONE: Lane = lane(1);
    const TWO: Lane = lane(2);

    const fn lane(provider: u32) -> Lane {
        Lane { provider, stream: 0 }
    }

    fn room(blocks: usize) -> Room {
        Room {
            blocks,
            is_alone: false,
        }
    }

    /// On the only lane.
    fn take(wants: &mut Wants, blocks: usize) -> Vec<Cid> {
        let room = Room {
            blocks,
            is_alone: true,
        };
        wants.take(ONE, room, Instant::now())
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
