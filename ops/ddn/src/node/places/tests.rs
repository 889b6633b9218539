use nearest::digest::REPORTERS_MIN;
use nearest::table::READERS_MIN;
use proptest::prelude::*;

use super::*;

const ME: EdgeId = [1; 32];
const OTHER: EdgeId = [2; 32];

fn reader(host: u8) -> IpAddr {
    [192, 0, 2, host].into()
}

fn places() -> Places {
    Places::new(ME, 1_024)
}

/// More than enough that hashes which fall together do not matter.
fn crowd(places: &Places, rtt_us: u32) {
    (1..60).for_each(|host| places.note(reader(host), rtt_us));
}

/// `reporter`, who is an operator in a place of its own, tells how far readers of our place are from `edge`.
fn digest(reporter: u8, edge: EdgeId, rtt_us: u32) -> Digest {
    let now_us = now_us();
    Digest {
        reporter: [reporter; 32],
        operator: [reporter; 32],
        place: Prefix::place([198, 51, reporter, 1].into()),
        issued_us: now_us,
        expires_us: now_us + 600_000_000,
        distances: vec![told((Prefix::place(reader(0)), edge, rtt_us))],
    }
}

#[test]
fn own_measurements_are_of_this_edge_and_no_other() {
    let places = places();
    places.note(reader(1), 20_000);
    assert_eq!(places.rtt_us(reader(200), &ME), Some(20_000), "its neighbour too");
    assert_eq!(
        places.rtt_us("::ffff:192.0.2.7".parse().expect("mapped"), &ME),
        Some(20_000)
    );
    assert_eq!(places.rtt_us(reader(1), &OTHER), None);
    assert_eq!(places.rtt_us([192, 0, 3, 1].into(), &ME), None);
    assert_eq!(places.known(), 1);
}

#[test]
fn who_is_no_reader_is_not_measured() {
    let places = places();
    places.set_edges([reader(7)].into());
    for (who, rtt_us) in [
        ("127.0.0.1", 50),
        ("::1", 50),
        ("::ffff:127.0.0.1", 50),
        ("0.0.0.0", 50),
        ("224.0.0.1", 50),
        ("192.0.2.7", 50),
        ("::ffff:192.0.2.7", 50),
        ("192.0.2.8", 0),
        ("192.0.2.8", RTT_US_MAX + 1),
    ] {
        places.note(who.parse().expect("an address"), rtt_us);
        assert_eq!(places.known(), 0, "{who} {rtt_us}");
    }
    places.note(reader(8), 50);
    assert_eq!(places.known(), 1);
}

#[test]
fn only_places_with_many_readers_are_told_and_what_did_not_change_only_once() {
    let places = places();
    (1..READERS_MIN as u8).for_each(|host| places.note(reader(host), 20_000));
    assert!(places.news(false).is_empty());
    crowd(&places, 20_000);
    let expected = told((Prefix::place(reader(0)), ME, 20_000));
    assert_eq!(places.news(false), [expected]);
    assert!(places.news(false).is_empty());
    // A step to and fro is no news, several are.
    crowd(&places, 22_000);
    assert!(places.news(false).is_empty());
    crowd(&places, 80_000);
    assert_eq!(places.news(false).len(), 1);
}

#[test]
fn a_restart_keeps_distances_but_not_from_how_many_they_are() {
    let before = places();
    crowd(&before, 20_000);
    let after = places();
    assert!(after.restore(&before.kept()));
    assert_eq!(after.rtt_us(reader(1), &ME), Some(20_000));
    assert!(after.news(false).is_empty());
    assert!(!after.restore(b"noise"));
}

#[test]
fn private_networks_are_told_only_to_those_inside() {
    let places = places();
    (1..60).for_each(|host| places.note([10, 1, 2, host].into(), 20_000));
    assert!(places.news(false).is_empty());
    assert_eq!(places.news(true).len(), 1);
}

#[test]
fn what_edges_of_the_own_operator_tell_counts() {
    let places = places();
    places.note(reader(1), 50_000);
    places.told(&digest(2, OTHER, 20_000), Teller::Own).expect("good");
    places.refresh();
    assert_eq!(places.rtt_us(reader(9), &OTHER), Some(Step::of(20_000).rtt_us()));
    // Of this node's own distance nobody knows better.
    places.told(&digest(3, ME, 100), Teller::Own).expect("good");
    places.refresh();
    assert_eq!(places.rtt_us(reader(9), &ME), Some(50_000));
    assert_eq!(
        places.told(&digest(2, OTHER, 20_000), Teller::Own).err(),
        None,
        "later"
    );
    let late = Digest {
        issued_us: 1,
        expires_us: 2,
        ..digest(4, OTHER, 1)
    };
    assert_eq!(places.told(&late, Teller::Own), Err(Refused::OutOfTime));
}

#[test]
fn of_strangers_several_must_say_it_of_a_third() {
    let places = places();
    let heard = |places: &Places| {
        places.refresh();
        places.rtt_us(reader(9), &OTHER)
    };
    // Of itself: it would say that it is near.
    places
        .told(&digest(2, OTHER, 100), Teller::Stranger)
        .expect("taken, for others");
    assert_eq!(heard(&places), None);
    for n in 0..REPORTERS_MIN as u8 {
        assert_eq!(heard(&places), None, "{n}");
        places
            .told(&digest(10 + n, OTHER, 30_000), Teller::Stranger)
            .expect("honest");
    }
    // A minority that lies changes nothing.
    for n in 0..REPORTERS_MIN as u8 - 1 {
        places
            .told(&digest(20 + n, OTHER, 100), Teller::Stranger)
            .expect("taken");
    }
    assert_eq!(heard(&places), Some(Step::of(30_000).rtt_us()));
    assert_eq!(places.heard_of(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn own_distances_do_not_depend_on_what_others_tell(
        own in proptest::option::of(1..RTT_US_MAX),
        said in proptest::collection::vec((2..40u8, 1..3u8, 1..RTT_US_MAX, any::<bool>()), 0..40),
    ) {
        let places = places();
        if let Some(rtt_us) = own {
            places.note(reader(1), rtt_us);
        }
        for (reporter, edge, rtt_us, own) in said {
            let teller = if own { Teller::Own } else { Teller::Stranger };
            let _ = places.told(&digest(reporter, [edge; 32], rtt_us), teller);
        }
        places.refresh();
        prop_assert_eq!(places.rtt_us(reader(1), &ME), own);
    }
}
