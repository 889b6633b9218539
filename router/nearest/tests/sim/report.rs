//! What is counted, and how it is shown.

use crate::world::Lie;

/// What a reader got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Got {
    /// Until the first byte; `None`: nothing.
    pub ttfb_us: Option<u64>,
    /// Of that, before the edge was asked that served.
    pub waited_us: u64,
    /// Of that, the way to that edge and back.
    pub rtt_us: u64,
    pub hit: bool,
    /// Stopped nodes that were waited for.
    pub silent: u32,
    /// Questions one after the other until the first byte, and all that were sent.
    pub hops: u64,
    pub messages: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    ttfb_us: Vec<u32>,
    /// Of those whose times were forgotten.
    answered: u64,
    hits: u64,
    pub unanswered: u64,
    silent: u64,
    waited_us: u64,
    rtt_us: u64,
    hops: u64,
    messages: u64,
    /// Probes that the routers sent meanwhile.
    pub probes: u64,
    /// The highest load of an honest edge at which a request came, in thousandths of its capacity.
    pub peak: u64,
    /// Requests that came to an honest edge at its capacity: turned away by ours, queued by the others.
    pub over: u64,
    /// Of those that ours turned away: when nobody anywhere was below three quarters.
    none_had_room: u64,
    /// How long after it stopped an edge was still among the first three of an answer.
    pub stopped_named_us: u64,
}

impl Counts {
    pub fn note(&mut self, got: Got) {
        match got.ttfb_us {
            Some(ttfb_us) => self.ttfb_us.push(ttfb_us as u32),
            None => self.unanswered += 1,
        }
        self.hits += u64::from(got.hit);
        self.silent += u64::from(got.silent);
        self.waited_us += got.waited_us;
        self.rtt_us += got.rtt_us;
        self.hops += got.hops;
        self.messages += got.messages;
    }

    pub fn load(&mut self, load: u64, lie: Lie) {
        if lie == Lie::None {
            self.peak = self.peak.max(load);
            self.over += u64::from(load >= 1_000);
        }
    }

    /// An edge turned a reader away; `unavoidable` if nobody anywhere had room.
    pub fn refused(&mut self, lie: Lie, unavoidable: bool) {
        self.none_had_room += u64::from(lie == Lie::None && unavoidable);
    }

    pub fn requests(&self) -> u64 {
        self.ttfb_us.len() as u64 + self.answered + self.unanswered
    }

    pub fn mean_us(&self) -> u64 {
        let sum: u64 = self.ttfb_us.iter().map(|us| u64::from(*us)).sum();
        sum / (self.ttfb_us.len() as u64).max(1)
    }

    pub fn p95_us(&self) -> u32 {
        let mut sorted = self.ttfb_us.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(0)
    }

    /// In the order in which they were asked.
    pub fn times_us(&self) -> &[u32] {
        &self.ttfb_us
    }

    /// For sums over very many seeds: only the number of answers is kept of the times.
    pub fn forget_times(mut self) -> Self {
        self.answered = self.ttfb_us.len() as u64;
        self.ttfb_us = Vec::new();
        self
    }

    pub fn add(&mut self, other: &Self) {
        self.ttfb_us.extend(&other.ttfb_us);
        self.answered += other.answered;
        self.hits += other.hits;
        self.unanswered += other.unanswered;
        self.silent += other.silent;
        self.waited_us += other.waited_us;
        self.rtt_us += other.rtt_us;
        self.hops += other.hops;
        self.messages += other.messages;
        self.probes += other.probes;
        self.none_had_room += other.none_had_room;
        self.peak = self.peak.max(other.peak);
        self.over += other.over;
        self.stopped_named_us = self.stopped_named_us.max(other.stopped_named_us);
    }
}

pub const HEAD: &str = "| policy | requests | mean ms | p95 ms | × oracle | way ms | waited ms | hits | peak load | over | of them unavoidable | nothing | to stopped | stopped in answers s | hops | messages | probes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// `way` and `waited` are parts of the mean; `hops`, `messages` and `probes` are for each request.
pub fn row(name: &str, counts: &Counts, oracle: &Counts) -> String {
    let requests = counts.requests().max(1);
    let each = |sum: u64| sum as f64 / requests as f64;
    format!(
        "| {name} | {requests} | {:.1} | {:.1} | {:.2} | {:.1} | {:.1} | {:.2} | {:.2} | {} | {} | {} | {} | {:.1} | {:.2} | {:.2} | {:.1} |",
        counts.mean_us() as f64 / 1e3,
        f64::from(counts.p95_us()) / 1e3,
        counts.mean_us() as f64 / oracle.mean_us().max(1) as f64,
        each(counts.rtt_us) / 1e3,
        each(counts.waited_us) / 1e3,
        each(counts.hits),
        counts.peak as f64 / 1e3,
        counts.over,
        counts.none_had_room,
        counts.unanswered,
        counts.silent,
        counts.stopped_named_us as f64 / 1e6,
        each(counts.hops),
        each(counts.messages),
        each(counts.probes),
    )
}
