//! What the ladder and the quorum promise: one step at a time, no accuser that is ill, no verdict of a minority.

use nearest::ladder::{AWAY_US_MAX, Event, QUARANTINE_US_MIN, RETURNS_AFTER, Standing, TESTS_PASSED_MIN};
use nearest::quorum::{JUDGES_MAX, JUDGES_MIN, Judgement, Operator, Statement, judge, judges};
use proptest::prelude::*;

const DEAD: Event = Event::Looked {
    phi_milli: 9_000,
    errors_permille: 0,
    ill: false,
};
const FINE: Event = Event::Looked {
    phi_milli: 10,
    errors_permille: 0,
    ill: false,
};
const DEAD_TO_THE_ILL: Event = Event::Looked {
    phi_milli: 9_000,
    errors_permille: 0,
    ill: true,
};

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0u32..12_000, 0u32..=1_000, any::<bool>()).prop_map(|(phi_milli, errors_permille, ill)| {
            Event::Looked {
                phi_milli,
                errors_permille,
                ill,
            }
        }),
        Just(Event::Answered),
        Just(Event::Failed),
        any::<bool>().prop_map(|passed| Event::Tested { passed }),
        (0u64..4).prop_map(|epoch| Event::Epoch { epoch }),
    ]
}

/// The standing after these events, a second apart.
fn after(start: Standing, events: &[Event]) -> Standing {
    let step =
        |(standing, now): (Standing, u64), event: &Event| (standing.after(*event, now), now + 1_000_000);
    events.iter().fold((start, 1), step).0
}

fn operators(count: usize) -> Vec<Operator> {
    (0..count)
        .map(|n| {
            let mut operator = [7; 32];
            operator[..8].copy_from_slice(&n.to_le_bytes());
            operator
        })
        .collect()
}

proptest! {
    /// Height on the ladder: without a verdict each event moves at most one step up, and nobody is out.
    #[test]
    fn one_step_at_a_time(events in prop::collection::vec((event(), 0u64..200_000_000), 1..80)) {
        let height = |standing: &Standing| match standing {
            Standing::Serving => 0,
            Standing::Away { .. } => 1,
            Standing::Quarantined { .. } => 2,
            Standing::Out { .. } => 3,
        };
        let (mut standing, mut now) = (Standing::Serving, 1);
        for (event, gap) in events {
            now += gap;
            let next = standing.after(event, now);
            prop_assert!(height(&next) <= height(&standing) + 1 && height(&next) < 3);
            standing = next;
        }
    }

    #[test]
    fn the_ill_take_no_step_but_the_first(gaps in prop::collection::vec(0u64..400_000_000, 1..50)) {
        let (mut standing, mut now) = (Standing::Serving, 1);
        for gap in gaps {
            now += gap;
            standing = standing.after(DEAD_TO_THE_ILL, now);
            prop_assert!(!standing.may_accuse(9_000, 1_000, true));
            let is_away = matches!(standing, Standing::Away { .. });
            prop_assert!(is_away);
        }
    }

    #[test]
    fn fewer_than_two_thirds_of_all_judges_evict_nobody(
        count in 1usize..80, liars in 0usize..80, honest_speak in any::<bool>(), seed: [u8; 32],
    ) {
        let all = operators(count);
        let drawn = judges(&seed, &[1; 32], &all[0], &all);
        prop_assert!(drawn.len() <= JUDGES_MAX && !drawn.contains(&all[0]));
        let said = |(n, judge): (usize, &Operator)| (n < liars || honest_speak)
            .then_some(Statement { judge: *judge, failed: n < liars });
        let statements: Vec<Statement> = drawn.iter().enumerate().filter_map(said).collect();
        let lied = liars.min(drawn.len());
        let expected = match (drawn.len() < JUDGES_MIN, lied * 3 >= drawn.len() * 2) {
            (true, _) => Judgement::Unjudged,
            (false, true) => Judgement::Failed,
            (false, false) => Judgement::Stands,
        };
        prop_assert_eq!(judge(&drawn, &statements), expected);
        // Said twice, by others, or taken back, it is not more.
        let others = operators(200)[100..].iter().map(|judge| Statement { judge: *judge, failed: true }).collect::<Vec<_>>();
        let noise = [statements.clone(), statements, others].concat();
        prop_assert_eq!(judge(&drawn, &noise), expected);
    }

    #[test]
    fn judges_are_the_same_for_all_and_change_by_one(count in 6usize..80, gone in 1usize..80, seed: [u8; 32]) {
        let all = operators(count);
        let drawn = judges(&seed, &[1; 32], &all[0], &all);
        let mut fewer: Vec<Operator> = all.iter().rev().copied().collect();
        fewer.retain(|operator| *operator != all[gone % count] || gone % count == 0);
        let redrawn = judges(&seed, &[1; 32], &all[0], &fewer);
        prop_assert!(redrawn.iter().filter(|judge| !drawn.contains(judge)).count() <= 1);
    }
}

#[test]
fn down_and_up_again() {
    let away = after(Standing::Serving, &[FINE, DEAD, FINE]);
    assert_eq!(
        away,
        Standing::Away {
            since_us: 1_000_001,
            returns: 0
        }
    );
    let answers = usize::from(RETURNS_AFTER);
    assert!(!after(away, &vec![Event::Answered; answers - 1]).serves());
    assert!(after(away, &vec![Event::Answered; answers]).serves());
    let flapping = [
        Event::Answered,
        Event::Answered,
        Event::Failed,
        Event::Answered,
        Event::Answered,
    ];
    assert!(!after(away, &flapping).serves());

    let quarantined = away.after(DEAD, AWAY_US_MAX + 1_000_001);
    assert_eq!(
        quarantined,
        Standing::Quarantined {
            since_us: AWAY_US_MAX + 1_000_001,
            passed: 0
        }
    );
    assert!(quarantined.may_accuse(9_000, 0, false));
    assert!(!quarantined.may_accuse(100, 0, false), "it is silent no more");
    assert!(!away.may_accuse(9_000, 1_000, false), "too early");

    let passed = vec![Event::Tested { passed: true }; usize::from(TESTS_PASSED_MIN)];
    assert!(!after(quarantined, &passed).serves(), "too soon");
    let late = AWAY_US_MAX + QUARANTINE_US_MIN + 2_000_000;
    let back = passed
        .iter()
        .fold(quarantined, |standing, event| standing.after(*event, late));
    assert!(back.serves());
}

#[test]
fn a_verdict_lasts_an_epoch_and_ends_in_quarantine() {
    let out = Standing::Serving.after(Event::Convicted { epoch: 6 }, 1);
    assert_eq!(out, Standing::Out { until_epoch: 7 });
    for ignored in [
        Event::Answered,
        FINE,
        Event::Tested { passed: true },
        Event::Epoch { epoch: 6 },
    ] {
        assert_eq!(out.after(ignored, 1), out);
    }
    let back = out.after(Event::Epoch { epoch: 7 }, 9);
    assert!(matches!(
        back,
        Standing::Quarantined {
            since_us: 9,
            passed: 0
        }
    ));
}
