use std::net::IpAddr;

use ledger::{SecretKey, Signed};
use nearest::digest::Step;
use nearest::{EdgeId, Prefix};
use proptest::prelude::*;

use super::*;

const CHAIN: &str = "dev-1";
const NOW: u64 = 1_800_000_000_000;
/// Sent to other nodes: these bytes must stay.
const FIXTURE: &str = include_str!("../../../tests/it/mesh/fixtures/distances.hex");

fn secret() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn told(edge: EdgeId, place: &str, step: u8) -> Told {
    Told {
        place: Prefix::place(place.parse().expect("an address")),
        edge,
        step: Step::new(step).expect("a step"),
    }
}

fn distances() -> Distances {
    let me = *secret().public().as_bytes();
    Distances {
        node: secret().public(),
        height: 12,
        time_ms: NOW,
        until_ms: NOW + 1_800_000,
        told: vec![
            told([1; 32], "203.0.113.0", 63),
            told(me, "192.0.2.0", 0),
            told(me, "198.51.100.0", 31),
            told(me, "2001:db8:7::", 40),
        ],
    }
}

fn signed(body: Distances) -> Vec<u8> {
    Signed::sign(body, CHAIN, &secret()).encode()
}

fn with(told: Vec<Told>) -> Vec<u8> {
    signed(Distances { told, ..distances() })
}

fn read(bytes: &[u8]) -> Result<Distances, Flaw> {
    Distances::read(bytes, CHAIN, NOW)
}

fn fixture() -> Vec<u8> {
    hex::decode(FIXTURE.trim()).expect("hex")
}

#[track_caller]
fn refused(bytes: &[u8], word: &str) {
    match read(bytes) {
        Err(Flaw::Wrong(reason)) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?} instead of {word}"),
    }
}

#[test]
fn the_bytes_are_those_of_the_fixture() {
    assert_eq!(hex::encode(signed(distances())), FIXTURE.trim());
    assert_eq!(read(&fixture()), Ok(distances()));
}

#[test]
fn as_many_as_may_be_fit_and_one_more_does_not() {
    let at = |n: usize| {
        let place = IpAddr::from([0x2001, 0xdb8, n as u16, 0, 0, 0, 0, 0]);
        let mut edge = [0xff; 32];
        edge[..2].copy_from_slice(&((n / 16) as u16).to_be_bytes());
        Told {
            place: Prefix::place(place),
            edge,
            step: Step::of(u32::MAX),
        }
    };
    let largest = Distances {
        height: u64::MAX,
        told: (0..DISTANCES_MAX).map(at).collect(),
        ..distances()
    };
    let bytes = signed(largest.clone());
    assert!(bytes.len() <= DISTANCES_BYTES_MAX, "{}", bytes.len());
    assert_eq!(read(&bytes), Ok(largest));
    refused(&with((0..=DISTANCES_MAX).map(at).collect()), "too many");
    let far_too_many = signed(Distances {
        told: (0..4 * DISTANCES_MAX).map(at).collect(),
        ..distances()
    });
    assert!(far_too_many.len() > DISTANCES_BYTES_MAX);
    assert!(matches!(read(&far_too_many), Err(Flaw::Wrong(_))));
    refused(&with(Vec::new()), "1 to 1,024");
}

#[test]
fn what_the_edge_did_not_say_is_refused() {
    let forged = Signed::sign(distances(), CHAIN, &SecretKey::from_seed([8; 32]));
    refused(&forged.encode(), "another key");
    let relabelled = Signed {
        key: secret().public(),
        ..forged
    };
    refused(&relabelled.encode(), "the signature");
    let other_chain = Signed::sign(distances(), "dev-2", &secret());
    refused(&other_chain.encode(), "the signature");
}

#[test]
fn out_of_order_twice_or_nowhere_is_refused() {
    let me = *secret().public().as_bytes();
    let (near, far) = (told(me, "192.0.2.0", 1), told(me, "198.51.100.0", 2));
    refused(&with(vec![far, near]), "out of order");
    refused(&with(vec![near, near]), "out of order");
    refused(&with(vec![near, told([1; 32], "192.0.2.0", 1)]), "out of order");
    for nowhere in [
        "0.0.0.0",
        "127.0.0.0",
        "224.0.0.0",
        "255.255.255.0",
        "::",
        "ff02::",
    ] {
        refused(&with(vec![told(me, nowhere, 1)]), "no readers");
    }
}

#[test]
fn times_are_bounded_and_another_clock_is_no_lie() {
    for (from, life, result) in [
        (NOW, DISTANCES_LIFE_MS_MAX, Ok(())),
        (NOW, DISTANCES_LIFE_MS_MAX + 1, Err(false)),
        (NOW, 0, Err(false)),
        (NOW - 10, 10, Err(true)),
        (NOW + message::CLOCK_AHEAD_MS_MAX, 10, Ok(())),
        (NOW + message::CLOCK_AHEAD_MS_MAX + 1, 10, Err(true)),
    ] {
        let body = Distances {
            time_ms: from,
            until_ms: from + life,
            ..distances()
        };
        let read = read(&signed(body)).map(|_| ());
        assert_eq!(
            read.map_err(|flaw| matches!(flaw, Flaw::Stale { .. })),
            result,
            "{from} {life}"
        );
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for bit in 0..fixture().len() * 8 {
        let mut damaged = fixture();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&damaged).is_err(), "bit {bit}");
    }
}

prop_compose! {
    fn any_told()(edge in 0..4u8, address in any::<IpAddr>(), step in 0..=Step::MAX) -> Told {
        Told {
            place: Prefix::place(address),
            edge: [edge; 32],
            step: Step::new(step).expect("a step"),
        }
    }
}

proptest! {
    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..2 * DISTANCES_BYTES_MAX)) {
        prop_assert!(read(&noise).is_err());
    }

    /// Whatever a holder of the key puts into the packed bytes: it is refused, or is read as what it encodes to.
    #[test]
    fn any_packed_bytes_are_safe(
        groups in prop::collection::vec(
            (any::<[u8; 32]>(), prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..40)),
            0..4,
        ),
    ) {
        #[derive(Clone, Serialize, Deserialize)]
        struct Raw {
            node: PublicKey,
            height: u64,
            time_ms: u64,
            until_ms: u64,
            told: Vec<RawFromEdge>,
        }
        #[derive(Clone, Serialize, Deserialize)]
        struct RawFromEdge {
            edge: serde_bytes::ByteArray<32>,
            v4: serde_bytes::ByteBuf,
            v6: serde_bytes::ByteBuf,
        }
        impl Message for Raw {
            const DOMAIN: &'static str = Distances::DOMAIN;
        }
        let told = groups.into_iter().map(|(edge, v4, v6)| RawFromEdge {
            edge: serde_bytes::ByteArray::new(edge),
            v4: serde_bytes::ByteBuf::from(v4),
            v6: serde_bytes::ByteBuf::from(v6),
        });
        let Distances { node, height, time_ms, until_ms, .. } = distances();
        let raw = Raw { node, height, time_ms, until_ms, told: told.collect() };
        let bytes = Signed::sign(raw, CHAIN, &secret()).encode();
        if let Ok(taken) = read(&bytes) {
            prop_assert_eq!(signed(taken), bytes);
        }
    }

    #[test]
    fn damage_is_refused(
        at in any::<prop::sample::Index>(),
        len in 0..8usize,
        with in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut damaged = fixture();
        let at = at.index(damaged.len());
        damaged.splice(at..(at + len).min(fixture().len()), with);
        prop_assume!(damaged != fixture());
        prop_assert!(read(&damaged).is_err());
    }

    #[test]
    fn what_an_edge_tells_is_read(mut told in prop::collection::vec(any_told(), 1..50)) {
        told.sort_unstable_by_key(|told| (told.edge, told.place));
        told.dedup_by_key(|told| (told.edge, told.place));
        let nowhere = |told: &Told| match told.place.address() {
            IpAddr::V4(ip) => matches!(ip.octets()[0], 0 | 127 | 224..),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
        };
        told.retain(|told| !nowhere(told));
        prop_assume!(!told.is_empty());
        let body = Distances { told, ..distances() };
        prop_assert_eq!(read(&signed(body.clone())), Ok(body));
    }
}
