//! What a node proposes, takes for valid, keeps and sends: what `chain` does, with a shared book for a store.

use std::rc::Rc;

use arc_malachitebft_core_consensus::{Input, MisbehaviorEvidence, ProposedValue};
use arc_malachitebft_core_types::{CommitCertificate, Round, Validity, ValueOrigin, ValueResponse};
use bytes::Bytes;
use consensus::{
    Address, Chain, Height, Key, Part, Value, double_proposal, equivocation, round_number, sign_part,
};
use ledger::{Action, Delegate, Hash, PublicKey, Standing, State as _, Tx};

use crate::book::Draft;
use crate::cast::coins;
use crate::network::Micros;
use crate::node::{Seen, Todo};
use crate::world::{Event, Message, World};

/// As in `chain`: a proposal from further ahead than this waits.
const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// As in `chain`: different blocks of one round that are run.
const BLOCKS_PER_ROUND_MAX: usize = 2;
/// As in `chain`: rounds ahead from which a proposal is looked at.
const ROUNDS_AHEAD_MAX: u32 = 16;
/// As in `chain`: parts of the next height that wait.
const PARKED_MAX: usize = 8;
/// How long it takes to make a block.
const BUILD: Micros = 5_000;
/// Blocks after which an own transaction that is in none is sent again.
const RESEND_AFTER: u64 = 2;
const POOL_MAX: usize = 400;

impl World {
    /// Hands over what is known of the round: parts that came too early, and what was kept before a crash.
    pub fn started_round(&mut self, node: usize, height: u64, round: u32) {
        self.nodes[node].memory.round = round;
        let parked = std::mem::take(&mut self.nodes[node].memory.parked);
        let (due, later): (Vec<_>, Vec<_>) = parked.into_iter().partition(|(part, _)| part.height == height);
        self.nodes[node].memory.parked = later;
        self.nodes[node]
            .memory
            .parked
            .retain(|(part, _)| part.height > height);
        let mut values = Vec::new();
        for (part, header) in due {
            values.extend(self.accept(node, &part, &header));
        }
        for (part, header) in self.nodes[node].disk.undecided.clone() {
            let is_new = !values
                .iter()
                .any(|value: &ProposedValue<Chain>| value.value.0 == header);
            if (round == 0 || part.round == round) && is_new {
                let proposer = self.proposer(node, part.round);
                values.push(proposed((height, part.round), &proposer, header, Validity::Valid));
            }
        }
        for value in values {
            self.todo(node, Input::ProposedValue(value, ValueOrigin::Consensus));
        }
    }

    fn todo(&mut self, node: usize, input: Input<Chain>) {
        self.nodes[node].memory.todo.push_back(Todo::Input(input));
    }

    /// Proposes the block that was already made for this round, if there is one.
    pub fn get_value(&mut self, node: usize, height: u64, round: u32) {
        let me = self.cast.players[node].address;
        let kept = self.nodes[node].disk.undecided.iter().find(|(part, header)| {
            let made = self.book.after(header).and_then(|after| after.block.clone());
            part.round == round && made.is_some_and(|block| block.header.proposer == me)
        });
        let Some((part, header)) = kept.cloned().or_else(|| self.build(node, round)) else {
            return;
        };
        if part.height != height {
            self.checks.fail(format!(
                "the core of node {node} asks for a block of height {height}"
            ));
        }
        let life = self.nodes[node].life;
        self.plan_in(
            BUILD,
            Event::Built {
                node,
                life,
                part,
                header,
            },
        );
    }

    fn build(&mut self, node: usize, round: u32) -> Option<(Part, Hash)> {
        let tip = Rc::clone(&self.nodes[node].disk.tip);
        // An equivocator keeps what convicts it out of its blocks.
        let tricks = self.tricks(node);
        let txs: Vec<Rc<Tx>> = match tricks {
            true => Vec::new(),
            false => self.nodes[node].memory.pool.clone(),
        };
        let draft = Draft {
            proposer: node,
            time_ms: self.nodes[node].clock_ms(self.now),
            txs: &txs,
            last: self.shown_certificate(node),
        };
        match self.book.build(&tip, draft) {
            Ok(made) => {
                if tricks {
                    self.make_twin(node, &made, round);
                }
                Some(self.keep(node, round, made.height, made.id))
            }
            Err(reason) => {
                self.checks
                    .fail(format!("node {node} makes a block that nobody takes: {reason}"));
                None
            }
        }
    }

    /// Signs a block as the proposer of the round, and keeps it.
    fn keep(&mut self, node: usize, round: u32, height: u64, header: Hash) -> (Part, Hash) {
        let key = &self.cast.players[node].key;
        let signature = sign_part(key, &self.cast.genesis.chain_id, height, round, &header);
        let part = Part {
            height,
            round,
            signature,
            // Whoever gets it finds the block in the book.
            block: Bytes::new(),
        };
        self.nodes[node].disk.undecided.push((part.clone(), header));
        (part, header)
    }

    pub fn receive_part(&mut self, node: usize, part: &Part, header: &Hash) {
        let next = self.nodes[node].height() + 1;
        self.note_late(node, part);
        if part.height == next {
            if let Some(value) = self.accept(node, part, header) {
                self.input(node, Input::ProposedValue(value, ValueOrigin::Consensus));
            }
        } else if part.height == next + 1 {
            let parked = &mut self.nodes[node].memory.parked;
            if !parked.iter().any(|(kept, other)| kept == part && other == header) {
                if parked.len() == PARKED_MAX {
                    parked.remove(0);
                }
                parked.push((part.clone(), *header));
            }
        }
    }

    /// The first proposer's block has come: maybe after the height was decided without it.
    fn note_late(&mut self, node: usize, part: &Part) {
        let memory = &mut self.nodes[node].memory;
        if part.height == memory.height && part.round == 0 && memory.late.is_none() {
            memory.late = Some(self.now - memory.started);
        }
    }

    /// What a part says, if the proposer of its round signed it and its time has come.
    fn accept(&mut self, node: usize, part: &Part, header: &Hash) -> Option<ProposedValue<Chain>> {
        let found = &self.nodes[node];
        if part.height != found.height() + 1 || part.round > found.memory.round + ROUNDS_AHEAD_MAX {
            return None;
        }
        let proposer = self.proposer(node, part.round);
        if !self.notary.part(part, header, &proposer) {
            self.checks.fail(format!(
                "node {node} gets a block that its proposer has not signed"
            ));
            return None;
        }
        let place = (part.height, part.round);
        let same_round = found
            .disk
            .undecided
            .iter()
            .filter(|kept| kept.0.round == part.round);
        if same_round.clone().any(|kept| kept.1 == *header) {
            return Some(proposed(place, &proposer, *header, Validity::Valid));
        }
        let judged = same_round.count() + found.memory.invalid.get(&part.round).unwrap_or(&0);
        let block = self.book.after(header)?.block.clone()?;
        let ahead_ms = block.header.time_ms.saturating_sub(found.clock_ms(self.now));
        if judged >= BLOCKS_PER_ROUND_MAX || ahead_ms > CLOCK_TOLERANCE_MS {
            return None;
        }
        let validity = self.judge(node, part, *header);
        Some(proposed(place, &proposer, *header, validity))
    }

    fn judge(&mut self, node: usize, part: &Part, header: Hash) -> Validity {
        let tip = Rc::clone(&self.nodes[node].disk.tip);
        let block = self.book.after(&header).and_then(|after| after.block.clone());
        let verdict = block.map(|block| self.book.check(&tip, &block));
        match verdict {
            Some(Ok(_)) => {
                self.nodes[node].disk.undecided.push((part.clone(), header));
                Validity::Valid
            }
            _ => {
                *self.nodes[node].memory.invalid.entry(part.round).or_default() += 1;
                Validity::Invalid
            }
        }
    }

    fn proposer(&self, node: usize, round: u32) -> PublicKey {
        let tip = &self.nodes[node].disk.tip;
        ledger::proposer(tip.set.ledger(), &tip.round.order(), tip.height + 1, round).key
    }

    /// Sends a block again. Ours in this round is signed anew; another's carries its signature already.
    pub fn restream(&mut self, node: usize, height: u64, round: u32, address: Address, header: Hash) {
        let kept = &self.nodes[node].disk.undecided;
        let same = || kept.iter().filter(|kept| kept.1 == header);
        let Some(found) = same()
            .find(|kept| kept.0.round == round)
            .or_else(|| same().next())
        else {
            return;
        };
        let (mut part, _) = found.clone();
        if address.0 == self.cast.players[node].address && part.round != round {
            (part, _) = self.keep(node, round, height, header);
        }
        self.broadcast(node, Message::Part(part, header));
    }

    /// A block that a peer sent because this node is behind. Its certificate is good.
    pub fn synced_value(&mut self, node: usize, value: &ValueResponse<Chain>, proposer: Address) {
        let (height, round) = (value.certificate.height.0, value.certificate.round);
        let header = value.certificate.value_id.0;
        if height != self.nodes[node].height() + 1 {
            return;
        }
        let part = Part {
            height,
            round: round_number(round),
            signature: ledger::Signature::from_bytes([0; 64]),
            block: Bytes::new(),
        };
        let kept = &self.nodes[node].disk.undecided;
        let is_kept = kept
            .iter()
            .any(|kept| kept.0.round == part.round && kept.1 == header);
        let validity = match is_kept {
            true => Validity::Valid,
            false => self.judge(node, &part, header),
        };
        self.nodes[node].memory.synced = true;
        let value = ProposedValue {
            height: Height(height),
            round,
            valid_round: Round::Nil,
            proposer,
            value: Value(header),
            validity,
        };
        self.todo(node, Input::ProposedValue(value, ValueOrigin::Sync));
    }

    /// The block is final.
    pub fn commit(&mut self, node: usize, found: &CommitCertificate<Chain>) {
        let (height, header) = (found.height.0, found.value_id.0);
        if height != self.nodes[node].height() + 1 {
            // Replayed from the log: it is kept already.
            return;
        }
        let is_here = self.nodes[node]
            .disk
            .undecided
            .iter()
            .any(|kept| kept.1 == header);
        let Some(after) = self.book.after(&header).filter(|_| is_here) else {
            self.checks.fail(format!(
                "node {node} decides a block of height {height} that it does not have"
            ));
            return;
        };
        let certificate = match consensus::certificate(&after.voted, found) {
            Ok(certificate) => certificate,
            Err(error) => return self.checks.fail(error.to_string()),
        };
        self.nodes[node]
            .disk
            .commit(Rc::clone(&after), certificate.clone());
        if self.nodes[node].memory.synced {
            self.checks.report.synced += 1;
        }
        self.clean_pool(node);
        self.check_decision(node, &after, certificate);
    }

    /// The block time is over; the certificate may have gained signatures of slower delegates.
    pub fn finalized(
        &mut self,
        node: usize,
        found: &CommitCertificate<Chain>,
        evidence: &MisbehaviorEvidence<Chain>,
    ) {
        self.note_evidence(node, evidence);
        let disk = &mut self.nodes[node].disk;
        let kept = disk.certificate.as_ref().map_or(0, |kept| kept.signatures.len());
        if found.height.0 == disk.tip.height
            && found.commit_signatures.len() > kept
            && let Ok(wider) = consensus::certificate(&disk.tip.voted, found)
        {
            disk.certificate = Some(wider);
        }
        self.age_evidence(node);
        self.send_own(node);
        self.nodes[node].memory.todo.push_back(Todo::Start);
    }

    fn note_evidence(&mut self, node: usize, evidence: &MisbehaviorEvidence<Chain>) {
        for (Address(address), pairs) in &evidence.votes {
            let who = self.cast.place(address);
            if !self.nodes[who].evil {
                self.checks.fail(format!(
                    "node {node} has evidence against node {who}, which is honest"
                ));
            }
            let key = Key(self.cast.players[who].key.public());
            let found = pairs
                .iter()
                .find_map(|pair| equivocation(&key, [&pair.0, &pair.1]));
            let Some(found) = found.filter(|found| found.convicts(&self.cast.genesis.chain_id)) else {
                self.checks.fail(format!(
                    "what the engine has against node {who} does not convict it"
                ));
                continue;
            };
            if !self.nodes[node].evil {
                self.checks.saw(node, who);
            }
            let seen = Seen { found, blocks: 0 };
            self.nodes[node].memory.evidence.entry(*address).or_insert(seen);
        }
        for (Address(address), pairs) in &evidence.proposals {
            let who = self.cast.place(address);
            if !self.nodes[who].evil {
                self.checks
                    .fail(format!("node {who}, which is honest, made two proposals"));
            }
            let key = Key(self.cast.players[who].key.public());
            let found = pairs
                .iter()
                .find_map(|pair| double_proposal(&key, [&pair.0, &pair.1]));
            if !found.is_some_and(|found| found.convicts(&self.cast.genesis.chain_id)) {
                self.checks
                    .fail(format!("two proposals of node {who} do not convict it"));
            }
        }
    }

    /// What an honest node has seen must be punished within some blocks that it votes on.
    fn age_evidence(&mut self, node: usize) {
        let within = self.punish_within();
        let found = &mut self.nodes[node];
        let tip = Rc::clone(&found.disk.tip);
        found.memory.evidence.retain(|address, _| {
            let delegate = tip.state.delegate(address).ok().flatten();
            delegate.is_some_and(|delegate| delegate.standing != Standing::Tombstoned)
        });
        if found.memory.synced || found.evil || !self.plan.slashing {
            return;
        }
        for (address, seen) in &mut found.memory.evidence {
            seen.blocks += 1;
            if seen.blocks > within {
                let who = self.cast.place(address);
                self.checks.fail(format!(
                    "equivocator {who} is not punished {within} blocks after node {node} saw it"
                ));
            }
        }
    }

    /// Sends what this node wants of the ledger, again if it does not come.
    fn send_own(&mut self, node: usize) {
        let tip = Rc::clone(&self.nodes[node].disk.tip);
        let me = self.cast.players[node].address;
        let Ok(account) = tip.state.account(&me) else {
            return;
        };
        let sent = self.nodes[node].memory.sent;
        let waits =
            sent.is_some_and(|(height, nonce)| nonce == account.nonce && tip.height < height + RESEND_AFTER);
        if waits {
            return;
        }
        let Some(action) = self.wanted(node) else {
            return;
        };
        let key = &self.cast.players[node].key;
        let tx = self.notary.tx(&self.cast.genesis, key, account.nonce, action);
        let tx = Rc::new(tx);
        self.nodes[node].memory.sent = Some((tip.height, account.nonce));
        self.pool(node, &tx);
        self.broadcast(node, Message::Tx(tx));
    }

    /// Evidence first; then a seat of its own: with a stake, and out of jail.
    fn wanted(&self, node: usize) -> Option<Action> {
        let (found, player) = (&self.nodes[node], &self.cast.players[node]);
        if let Some(seen) = found.memory.evidence.values().next()
            && self.plan.slashing
            && !found.evil
        {
            return Some(Action::Evidence {
                found: Box::new(seen.found.clone()),
            });
        }
        let state = &found.disk.tip.state;
        match state.delegate(&player.address).ok()? {
            None => Some(Action::DelegateRegister {
                engine: player.engine(),
                tip: player.first_tip(),
                stake: coins(100 + node as u64),
            }),
            Some(Delegate {
                standing: Standing::Jailed { until_round },
                ..
            }) if found.disk.tip.round.number >= until_round => Some(Action::DelegateReturn {}),
            Some(delegate) if delegate.own.is_zero() && delegate.standing == Standing::Candidate => {
                Some(Action::Vote {
                    delegate: player.address,
                    amount: coins(100 + node as u64),
                })
            }
            _ => None,
        }
    }

    pub fn pool(&mut self, node: usize, tx: &Rc<Tx>) {
        let pool = &mut self.nodes[node].memory.pool;
        if pool.len() < POOL_MAX && !pool.contains(tx) {
            pool.push(Rc::clone(tx));
        }
    }

    /// Drops what was done, or cannot be done any more.
    fn clean_pool(&mut self, node: usize) {
        let tip = Rc::clone(&self.nodes[node].disk.tip);
        self.nodes[node].memory.pool.retain(|tx| {
            let is_new = tip
                .state
                .account(&tx.sender())
                .is_ok_and(|account| account.nonce <= tx.body.nonce);
            let is_open = match &tx.body.action {
                Action::Evidence { found } => tip
                    .state
                    .delegate(&found.delegate.address())
                    .is_ok_and(|held| held.is_some_and(|held| held.standing != Standing::Tombstoned)),
                _ => true,
            };
            is_new && is_open
        });
    }
}

/// What the engine is told of a block that came.
fn proposed(
    (height, round): (u64, u32),
    proposer: &PublicKey,
    header: Hash,
    validity: Validity,
) -> ProposedValue<Chain> {
    ProposedValue {
        height: Height(height),
        round: Round::new(round),
        valid_round: Round::Nil,
        proposer: Address(proposer.address()),
        value: Value(header),
        validity,
    }
}
