//! Network coordinates: which of very many edges are worth measuring. They never decide where a reader goes.
//!
//! Vivaldi (Dabek, Cox, Kaashoek and Morris, SIGCOMM 2004) with 8 dimensions and a height, as in Serf, in whole
//! microseconds. Whoever lies about its coordinate can move others (Kaafar et al., "Real attacks on virtual networks",
//! LSAD 2006), so an update is refused if most of at least three own anchors find it impossible, a step has a greatest
//! length, and so have all steps of a minute.

/// Dimensions beside the height.
pub const DIMENSIONS: usize = 8;
/// The farthest from the origin that a coordinate may be in each dimension, in microseconds: half a second.
pub const EXTENT_US: i32 = 500_000;
/// The greatest height, in microseconds.
pub const HEIGHT_US_MAX: u32 = 500_000;
/// Of a coordinate of which nothing is known, in thousandths.
pub const ERROR_MAX: u16 = 1_500;
/// How far a coordinate that has settled may move within a minute, in microseconds.
pub const MOVE_US_PER_MINUTE: u32 = 50_000;
/// From this error on, in thousandths, a coordinate has not settled: it moves freely, and judges nobody.
pub const SETTLED_BELOW: u16 = 350;
/// Nobody is taken to be surer than this of where it is, in thousandths: a liar would be.
pub const ERROR_CLAIMED_MIN: u16 = 100;
/// Fewer anchors find nobody out.
pub const ANCHORS_MIN: usize = 3;

/// The quickest of all lasts this long, in microseconds.
const HEIGHT_US_MIN: u32 = 10;
/// How much of the difference a step takes, and how much of the error a sample replaces, in thousandths.
const GAIN: i64 = 250;

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coordinate {
    /// In microseconds, each within ±[`EXTENT_US`].
    pub position: [i32; DIMENSIONS],
    /// What its own line adds to each distance, in microseconds, at most [`HEIGHT_US_MAX`].
    pub height_us: u32,
    /// How wrong it takes itself to be, in thousandths, at most [`ERROR_MAX`].
    pub error_permille: u16,
}

impl Default for Coordinate {
    fn default() -> Self {
        Self {
            position: [0; DIMENSIONS],
            height_us: HEIGHT_US_MIN,
            error_permille: ERROR_MAX,
        }
    }
}

impl Coordinate {
    /// Whether its numbers are within their bounds: one that came from others is to be asked this first.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        let within = self.position.iter().all(|x| x.unsigned_abs() <= EXTENT_US as u32);
        within && self.height_us <= HEIGHT_US_MAX && self.error_permille <= ERROR_MAX
    }

    /// The round-trip time that two coordinates predict, in microseconds.
    #[must_use]
    pub fn distance_us(&self, other: &Self) -> u32 {
        let flat = length(&difference(self, other));
        let both = u64::from(self.height_us) + u64::from(other.height_us);
        u32::try_from(flat + both).unwrap_or(u32::MAX)
    }

    fn is_settled(&self) -> bool {
        self.error_permille < SETTLED_BELOW
    }
}

/// A peer with a coordinate, and how far it is by own measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Where it says that it is.
    pub coordinate: Coordinate,
    /// How far it is, in microseconds.
    pub rtt_us: u32,
}

/// Why a sample moved nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The coordinate is out of its bounds.
    OutOfBounds,
    /// Most anchors are too near or too far from where it says that it is.
    Impossible,
}

/// This node's coordinate on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vivaldi {
    here: Coordinate,
    minute: u64,
    moved_us: u32,
}

impl Vivaldi {
    /// Where this node is.
    #[must_use]
    pub fn here(&self) -> Coordinate {
        self.here
    }

    /// Moves by one sample, the median of the last round-trip times to a peer. `direction` is any number, for two nodes
    /// in one place to part.
    ///
    /// # Errors
    /// If the peer's coordinate is not to be believed.
    pub fn note(
        &mut self,
        peer: &Anchor,
        anchors: &[Anchor],
        now_us: u64,
        direction: u64,
    ) -> Result<(), Refused> {
        if !peer.coordinate.is_sane() {
            return Err(Refused::OutOfBounds);
        }
        if self.here.is_settled() && is_impossible(peer, anchors) {
            return Err(Refused::Impossible);
        }
        let rtt = i64::from(peer.rtt_us.clamp(1, EXTENT_US as u32));
        let off = rtt - i64::from(self.here.distance_us(&peer.coordinate));
        let (mine, theirs) = (
            i64::from(self.here.error_permille),
            i64::from(peer.coordinate.error_permille.max(ERROR_CLAIMED_MIN)),
        );
        let weight = mine * 1000 / (mine + theirs).max(1);
        let limit = i64::from(self.limit_us(now_us));
        let step = (off * weight * GAIN / 1_000_000).clamp(-limit, limit);
        let error = (off.abs() * 1000 / rtt).min(i64::from(ERROR_MAX));
        self.here.error_permille = (mine + (error - mine) * weight * GAIN / 1_000_000).clamp(1, 1_500) as u16;
        self.moved_us += step.unsigned_abs() as u32;
        self.step(&peer.coordinate, step, direction);
        Ok(())
    }

    /// How far it may still move in this minute.
    fn limit_us(&mut self, now_us: u64) -> u32 {
        let minute = now_us / 60_000_000;
        if minute != self.minute || !self.here.is_settled() {
            (self.minute, self.moved_us) = (minute, 0);
        }
        MOVE_US_PER_MINUTE - self.moved_us.min(MOVE_US_PER_MINUTE)
    }

    /// Moves away from the peer, or nearer if `step` is negative.
    fn step(&mut self, peer: &Coordinate, step: i64, direction: u64) {
        let mut away = difference(&self.here, peer);
        let apart = length(&away);
        if apart == 0 {
            away =
                std::array::from_fn(|n| (crate::rendezvous::mix(direction ^ n as u64) % 2001) as i64 - 1000);
        }
        let flat = length(&away).max(1) as i64;
        for (x, away) in self.here.position.iter_mut().zip(away) {
            *x = (i64::from(*x) + away * step / flat).clamp(-i64::from(EXTENT_US), i64::from(EXTENT_US))
                as i32;
        }
        let both = i64::from(self.here.height_us) + i64::from(peer.height_us);
        let taller = i64::from(self.here.height_us) + both * step / (both + apart as i64).max(1);
        self.here.height_us = taller.clamp(i64::from(HEIGHT_US_MIN), i64::from(HEIGHT_US_MAX)) as u32;
    }
}

/// Whether more than half of at least [`ANCHORS_MIN`] settled anchors are much nearer to or farther from where the peer says
/// that it is than the two measured sides of the triangle allow. Real networks violate triangles: half as much again
/// and 10 ms are let pass.
fn is_impossible(peer: &Anchor, anchors: &[Anchor]) -> bool {
    let judges: Vec<&Anchor> = anchors
        .iter()
        .filter(|anchor| anchor.coordinate.is_settled())
        .collect();
    let fails = |anchor: &&&Anchor| {
        let claimed = u64::from(anchor.coordinate.distance_us(&peer.coordinate));
        let least = u64::from(anchor.rtt_us.abs_diff(peer.rtt_us));
        let most = u64::from(anchor.rtt_us) + u64::from(peer.rtt_us);
        claimed * 3 / 2 + SLACK_US < least || most * 3 / 2 + SLACK_US < claimed
    };
    judges.len() >= ANCHORS_MIN && judges.iter().filter(fails).count() * 2 > judges.len()
}

const SLACK_US: u64 = 10_000;

/// Whether what was measured is so far from what a coordinate predicted that the coordinate is worth nothing: more than
/// twice as far and 30 ms.
#[must_use]
pub fn is_contradicted(predicted_us: u32, measured_us: u32) -> bool {
    u64::from(measured_us) > u64::from(predicted_us) * 2 + 30_000
}

/// The round-trip time to somebody who says that it is at `to`, in microseconds: what the coordinates predict, corrected
/// by how wrong they are for the anchors nearest to it. Coordinates put a whole city a little wrong, since real distances
/// fit into no space; who is measured there tells by how much. It is the median of up to five anchors within
/// 15 ms, so two of them may lie; with fewer than three there is no correction.
#[must_use]
pub fn predict_us(here: &Coordinate, anchors: &[Anchor], to: &Coordinate) -> u32 {
    let mut nearest = [(u64::MAX, 0i64); 5];
    for anchor in anchors {
        let apart = square(&difference(&anchor.coordinate, to));
        if apart < nearest[4].0 && apart <= NEIGHBOURS_US * NEIGHBOURS_US {
            let off = i64::from(anchor.rtt_us) - i64::from(here.distance_us(&anchor.coordinate));
            let at = nearest.partition_point(|(other, _)| *other <= apart);
            nearest[at..].rotate_right(1);
            nearest[at] = (apart, off);
        }
    }
    let found = nearest.partition_point(|(apart, _)| *apart < u64::MAX);
    nearest[..found].sort_unstable_by_key(|(_, off)| *off);
    let off = if found < ANCHORS_MIN {
        0
    } else {
        nearest[found / 2].1
    };
    (i64::from(here.distance_us(to)) + off).clamp(0, i64::from(u32::MAX)) as u32
}

/// How far an anchor may be to tell something of a place, without heights.
const NEIGHBOURS_US: u64 = 15_000;

fn difference(from: &Coordinate, to: &Coordinate) -> [i64; DIMENSIONS] {
    std::array::from_fn(|n| i64::from(from.position[n]) - i64::from(to.position[n]))
}

fn square(vector: &[i64; DIMENSIONS]) -> u64 {
    vector.iter().map(|x| x.unsigned_abs().pow(2)).sum()
}

fn length(vector: &[i64; DIMENSIONS]) -> u64 {
    square(vector).isqrt()
}
