//! Where an edge is among the others, as it is sent.

use nearest::coordinate::{Coordinate, DIMENSIONS};
use serde::{Deserialize, Serialize};

/// A network coordinate in whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// In each dimension.
    at: [i32; DIMENSIONS],
    /// What its own line adds.
    height: u32,
    /// How wrong it takes itself to be, in thousandths.
    error: u16,
}

impl Position {
    /// The coordinate, which may be out of its bounds.
    #[must_use]
    pub fn coordinate(&self) -> Coordinate {
        Coordinate {
            position: self.at,
            height_us: self.height,
            error_permille: self.error,
        }
    }
}

impl From<Coordinate> for Position {
    fn from(coordinate: Coordinate) -> Self {
        Self {
            at: coordinate.position,
            height: coordinate.height_us,
            error: coordinate.error_permille,
        }
    }
}
