//! Choosing the edge: near, ranked, within its bound.

use std::cmp::Ordering;

use crate::edges::{Edge, Edges};
use crate::rendezvous::{Draw, Key};
use crate::verdict::{Choice, Verdict, Why};

/// The numbers of the rule, chosen with the simulator (`tests/sim`); times are means to the first byte. They were measured
/// while its worlds were still being changed, each line in another state of them: compare within a line only.
///
/// * `near` and `band_us`: 1,000 nodes, the oracle that knows everything takes 79.2 ms. 24 within 40 ms: 74.7 ms, because
///   42 of 100 requests find what they want (28 by the nearest edge alone); 24 within 20 ms: 76.5; 12 within
///   40 ms: 78.0. It is 30 ms, which was not measured itself, so that of edges at 10 and 50 ms the near one serves.
/// * `warm_percent`: three worlds of 1,000 nodes at an eighth of their capacity, oracle 80.7 ms. No edge warm below the
///   bound: 78.2 ms; from 60 %: 78.8; from 50 %: 79.8; from 25 %: 82.4. When 4 of 10 readers want one object and loads
///   are known by adverts alone, which are seconds old, 153 of 33,626 requests come to a full edge if none is warm, 112
///   from 50 %.
/// * What is not here: the rule to give hot content 2, 4, 8 homes while the first are above a half. It came to 82.6 ms,
///   since content then has homes that it does not need; for the one hot object to 87 requests at full edges and 64.5 ms
///   for 63.2. An order in which each edge passes on what is too much gives content as many homes as it needs by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many of the lowest round-trip times may be near. More keeps caches warmer, fewer keeps readers closer.
    pub near: usize,
    /// How much farther than the nearest a near edge may be, in microseconds.
    pub band_us: u32,
    /// From which share of its capacity on an edge sends a part of its readers on to the next home. Range 0..=100.
    pub warm_percent: u32,
    /// The bound: an edge takes work while `inflight < capacity × bound_percent / 100`. Range 1..=100.
    pub bound_percent: u32,
}

impl Policy {
    /// The usual numbers.
    pub const DEFAULT: Self = Self {
        near: 24,
        band_us: 30_000,
        warm_percent: 60,
        bound_percent: 75,
    };
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Chooses with the default [`Policy`]. `content` is the key of the content, the bytes of its root CID.
#[must_use]
pub fn choose(content: &[u8], edges: &[Edge]) -> Choice {
    Policy::DEFAULT.choose(content, edges)
}

impl Policy {
    /// Chooses the edge for `content` and explains each, when there is no reader to tell from others.
    #[must_use]
    pub fn choose(&self, content: &[u8], edges: &[Edge]) -> Choice {
        self.choose_for(content, edges, 0)
    }

    /// Chooses the edge for `content` and explains each; O(n log n) in the number of edges. `request` tells the requests
    /// for one content apart, so that a part of them can go elsewhere: a number of the reader's network, or a count.
    #[must_use]
    pub fn choose_for(&self, content: &[u8], edges: &[Edge], request: u64) -> Choice {
        self.choose_among(content, &Edges::new(edges.to_vec()), request, usize::MAX)
    }

    /// As [`Policy::choose_for`] from edges that were sorted once, but explaining only the `most` nearest with room, if
    /// there are more edges than that: the same is chosen if `most` is above [`Policy::near`], and the cost of a
    /// request hardly depends on how many edges there are or are full.
    #[must_use]
    pub fn choose_among(&self, content: &[u8], edges: &Edges, request: u64, most: usize) -> Choice {
        let mut usable = self.foremost(edges.usable(), most);
        let near = self.count_near(&usable);
        let key = Key::of(content);
        let stays = rank(&key, &mut usable[..near])
            .iter()
            .zip(&usable)
            .map(|(draw, edge)| draw.permille(request) >= self.sent_on_permille(edge))
            .collect::<Vec<bool>>();
        let mut ranked = self.judge(&usable, &stays);
        let left = most.saturating_sub(ranked.len());
        ranked.extend(edges.unusable().iter().take(left).map(|edge| Verdict {
            edge: *edge,
            why: unusable_because(edge),
        }));
        Choice { ranked }
    }

    /// All, or the nearest with room, or if nobody has room the nearest.
    fn foremost(&self, sorted: &[Edge], most: usize) -> Vec<Edge> {
        if sorted.len() <= most {
            return sorted.to_vec();
        }
        let with_room = sorted.iter().filter(|edge| self.has_room(edge));
        let found: Vec<Edge> = with_room.take(most).copied().collect();
        if found.is_empty() {
            sorted[..most].to_vec()
        } else {
            found
        }
    }

    fn has_room(&self, edge: &Edge) -> bool {
        edge.alive && edge.inflight < self.bound(edge.capacity)
    }

    /// How many of these, sorted by distance, are near: as many with room as may be, and the full ones among them, none
    /// farther than the band behind the nearest with room. So what the near cannot take is spread again, and does
    /// not fall on the next one alone.
    fn count_near(&self, sorted: &[Edge]) -> usize {
        let nearest = sorted.iter().find(|edge| self.has_room(edge)).or(sorted.first());
        let limit = nearest.map_or(0, |edge| edge.rtt_us.saturating_add(self.band_us));
        let mut with_room = 0;
        let is_near = |edge: &&Edge| {
            with_room += usize::from(self.has_room(edge));
            edge.rtt_us <= limit && with_room <= self.near
        };
        sorted.iter().take_while(is_near).count()
    }

    /// Which part of its readers a warm edge sends on: nothing at [`Policy::warm_percent`] of its capacity, all at the
    /// bound, and in between in proportion, so that a report of its load that is seconds old moves some and not all.
    fn sent_on_permille(&self, edge: &Edge) -> u32 {
        let (capacity, load) = (u64::from(edge.capacity), u64::from(edge.inflight) * 100);
        let warm = capacity * u64::from(self.warm_percent);
        let width = capacity * u64::from(self.bound_percent.saturating_sub(self.warm_percent));
        let over = load.saturating_sub(warm).min(width);
        (over * 1000).checked_div(width).map_or(0, |part| part as u32)
    }

    /// The most work in hand that an edge of this capacity may have, in requests: the bound rounded up, so that a
    /// capacity of 1 still takes one.
    #[must_use]
    pub fn bound(&self, capacity: u32) -> u32 {
        let bound = (u64::from(capacity) * u64::from(self.bound_percent)).div_ceil(100);
        u32::try_from(bound).unwrap_or(u32::MAX)
    }

    /// Gives each usable edge, in order, its reason. The first of those that keep this reader serves, else the first
    /// with room.
    fn judge(&self, usable: &[Edge], stays: &[bool]) -> Vec<Verdict> {
        let has_room = |edge: &Edge| self.has_room(edge);
        let keeps = |place: usize| stays.get(place).copied().unwrap_or(true);
        let serves = (0..usable.len())
            .find(|place| has_room(&usable[*place]) && keeps(*place))
            .or_else(|| usable.iter().position(has_room));
        let why = |place: usize, edge: &Edge| {
            let rank = place + 1;
            match serves {
                _ if !edge.alive => Why::Dead,
                _ if !has_room(edge) => Why::Full {
                    rank,
                    bound: self.bound(edge.capacity),
                },
                Some(chosen) if chosen == place => Why::Chosen { rank },
                _ if keeps(place) => Why::Spare { rank },
                _ => Why::Warm {
                    rank,
                    percent: percent(edge),
                },
            }
        };
        let verdict = |(place, edge): (usize, &Edge)| Verdict {
            edge: *edge,
            why: why(place, edge),
        };
        usable.iter().enumerate().map(verdict).collect()
    }
}

/// Sorts by the content's draws, best first; equal draws by id. Returns the draws in that order.
fn rank(key: &Key, near: &mut [Edge]) -> Vec<Draw> {
    let mut drawn: Vec<(Draw, Edge)> = near
        .iter()
        .map(|edge| (key.draw(&edge.id, edge.capacity), *edge))
        .collect();
    drawn.sort_by(|(a, left), (b, right)| match a.compare(b) {
        Ordering::Equal => left.id.cmp(&right.id),
        order => order,
    });
    for (slot, (_, edge)) in near.iter_mut().zip(&drawn) {
        *slot = *edge;
    }
    drawn.into_iter().map(|(draw, _)| draw).collect()
}

fn unusable_because(edge: &Edge) -> Why {
    if edge.alive { Why::NoCapacity } else { Why::Dead }
}

fn percent(edge: &Edge) -> u32 {
    let percent = u64::from(edge.inflight) * 100 / u64::from(edge.capacity.max(1));
    u32::try_from(percent).unwrap_or(u32::MAX)
}
