//! The books of the two sides: what may leave unpaid, and what either can lose.

use ledger::{Action, Amount, COIN, CreditTerms, Owed, Purse, Tab, VoucherError, collectible};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::paying::*;
use crate::world::*;

pub const MIB: u64 = 1 << 20;

pub fn terms() -> CreditTerms {
    CreditTerms {
        first_window: MIB,
        window_max: 16 * MIB,
        float: coins("2"),
    }
}

pub fn price() -> Amount {
    coins("0.1")
}

pub fn units(units: u64) -> Amount {
    Amount::from_units(units)
}

fn plenty() -> Amount {
    coins("1000")
}

#[test]
fn the_window_grows_by_what_is_paid_for() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    let mut windows = vec![];
    for _ in 0..7 {
        let room = tab.room(price(), &terms);
        windows.push(room / MIB);
        tab.deliver(room, price());
        assert_eq!(tab.room(price(), &terms), 0);
        let due = tab.due();
        let cumulative = tab.vouched.checked_add(due).unwrap();
        assert_eq!(tab.honour(cumulative, plenty(), &terms), Ok(due));
    }
    assert_eq!(windows, [1, 2, 4, 8, 16, 16, 16]);
    assert_eq!((tab.paid_bytes, tab.unpaid_bytes), (63 * MIB, 0));
}

#[test]
fn many_small_payments_open_no_large_window() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    for _ in 0..100 {
        tab.deliver(1000, price());
        let cumulative = tab.vouched.checked_add(tab.due()).unwrap();
        tab.honour(cumulative, plenty(), &terms).unwrap();
    }
    assert_eq!(tab.window, MIB + 100_000);
}

#[test]
fn half_a_window_is_paid_half() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    tab.deliver(MIB, price());
    tab.honour(coins("0.05"), plenty(), &terms).unwrap();
    assert_eq!((tab.paid_bytes, tab.unpaid_bytes), (MIB / 2, MIB / 2));
    assert_eq!((tab.due(), tab.window), (coins("0.05"), MIB + MIB / 2));
    assert_eq!(tab.room(price(), &terms), MIB);
}

#[test]
fn price_nothing_owes_nothing() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    assert_eq!(tab.room(Amount::ZERO, &terms), u64::MAX);
    assert_eq!(tab.covered(Amount::ZERO, Amount::ZERO), u64::MAX);
    tab.deliver(1 << 40, Amount::ZERO);
    tab.fault(&terms);
    assert_eq!(tab, Tab::new(&terms));
}

#[test]
fn a_payer_that_breaks_off_again_and_again_pays_ahead() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    let mut windows = 0;
    while !tab.pays_ahead(&terms) {
        let room = tab.room(price(), &terms);
        assert_eq!(room, MIB);
        tab.deliver(room, price());
        tab.fault(&terms);
        windows += 1;
    }
    assert_eq!((windows, tab.forgiven), (2, 2 * MIB));
    assert_eq!((tab.room(price(), &terms), tab.due()), (0, Amount::ZERO));
    // What it pays ahead leaves, and no byte more.
    assert_eq!(tab.needed(MIB, price(), &terms), price());
    tab.honour(price(), plenty(), &terms).unwrap();
    assert_eq!(tab.room(price(), &terms), MIB);
    tab.deliver(MIB, price());
    assert_eq!(tab.room(price(), &terms), 0);
    // Eight bytes paid for make one lost byte good.
    for _ in 0..7 {
        assert!(tab.pays_ahead(&terms));
        let needed = tab.needed(MIB, price(), &terms);
        tab.honour(needed, plenty(), &terms).unwrap();
        tab.deliver(MIB, price());
    }
    assert!(!tab.pays_ahead(&terms));
    assert_eq!(tab.room(price(), &terms), MIB);
}

#[test]
fn a_fault_halves_the_window() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    tab.window = 8 * MIB;
    tab.paid_bytes = 100 * MIB;
    tab.fault(&terms);
    assert_eq!(tab.window, 8 * MIB, "nothing was unpaid");
    for window in [4, 2, 1, 1] {
        tab.deliver(1, price());
        tab.fault(&terms);
        assert_eq!(tab.window, window * MIB);
    }
}

#[test]
fn a_block_larger_than_the_window_is_paid_ahead_in_part() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    assert_eq!(tab.needed(MIB, price(), &terms), Amount::ZERO);
    let needed = tab.needed(2 * MIB, price(), &terms);
    assert_eq!(needed, price());
    tab.honour(needed, plenty(), &terms).unwrap();
    assert_eq!(tab.room(price(), &terms), 2 * MIB);
}

#[test]
fn vouchers_are_taken_once_and_only_upwards() {
    let (terms, mut tab) = (terms(), Tab::new(&terms()));
    tab.honour(coins("1"), plenty(), &terms).unwrap();
    let before = tab.clone();
    let mut check = |cumulative: &str, error: VoucherError| {
        let found = tab.honour(coins(cumulative), coins("3"), &terms).unwrap_err();
        assert_eq!((found, &tab), (error, &before));
    };
    let cumulative = coins("1");
    check("1", VoucherError::Replayed { cumulative });
    let (cumulative, highest) = (coins("0.9"), coins("1"));
    check("0.9", VoucherError::Shrunk { cumulative, highest });
    let (cumulative, collectible) = (coins("3.1"), coins("3"));
    let error = VoucherError::Overdrawn {
        cumulative,
        collectible,
    };
    assert_eq!(
        error.to_string(),
        "it promises 3.1 coins, but the escrow pays this payee at most 3: allot more to it first"
    );
    check("3.1", error);
}

#[test]
fn what_is_collectible_is_what_the_ledger_pays() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    let check = |world: &World, float: &str, expected: &str| {
        let (escrow, line) = (escrow_at(world, &id), line_at(world, &id, 2));
        let found = collectible(escrow.as_ref(), line.as_ref(), world.height + 1, coins(float));
        assert_eq!(found, coins(expected), "{escrow:?} {line:?}");
    };
    check(&world, "0", "0");
    check(&world, "2", "2");
    check(&world, "20", "10");
    world.pass(1, allot(id, 2, "4", 10));
    check(&world, "0", "4");
    check(&world, "20", "10");
    world.pass(1, allot(id, 3, "5", 10));
    check(&world, "2", "5");
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("3"))]));
    check(&world, "0", "4");
    world.skip_to(9);
    // What was set aside for it is free again, and what was set aside for account 3 is its payer's to free.
    check(&world, "0", "3");
    check(&world, "20", "5");
    world.pass(1, Action::EscrowExit { escrow: id });
    check(&world, "20", "3");
    world.skip_to(20);
    world.pass(1, Action::EscrowClose { escrow: id });
    check(&world, "20", "3");
    assert_eq!(collectible(None, None, 1, plenty()), Amount::ZERO);
}

#[test]
fn a_purse_signs_for_what_is_verified_and_one_window_ahead() {
    let (mut purse, id) = (Purse::default(), secret(4));
    let sign = |purse: &mut Purse, ahead: &str| {
        let voucher = purse.voucher(id, at(2), None, None, coins(ahead))?;
        assert_eq!((voucher.escrow, voucher.payee), (id, at(2)));
        Some(voucher.cumulative)
    };
    assert_eq!(sign(&mut purse, "0"), None);
    assert_eq!(sign(&mut purse, "0.1"), Some(coins("0.1")));
    assert_eq!(sign(&mut purse, "0.1"), None, "ahead does not add up");
    purse.receive(MIB, price());
    assert_eq!(sign(&mut purse, "0"), None, "it was paid ahead");
    purse.receive(1, price());
    assert_eq!(purse.due(), units(10));
    assert_eq!(sign(&mut purse, "0"), Some(units(COIN / 10 + 10)));
    assert_eq!((purse.due(), sign(&mut purse, "0")), (Amount::ZERO, None));
}

#[test]
fn a_purse_learns_what_it_signed_before_its_books_were_lost() {
    let mut purse = Purse::default();
    purse.receive(MIB, price());
    purse.recall(coins("5"));
    assert_eq!((purse.signed, purse.verified.amount()), (coins("5"), coins("5")));
    purse.receive(MIB, price());
    let voucher = purse.voucher(secret(4), at(2), None, None, Amount::ZERO).unwrap();
    assert_eq!(voucher.cumulative, coins("5.1"));
    let before = purse.clone();
    purse.recall(coins("5"));
    assert_eq!(purse, before);
}

fn prices() -> impl Strategy<Value = Amount> {
    prop_oneof![
        Just(Amount::ZERO),
        Just(units(1)),
        Just(price()),
        (1..3 * COIN).prop_map(units)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The payee may ask for anything ahead, stop sending, or show any old voucher: the payer's own rule bounds its loss.
    #[test]
    fn a_payer_loses_one_window(steps in vec((0..4u8, 0..8 * MIB, 0..10 * COIN), 1..60)) {
        let mut purse = Purse::default();
        let window = Owed::ZERO.add(MIB, price()).amount();
        let mut sent = vec![];
        for (what, bytes, asked) in steps {
            let ahead = match what {
                0 => {
                    purse.receive(bytes, price());
                    continue;
                }
                1 => units(asked).min(window),
                2 => {
                    let old = sent.get(asked as usize % (sent.len() + 1)).copied();
                    purse.recall(old.unwrap_or_default());
                    Amount::ZERO
                }
                _ => Amount::ZERO,
            };
            let before = purse.signed;
            if let Some(voucher) = purse.voucher(secret(4), at(2), None, None, ahead) {
                prop_assert!(voucher.cumulative > before);
                sent.push(voucher.cumulative);
            }
            let lost = purse.signed.checked_sub(purse.verified.amount()).unwrap_or_default();
            prop_assert!(lost <= window, "{} lost: {:?}", lost, purse);
        }
    }

    /// Two sides that follow the rules agree, however the bytes are cut, and whenever they are paid for.
    #[test]
    fn honest_sides_agree_to_the_unit(
        parts in vec((1..3 * MIB, any::<bool>()), 1..80),
        price in prices(),
    ) {
        let (terms, mut tab, mut purse) = (terms(), Tab::new(&terms()), Purse::default());
        let mut total = 0u128;
        for (bytes, pays) in parts {
            let mut left = bytes;
            while left > 0 {
                let sent = left.min(tab.room(price, &terms));
                tab.deliver(sent, price);
                purse.receive(sent, price);
                (left, total) = (left - sent, total + u128::from(sent));
                if left > 0 || pays {
                    settle(&mut tab, &mut purse)?;
                }
            }
        }
        settle(&mut tab, &mut purse)?;
        let exact = (total * u128::from(price.units())).div_ceil(1 << 20);
        prop_assert_eq!(u128::from(tab.vouched.units()), exact);
        prop_assert_eq!((tab.vouched, tab.due()), (purse.signed, Amount::ZERO));
        let counted = if price.is_zero() { 0 } else { total };
        prop_assert_eq!((u128::from(tab.paid_bytes), tab.unpaid_bytes, tab.forgiven), (counted, 0, 0));
    }

    /// Prices change between sessions, and the sum is still exact.
    #[test]
    fn sessions_at_different_prices_add_up(parts in vec((1..100 * MIB, prices()), 1..30)) {
        let mut exact = 0u128;
        let (mut tab, mut purse) = (Tab::new(&terms()), Purse::default());
        for (bytes, price) in parts {
            tab.deliver(bytes, price);
            purse.receive(bytes, price);
            exact += u128::from(bytes) * u128::from(price.units());
            prop_assert_eq!(tab.delivered, purse.verified);
            prop_assert_eq!(u128::from(purse.due().units()), exact.div_ceil(1 << 20));
        }
        settle(&mut tab, &mut purse)?;
        prop_assert_eq!((tab.due(), tab.unpaid_bytes), (Amount::ZERO, 0));
    }
}

fn settle(tab: &mut Tab, purse: &mut Purse) -> Result<(), TestCaseError> {
    if let Some(voucher) = purse.voucher(secret(4), at(2), None, None, Amount::ZERO) {
        let all = units(u64::MAX);
        prop_assert!(tab.honour(voucher.cumulative, all, &terms()).is_ok());
    }
    Ok(())
}

/// What was charged ahead and did not leave is as if it never had been.
#[test]
fn what_did_not_leave_is_taken_back() {
    let terms = CreditTerms::default();
    let mut tab = Tab::new(&terms);
    tab.deliver(MIB / 2, price());
    let before = tab.clone();
    tab.deliver(MIB / 4, price());
    tab.take_back(MIB / 4, price());
    assert_eq!(tab, before);
    tab.take_back(MIB, Amount::ZERO);
    assert_eq!(tab, before, "what costs nothing is not on it");

    // A voucher for what did arrive may come between the two.
    tab.deliver(MIB / 4, price());
    let arrived = before.delivered.amount();
    tab.honour(arrived, Amount::from_units(u64::MAX), &terms).unwrap();
    tab.take_back(MIB / 4, price());
    assert_eq!((tab.delivered, tab.due()), (before.delivered, Amount::ZERO));
    assert!(tab.unpaid_bytes <= MIB / 4);
}
