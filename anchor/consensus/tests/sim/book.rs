//! Blocks, made and run by the real ledger. Each is run once, and all nodes share what comes of it: a block names its
//! parent, so they would all come to the same.

use std::collections::HashMap;
use std::rc::Rc;

use ledger::{
    Block, Body, Certificate, Hash, Header, Link, MemoryState, Refusal, State, Transition, Tx, encode,
};

use crate::cast::Cast;

/// The chain after a block.
pub struct After {
    /// Of its header; of the genesis before the first.
    pub id: Hash,
    pub height: u64,
    pub time_ms: u64,
    /// None before the first.
    pub block: Option<Rc<Block>>,
    pub state: MemoryState,
    /// Who voted on it; before the first, who votes on that.
    pub voted: ledger::ValidatorSet,
    /// Who votes on the next.
    pub set: consensus::ValidatorSet,
    pub round: ledger::Round,
}

/// All blocks that were ever made.
pub struct Book {
    cast: Rc<Cast>,
    genesis: Link,
    run: HashMap<Hash, Result<Rc<After>, String>>,
}

/// What a proposer puts into a block.
pub struct Draft<'a> {
    pub proposer: usize,
    pub time_ms: u64,
    pub txs: &'a [Rc<Tx>],
    pub last: Option<Certificate>,
}

impl Book {
    pub fn new(cast: Rc<Cast>) -> Self {
        Self {
            genesis: Link(cast.genesis.cid()),
            cast,
            run: HashMap::new(),
        }
    }

    /// The chain before the first block.
    pub fn begin(&self) -> Rc<After> {
        let genesis = &self.cast.genesis;
        let state = MemoryState(genesis.initial_state().expect("valid").into_iter().collect());
        let voted = genesis.validators().expect("valid");
        Rc::new(after(genesis.id(), genesis.time_ms, None, state, voted))
    }

    /// What came of a valid block.
    pub fn after(&self, header: &Hash) -> Option<Rc<After>> {
        self.run.get(header)?.as_ref().ok().cloned()
    }

    /// Makes the block after `tip`, of all transactions that the ledger takes.
    ///
    /// # Errors
    /// If the ledger does not take the block that it helped to make.
    pub fn build(&mut self, tip: &After, draft: Draft) -> Result<Rc<After>, String> {
        let cast = Rc::clone(&self.cast);
        let player = &cast.players[draft.proposer];
        let height = tip.height + 1;
        let delegate = tip.state.delegate(&player.address).map_err(|e| e.to_string())?;
        let reveal = delegate.and_then(|d| d.tip).and_then(|tip| player.reveal(&tip));
        let mut run = Transition::new(&cast.genesis, &tip.state, height, player.address);
        run.open(reveal.as_ref(), draft.last.as_ref())
            .map_err(|refusal| refusal.to_string())?;
        let taken = draft.txs.iter().filter(|tx| run.apply(tx).is_ok());
        let txs = taken.map(|tx| Tx::clone(tx)).collect();
        let mut state = tip.state.clone();
        state.write(run.finish().map_err(|e| e.to_string())?);
        let body = Body {
            txs,
            last_certificate: draft.last,
        };
        let header = Header {
            chain: cast.genesis.chain_id.clone(),
            genesis: self.genesis,
            height,
            time_ms: draft.time_ms.max(tip.time_ms + 1),
            parent: self.parent(tip),
            body: Link(body.cid()),
            state_root: root(&state),
            proposer: player.address,
            reveal,
            validators: tip.set.ledger().hash(),
            next_validators: state.validators().map_err(|e| e.to_string())?.hash(),
        };
        self.check(tip, &Rc::new(Block { header, body }))
    }

    fn parent(&self, tip: &After) -> Link {
        let link = |block: &Rc<Block>| Link(block.header.cid());
        tip.block.as_ref().map_or(self.genesis, link)
    }

    /// Runs a block after `tip`, as every node must before it votes for it.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn check(&mut self, tip: &After, block: &Rc<Block>) -> Result<Rc<After>, String> {
        if block.header.parent != self.parent(tip) {
            return Err("its parent is another".into());
        }
        let id = block.header.id();
        if let Some(known) = self.run.get(&id) {
            return known.clone();
        }
        let found = self.execute(tip, block, id);
        self.run.insert(id, found.clone());
        found
    }

    fn execute(&self, tip: &After, block: &Rc<Block>, id: Hash) -> Result<Rc<After>, String> {
        let genesis = &self.cast.genesis;
        let parent = tip.block.as_ref().map(|block| &block.header);
        let set = tip.set.ledger();
        block
            .check(genesis, parent, set, &tip.voted)
            .map_err(|e| e.to_string())?;
        let refused = |refusal: Refusal| refusal.to_string();
        let (header, body) = (&block.header, &block.body);
        let mut run = Transition::new(genesis, &tip.state, header.height, header.proposer);
        run.open(header.reveal.as_ref(), body.last_certificate.as_ref())
            .map_err(refused)?;
        for tx in &body.txs {
            run.apply(tx).map_err(refused)?;
        }
        let mut state = tip.state.clone();
        state.write(run.finish().map_err(|e| e.to_string())?);
        if root(&state) != header.state_root {
            return Err("the state root is another".into());
        }
        if state.validators().map_err(|e| e.to_string())?.hash() != header.next_validators {
            return Err("the next validators are others".into());
        }
        let time_ms = header.time_ms;
        let block = Some(Rc::clone(block));
        Ok(Rc::new(after(id, time_ms, block, state, set.clone())))
    }
}

fn after(
    id: Hash,
    time_ms: u64,
    block: Option<Rc<Block>>,
    state: MemoryState,
    voted: ledger::ValidatorSet,
) -> After {
    let round = state.round().expect("a round");
    let next = state.validators().expect("validators");
    After {
        id,
        height: block.as_ref().map_or(0, |block| block.header.height),
        time_ms,
        block,
        voted,
        set: consensus::ValidatorSet::new(next, round.order()),
        round,
        state,
    }
}

/// Stands for the root of the tree: it changes with every entry.
fn root(state: &MemoryState) -> Hash {
    let entries: Vec<(&[u8], &[u8])> = state
        .0
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_slice()))
        .collect();
    let mut bytes = Vec::new();
    for (key, value) in entries {
        bytes.extend(encode(&(key.len() as u64, value.len() as u64)));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
    Hash::of(&bytes)
}
