//! Escrows: open, top up, set aside, leave.

use ledger::{Action, Refusal};

use crate::paying::*;
use crate::world::*;

fn top_up(escrow: ledger::Hash, amount: &str) -> Action {
    Action::EscrowTopUp {
        escrow,
        amount: coins(amount),
    }
}

#[test]
fn an_escrow_holds_what_was_put_in() {
    let mut world = World::new();
    let before = world.balance(1);
    let id = open(&mut world, 1, "10");
    let escrow = escrow_at(&world, &id).unwrap();
    assert_eq!(
        (escrow.payer, escrow.balance, escrow.opened),
        (at(1), coins("10"), 2)
    );
    assert_eq!((escrow.reserved, escrow.exit), (coins("0"), None));
    assert_eq!(world.balance(1), before.checked_sub(coins("10.001")).unwrap());
    // Anybody may add to it.
    world.pass(3, top_up(id, "1.5"));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("11.5"));
    assert_eq!(world.refused(1, open_action(1, "0")), Refusal::NothingToEscrow);
    assert_eq!(world.refused(1, top_up(id, "0")), Refusal::NothingToEscrow);
    assert!(matches!(
        world.refused(1, open_action(1, "990")),
        Refusal::Balance { .. }
    ));
    assert_eq!(
        world.refused(1, top_up(secret(9), "1")).to_string(),
        format!("escrow {} is not open", secret(9))
    );
}

#[test]
fn two_escrows_of_one_payer_are_two() {
    let mut world = World::new();
    let (first, second) = (open(&mut world, 1, "1"), open(&mut world, 1, "2"));
    assert_ne!(first, second);
    assert_eq!(escrow_at(&world, &first).unwrap().balance, coins("1"));
    assert_eq!(escrow_at(&world, &second).unwrap().balance, coins("2"));
}

#[test]
fn only_what_is_free_can_be_set_aside() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "6", 50));
    let line = line_at(&world, &id, 2).unwrap();
    assert_eq!(
        (line.reserved, line.expires, line.paid),
        (coins("6"), 50, coins("0"))
    );
    let escrow = escrow_at(&world, &id).unwrap();
    assert_eq!((escrow.reserved, escrow.reserved_until), (coins("6"), 50));
    assert_eq!(
        world.refused(1, allot(id, 3, "5", 50)).to_string(),
        format!(
            "escrow {id} can set aside 4 coins for {} at most, not 5: the rest is set aside for others, top it up first",
            show(at(3))
        )
    );
    world.pass(1, allot(id, 3, "4", 60));
    // More for one takes from what is free, not from what it has.
    world.pass(1, top_up(id, "1"));
    world.pass(1, allot(id, 2, "7", 50));
    assert_eq!(escrow_at(&world, &id).unwrap().reserved, coins("11"));
}

#[test]
fn what_is_set_aside_stays_until_it_expires() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "6", 20));
    let words = format!(
        "escrow {id} has set aside 6 coins for {} until height 20: give at least as many for as long, or wait",
        show(at(2))
    );
    for less in [
        allot(id, 2, "5", 20),
        allot(id, 2, "6", 19),
        allot(id, 2, "0", 30),
    ] {
        assert_eq!(world.refused(1, less).to_string(), words);
    }
    world.pass(1, allot(id, 2, "6", 21));
    world.skip_to(20);
    world.pass(1, allot(id, 2, "1", 40));
    assert_eq!(escrow_at(&world, &id).unwrap().reserved, coins("1"));
    world.skip_to(40);
    world.pass(1, allot(id, 2, "0", 45));
    assert_eq!(line_at(&world, &id, 2), None, "a line that says nothing is kept");
    assert_eq!(escrow_at(&world, &id).unwrap().reserved, coins("0"));
}

#[test]
fn the_term_is_ahead_and_not_for_ever() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    assert_eq!(
        world.refused(1, allot(id, 2, "1", 3)).to_string(),
        "coins are set aside until a height from 4 to 3153603, not 3"
    );
    assert!(matches!(
        world.refused(1, allot(id, 2, "1", u64::MAX)),
        Refusal::AllotTerm { .. }
    ));
}

#[test]
fn only_the_payer_rules_over_it() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    let words = format!("escrow {id} belongs to {}, not to {}", show(at(1)), show(at(2)));
    for action in [
        allot(id, 2, "1", 50),
        Action::EscrowExit { escrow: id },
        Action::EscrowClose { escrow: id },
    ] {
        assert_eq!(world.refused(2, action).to_string(), words);
    }
}

#[test]
fn leaving_takes_two_steps_and_time() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    let (exit, close) = (
        Action::EscrowExit { escrow: id },
        Action::EscrowClose { escrow: id },
    );
    assert_eq!(
        world.refused(1, close.clone()).to_string(),
        format!("escrow {id} is in use: ask to exit first, it can be closed {EXIT_DELAY} blocks later")
    );
    world.pass(1, exit.clone());
    let (asked, from) = (world.height, world.height + EXIT_DELAY);
    let words = format!("the payer of escrow {id} asked to leave at height {asked}: open another one");
    for action in [exit, top_up(id, "1"), allot(id, 2, "1", 100)] {
        assert_eq!(world.refused(1, action).to_string(), words);
    }
    assert_eq!(
        world.refused(1, close.clone()).to_string(),
        format!("escrow {id} can be closed from height {from} on: send it again then")
    );
    world.skip_to(from - 1);
    let before = world.balance(1);
    world.pass(1, close.clone());
    let after = before.checked_add(coins("9.999")).unwrap();
    assert_eq!((world.height, world.balance(1)), (from, after));
    assert_eq!(escrow_at(&world, &id), None);
    assert!(matches!(world.refused(1, close), Refusal::EscrowUnknown { .. }));
}

#[test]
fn it_is_not_closed_while_something_is_set_aside() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "3", 40));
    world.pass(1, Action::EscrowExit { escrow: id });
    world.skip_to(30);
    let close = Action::EscrowClose { escrow: id };
    assert_eq!(
        world.refused(1, close.clone()).to_string(),
        format!("escrow {id} can be closed from height 40 on: send it again then")
    );
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("3"))]));
    world.skip_to(39);
    let before = world.balance(1);
    world.pass(1, close);
    assert_eq!(world.balance(1), before.checked_add(coins("6.999")).unwrap());
}

#[test]
fn an_empty_account_can_close_its_escrow() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, Action::EscrowExit { escrow: id });
    let rest = world.balance(1).checked_sub(coins("0.001")).unwrap();
    world.pass(
        1,
        Action::Transfer {
            to: at(2),
            amount: rest,
        },
    );
    world.skip_to(20);
    world.pass(1, Action::EscrowClose { escrow: id });
    assert_eq!(world.balance(1), coins("9.999"));
}
