//! What is wrong with an edge, by its own word.

use std::fmt;

/// What an edge knows to be wrong with itself: it says so before others find out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health(u8);

impl Health {
    /// Its clock is off.
    pub const CLOCK: Self = Self(1);
    /// Its disk is full or failing.
    pub const DISK: Self = Self(2);
    /// Its ledger is behind: names may be old.
    pub const BEHIND: Self = Self(4);
    /// Its ports are not reached from outside: it delivers to nodes, readers cannot come.
    pub const UNREACHABLE: Self = Self(8);
    /// It is about to stop.
    pub const LEAVING: Self = Self(16);

    /// Flags from their bits; `None` if there are unknown ones.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        (bits < 32).then_some(Self(bits))
    }

    /// The bits.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it has one of these flags.
    #[must_use]
    pub fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (Self::CLOCK, "its clock is off"),
            (Self::DISK, "its disk is full or failing"),
            (Self::BEHIND, "its ledger is behind"),
            (Self::UNREACHABLE, "its ports are not reached"),
            (Self::LEAVING, "it is about to stop"),
        ];
        let says: Vec<&str> = all
            .into_iter()
            .filter(|(flag, _)| self.has(*flag))
            .map(|(_, says)| says)
            .collect();
        f.write_str(if says.is_empty() { "well" } else { "" })?;
        f.write_str(&says.join(", "))
    }
}
