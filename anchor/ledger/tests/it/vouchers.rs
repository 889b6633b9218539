//! Claims: what a voucher is worth, and every way in which it is worth nothing.

use ledger::{Action, Hash, Refusal, Signed, State, Voucher, VoucherError};

use crate::paying::*;
use crate::world::*;

/// Account 1 has put 10 coins aside.
fn paying() -> (World, Hash) {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    (world, id)
}

#[test]
fn a_claim_pays_what_is_new() {
    let (mut world, id) = paying();
    let before = world.balance(2);
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("3"))]));
    assert_eq!(world.balance(2), before.checked_add(coins("2.999")).unwrap());
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("7"));
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("4.5"))]));
    assert_eq!(world.balance(2), before.checked_add(coins("4.498")).unwrap());
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("4.5"));
}

#[test]
fn a_voucher_that_does_not_hold_refuses_the_whole_claim() {
    let (mut world, id) = paying();
    let other = open(&mut world, 3, "10");
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("3"))]));
    let good = voucher(other, 3, 2, coins("1"));
    let mut check = |bad: Signed<Voucher>, words: &str| {
        let text = world
            .refused(2, claim_of(vec![good.clone(), bad.clone()]))
            .to_string();
        let escrow = bad.body.escrow;
        assert_eq!(
            text,
            format!("the voucher on escrow {escrow} is refused: {words}")
        );
    };
    check(
        voucher(id, 1, 2, coins("3")),
        "it promises 3 coins, as one that was honoured before: sign for what was added since",
    );
    check(
        voucher(id, 1, 2, coins("2")),
        "it promises 2 coins, one that was honoured before promises 3",
    );
    check(
        voucher(id, 1, 3, coins("4")),
        &format!("its payee is {}, expected {}", show(at(3)), show(at(2))),
    );
    check(
        voucher(id, 3, 2, coins("4")),
        &format!(
            "its key is {}, expected {}",
            voucher_key(3).public(),
            voucher_key(1).public()
        ),
    );
    let mut raised = voucher(id, 1, 2, coins("4"));
    raised.body.cumulative = coins("5");
    check(raised, "its signature does not hold");
    let foreign = Signed::sign(voucher(id, 1, 2, coins("4")).body, "other", &voucher_key(1));
    check(foreign, "its signature does not hold");
    assert!(matches!(
        world.refused(2, claim_of(vec![voucher(secret(9), 1, 2, coins("1"))])),
        Refusal::EscrowUnknown { .. }
    ));
}

#[test]
fn what_is_set_aside_is_paid_whatever_others_claim() {
    let (mut world, id) = paying();
    world.pass(1, allot(id, 2, "4", 50));
    // Account 3 takes all that is free, and no more.
    world.pass(3, claim_of(vec![voucher(id, 1, 3, coins("100"))]));
    assert_eq!(line_at(&world, &id, 3).unwrap().paid, coins("6"));
    assert_eq!(
        world
            .refused(3, claim_of(vec![voucher(id, 1, 3, coins("101"))]))
            .to_string(),
        "nothing can be paid: the escrows hold no coins for this claim that are not set aside for others"
    );
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("3"))]));
    let line = line_at(&world, &id, 2).unwrap();
    assert_eq!((line.paid, line.reserved), (coins("3"), coins("1")));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("1"));
}

#[test]
fn a_voucher_that_was_paid_in_part_is_good_for_the_rest() {
    let (mut world, id) = paying();
    let promise = voucher(id, 1, 2, coins("12"));
    world.pass(2, claim_of(vec![promise.clone()]));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("10"));
    assert_eq!(
        world.refused(2, claim_of(vec![promise.clone()])),
        Refusal::NothingToClaim
    );
    let amount = coins("5");
    world.pass(1, Action::EscrowTopUp { escrow: id, amount });
    world.pass(2, claim_of(vec![promise.clone()]));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("12"));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("3"));
    let refusal = world.refused(2, claim_of(vec![promise]));
    let cumulative = coins("12");
    assert_eq!(
        refusal,
        Refusal::Voucher {
            escrow: id.to_string(),
            reason: VoucherError::Replayed { cumulative }
        }
    );
}

#[test]
fn what_has_expired_is_anybodys() {
    let (mut world, id) = paying();
    world.pass(1, allot(id, 2, "4", 10));
    world.skip_to(9);
    // Still set aside in the books of the escrow, until its payee or its payer comes.
    world.pass(3, claim_of(vec![voucher(id, 1, 3, coins("100"))]));
    assert_eq!(line_at(&world, &id, 3).unwrap().paid, coins("6"));
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("1"))]));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("1"));
    world.pass(3, claim_of(vec![voucher(id, 1, 3, coins("100"))]));
    assert_eq!(line_at(&world, &id, 3).unwrap().paid, coins("9"));
}

#[test]
fn claims_go_on_after_the_exit_and_end_with_the_close() {
    let (mut world, id) = paying();
    world.pass(1, Action::EscrowExit { escrow: id });
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("1"))]));
    world.skip_to(20);
    world.pass(1, Action::EscrowClose { escrow: id });
    assert!(matches!(
        world.refused(2, claim_of(vec![voucher(id, 1, 2, coins("2"))])),
        Refusal::EscrowUnknown { .. }
    ));
}

#[test]
fn an_empty_account_can_claim() {
    let (mut world, id) = paying();
    world.pass(9, claim_of(vec![voucher(id, 1, 9, coins("1"))]));
    assert_eq!(world.balance(9), coins("0.999"));
    let tiny = voucher(id, 1, 8, ledger::Amount::from_units(1));
    assert!(matches!(
        world.refused(8, claim_of(vec![tiny])),
        Refusal::Balance { .. }
    ));
}

#[test]
fn receipts_are_noted_once() {
    let (mut world, id) = paying();
    let root = secret(5);
    world.pass(2, claim_with(vec![voucher(id, 1, 2, coins("1"))], root, 12));
    let entry = world.state.claim(&at(2), &root).unwrap().unwrap();
    assert_eq!(
        (entry.height, entry.receipts, entry.root, entry.amount),
        (3, 12, root, coins("1"))
    );
    assert_eq!(
        world
            .refused(2, claim_with(vec![voucher(id, 1, 2, coins("2"))], root, 12))
            .to_string(),
        format!("the receipts under {root} were claimed at height 3 already")
    );
    // Another account's receipts are another matter; and free deliveries have receipts too.
    world.pass(3, claim_with(vec![], root, 1));
    assert_eq!(
        world.state.claim(&at(3), &root).unwrap().unwrap().amount,
        coins("0")
    );
    assert_eq!(
        world.refused(3, claim_with(vec![], secret(6), 0)).to_string(),
        "a root of receipts needs a count of at least 1"
    );
    assert_eq!(
        world.refused(3, claim_of(vec![])).to_string(),
        "a claim needs a voucher, a count, or receipts"
    );
}

#[test]
fn a_full_claim_fits_into_a_transaction() {
    let mut world = World::new();
    let most = ledger::MAX_CLAIM_VOUCHERS;
    let id = open(&mut world, 1, "100");
    let vouchers = |count: usize| {
        let one = |n: usize| voucher(id, 1, 2, coins("1").checked_mul(n as u64 + 1).unwrap());
        (0..count).map(one).collect::<Vec<_>>()
    };
    world.claim(3, anchor("site", 1));
    let split = |count: usize| {
        let one = |n: usize| voucher_for("site", id, 1, 2, coins("1").checked_mul(n as u64 + 1).unwrap());
        (0..count).map(one).collect::<Vec<_>>()
    };
    world.pass(2, claim_with(split(most), secret(2), 1));
    world.pass(2, claim_with(vouchers(most), secret(1), 1));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("32"));
    assert_eq!(
        world.refused(2, claim_of(vouchers(most + 1))).to_string(),
        "a claim of 33 vouchers and counts is too long: at most 32 in one"
    );
}
