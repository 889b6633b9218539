//! What holds against those who lie, flood or come in many names: adverts, candidates, tables, digests, coordinates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nearest::advert::{
    AHEAD_US_MAX, Advert, Adverts, Belongs, CROWD_MAX, GAP_US_MIN, Health, LIFE_US_MAX, Refused, clock_off_us,
};
use nearest::candidates::{Candidate, Distance, Limits, Out, WATCHED, select, watched_next};
use nearest::coordinate::{
    Anchor, Coordinate, MOVE_US_PER_MINUTE, Refused as Unbelieved, Vivaldi, is_contradicted, predict_us,
};
use nearest::digest::{DISTANCES_MAX, Digest, Hearsay, REPORTERS_MIN, Refused as Untold, Step, Told};
use nearest::ladder::Standing;
use nearest::load::{Credit, Own, REST_US_MAX, REST_US_MIN};
use nearest::table::{AGE_US_MAX, READERS_MIN, Table};
use nearest::{EdgeId, Prefix};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000;
const NOW: u64 = 1_000_000 * SECOND;

fn id(n: u64) -> EdgeId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    id
}

/// The n-th /24 from 1.0.0.0 on.
fn place(n: u32) -> Prefix {
    Prefix::place(Ipv4Addr::from_bits((n + (1 << 16)) << 8).into())
}

fn advert(n: u64) -> Advert {
    Advert {
        edge: id(n),
        belongs: Belongs {
            operator: Some(id(n)),
            place: place(n as u32),
            network: None,
        },
        capacity: 10,
        load: 0,
        price: 5,
        coordinate: Coordinate::default(),
        health: Health::default(),
        issued_us: NOW,
        expires_us: NOW + 60 * SECOND,
    }
}

#[test]
fn adverts_out_of_time_or_bounds_are_refused_with_their_reason() {
    let mut adverts = Adverts::default();
    let late = Advert {
        issued_us: NOW + SECOND,
        ..advert(1)
    };
    assert_eq!(adverts.take(&late, NOW), Ok(()), "a second ahead is no matter");
    for (changed, reason) in [
        (late, Refused::Replayed),
        (advert(1), Refused::Replayed),
        (
            Advert {
                issued_us: late.issued_us + GAP_US_MIN - 1,
                ..late
            },
            Refused::TooOften,
        ),
        (
            Advert {
                expires_us: NOW,
                ..advert(2)
            },
            Refused::Expired,
        ),
        (
            Advert {
                issued_us: NOW + AHEAD_US_MAX + 1,
                expires_us: NOW + AHEAD_US_MAX + 2,
                ..advert(2)
            },
            Refused::Future(AHEAD_US_MAX + 1),
        ),
        (
            Advert {
                expires_us: NOW + LIFE_US_MAX + 1,
                ..advert(2)
            },
            Refused::OutOfBounds,
        ),
        (
            Advert {
                expires_us: NOW - 1,
                ..advert(2)
            },
            Refused::OutOfBounds,
        ),
        (
            Advert {
                capacity: 0,
                ..advert(2)
            },
            Refused::OutOfBounds,
        ),
        (
            Advert {
                capacity: u32::MAX,
                ..advert(2)
            },
            Refused::OutOfBounds,
        ),
        (
            Advert {
                coordinate: Coordinate {
                    height_us: u32::MAX,
                    ..Coordinate::default()
                },
                ..advert(2)
            },
            Refused::OutOfBounds,
        ),
    ] {
        assert_eq!(adverts.take(&changed, NOW), Err(reason), "{changed:?}");
    }
    assert!(Refused::OutOfBounds.demerit() > 0 && Refused::Replayed.demerit() == 0);
    assert!(Refused::Future(90 * SECOND).to_string().contains("90 s"));
    assert_eq!(adverts.iter(NOW).count(), 1);
    assert_eq!(adverts.get(&id(1), late.expires_us), None, "it is over");
}

#[test]
fn a_flood_of_names_gets_what_its_operator_and_its_place_may_have() {
    let mut adverts = Adverts::default();
    adverts.take(&advert(0), NOW).expect("an honest edge");
    let of_operator = |n: u64| {
        let belongs = Belongs {
            operator: Some(id(1)),
            ..advert(n).belongs
        };
        Advert { belongs, ..advert(n) }
    };
    let of_place = |n: u64| {
        let belongs = Belongs {
            place: place(7),
            ..advert(n).belongs
        };
        Advert { belongs, ..advert(n) }
    };
    let nobodys = |n: u64| {
        let belongs = Belongs {
            operator: None,
            ..advert(n).belongs
        };
        Advert { belongs, ..advert(n) }
    };
    let taken = |adverts: &mut Adverts, flood: &dyn Fn(u64) -> Advert, from: u64| {
        (from..from + 3_000)
            .filter(|n| adverts.take(&flood(*n), NOW).is_ok())
            .count() as u32
    };
    assert_eq!(taken(&mut adverts, &of_operator, 10_000), CROWD_MAX.operator);
    assert_eq!(taken(&mut adverts, &of_place, 20_000), CROWD_MAX.place);
    assert_eq!(taken(&mut adverts, &nobodys, 30_000), CROWD_MAX.operator);
    // An edge that is there already may renew its advert, and the places of those that are over are given again.
    let again = |n: u64| Advert {
        issued_us: NOW + 20 * SECOND,
        expires_us: NOW + 99 * SECOND,
        ..of_operator(n)
    };
    assert_eq!(adverts.take(&again(10_000), NOW), Ok(()));
    assert_eq!(adverts.take(&again(19_999), NOW + 70 * SECOND), Ok(()));
}

proptest! {
    #[test]
    fn the_newest_advert_counts_whatever_the_order(times in prop::collection::vec(0u64..40, 1..30)) {
        let mut adverts = Adverts::default();
        for time in &times {
            let issued_us = NOW + time * SECOND;
            // Most are refused here: they are older than one that was taken.
            let _ = adverts.take(&Advert { issued_us, expires_us: issued_us + 60 * SECOND, ..advert(1) }, NOW + 20 * SECOND);
        }
        let newest = times.iter().filter(|time| **time <= 50).max().map(|time| NOW + time * SECOND);
        prop_assert_eq!(adverts.get(&id(1), NOW + 20 * SECOND).map(|advert| advert.issued_us), newest);
    }

    #[test]
    fn what_an_edge_has_in_hand_is_never_less_than_what_this_node_gave_it(
        steps in prop::collection::vec((any::<bool>(), 0u64..3 * SECOND), 0..60), said in 0u32..100, age in 0u64..20 * SECOND,
    ) {
        let (mut own, mut now, mut count) = (Own::default(), NOW, 0u32);
        for (begun, gap) in steps {
            now += gap;
            if begun { own.begun(now); count += 1; } else if count > 0 { own.ended(now); count -= 1; }
        }
        prop_assert_eq!(own.now(), count);
        let in_hand = own.in_hand(said, now - age);
        prop_assert!(in_hand >= count && in_hand <= said + count);
        prop_assert_eq!(own.in_hand(said, now), said.max(count));
    }

    #[test]
    fn credit_stays_in_range_and_comes_back(broken in 0usize..40, served in 0usize..400) {
        let mut credit = Credit::default();
        (0..broken).for_each(|_| credit.broke_its_word());
        let low = credit.of(1_000);
        (0..served).for_each(|_| credit.served());
        prop_assert!((20..=1_000).contains(&low) && credit.of(1_000) >= low && credit.of(1_000) <= 1_000);
        prop_assert_eq!((credit.of(0), credit.of(1)), (0, 1));
        (0..600).for_each(|_| credit.served());
        prop_assert_eq!(credit.of(1_000), 1_000);
    }

    #[test]
    fn who_turned_readers_away_rests_twice_as_long_each_time(refusals in 1u32..100, now in 0u64..1 << 50) {
        let mut credit = Credit::default();
        prop_assert!(!credit.is_resting(now));
        (0..refusals).for_each(|_| credit.turned_away(now));
        let rest_us = REST_US_MIN << (refusals - 1).min(6);
        prop_assert!(rest_us <= REST_US_MAX);
        prop_assert!(credit.is_resting(now + rest_us - 1) && !credit.is_resting(now + rest_us));
        credit.served();
        prop_assert!(!credit.is_resting(now));
        credit.turned_away(now);
        prop_assert!(!credit.is_resting(now + REST_US_MIN));
    }

    #[test]
    fn candidates_are_near_fit_and_no_crowd(
        drawn in prop::collection::vec((0u32..400, 0u64..10, 0u32..8, any::<bool>(), 0u64..20), 0..200),
    ) {
        let limits = Limits { price_max: 10, watched: 40, ..Limits::default() };
        let adverts: Vec<Advert> = drawn.iter().enumerate().map(|(n, (_, operator, at, ill, price))| Advert {
            belongs: Belongs { operator: Some(id(*operator)), place: place(*at), network: Some(*at % 3) },
            health: if *ill { Health::DISK } else { Health::UNREACHABLE },
            price: *price,
            ..advert(n as u64)
        }).collect();
        let all = adverts.iter().zip(&drawn).map(|(advert, (rtt, ..))| Candidate {
            advert,
            distance: Distance::best((*rtt < 300).then_some(*rtt), None, Some(1)),
            standing: Standing::Serving,
        });
        let (taken, out) = select(all.collect(), &limits);
        prop_assert_eq!(taken.len() + out.len(), drawn.len());
        prop_assert!(taken.len() <= limits.watched);
        for candidate in &taken {
            prop_assert!(!candidate.advert.health.has(Health::DISK) && candidate.advert.price <= 10);
            let same = |of: &dyn Fn(&Belongs) -> bool| taken.iter().filter(|other| of(&other.advert.belongs)).count();
            let mine = candidate.advert.belongs;
            prop_assert!(same(&|other| other.operator == mine.operator) <= 10);
            prop_assert!(same(&|other| other.place == mine.place) <= 4);
            prop_assert!(same(&|other| other.network == mine.network) <= 20);
        }
        // What was not measured comes after all that was, however near it says that it is.
        prop_assert!(taken.is_sorted_by_key(|candidate| candidate.distance.decides_us()));
        for (candidate, reason) in &out {
            let expected = match reason {
                Out::Ill(_) => candidate.advert.health.has(Health::DISK),
                Out::Dear(price) => *price > 10,
                Out::Crowded => taken.len() >= 4,
                Out::Far => taken.len() == limits.watched,
                Out::Stands(_) => false,
            };
            prop_assert!(expected, "{reason}");
        }
    }

    #[test]
    fn a_median_of_reporters_is_between_the_honest(
        honest in prop::collection::vec(1_000u32..200_000, 2..5), liars in prop::collection::vec(0u32..4_000_000, 0..5),
    ) {
        let all: Vec<u32> = honest.iter().chain(&liars).copied().collect();
        prop_assume!(liars.len() < honest.len());
        let mut hearsay = Hearsay::new(3);
        for (n, rtt_us) in all.iter().enumerate() {
            hearsay.take(&digest(n as u64, &[(1, id(99), *rtt_us)]), NOW).expect("taken");
        }
        let got = hearsay.rtt_us(&place(1), &id(99), NOW);
        if all.len() < REPORTERS_MIN {
            prop_assert_eq!(got, None);
        } else {
            let step = |rtt_us: &u32| Step::of(*rtt_us).rtt_us();
            let (low, high) = (honest.iter().map(step).min(), honest.iter().map(step).max());
            prop_assert!(got >= low && got <= high, "{got:?} of {honest:?} with {liars:?}");
        }
    }

    #[test]
    fn steps_are_rounded_up_by_a_fifth_at_most(rtt_us in 100u32..5_000_000) {
        let told = Step::of(rtt_us).rtt_us();
        prop_assert!(told >= rtt_us && u64::from(told) * 10 <= u64::from(rtt_us) * 12 + 20, "{told} for {rtt_us}");
    }

    #[test]
    fn nothing_moves_a_settled_coordinate_far_in_a_minute(
        lies in prop::collection::vec((prop::array::uniform8(-500_000i32..500_000), 0u32..2_000_000), 1..80),
    ) {
        let mut vivaldi = settled();
        let before = vivaldi.here();
        let minute = NOW / 60_000_000 * 60_000_000 + 60_000_000;
        for (n, (position, rtt_us)) in lies.into_iter().enumerate() {
            let coordinate = Coordinate { position, height_us: 0, error_permille: 0 };
            let settled = vivaldi.here().error_permille < nearest::coordinate::SETTLED_BELOW;
            // The error that the lies bring about unsettles it in the end; until then it stays where it was.
            let _ = vivaldi.note(&Anchor { coordinate, rtt_us }, &[], minute + n as u64, n as u64);
            if !settled { break }
            let moved = before.position.iter().zip(vivaldi.here().position)
                .map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum::<u64>().isqrt();
            prop_assert!(moved <= 2 * u64::from(MOVE_US_PER_MINUTE), "{moved}");
        }
    }
}

/// Nodes on a line of 100 ms: a coordinate that has settled between two of them.
fn settled() -> Vivaldi {
    let mut vivaldi = Vivaldi::default();
    for round in 0..400u64 {
        let (x, rtt_us) = [(0, 50_000), (100_000, 50_000), (25_000, 25_000)][(round % 3) as usize];
        vivaldi
            .note(&anchor(x, rtt_us), &[], round * SECOND, round)
            .expect("honest samples");
    }
    vivaldi
}

fn anchor(x: i32, rtt_us: u32) -> Anchor {
    let mut position = [0; 8];
    position[0] = x;
    Anchor {
        coordinate: Coordinate {
            position,
            height_us: 100,
            error_permille: 100,
        },
        rtt_us,
    }
}

/// Four times what it has is claimed, nothing of its load is told, and it is asked for as much as it is believed to have.
#[test]
fn who_claims_too_much_turns_few_away() {
    let (real, claimed, mut credit) = (16, 64, Credit::default());
    let (mut in_hand, mut refused, mut served) = (0, 0, 0);
    for _ in 0..20_000 {
        match in_hand < nearest::Policy::DEFAULT.bound(credit.of(claimed)) {
            false => in_hand -= 1,
            true if in_hand >= real => {
                credit.broke_its_word();
                refused += 1;
            }
            true => {
                credit.served();
                (in_hand, served) = (in_hand + 1, served + 1);
            }
        }
    }
    assert!(refused * 100 < served * 3, "{refused} refused, {served} served");
    assert!(served > 5_000, "and it is still used: {served}");
}

#[test]
fn coordinates_settle_and_refuse_what_their_anchors_find_impossible() {
    let mut vivaldi = settled();
    let distance = vivaldi.here().distance_us(&anchor(100_000, 0).coordinate);
    assert!(distance.abs_diff(50_000) < 8_000, "{distance}");
    let anchors = [anchor(0, 50_000), anchor(100_000, 50_000), anchor(25_000, 25_000)];
    // It says that it is 400 ms away from everybody, and answers within 2 ms.
    assert_eq!(
        vivaldi.note(&anchor(450_000, 2_000), &anchors, NOW, 1),
        Err(Unbelieved::Impossible)
    );
    assert_eq!(
        vivaldi.note(&anchor(500_001, 2_000), &anchors, NOW, 1),
        Err(Unbelieved::OutOfBounds)
    );
    assert_eq!(vivaldi.note(&anchor(52_000, 4_000), &anchors, NOW, 1), Ok(()));
    assert!(is_contradicted(10_000, 51_000) && !is_contradicted(10_000, 49_000));
}

#[test]
fn a_prediction_is_corrected_by_the_neighbours_unless_most_of_them_lie() {
    let here = anchor(0, 0).coordinate;
    let to = anchor(100_000, 0).coordinate;
    // Whoever is there takes 140 ms, and not the 100 that the coordinates say.
    let neighbours = |lies: usize| -> Vec<Anchor> {
        (0..5)
            .map(|n| {
                anchor(
                    100_000 + n * 1_000,
                    if (n as usize) < lies {
                        1_000
                    } else {
                        140_000 + n as u32 * 1_000
                    },
                )
            })
            .collect()
    };
    assert_eq!(predict_us(&here, &[], &to), 100_200);
    assert_eq!(
        predict_us(&here, &neighbours(0)[..2], &to),
        100_200,
        "two are too few"
    );
    for lies in 0..3 {
        let predicted = predict_us(&here, &neighbours(lies), &to);
        assert!(
            predicted.abs_diff(140_000) < 1_000,
            "{predicted} with {lies} liars"
        );
    }
    assert_eq!(
        predict_us(&here, &neighbours(0), &anchor(-100_000, 0).coordinate),
        100_200,
        "none is near"
    );
}

#[test]
fn more_is_watched_when_there_is_little_room() {
    for (watched, room, own, next) in [
        (48, 199, 100, 96),
        (48, 200, 100, 48),
        (96, 1_600, 100, 48),
        (96, 0, 0, 48),
        (4_096, 0, 100, 4_096),
    ] {
        assert_eq!(watched_next(watched, room, own), next, "{watched} {room} {own}");
    }
    assert_eq!(WATCHED, (48, 4_096));
}

#[test]
fn a_clock_is_ours_to_mend_when_most_others_say_so() {
    let minute = 60 * SECOND as i64;
    assert_eq!(clock_off_us(&[minute, minute + 5, 2]), Some(minute));
    assert_eq!(clock_off_us(&[minute, 0, 2]), None);
    assert_eq!(clock_off_us(&[minute, minute]), None, "two may both be wrong");
    assert_eq!(clock_off_us(&[-minute, -minute, -minute, 0]), Some(-minute));
}

fn reader(n: u32, host: u32) -> IpAddr {
    Ipv4Addr::from_bits((n + (1 << 16)) << 8 | host).into()
}

/// What `reporter` tells: places by number, edges, round-trip times.
fn digest(reporter: u64, told: &[(u32, EdgeId, u32)]) -> Digest {
    let told = told.iter().map(|(at, edge, rtt_us)| Told {
        place: place(*at),
        edge: *edge,
        step: Step::of(*rtt_us),
    });
    Digest {
        reporter: id(reporter),
        operator: id(reporter),
        place: place(1_000 + reporter as u32),
        issued_us: NOW,
        expires_us: NOW + 600 * SECOND,
        distances: told.collect(),
    }
}

#[test]
fn distances_are_kept_by_place_for_an_hour_and_told_only_of_many_readers() {
    let mut table = Table::new(1_024, 1);
    for host in 1..READERS_MIN {
        table.note(reader(1, host), id(5), 10_000, NOW);
        // A reader who comes often is one reader.
        table.note(reader(2, 7), id(5), 10_000, NOW + u64::from(host));
    }
    let know = |table: &Table, now| table.rtt_us(&Prefix::place(reader(1, 200)), &id(5), now);
    assert_eq!(know(&table, NOW), Some(10_000));
    assert_eq!(know(&table, NOW + AGE_US_MAX + 1), None);
    assert!(table.shareable(NOW, 100).is_empty());
    // Enough readers that hashes which fall together do not matter.
    (1..60).for_each(|host| table.note(reader(1, host), id(5), 10_000, NOW));
    assert_eq!(
        table.shareable(NOW, 100),
        [(Prefix::place(reader(1, 0)), id(5), 10_000)]
    );
    assert!(table.shareable(NOW, 0).is_empty());
    assert!(table.shareable(NOW + 3 * AGE_US_MAX, 100).is_empty());
    assert_eq!(
        table.edges(&Prefix::place(reader(1, 0)), NOW).collect::<Vec<_>>(),
        [(id(5), 10_000)]
    );
}

#[test]
fn a_flood_of_prefixes_does_not_drive_out_those_that_come_again() {
    let mut table = Table::new(4_096, 77);
    let regular = |n: u32| reader(n * 5_000, 9);
    // Places in different /12: seen in four minutes each.
    for minute in 0..4 {
        for n in 0..200 {
            table.note(regular(n), id(1), 20_000, NOW + minute * 60 * SECOND);
        }
    }
    let kept = |table: &Table| {
        let known = |n: &u32| {
            table
                .rtt_us(&Prefix::place(regular(*n)), &id(1), NOW + 300 * SECOND)
                .is_some()
        };
        (0..200).filter(known).count()
    };
    let before = kept(&table);
    assert!(before >= 195, "{before}");
    for flood in 0..65_536u128 {
        let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | flood << 80 | 1);
        table.note(address.into(), id(2), 1, NOW + 290 * SECOND);
    }
    // One /32 reaches a sixteenth of the buckets, and within them only what is not proven.
    assert_eq!(kept(&table), before);
    assert!(table.len() <= 200 + 4_096 / 16, "{}", table.len());
    for flood in 0..200_000u32 {
        table.note(
            Ipv4Addr::from_bits(0x6000_0000 + (flood << 8)).into(),
            id(2),
            1,
            NOW + 295 * SECOND,
        );
    }
    assert!(kept(&table) >= before - 2, "{} of {before}", kept(&table));
    assert!(table.len() <= 4_096);
}

#[test]
fn what_an_edge_says_of_itself_does_not_count_nor_what_is_said_twice() {
    let mut hearsay = Hearsay::new(3);
    let know = |hearsay: &Hearsay| hearsay.rtt_us(&place(1), &id(9), NOW);
    hearsay
        .take(&digest(9, &[(1, id(9), 100)]), NOW)
        .expect("it may speak of others");
    for (reporter, expected) in [(1, None), (2, None), (3, Some(Step::of(30_000).rtt_us()))] {
        hearsay
            .take(&digest(reporter, &[(1, id(9), 30_000)]), NOW)
            .expect("honest");
        assert_eq!(know(&hearsay), expected);
    }
    // Ten more nodes of one operator, or of one place, are one reporter.
    for n in 10..20 {
        let liar = Digest {
            operator: id(10),
            ..digest(n, &[(1, id(9), 100)])
        };
        hearsay.take(&liar, NOW).expect("taken, but for one");
        let liar = Digest {
            place: place(50),
            ..digest(n + 10, &[(1, id(9), 100)])
        };
        hearsay.take(&liar, NOW).expect("taken, but for one");
    }
    assert_eq!(know(&hearsay), Some(Step::of(30_000).rtt_us()));
    assert_eq!(hearsay.rtt_us(&place(1), &id(9), NOW + 601 * SECOND), None);
}

#[test]
fn an_edge_of_the_own_operator_is_believed_alone_and_as_long_as_it_says() {
    let mut hearsay = Hearsay::new(3);
    let know = |hearsay: &Hearsay, now| hearsay.rtt_us(&place(1), &id(9), now);
    hearsay
        .take_own(&digest(9, &[(1, id(9), 10_000)]), NOW)
        .expect("its own");
    assert_eq!(know(&hearsay, NOW), Some(Step::of(10_000).rtt_us()));
    assert_eq!(know(&hearsay, NOW + 601 * SECOND), None);
    assert_eq!(
        hearsay.take_own(&digest(9, &[(1, id(9), 100)]), NOW),
        Err(Untold::Replayed)
    );
    // However many strangers say something else.
    for reporter in 20..40 {
        let stranger = digest(reporter, &[(1, id(9), 90_000), (2, id(9), 90_000)]);
        hearsay.take(&stranger, NOW).expect("taken");
    }
    assert_eq!(know(&hearsay, NOW), Some(Step::of(10_000).rtt_us()));
    let answers: Vec<_> = hearsay.answers(NOW).collect();
    assert_eq!(
        answers,
        [
            ((place(1), id(9)), Step::of(10_000).rtt_us()),
            ((place(2), id(9)), Step::of(90_000).rtt_us())
        ]
    );
    assert_eq!(hearsay.answers(NOW + 601 * SECOND).count(), 0);
}

#[test]
fn digests_out_of_time_or_bounds_are_refused() {
    let mut hearsay = Hearsay::new(3);
    let good = digest(1, &[(1, id(9), 100)]);
    assert_eq!(hearsay.take(&good, NOW), Ok(()));
    let long = digest(2, &vec![(1, id(9), 100); DISTANCES_MAX + 1]);
    for (digest, reason) in [
        (good.clone(), Untold::Replayed),
        (
            Digest {
                expires_us: NOW,
                ..good.clone()
            },
            Untold::OutOfTime,
        ),
        (
            Digest {
                issued_us: NOW + AHEAD_US_MAX + 1,
                expires_us: NOW + AHEAD_US_MAX + 2,
                ..good.clone()
            },
            Untold::OutOfTime,
        ),
        (
            Digest {
                expires_us: NOW + 2 * AGE_US_MAX,
                ..good
            },
            Untold::OutOfBounds,
        ),
        (long, Untold::OutOfBounds),
    ] {
        assert_eq!(hearsay.take(&digest, NOW), Err(reason));
    }
}

/// 100 operators that tell as much as they may of places that do not exist fill no more than their share.
#[test]
fn hearsay_is_bounded_for_each_operator_and_in_all() {
    let mut hearsay = Hearsay::new(3);
    for round in 0..4u64 {
        for reporter in 0..100 {
            let first = (reporter as u32 * 4 + round as u32) * DISTANCES_MAX as u32;
            let told: Vec<_> = (0..DISTANCES_MAX as u32)
                .map(|n| (10_000 + first + n, id(9), 100))
                .collect();
            let digest = Digest {
                issued_us: NOW + round,
                ..digest(1_000 + reporter, &told)
            };
            hearsay.take(&digest, NOW).expect("in bounds");
        }
    }
    assert!(hearsay.len() <= 32_768, "{}", hearsay.len());
    // And there is still room for what several tell.
    for reporter in 0..3 {
        hearsay
            .take(&digest(reporter, &[(1, id(9), 50_000)]), NOW)
            .expect("honest");
    }
    assert_eq!(
        hearsay.rtt_us(&place(1), &id(9), NOW),
        Some(Step::of(50_000).rtt_us())
    );
}
