//! Fraud proofs: what convicts, what it costs, and that nobody who keeps to the rules is convicted.

use ledger::{
    Action, Amount, FraudProof, Link, Offence, Quote, SessionTerms, Signed, State, Statement, edge_consent,
    escrow_id,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::paying::*;
use crate::world::*;

/// Blocks for which a bond stays locked, and the oldest lie that is punished.
const UNBONDING: u64 = 60;
const EVIDENCE_AGE: u64 = 30;
const GRACE: u64 = 3;

/// A chain that punishes all that can be proved.
fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut ledger::Genesis)) -> World {
    let mut genesis = genesis();
    genesis.delivery.withdrawn_grace = Some(GRACE);
    change(&mut genesis);
    genesis.validate().unwrap();
    let mut world = World::of(genesis);
    world.block((1..5).map(|n| (n, Action::Faucet {})).collect());
    world
}

/// Registers node `n` with a bond.
pub fn register_bonded(owner: u8, n: u8, bond: &str) -> Action {
    Action::EdgeRegister {
        node: node_key(n),
        payout: at(owner),
        price: coins("0.5"),
        capacity: 10,
        traffic_max: 0,
        consent: edge_consent(CHAIN, &node(n), &at(owner)),
        bond: coins(bond),
    }
}

/// Adds to a bond.
pub fn set_bonded(n: u8, bond: &str) -> Action {
    Action::EdgeSet {
        node: node_key(n),
        payout: at(1),
        price: coins("0.5"),
        capacity: 10,
        traffic_max: 0,
        bond: coins(bond),
    }
}

fn leave(n: u8) -> Action {
    Action::EdgeLeave { node: node_key(n) }
}

/// A statement of node `n`, of a session and number that depend on nothing else.
fn said(n: u8, bytes: u64, height: u64) -> Signed<Statement> {
    let quote = quote("0.5");
    let body = Statement {
        bytes,
        height,
        ..statement(&quote, 1, None).body
    };
    Signed::sign(body, CHAIN, &node(n))
}

/// Two words of node `n` at a height that contradict each other.
pub fn equivocation(n: u8, height: u64) -> FraudProof {
    FraudProof::Equivocation {
        statements: [said(n, 1, height), said(n, 2, height)],
    }
}

pub fn fraud(proof: FraudProof) -> Action {
    Action::Fraud {
        proof: Box::new(proof),
    }
}

/// A session of node 1 that was opened at half a coin and billed at another price.
pub fn over_price(billed: &str, height: u64) -> FraudProof {
    let (agreed, billed) = (quote("0.5"), quote(billed));
    let terms = session(&agreed);
    let body = Statement {
        session: terms.id(),
        quote: billed.hash(),
        height,
        ..statement(&agreed, 1, None).body
    };
    FraudProof::OverPrice {
        terms,
        agreed,
        billed,
        statement: Signed::sign(body, CHAIN, &node(1)),
    }
}

fn supply(world: &World) -> Amount {
    world.state.supply().unwrap()
}

fn sum(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap()
}

#[test]
fn a_bond_is_locked_with_its_edge_and_for_a_while_after_it() {
    let mut world = world();
    let before = world.balance(1);
    world.pass(1, register_bonded(1, 1, "5"));
    world.pass(1, set_bonded(1, "2.5"));
    assert_eq!(
        world.state.edge(&node_key(1)).unwrap().unwrap().bond,
        coins("7.5")
    );
    // What an offer changes leaves the bond as it is.
    world.pass(1, set_bonded(1, "0"));
    assert_eq!(
        world.state.edge(&node_key(1)).unwrap().unwrap().bond,
        coins("7.5")
    );
    world.pass(1, leave(1));
    let left = world.height;
    let bond = world.state.bond(&node_key(1)).unwrap().unwrap();
    assert_eq!(
        (bond.owner, bond.amount, bond.until),
        (at(1), coins("7.5"), left + UNBONDING)
    );
    world.skip_to(left + UNBONDING - 1);
    let fees = coins("0.004");
    assert_eq!(sum(world.balance(1), sum(coins("7.5"), fees)), before);
    world.skip_to(left + UNBONDING);
    assert_eq!(sum(world.balance(1), fees), before);
    assert_eq!(world.state.bond(&node_key(1)).unwrap(), None);
}

#[test]
fn a_bond_that_is_locked_counts_again_for_its_owner_only() {
    let mut world = world_with(|genesis| genesis.delivery.bond_min = coins("5"));
    let name = node_key(1);
    assert_eq!(
        world.refused(1, register_bonded(1, 1, "4.99")).to_string(),
        format!("node {name} would have a bond of 4.99 coins, at least 5 are needed")
    );
    world.pass(1, register_bonded(1, 1, "5"));
    world.pass(1, leave(1));
    let until = world.height + UNBONDING;
    assert_eq!(
        world.refused(2, register_bonded(2, 1, "5")).to_string(),
        format!(
            "the bond of {} for node {name} is locked until height {until}: send it again then",
            show(at(1))
        )
    );
    world.pass(1, register_bonded(1, 1, "1"));
    assert_eq!(world.state.edge(&name).unwrap().unwrap().bond, coins("6"));
    assert_eq!(world.state.bond(&name).unwrap(), None);
    // The first departure frees nothing of what is a bond again.
    world.skip_to(until);
    assert_eq!(world.state.edge(&name).unwrap().unwrap().bond, coins("6"));
    world.pass(1, leave(1));
    world.skip_to(world.height + UNBONDING);
    world.pass(2, register_bonded(2, 1, "5"));
}

#[test]
fn who_contradicts_itself_loses_its_bond_and_never_comes_back() {
    for has_left in [false, true] {
        let mut world = world();
        world.pass(1, register_bonded(1, 1, "5"));
        if has_left {
            world.pass(1, leave(1));
        }
        let (before, all) = (world.balance(2), supply(&world));
        world.pass(2, fraud(equivocation(1, world.height)));
        let convicted = world.height;
        // A tenth to who proved it, the rest is gone.
        assert_eq!(sum(before, coins("0.5")), sum(world.balance(2), coins("0.001")));
        assert_eq!(sum(supply(&world), coins("4.5")), all);
        assert_eq!(world.state.edge(&node_key(1)).unwrap(), None);
        assert_eq!(world.state.bond(&node_key(1)).unwrap(), None);
        let found = world.state.conviction(&node_key(1)).unwrap().unwrap();
        assert_eq!((found.offence, found.by), (Offence::Equivocation, at(2)));
        assert_eq!((found.height, found.bond), (convicted, coins("5")));
        let words = format!(
            "node {} was convicted of a lie at height {convicted}: it is out for ever",
            node_key(1)
        );
        assert_eq!(world.refused(3, fraud(equivocation(1, 2))).to_string(), words);
        assert_eq!(world.refused(3, fraud(over_price("0.6", 2))).to_string(), words);
        assert_eq!(world.refused(1, register_bonded(1, 1, "5")).to_string(), words);
        world.skip_to(world.height + UNBONDING);
    }
}

#[test]
fn who_has_no_bond_is_out_all_the_same() {
    let mut world = world();
    let (before, all) = (world.balance(2), supply(&world));
    world.pass(2, fraud(equivocation(3, world.height)));
    assert_eq!(before, sum(world.balance(2), coins("0.001")));
    assert_eq!(supply(&world), all);
    let refusal = world.refused(1, register_bonded(1, 3, "5")).to_string();
    assert!(refusal.contains("was convicted of a lie"), "{refusal}");
}

#[test]
fn what_is_no_lie_convicts_nobody() {
    let mut world = world();
    world.skip_to(9);
    let two = |a: Signed<Statement>, b: Signed<Statement>| FraudProof::Equivocation { statements: [a, b] };
    let foreign = Signed::sign(said(1, 2, 9).body, "other", &node(1));
    let other = Statement {
        seq: 2,
        ..said(1, 2, 9).body
    };
    let mut forged = said(1, 2, 9);
    forged.body.bytes = 3;
    let cases = [
        two(said(1, 1, 9), said(1, 1, 9)),
        two(said(1, 1, 9), said(2, 2, 9)),
        two(said(1, 1, 9), foreign),
        two(said(1, 1, 9), forged),
        two(said(1, 1, 9), Signed::sign(other, CHAIN, &node(1))),
        over_price("0.5", 9),
        over_price("0.4", 9),
    ];
    for proof in cases {
        let node = *proof.node();
        assert_eq!(
            world.refused(2, fraud(proof)).to_string(),
            format!(
                "the proof convicts node {node} of nothing: it needs words that contradict each other, all signed by \
                 its key"
            )
        );
    }
}

#[test]
fn a_dearer_bill_than_was_agreed_convicts() {
    let mut world = world();
    world.pass(1, register_bonded(1, 1, "5"));
    let check = |world: &mut World, change: fn(&mut SessionTerms, &mut Signed<Quote>, &mut Signed<Quote>)| {
        let mut proof = over_price("0.6", world.height);
        if let FraudProof::OverPrice {
            terms,
            agreed,
            billed,
            ..
        } = &mut proof
        {
            change(terms, agreed, billed);
        }
        let refusal = world.refused(2, fraud(proof)).to_string();
        assert!(refusal.contains("of nothing"), "{refusal}");
    };
    check(&mut world, |terms, _, _| terms.client_nonce = secret(9));
    check(&mut world, |terms, _, _| terms.server = node_key(2));
    check(&mut world, |_, agreed, _| *agreed = quote("0.4"));
    check(&mut world, |_, _, billed| *billed = quote("0.7"));
    check(&mut world, |_, agreed, _| agreed.body.price = coins("0.1"));
    // A quote of another node does not bind this one.
    check(&mut world, |_, _, billed| {
        *billed = Signed::sign(billed.body.clone(), CHAIN, &node(2));
    });
    world.pass(2, fraud(over_price("0.6", world.height)));
    let found = world.state.conviction(&node_key(1)).unwrap().unwrap();
    assert_eq!((found.offence, found.bond), (Offence::OverPrice, coins("5")));
}

#[test]
fn deliveries_of_what_was_withdrawn_convict_after_the_grace() {
    let mut world = world();
    world.claim(4, anchor("site", 1));
    let proof = |height| {
        fraud(FraudProof::Withdrawn {
            statement: said(1, 1, height),
        })
    };
    let root = content("site");
    let nothing = format!("the proof convicts node {} of nothing: ", node_key(1));
    let refusal = world.refused(2, proof(world.height)).to_string();
    assert_eq!(refusal, format!("{nothing}{root} is no withdrawn asset"));
    world.pass(4, Action::AssetTombstone { cid: root });
    let last = world.height + GRACE;
    world.skip_to(last + 2);
    let refusal = world.refused(2, proof(last)).to_string();
    let words =
        format!("{nothing}until height {last} it could state deliveries of {root}, this is of {last}");
    assert_eq!(refusal, words);
    world.pass(2, proof(last + 1));
    let found = world.state.conviction(&node_key(1)).unwrap().unwrap();
    assert_eq!(found.offence, Offence::Withdrawn);
}

#[test]
fn a_chain_may_leave_deliveries_of_withdrawn_assets_unpunished() {
    let mut world = World::new();
    world.claim(4, anchor("site", 1));
    world.pass(4, Action::AssetTombstone { cid: content("site") });
    world.skip_to(20);
    let proof = FraudProof::Withdrawn {
        statement: said(1, 1, 20),
    };
    let refusal = world.refused(2, fraud(proof)).to_string();
    assert!(
        refusal.ends_with("this chain does not punish deliveries of withdrawn assets"),
        "{refusal}"
    );
}

#[test]
fn proofs_are_taken_for_a_time() {
    let mut world = world();
    world.skip_to(49);
    let mut check = |height: u64| {
        let words = format!(
            "the evidence is of height {height}, from {} to ",
            world.height + 1 - EVIDENCE_AGE
        );
        let refusal = world.refused(2, fraud(equivocation(1, height))).to_string();
        assert!(refusal.starts_with(&words), "{refusal}");
    };
    check(19);
    check(60);
    world.pass(2, fraud(equivocation(1, world.height + 1 - EVIDENCE_AGE)));
}

/// Every short life of a bond: whatever two owners, a prover and time do, in every order. The audit runs after each block.
#[test]
fn whatever_is_done_with_a_bond_no_coin_is_lost() {
    let steps: Vec<(u8, Action)> = vec![
        (1, register_bonded(1, 1, "5")),
        (2, register_bonded(2, 1, "0")),
        (1, set_bonded(1, "1")),
        (1, leave(1)),
        (2, leave(1)),
        // It is too old in the last block.
        (3, fraud(equivocation(1, 4))),
    ];
    fn explore(world: &World, steps: &[(u8, Action)], left: u32, seen: &mut u32) {
        *seen += 1;
        let convicted = world.state.conviction(&node_key(1)).unwrap().is_some();
        let edge = world.state.edge(&node_key(1)).unwrap();
        let bond = world.state.bond(&node_key(1)).unwrap();
        assert!(!convicted || (edge.is_none() && bond.is_none()));
        assert!(edge.is_none() || bond.is_none(), "a bond is in two places");
        if left == 0 {
            return;
        }
        // A block in which nothing happens, too: bonds become free.
        for step in steps.iter().map(Some).chain([None]) {
            let mut next = World {
                genesis: world.genesis.clone(),
                state: world.state.clone(),
                height: world.height,
            };
            next.block(step.cloned().into_iter().collect());
            explore(&next, steps, left - 1, seen);
        }
    }
    let first = world_with(|genesis| {
        (genesis.election.unbonding, genesis.election.evidence_age) = (2, 1);
    });
    let mut seen = 0;
    explore(&first, &steps, 4, &mut seen);
    assert_eq!(seen, 1 + 7 + 49 + 343 + 2401);
}

/// What of claims is not the payee's.
fn levying() -> World {
    world_with(|genesis| {
        genesis.election.round = 1_000;
        genesis.delivery.claim_burnt = 300;
        genesis.delivery.claim_seats = 200;
    })
}

#[test]
fn a_part_of_each_claim_is_burnt_and_another_one_the_seats() {
    let mut world = levying();
    let id = open(&mut world, 1, "10");
    let (before, all) = (world.balance(2), supply(&world));
    world.pass(2, claim_with(vec![voucher(id, 1, 2, coins("4"))], secret(5), 1));
    assert_eq!(sum(before, coins("3.8")), sum(world.balance(2), coins("0.001")));
    assert_eq!(sum(supply(&world), coins("0.12")), all);
    assert_eq!(
        world.state.pool(&ledger::key::seats_pool()).unwrap(),
        coins("0.08")
    );
    let entry = world.state.claim(&at(2), &secret(5)).unwrap().unwrap();
    assert_eq!((entry.amount, entry.levied), (coins("4"), coins("0.2")));
    // What a payee counts by itself is no other.
    world.pass(1, allot_metered(id, 2, "4", 90));
    world.pass(2, claim_counted(id, coins("1")));
    assert_eq!(sum(supply(&world), coins("0.15")), all);
}

/// Several parts may grow by a unit at once, by more than is claimed: that is the payee's loss, and no fault of the ledger.
#[test]
fn parts_that_are_rounded_together_do_not_stop_the_chain() {
    let mut world = levying();
    let shares = [
        (Some(3), 1_250),
        (Some(4), 1_250),
        (Some(5), 1_250),
        (None, 1_250),
    ];
    world.claim(1, anchor_split("site", 1, &shares));
    let id = open(&mut world, 1, "10");
    let claim = |units| claim_of(vec![voucher_for("site", id, 1, 2, Amount::from_units(units))]);
    world.pass(2, claim(7));
    let before = world.balance(2);
    world.pass(2, claim(8));
    // One unit came in, each of four shares has grown by one.
    assert_eq!(
        before,
        sum(world.balance(2), sum(coins("0.001"), Amount::from_units(3)))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However it is claimed, what goes to all is the same, and no coin is lost.
    #[test]
    fn what_is_levied_does_not_depend_on_how_it_is_claimed(claims in vec(1..1_000_000u64, 1..6)) {
        let levied = |claims: &[u64]| {
            let mut world = levying();
            world.claim(1, anchor_split("site", 1, &[(Some(3), 3_333), (None, 1_667)]));
            let id = open(&mut world, 1, "10");
            let all = supply(&world);
            let mut cumulative = 0;
            for claim in claims {
                cumulative += claim;
                let voucher = voucher_for("site", id, 1, 2, Amount::from_units(cumulative));
                world.pass(2, claim_of(vec![voucher]));
            }
            let burnt = all.checked_sub(supply(&world)).unwrap();
            (burnt, world.state.pool(&ledger::key::seats_pool()).unwrap())
        };
        let whole: u64 = claims.iter().sum();
        let at_once = (Amount::from_units(whole * 3 / 100), Amount::from_units(whole * 2 / 100));
        prop_assert_eq!(levied(&claims), at_once);
        prop_assert_eq!(levied(&[whole]), at_once);
    }
}

/// What happens to a node that keeps to the rules.
#[derive(Clone, Debug)]
enum Event {
    /// Somebody opens a session; clients choose their nonces as they like.
    Open { client: u8, nonce: u8, root: u8 },
    /// It delivers in one of the sessions, if it may.
    Deliver(Index, u64),
    /// It states what it has delivered in one of them.
    State(Index),
    /// A session breaks.
    Break(Index),
    /// It asks another price from now on.
    Price(u64),
    /// An owner withdraws one of the roots.
    Withdraw(u8),
    /// Blocks on the ledger; the node's own lags behind.
    Blocks { count: u64, lag: u64 },
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..4u8, 0..2u8, 0..2u8).prop_map(|(client, nonce, root)| Event::Open { client, nonce, root }),
        6 => (any::<Index>(), 1..4u64).prop_map(|(which, bytes)| Event::Deliver(which, bytes)),
        6 => any::<Index>().prop_map(Event::State),
        1 => any::<Index>().prop_map(Event::Break),
        2 => (1..4u64).prop_map(Event::Price),
        2 => (0..2u8).prop_map(Event::Withdraw),
        4 => (1..4u64, 0..3u64).prop_map(|(count, lag)| Event::Blocks { count, lag }),
    ]
}

/// One session, from the side that delivers, as the node of this project keeps it.
struct Session {
    terms: SessionTerms,
    root: u8,
    seq: u64,
    bytes: u64,
    stated: u64,
}

/// A node that keeps to the rules, and all that it has ever signed.
struct Honest {
    world: World,
    /// The height of its own ledger, which may lag.
    height: u64,
    price: u64,
    sessions: Vec<Session>,
    opened: u64,
    quotes: Vec<Signed<Quote>>,
    terms: Vec<SessionTerms>,
    statements: Vec<Signed<Statement>>,
}

fn root_of(n: u8) -> Link {
    content(&n.to_string())
}

impl Honest {
    fn new() -> Self {
        let mut world = world();
        for n in 0..2 {
            world.claim(4, anchor(&n.to_string(), n));
        }
        Self {
            height: world.height,
            world,
            price: 1,
            sessions: Vec::new(),
            opened: 0,
            quotes: Vec::new(),
            terms: Vec::new(),
            statements: Vec::new(),
        }
    }

    /// Whether its own ledger has shown a root as withdrawn for more than so many blocks.
    fn is_withdrawn(&self, root: u8, blocks: u64) -> bool {
        let tombstone = self.world.asset(&root.to_string()).unwrap().tombstone;
        tombstone.is_some_and(|height| height + blocks < self.height)
    }

    fn step(&mut self, event: &Event) {
        match event {
            Event::Open { client, nonce, root } => self.open(*client, *nonce, *root),
            Event::Deliver(which, bytes) => self.deliver(which, *bytes),
            Event::State(which) => self.state(which),
            Event::Break(which) if !self.sessions.is_empty() => {
                let at = which.index(self.sessions.len());
                self.sessions.remove(at);
            }
            Event::Break(_) => {}
            Event::Price(price) => self.price = *price,
            Event::Withdraw(root) => {
                let _ = self
                    .world
                    .block(vec![(4, Action::AssetTombstone { cid: root_of(*root) })]);
            }
            Event::Blocks { count, lag } => {
                self.world.skip_to(self.world.height + count);
                self.height = self.height.max(self.world.height - lag);
                self.end_withdrawn();
            }
        }
    }

    fn open(&mut self, client: u8, nonce: u8, root: u8) {
        if self.is_withdrawn(root, 0) {
            return;
        }
        let body = Quote {
            price: Amount::from_units(self.price),
            ..quote("0").body
        };
        let quote = Signed::sign(body, CHAIN, &node(1));
        self.opened += 1;
        let terms = SessionTerms {
            client: node_key(client),
            client_nonce: secret(nonce),
            server_nonce: escrow_id(CHAIN, &at(1), self.opened),
            ..session(&quote)
        };
        self.quotes.push(quote);
        self.terms.push(terms.clone());
        self.sessions.push(Session {
            terms,
            root,
            seq: 0,
            bytes: 0,
            stated: 0,
        });
    }

    fn deliver(&mut self, which: &Index, bytes: u64) {
        if !self.sessions.is_empty() {
            let at = which.index(self.sessions.len());
            self.sessions[at].bytes += bytes;
        }
    }

    fn state(&mut self, which: &Index) {
        let Some(at) = (!self.sessions.is_empty()).then(|| which.index(self.sessions.len())) else {
            return;
        };
        let session = &mut self.sessions[at];
        if session.bytes == session.stated {
            return;
        }
        session.seq += 1;
        session.stated = session.bytes;
        let body = Statement {
            session: session.terms.id(),
            seq: session.seq,
            quote: session.terms.quote,
            root: root_of(session.root),
            bytes: session.bytes,
            blocks: session.bytes,
            height: self.height,
            escrow: None,
        };
        self.statements.push(Signed::sign(body, CHAIN, &node(1)));
    }

    /// Sessions about what was withdrawn may go on within the grace.
    fn end_withdrawn(&mut self) {
        let ended: Vec<bool> = self
            .sessions
            .iter()
            .map(|session| self.is_withdrawn(session.root, GRACE))
            .collect();
        let mut keep = ended.iter().map(|is_ended| !is_ended);
        self.sessions.retain(|_| keep.next().unwrap());
    }

    /// Everything that anybody can make of what it has signed, of three kinds.
    fn accusations(&self) -> Vec<FraudProof> {
        let mut all = Vec::new();
        for a in &self.statements {
            all.push(FraudProof::Withdrawn { statement: a.clone() });
            for b in &self.statements {
                all.push(FraudProof::Equivocation {
                    statements: [a.clone(), b.clone()],
                });
            }
            for (terms, agreed) in self.terms.iter().zip(&self.quotes) {
                all.extend(self.quotes.iter().map(|billed| FraudProof::OverPrice {
                    terms: terms.clone(),
                    agreed: agreed.clone(),
                    billed: billed.clone(),
                    statement: a.clone(),
                }));
            }
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn who_keeps_to_the_rules_is_never_convicted(events in vec(events(), 1..60)) {
        let mut honest = Honest::new();
        events.iter().for_each(|event| honest.step(event));
        for proof in honest.accusations() {
            let needs_ledger = matches!(proof, FraudProof::Withdrawn { .. });
            prop_assert!(needs_ledger || !proof.holds(CHAIN), "{:?}", proof);
        }
        // On the ledger too, whenever it is brought.
        let withdrawn = honest.accusations().into_iter().filter(|proof| proof.offence() == Offence::Withdrawn);
        let steps: Vec<(u8, Action)> = withdrawn.map(|proof| (1, fraud(proof))).collect();
        for result in honest.world.block(steps) {
            prop_assert!(result.is_err());
        }
        prop_assert_eq!(honest.world.state.conviction(&node_key(1)).unwrap(), None);
    }

    /// What is put together of random words convicts only who has signed them.
    #[test]
    fn nobody_is_convicted_by_what_others_sign(a in 1..4u8, b in 1..4u8, bytes in 0..2u64, height in 0..3u64) {
        let statements = [said(a, 0, height), said(b, bytes, height)];
        let proof = FraudProof::Equivocation { statements };
        prop_assert_eq!(proof.holds(CHAIN), a == b && bytes != 0);
        prop_assert!(proof.node() == &node_key(a) || !proof.holds(CHAIN));
    }
}
