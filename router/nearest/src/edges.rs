//! What is known of the edges at this moment, ready to be chosen from.

/// An edge's public key, as in its node identity.
pub type EdgeId = [u8; 32];

/// What is known of one edge at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Who it is. Of several entries with one id, only the first in field order counts.
    pub id: EdgeId,
    /// Measured round-trip time in microseconds, smoothed; `u32::MAX` if it was never measured.
    pub rtt_us: u32,
    /// Advertised number of requests that it serves at once. 0: takes no work.
    pub capacity: u32,
    /// Requests that it is serving now.
    pub inflight: u32,
    /// Whether the failure detector trusts it for routing.
    pub alive: bool,
}

/// Edges ready to be chosen from, each once: those that can serve by distance, and the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    usable: Vec<Edge>,
    unusable: Vec<Edge>,
}

impl Edges {
    /// Sorts them, whatever order they come in.
    #[must_use]
    pub fn new(mut edges: Vec<Edge>) -> Self {
        edges.sort_unstable();
        edges.dedup_by_key(|edge| edge.id);
        let (mut usable, mut unusable): (Vec<Edge>, Vec<Edge>) = edges
            .into_iter()
            .partition(|edge| edge.alive && edge.capacity > 0);
        usable.sort_by_key(|edge| (edge.rtt_us, edge.id));
        // At last those that do not answer, the nearest first; whoever takes no work comes behind them.
        unusable.sort_by_key(|edge| (edge.capacity == 0, edge.rtt_us, edge.id));
        Self { usable, unusable }
    }

    /// Those that can serve, nearest first.
    #[must_use]
    pub fn usable(&self) -> &[Edge] {
        &self.usable
    }

    /// The others, in the order in which they are tried when nobody else is left.
    pub(crate) fn unusable(&self) -> &[Edge] {
        &self.unusable
    }

    /// Notes that the edge at a place of [`Edges::usable`] did not answer: it serves nobody until the edges are given anew.
    /// No such place, no effect.
    pub fn doubt(&mut self, place: usize) {
        if let Some(edge) = self.usable.get_mut(place) {
            edge.alive = false;
        }
    }

    /// Notes the work in hand of the edge at a place of [`Edges::usable`]; no such place, no effect.
    pub fn set_inflight(&mut self, place: usize, inflight: u32) {
        if let Some(edge) = self.usable.get_mut(place) {
            edge.inflight = inflight;
        }
    }
}
