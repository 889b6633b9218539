//! Making and judging blocks. Every node that runs a block on the same parent comes to the same verdict: what is here
//! depends on the store and the block alone. The clock is the caller's.

use std::sync::Arc;

use cid::Cid;
use ledger::{
    Address, Block, Body, Certificate, Genesis, Hash, Header, Link, Order, Refusal, State, Transition, Tx,
    ValidatorSet,
};

use crate::signatures::Signatures;
use crate::store::{Changes, Executed, Store, View};
use crate::{Error, Tip};

/// Bytes of a body that are neither transactions nor the certificate: keys and lengths.
const BODY_OVERHEAD_BYTES: usize = 64;
/// How often candidates are tried for one block.
const SELECT_PASSES: usize = 2;

/// Runs blocks on the tip of a store.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    genesis: Arc<Genesis>,
    genesis_cid: Cid,
    store: Arc<Store>,
    signatures: Arc<Signatures>,
}

/// A block that was just made.
pub(crate) struct Built {
    pub(crate) block: Block,
    pub(crate) executed: Executed,
    /// Candidates that the ledger refuses in this block, and why.
    pub(crate) refused: Vec<(Cid, String)>,
}

/// The transactions of a block, what they change, and the candidates that were refused, with the reason.
type Selected = (Vec<Tx>, Changes, Vec<(Cid, String)>);

/// Why a block was not run to its end.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It breaks a rule: every honest node says so.
    Invalid(String),
    /// The store failed: nothing is known about the block.
    Store(Error),
}

impl From<Error> for NotRun {
    fn from(error: Error) -> NotRun {
        NotRun::Store(error)
    }
}

impl Executor {
    pub(crate) fn new(genesis: Arc<Genesis>, store: Arc<Store>, signatures: Arc<Signatures>) -> Executor {
        let genesis_cid = genesis.cid();
        Executor {
            genesis,
            genesis_cid,
            store,
            signatures,
        }
    }

    /// Those who vote on a height: at most one above the tip.
    pub(crate) fn validators(&self, height: u64) -> Result<ValidatorSet, Error> {
        self.store.voters(height)
    }

    /// From what the proposers of a height follow: at most one above the tip.
    pub(crate) fn order(&self, height: u64) -> Result<Order, Error> {
        let version = self.store.version(height.saturating_sub(1));
        Ok(version.round().map_err(ledger_error)?.order())
    }

    /// The round of delegates that the next height is in.
    pub(crate) fn round_number(&self) -> Result<u64, Error> {
        Ok(self.store.view().round().map_err(ledger_error)?.number)
    }

    /// What the next reveal of a delegate must hash to, if it has to reveal anything.
    pub(crate) fn tip_of(&self, delegate: &Address) -> Result<Option<Hash>, Error> {
        let found = self.store.view().delegate(delegate).map_err(ledger_error)?;
        Ok(found.and_then(|delegate| delegate.tip))
    }

    /// Makes the block after the tip from candidates, as many as fit, in their order. Their signatures hold.
    pub(crate) fn build(
        &self,
        proposer: Address,
        reveal: Option<Hash>,
        now_ms: u64,
        candidates: &[Arc<Tx>],
    ) -> Result<Built, Error> {
        let tip = self.store.tip();
        let last_certificate = self.store.certificate(tip.height)?;
        let view = self.store.view();
        let (txs, changes, refused) = self
            .select(&view, (proposer, reveal), candidates, last_certificate.as_ref())
            .map_err(ledger_error)?;
        let validators = view.validators().map_err(ledger_error)?;
        let next_validators = next_validators(&changes, &validators)?;
        let executed = self.store.execute(changes)?;
        let body = Body {
            txs,
            last_certificate,
        };
        let header = Header {
            chain: self.genesis.chain_id.clone(),
            genesis: Link(self.genesis_cid),
            height: tip.height + 1,
            time_ms: now_ms.max(tip.time_ms + 1),
            parent: Link(tip.cid),
            body: Link(body.cid()),
            state_root: executed.root,
            proposer,
            reveal,
            validators: validators.hash(),
            next_validators,
        };
        Ok(Built {
            block: Block { header, body },
            executed,
            refused,
        })
    }

    /// Runs a block that claims to follow the tip.
    pub(crate) fn check(&self, block: &Block) -> Result<Executed, NotRun> {
        let tip = self.store.tip();
        let parent = self.store.header(tip.height)?;
        let set = self.validators(tip.height + 1)?;
        let parent_set = self.validators(tip.height)?;
        block
            .check(&self.genesis, parent.as_ref(), &set, &parent_set)
            .map_err(invalid)?;
        let changes = self.run(block, &tip)?;
        if next_validators(&changes, &set)? != block.header.next_validators {
            return Err(NotRun::Invalid(
                "the next validators are not those of the state".into(),
            ));
        }
        let executed = self.store.execute(changes)?;
        if executed.root != block.header.state_root {
            let (claimed, found) = (block.header.state_root, executed.root);
            return Err(NotRun::Invalid(format!(
                "the state root is {found}, the header says {claimed}"
            )));
        }
        Ok(executed)
    }

    fn run(&self, block: &Block, tip: &Tip) -> Result<Changes, NotRun> {
        let view = self.store.view();
        let mut run = Transition::new(&self.genesis, &view, tip.height + 1, block.header.proposer);
        let last = block.body.last_certificate.as_ref();
        match run.open(block.header.reveal.as_ref(), last) {
            Ok(()) => {}
            Err(Refusal::State(e)) => return Err(ledger_error(e).into()),
            Err(refusal) => return Err(invalid(refusal)),
        }
        let txs: Vec<&Tx> = block.body.txs.iter().collect();
        if let Some(forged) = self.signatures.first_forged(&txs) {
            let (tx, refusal) = (txs[forged].cid(), Refusal::Signature);
            return Err(NotRun::Invalid(format!("transaction {tx}: {refusal}")));
        }
        for tx in txs {
            match run.apply_verified(tx) {
                Ok(()) => {}
                Err(Refusal::State(e)) => return Err(ledger_error(e).into()),
                Err(refusal) => return Err(NotRun::Invalid(format!("transaction {}: {refusal}", tx.cid()))),
            }
        }
        Ok(run.finish().map_err(ledger_error)?)
    }

    fn select(
        &self,
        view: &View,
        (proposer, reveal): (Address, Option<Hash>),
        candidates: &[Arc<Tx>],
        last: Option<&Certificate>,
    ) -> Result<Selected, ledger::StateError> {
        let certificate_bytes = last.map_or(0, |last| ledger::encode(last).len());
        let mut room =
            (self.genesis.max_block_bytes as usize).saturating_sub(BODY_OVERHEAD_BYTES + certificate_bytes);
        let mut run = Transition::new(&self.genesis, view, view.tip().height + 1, proposer);
        // A block that this delegate may not make would not be voted for.
        run.open(reveal.as_ref(), last)
            .map_err(|refusal| ledger::StateError(refusal.to_string()))?;
        let (mut txs, mut refused) = (Vec::new(), Vec::new());
        let mut left: Vec<&Arc<Tx>> = candidates.iter().collect();
        // One that pays more may need what one that pays less brings.
        for _ in 0..SELECT_PASSES {
            refused.clear();
            let mut again = Vec::new();
            for tx in left {
                let bytes = tx.encode().len();
                if bytes > room {
                    continue;
                }
                match run.apply_verified(tx) {
                    Ok(()) => {
                        room -= bytes;
                        txs.push(Tx::clone(tx));
                    }
                    Err(Refusal::State(e)) => return Err(e),
                    Err(refusal) => {
                        refused.push((tx.cid(), refusal.to_string()));
                        again.push(tx);
                    }
                }
            }
            left = again;
        }
        Ok((txs, run.finish()?, refused))
    }
}

fn next_validators(changes: &Changes, current: &ValidatorSet) -> Result<Hash, Error> {
    match changes.get(&ledger::key::validators()) {
        Some(Some(bytes)) => {
            let set = ledger::decode::<ValidatorSet>(bytes);
            set.map(|set| set.hash())
                .map_err(|e| Error::damaged("validators", e.to_string()))
        }
        _ => Ok(current.hash()),
    }
}

fn invalid(error: impl std::fmt::Display) -> NotRun {
    NotRun::Invalid(error.to_string())
}

fn ledger_error(error: impl std::fmt::Display) -> Error {
    Error::Ledger {
        operation: "run a block",
        reason: error.to_string(),
    }
}
