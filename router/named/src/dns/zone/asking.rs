//! One question while it is answered: who asks, and what the answer turns out to depend on.

use crate::dap::Names;
use crate::dns::reuse::{Reuse, Validity};
use crate::dns::subnet::Network;

/// One question while it is answered.
pub struct Asking<'a> {
    names: &'a dyn Names,
    height: u64,
    network: Network,
    now: u64,
    scope: u8,
    until: u64,
    this_moment: bool,
    services_ttl: Option<u32>,
}

impl<'a> Asking<'a> {
    /// A question of somebody in `network`, at `now` seconds since 1970.
    pub fn new(names: &'a dyn Names, network: Network, now: u64) -> Self {
        Self {
            names,
            height: names.height(),
            network,
            now,
            scope: 0,
            until: Validity::NO_END,
            this_moment: false,
            services_ttl: None,
        }
    }

    /// Where names are read.
    pub fn names(&self) -> &'a dyn Names {
        self.names
    }

    /// The height at which the question came.
    pub fn height(&self) -> u64 {
        self.height
    }

    /// Who asks.
    pub fn network(&self) -> Network {
        self.network
    }

    /// The time, in seconds since 1970.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// How many bits of the network the answer depends on.
    pub fn scope(&self) -> u8 {
        self.scope
    }

    /// The answer depends on so many bits of the network; never on more than are looked at.
    pub fn depend_on(&mut self, bits: u8) {
        self.scope = self.scope.max(bits.min(self.network.bits()));
    }

    /// The answer is right for so many seconds.
    pub fn until_after(&mut self, seconds: u32) {
        self.until_at(self.now.saturating_add(u64::from(seconds)));
    }

    /// The answer is right until this time, in seconds since 1970.
    pub fn until_at(&mut self, time: u64) {
        self.until = self.until.min(time);
    }

    /// Whether there is an HTTPS record was asked, which changes without a block; it may be kept for so many seconds.
    pub fn saw_services(&mut self, ttl: u32) {
        self.services_ttl = Some(self.services_ttl.map_or(ttl, |known| known.min(ttl)));
    }

    /// The answer depends on whether there are HTTPS records.
    pub fn depend_on_services(&mut self) {
        if let Some(ttl) = self.services_ttl {
            self.until_after(ttl);
        }
    }

    /// The answer is for this question alone.
    pub fn this_moment(&mut self) {
        self.this_moment = true;
    }

    /// For whom else the answer is right. A subnet that the question names is part of the question.
    pub fn reuse(&self) -> Reuse {
        let validity = Validity {
            height: self.height,
            until: self.until,
        };
        match (self.this_moment, self.scope) {
            (true, _) => Reuse::Never,
            (false, bits) if bits > 0 && !self.network.is_named() => Reuse::Network(bits, validity),
            (false, _) => Reuse::Everybody(validity),
        }
    }
}
