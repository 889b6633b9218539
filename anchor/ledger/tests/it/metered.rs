//! Metered allotments: what a payee counts by itself, trusted by the payer as far as it has set coins aside for that.

use ledger::{Action, Amount, Metered, Refusal};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::paying::*;
use crate::world::*;

#[test]
fn a_count_is_paid_out_of_what_is_set_aside_for_it() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot_metered(id, 2, "4", 50));
    let before = world.balance(2);
    world.pass(2, claim_counted(id, coins("1.5")));
    assert_eq!(world.balance(2), before.checked_add(coins("1.499")).unwrap());
    let meter = meter_at(&world, &id, 2).unwrap();
    assert_eq!((meter.paid, meter.reserved), (coins("1.5"), coins("2.5")));
    let escrow = escrow_at(&world, &id).unwrap();
    assert_eq!((escrow.balance, escrow.reserved), (coins("8.5"), coins("2.5")));
    assert_eq!(
        world.refused(2, claim_counted(id, coins("1.5"))).to_string(),
        format!("of the 1.5 coins counted for escrow {id}, 1.5 were paid already: count more first")
    );
    assert!(matches!(
        world.refused(2, claim_counted(id, coins("1"))),
        Refusal::NothingCounted { .. }
    ));
}

#[test]
fn never_more_than_the_allotment_is_paid() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot_metered(id, 2, "4", 50));
    // The other six coins are free, and would pay a voucher. They do not pay a count.
    world.pass(2, claim_counted(id, coins("100")));
    assert_eq!(meter_at(&world, &id, 2).unwrap().paid, coins("4"));
    assert_eq!(
        world.refused(2, claim_counted(id, coins("101"))),
        Refusal::NothingToClaim
    );
    // What was counted beyond it is paid once the payer says so.
    world.pass(1, allot_metered(id, 2, "2", 60));
    world.pass(2, claim_counted(id, coins("100")));
    assert_eq!(meter_at(&world, &id, 2).unwrap().paid, coins("6"));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("4"));
}

#[test]
fn nobody_counts_who_was_not_told_to() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "4", 50));
    // What is set aside for vouchers is not for counts.
    for payee in [2, 3] {
        assert_eq!(
            world.refused(payee, claim_counted(id, coins("1"))),
            Refusal::NothingToClaim
        );
    }
    world.pass(1, allot_metered(id, 2, "3", 50));
    assert_eq!(
        world.refused(3, claim_counted(id, coins("1"))),
        Refusal::NothingToClaim
    );
    assert!(matches!(
        world.refused(3, allot_metered(id, 3, "1", 50)),
        Refusal::NotOwner { .. }
    ));
}

#[test]
fn vouchers_and_counts_do_not_touch_each_other() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "4", 50));
    world.pass(1, allot_metered(id, 2, "3", 50));
    world.pass(2, claim_counted(id, coins("3")));
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("5"))]));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("5"));
    assert_eq!(meter_at(&world, &id, 2).unwrap().paid, coins("3"));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("2"));
    // Another payee's vouchers take what is free, and leave what is set aside for a count.
    world.pass(1, allot_metered(id, 2, "1.5", 60));
    world.pass(3, claim_of(vec![voucher(id, 1, 3, coins("9"))]));
    assert_eq!(line_at(&world, &id, 3).unwrap().paid, coins("0.5"));
    world.pass(2, claim_counted(id, coins("4.5")));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("0"));
}

#[test]
fn one_claim_carries_both() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot_metered(id, 2, "3", 50));
    let both = Action::Claim {
        vouchers: vec![voucher(id, 1, 2, coins("2"))],
        receipts: None,
        metered: vec![Metered {
            escrow: id,
            cumulative: coins("1"),
        }],
    };
    let before = world.balance(2);
    world.pass(2, both);
    assert_eq!(world.balance(2), before.checked_add(coins("2.999")).unwrap());
    let count = |n: u8| Metered {
        escrow: secret(n),
        cumulative: coins("1"),
    };
    let many = Action::Claim {
        vouchers: vec![],
        receipts: None,
        metered: (0..33).map(count).collect(),
    };
    assert!(matches!(
        world.refused(2, many),
        Refusal::ClaimTooLong { vouchers: 33, .. }
    ));
}

#[test]
fn it_ends_with_its_term_and_holds_the_escrow_open_until_then() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot_metered(id, 2, "4", 20));
    assert!(matches!(
        world.refused(1, allot_metered(id, 2, "3", 20)),
        Refusal::AllotShrunk { .. }
    ));
    world.pass(1, Action::EscrowExit { escrow: id });
    world.skip_to(18);
    assert!(matches!(
        world.refused(1, Action::EscrowClose { escrow: id }),
        Refusal::EscrowLocked { from: 20, .. }
    ));
    assert_eq!(
        world.refused(2, claim_counted(id, coins("1"))),
        Refusal::NothingToClaim
    );
    world.pass(1, Action::EscrowClose { escrow: id });
    assert!(matches!(
        world.refused(2, claim_counted(id, coins("1"))),
        Refusal::EscrowUnknown { .. }
    ));
}

/// What happens to one meter.
#[derive(Clone, Debug)]
enum Move {
    Allot { amount: u64, term: u64 },
    Count { cumulative: u64 },
    TopUp { amount: u64 },
    Wait { blocks: u64 },
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => (0..600u64, 1..12u64).prop_map(|(amount, term)| Move::Allot { amount, term }),
        5 => (0..3_000u64).prop_map(|cumulative| Move::Count { cumulative }),
        1 => (1..500u64).prop_map(|amount| Move::TopUp { amount }),
        1 => (1..6u64).prop_map(|blocks| Move::Wait { blocks }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A meter pays exactly what was counted, as long as that is set aside, and what it pays leaves the escrow. `World`
    /// audits the whole supply after each block.
    #[test]
    fn a_meter_pays_what_was_counted_and_at_most_what_was_allotted(moves in vec(moves(), 1..40)) {
        let units = Amount::from_units;
        let mut world = World::new();
        let id = open(&mut world, 1, "0.00001");
        let (mut allotted, mut highest, mut put_in) = (0u64, 0u64, 1000u64);
        for step in moves {
            let before = meter_at(&world, &id, 2).unwrap_or_default();
            let (left, next) = (before.reserve_at(world.height + 1).units(), world.height + 1);
            match step {
                Move::Allot { amount, term } => {
                    let expires = next + term;
                    let action = Action::EscrowAllot { escrow: id, payee: at(2), amount: units(amount), expires, metered: true };
                    if world.block(vec![(1, action)]).remove(0).is_ok() {
                        allotted += amount - left;
                    }
                }
                Move::Count { cumulative } => {
                    let (coins, fee) = (world.balance(2), world.genesis.fee.units());
                    let result = world.block(vec![(2, claim_counted(id, units(cumulative)))]).remove(0);
                    let paid = cumulative.saturating_sub(before.paid.units()).min(left);
                    prop_assert_eq!(result.is_ok(), paid > 0, "{:?}", result);
                    if paid > 0 {
                        highest = highest.max(cumulative);
                        prop_assert_eq!(world.balance(2).units() + fee, coins.units() + paid);
                    }
                }
                Move::TopUp { amount } => {
                    world.pass(3, Action::EscrowTopUp { escrow: id, amount: units(amount) });
                    put_in += amount;
                }
                Move::Wait { blocks } => world.skip_to(world.height + blocks),
            }
            let meter = meter_at(&world, &id, 2).unwrap_or_default();
            prop_assert!(meter.paid.units() <= allotted, "{meter:?} of {allotted}");
            prop_assert!(meter.paid.units() <= highest);
            let escrow = escrow_at(&world, &id).unwrap();
            prop_assert_eq!(escrow.balance.units() + meter.paid.units(), put_in);
            prop_assert_eq!(escrow.reserved, meter.reserved);
        }
    }
}
