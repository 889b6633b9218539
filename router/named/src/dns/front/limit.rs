//! Response-rate limiting: nobody who is sent answers in another's name gets more than so many a second.
//!
//! A forged question makes us send to its victim. So answers are counted by the network that they go to (the /24 of an IPv4
//! address, the /56 of an IPv6 address) and by their sort, and what is above the rate is dropped; but every second of these
//! goes as an empty reply with TC, no longer than its question, so that a resolver which is in fact there comes again over TCP. Who
//! comes over TCP, or shows a cookie that we gave to its address, is there, and is not counted.
//!
//! Without the limit a question of 38 bytes brings an answer of 1,179, thirty-one times as much. With that of the defaults a
//! burst of 20,000 such questions from one network brings it 0.84 bytes for each byte in (`tests/it/rate.rs` measures both):
//! 200 whole answers at once and in each second, up to which nothing is held back, and half a question for each one above.

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nearest::{Cells, Network, Prefix, Rate};

/// What is counted apart, so that a flood of one does not take away the others (NSD and BIND do alike).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sort {
    /// Records.
    Answer,
    /// No such name, or no such record.
    Absence,
    /// Refusals and other errors.
    Error,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Send,
    /// It goes without records, and with TC.
    Slip,
    /// It does not go.
    Drop,
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Answers of each sort to each network in a second; 0: as many as there are questions.
    pub per_second: u64,
    /// Of those above the rate, each so many-th goes with TC; 0: none does, 1: all do.
    pub slip: u32,
    /// Networks that are not counted.
    pub uncounted: Vec<Network>,
}

impl Default for RateLimit {
    /// As NSD has it: 200 a second, every second one above it with TC. Who is on this machine is not counted.
    fn default() -> Self {
        Self {
            per_second: 200,
            slip: 2,
            uncounted: Network::loopback(),
        }
    }
}

/// Counts answers.
#[derive(Debug)]
pub struct Limiter {
    rate: Option<Rate>,
    keys: RandomState,
    slip: u32,
    over: AtomicU32,
    uncounted: Vec<Network>,
}

impl Limiter {
    /// With a second's worth at once.
    #[must_use]
    pub fn new(settings: &RateLimit) -> Self {
        let rate = settings.per_second;
        Self {
            rate: (rate > 0).then(|| Rate::new(rate, rate)),
            keys: RandomState::new(),
            slip: settings.slip,
            over: AtomicU32::new(0),
            uncounted: settings.uncounted.clone(),
        }
    }

    /// Whether an answer of this sort may go to `client` at `now`, nanoseconds since any fixed moment.
    pub fn judge(&self, client: IpAddr, sort: Sort, now: u64) -> Verdict {
        let Some(rate) = &self.rate else {
            return Verdict::Send;
        };
        if self.uncounted.iter().any(|network| network.contains(client)) {
            return Verdict::Send;
        }
        let cells = Cells::of(&(Prefix::network(client), sort), &self.keys);
        match rate.take(cells, now) {
            Ok(()) => Verdict::Send,
            Err(_) if self.slips() => Verdict::Slip,
            Err(_) => Verdict::Drop,
        }
    }

    fn slips(&self) -> bool {
        self.slip > 0 && self.over.fetch_add(1, Relaxed).is_multiple_of(self.slip)
    }
}
