//! What is known of readers' places, over a restart: a small file, written now and then, worth nothing after an hour.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nearest::Prefix;
use nearest::table::AGE_US_MAX;
use serde::{Deserialize, Serialize};

/// Places that are kept, those that were measured last.
const PLACES_MAX: usize = 16_384;
/// The largest file: 30 bytes for each place.
pub const BYTES_MAX: u64 = 30 * PLACES_MAX as u64 + 64;

/// A place, how far it is in microseconds, and when that was measured, in microseconds since 1970.
pub type Line = (Prefix, u32, u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u8,
    /// The first 4 or 16 bytes of the place as a number, how far it is, and when that was measured.
    v4: Vec<(u32, u32, u64)>,
    v6: Vec<(u64, u32, u64)>,
}

const VERSION: u8 = 1;

/// The content of the file.
pub fn encode(mut lines: Vec<Line>) -> Vec<u8> {
    lines.sort_unstable_by_key(|(place, _, at_us)| (std::cmp::Reverse(*at_us), *place));
    lines.truncate(PLACES_MAX);
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (place, rtt_us, at_us) in lines {
        match place.address() {
            IpAddr::V4(ip) => v4.push((ip.to_bits(), rtt_us, at_us)),
            IpAddr::V6(ip) => v6.push(((ip.to_bits() >> 64) as u64, rtt_us, at_us)),
        }
    }
    let version = VERSION;
    ledger::encode(&File { version, v4, v6 })
}

/// What the content of a file is still worth at `now_us`; none if it is no such file.
pub fn decode(content: &[u8], now_us: u64) -> Option<Vec<Line>> {
    let file: File = ledger::decode(content).ok()?;
    if file.version != VERSION || file.v4.len() + file.v6.len() > PLACES_MAX {
        return None;
    }
    let v4 = file
        .v4
        .into_iter()
        .map(|(bits, rtt_us, at_us)| (Ipv4Addr::from_bits(bits).into(), rtt_us, at_us));
    let v6 = file
        .v6
        .into_iter()
        .map(|(bits, rtt_us, at_us)| (Ipv6Addr::from_bits(u128::from(bits) << 64).into(), rtt_us, at_us));
    let mut lines = Vec::new();
    for (address, rtt_us, at_us) in v4.chain(v6) {
        let place = Prefix::exactly_place(address)?;
        if at_us <= now_us && now_us - at_us <= AGE_US_MAX && (1..=super::RTT_US_MAX).contains(&rtt_us) {
            lines.push((place, rtt_us, at_us));
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000_000_000;
    /// Read by the next start, perhaps of another version: these bytes must stay.
    const FIXTURE: &str = include_str!("kept.hex");

    fn place(text: &str) -> Prefix {
        Prefix::place(text.parse().expect("an address"))
    }

    #[test]
    fn what_is_kept_is_known_again_for_an_hour() {
        let lines = vec![
            (place("192.0.2.0"), 20_000, NOW),
            (place("2001:db8:7::"), 90_000, NOW - 1),
        ];
        let content = encode(lines.clone());
        assert_eq!(hex::encode(&content), FIXTURE.trim());
        assert_eq!(decode(&content, NOW), Some(lines.clone()));
        assert_eq!(decode(&content, NOW + AGE_US_MAX), Some(lines[..1].to_vec()));
        assert_eq!(
            decode(&content, NOW - 1),
            Some(lines[1..].to_vec()),
            "not of the future"
        );
        assert_eq!(decode(&content, NOW + 2 * AGE_US_MAX), Some(Vec::new()));
    }

    #[test]
    fn the_file_is_bounded() {
        let line = |n: u32| {
            (
                place(&Ipv4Addr::from_bits(n << 8).to_string()),
                u32::MAX,
                NOW + u64::from(n),
            )
        };
        let content = encode((0..2 * PLACES_MAX as u32).map(line).collect());
        assert!(content.len() as u64 <= BYTES_MAX, "{}", content.len());
        let known = decode(&content, NOW + (1 << 32));
        assert_eq!(known, Some(Vec::new()), "none is so far");
    }

    proptest! {
        #[test]
        fn noise_and_damage_are_safe(noise in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let mut damaged = hex::decode(FIXTURE.trim()).expect("hex");
            let at = at.index(damaged.len());
            damaged.splice(at.., noise.iter().copied());
            for content in [noise, damaged] {
                for (place, rtt_us, at_us) in decode(&content, NOW).unwrap_or_default() {
                    prop_assert!(Prefix::exactly_place(place.address()).is_some());
                    prop_assert!(at_us <= NOW && rtt_us > 0);
                }
            }
        }
    }
}
