//! Other chains: register, anchor.
//!
//! The ledger follows a registered chain as any light client does, from the checkpoint of its registration on. Anybody may
//! bring the next header; what makes it true is its certificate. Nobody is paid for that: who wants names of another chain to be
//! provable here brings its headers.

use super::money::Bill;
use super::{Refusal, Transition};
use crate::genesis::{chain_id_fault, prefix_fault};
use crate::keys::Address;
use crate::light::{Checkpoint, LightBlock};
use crate::name::Label;
use crate::state::{Anchored, ChainEntry, State, key};

impl Transition<'_> {
    pub(super) fn register_chain(
        &mut self,
        sender: &Address,
        tld: &Label,
        prefix: &str,
        checkpoint: &Checkpoint,
        bill: Bill,
    ) -> Result<(), Refusal> {
        let chain = &checkpoint.chain;
        if let Some(reason) = chain_id_fault(chain).or_else(|| prefix_fault(prefix)) {
            return Err(Refusal::ChainForm { reason });
        }
        if *chain == self.genesis.chain_id || self.overlay.chain(chain)?.is_some() {
            let chain = chain.clone();
            return Err(Refusal::ChainTaken { chain });
        }
        self.check_tld(tld)?;
        self.pay_rent(sender, bill)?;
        self.overlay.write(key::tld(tld), chain);
        self.overlay.write(
            key::chain(chain),
            &ChainEntry {
                owner: *sender,
                tld: tld.clone(),
                prefix: prefix.to_owned(),
                registered: self.height,
                checkpoint: checkpoint.clone(),
                before: None,
                anchors: Vec::new(),
                forked: None,
            },
        );
        Ok(())
    }

    /// Whether no chain has a TLD, and none is kept from having it.
    fn check_tld(&self, tld: &Label) -> Result<(), Refusal> {
        if self.genesis.is_reserved(tld) {
            let tld = tld.to_string();
            return Err(Refusal::TldReserved { tld });
        }
        let holder = match tld.as_str() == self.genesis.tld {
            true => Some(self.genesis.chain_id.clone()),
            false => self.overlay.tld(tld)?,
        };
        holder.map_or(Ok(()), |chain| {
            let tld = tld.to_string();
            Err(Refusal::TldTaken { tld, chain })
        })
    }

    pub(super) fn anchor_header(&mut self, block: &LightBlock) -> Result<(), Refusal> {
        let (chain, height) = (block.header.chain.clone(), block.header.height);
        let mut entry = self.known_chain(&chain)?;
        if let Some(height) = entry.forked {
            return Err(Refusal::ChainForked { chain, height });
        }
        if height <= entry.checkpoint.height {
            self.check_fork(&entry, block)?;
            return self.fork(entry, height);
        }
        let next = entry.checkpoint.follow(block)?;
        let set = std::mem::replace(&mut entry.checkpoint, next).validators;
        self.write_anchor(&mut entry, block);
        if block.changes_set() {
            entry.before = Some(set);
        }
        self.overlay.write(key::chain(&chain), &entry);
        Ok(())
    }

    fn known_chain(&self, chain: &str) -> Result<ChainEntry, Refusal> {
        self.overlay.chain(chain)?.ok_or_else(|| Refusal::ChainUnknown {
            chain: chain.to_owned(),
        })
    }

    /// Keeps a header, and only the newest ones.
    fn write_anchor(&mut self, entry: &mut ChainEntry, block: &LightBlock) {
        let (header, chain) = (&block.header, &block.header.chain);
        if entry.anchors.len() == ChainEntry::ANCHORS_MAX {
            let oldest = entry.anchors.remove(0);
            self.overlay.remove(key::anchored(chain, oldest));
        }
        entry.anchors.push(header.height);
        self.overlay.write(
            key::anchored(chain, header.height),
            &Anchored {
                chain: chain.clone(),
                genesis: header.genesis,
                tld: entry.tld.clone(),
                height: header.height,
                header: header.id(),
                state_root: header.state_root,
                time_ms: header.time_ms,
                validators: header.validators,
                at: self.height,
            },
        );
    }

    /// Whether a header that is not new is another one than that of its height, and signed by the same validators.
    fn check_fork(&self, entry: &ChainEntry, block: &LightBlock) -> Result<(), Refusal> {
        let (chain, height) = (block.header.chain.clone(), block.header.height);
        let newest = entry.checkpoint.height;
        let Some(anchored) = self.overlay.anchored(&chain, height)? else {
            return Err(Refusal::AnchorOld {
                chain,
                height,
                newest,
            });
        };
        if anchored.header == block.header.id() {
            let at = anchored.at;
            return Err(Refusal::AnchorKnown { chain, height, at });
        }
        let sets = [Some(&entry.checkpoint.validators), entry.before.as_ref()];
        let signers = sets
            .into_iter()
            .flatten()
            .find(|set| set.hash() == anchored.validators);
        let Some(signers) = signers else {
            return Err(Refusal::AnchorOld {
                chain,
                height,
                newest,
            });
        };
        let then = Checkpoint {
            validators: signers.clone(),
            ..entry.checkpoint.clone()
        };
        Ok(then.check_signed(&block.header, &block.certificate)?)
    }

    /// Two thirds of a chain's validators have signed two histories: nothing can be proved through this ledger any more.
    fn fork(&mut self, mut entry: ChainEntry, height: u64) -> Result<(), Refusal> {
        let chain = entry.checkpoint.chain.clone();
        for anchor in entry.anchors.drain(..) {
            self.overlay.remove(key::anchored(&chain, anchor));
        }
        entry.forked = Some(height);
        self.overlay.write(key::chain(&chain), &entry);
        Ok(())
    }
}
