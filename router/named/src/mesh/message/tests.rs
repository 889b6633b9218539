use std::net::{Ipv6Addr, SocketAddrV6};

use ledger::SecretKey;
use nearest::coordinate::{Coordinate, DIMENSIONS, ERROR_MAX, EXTENT_US, HEIGHT_US_MAX};
use proptest::prelude::*;

use super::*;

const CHAIN: &str = "dev-1";
const NOW: u64 = 1_800_000_000_000;
/// Sent and kept by other nodes: these bytes must stay.
const ENDPOINT: &str = include_str!("../../../tests/it/mesh/fixtures/endpoint.hex");
const ADVERT: &str = include_str!("../../../tests/it/mesh/fixtures/advert.hex");
const ADVERT_OF_PLACE: &str = include_str!("../../../tests/it/mesh/fixtures/advert-place.hex");
const ADVERT_OF_RELAY: &str = include_str!("../../../tests/it/mesh/fixtures/advert-relay.hex");
const ENDPOINT_OF_RELAY: &str = include_str!("../../../tests/it/mesh/fixtures/endpoint-relay.hex");
const ADVERT_OF_WEB: &str = include_str!("../../../tests/it/mesh/fixtures/advert-web.hex");

fn secret() -> SecretKey {
    SecretKey::from_seed([7; 32])
}

fn endpoint() -> Endpoint {
    Endpoint {
        node: secret().public(),
        addresses: vec![
            "127.0.0.1:4102".parse().expect("an address"),
            "[2001:db8::1]:4102".parse().expect("an address"),
        ],
        home_relay: None,
        time_ms: NOW,
        until_ms: NOW + 3_600_000,
    }
}

fn advert() -> Advert {
    Advert {
        node: secret().public(),
        addresses: vec!["192.0.2.1:4102".parse().expect("an address")],
        home_relay: None,
        relay: None,
        payee: secret().address(),
        price: Amount::from_units(1_000),
        capacity: 64,
        load: 3,
        height: 12,
        health: 0,
        gateway: None,
        provider: None,
        tls_port: None,
        position: None,
        time_ms: NOW,
        until_ms: NOW + 30_000,
    }
}

fn advert_of_web() -> Advert {
    Advert {
        gateway: Some("https://edge.example".parse().expect("a server")),
        provider: Some("http://192.0.2.1:8081".parse().expect("a server")),
        ..advert()
    }
}

fn advert_of_place() -> Advert {
    let coordinate = Coordinate {
        position: [-500_000, 500_000, 1, -1, 0, 23, 24, 256],
        height_us: 1_200,
        error_permille: 250,
    };
    Advert {
        tls_port: NonZeroU16::new(443),
        position: Some(coordinate.into()),
        ..advert()
    }
}

/// Behind a NAT itself, and a relay for others: nobody is both, but either may be.
fn advert_of_relay() -> Advert {
    Advert {
        home_relay: Some("198.51.100.7:4104".parse().expect("an address")),
        relay: Some(Relay {
            address: "[2001:db8::1]:4104".parse().expect("an address"),
            price: Amount::from_units(1_000),
            capacity: 256,
            free: 12,
        }),
        ..advert()
    }
}

fn endpoint_of_relay() -> Endpoint {
    Endpoint {
        home_relay: Some("198.51.100.7:4104".parse().expect("an address")),
        ..endpoint()
    }
}

fn signed<T: Dated>(body: T) -> Vec<u8> {
    Signed::sign(body, CHAIN, &secret()).encode()
}

fn bytes(fixture: &str) -> Vec<u8> {
    hex::decode(fixture.trim()).expect("hex")
}

#[test]
fn the_bytes_are_those_of_the_fixtures() {
    assert_eq!(hex::encode(signed(endpoint())), ENDPOINT.trim());
    assert_eq!(hex::encode(signed(advert())), ADVERT.trim());
    assert_eq!(read(&bytes(ENDPOINT), CHAIN, NOW), Ok(endpoint()));
    assert_eq!(read(&bytes(ADVERT), CHAIN, NOW), Ok(advert()));
    assert_eq!(hex::encode(signed(advert_of_web())), ADVERT_OF_WEB.trim());
    assert_eq!(read(&bytes(ADVERT_OF_WEB), CHAIN, NOW), Ok(advert_of_web()));
    assert_eq!(hex::encode(signed(advert_of_relay())), ADVERT_OF_RELAY.trim());
    assert_eq!(read(&bytes(ADVERT_OF_RELAY), CHAIN, NOW), Ok(advert_of_relay()));
    assert_eq!(hex::encode(signed(endpoint_of_relay())), ENDPOINT_OF_RELAY.trim());
    assert_eq!(
        read(&bytes(ENDPOINT_OF_RELAY), CHAIN, NOW),
        Ok(endpoint_of_relay())
    );
    assert_eq!(hex::encode(signed(advert_of_place())), ADVERT_OF_PLACE.trim());
    assert_eq!(read(&bytes(ADVERT_OF_PLACE), CHAIN, NOW), Ok(advert_of_place()));
}

fn farthest() -> Coordinate {
    Coordinate {
        position: [-EXTENT_US; DIMENSIONS],
        height_us: HEIGHT_US_MAX,
        error_permille: ERROR_MAX,
    }
}

/// Who says to be somewhere else altogether is not passed on.
#[test]
fn nobody_is_outside_of_the_world() {
    let mut outside = [farthest(); 3];
    outside[0].position[7] -= 1;
    outside[1].height_us += 1;
    outside[2].error_permille += 1;
    let says = |coordinate: Coordinate| Advert {
        position: Some(coordinate.into()),
        ..advert()
    };
    assert!(read::<Advert>(&signed(says(farthest())), CHAIN, NOW).is_ok());
    for coordinate in outside {
        let refused = read::<Advert>(&signed(says(coordinate)), CHAIN, NOW);
        assert!(
            matches!(&refused, Err(Flaw::Wrong(reason)) if reason.contains("a place that there is not")),
            "{refused:?}"
        );
    }
}

/// A relay that nobody can dial, or with more room than it has, is no relay.
#[test]
fn relays_are_where_they_say() {
    let refused = |change: fn(&mut Advert)| {
        let mut advert = advert_of_relay();
        change(&mut advert);
        let read = read::<Advert>(&signed(advert), CHAIN, NOW);
        assert!(matches!(&read, Err(Flaw::Wrong(_))), "{read:?}");
    };
    refused(|advert| advert.home_relay = "0.0.0.0:4104".parse().ok());
    refused(|advert| advert.home_relay = "192.0.2.1:0".parse().ok());
    refused(|advert| {
        let relay = advert.relay.as_mut().expect("a relay");
        relay.address = "224.0.0.1:4104".parse().expect("an address");
    });
    refused(|advert| {
        let relay = advert.relay.as_mut().expect("a relay");
        relay.free = relay.capacity + 1;
    });
    let mut endpoint = endpoint_of_relay();
    endpoint.home_relay = "[::]:4104".parse().ok();
    let read = read::<Endpoint>(&signed(endpoint), CHAIN, NOW);
    assert!(matches!(&read, Err(Flaw::Wrong(_))), "{read:?}");
}

#[test]
fn the_longest_advert_fits() {
    let web: Web = format!("https://{}.example", "a".repeat(38) + "." + &"b".repeat(45))
        .parse()
        .expect("a server");
    assert!(web.to_string().len() > 95);
    let address = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
        .parse()
        .expect("an address");
    let longest = Advert {
        addresses: vec![address; ADDRESSES_MAX],
        home_relay: Some(address),
        relay: Some(Relay {
            address,
            price: Amount::from_units(u64::MAX),
            capacity: u32::MAX,
            free: u32::MAX,
        }),
        price: Amount::from_units(u64::MAX),
        capacity: u32::MAX,
        load: u32::MAX,
        height: u64::MAX,
        gateway: Some(web.clone()),
        provider: Some(web),
        health: HEALTH_BITS,
        tls_port: NonZeroU16::new(u16::MAX),
        position: Some(farthest().into()),
        time_ms: u64::MAX - 1,
        until_ms: u64::MAX,
        ..advert()
    };
    assert!(signed(longest).len() <= MESSAGE_BYTES_MAX);
}

#[test]
fn one_kind_is_not_taken_for_the_other() {
    assert!(matches!(
        read::<Advert>(&bytes(ENDPOINT), CHAIN, NOW),
        Err(Flaw::Wrong(_))
    ));
    assert!(matches!(
        read::<Endpoint>(&bytes(ADVERT), CHAIN, NOW),
        Err(Flaw::Wrong(_))
    ));
}

#[test]
fn every_flipped_bit_is_refused() {
    for fixture in [bytes(ENDPOINT), bytes(ADVERT)] {
        for bit in 0..fixture.len() * 8 {
            let mut damaged = fixture.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read::<Endpoint>(&damaged, CHAIN, NOW).is_err(), "bit {bit}");
            assert!(read::<Advert>(&damaged, CHAIN, NOW).is_err(), "bit {bit}");
        }
    }
}

#[track_caller]
fn refused(bytes: &[u8], chain: &str, word: &str) {
    match read::<Endpoint>(bytes, chain, NOW) {
        Err(Flaw::Wrong(reason)) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?} instead of {word}"),
    }
}

#[test]
fn what_the_node_did_not_say_is_refused() {
    let stranger = SecretKey::from_seed([8; 32]);
    let forged = Signed::sign(endpoint(), CHAIN, &stranger);
    refused(&forged.encode(), CHAIN, "another key");
    let relabelled = Signed {
        key: secret().public(),
        ..forged
    };
    refused(&relabelled.encode(), CHAIN, "the signature");
    refused(&bytes(ENDPOINT), "dev-2", "the signature");
}

#[test]
fn addresses_must_be_dialable_and_few() {
    let scoped = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 0, 3));
    for address in [
        "0.0.0.0:1".parse().ok(),
        "127.0.0.1:0".parse().ok(),
        "224.0.0.1:1".parse().ok(),
        Some(scoped),
    ] {
        let addresses = vec![address.expect("an address")];
        refused(
            &signed(Endpoint {
                addresses,
                ..endpoint()
            }),
            CHAIN,
            "an address that nobody can dial",
        );
    }
    for (count, word) in [(0, "1 to 8"), (9, "more than 8")] {
        let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 1)); count];
        refused(
            &signed(Endpoint {
                addresses,
                ..endpoint()
            }),
            CHAIN,
            word,
        );
    }
    let addresses = vec![SocketAddr::from(([255, 255, 255, 255], 65_535)); 8];
    assert!(
        read::<Endpoint>(
            &signed(Endpoint {
                addresses,
                ..endpoint()
            }),
            CHAIN,
            NOW
        )
        .is_ok()
    );
}

#[test]
fn times_are_bounded_and_another_clock_is_no_offence() {
    for (from, life, result) in [
        (NOW, ENDPOINT_LIFE_MS_MAX, Ok(())),
        (NOW, ENDPOINT_LIFE_MS_MAX + 1, Err(false)),
        (NOW, 0, Err(false)),
        (NOW - 10, 10, Err(true)),
        (NOW + CLOCK_AHEAD_MS_MAX, 10, Ok(())),
        (NOW + CLOCK_AHEAD_MS_MAX + 1, 10, Err(true)),
        (u64::MAX - 1, 1, Err(true)),
    ] {
        let body = Endpoint {
            time_ms: from,
            until_ms: from + life,
            ..endpoint()
        };
        let read = read::<Endpoint>(&signed(body), CHAIN, NOW)
            .map(|_| ())
            .map_err(|flaw| matches!(flaw, Flaw::Stale { .. }));
        assert_eq!(read, result, "{from} {life}");
    }
    let backwards = Endpoint {
        until_ms: NOW - 1,
        ..endpoint()
    };
    refused(&signed(backwards), CHAIN, "holds for no time");
}

proptest! {
    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..2 * MESSAGE_BYTES_MAX)) {
        prop_assert!(read::<Endpoint>(&noise, CHAIN, NOW).is_err());
        prop_assert!(read::<Advert>(&noise, CHAIN, NOW).is_err());
    }

    #[test]
    fn damage_is_refused(
        at in any::<prop::sample::Index>(),
        len in 0..8usize,
        with in prop::collection::vec(any::<u8>(), 0..8),
        which in any::<bool>(),
    ) {
        let good = bytes(if which { ENDPOINT } else { ADVERT });
        let at = at.index(good.len());
        let mut damaged = good.clone();
        damaged.splice(at..(at + len).min(good.len()), with);
        prop_assume!(damaged != good);
        prop_assert!(read::<Endpoint>(&damaged, CHAIN, NOW).is_err());
        prop_assert!(read::<Advert>(&damaged, CHAIN, NOW).is_err());
    }

    #[test]
    fn what_a_node_says_is_read(
        ips in prop::collection::vec((any::<std::net::IpAddr>(), 1..u16::MAX), 1..=8),
        (capacity, load, height) in any::<(u32, u32, u64)>(),
        life in 1..=ADVERT_LIFE_MS_MAX,
    ) {
        let addresses: Vec<_> = ips.into_iter().map(SocketAddr::from).collect();
        prop_assume!(addresses.iter().all(is_reachable));
        let body = Advert { addresses, capacity, load, height, until_ms: NOW + life, ..advert() };
        prop_assert_eq!(read(&signed(body.clone()), CHAIN, NOW), Ok(body));
    }
}
