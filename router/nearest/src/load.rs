//! The work that an edge has in hand, and how much of the capacity that it claims is believed.
//!
//! An edge tells its load in its adverts and, better, with each answer to a probe or a request: in the simulator, worlds of
//! 1,000 nodes at 45 % of their capacity, 43 of 223,753 requests came to a full edge when answers told the load, 13,625
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

/// How much of the capacity that an edge claims is believed, in thousandths: all at first. Each time that it turns a
/// request away although by its word it had room, a quarter of that is gone; each request that it serves brings back a
/// 64th of what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit(u32);

impl Default for Credit {
    fn default() -> Self {
        Self(1000)
    }
}

impl Credit {
    const LEAST: u32 = 20;

    /// It turned a request away although it had said that there was room.
    pub fn broke_its_word(&mut self) {
        self.0 = (self.0 * 3 / 4).max(Self::LEAST);
    }

    /// It served a request.
    pub fn served(&mut self) {
        self.0 += (1000 - self.0).div_ceil(64);
    }

    /// The capacity to reckon with, at least 1 if it claims any.
    #[must_use]
    pub fn of(&self, claimed: u32) -> u32 {
        let believed = u64::from(claimed) * u64::from(self.0) / 1000;
        (believed as u32).max(claimed.min(1))
    }
}
