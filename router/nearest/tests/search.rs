//! Whom to measure next: everybody once, in order, and the near ones again.

use std::collections::BTreeSet;

use nearest::EdgeId;
use nearest::search::{AGAIN_US_MIN, AGE_US_MAX, FOUND_MAX, Search};
use proptest::prelude::*;

const NOW: u64 = 1_000_000_000;

fn id(n: u32) -> EdgeId {
    let mut id = [0; 32];
    id[..4].copy_from_slice(&n.to_be_bytes());
    id
}

proptest! {
    /// However many there are and however few at a time, all are measured once, in the order in which they are expected.
    #[test]
    fn everybody_is_measured_once_in_order(count in 1u32..300, most in 1usize..40, unanswered in 1u32..20) {
        let mut search = Search::default();
        let mut measured = Vec::new();
        for round in 0..=count {
            let next = search.next((0..count).map(id), |_| false, 0, most, NOW + u64::from(round));
            prop_assert!(next.len() <= most);
            for edge in next {
                let n = measured.len() as u32;
                search.note(edge, (!n.is_multiple_of(unanswered)).then_some(n), NOW + u64::from(round));
                measured.push(edge);
            }
        }
        prop_assert_eq!(measured, (0..count).map(id).collect::<Vec<_>>());
    }

    #[test]
    fn who_was_found_near_comes_back_and_takes_half_at_most(
        found in prop::collection::vec(prop::option::of(0u32..1_000), 1..100), within in 0u32..1_000, most in 0usize..60,
        watched in prop::collection::btree_set(0u32..100, 0..50),
    ) {
        let mut search = Search::default();
        for (n, rtt_us) in found.iter().enumerate() {
            search.note(id(n as u32), *rtt_us, NOW);
        }
        let watched: BTreeSet<EdgeId> = watched.into_iter().map(id).collect();
        let next = |now| search.next((0..200).map(id), |edge| watched.contains(edge), within, most, now);
        let near: BTreeSet<EdgeId> = found.iter().enumerate()
            .filter(|(_, rtt_us)| rtt_us.is_some_and(|rtt_us| rtt_us < within))
            .map(|(n, _)| id(n as u32)).filter(|edge| !watched.contains(edge)).collect();
        let again = |now| next(now).into_iter().filter(|edge| near.contains(edge)).count();
        prop_assert_eq!(again(NOW + AGAIN_US_MIN - 1), 0);
        prop_assert_eq!(again(NOW + AGAIN_US_MIN), near.len().min(most / 2));
        let next = next(NOW + AGAIN_US_MIN);
        let once: BTreeSet<&EdgeId> = next.iter().collect();
        prop_assert_eq!(once.len(), next.len());
        prop_assert!(next.len() <= most && next.iter().all(|edge| !watched.contains(edge)));
    }
}

#[test]
fn the_silent_are_asked_again_and_what_is_old_is_forgotten() {
    let mut search = Search::default();
    search.note(id(1), None, NOW);
    search.note(id(2), Some(500), NOW);
    let next = |search: &Search, now| search.next([id(1), id(2)], |_| false, 0, 10, now);
    assert!(next(&search, NOW + AGAIN_US_MIN - 1).is_empty());
    assert_eq!(next(&search, NOW + AGAIN_US_MIN), [id(1)]);
    assert_eq!(next(&search, NOW + AGE_US_MAX), [id(1), id(2)]);
}

#[test]
fn memory_is_bounded_and_makes_room_by_age() {
    let mut search = Search::default();
    for n in 0..FOUND_MAX as u32 + 10 {
        search.note(id(n), Some(n), NOW);
    }
    assert_eq!(search.len(), FOUND_MAX);
    search.note(id(u32::MAX), Some(1), NOW + AGE_US_MAX);
    assert_eq!(search.len(), 1);
}
