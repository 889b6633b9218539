//! How far readers are from edges.

use std::net::IpAddr;

use nearest::EdgeId;

/// What is known of the distances of readers: nothing yet, so that each is taken to be where the node is that it came to.
#[derive(Clone, Debug, Default)]
pub struct Places;

impl Places {
    /// The round-trip time between a reader and an edge, in microseconds; none if it was not measured.
    pub fn rtt_us(&self, _reader: IpAddr, _edge: &EdgeId) -> Option<u32> {
        None
    }
}
