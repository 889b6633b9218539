//! A node: the engine's core, what is on its disk, and what it forgets in a crash.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::rc::Rc;

use arc_malachitebft_core_consensus::{Input, Params, State, ValuePayload};
use arc_malachitebft_core_types::Timeout;
use arc_malachitebft_metrics::Metrics;
use consensus::{Address, Chain, Height, Part};
use ledger::{Equivocation, Hash, Tx};

use crate::book::After;
use crate::disk::Disk;
use crate::network::Micros;

/// Inputs that the core keeps for heights to come, and for one of them.
const QUEUE_HEIGHTS: usize = 16;
const QUEUE_PER_HEIGHT: usize = 4_096;

/// What a node has to do next, before it hears of anything else.
pub enum Todo {
    Input(Input<Chain>),
    /// Starts the height after the tip.
    Start,
}

/// A proof that this node has and the ledger may lack.
pub struct Seen {
    pub found: Equivocation,
    /// Blocks that this node has voted on since.
    pub blocks: u64,
}

pub struct Node {
    /// None while it is down, and while it works.
    pub core: Option<State<Chain>>,
    pub is_up: bool,
    /// The core wants them for itself, in each life.
    pub metrics: Metrics,
    /// How many times it was started: what was meant for an earlier life is lost.
    pub life: u32,
    pub disk: Disk,
    pub memory: Memory,
    /// It signs whatever serves it.
    pub evil: bool,
    /// Milliseconds that its clock is ahead.
    pub ahead_ms: i64,
    /// How long its seconds are, in thousandths of one.
    pub pace: u64,
    /// The last height of whose log something was lost.
    pub lost_log: u64,
    /// The last height at which it was down, cut off or behind.
    pub troubled: u64,
}

/// What is forgotten in a crash.
#[derive(Default)]
pub struct Memory {
    pub todo: VecDeque<Todo>,
    pub round: u32,
    /// Parts that came a height too early.
    pub parked: Vec<(Part, Hash)>,
    /// Blocks found invalid, by round.
    pub invalid: BTreeMap<u32, usize>,
    pub timers: Vec<(Timeout, u64)>,
    pub pool: Vec<Rc<Tx>>,
    pub evidence: BTreeMap<ledger::Address, Seen>,
    /// The height that it is at, and since when.
    pub height: u64,
    pub started: Micros,
    /// How long the height takes from then on.
    pub target: Micros,
    /// How long after that the block of the first proposer came.
    pub late: Option<Micros>,
    /// Heights that a peer has offered.
    pub offered: Option<RangeInclusive<u64>>,
    /// The tip when it was last looked whether others are ahead.
    pub looked_at: u64,
    pub recovering: bool,
    /// The decision of the tip came from a peer.
    pub synced: bool,
    /// The height at which the last own transaction was sent, and its nonce.
    pub sent: Option<(u64, u64)>,
    /// It crashes after so many more effects.
    pub crash_in: Option<u32>,
    pub dying: bool,
}

impl Node {
    pub fn new(tip: Rc<After>) -> Self {
        Self {
            core: None,
            is_up: false,
            metrics: Metrics::new(),
            life: 0,
            disk: Disk::new(tip),
            memory: Memory::default(),
            evil: false,
            ahead_ms: 0,
            pace: 1_000,
            lost_log: 0,
            troubled: 0,
        }
    }

    pub fn height(&self) -> u64 {
        self.disk.tip.height
    }

    /// A new core at the height after the tip.
    pub fn wake(&mut self, address: ledger::Address) {
        let params = Params {
            address: Address(address),
            threshold_params: Default::default(),
            value_payload: ValuePayload::ProposalAndParts,
            enabled: true,
        };
        let height = Height(self.height() + 1);
        let set = self.disk.tip.set.clone();
        let core = State::new(Chain, height, set, params, QUEUE_HEIGHTS, QUEUE_PER_HEIGHT);
        self.life += 1;
        self.metrics = Metrics::new();
        self.core = Some(core);
        self.is_up = true;
        self.memory = Memory::default();
        self.memory.todo.push_back(Todo::Start);
    }

    /// Forgets everything that is not on disk, of the log all but `kept` of the entries that were not synced.
    pub fn crash(&mut self, kept: usize) {
        if self.disk.wal.lose(kept) {
            self.lost_log = self.height() + 1;
        }
        self.core = None;
        self.is_up = false;
        self.memory = Memory::default();
    }

    /// Milliseconds since 1970, as this node believes.
    pub fn clock_ms(&self, now: Micros) -> u64 {
        (crate::cast::BEGIN_MS + now / 1_000).saturating_add_signed(self.ahead_ms)
    }
}
