//! How far a composed reply may serve for others who ask the same.
//!
//! *The same* is: the question letter by letter, the header's flags, and of EDNS the version, DO and CO, the payload size
//! and the client subnet byte by byte. Only the id may differ.

use std::net::IpAddr;

use super::metrics::Transport;

/// Who asks, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Where the packet came from: a resolver, or the reader itself.
    pub address: IpAddr,
    /// The way that it took.
    pub transport: Transport,
}

/// A reply, ready to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The message.
    pub bytes: Vec<u8>,
    /// For whom else it is right.
    pub reuse: Reuse,
}

/// For whom else a reply is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// For nobody: an error, or what is for this moment alone.
    Never,
    /// For all who ask the same.
    Everybody(Validity),
    /// For those who ask the same from the same network: the first so many bits of the client's address.
    Network(u8, Validity),
}

/// For how long a reply stays right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// While the names are at this height.
    pub height: u64,
    /// Until then, in seconds since 1970; [`Validity::NO_END`] if time changes nothing.
    pub until: u64,
}

impl Validity {
    /// Time changes nothing.
    pub const NO_END: u64 = u64::MAX;
}
