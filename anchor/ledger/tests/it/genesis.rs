//! Presets, the genesis file, and every way to get it wrong.

use ledger::{Balance, Genesis, GenesisDelegate, Kind, MAX_BLOCK_BYTES};

use crate::world::*;

fn delegate(n: u8) -> GenesisDelegate {
    GenesisDelegate {
        key: who(n).public(),
        engine: format!("/ip4/10.0.0.{n}/tcp/4103/p2p/12D3KooW{n}"),
        tip: None,
    }
}

fn ddn() -> Genesis {
    let balances = vec![
        Balance {
            address: at(1),
            amount: coins("60000000"),
        },
        Balance {
            address: at(2),
            amount: coins("40000000"),
        },
    ];
    Genesis::ddn("ddn-1", TIME_MS, (1..=4).map(delegate).collect(), balances).unwrap()
}

#[test]
fn the_ddn_preset_has_the_white_papers_numbers() {
    let genesis = ddn();
    assert_eq!((genesis.seats, genesis.block_time_ms), (101, 10_000));
    assert_eq!(genesis.supply, coins("100000000"));
    let round_ms = u64::from(genesis.seats) * genesis.block_time_ms;
    assert_eq!(round_ms / 60_000, 16, "a round takes about 16 minutes");
    assert_eq!((genesis.reveal_delay, genesis.commit_ttl), (2, 60));
    assert_eq!(genesis.escrow_exit_delay, 8_640, "a day");
    assert_eq!(genesis.rent.period, 3_153_600);
    assert_eq!(
        (genesis.faucet.is_none(), genesis.faucet_pool()),
        (true, coins("0"))
    );
    assert!(!genesis.allows(Kind::Faucet));
    assert_eq!((genesis.tld.as_str(), genesis.prefix.as_str()), ("ddn", "ddn"));
}

/// Everything that blocks bring up to a height.
fn minted(genesis: &Genesis, until: u64) -> u64 {
    let mut from = 0;
    let mut sum = 0;
    for phase in &genesis.rewards.phases {
        let end = phase.until.unwrap_or(until).min(until);
        sum += (end - from) * phase.reward.units();
        from = end;
    }
    sum / ledger::COIN
}

#[test]
fn the_mmt_preset_has_the_white_papers_numbers() {
    let all = vec![Balance {
        address: at(1),
        amount: coins("100000000"),
    }];
    let genesis = Genesis::mmt("mmt-1", TIME_MS, (1..=4).map(delegate).collect(), all).unwrap();
    assert_eq!(
        (genesis.seats, genesis.block_time_ms, genesis.election.round),
        (108, 10_000, 108)
    );
    let period = 2_877_120;
    assert_eq!(period * 10_000, 333 * 24 * 3_600_000);
    let rewards = &genesis.rewards;
    for (height, reward) in [
        (1, "5"),
        (period, "5"),
        (period + 1, "4"),
        (2 * period + 1, "3"),
        (4 * period, "2"),
        (4 * period + 1, "1"),
        (1_000_000_000, "1"),
    ] {
        assert_eq!(rewards.at(height), coins(reward), "{height}");
    }
    assert_eq!(minted(&genesis, 4 * period), 40_279_680);
    assert_eq!(
        (rewards.parts.proposer, rewards.fees.seats, rewards.fees.burnt),
        (10_000, 10_000, 0)
    );
    assert_eq!(genesis.fee_of(Kind::Transfer), coins("0.5"));
    assert_eq!(genesis.fee_of(Kind::Vote), coins("0.5"));
    assert_eq!(genesis.fee_of(Kind::DelegateRegister), coins("200"));
    assert_eq!((genesis.tld.as_str(), genesis.prefix.as_str()), ("mmt", "mmt"));
}

#[test]
fn the_wtb_preset_has_the_white_papers_numbers() {
    let all = vec![Balance {
        address: at(1),
        amount: coins("12000000000"),
    }];
    let genesis = Genesis::wtb("wtb-1", TIME_MS, (1..=4).map(delegate).collect(), all).unwrap();
    assert_eq!(
        (genesis.seats, genesis.block_time_ms, genesis.election.round),
        (303, 5_000, 303)
    );
    let rewards = &genesis.rewards;
    for (until, reward) in [
        (3_110_400, "64"),
        (9_331_200, "32"),
        (27_993_600, "16"),
        (59_097_600, "8"),
        (90_201_600, "4"),
        (124_416_000, "2"),
    ] {
        assert_eq!(rewards.at(until), coins(reward));
        assert_ne!(rewards.at(until + 1), coins(reward));
    }
    assert_eq!(rewards.at(124_416_001), coins("0"));
    assert_eq!(rewards.leaders, 23);
    let parts = [rewards.parts, rewards.fees];
    let shown = parts.map(|parts| (parts.leaders, parts.seats, parts.voters, parts.proposer));
    assert_eq!(shown, [(1_000, 4_000, 5_000, 0); 2]);
}

/// An older commit wins a dispute. So it must not pay to keep blind commits open for names that others may register.
#[test]
fn a_commit_kept_open_for_a_year_costs_more_than_any_name() {
    let genesis = ddn();
    let commits = genesis.rent.period / genesis.commit_ttl;
    let dearest = genesis.rent.by_length.iter().max().unwrap();
    assert!(genesis.fee.checked_mul(commits).unwrap() > *dearest);
}

#[test]
fn the_dev_preset_is_one_seat_with_a_faucet() {
    let genesis = Genesis::dev("dev", TIME_MS, who(1).public());
    genesis.validate().unwrap();
    assert_eq!(
        (genesis.seats, genesis.block_time_ms, genesis.reveal_delay),
        (1, 1_000, 1)
    );
    assert_eq!(genesis.escrow_exit_delay, 10);
    assert_eq!(genesis.faucet_pool(), genesis.supply);
    assert_eq!(genesis.validators().unwrap().quorum(), 1);
    assert!(Kind::ALL.iter().all(|kind| genesis.allows(*kind)));
}

#[test]
fn rent_goes_by_length() {
    let rent = ddn().rent;
    let check = |name: &str, price: &str| assert_eq!(rent.of(&label(name)), coins(price), "{name}");
    check("a", "500");
    check("ab", "200");
    check("abc", "100");
    check("abcd", "20");
    check("alice", "5");
    check("a-rather-long-name", "5");
}

#[test]
fn a_name_that_has_just_become_free_costs_a_hundred_rents_more_and_two_weeks_later_nothing() {
    for genesis in [ddn(), Genesis::dev("dev", TIME_MS, who(1).public())] {
        assert_eq!(genesis.rent.premium, 100);
        assert_eq!(genesis.rent.fall * genesis.block_time_ms, 14 * 86_400_000);
    }
}

#[test]
fn the_presets_reserve_what_gateways_and_browsers_need() {
    for genesis in [ddn(), Genesis::dev("dev", TIME_MS, who(1).public())] {
        for text in [
            "example",
            "invalid",
            "ipfs",
            "ipns",
            "local",
            "localhost",
            "onion",
            "test",
            "wpad",
            "www",
        ] {
            assert!(genesis.is_reserved(&label(text)), "{text}");
        }
        assert!(!genesis.is_reserved(&label("alice")));
    }
}

/// What came later is absent where it is not used, so that the chains of older files are the same chains.
#[test]
fn a_genesis_without_premium_and_reserved_labels_does_not_speak_of_them() {
    let mut genesis = ddn();
    (genesis.rent.fall, genesis.rent.premium) = (0, 0);
    genesis.reserved.clear();
    let text = String::from_utf8(genesis.to_json()).unwrap();
    for field in ["fall", "premium", "reserved"] {
        assert!(!text.contains(field), "{field}");
    }
    assert_eq!(Genesis::parse(text.as_bytes()).unwrap(), genesis);
}

#[test]
fn the_file_gives_the_same_genesis_back() {
    for genesis in [ddn(), Genesis::dev("dev", TIME_MS, who(1).public())] {
        let json = genesis.to_json();
        let back = Genesis::parse(&json).unwrap();
        assert_eq!(back, genesis);
        assert_eq!(back.cid(), genesis.cid());
    }
    let text = String::from_utf8(ddn().to_json()).unwrap();
    assert!(
        text.contains(&format!("\"address\": \"{}\"", at(1).display("ddn"))),
        "{text}"
    );
    assert!(text.contains("\"supply\": \"10000000000000000\""), "{text}");
}

#[test]
fn any_other_number_is_another_chain() {
    let base = ddn();
    let mut other = base.clone();
    other.commit_ttl += 1;
    assert_ne!(base.cid(), other.cid());
    assert_eq!(base.cid(), base.id().cid());
}

#[test]
fn the_first_state_holds_the_whole_supply() {
    for genesis in [ddn(), Genesis::dev("dev", TIME_MS, who(1).public())] {
        let entries = genesis.initial_state().unwrap();
        assert!(ledger::audit(entries, &genesis).unwrap().holds());
    }
}

#[test]
fn what_breaks_a_rule_is_named() {
    let check = |change: fn(&mut Genesis), words: &str| {
        let mut genesis = ddn();
        change(&mut genesis);
        let error = genesis.validate().expect_err(words).to_string();
        assert_eq!(error, format!("genesis: {words}"));
        // A file that says the same is refused in the same words.
        if let Err(error) = Genesis::parse(&genesis.to_json()) {
            assert!(error.to_string().starts_with("genesis: "), "{error}");
        } else {
            panic!("{words}: the file was accepted");
        }
    };
    check(
        |g| g.chain_id = "A".into(),
        "chain_id: 'A' is not 1 to 32 characters of a-z, 0-9 and '-'",
    );
    check(
        |g| g.chain_id.clear(),
        "chain_id: '' is not 1 to 32 characters of a-z, 0-9 and '-'",
    );
    check(
        |g| g.tld = "d.n".into(),
        "tld: name 'd.n': a label consists of a-z, 0-9 and '-'",
    );
    check(
        |g| g.prefix = "d1".into(),
        "prefix: 'd1' is not 1 to 16 characters of a-z",
    );
    check(|g| g.seats = 0, "seats: 0 is not within 1 to 1024");
    check(
        |g| g.delivery.bounty = 5_001,
        "delivery.bounty: 5001 is not within 0 to 5000",
    );
    check(
        |g| (g.delivery.claim_burnt, g.delivery.claim_seats) = (3_000, 2_001),
        "delivery.claim_burnt: with delivery.claim_seats it is 5001 basis points, at most 5000",
    );
    check(
        |g| g.delivery.withdrawn_grace = Some(1_000_000_001),
        "delivery.withdrawn_grace: 1000000001 is not within 0 to 1000000000",
    );
    check(
        |g| g.delivery.bond_min = coins("100000001"),
        "delivery.bond_min: 100000001 is more than the supply",
    );
    check(
        |g| g.seats = 3,
        "delegates: 4 delegates for 3 seats: give at least one and at most one for each",
    );
    check(
        |g| g.block_time_ms = 50,
        "block_time_ms: 50 is not within 100 to 600000",
    );
    check(
        |g| g.max_block_bytes = MAX_BLOCK_BYTES + 1,
        "max_block_bytes: 2097153 is not within 262144 to 2097152",
    );
    check(
        |g| g.time_ms = u64::MAX,
        "time_ms: 18446744073709551615 is not within 0 to 4503599627370496",
    );
    check(
        |g| g.rent.period = 0,
        "rent.period: 0 is not within 1 to 1000000000",
    );
    check(
        |g| g.rent.by_length.clear(),
        "rent.by_length: give 1 to 63 prices",
    );
    check(
        |g| g.rent.by_length = vec![coins("100000001")],
        "rent.by_length: a rent of 100000001 is more than the supply of 100000000",
    );
    check(
        |g| g.rent.fall = u64::MAX,
        "rent.fall: 18446744073709551615 is not within 0 to 1000000000",
    );
    check(
        |g| g.rent.fall = 0,
        "rent.premium: give it together with rent.fall, or neither",
    );
    check(
        |g| g.rent.premium = 200_001,
        "rent.premium: 200001 times a rent of 500 is more than the supply of 100000000",
    );
    check(
        |g| g.rent.premium = u64::MAX,
        "rent.premium: 18446744073709551615 times a rent of 500 is more than the supply of 100000000",
    );
    check(
        |g| g.reserved.reverse(),
        "reserved: list each label once, in the order of their bytes",
    );
    check(
        |g| g.reserved = vec![label("www"); 2],
        "reserved: list each label once, in the order of their bytes",
    );
    check(
        |g| g.reserved = (0..1_001).map(|n| label(&format!("n{n:04}"))).collect(),
        "reserved: give at most 1000 labels",
    );
    check(
        |g| g.reveal_delay = 0,
        "reveal_delay: 0 is not within 1 to 1000000000",
    );
    check(
        |g| g.commit_ttl = 2,
        "commit_ttl: 2 is not above reveal_delay 2 and at most 1000000000",
    );
    check(
        |g| g.escrow_exit_delay = 0,
        "escrow_exit_delay: 0 is not within 1 to 1000000000",
    );
    check(
        |g| g.transactions.retain(|kind| *kind != Kind::EscrowClose),
        "transactions: escrow_open needs escrow_exit and escrow_close",
    );
    check(
        |g| g.transactions.reverse(),
        "transactions: list each kind once, in the order of the presets",
    );
    check(
        |g| g.transactions.retain(|kind| *kind != Kind::Commit),
        "transactions: name_register and asset_anchor need commit",
    );
    check(
        |g| g.transactions.insert(1, Kind::Faucet),
        "transactions: 'faucet' is listed if and only if there is a faucet",
    );
    check(
        |g| {
            g.transactions.insert(1, Kind::Faucet);
            g.faucet = Some(ledger::Faucet { amount: coins("1") });
        },
        "faucet: only a chain of the preset 'dev' may have one",
    );
    check(
        |g| g.balances[0].amount = coins("1"),
        "balances: they add up to 40000001, the supply is 100000000",
    );
    check(
        |g| g.balances.reverse(),
        "balances: list each address once, in the order of their bytes",
    );
    check(
        |g| g.delegates.swap(0, 1),
        "delegates: list each key once, in the order of their addresses' bytes",
    );
    check(
        |g| g.delegates.clear(),
        "delegates: 0 delegates for 101 seats: give at least one and at most one for each",
    );
    check(
        |g| g.delegates[2].engine.clear(),
        "delegates[2].engine: needed where several delegates vote",
    );
    check(
        |g| g.delegates[0].engine = "10.0.0.1:4103".into(),
        "delegates[0].engine: '10.0.0.1:4103' is not a multiaddr that ends in /p2p/ and a peer id",
    );
}

#[test]
fn broken_files_are_refused() {
    let check = |change: fn(&mut serde_json::Value), words: &str| {
        let mut file: serde_json::Value = serde_json::from_slice(&ddn().to_json()).unwrap();
        change(&mut file);
        let error = Genesis::parse(file.to_string().as_bytes())
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    check(|f| f["extra"] = 1.into(), "genesis: file: unknown field `extra`");
    check(|f| f["seats"] = "x".into(), "genesis: file: invalid type");
    check(
        |f| f["supply"] = "1.5".into(),
        "'1.5' is not a decimal number of base units",
    );
    check(
        |f| f["balances"][1]["address"] = "dev1x".into(),
        "genesis: balances[1].address: address 'dev1x'",
    );
    check(
        |f| f["delegates"][0]["key"] = "00".into(),
        "is not 32 bytes in hex",
    );
    check(|f| f["prefix"] = "mmt".into(), "start with 'ddn', not 'mmt'");
    check(|f| f["transactions"][0] = "mint".into(), "unknown variant `mint`");
    check(
        |f| f["reserved"][0] = "a.b".into(),
        "name 'a.b': a label consists of a-z, 0-9 and '-'",
    );
    check(|f| *f = 1.into(), "genesis: file: ");
    let error = Genesis::parse(b"{").unwrap_err().to_string();
    assert!(error.starts_with("genesis: file: EOF"), "{error}");
    assert!(
        Genesis::parse(&vec![b' '; 9 * 1024 * 1024])
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
}
