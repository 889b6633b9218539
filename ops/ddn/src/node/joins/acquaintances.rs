//! What this node knows of others that deliver, and in which order it asks them: pure, time comes in as an argument.
//!
//! Own measurements decide: the smoothed round-trip time of past sessions, else the mesh's ping. Whoever failed rests for
//! a while, longer with each failure in a row, and is asked last meanwhile; whoever lied is not asked at all for some
//! time. Nothing here is told to others: it is this node's own opinion.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ledger::{Address, Amount, PublicKey};
use nearest::{Edge, Policy, Verdict, Why};
use storage::ddp::{Outcome, Provider};

/// Nodes of which something is remembered: more than a node talks to within hours. The one that was quiet longest goes.
const KNOWN_MAX: usize = 1024;
/// The weight of the newest round-trip time in the smoothed one, as in TCP (RFC 6298, 2.3).
const RTT_SHARE: u64 = 8;
/// How long a node rests after one failure; each further one in a row doubles it.
const REST: Duration = Duration::from_secs(2);
/// The longest rest: a node that comes back is noticed within it even if there are others.
const REST_MAX: Duration = Duration::from_secs(120);
/// How long a node that lied is left out: as long as the mesh bans.
const LEFT_OUT: Duration = Duration::from_secs(600);
/// The capacity of a node that advertises none but provides what is wanted, in requests at once.
const CAPACITY_UNKNOWN: u32 = 16;
/// Whoever provides the content has it already, so the nearest of them is the best; spreading readers over edges by
/// content, so that caches stay warm, needs edges that fetch for others.
const POLICY: Policy = Policy {
    near: 1,
    ..Policy::DEFAULT
};

/// Another node that may deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who it is.
    pub node: PublicKey,
    /// Where it delivers.
    pub addresses: Vec<SocketAddr>,
    /// The relay through which it is reached.
    pub relay: Option<SocketAddr>,
    /// Round-trip time by probes, else by the mesh's ping, in microseconds.
    pub ping_us: Option<u32>,
    /// Whether it answers, by what this node sees of it each second.
    pub stands: bool,
    /// Requests that it takes at once, and those that it has in hand, as it says.
    pub advertised: Option<(u32, u32)>,
}

/// What was measured of one node.
#[derive(Clone, Debug)]
struct Seen {
    rtt_us: Option<u32>,
    bytes: u64,
    failures: u32,
    last_failure: Option<String>,
    rests_until: Option<Instant>,
    left_out_until: Option<Instant>,
    at: Instant,
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Acquaintances(HashMap<PublicKey, Seen>);

/// An edge that advertises itself, as this node sees it.
#[derive(Clone, Debug)]
pub struct EdgeRow {
    /// Who it is.
    pub node: PublicKey,
    /// Where it delivers.
    pub addresses: Vec<SocketAddr>,
    /// Who is paid.
    pub payee: Address,
    /// Price of a MiB.
    pub price: Amount,
    /// Requests at once.
    pub capacity: u32,
    /// Requests in hand.
    pub load: u32,
    /// Its height of the ledger.
    pub height: u64,
    /// What it says to be wrong with itself, as bits; 0 is well.
    pub health: u8,
    /// Round-trip time in microseconds: of its sessions, else by the mesh's ping.
    pub rtt_us: Option<u32>,
    /// What came of asking it; nothing if it was not asked since the start.
    pub record: Option<Record>,
}

/// What came of asking somebody.
#[derive(Clone, Debug)]
pub struct Record {
    /// Bytes that it gave.
    pub bytes: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What the last failure was.
    pub last_failure: Option<String>,
    /// How much longer it is asked last, since it failed.
    pub rests: Option<Duration>,
    /// How much longer it is not asked at all, since it lied.
    pub left_out: Option<Duration>,
}

impl Acquaintances {
    /// Takes note of how a session went.
    pub fn note(&mut self, node: &PublicKey, outcome: &Outcome, now: Instant) {
        self.make_room(node);
        let seen = self.0.entry(*node).or_insert_with(|| Seen::new(now));
        seen.at = now;
        seen.bytes = seen.bytes.saturating_add(outcome.bytes);
        seen.rtt_us = match (seen.rtt_us, outcome.rtt_us) {
            (Some(old), Some(new)) => Some(smoothed(old, new)),
            (old, new) => new.or(old),
        };
        match &outcome.failure {
            None => (seen.failures, seen.rests_until) = (0, None),
            Some(failure) => seen.fail(failure, now),
        }
        if outcome.lied {
            seen.left_out_until = Some(now + LEFT_OUT);
        }
    }

    /// The order in which candidates are asked for content, whoever lied left out. Deterministic.
    pub fn order(&self, content: &[u8], candidates: Vec<Candidate>, now: Instant) -> Vec<Provider> {
        self.order_by(&POLICY, content, candidates, now)
    }

    /// The order in which relays are asked to pass packets on to a node with this key: of the near ones with room by
    /// chance, in proportion to their size. Deterministic.
    pub fn order_relays(&self, key: &PublicKey, candidates: Vec<Candidate>, now: Instant) -> Vec<Provider> {
        self.order_by(&Policy::DEFAULT, key.as_bytes(), candidates, now)
    }

    fn order_by(
        &self,
        policy: &Policy,
        content: &[u8],
        candidates: Vec<Candidate>,
        now: Instant,
    ) -> Vec<Provider> {
        let usable: Vec<Candidate> = candidates
            .into_iter()
            .filter(|candidate| !candidate.addresses.is_empty() && !self.is_left_out(&candidate.node, now))
            .collect();
        let edges: Vec<Edge> = usable.iter().map(|candidate| self.edge(candidate, now)).collect();
        let ranked = policy.choose(content, &edges).ranked;
        let (now_free, later): (Vec<&Verdict>, Vec<&Verdict>) = ranked
            .iter()
            .partition(|verdict| matches!(verdict.why, Why::Chosen { .. } | Why::Spare { .. }));
        let mut providers = Vec::new();
        for verdict in now_free.into_iter().chain(later) {
            let of_edge = |candidate: &&Candidate| *candidate.node.as_bytes() == verdict.edge.id;
            providers.extend(usable.iter().find(of_edge).map(|candidate| Provider {
                node: candidate.node,
                addresses: candidate.addresses.clone(),
                relay: candidate.relay,
                rtt_us: (verdict.edge.rtt_us != u32::MAX).then_some(verdict.edge.rtt_us),
            }));
        }
        providers
    }

    /// The smoothed round-trip time of a node's sessions, in microseconds.
    pub fn rtt_us(&self, node: &PublicKey) -> Option<u32> {
        self.0.get(node)?.rtt_us
    }

    /// What came of asking a node.
    pub fn record(&self, node: &PublicKey, now: Instant) -> Option<Record> {
        let seen = self.0.get(node)?;
        Some(Record {
            bytes: seen.bytes,
            failures: seen.failures,
            last_failure: seen.last_failure.clone(),
            rests: left(seen.rests_until, now),
            left_out: left(seen.left_out_until, now),
        })
    }

    fn edge(&self, candidate: &Candidate, now: Instant) -> Edge {
        let seen = self.0.get(&candidate.node);
        let measured = self.rtt_us(&candidate.node).or(candidate.ping_us);
        let (capacity, inflight) = candidate.advertised.unwrap_or((CAPACITY_UNKNOWN, 0));
        Edge {
            id: *candidate.node.as_bytes(),
            rtt_us: measured.unwrap_or(u32::MAX),
            capacity,
            inflight,
            alive: candidate.stands && seen.is_none_or(|seen| left(seen.rests_until, now).is_none()),
        }
    }

    fn is_left_out(&self, node: &PublicKey, now: Instant) -> bool {
        let seen = self.0.get(node);
        seen.is_some_and(|seen| left(seen.left_out_until, now).is_some())
    }

    fn make_room(&mut self, node: &PublicKey) {
        if self.0.len() < KNOWN_MAX || self.0.contains_key(node) {
            return;
        }
        let quiet = self.0.iter().min_by_key(|(_, seen)| seen.at);
        if let Some(quiet) = quiet.map(|(node, _)| *node) {
            self.0.remove(&quiet);
        }
    }
}

impl Seen {
    fn new(now: Instant) -> Self {
        Self {
            rtt_us: None,
            bytes: 0,
            failures: 0,
            last_failure: None,
            rests_until: None,
            left_out_until: None,
            at: now,
        }
    }

    fn fail(&mut self, failure: &str, now: Instant) {
        let rest = REST.saturating_mul(1 << self.failures.min(16)).min(REST_MAX);
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(failure.to_owned());
        self.rests_until = Some(now + rest);
    }
}

/// The time until a moment, if it is not over.
fn left(until: Option<Instant>, now: Instant) -> Option<Duration> {
    until
        .map(|until| until.saturating_duration_since(now))
        .filter(|left| !left.is_zero())
}

fn smoothed(old: u32, new: u32) -> u32 {
    let sum = u64::from(old) * (RTT_SHARE - 1) + u64::from(new);
    u32::try_from(sum / RTT_SHARE).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(seed: u8) -> PublicKey {
        ledger::SecretKey::from_seed([seed; 32]).public()
    }

    fn candidate(seed: u8, ping_us: Option<u32>) -> Candidate {
        Candidate {
            node: node(seed),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 1000 + u16::from(seed)))],
            relay: None,
            ping_us,
            stands: true,
            advertised: None,
        }
    }

    fn went(rtt_us: u32) -> Outcome {
        Outcome {
            rtt_us: Some(rtt_us),
            bytes: 10,
            took: Duration::from_millis(1),
            failure: None,
            ..Outcome::default()
        }
    }

    fn failed(lied: bool) -> Outcome {
        Outcome {
            rtt_us: None,
            bytes: 0,
            took: Duration::from_secs(5),
            failure: Some("it said nothing for 5 s".to_owned()),
            lied,
            ..Outcome::default()
        }
    }

    fn check(known: &Acquaintances, candidates: &[Candidate], now: Instant, expected: &[u8]) {
        let order = known.order(b"content", candidates.to_vec(), now);
        let nodes: Vec<PublicKey> = order.iter().map(|provider| provider.node).collect();
        let expected: Vec<PublicKey> = expected.iter().map(|seed| node(*seed)).collect();
        assert_eq!(nodes, expected);
    }

    /// A full relay is passed over, one far away too, and one that failed; the others share the nodes by their size.
    #[test]
    fn relays_are_chosen_by_load_among_the_near() {
        let (mut known, now) = (Acquaintances::default(), Instant::now());
        let relay = |seed, ping_us, capacity, load| Candidate {
            advertised: Some((capacity, load)),
            ..candidate(seed, Some(ping_us))
        };
        let relays = vec![
            relay(1, 10_000, 300, 0),
            relay(2, 11_000, 100, 0),
            relay(3, 9_000, 200, 200),
            relay(4, 400_000, 300, 0),
            relay(5, 9_500, 300, 0),
        ];
        known.note(&node(5), &failed(false), now);
        let mut chosen = HashMap::new();
        for seed in 0..200 {
            let first = known
                .order_relays(&node(100 ^ seed), relays.clone(), now)
                .remove(0);
            *chosen.entry(first.node).or_insert(0) += 1;
        }
        let of = |seed| chosen.get(&node(seed)).copied().unwrap_or(0);
        assert_eq!((of(3), of(4), of(5)), (0, 0, 0), "{chosen:?}");
        assert!(of(1) > 2 * of(2) && of(2) > 20, "{chosen:?}");
    }

    #[test]
    fn the_nearest_is_first_by_own_sessions_and_else_by_ping() {
        let (mut known, now) = (Acquaintances::default(), Instant::now());
        let three = [
            candidate(1, Some(300)),
            candidate(2, Some(100)),
            candidate(3, None),
        ];
        check(&known, &three, now, &[2, 1, 3]);
        known.note(&node(3), &went(50), now);
        known.note(&node(2), &went(5000), now);
        check(&known, &three, now, &[3, 1, 2]);
    }

    #[test]
    fn who_does_not_answer_is_last() {
        let known = Acquaintances::default();
        let silent = Candidate {
            stands: false,
            ..candidate(1, Some(1))
        };
        check(&known, &[silent, candidate(2, Some(9))], Instant::now(), &[2, 1]);
    }

    #[test]
    fn one_slow_answer_moves_the_smoothed_time_by_an_eighth() {
        let (mut known, now) = (Acquaintances::default(), Instant::now());
        known.note(&node(1), &went(800), now);
        known.note(&node(1), &went(1600), now);
        let bytes = known.record(&node(1), now).map(|record| record.bytes);
        assert_eq!((known.rtt_us(&node(1)), bytes), (Some(900), Some(20)));
    }

    #[test]
    fn who_failed_is_last_for_a_while_and_longer_each_time() {
        let (mut known, start) = (Acquaintances::default(), Instant::now());
        let two = [candidate(1, Some(1)), candidate(2, Some(9))];
        known.note(&node(1), &failed(false), start);
        check(&known, &two, start, &[2, 1]);
        check(&known, &two, start + REST, &[1, 2]);
        known.note(&node(1), &failed(false), start);
        check(&known, &two, start + REST, &[2, 1]);
        check(&known, &two, start + REST * 2, &[1, 2]);
        // All that rest are still asked: they may be the only ones.
        check(&known, &two[..1], start, &[1]);
        known.note(&node(1), &went(1), start);
        check(&known, &two, start, &[1, 2]);
    }

    #[test]
    fn who_lied_is_not_asked_for_ten_minutes() {
        let (mut known, start) = (Acquaintances::default(), Instant::now());
        let one = [candidate(1, None)];
        known.note(&node(1), &failed(true), start);
        check(&known, &one, start, &[]);
        // A truth does not shorten it.
        known.note(&node(1), &went(1), start);
        check(&known, &one, start + LEFT_OUT - Duration::from_secs(1), &[]);
        check(&known, &one, start + LEFT_OUT, &[1]);
    }

    #[test]
    fn the_full_ones_come_after_those_with_room() {
        let (known, now) = (Acquaintances::default(), Instant::now());
        let mut full = candidate(1, Some(1));
        full.advertised = Some((4, 3));
        check(&known, &[full, candidate(2, Some(9))], now, &[2, 1]);
        let nowhere = Candidate {
            addresses: Vec::new(),
            ..candidate(3, Some(1))
        };
        check(&known, &[nowhere], now, &[]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut known, start) = (Acquaintances::default(), Instant::now());
        for at in 0..=KNOWN_MAX as u64 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&at.to_le_bytes());
            let node = ledger::SecretKey::from_seed(seed).public();
            known.note(&node, &went(1), start + Duration::from_millis(at));
        }
        let oldest = ledger::SecretKey::from_seed([0; 32]).public();
        assert_eq!((known.0.len(), known.0.contains_key(&oldest)), (KNOWN_MAX, false));
    }
}
