//! Evidence on its way from the engine to the ledger.
//!
//! What the engine has seen of a delegate that signed two votes is brought into the next block that this delegate
//! makes, as a transaction of its own, until the ledger has convicted. It is not sent to others: those who have seen it
//! too do the same, and there is a turn of an honest one soon.

use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::MisbehaviorEvidence;
use cid::Cid;
use consensus::{Address, Chain, Key};
use ledger::{Action, Equivocation, Genesis, Kind, SecretKey, Standing, State, Tx, TxBody};

use crate::mempool::{By, Mempool};
use crate::store::View;
use crate::{Error, SubmitError};

/// Convictions that are pursued at a time. The engine keeps a few pairs of each delegate at a height, and one of a
/// delegate is enough.
const CASES_MAX: usize = 128;

/// Brings evidence to the ledger in the name of a delegate.
pub(crate) struct Accuser {
    key: SecretKey,
    genesis: Arc<Genesis>,
    cases: Vec<Case>,
}

struct Case {
    evidence: Equivocation,
    /// The transaction that was sent last.
    sent: Option<Cid>,
}

impl Accuser {
    pub(crate) fn new(key: SecretKey, genesis: Arc<Genesis>) -> Accuser {
        Accuser {
            key,
            genesis,
            cases: Vec::new(),
        }
    }

    /// Takes up what the engine has seen: one pair of votes or proposals of each delegate that has no case yet.
    pub(crate) fn note(&mut self, seen: &MisbehaviorEvidence<Chain>, state: &View) {
        let key = |address: &Address| {
            let delegate = state.delegate(&address.0).ok().flatten();
            delegate.map(|delegate| Key(delegate.key))
        };
        for (address, pairs) in seen.votes.iter() {
            let mut pairs = pairs.iter();
            let found = key(address)
                .and_then(|key| pairs.find_map(|(one, other)| consensus::equivocation(&key, [one, other])));
            self.open(found);
        }
        for (address, pairs) in seen.proposals.iter() {
            let mut pairs = pairs.iter();
            let found = key(address).and_then(|key| {
                pairs.find_map(|(one, other)| consensus::double_proposal(&key, [one, other]))
            });
            self.open(found);
        }
    }

    fn open(&mut self, found: Option<Equivocation>) {
        let is_open = |found: &Equivocation| {
            let mut cases = self.cases.iter();
            cases.any(|case| case.evidence.delegate == found.delegate)
        };
        if let Some(evidence) = found.filter(|found| !is_open(found))
            && self.cases.len() < CASES_MAX
        {
            self.cases.push(Case { evidence, sent: None });
        }
    }

    /// Puts what is not convicted yet where the next block is made from.
    ///
    /// # Errors
    /// If the state cannot be read. What the mempool refuses is tried again at the next turn.
    pub(crate) fn submit(&mut self, state: &View, mempool: &Mempool) -> Result<(), Error> {
        let (genesis, height) = (&self.genesis, state.tip().height);
        self.cases.retain(|case| is_open(case, state, genesis, height));
        for case in &mut self.cases {
            if case.sent.is_some_and(|cid| mempool.waits(&cid)) {
                continue;
            }
            let tx = accusation(&self.key, genesis, mempool, &case.evidence)?;
            let cid = tx.cid();
            match mempool.submit(cid, tx, By::User) {
                Ok(_) => case.sent = Some(cid),
                Err(SubmitError::Chain(error)) => return Err(error),
                Err(refused) => tracing::warn!("evidence is not taken: {refused}"),
            }
        }
        Ok(())
    }
}

fn is_open(case: &Case, state: &View, genesis: &Genesis, height: u64) -> bool {
    let found = &case.evidence;
    let is_new = height < found.height.saturating_add(genesis.election.evidence_age);
    let delegate = state.delegate(&found.delegate.address());
    is_new && delegate.is_ok_and(|delegate| delegate.is_some_and(|one| one.standing != Standing::Tombstoned))
}

fn accusation(
    key: &SecretKey,
    genesis: &Genesis,
    mempool: &Mempool,
    found: &Equivocation,
) -> Result<Tx, Error> {
    let body = TxBody {
        chain: genesis.chain_id.clone(),
        nonce: mempool.next_nonce(&key.address())?,
        fee: genesis.fee_of(Kind::Evidence),
        action: Action::Evidence {
            found: Box::new(found.clone()),
        },
    };
    Ok(Tx::sign(body, key))
}
