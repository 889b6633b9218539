//! Which names the newest blocks have changed, in memory: for those who keep what they made of names.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use ledger::{Label, key};

/// Who looks less often than once in so many blocks takes everything for changed. A block has at most some ten thousand
/// names, so this is some MiB at the very most.
const BLOCKS_KEPT: usize = 64;

/// The labels that each of the newest blocks has changed, and the height of the newest.
#[derive(Debug)]
pub(super) struct Recent {
    height: AtomicU64,
    blocks: Mutex<VecDeque<(u64, Vec<Label>)>>,
}

impl Recent {
    pub(super) fn new(height: u64) -> Self {
        Self {
            height: AtomicU64::new(height),
            blocks: Mutex::default(),
        }
    }

    /// Notes what a block changes, before its state can be read.
    pub(super) fn note<'a>(&self, height: u64, keys: impl Iterator<Item = &'a [u8]>) {
        let labels = keys.filter_map(label).collect();
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.push_back((height, labels));
        if blocks.len() > BLOCKS_KEPT {
            blocks.pop_front();
        }
    }

    /// The block's state is what is read from now on.
    pub(super) fn reach(&self, height: u64) {
        self.height.store(height, Ordering::Release);
    }

    pub(super) fn height(&self) -> u64 {
        self.height.load(Ordering::Acquire)
    }

    /// The labels that blocks above `since` have changed; `None` if one of these blocks is not known any more.
    pub(super) fn changed_since(&self, since: u64) -> Option<Vec<Label>> {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = blocks.iter().filter(|(height, _)| *height > since);
        let missing = self.height().saturating_sub(since);
        let known = newer.clone().count() as u64 >= missing;
        known.then(|| newer.flat_map(|(_, labels)| labels).cloned().collect())
    }
}

/// The label of a key in the state, if it is one of a name.
fn label(state_key: &[u8]) -> Option<Label> {
    let text = state_key.strip_prefix(key::NAMES)?;
    Label::parse(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(labels: &[&str]) -> Vec<Vec<u8>> {
        let name = |label: &&str| key::name(&Label::parse(label).expect("a label"));
        labels.iter().map(name).chain([key::supply()]).collect()
    }

    fn commit(recent: &Recent, height: u64, labels: &[&str]) {
        let keys = names(labels);
        recent.note(height, keys.iter().map(Vec::as_slice));
        recent.reach(height);
    }

    #[test]
    fn what_changed_since_a_height() {
        let recent = Recent::new(7);
        commit(&recent, 8, &["alice", "bob"]);
        commit(&recent, 9, &[]);
        commit(&recent, 10, &["carol"]);
        for (since, expected) in [
            (6, None),
            (7, Some(vec!["alice", "bob", "carol"])),
            (8, Some(vec!["carol"])),
            (10, Some(Vec::new())),
            (11, Some(Vec::new())),
        ] {
            let changed = recent.changed_since(since);
            let labels = changed
                .as_ref()
                .map(|labels| labels.iter().map(Label::as_str).collect::<Vec<_>>());
            assert_eq!(labels, expected, "{since}");
        }
    }

    #[test]
    fn a_change_is_noted_before_it_can_be_read() {
        let recent = Recent::new(7);
        let keys = names(&["alice"]);
        recent.note(8, keys.iter().map(Vec::as_slice));
        assert_eq!(
            (recent.height(), recent.changed_since(7).map(|l| l.len())),
            (7, Some(1))
        );
    }

    #[test]
    fn old_blocks_are_forgotten() {
        let recent = Recent::new(0);
        let blocks = BLOCKS_KEPT as u64;
        for height in 1..=blocks + 1 {
            commit(&recent, height, &["alice"]);
        }
        assert_eq!(recent.changed_since(0), None);
        assert_eq!(
            recent.changed_since(1).map(|labels| labels.len()),
            Some(BLOCKS_KEPT)
        );
    }
}
