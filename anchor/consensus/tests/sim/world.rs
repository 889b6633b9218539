//! A whole network in virtual time. One thread; whatever happens is an event with a time, and those of one time happen in
//! the order in which they were planned: a run follows from its plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::rc::Rc;

use arc_malachitebft_core_consensus::{Input, LivenessMsg, LocallyProposedValue, SignedConsensusMsg};
use arc_malachitebft_core_types::Round;
use consensus::{Chain, Height, Part, Value};
use ledger::{Certificate, Hash, State as _, Tx};

use crate::book::{After, Book};
use crate::cast::Cast;
use crate::checks::{Checks, Report};
use crate::network::{Micros, Network, SECOND};
use crate::node::{Node, Todo};
use crate::notary::Notary;
use crate::plan::{Kind, Plan};
use crate::random::Random;

/// How long a node waits before it looks whether others are ahead.
const LOOK_EVERY: Micros = SECOND;
/// Blocks in one answer to a node that is behind.
const OFFER_MAX: u64 = 20;
/// Blocks after the end of all faults after which nobody may be behind.
const CATCH_UP_WITHIN: u64 = 200;
/// Events after which a run is given up: none comes near.
const EVENTS_MAX: u64 = 200_000_000;

/// What nodes send each other.
pub enum Message {
    Consensus(SignedConsensusMsg<Chain>),
    Liveness(LivenessMsg<Chain>),
    Part(Part, Hash),
    Tx(Rc<Tx>),
    /// "I want to go on from this height."
    Ask(u64),
    /// "I have the blocks from the height that you want to this one."
    Offer(u64, u64),
}

pub enum Event {
    Deliver {
        to: usize,
        life: u32,
        from: usize,
        message: Rc<Message>,
    },
    Timer {
        node: usize,
        life: u32,
        id: u64,
    },
    /// A block that a node has made is ready.
    Built {
        node: usize,
        life: u32,
        part: Part,
        header: Hash,
    },
    Look {
        node: usize,
        life: u32,
    },
    Wake(usize),
    Crash,
    Part,
    Heal,
    Person,
    Second,
}

struct Planned {
    at: Micros,
    number: u64,
    event: Event,
}

pub struct World {
    pub plan: Plan,
    pub cast: Rc<Cast>,
    pub book: Book,
    pub notary: Notary,
    pub network: Network,
    pub nodes: Vec<Node>,
    pub random: Random,
    pub now: Micros,
    pub checks: Checks,
    /// Decided blocks with a certificate, by height.
    pub decided: BTreeMap<u64, (Rc<After>, Rc<Certificate>)>,
    /// Two blocks of one proposer, by height and round.
    pub twins: BTreeMap<(u64, u32), [Hash; 2]>,
    /// Faults are over since this height.
    pub calm: Option<u64>,
    pub calm_since: Option<Micros>,
    events: BinaryHeap<Reverse<Planned>>,
    number: u64,
    /// Nodes that are down until the faults end.
    pub dead: BTreeSet<usize>,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// Runs a world to its end, and says what it saw.
///
/// # Errors
/// What did not hold, and the seed.
pub fn run(plan: &Plan) -> Result<Report, String> {
    let mut world = World::new(plan);
    world.go().map_err(|broken| {
        format!(
            "seed {}, {:?}, {} seats: {broken}",
            plan.seed, plan.kind, plan.seats
        )
    })?;
    Ok(world.report())
}

impl World {
    fn new(plan: &Plan) -> Self {
        let cast = Rc::new(Cast::new(plan));
        let book = Book::new(Rc::clone(&cast));
        let begin = book.begin();
        let count = cast.players.len();
        let mut world = Self {
            nodes: (0..count).map(|_| Node::new(Rc::clone(&begin))).collect(),
            notary: Notary::new(&cast.genesis.chain_id),
            network: Network::new(plan.seed, count, plan.jitter_ms, plan.slow_ms, plan.loss_percent),
            random: Random::new(plan.seed ^ 0xd0),
            now: 0,
            checks: Checks::new(&begin),
            decided: BTreeMap::new(),
            twins: BTreeMap::new(),
            calm: None,
            calm_since: None,
            events: BinaryHeap::new(),
            number: 0,
            dead: BTreeSet::new(),
            plan: plan.clone(),
            cast,
            book,
        };
        world.spoil();
        world.first_events();
        world
    }

    /// Who is evil, dead, or has a wrong clock.
    fn spoil(&mut self) {
        let seated = |world: &Self| -> Vec<usize> {
            let set = world.nodes[0].disk.tip.set.ledger().validators();
            set.iter().map(|v| world.cast.place(&v.address())).collect()
        };
        let seated = seated(self);
        for place in self.random.some(self.plan.equivocators, seated.len()) {
            self.nodes[seated[place]].evil = true;
        }
        let from = self.random.below(seated.len() as u64) as usize;
        for place in from..from + self.plan.dead {
            self.dead.insert(seated[place % seated.len()]);
        }
        for node in &mut self.nodes {
            let skew_ms = self.plan.skew_ms as i64;
            node.ahead_ms = self.random.below(2 * skew_ms as u64 + 1) as i64 - skew_ms;
            if self.plan.skew_ms > 0 {
                node.pace = self.random.within(900, 1_100);
            }
        }
        for place in self.random.some(self.plan.wrong_clocks, seated.len()) {
            let wrong_ms = self.random.within(20_000, 60_000) as i64;
            let sign = if self.random.percent(50) { 1 } else { -1 };
            self.nodes[seated[place]].ahead_ms = sign * wrong_ms;
        }
    }

    fn first_events(&mut self) {
        for node in 0..self.nodes.len() {
            let at = self.random.below(SECOND);
            if !self.dead.contains(&node) {
                self.plan_at(at, Event::Wake(node));
            }
        }
        let plan = self.plan.clone();
        if plan.partition_s > 0 {
            self.plan_at(plan.partition_s * SECOND / 2, Event::Part);
        }
        if plan.crash_s > 0 {
            self.plan_at(plan.crash_s * SECOND / 2, Event::Crash);
        }
        self.plan_at(SECOND, Event::Second);
        self.plan_at(plan.block_time_ms * 3_000, Event::Person);
    }

    /// Until faults are over, and all that must have come of them has.
    fn go(&mut self) -> Result<(), String> {
        for _ in 0..EVENTS_MAX {
            let Some(Reverse(next)) = self.events.pop() else {
                return Err("nothing happens any more".into());
            };
            self.now = next.at;
            self.happen(next.event);
            if let Some(broken) = self.checks.broken.take() {
                let (height, seconds) = (self.checks.height, self.now / SECOND);
                return Err(format!("at height {height}, after {seconds} s: {broken}"));
            }
            if self.calm.is_none() && self.checks.height >= self.plan.heights {
                self.become_calm();
            }
            if self.is_over() {
                return self.last_checks();
            }
            if self
                .calm
                .is_some_and(|calm| self.checks.height > calm + CATCH_UP_WITHIN)
            {
                return Err(self.who_is_behind());
            }
        }
        Err("it does not end".into())
    }

    pub fn plan_at(&mut self, at: Micros, event: Event) {
        self.number += 1;
        let number = self.number;
        self.events.push(Reverse(Planned { at, number, event }));
    }

    pub fn plan_in(&mut self, delay: Micros, event: Event) {
        self.plan_at(self.now + delay, event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Deliver {
                to,
                life,
                from,
                message,
            } => {
                if self.is_alive(to, life) {
                    self.deliver(to, from, &message);
                }
            }
            Event::Timer { node, life, id } => {
                if self.is_alive(node, life) {
                    self.timer(node, id);
                }
            }
            Event::Built {
                node,
                life,
                part,
                header,
            } => {
                if self.is_alive(node, life) {
                    self.propose(node, part, header);
                }
            }
            Event::Look { node, life } => {
                if self.is_alive(node, life) {
                    self.look(node);
                }
            }
            Event::Wake(node) => self.wake(node),
            Event::Crash => self.crash_some(),
            Event::Part => self.part_some(),
            Event::Heal => self.heal(),
            Event::Person => self.person(),
            Event::Second => {
                self.check_progress();
                self.plan_in(SECOND, Event::Second);
            }
        }
    }

    fn is_alive(&self, node: usize, life: u32) -> bool {
        self.nodes[node].is_up && self.nodes[node].life == life
    }

    /// Sends a message to one node.
    pub fn send(&mut self, from: usize, to: usize, message: &Rc<Message>) {
        let Some(delay) = self.network.delay(from, to) else {
            return;
        };
        let event = Event::Deliver {
            to,
            life: self.nodes[to].life,
            from,
            message: Rc::clone(message),
        };
        self.plan_in(delay, event);
    }

    pub fn broadcast(&mut self, from: usize, message: Message) {
        let message = Rc::new(message);
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.send(from, to, &message);
        }
    }

    fn deliver(&mut self, to: usize, from: usize, message: &Message) {
        match message {
            Message::Consensus(SignedConsensusMsg::Vote(vote)) => self.input(to, Input::Vote(vote.clone())),
            Message::Consensus(SignedConsensusMsg::Proposal(proposal)) => {
                self.input(to, Input::Proposal(proposal.clone()));
            }
            Message::Liveness(LivenessMsg::Vote(vote)) => self.input(to, Input::Vote(vote.clone())),
            Message::Liveness(LivenessMsg::PolkaCertificate(found)) => {
                self.input(to, Input::PolkaCertificate(found.clone()));
            }
            Message::Liveness(LivenessMsg::SkipRoundCertificate(found)) => {
                self.input(to, Input::RoundCertificate(found.clone()));
            }
            Message::Part(part, header) => self.receive_part(to, part, header),
            Message::Tx(tx) => self.pool(to, tx),
            Message::Ask(first) => {
                let last = self.nodes[to].height().min(first + OFFER_MAX - 1);
                if last >= *first {
                    self.send(to, from, &Rc::new(Message::Offer(*first, last)));
                }
            }
            Message::Offer(first, last) => {
                self.nodes[to].memory.offered = Some(*first..=*last);
                self.take_offer(to);
                self.work(to);
            }
        }
    }

    pub fn input(&mut self, node: usize, input: Input<Chain>) {
        self.nodes[node].memory.todo.push_back(Todo::Input(input));
        self.work(node);
    }

    fn timer(&mut self, node: usize, id: u64) {
        let timers = &mut self.nodes[node].memory.timers;
        if let Some(place) = timers.iter().position(|timer| timer.1 == id) {
            let (timeout, _) = timers.remove(place);
            self.input(node, Input::TimeoutElapsed(timeout));
        }
    }

    /// Proposes a block that is ready, and sends it.
    fn propose(&mut self, node: usize, part: Part, header: Hash) {
        let value = LocallyProposedValue::new(Height(part.height), Round::new(part.round), Value(header));
        self.send_part(node, part, header);
        self.input(node, Input::Propose(value));
    }

    /// Asks somebody for blocks, if none was decided here since the last time.
    fn look(&mut self, node: usize) {
        let height = self.nodes[node].height();
        let peer = self.random.below(self.nodes.len() as u64) as usize;
        if self.nodes[node].memory.looked_at == height && peer != node {
            self.send(node, peer, &Rc::new(Message::Ask(height + 1)));
        }
        self.nodes[node].memory.looked_at = height;
        let life = self.nodes[node].life;
        self.plan_in(LOOK_EVERY, Event::Look { node, life });
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].is_up {
            return;
        }
        let address = self.cast.players[node].address;
        self.nodes[node].wake(address);
        let life = self.nodes[node].life;
        self.plan_in(LOOK_EVERY, Event::Look { node, life });
        self.work(node);
    }

    pub fn crash(&mut self, node: usize) {
        let kept = match self.random.percent(50) {
            true => usize::MAX,
            false => self.random.below(8) as usize,
        };
        self.nodes[node].crash(kept);
        self.checks.forgets(node);
        let until = self.random.within(SECOND, 40 * SECOND);
        if !self.dead.contains(&node) {
            self.plan_in(until, Event::Wake(node));
        }
    }

    /// Some node crashes: now, or in the middle of what it does next.
    fn crash_some(&mut self) {
        if self.calm.is_some() {
            return;
        }
        let count = if self.plan.beyond && self.random.percent(20) {
            self.nodes.len()
        } else {
            1
        };
        for node in self.random.some(count, self.nodes.len()) {
            if self.nodes[node].is_up && (self.plan.beyond || self.can_lose(node)) {
                self.checks.report.crashes += 1;
                match self.random.percent(30) {
                    true => self.crash(node),
                    false => self.nodes[node].memory.crash_in = Some(self.random.below(60) as u32),
                }
            }
        }
        let next = self.plan.crash_s * self.random.within(SECOND / 2, 2 * SECOND);
        self.plan_in(next, Event::Crash);
    }

    /// Cuts the network in two, for a while.
    fn part_some(&mut self) {
        if self.calm.is_some() {
            return;
        }
        let count = self.nodes.len();
        let most = if self.plan.beyond { count / 2 } else { count / 4 };
        let size = self.random.within(1, most.max(1) as u64) as usize;
        for node in self.random.some(size, count) {
            if self.plan.beyond || self.can_lose(node) {
                self.network.groups[node] = 1;
            }
        }
        self.checks.report.partitions += 1;
        let wide = self.random.within(SECOND / 5, 2 * SECOND);
        self.plan_in(self.plan.partition_s * wide, Event::Heal);
    }

    fn heal(&mut self) {
        self.network.groups.fill(0);
        let next = self.plan.partition_s * self.random.within(SECOND / 2, 2 * SECOND);
        self.plan_in(next, Event::Part);
    }

    /// Whether more than two thirds of the seats are still well without this one too.
    fn can_lose(&self, node: usize) -> bool {
        let Some(tip) = self.decided.last_key_value().map(|(_, (tip, _))| tip) else {
            return false;
        };
        // A transaction that changes the set may be on its way: both sets count.
        let set = tip.set.ledger();
        self.well_power(tip, Some(node)) >= set.quorum()
    }

    /// The power of seats that are honest, up, and hear each other.
    pub fn well_power(&self, tip: &After, without: Option<usize>) -> u64 {
        let mut power = [0u64; 2];
        for seat in tip.set.ledger().validators() {
            let node = self.cast.place(&seat.address());
            if Some(node) != without && self.is_well(node) {
                power[usize::from(self.network.groups[node])] += seat.power;
            }
        }
        power[0].max(power[1])
    }

    pub fn is_well(&self, node: usize) -> bool {
        let found = &self.nodes[node];
        found.is_up && !found.evil && found.memory.crash_in.is_none() && found.ahead_ms.abs() <= 5_000
    }

    /// Faults end: what was cut off or down comes back, and nobody is evil any more.
    fn become_calm(&mut self) {
        (self.calm, self.calm_since) = (Some(self.checks.height), Some(self.now));
        self.network.calm();
        self.dead.clear();
        for node in 0..self.nodes.len() {
            self.nodes[node].memory.crash_in = None;
            if !self.nodes[node].is_up {
                self.wake(node);
            }
        }
    }

    /// All have heard of everything, a while after faults have ended.
    fn is_over(&self) -> bool {
        let Some(calm) = self.calm else {
            return false;
        };
        let last = calm + self.punish_within() + 3;
        self.nodes
            .iter()
            .all(|node| node.ahead_ms.abs() > 5_000 || node.height() >= last)
    }

    fn who_is_behind(&self) -> String {
        let behind = |node: &&Node| node.height() + 2 < self.checks.height && node.ahead_ms.abs() <= 5_000;
        let nodes = self.nodes.iter().filter(behind);
        let nodes: Vec<_> = nodes.map(|node| (node.height(), node.is_up, node.life)).collect();
        format!("nodes are behind long after all faults (height, up, life): {nodes:?}")
    }

    /// The first blocks after which an equivocation that an honest node saw must be punished: its proof goes to all, and
    /// of two times as many proposers as there are equivocators, and some more, one is honest and takes it.
    pub fn punish_within(&self) -> u64 {
        2 * self.plan.equivocators as u64 + 6
    }

    /// Somebody votes, or takes a vote back, or pays somebody.
    fn person(&mut self) {
        self.plan_in(self.plan.block_time_ms * 2_000, Event::Person);
        let Some((tip, _)) = self.decided.last_key_value().map(|(_, found)| found) else {
            return;
        };
        let tip = Rc::clone(tip);
        let cast = Rc::clone(&self.cast);
        let key = self.random.pick(&cast.people);
        let to = self.random.pick(&cast.players).address;
        let amount = crate::cast::coins(self.random.within(1, 500));
        let action = match self.random.below(8) {
            0 => ledger::Action::Transfer { to, amount },
            1 | 2 => ledger::Action::Unvote { delegate: to, amount },
            3 => ledger::Action::VoteCollect { delegate: to },
            _ => ledger::Action::Vote { delegate: to, amount },
        };
        let nonce = tip
            .state
            .account(&key.address())
            .map_or(0, |account| account.nonce);
        let tx = Rc::new(self.notary.tx(&cast.genesis, key, nonce, action));
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_up {
                self.pool(node, &tx);
            }
        }
    }
}

/// Whether a delegate that is up and not cut off has no excuse for a missed turn: messages and clocks are as they should be.
pub fn is_gentle(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Calm | Kind::Partition | Kind::Crash | Kind::Equivocation | Kind::Dead
    )
}
