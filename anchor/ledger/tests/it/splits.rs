//! Splits: what owner and others get of a claim, exactly, and what refuses it.

use ledger::{Action, Amount, Hash, Line, State, receipts_root, split_account};

use crate::paying::*;
use crate::world::*;

/// Account 1 has put 10 coins aside, account 3 owns an asset: it gets 10 %, account 4 gets 2.5 %.
fn paying() -> (World, Hash) {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.claim(3, anchor_split("site", 1, &[(None, 1_000), (Some(4), 250)]));
    (world, id)
}

fn line_for(world: &World, id: &Hash, payee: u8) -> Option<Line> {
    let account = split_account(&at(payee), &content("site").0);
    world.state.line(id, &account).unwrap()
}

fn balances<const N: usize>(world: &World, of: [u8; N]) -> [Amount; N] {
    of.map(|who| world.balance(who))
}

#[test]
fn a_claim_is_divided_exactly_and_apart_from_all_others() {
    let (mut world, id) = paying();
    let [edge, owner, origin] = balances(&world, [2, 3, 4]);
    let root = receipts_root(&[secret(1)]);
    let vouchers = vec![
        voucher_for("site", id, 1, 2, coins("4")),
        voucher(id, 1, 2, coins("1")),
    ];
    world.pass(2, claim_with(vouchers, root, 1));
    let add = |before: Amount, more: &str| before.checked_add(coins(more)).unwrap();
    // 3.5 of 4 coins, 1 coin, less the fee.
    assert_eq!(
        balances(&world, [2, 3, 4]),
        [add(edge, "4.499"), add(owner, "0.4"), add(origin, "0.1")]
    );
    let entry = world.state.claim(&at(2), &root).unwrap().unwrap();
    assert_eq!((entry.amount, entry.shared), (coins("5"), coins("0.5")));
    assert_eq!(line_for(&world, &id, 2).unwrap().paid, coins("4"));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("1"));
    assert_eq!(escrow_at(&world, &id).unwrap().balance, coins("5"));
}

#[test]
fn the_owners_share_follows_the_asset() {
    let (mut world, id) = paying();
    let before = world.balance(9);
    world.pass(2, claim_of(vec![voucher_for("site", id, 1, 2, coins("1"))]));
    let cid = content("site");
    world.pass(3, Action::AssetTransfer { cid, to: at(9) });
    let former = world.balance(3);
    world.pass(2, claim_of(vec![voucher_for("site", id, 1, 2, coins("3"))]));
    assert_eq!(world.balance(9), before.checked_add(coins("0.2")).unwrap());
    assert_eq!(world.balance(3), former);
}

#[test]
fn many_small_claims_give_no_less() {
    let (mut world, id) = paying();
    let owner = world.balance(3);
    for units in (7..=700).step_by(7) {
        let promise = Amount::from_units(units);
        world.pass(2, claim_of(vec![voucher_for("site", id, 1, 2, promise)]));
    }
    let got = world.balance(3).checked_sub(owner).unwrap();
    assert_eq!(got.units(), 70);
}

#[test]
fn what_is_set_aside_for_an_asset_is_for_it_alone() {
    let (mut world, id) = paying();
    world.pass(
        1,
        Action::EscrowAllot {
            escrow: id,
            payee: split_account(&at(2), &content("site").0),
            amount: coins("4"),
            expires: 50,
            metered: false,
        },
    );
    world.pass(2, claim_of(vec![voucher(id, 1, 2, coins("100"))]));
    assert_eq!(line_at(&world, &id, 2).unwrap().paid, coins("6"));
    world.pass(2, claim_of(vec![voucher_for("site", id, 1, 2, coins("100"))]));
    assert_eq!(line_for(&world, &id, 2).unwrap().paid, coins("4"));
}

#[test]
fn an_asset_without_shares_leaves_all_to_who_delivers() {
    let (mut world, id) = paying();
    world.claim(3, anchor("other", 2));
    let (edge, owner) = (world.balance(2), world.balance(3));
    world.pass(2, claim_of(vec![voucher_for("other", id, 1, 2, coins("1"))]));
    assert_eq!(world.balance(2), edge.checked_add(coins("0.999")).unwrap());
    assert_eq!(world.balance(3), owner);
}

#[test]
fn what_does_not_hold_is_refused() {
    let (mut world, id) = paying();
    let unknown = voucher_for("nothing", id, 1, 2, coins("1"));
    assert_eq!(
        world.refused(2, claim_of(vec![unknown])).to_string(),
        format!("asset {} is not anchored", content("nothing"))
    );
    let mut moved = voucher_for("site", id, 1, 2, coins("1"));
    moved.body.asset = None;
    assert!(
        world
            .refused(2, claim_of(vec![moved]))
            .to_string()
            .contains("signature")
    );
    // Nobody claims as the account itself.
    let too_much = anchor_split("more", 3, &[(None, 5_001)]);
    world.pass(3, commit(3, &too_much));
    assert_eq!(
        world.refused(3, too_much).to_string(),
        "records: asset split: the shares are 50.01 % together, at most 50 % are allowed"
    );
}

#[test]
fn the_split_is_fixed_for_ever() {
    let (mut world, _) = paying();
    let split = world.asset("site").unwrap().split;
    let cid = content("site");
    world.pass(3, Action::AssetTransfer { cid, to: at(1) });
    world.pass(1, Action::AssetTombstone { cid });
    assert_eq!(world.asset("site").unwrap().split, split);
}
