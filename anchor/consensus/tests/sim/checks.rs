//! What must always hold, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ledger::{Amount, Certificate, Standing, State as _, audit};

use crate::book::After;
use crate::network::{Micros, SECOND};
use crate::world::{World, is_gentle};

/// What a run saw.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub blocks: u64,
    /// Rounds of delegates.
    pub rounds: u64,
    /// Rounds of the engine that ended without a block.
    pub attempts: u64,
    /// Those who signed two things.
    pub equivocated: u64,
    /// Those of them who were seen by an honest node that went on.
    pub seen: u64,
    pub tombstoned: u64,
    pub jailed: u64,
    /// Those of them who were honest and there for the whole round: equivocators can do that.
    pub driven_out: u64,
    pub returned: u64,
    /// Delegates who had a seat some time and not from the beginning.
    pub elected: u64,
    pub crashes: u64,
    pub replays: u64,
    /// Signatures that a journal did not allow, after a log had lost its end.
    pub withheld: u64,
    pub partitions: u64,
    /// Blocks that nodes got from peers.
    pub synced: u64,
    /// The longest wait for a block while more than two thirds were well, in microseconds of virtual time.
    pub worst: Micros,
}

/// What has been seen so far.
pub struct Checks {
    pub broken: Option<String>,
    pub report: Report,
    pub timers: u64,
    /// The highest block that anybody has decided.
    pub height: u64,
    /// When that was.
    decided: Micros,
    /// Since when more than two thirds have been well; none while they are not.
    well: Option<Micros>,
    before: Rc<After>,
    /// Nodes that have sent two votes.
    pub equivocated: BTreeSet<usize>,
    /// Who was seen by whom; who saw it forgets it in a crash.
    seen: BTreeMap<usize, BTreeSet<usize>>,
    elected: BTreeSet<usize>,
}

impl Report {
    pub fn add(&mut self, other: &Report) {
        self.blocks += other.blocks;
        self.rounds += other.rounds;
        self.attempts += other.attempts;
        self.equivocated += other.equivocated;
        self.seen += other.seen;
        self.tombstoned += other.tombstoned;
        self.jailed += other.jailed;
        self.driven_out += other.driven_out;
        self.returned += other.returned;
        self.elected += other.elected;
        self.crashes += other.crashes;
        self.replays += other.replays;
        self.withheld += other.withheld;
        self.partitions += other.partitions;
        self.synced += other.synced;
        self.worst = self.worst.max(other.worst);
    }
}

impl Checks {
    pub fn new(begin: &Rc<After>) -> Self {
        Self {
            broken: None,
            report: Report::default(),
            timers: 0,
            height: 0,
            decided: 0,
            well: None,
            before: Rc::clone(begin),
            equivocated: BTreeSet::new(),
            seen: BTreeMap::new(),
            elected: BTreeSet::new(),
        }
    }

    /// The first fault is the one that counts.
    pub fn fail(&mut self, fault: String) {
        self.broken.get_or_insert(fault);
    }

    pub fn saw(&mut self, by: usize, who: usize) {
        self.seen.entry(who).or_default().insert(by);
    }

    pub fn forgets(&mut self, node: usize) {
        for by in self.seen.values_mut() {
            by.remove(&node);
        }
    }
}

impl World {
    /// A node has decided: what others have decided there is the same.
    pub fn check_decision(&mut self, node: usize, after: &Rc<After>, certificate: Certificate) {
        if let Some((first, _)) = self.decided.get(&after.height) {
            if first.id != after.id {
                let height = after.height;
                self.checks.fail(format!(
                    "node {node} decides another block of height {height} than others did"
                ));
            }
            return;
        }
        if !self.notary.certificate(&certificate, &after.voted) {
            self.checks
                .fail(format!("the certificate of node {node} does not verify"));
        }
        self.checks.report.attempts += u64::from(certificate.round);
        let found = (Rc::clone(after), Rc::new(certificate));
        self.decided.insert(after.height, found);
        self.check_block(after);
        self.notary.forget();
        self.twins.retain(|(height, _), _| *height + 2 > after.height);
    }

    /// The first node has decided a block.
    fn check_block(&mut self, after: &Rc<After>) {
        let begun = self.checks.well.map(|well| well.max(self.checks.decided));
        if let Some(begun) = begun {
            let worst = &mut self.checks.report.worst;
            *worst = (*worst).max(self.now - begun);
        }
        (self.checks.height, self.checks.decided) = (after.height, self.now);
        self.checks.report.blocks += 1;
        match audit(after.state.0.clone(), &self.cast.genesis) {
            Ok(found) if found.holds() => {}
            found => self.checks.fail(format!("coins came or went: {found:?}")),
        }
        let before = std::mem::replace(&mut self.checks.before, Rc::clone(after));
        for node in 0..self.nodes.len() {
            self.check_delegate(node, &before, after);
        }
        if before.round.number != after.round.number {
            self.checks.report.rounds += 1;
            let seats = after.set.ledger().validators().iter();
            let first = &self.cast.genesis.delegates;
            let new = seats.filter(|seat| !first.iter().any(|known| known.key == seat.key));
            let new: Vec<usize> = new.map(|seat| self.cast.place(&seat.address())).collect();
            self.checks.elected.extend(new);
        }
        self.note_troubles(after.height);
    }

    /// Nobody honest loses coins or its seat; an equivocator may.
    fn check_delegate(&mut self, node: usize, before: &After, after: &After) {
        let address = self.cast.players[node].address;
        let held = |state: &After| state.state.delegate(&address).ok().flatten();
        let Some(now) = held(after) else {
            return;
        };
        let (standing, own) =
            held(before).map_or((Standing::Candidate, Amount::ZERO), |d| (d.standing, d.own));
        let is_honest = !self.nodes[node].evil;
        if is_honest && (now.standing == Standing::Tombstoned || now.own < own) {
            self.checks
                .fail(format!("node {node} is honest and was punished"));
        }
        match (standing, now.standing) {
            (Standing::Candidate, Standing::Jailed { .. }) => {
                self.checks.report.jailed += 1;
                self.check_jailed(node, before);
            }
            (Standing::Jailed { .. }, Standing::Candidate) => self.checks.report.returned += 1,
            (Standing::Tombstoned, Standing::Tombstoned) => {}
            (_, Standing::Tombstoned) => self.checks.report.tombstoned += 1,
            _ => {}
        }
    }

    /// Nobody who was there for the whole round is in jail; except by equivocators, who can bring that about as long as they sit:
    /// who hears of their second block votes for no other, their certificates show as few signatures as they may, and who
    /// decides late because of them is late for the next proposer.
    fn check_jailed(&mut self, node: usize, before: &After) {
        let round = &before.round;
        let well = self.nodes[node].troubled < round.first;
        if self.nodes[node].evil || !well || !is_gentle(self.plan.kind) {
            return;
        }
        if self.plan.equivocators > 0 {
            self.checks.report.driven_out += 1;
            return;
        }
        let fault = format!("node {node} was up for the whole round and is in jail");
        self.checks.fail(format!("{fault}: {:?}", round.turns));
    }

    /// Who is down, cut off or behind at this height, or has nobody to decide with.
    fn note_troubles(&mut self, height: u64) {
        let groups = &self.network.groups;
        let cut = groups.iter().filter(|group| **group == 1).count();
        let small = u8::from(2 * cut <= groups.len());
        let tip = Rc::clone(&self.nodes_tip());
        let halted = self.well_power(&tip, None) < tip.set.ledger().quorum();
        for node in 0..self.nodes.len() {
            let is_cut = cut > 0 && self.network.groups[node] == small;
            let is_behind = self.nodes[node].height() + 1 < height;
            if halted || is_cut || is_behind || !self.is_well(node) {
                self.nodes[node].troubled = height;
            }
        }
    }

    fn nodes_tip(&self) -> Rc<After> {
        Rc::clone(&self.checks.before)
    }

    /// While more than two thirds are well, a block comes within a bounded time.
    pub fn check_progress(&mut self) {
        let tip = self.nodes_tip();
        let set = tip.set.ledger();
        let power = self.well_power(&tip, None);
        if power < set.quorum() {
            self.checks.well = None;
            let height = self.checks.height;
            self.note_troubles(height);
            return self.check_recovery();
        }
        let well = *self.checks.well.get_or_insert(self.now);
        let waited = self.now - well.max(self.checks.decided);
        if waited > self.block_within(set.power() - power) {
            let seconds = waited / SECOND;
            self.checks.fail(format!(
                "no block for {seconds} s, although {power} of {} are well",
                set.power()
            ));
        }
    }

    /// Once all faults are over, nodes that ended themselves must not keep the chain from going on.
    fn check_recovery(&mut self) {
        let Some(since) = self.calm_since else {
            return;
        };
        let waited = self.now - since.max(self.checks.decided);
        let power = self.checks.before.set.ledger().power();
        if waited > 2 * self.block_within(power) {
            self.checks.fail(format!(
                "no block for {} s, although all faults are over",
                waited / SECOND
            ));
        }
    }

    /// The longest wait for a block: each of those who are not well may have a turn, one after the other, and then some more
    /// rounds are lost until those who are well have come together; each takes its longest time.
    fn block_within(&self, unwell: u64) -> Micros {
        let params = consensus::height_params(
            &self.cast.genesis,
            self.checks.before.set.clone(),
            Default::default(),
        );
        let round = 3 * params.timeouts.max_timeout.as_micros() as Micros;
        self.plan.block_time_ms * 1_000 + (unwell + 5) * round
    }

    /// Every equivocator that an honest node saw, and did not forget, is punished.
    pub fn last_checks(&mut self) -> Result<(), String> {
        let tip = self.nodes_tip();
        for (who, by) in self.checks.seen.iter().filter(|(_, by)| !by.is_empty()) {
            let address = self.cast.players[*who].address;
            let delegate = tip.state.delegate(&address).ok().flatten();
            if delegate.is_none_or(|delegate| delegate.standing != Standing::Tombstoned) {
                return Err(format!(
                    "equivocator {who} was seen by nodes {by:?} and is not punished"
                ));
            }
        }
        Ok(())
    }

    pub fn report(&self) -> Report {
        let checks = &self.checks;
        Report {
            equivocated: checks.equivocated.len() as u64,
            seen: checks.seen.values().filter(|by| !by.is_empty()).count() as u64,
            elected: checks.elected.len() as u64,
            ..checks.report.clone()
        }
    }
}
