//! The work that an edge has in hand, and how much of the capacity that it claims is believed.
//!
//! An edge tells its load in its adverts and, better, with each answer to a probe or a request: in the simulator, worlds of
//! 1,000 nodes at 22 % of their capacity, 43 of 223,753 requests came to a full edge when answers told the load, 13,625
//! when only adverts did, which are one to four seconds old.

/// The requests that this node has with an edge, now and in each of the last seconds: what an advert says is seconds old
/// when it comes, and what this node did since is added to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    now: u32,
    second: u64,
    /// The number at the end of each second, by the second modulo the length.
    ends: [u32; OWN_SECONDS],
}

/// How far back an advert may reach; an older one is taken as this old.
const OWN_SECONDS: usize = 8;

impl Own {
    /// A request was begun.
    pub fn begun(&mut self, now_us: u64) {
        self.roll(now_us);
        self.now = self.now.saturating_add(1);
    }

    /// A request was ended.
    pub fn ended(&mut self, now_us: u64) {
        self.roll(now_us);
        self.now = self.now.saturating_sub(1);
    }

    /// The requests that this node has with it.
    #[must_use]
    pub fn now(&self) -> u32 {
        self.now
    }

    /// The work that the edge has in hand at this moment, by what it said at `issued_us` and what this node gave it or
    /// got done since; never less than what it has from this node.
    #[must_use]
    pub fn in_hand(&self, said: u32, issued_us: u64) -> u32 {
        let issued = issued_us / 1_000_000;
        let then = match issued < self.second {
            true => self.ends[self.place(issued.max(self.second.saturating_sub(OWN_SECONDS as u64)))],
            false => self.now,
        };
        said.saturating_add(self.now).saturating_sub(then).max(self.now)
    }

    fn place(&self, second: u64) -> usize {
        (second % OWN_SECONDS as u64) as usize
    }

    fn roll(&mut self, now_us: u64) {
        let second = now_us / 1_000_000;
        for past in self.second.max(second.saturating_sub(OWN_SECONDS as u64))..second {
            let place = self.place(past);
            self.ends[place] = self.now;
        }
        self.second = second.max(self.second);
    }
}

/// How much of the capacity that an edge claims is believed: all at first. Each time that it turns a request away although
/// by its word it had room, half of that is gone; each request that it serves brings back a 256th of what is missing. So of
/// the requests to an edge that claims four times what it has some 2 % are turned away; a quarter and a 64th made it
/// 18 %. An honest edge is caught by that seldom: its load is known when it answers.
///
/// And whoever turned a request away is left alone for a while, twice as long each time until it serves again. To believe it
/// little is not enough: it has no request of ours in hand, so by its word there is always room for one, and where all
/// others are full every reader would come to it. In the simulator, 10,000 nodes of which a tenth claim too much,
/// every second request was turned away by one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    permille: u32,
    refusals: u32,
    rests_until_us: u64,
}

/// How long an edge is left alone after it turned one request away, in microseconds.
pub const REST_US_MIN: u64 = 250_000;
/// The longest that it is left alone: 16 seconds.
pub const REST_US_MAX: u64 = REST_US_MIN << 6;

impl Default for Credit {
    fn default() -> Self {
        Self {
            permille: 1000,
            refusals: 0,
            rests_until_us: 0,
        }
    }
}

impl Credit {
    const LEAST: u32 = 20;

    /// It turned a request away although it had said that there was room.
    pub fn broke_its_word(&mut self) {
        self.permille = (self.permille / 2).max(Self::LEAST);
    }

    /// As [`Credit::broke_its_word`], and it is left alone from now on for a while.
    pub fn turned_away(&mut self, now_us: u64) {
        self.broke_its_word();
        let rest_us = (REST_US_MIN << self.refusals.min(6)).min(REST_US_MAX);
        self.rests_until_us = now_us.saturating_add(rest_us);
        self.refusals = self.refusals.saturating_add(1);
    }

    /// Whether it is left alone, because it turned a request away not long ago.
    #[must_use]
    pub fn is_resting(&self, now_us: u64) -> bool {
        now_us < self.rests_until_us
    }

    /// It served a request.
    pub fn served(&mut self) {
        self.permille += (1000 - self.permille).div_ceil(256);
        (self.refusals, self.rests_until_us) = (0, 0);
    }

    /// The capacity to reckon with, at least 1 if it claims any.
    #[must_use]
    pub fn of(&self, claimed: u32) -> u32 {
        let believed = u64::from(claimed) * u64::from(self.permille) / 1000;
        (believed as u32).max(claimed.min(1))
    }
}
