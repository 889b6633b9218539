//! Signatures of transactions that were found good. A transaction is seen up to four times (by gossip, in a proposal, in
//! the decided block, after a restart of its round), and verified once; those of a block are verified in one batch.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use cid::Cid;
use ledger::Tx;

/// Transactions remembered: some blocks full, at 36 bytes or so each.
const REMEMBERED: usize = 1 << 16;

/// What was verified lately.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    good: Mutex<Generations>,
}

/// When `young` is full, it becomes `old`, and what was old is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Cid>,
    old: HashSet<Cid>,
}

impl Signatures {
    /// Verifies those that were not verified before. Returns the place of the first that does not hold, if there is one.
    pub(crate) fn first_forged(&self, txs: &[&Tx]) -> Option<usize> {
        let cids: Vec<Cid> = txs.iter().map(|tx| tx.cid()).collect();
        let new: Vec<usize> = {
            let good = self.good();
            (0..txs.len())
                .filter(|place| !good.holds(&cids[*place]))
                .collect()
        };
        let to_verify: Vec<&Tx> = new.iter().map(|place| txs[*place]).collect();
        let forged = ledger::first_forged(&to_verify);
        let mut good = self.good();
        for place in &new[..forged.unwrap_or(new.len())] {
            good.remember(cids[*place]);
        }
        forged.map(|place| new[place])
    }

    fn good(&self) -> MutexGuard<'_, Generations> {
        self.good.lock().expect("no panic while the signatures are held")
    }
}

impl Generations {
    fn holds(&self, cid: &Cid) -> bool {
        self.young.contains(cid) || self.old.contains(cid)
    }

    fn remember(&mut self, cid: Cid) {
        if self.young.len() >= REMEMBERED / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(cid);
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Action, Amount, SecretKey, TxBody};

    use super::*;

    fn tx(nonce: u64) -> Tx {
        let body = TxBody {
            chain: "test".into(),
            nonce,
            fee: Amount::ZERO,
            action: Action::Faucet {},
        };
        Tx::sign(body, &SecretKey::from_seed([7; 32]))
    }

    #[test]
    fn the_forged_one_is_found_and_not_remembered() {
        let signatures = Signatures::default();
        let mut txs: Vec<Tx> = (0..9).map(tx).collect();
        txs[5].body.nonce = 99;
        let all: Vec<&Tx> = txs.iter().collect();
        for _ in 0..2 {
            assert_eq!(signatures.first_forged(&all), Some(5));
        }
        assert_eq!(signatures.first_forged(&all[..5]), None);
        assert_eq!(signatures.first_forged(&[]), None);
        assert_eq!(signatures.good().young.len(), 5);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut good = Generations::default();
        let cids: Vec<Cid> = (0..4).map(|nonce| tx(nonce).cid()).collect();
        good.remember(cids[0]);
        let fill = (0..REMEMBERED as u64).map(|number| ledger::cid_of(&number.to_be_bytes()));
        fill.for_each(|cid| good.remember(cid));
        assert!(!good.holds(&cids[0]));
        assert!(good.young.len() + good.old.len() <= REMEMBERED);
    }
}
