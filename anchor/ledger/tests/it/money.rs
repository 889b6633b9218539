//! Nonces, fees, transfers, the faucet.

use ledger::{Action, Amount, Kind, MemoryState, Preset, Refusal, State, Transition, Tx, TxBody, key};

use crate::world::*;

fn pay(to: u8, amount: &str) -> Action {
    Action::Transfer {
        to: at(to),
        amount: coins(amount),
    }
}

/// What a transaction meets on a fresh chain where account 1 has drawn.
fn verdict(tx: &Tx) -> Result<(), Refusal> {
    let world = World::new();
    Transition::new(&world.genesis, &world.state, 2, at(DELEGATE)).apply(tx)
}

#[test]
fn the_faucet_fills_empty_accounts_only() {
    let mut world = World::of(genesis());
    world.pass(1, Action::Faucet {});
    assert_eq!(world.balance(1), coins("999.999"));
    assert_eq!(world.balance(DELEGATE), coins("0.001"));
    assert_eq!(world.state.pool(&key::faucet_pool()).unwrap(), coins("99999000"));
    // 999.999 is less than a draw: it gives once more, and then no more.
    world.pass(1, Action::Faucet {});
    let refusal = world.refused(1, Action::Faucet {});
    assert_eq!(
        refusal.to_string(),
        format!(
            "account {} holds 1999.998 coins: the faucet gives 1000 to accounts that hold less than that",
            at(1).display("dev")
        )
    );
}

#[test]
fn an_empty_faucet_says_so() {
    let mut small = genesis();
    small.supply = coins("1500");
    small.rent.by_length = vec![coins("1")];
    let mut world = World::of(small);
    world.pass(1, Action::Faucet {});
    let refusal = world.refused(2, Action::Faucet {});
    assert_eq!(
        refusal.to_string(),
        "the faucet is empty: it holds 500 coins, a draw is 1000"
    );
}

#[test]
fn a_transfer_moves_coins_and_pays_the_proposer() {
    let mut world = World::new();
    let fees = world.balance(DELEGATE);
    world.pass(1, pay(9, "1.5"));
    assert_eq!(world.balance(9), coins("1.5"));
    assert_eq!(world.balance(1), coins("998.498"));
    assert_eq!(world.balance(DELEGATE), fees.checked_add(coins("0.001")).unwrap());
    assert_eq!(world.account(1).nonce, 2);
    world.pass(1, pay(1, "998")); // to oneself: only the fee is gone
    assert_eq!(world.balance(1), coins("998.497"));
}

#[test]
fn too_few_coins_says_what_it_costs_and_what_there_is() {
    let mut world = World::new();
    let me = at(1).display("dev");
    let check = |refusal: Refusal, cost: &str, balance: &str| {
        let words = format!("not enough coins: it costs {cost} with the fee, account {me} holds {balance}");
        assert_eq!(refusal.to_string(), words);
    };
    check(world.refused(1, pay(2, "999.999")), "1000", "999.999");
    check(
        world.refused(1, pay(2, "184467440737.09551615")),
        "184467440737.09551615",
        "999.999",
    );
    world.pass(1, pay(2, "999.998"));
    check(world.refused(1, pay(2, "1")), "1.001", "0");
    // The whole price is named, also where the fee alone is too much.
    let claim = register("alice", 1);
    world.pass(2, commit(2, &claim));
    world.pass(2, pay(1, "0.001"));
    world.pass(1, commit(1, &claim));
    check(world.refused(1, claim), "5.001", "0");
}

#[test]
fn nonces_count_up_by_one() {
    let fee = genesis().fee;
    assert_eq!(verdict(&sign(1, 1, fee, pay(2, "1"))), Ok(()));
    let early = verdict(&sign(1, 2, fee, pay(2, "1"))).unwrap_err();
    assert!(
        matches!(
            early,
            Refusal::Nonce {
                expected: 1,
                found: 2,
                ..
            }
        ) && early.may_pass_later()
    );
    let again = verdict(&sign(1, 0, fee, pay(2, "1"))).unwrap_err();
    assert!(
        matches!(
            again,
            Refusal::Nonce {
                expected: 1,
                found: 0,
                ..
            }
        ) && !again.may_pass_later()
    );
    assert_eq!(
        again.to_string(),
        format!("nonce 0 of account {}: its next one is 1", at(1).display("dev"))
    );
}

#[test]
fn form_is_checked() {
    let fee = genesis().fee;
    let good = sign(1, 1, fee, pay(2, "1"));
    let foreign = TxBody {
        chain: "other".into(),
        ..good.body.clone()
    };
    assert_eq!(
        verdict(&Tx::sign(foreign, &who(1))).unwrap_err().to_string(),
        "the transaction is for chain 'other', this is 'test'"
    );
    let cheap = sign(1, 1, Amount::from_units(fee.units() - 1), pay(2, "1"));
    assert_eq!(
        verdict(&cheap).unwrap_err().to_string(),
        "a fee of 0.00099999 coins is too low: this chain asks for 0.001"
    );
    let zero = sign(1, 1, fee, pay(2, "0"));
    assert_eq!(verdict(&zero).unwrap_err(), Refusal::NothingToTransfer);
    let stolen = Tx {
        key: who(2).public(),
        ..good.clone()
    };
    assert_eq!(verdict(&stolen).unwrap_err(), Refusal::Signature);
    let mut changed = good;
    changed.body.action = pay(3, "1");
    assert_eq!(
        verdict(&changed).unwrap_err().to_string(),
        "the transaction's signature does not hold"
    );
}

#[test]
fn what_the_genesis_does_not_list_is_refused() {
    let mut strict = genesis();
    strict.transactions.retain(|kind| *kind != Kind::Transfer);
    strict.validate().unwrap();
    let mut world = World::of(strict);
    world.pass(1, Action::Faucet {});
    let refusal = world.refused(1, pay(2, "1"));
    assert_eq!(
        refusal.to_string(),
        "this chain allows no 'transfer' transactions"
    );
}

#[test]
fn fees_go_to_the_proposer_when_the_block_ends() {
    let mut world = World::new();
    let before = world.balance(DELEGATE);
    let results = world.block(vec![(1, pay(2, "1")), (1, pay(2, "5000")), (2, pay(1, "1"))]);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    assert_eq!(
        world.balance(DELEGATE),
        before.checked_add(coins("0.002")).unwrap()
    );
}

#[test]
fn an_empty_block_changes_nothing_but_the_round() {
    let mut world = World::new();
    let mut before = world.state.clone();
    world.block(vec![]);
    for state in [&mut world.state, &mut before] {
        state.0.remove(&key::round());
    }
    assert_eq!(world.state, before);
}

#[test]
fn broken_state_is_fatal_and_never_a_verdict() {
    let world = World::new();
    let mut state = world.state;
    state.0.insert(key::account(&at(1)), b"\xff".to_vec());
    let tx = sign(1, 1, world.genesis.fee, pay(2, "1"));
    let refusal = Transition::new(&world.genesis, &state, 2, at(DELEGATE))
        .apply(&tx)
        .unwrap_err();
    assert!(refusal.is_fatal(), "{refusal}");
    assert!(
        refusal.to_string().starts_with("read the state: entry acct/"),
        "{refusal}"
    );
}

#[test]
fn an_audit_finds_a_coin_too_many() {
    let mut world = World::new();
    assert_eq!(world.genesis.preset, Preset::Dev);
    let mut state: MemoryState = world.state.clone();
    let pool = key::treasury_pool();
    state.0.insert(pool, ledger::encode(&Amount::from_units(1)));
    let found = ledger::audit(state.0.clone(), &world.genesis).unwrap();
    assert!(!found.holds());
    assert_eq!(found.accounted.units(), found.supply.units() + 1);
    let id = crate::paying::open(&mut world, 1, "10");
    let mut escrow = world.state.escrow(&id).unwrap().unwrap();
    escrow.reserved = coins("11");
    let mut broken = world.state.clone();
    broken.0.insert(key::escrow(&id), ledger::encode(&escrow));
    let error = ledger::audit(broken.0, &world.genesis).unwrap_err();
    assert!(error.to_string().ends_with(": 11 are set aside of 10"), "{error}");
    state
        .0
        .insert(key::supply(), ledger::encode(&Amount::from_units(1)));
    assert!(!ledger::audit(state.0, &world.genesis).unwrap().holds());
}
