//! Commit and reveal, and everybody who would like to take another's claim.

use ledger::{Action, Refusal, State, Tx, key};

use crate::world::*;

const ALICE: u8 = 1;
const THIEF: u8 = 2;

/// Every test of this file holds for names and for assets.
fn claims() -> [Action; 2] {
    [register("alice", 7), anchor("site", 7)]
}

/// The same claim with a secret of one's own.
fn same_with_secret(claim: &Action, number: u8) -> Action {
    let mut copy = claim.clone();
    match &mut copy {
        Action::NameRegister { secret, .. } | Action::AssetAnchor { secret, .. } => {
            *secret = crate::world::secret(number);
        }
        _ => unreachable!("claims() has reveals only"),
    }
    copy
}

fn owner(world: &World, claim: &Action) -> ledger::Address {
    match claim {
        Action::NameRegister { label, .. } => world.state.name(label).unwrap().unwrap().owner,
        Action::AssetAnchor { cid, .. } => world.state.asset(&cid.0).unwrap().unwrap().owner,
        _ => unreachable!("claims() has reveals only"),
    }
}

#[test]
fn a_reveal_has_its_time() {
    for claim in claims() {
        let mut world = World::new();
        let results = world.block(vec![(ALICE, commit(ALICE, &claim)), (ALICE, claim.clone())]);
        let early = results[1].clone().unwrap_err();
        assert!(early.may_pass_later());
        assert_eq!(
            early.to_string(),
            "the commit is of height 2, so its reveal is valid from height 3 on: send it again then"
        );
        world.skip_to(2 + TTL - 1);
        world.pass(ALICE, claim.clone());
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn a_late_reveal_is_refused_and_the_commit_can_be_made_anew() {
    for claim in claims() {
        let mut world = World::new();
        world.pass(ALICE, commit(ALICE, &claim));
        world.skip_to(2 + TTL);
        let refusal = world.refused(ALICE, claim.clone());
        assert_eq!(
            refusal.to_string(),
            "the commit of height 2 ended at height 12: commit again"
        );
        world.claim(ALICE, claim);
    }
}

#[test]
fn the_delay_of_the_ddn_preset_is_two_blocks() {
    let mut slow = genesis();
    slow.reveal_delay = 2;
    let mut world = World::of(slow);
    world.pass(ALICE, Action::Faucet {});
    world.pass(ALICE, commit(ALICE, &register("alice", 1)));
    assert!(matches!(
        world.refused(ALICE, register("alice", 1)),
        Refusal::RevealEarly { first: 4, .. }
    ));
    world.pass(ALICE, register("alice", 1));
}

#[test]
fn a_commit_is_used_up_and_old_ones_are_removed() {
    let mut world = World::new();
    let commits = |world: &World| {
        let open = |prefix: &[u8]| world.state.0.keys().filter(|key| key.starts_with(prefix)).count();
        (open(key::COMMITS), open(key::DUE))
    };
    for claim in claims() {
        world.pass(ALICE, commit(ALICE, &claim));
    }
    world.pass(ALICE, commit(ALICE, &register("never-revealed", 1)));
    assert_eq!(commits(&world), (3, 3));
    for claim in claims() {
        world.pass(ALICE, claim.clone());
        let again = world.refused(ALICE, claim);
        assert!(matches!(again, Refusal::NoCommit { .. }), "{again}");
    }
    assert_eq!(commits(&world), (1, 3));
    world.skip_to(4 + TTL);
    assert_eq!(commits(&world), (1, 1));
    world.skip_to(4 + TTL + 1);
    assert_eq!(commits(&world), (0, 0));
}

#[test]
fn an_open_commit_is_not_made_twice() {
    let mut world = World::new();
    let claim = register("alice", 1);
    world.pass(ALICE, commit(ALICE, &claim));
    let refusal = world.refused(ALICE, commit(ALICE, &claim));
    assert_eq!(
        refusal.to_string(),
        "the same commit was made at height 2 and is still open: reveal it"
    );
    world.skip_to(2 + TTL);
    world.pass(ALICE, commit(ALICE, &claim)); // in the block that removes the old one
    world.pass(ALICE, claim);
}

#[test]
fn a_reveal_without_a_commit_is_refused() {
    for claim in claims() {
        let mut world = World::new();
        let refusal = world.refused(ALICE, claim.clone());
        assert!(!refusal.may_pass_later());
        assert_eq!(
            refusal.to_string(),
            format!(
                "{}: this account has no open commit for it: commit first, from the same account with the same secret",
                claim.kind()
            )
        );
        world.pass(ALICE, commit(ALICE, &claim));
        assert!(matches!(
            world.refused(ALICE, same_with_secret(&claim, 8)),
            Refusal::NoCommit { .. }
        ));
    }
}

#[test]
fn a_verbatim_copy_of_the_reveal_gets_nothing() {
    for claim in claims() {
        let mut world = World::new();
        world.pass(ALICE, commit(ALICE, &claim));
        // The thief puts Alice's own words, under its own signature, in front of hers.
        let results = world.block(vec![(THIEF, claim.clone()), (ALICE, claim.clone())]);
        assert!(matches!(results[0], Err(Refusal::NoCommit { .. })), "{results:?}");
        assert_eq!(results[1], Ok(()));
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn her_transaction_under_another_key_does_not_hold() {
    let world = World::new();
    let hers = sign(ALICE, 1, world.genesis.fee, register("alice", 1));
    let stolen = Tx {
        key: who(THIEF).public(),
        ..hers
    };
    let mut block = ledger::Transition::new(&world.genesis, &world.state, 2, at(DELEGATE));
    assert_eq!(block.apply(&stolen), Err(Refusal::Signature));
}

#[test]
fn a_copied_commit_gets_nothing_and_takes_nothing_away() {
    for claim in claims() {
        let mut world = World::new();
        let hers = commit(ALICE, &claim);
        // The thief sees her commit on its way and puts the same hash first.
        let results = world.block(vec![(THIEF, hers.clone()), (ALICE, hers)]);
        assert_eq!(results, [Ok(()), Ok(())], "the copy does not stand in her way");
        // Now it also sees the reveal, and copies that too.
        let results = world.block(vec![(THIEF, claim.clone()), (ALICE, claim.clone())]);
        assert!(matches!(results[0], Err(Refusal::NoCommit { .. })), "{results:?}");
        assert_eq!(results[1], Ok(()));
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn a_delegate_that_puts_its_own_commit_and_reveal_first_gets_nothing() {
    for claim in claims() {
        let mut world = World::new();
        world.pass(ALICE, commit(ALICE, &claim));
        let own = same_with_secret(&claim, 9);
        let results = world.block(vec![
            (THIEF, commit(THIEF, &own)),
            (THIEF, own.clone()),
            (ALICE, claim.clone()),
        ]);
        assert!(
            matches!(results[1], Err(Refusal::RevealEarly { .. })),
            "{results:?}"
        );
        assert_eq!(results[2], Ok(()));
        let late = world.refused(THIEF, own);
        assert!(
            matches!(late, Refusal::NameTaken { .. } | Refusal::AssetTaken { .. }),
            "{late}"
        );
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn a_delegate_that_holds_the_reveal_back_and_takes_the_claim_first_loses_it_again() {
    for claim in claims() {
        let mut world = World::new();
        world.pass(ALICE, commit(ALICE, &claim));
        let own = same_with_secret(&claim, 9);
        // Her reveal is known, but not put into these blocks.
        world.pass(THIEF, commit(THIEF, &own));
        let before = world.balance(THIEF);
        world.pass(THIEF, own);
        assert_eq!(owner(&world, &claim), at(THIEF));
        // As soon as anybody puts it into a block, the older commit wins. The loser's rent comes back, its fee does not.
        world.pass(ALICE, claim.clone());
        assert_eq!(owner(&world, &claim), at(ALICE));
        assert_eq!(
            world.balance(THIEF),
            before.checked_sub(world.genesis.fee).unwrap()
        );
    }
}

#[test]
fn giving_a_taken_claim_away_does_not_save_it() {
    let mut world = World::new();
    let (name, asset) = (register("alice", 7), anchor("site", 7));
    for claim in [&name, &asset] {
        world.pass(ALICE, commit(ALICE, claim));
        let own = same_with_secret(claim, 9);
        world.claim(THIEF, own);
    }
    world.pass(
        THIEF,
        Action::NameRenew {
            label: label("alice"),
            periods: 1,
        },
    );
    world.pass(
        THIEF,
        Action::NameTransfer {
            label: label("alice"),
            to: at(3),
        },
    );
    world.pass(THIEF, Action::AssetTombstone { cid: content("site") });
    let before = world.balance(3);
    world.pass(ALICE, name.clone());
    world.pass(ALICE, asset.clone());
    assert_eq!(
        (owner(&world, &name), owner(&world, &asset)),
        (at(ALICE), at(ALICE))
    );
    assert_eq!(world.asset("site").unwrap().tombstone, None);
    // Both periods of rent go to whom the name was taken from.
    assert_eq!(world.balance(3), before.checked_add(coins("10")).unwrap());
}

/// `alice` was account 3's; from the next block on anybody can register it, for a premium that falls by 0.5 a block.
fn about_to_fall() -> World {
    let mut world = World::new();
    world.claim(3, register("alice", 1));
    world.skip_to(3 + PERIOD + GRACE - 3);
    world
}

#[test]
fn who_loses_a_name_gets_rent_and_premium_back_and_who_wins_it_pays_the_same() {
    let mut world = about_to_fall();
    let claim = register("alice", 7);
    let own = same_with_secret(&claim, 9);
    let before = [ALICE, THIEF].map(|who| world.balance(who));
    let held = world.state.pool(&key::treasury_pool()).unwrap();
    world.pass(ALICE, commit(ALICE, &claim));
    world.claim(THIEF, own);
    assert_eq!(world.name("alice").unwrap().premium, coins("20"));
    let (label, periods) = (label("alice"), 1);
    world.pass(THIEF, Action::NameRenew { label, periods });
    world.skip_to(world.height + 4);
    // By now the premium of a free name would be 17.
    world.pass(ALICE, claim);
    let entry = world.name("alice").unwrap();
    assert_eq!((entry.owner, entry.premium), (at(ALICE), coins("20")));
    let spent = ["25.002", "0.003"].map(coins);
    let after = [ALICE, THIEF].map(|who| world.balance(who));
    for (place, spent) in spent.into_iter().enumerate() {
        assert_eq!(after[place], before[place].checked_sub(spent).unwrap());
    }
    let treasury = world.state.pool(&key::treasury_pool()).unwrap();
    assert_eq!(treasury, held.checked_add(coins("25")).unwrap());
}

#[test]
fn a_name_that_changes_hands_twice_costs_each_the_same() {
    let mut world = about_to_fall();
    let claims = [7, 8, 9].map(|number| register("alice", number));
    let before = [1, 2, 4].map(|who| world.balance(who));
    world.pass(1, commit(1, &claims[0]));
    world.pass(2, commit(2, &claims[1]));
    world.pass(4, commit(4, &claims[2]));
    for (who, claim) in [(4, 2), (2, 1), (1, 0)] {
        world.pass(who, claims[claim].clone());
    }
    let spent = ["24.502", "0.002", "0.002"].map(coins);
    for (place, who) in [1, 2, 4].into_iter().enumerate() {
        let cost = before[place].checked_sub(world.balance(who)).unwrap();
        assert_eq!(cost, spent[place], "account {who}");
    }
}

#[test]
fn an_older_commit_wins_only_within_its_time() {
    for claim in claims() {
        let mut world = World::new();
        world.pass(THIEF, commit(THIEF, &same_with_secret(&claim, 9)));
        world.claim(ALICE, claim.clone());
        world.skip_to(2 + TTL);
        let late = world.refused(THIEF, same_with_secret(&claim, 9));
        assert!(matches!(late, Refusal::RevealLate { .. }), "{late}");
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn of_two_commits_in_one_block_the_first_reveal_wins() {
    for claim in claims() {
        let mut world = World::new();
        let other = same_with_secret(&claim, 9);
        world.block(vec![
            (ALICE, commit(ALICE, &claim)),
            (THIEF, commit(THIEF, &other)),
        ]);
        let results = world.block(vec![(ALICE, claim.clone()), (THIEF, other)]);
        assert_eq!(results[0], Ok(()));
        assert!(results[1].is_err());
        assert_eq!(owner(&world, &claim), at(ALICE));
    }
}

#[test]
fn a_commit_of_another_chain_is_another_hash() {
    let claim = register("alice", 1);
    assert_ne!(
        claim.commitment("test", &at(1)),
        claim.commitment("other", &at(1))
    );
    assert_ne!(claim.commitment("test", &at(1)), claim.commitment("test", &at(2)));
    assert_eq!(Action::Faucet {}.commitment("test", &at(1)), None);
}
