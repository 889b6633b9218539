//! Commits and reveals.

use super::{Refusal, Transition};
use crate::hash::Hash;
use crate::keys::Address;
use crate::state::{CommitEntry, State, StateError, key};
use crate::tx::Action;

impl Transition<'_> {
    pub(super) fn commit(&mut self, sender: &Address, hash: &Hash) -> Result<(), Refusal> {
        if let Some(open) = self.overlay.commit(sender, hash)?
            && self.height <= self.last_reveal(open.height)
        {
            return Err(Refusal::CommitOpen { height: open.height });
        }
        let key = key::commit(sender, hash);
        self.overlay
            .write(key.clone(), &CommitEntry { height: self.height });
        self.commits.push(key);
        Ok(())
    }

    /// Uses up the sender's commit to this claim. Returns the commit's height.
    pub(super) fn reveal(&mut self, sender: &Address, claim: &Action) -> Result<u64, Refusal> {
        let kind = claim.kind();
        let hash = claim
            .commitment(&self.genesis.chain_id, sender)
            .ok_or(Refusal::NoCommit { kind })?;
        let committed = self
            .overlay
            .commit(sender, &hash)?
            .ok_or(Refusal::NoCommit { kind })?
            .height;
        let (first, last) = (self.first_reveal(committed), self.last_reveal(committed));
        if self.height < first {
            return Err(Refusal::RevealEarly { committed, first });
        }
        if self.height > last {
            return Err(Refusal::RevealLate { committed, last });
        }
        self.overlay.remove(key::commit(sender, &hash));
        Ok(committed)
    }

    fn first_reveal(&self, committed: u64) -> u64 {
        committed.saturating_add(self.genesis.reveal_delay)
    }

    fn last_reveal(&self, committed: u64) -> u64 {
        committed.saturating_add(self.genesis.commit_ttl)
    }

    /// Notes this block's commits, and removes those whose time ended with the block before.
    pub(super) fn sweep_commits(&mut self) -> Result<(), StateError> {
        if !self.commits.is_empty() {
            let made: Vec<serde_bytes::ByteBuf> = self.commits.drain(..).map(Into::into).collect();
            self.overlay.write(key::due(self.height), &made);
        }
        let Some(old) = self.height.checked_sub(self.genesis.commit_ttl.saturating_add(1)) else {
            return Ok(());
        };
        let due = key::due(old);
        let Some(keys) = self.overlay.read::<Vec<serde_bytes::ByteBuf>>(&due)? else {
            return Ok(());
        };
        for key in keys {
            if self
                .overlay
                .read::<CommitEntry>(&key)?
                .is_some_and(|entry| entry.height == old)
            {
                self.overlay.remove(key.into_vec());
            }
        }
        self.overlay.remove(due);
        Ok(())
    }
}
