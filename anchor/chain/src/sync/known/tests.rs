//! Whom to ask, whom to believe, when to stop waiting.

use super::*;

const EVERY: Duration = Duration::from_secs(2);

struct World {
    known: Known,
    start: Instant,
    now: Instant,
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        World {
            known: Known::default(),
            start: now,
            now,
        }
    }

    fn wait_ms(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn meet(&mut self, peers: &[&str]) {
        self.known
            .meet(peers.iter().map(ToString::to_string).collect(), self.now);
    }

    fn ask(&mut self) -> Vec<String> {
        self.known.due(self.now, EVERY, false)
    }

    fn source(&mut self, tip: u64) -> Option<String> {
        self.known.source(tip, self.now).map(|source| source.peer)
    }

    fn outcome(&self, tip: u64) -> Option<Outcome> {
        self.known
            .outcome(tip, self.now.duration_since(self.start), self.now)
    }

    fn refuse(&mut self, peer: &str) {
        self.known.refuse(peer, "a reason".into(), self.now);
    }
}

#[test]
fn new_peers_are_asked_once_and_again_after_a_time() {
    let mut world = World::new();
    world.meet(&["a", "b"]);
    assert_eq!(world.ask(), ["a", "b"]);
    assert!(world.ask().is_empty());
    world.known.said("a", 5);
    world.wait_ms(1_999);
    assert!(world.ask().is_empty());
    world.wait_ms(1);
    // b is still being asked; while blocks come, nobody who answers needs to be asked.
    assert!(world.known.due(world.now, EVERY, true).is_empty());
    assert_eq!(world.ask(), ["a"]);
}

#[test]
fn the_silent_are_asked_less_and_less_often() {
    let mut world = World::new();
    world.meet(&["a"]);
    for pause_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000] {
        assert_eq!(world.ask(), ["a"], "{pause_ms}");
        world.known.was_silent("a", "gone".into());
        let pause = pause_ms * if pause_ms < 64_000 { 2 } else { 1 };
        world.wait_ms(pause - 1);
        assert!(world.ask().is_empty(), "{pause_ms}");
        world.wait_ms(1);
    }
}

#[test]
fn a_crowd_is_asked_a_few_at_a_time() {
    let mut world = World::new();
    let names: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
    world.known.meet(names.clone(), world.now);
    assert_eq!(world.ask().len(), ASKED_AT_ONCE);
    assert!(world.ask().is_empty());
    world.known.said("000", 1);
    assert_eq!(world.ask().len(), 1);
    assert_eq!(world.known.peers.len(), PEERS_MAX);
    for name in &names {
        world.known.refuse(name, "no".into(), world.now);
    }
    assert_eq!(world.known.status(0).refused.len(), REFUSED_KEPT);
}

#[test]
fn blocks_come_from_those_who_have_them_in_turn() {
    let mut world = World::new();
    world.meet(&["a", "b", "c"]);
    assert_eq!(world.source(0), None);
    world.known.said("a", 5);
    world.known.said("b", 7);
    world.known.said("c", 4);
    let source = world.known.source(4, world.now).unwrap();
    assert_eq!((source.peer.as_str(), source.claims), ("a", true));
    world.wait_ms(1);
    assert_eq!(world.source(4).as_deref(), Some("b"));
    world.wait_ms(1);
    assert_eq!(world.source(4).as_deref(), Some("a"));
    assert_eq!(world.source(5).as_deref(), Some("b"));
    world.known.was_silent("b", "late".into());
    assert_eq!(world.source(5), None);
}

#[test]
fn who_told_of_a_block_is_asked_for_it_first_then_the_others() {
    let mut world = World::new();
    world.meet(&["a", "b"]);
    world.known.said("a", 4);
    world.known.said("b", 4);
    assert_eq!(world.source(4), None);
    assert!(world.known.announce(5, "b"));
    assert!(!world.known.announce(5, "a"));
    assert_eq!(world.known.best(4), 5);
    let source = world.known.source(4, world.now).unwrap();
    assert_eq!((source.peer.as_str(), source.claims), ("b", false));
    world.known.had_none("b", world.now);
    assert_eq!(world.source(4).as_deref(), Some("a"));
    world.known.had_none("a", world.now);
    assert_eq!(world.source(4), None);
    world.wait_ms(50);
    assert_eq!(world.source(4).as_deref(), Some("b"));
    world.known.gave("b", 5);
    assert_eq!(world.source(5), None);
}

#[test]
fn level_means_that_nobody_who_answers_has_more() {
    let mut world = World::new();
    assert_eq!(world.outcome(4), None);
    world.meet(&["a", "b"]);
    world.known.said("a", 4);
    // b has just been met.
    assert_eq!(world.outcome(4), None);
    world.wait_ms(1_000);
    assert_eq!(world.outcome(4), Some(Outcome::Level));
    assert_eq!(world.outcome(3), None);
    world.known.said("b", 9);
    assert_eq!(world.outcome(4), None);
    world.wait_ms(100_000);
    assert_eq!(world.outcome(4), None);
    world.refuse("b");
    assert_eq!(world.outcome(4), Some(Outcome::Level));
}

#[test]
fn without_an_answer_a_wait_ends_by_time() {
    let mut world = World::new();
    world.meet(&["a"]);
    world.known.was_silent("a", "late".into());
    world.wait_ms(4_999);
    assert_eq!(world.outcome(1), None);
    world.wait_ms(1);
    assert_eq!(world.outcome(1), Some(Outcome::Offline));
    assert_eq!(world.outcome(0), None);
    world.wait_ms(24_999);
    assert_eq!(world.outcome(0), None);
    world.wait_ms(1);
    assert_eq!(world.outcome(0), Some(Outcome::Unanswered));
    assert_eq!(world.known.sayings(), "a: late");
    world.meet(&[]);
    assert_eq!(world.known.sayings(), "no peer is in reach");
}

#[test]
fn when_all_were_refused_others_have_a_moment_to_appear() {
    let mut world = World::new();
    world.meet(&["a"]);
    world.refuse("a");
    world.meet(&["a"]);
    assert!(world.ask().is_empty());
    world.wait_ms(1_999);
    assert_eq!(world.outcome(0), None);
    world.wait_ms(1);
    assert_eq!(world.outcome(0), Some(Outcome::Refused));
    assert_eq!(world.outcome(7), Some(Outcome::Refused));
    assert_eq!(world.known.sayings(), "a: a reason");
    world.meet(&["a", "b"]);
    assert_eq!(world.outcome(0), None);
    // After ten minutes it may have been mended.
    world.wait_ms(598_000);
    world.meet(&["a", "b"]);
    assert_eq!(world.ask(), ["a", "b"]);
}

#[test]
fn a_refresh_ends_when_all_it_asks_have_answered_or_gone() {
    let mut world = World::new();
    let number = world.known.refresh(world.now);
    assert!(world.known.refreshes() > number, "nobody to ask");
    world.meet(&["a", "b", "c", "d"]);
    world.ask();
    for peer in ["a", "b", "c"] {
        world.known.said(peer, 3);
    }
    world.known.was_silent("d", "late".into());
    world.wait_ms(2_000);
    world.known.due(world.now, EVERY, true);
    assert_eq!(world.ask(), ["a", "b", "c"]);
    world.wait_ms(1);
    let number = world.known.refresh(world.now);
    // What they are being asked already is too old.
    for peer in ["a", "b", "c"] {
        world.known.said(peer, 3);
    }
    assert!(world.known.refreshes() <= number);
    assert_eq!(world.ask(), ["a", "b", "c"]);
    let joined = world.known.refresh(world.now);
    world.known.said("a", 4);
    world.known.was_silent("b", "late".into());
    assert!(world.known.refreshes() <= number);
    world.refuse("c");
    assert!(world.known.refreshes() > number.max(joined));
    let number = world.known.refresh(world.now);
    world.meet(&[]);
    assert!(world.known.refreshes() > number);
}

#[test]
fn some_peers_are_taken_in_turn() {
    let mut world = World::new();
    assert!(world.known.some(3, 7).is_empty());
    world.meet(&["a", "b", "c", "d", "e"]);
    world.known.was_silent("c", "late".into());
    assert_eq!(world.known.some(3, 0), ["a", "b", "d"]);
    assert_eq!(world.known.some(3, 3), ["e", "a", "b"]);
    assert_eq!(world.known.some(9, 1).len(), 4);
}
