//! Where supply and demand are, and how far that is.

use crate::random::Random;

/// Latitude, longitude in degrees, supply, demand.
pub const CITIES: [(i32, i32, u64, u64); 48] = [
    (50, 9, 30, 6),     // Frankfurt
    (52, 5, 20, 4),     // Amsterdam
    (51, 0, 16, 12),    // London
    (49, 2, 12, 14),    // Paris
    (39, -77, 40, 8),   // Ashburn
    (41, -74, 14, 20),  // New York
    (42, -88, 12, 10),  // Chicago
    (33, -97, 12, 10),  // Dallas
    (37, -122, 16, 8),  // San Francisco
    (34, -118, 10, 16), // Los Angeles
    (46, -123, 12, 3),  // Portland
    (44, -79, 6, 7),    // Toronto
    (26, -80, 6, 6),    // Miami
    (19, -99, 3, 22),   // Mexico City
    (-23, -47, 6, 22),  // São Paulo
    (-35, -58, 2, 14),  // Buenos Aires
    (-33, -71, 2, 6),   // Santiago
    (5, -74, 1, 10),    // Bogotá
    (-12, -77, 1, 10),  // Lima
    (55, 37, 4, 16),    // Moscow
    (59, 18, 6, 3),     // Stockholm
    (60, 25, 8, 2),     // Helsinki
    (52, 21, 5, 6),     // Warsaw
    (41, 29, 3, 16),    // Istanbul
    (40, -4, 5, 10),    // Madrid
    (45, 9, 5, 8),      // Milan
    (30, 31, 1, 22),    // Cairo
    (6, 3, 1, 24),      // Lagos
    (-1, 37, 1, 12),    // Nairobi
    (-26, 28, 3, 14),   // Johannesburg
    (25, 55, 3, 6),     // Dubai
    (32, 35, 2, 4),     // Tel Aviv
    (24, 47, 1, 8),     // Riyadh
    (19, 73, 5, 34),    // Mumbai
    (28, 77, 3, 34),    // Delhi
    (13, 80, 2, 14),    // Chennai
    (24, 90, 1, 24),    // Dhaka
    (24, 67, 1, 18),    // Karachi
    (14, 101, 2, 14),   // Bangkok
    (1, 104, 16, 8),    // Singapore
    (-6, 107, 2, 34),   // Jakarta
    (15, 121, 1, 24),   // Manila
    (22, 114, 10, 14),  // Hong Kong
    (31, 121, 6, 34),   // Shanghai
    (40, 116, 5, 26),   // Beijing
    (37, 127, 8, 20),   // Seoul
    (36, 140, 14, 34),  // Tokyo
    (-34, 151, 6, 8),   // Sydney
];
pub const CITIES_COUNT: usize = CITIES.len();

/// The round-trip times between cities, in microseconds.
pub fn base(random: &mut Random) -> Vec<[u32; CITIES_COUNT]> {
    let mut base = vec![[0; CITIES_COUNT]; CITIES_COUNT];
    for from in 0..CITIES_COUNT {
        for to in 0..=from {
            let factor = 1_200 + random.below(500);
            let us = 500 + km(&CITIES[from], &CITIES[to]) * 10 * factor / 1_000;
            (base[from][to], base[to][from]) = (us as u32, us as u32);
        }
    }
    base
}

/// Whole kilometres, so that the last bits of a float decide nothing.
fn km(from: &(i32, i32, u64, u64), to: &(i32, i32, u64, u64)) -> u64 {
    let rad = |degrees: i32| f64::from(degrees).to_radians();
    let (lat, other) = (rad(from.0), rad(to.0));
    let half = |x: f64| (x / 2.0).sin().powi(2);
    let chord = half(other - lat) + lat.cos() * other.cos() * half(rad(to.1 - from.1));
    (2.0 * 6371.0 * chord.sqrt().min(1.0).asin()) as u64
}
