//! Edges: register, change, leave.

use ledger::{Action, Amount, Refusal, State, edge_consent};

use crate::paying::*;
use crate::world::*;

fn register_edge(owner: u8, n: u8, capacity: u32) -> Action {
    Action::EdgeRegister {
        node: node_key(n),
        payout: at(7),
        price: coins("0.5"),
        capacity,
        traffic_max: 1 << 40,
        consent: edge_consent(CHAIN, &node(n), &at(owner)),
        bond: Amount::ZERO,
    }
}

fn set(n: u8, capacity: u32) -> Action {
    Action::EdgeSet {
        node: node_key(n),
        payout: at(8),
        price: coins("0.25"),
        capacity,
        traffic_max: 0,
        bond: Amount::ZERO,
    }
}

#[test]
fn an_edge_is_registered_changed_and_gone() {
    let mut world = World::new();
    world.pass(1, register_edge(1, 1, 100));
    let edge = world.state.edge(&node_key(1)).unwrap().unwrap();
    assert_eq!(
        (edge.owner, edge.payout, edge.price),
        (at(1), at(7), coins("0.5"))
    );
    assert_eq!(
        (edge.capacity, edge.traffic_max, edge.registered),
        (100, 1 << 40, 2)
    );
    world.pass(1, set(1, 5));
    let edge = world.state.edge(&node_key(1)).unwrap().unwrap();
    assert_eq!(
        (edge.owner, edge.payout, edge.price),
        (at(1), at(8), coins("0.25"))
    );
    assert_eq!((edge.capacity, edge.traffic_max, edge.registered), (5, 0, 2));
    world.pass(1, Action::EdgeLeave { node: node_key(1) });
    assert_eq!(world.state.edge(&node_key(1)).unwrap(), None);
    // Then its key may stand with another owner.
    world.pass(2, register_edge(2, 1, 100));
}

#[test]
fn a_node_has_one_owner_and_consents_to_it() {
    let mut world = World::new();
    let (name, me) = (node_key(1), show(at(2)));
    assert_eq!(
        world.refused(2, register_edge(1, 1, 100)).to_string(),
        format!("node {name} has not consented to {me}: its key must sign for this account")
    );
    world.pass(1, register_edge(1, 1, 100));
    let taken = format!("node {name} is registered already, by {}", show(at(1)));
    assert_eq!(world.refused(2, register_edge(2, 1, 100)).to_string(), taken);
    assert_eq!(world.refused(1, register_edge(1, 1, 100)).to_string(), taken);
    let words = format!("node {name} belongs to {}, not to {me}", show(at(1)));
    for action in [set(1, 5), Action::EdgeLeave { node: name }] {
        assert_eq!(world.refused(2, action).to_string(), words);
    }
    assert_eq!(
        world.refused(1, set(2, 5)).to_string(),
        format!("node {} is not registered", node_key(2))
    );
    assert_eq!(world.refused(1, set(1, 0)), Refusal::EdgeCapacity);
    assert_eq!(
        world.refused(1, register_edge(1, 2, 0)).to_string(),
        "an edge needs a capacity of at least 1 request"
    );
}

#[test]
fn consent_is_for_one_chain() {
    let mut world = World::new();
    let mut action = register_edge(1, 1, 1);
    if let Action::EdgeRegister { consent, .. } = &mut action {
        *consent = edge_consent("other", &node(1), &at(1));
    }
    assert!(matches!(world.refused(1, action), Refusal::EdgeConsent { .. }));
}
