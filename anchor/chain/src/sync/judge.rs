//! Is this of our chain, and final? Headers by gossip and whole blocks by sync are judged by the same rules.
//!
//! A header is believed when its certificate holds against the set that votes on its height. The state at the tip
//! names that set for the next height alone. For a header further ahead the set of the next height is used, if the
//! header names it: then more than two thirds of those delegates have signed that they still vote there. A header
//! that names another set can be judged only when the blocks in between are here. Blocks are taken one after the
//! other, so for them the set is always known.

use ledger::{Block, Body, Certificate, Header, ValidatorSet};

use super::Exchange;
use super::wire::{Announcement, Sealed, decode};
use crate::Error;
use crate::committer::Committer;
use crate::execute::NotRun;

/// Why the blocks of a peer were not taken.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// The peer is at fault, with the reason.
    Refused(String),
    /// This node is.
    Store(Error),
}

/// What a header by gossip is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Final, and ahead of the tip.
    New,
    /// Here already.
    Old,
    /// Made by delegates that are not known here yet.
    Unknown,
    /// Not of this chain, or not final. With the reason.
    False(String),
}

impl Exchange {
    /// Judges, runs and keeps the blocks from `first` on, which must follow the tip. Returns the height that is
    /// reached: less than all if the chain is being left. Blocks before one that is refused are kept.
    pub(crate) fn take(
        &self,
        committer: &Committer,
        first: u64,
        blocks: &[Sealed],
        leaving: impl Fn() -> bool,
    ) -> Result<u64, NotTaken> {
        for (height, sealed) in (first..).zip(blocks) {
            if leaving() {
                break;
            }
            self.take_one(committer, height, sealed)?;
        }
        Ok(self.store.tip().height)
    }

    fn take_one(&self, committer: &Committer, height: u64, sealed: &Sealed) -> Result<(), NotTaken> {
        let set = self.executor.validators(height)?;
        let (block, certificate) = self.open(height, sealed, &set).map_err(NotTaken::Refused)?;
        let executed = match self.executor.check(&block) {
            Ok(executed) => executed,
            Err(NotRun::Invalid(reason)) => return Err(NotTaken::Refused(about(height, reason))),
            Err(NotRun::Store(error)) => return Err(error.into()),
        };
        committer.commit(&block, &certificate, &executed, "sync")?;
        Ok(())
    }

    /// Takes a block apart. The cheap questions first; the body is looked at only when its header is final.
    fn open(&self, height: u64, sealed: &Sealed, set: &ValidatorSet) -> Result<(Block, Certificate), String> {
        let max = self.genesis.max_block_bytes as usize;
        let header: Header = decode(&format!("header {height}"), &sealed.header, HEADER_BYTES_MAX)?;
        if header.height != height {
            return Err(format!("it gives block {} for block {height}", header.height));
        }
        self.of_this_chain(&header)
            .map_err(|reason| about(height, reason))?;
        let certificate: Certificate = decode(
            &format!("the certificate of block {height}"),
            &sealed.certificate,
            CERTIFICATE_BYTES_MAX,
        )?;
        self.is_final(&header, &certificate, set)
            .map_err(|reason| about(height, reason))?;
        let body: Body = decode(&format!("the body of block {height}"), &sealed.body, max)?;
        Ok((Block { header, body }, certificate))
    }

    fn of_this_chain(&self, header: &Header) -> Result<(), String> {
        self.is_ours(&header.chain, &header.genesis.0)
    }

    /// Whether chain id and genesis are ours.
    pub(crate) fn is_ours(&self, chain: &str, genesis: &cid::Cid) -> Result<(), String> {
        if chain != self.genesis.chain_id {
            let ours = &self.genesis.chain_id;
            return Err(format!("it is of the chain {chain:?}, this is {ours:?}"));
        }
        if *genesis != self.genesis_cid {
            let ours = self.genesis_cid;
            return Err(format!("its genesis is {genesis}, this chain's is {ours}"));
        }
        Ok(())
    }

    /// Whether the delegates of `set` decided a header.
    fn is_final(&self, header: &Header, certificate: &Certificate, set: &ValidatorSet) -> Result<(), String> {
        if certificate.height != header.height || certificate.header != header.id() {
            return Err("its certificate is of another header".into());
        }
        if header.validators != set.hash() {
            let (named, ours) = (header.validators, set.hash());
            return Err(format!("it names validators {named}, expected {ours}"));
        }
        certificate
            .verify(&self.genesis.chain_id, set)
            .map_err(|e| e.to_string())
    }

    /// Judges a header that was heard of.
    pub(crate) fn judge(&self, found: &Announcement) -> Result<Found, Error> {
        let (header, certificate) = (&found.header, &found.certificate);
        if let Err(reason) = self.of_this_chain(header) {
            return Ok(Found::False(reason));
        }
        let tip = self.store.tip();
        if header.height <= tip.height {
            return self.judge_past(header, certificate);
        }
        let set = self.executor.validators(tip.height + 1)?;
        let is_next = header.height == tip.height + 1;
        if !is_next && header.validators != set.hash() {
            return Ok(Found::Unknown);
        }
        if let Err(reason) = self.is_final(header, certificate, &set) {
            return Ok(Found::False(about(header.height, reason)));
        }
        if is_next && header.parent.0 != tip.cid {
            self.report_fork(header);
        }
        Ok(Found::New)
    }

    /// A header of a height that is here: the same, or false, or the delegates signed two.
    fn judge_past(&self, header: &Header, certificate: &Certificate) -> Result<Found, Error> {
        let height = header.height;
        let Some(ours) = self.store.header(height)? else {
            return Ok(Found::False(format!("there is no block {height}")));
        };
        if ours.id() == header.id() {
            return Ok(Found::Old);
        }
        if self.store.tip().height - height >= PAST_KEPT {
            return Ok(Found::Unknown);
        }
        let set = self.executor.validators(height)?;
        if let Err(reason) = self.is_final(header, certificate, &set) {
            return Ok(Found::False(about(height, reason)));
        }
        self.report_fork(header);
        Ok(Found::Old)
    }

    /// Two thirds of the delegates have signed a block that does not fit ours. Nothing here can mend that.
    fn report_fork(&self, header: &Header) {
        let (height, id) = (header.height, header.id());
        tracing::error!(height, header = %id, "the delegates signed a block of another history than the one kept here");
    }
}

impl From<Error> for NotTaken {
    fn from(error: Error) -> NotTaken {
        NotTaken::Store(error)
    }
}

/// Sets of heights further back may have been pruned.
const PAST_KEPT: u64 = 900;
/// A header has six hashes and a chain id.
const HEADER_BYTES_MAX: usize = 4 << 10;
/// 1024 signatures and their bitmap.
const CERTIFICATE_BYTES_MAX: usize = 96 << 10;

/// Names the block, once.
fn about(height: u64, reason: impl AsRef<str>) -> String {
    let (named, reason) = (format!("block at height {height}: "), reason.as_ref());
    format!(
        "block {height}: {}",
        reason.strip_prefix(&named).unwrap_or(reason)
    )
}
