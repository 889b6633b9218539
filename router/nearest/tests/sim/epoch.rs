//! An epoch of ten minutes: judges watch the edges that were drawn for them, some are ill, some lie, a part of the world is
//! cut off for a while, and in the end the quorum speaks.

use std::collections::BTreeSet;

use nearest::ladder::{Event, Standing};
use nearest::liveness::is_ill;
use nearest::measure::{Outcome, Peer};
use nearest::quorum::{Judgement, Operator, Statement, Tally, judge, judges};

use crate::random::Random;
use crate::router::SECOND;
use crate::world::World;

/// How often a judge asks.
const EVERY_US: u64 = 10 * SECOND;
const TICKS: u64 = 80;
/// From here on looks count.
const BEGINS: u64 = 20;
/// When a part of the world is cut off.
const CUT_OFF: std::ops::Range<u64> = 40..55;

#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    pub seed: u64,
    /// Operators that say the opposite of what they saw, in percent, rounded down.
    pub liars: usize,
    /// Operators whose own line loses four of five packets or all, in percent.
    pub ill: u32,
    /// Edges that are stopped, in percent.
    pub stopped: u32,
    /// Whether the ill notice.
    pub self_aware: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Verdicts {
    pub honest: u64,
    pub honest_out: u64,
    pub stopped: u64,
    pub stopped_out: u64,
}

/// An edge as one of its judges sees it.
struct Case {
    edge: usize,
    peer: Peer,
    standing: Standing,
    tally: Tally,
}

struct Judge {
    operator: u32,
    cut_off: bool,
    loses: u32,
    lies: bool,
    cases: Vec<Case>,
}

impl Epoch {
    pub fn go(&self, world: &World) -> Verdicts {
        let mut random = Random::new(self.seed ^ 0x0065_706f);
        let stopped: Vec<bool> = world.nodes.iter().map(|_| random.percent(self.stopped)).collect();
        let drawn = self.draw(world);
        let mut bench = self.bench(world, &drawn, &mut random);
        for tick in 0..TICKS {
            for judge in &mut bench {
                judge.look(world, &stopped, tick, self.self_aware, &mut random);
            }
        }
        let mut verdicts = Verdicts::default();
        for (edge, judges) in drawn.iter().enumerate() {
            let statements: Vec<Statement> = bench.iter().filter_map(|judge| judge.says(edge)).collect();
            let is_out = judge(judges, &statements) == Judgement::Failed;
            verdicts.count(stopped[edge], is_out);
        }
        verdicts
    }

    /// The judges of each edge.
    fn draw(&self, world: &World) -> Vec<Vec<Operator>> {
        let operators: BTreeSet<u32> = world.nodes.iter().map(|node| node.operator).collect();
        let all: Vec<Operator> = operators.into_iter().map(key).collect();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        let drawn = |node: &crate::world::Node| judges(&seed, &node.id, &key(node.operator), &all);
        world.nodes.iter().map(drawn).collect()
    }

    fn bench(&self, world: &World, drawn: &[Vec<Operator>], random: &mut Random) -> Vec<Judge> {
        let operators: BTreeSet<u32> = world.nodes.iter().map(|node| node.operator).collect();
        let most = operators.len() * self.liars / 100;
        let mut shuffled: Vec<u32> = operators.iter().copied().collect();
        shuffled.sort_by_key(|operator| nearest::rendezvous::mix(self.seed ^ u64::from(*operator)));
        let liars: BTreeSet<u32> = shuffled.into_iter().take(most).collect();
        let cases = |operator: u32| {
            let mine = drawn
                .iter()
                .enumerate()
                .filter(move |(_, judges)| judges.contains(&key(operator)));
            let case = |(edge, _): (usize, &Vec<Operator>)| Case {
                edge,
                peer: Peer::new(EVERY_US),
                standing: Standing::Serving,
                tally: Tally::default(),
            };
            mine.map(case).collect()
        };
        let judge = |operator: &u32| Judge {
            operator: *operator,
            cut_off: is_cut_off(*operator),
            loses: match random.below(200) {
                drawn if drawn < u64::from(self.ill) => 80,
                drawn if drawn < u64::from(self.ill) * 2 => 100,
                _ => 3,
            },
            lies: liars.contains(operator),
            cases: cases(*operator),
        };
        operators.iter().map(judge).collect()
    }
}

impl Judge {
    /// Asks all of its edges once.
    fn look(&mut self, world: &World, stopped: &[bool], tick: u64, self_aware: bool, random: &mut Random) {
        let now = tick * EVERY_US;
        for case in &mut self.cases {
            let parted =
                CUT_OFF.contains(&tick) && self.cut_off != is_cut_off(world.nodes[case.edge].operator);
            let answered = !stopped[case.edge] && !parted && !random.percent(self.loses);
            if answered {
                case.peer.note(&Outcome::default(), now + random.below(200_000));
            }
            let event = if answered { Event::Answered } else { Event::Failed };
            case.standing = case.standing.after(event, now);
        }
        let now = now + EVERY_US / 2;
        let suspect = self.cases.iter().filter(|case| case.peer.is_suspect(now)).count();
        let ill = self_aware && is_ill(suspect, self.cases.len());
        for case in &mut self.cases {
            let (phi_milli, errors_permille) = (case.peer.phi_milli(now), case.peer.errors_permille(now));
            let looked = Event::Looked {
                phi_milli,
                errors_permille,
                ill,
            };
            case.standing = case.standing.after(looked, now);
            if tick >= BEGINS && !ill {
                case.tally
                    .note(case.standing.may_accuse(phi_milli, errors_permille, ill));
            }
        }
    }

    fn says(&self, edge: usize) -> Option<Statement> {
        let case = self.cases.iter().find(|case| case.edge == edge)?;
        let failed = case.tally.failed();
        let said = if self.lies {
            Some(failed != Some(true))
        } else {
            failed
        };
        said.map(|failed| Statement {
            judge: key(self.operator),
            failed,
        })
    }
}

impl Verdicts {
    fn count(&mut self, stopped: bool, is_out: bool) {
        let (all, out) = match stopped {
            true => (&mut self.stopped, &mut self.stopped_out),
            false => (&mut self.honest, &mut self.honest_out),
        };
        *all += 1;
        *out += u64::from(is_out);
    }

    pub fn add(&mut self, other: &Self) {
        self.honest += other.honest;
        self.honest_out += other.honest_out;
        self.stopped += other.stopped;
        self.stopped_out += other.stopped_out;
    }
}

/// A third of the operators is cut off from the others.
fn is_cut_off(operator: u32) -> bool {
    operator.is_multiple_of(3)
}

fn key(operator: u32) -> Operator {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&operator.to_be_bytes());
    key
}
