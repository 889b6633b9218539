//! Names from registration to release, and their bounds.

use std::net::{Ipv4Addr, Ipv6Addr};

use ledger::{Action, Amount, Records, Refusal, State, key};

use crate::world::*;

fn text(txt: &str) -> Records {
    Records {
        txt: vec![txt.into()],
        ..Records::default()
    }
}

fn set(name: &str, under: &str, records: Records) -> Action {
    Action::NameSet {
        label: label(name),
        under: under.into(),
        records,
    }
}

fn renew(name: &str, periods: u32) -> Action {
    Action::NameRenew {
        label: label(name),
        periods,
    }
}

#[test]
fn a_name_is_registered_for_a_period_and_the_rent_goes_to_the_treasury() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let entry = world.name("alice").unwrap();
    assert_eq!((entry.owner, entry.registered, entry.committed), (at(1), 3, 2));
    assert_eq!((entry.expires, entry.seq, entry.changed), (3 + PERIOD, 0, 3));
    assert_eq!(entry.records[""].content, Some(content("alice")));
    assert_eq!(world.state.pool(&key::treasury_pool()).unwrap(), coins("5"));
    world.claim(1, register("ab", 1));
    assert_eq!(world.state.pool(&key::treasury_pool()).unwrap(), coins("205"));
}

#[test]
fn a_taken_name_says_whose_it_is() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.pass(2, commit(2, &register("alice", 2)));
    let refusal = world.refused(2, register("alice", 2));
    let owner = at(1).display("dev");
    assert_eq!(
        refusal.to_string(),
        format!("name alice.ddn is taken: it belongs to {owner} until height 123 at least")
    );
    world.pass(1, commit(1, &register("alice", 3)));
    assert!(matches!(
        world.refused(1, register("alice", 3)),
        Refusal::NameTaken { .. }
    ));
}

#[test]
fn records_are_set_and_removed_also_under_the_name() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.pass(1, set("alice", "docs", text("one")));
    world.pass(1, set("alice", "a.b", text("two")));
    world.pass(1, set("alice", "", text("three")));
    let entry = world.name("alice").unwrap();
    assert_eq!(entry.records.keys().collect::<Vec<_>>(), ["", "a.b", "docs"]);
    world.pass(1, set("alice", "_443._tcp.docs", text("tls")));
    world.pass(1, set("alice", "_443._tcp.docs", Records::default()));
    world.pass(1, set("alice", "docs", text("four")));
    let entry = world.name("alice").unwrap();
    assert_eq!((entry.seq, entry.changed), (6, world.height));
    assert_eq!(entry.records[""].content, None);
    world.pass(1, set("alice", "docs", Records::default()));
    assert_eq!(
        world.name("alice").unwrap().records.keys().collect::<Vec<_>>(),
        ["", "a.b"]
    );
}

#[test]
fn others_may_not_touch_a_name() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let words = format!(
        "alice.ddn belongs to {}, not to {}",
        at(1).display("dev"),
        at(2).display("dev")
    );
    let label = label("alice");
    for action in [
        set("alice", "", text("mine")),
        renew("alice", 1),
        Action::NameTransfer {
            label: label.clone(),
            to: at(2),
        },
        Action::NameRelease { label },
    ] {
        assert_eq!(world.refused(2, action).to_string(), words);
    }
    assert_eq!(
        world.refused(2, renew("bob", 1)).to_string(),
        "name bob.ddn is not registered"
    );
}

#[test]
fn records_are_bounded() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let mut check = |under: &str, records: Records, words: &str| {
        assert_eq!(world.refused(1, set("alice", under, records)).to_string(), words);
    };
    check(
        "",
        text(&"x".repeat(256)),
        "records: txt: 256 bytes, at most 255 are allowed",
    );
    check(
        "",
        text("a\u{1b}[2J"),
        "records: txt: control characters are not allowed",
    );
    let many = Records {
        txt: vec!["x".into(); 17],
        ..Records::default()
    };
    check("", many, "records: txt: 17 records, at most 16 are allowed");
    let many = Records {
        a: vec![Ipv4Addr::LOCALHOST; 17],
        ..Records::default()
    };
    check("", many, "records: a: 17 records, at most 16 are allowed");
    let many = Records {
        aaaa: vec![Ipv6Addr::LOCALHOST; 17],
        ..Records::default()
    };
    check("", many, "records: aaaa: 17 records, at most 16 are allowed");
    check(
        "",
        Records {
            ttl: Some(0),
            ..Records::default()
        },
        "records: ttl: give 1 to 604800 seconds",
    );
    let beside = Records {
        cname: Some("example.com".into()),
        txt: vec!["x".into()],
        ..Records::default()
    };
    check(
        "",
        beside,
        "records: cname: it stands for all records, so none may be beside it",
    );
    let odd = Records {
        cname: Some("exa mple.com".into()),
        ..Records::default()
    };
    check(
        "",
        odd,
        "records: cname 'exa mple.com': a label consists of a-z, 0-9 and '-'",
    );
    check(
        "Docs",
        text("x"),
        "name 'Docs.alice.ddn': a label consists of a-z, 0-9 and '-'",
    );
    check(".", text("x"), "name '..alice.ddn': a label is empty");
    check("_", text("x"), "name '_.alice.ddn': a label is empty");
    check(
        "a_b",
        text("x"),
        "name 'a_b.alice.ddn': a label consists of a-z, 0-9 and '-'",
    );
    let many = Records {
        mx: vec!["10 mail.example.org".parse().unwrap(); 17],
        ..Records::default()
    };
    check("", many, "records: mx: 17 records, at most 16 are allowed");
    let identity: ledger::Link = serde_json::from_str("\"bafkqaaik\"").unwrap();
    check(
        "",
        Records::to_content(identity),
        "records: content: CID bafkqaaik: only sha2-256 CIDs are anchored, import the content with one",
    );
}

#[test]
fn the_whole_record_set_is_bounded() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let big = Records {
        txt: vec!["x".repeat(255); 16],
        ..Records::default()
    };
    let full = (0..).find_map(|n| {
        let action = set("alice", &format!("n{n}"), big.clone());
        world.block(vec![(1, action)]).remove(0).err()
    });
    let text = full.unwrap().to_string();
    assert!(
        text.starts_with("name alice.ddn would have 9 names in 33"),
        "{text}"
    );
    assert!(text.ends_with("at most 257 in 32768 are allowed"), "{text}");
}

#[test]
fn rent_is_paid_ahead_up_to_the_limit() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.pass(1, renew("alice", 1));
    assert_eq!(world.name("alice").unwrap().expires, 3 + 2 * PERIOD);
    assert_eq!(world.state.pool(&key::treasury_pool()).unwrap(), coins("10"));
    for periods in [0, 2, u32::MAX] {
        let refusal = world.refused(1, renew("alice", periods));
        assert!(matches!(refusal, Refusal::Term { .. }), "{refusal}");
    }
    world.skip_to(103);
    world.pass(1, renew("alice", 1));
}

#[test]
fn a_name_expires_has_its_grace_and_is_free_again() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    let expires = world.name("alice").unwrap().expires;
    assert!(world.name("alice").unwrap().is_active(expires - 1));
    assert!(!world.name("alice").unwrap().is_active(expires));
    world.skip_to(expires - 1);
    // From here on every block is in the grace: only renewal and release are left to the owner, and nothing to others.
    let refusal = world.refused(1, set("alice", "", text("late")));
    assert_eq!(
        refusal.to_string(),
        "name alice.ddn expired at height 103: renew it before height 123"
    );
    world.pass(2, commit(2, &register("alice", 2)));
    assert!(matches!(
        world.refused(2, register("alice", 2)),
        Refusal::NameTaken { free_at: 123, .. }
    ));
    world.skip_to(120);
    world.pass(2, commit(2, &register("alice", 4)));
    assert!(matches!(
        world.refused(2, register("alice", 4)),
        Refusal::NameTaken { .. }
    ));
    assert_eq!(world.height, 122);
    assert_eq!(
        world.block(vec![(1, renew("alice", 1)), (2, register("alice", 4))]),
        [
            Err(Refusal::NameUnknown {
                name: "alice.ddn".into()
            }),
            Ok(())
        ]
    );
    let entry = world.name("alice").unwrap();
    assert_eq!((entry.owner, entry.registered, entry.seq), (at(2), 123, 0));
}

/// The first height at which `alice`, registered at height 3, is free again.
const FREE: u64 = 3 + PERIOD + GRACE;

/// A chain on which the grace of `alice` has just ended, but for so many blocks.
fn before_free(blocks: u64) -> World {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.skip_to(FREE - blocks);
    world
}

fn premium_at(world: &World, height: u64) -> Amount {
    let entry = world.name("alice");
    world
        .genesis
        .rent
        .premium(&label("alice"), entry.as_ref(), height)
}

#[test]
fn the_premium_falls_evenly_to_nothing_and_is_rounded_up() {
    let world = before_free(2);
    let check = |height: u64, expected: &str| assert_eq!(premium_at(&world, height), coins(expected));
    check(FREE - 1, "0");
    check(FREE, "20");
    check(FREE + 1, "19.5");
    check(FREE + FALL / 2, "10");
    check(FREE + FALL - 1, "0.5");
    check(FREE + FALL, "0");
    check(u64::MAX, "0");
    let entry = world.name("alice").unwrap();
    assert_eq!(world.genesis.rent.fall_end(&entry), FREE + FALL);
    let rent = ledger::Rent {
        fall: 7,
        premium: 1,
        by_length: vec![Amount::from_units(10)],
        ..world.genesis.rent.clone()
    };
    let left = |left: u64| {
        rent.premium(&label("alice"), Some(&entry), FREE + 7 - left)
            .units()
    };
    assert_eq!([7, 6, 5, 1, 0].map(left), [10, 9, 8, 2, 0]);
}

#[test]
fn whoever_takes_a_name_after_its_grace_pays_the_premium_of_that_block_to_the_treasury() {
    for late in [0, 1, FALL - 1, FALL, FALL + 9] {
        let mut world = before_free(2);
        world.skip_to(FREE + late - 2);
        let (before, held) = (world.balance(2), world.state.pool(&key::treasury_pool()).unwrap());
        let premium = premium_at(&world, FREE + late);
        world.claim(2, register("alice", 2));
        assert_eq!(world.height, FREE + late);
        let price = coins("5").checked_add(premium).unwrap();
        let fees = world.genesis.fee.checked_mul(2).unwrap();
        let cost = price.checked_add(fees).unwrap();
        assert_eq!(world.balance(2), before.checked_sub(cost).unwrap());
        let treasury = world.state.pool(&key::treasury_pool()).unwrap();
        assert_eq!(treasury, held.checked_add(price).unwrap());
        assert_eq!(world.name("alice").unwrap().premium, premium);
    }
}

#[test]
fn the_former_owner_pays_the_premium_too() {
    let mut world = before_free(2);
    world.claim(1, register("alice", 2));
    assert_eq!(world.name("alice").unwrap().premium, coins("20"));
}

#[test]
fn a_premium_that_is_not_there_is_in_the_bill() {
    let mut world = before_free(3);
    let rest = world.balance(2).checked_sub(coins("24.999")).unwrap();
    let to = at(3);
    world.pass(2, Action::Transfer { to, amount: rest });
    world.pass(2, commit(2, &register("alice", 2)));
    let account = at(2).display("dev");
    assert_eq!(
        world.refused(2, register("alice", 2)).to_string(),
        format!("not enough coins: it costs 25.001 with the fee, account {account} holds 24.997")
    );
    // A block later the same claim costs less.
    world.pass(2, register("alice", 2));
    assert_eq!(world.name("alice").unwrap().premium, coins("19.5"));
}

#[test]
fn names_that_were_never_registered_or_released_cost_no_premium() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    assert_eq!(world.name("alice").unwrap().premium, coins("0"));
    world.pass(
        1,
        Action::NameRelease {
            label: label("alice"),
        },
    );
    world.claim(2, register("alice", 1));
    assert_eq!(world.name("alice").unwrap().premium, coins("0"));
}

#[test]
fn without_a_fall_a_name_is_free_at_once() {
    let mut genesis = genesis();
    (genesis.rent.fall, genesis.rent.premium) = (0, 0);
    genesis.validate().unwrap();
    let mut world = World::of(genesis);
    world.block(vec![(1, Action::Faucet {}), (2, Action::Faucet {})]);
    world.claim(1, register("alice", 1));
    world.skip_to(FREE - 2);
    world.claim(2, register("alice", 1));
    assert_eq!(world.name("alice").unwrap().premium, coins("0"));
}

#[test]
fn reserved_labels_are_nobodys() {
    let mut world = World::new();
    world.pass(1, commit(1, &register("www", 1)));
    assert_eq!(
        world.refused(1, register("www", 1)).to_string(),
        "name www.ddn is reserved: nobody can register it on this chain, choose another one"
    );
    world.claim(1, register("www2", 1));
    world.pass(1, set("www2", "www", text("fine")));
}

#[test]
fn a_name_in_its_grace_is_renewed_from_its_old_end() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.skip_to(110);
    world.pass(1, renew("alice", 1));
    assert_eq!(world.name("alice").unwrap().expires, 203);
}

#[test]
fn a_transfer_gives_everything_and_a_release_frees_at_once() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.pass(
        1,
        Action::NameTransfer {
            label: label("alice"),
            to: at(2),
        },
    );
    assert!(matches!(
        world.refused(1, set("alice", "", text("x"))),
        Refusal::NotOwner { .. }
    ));
    let again = world.refused(
        2,
        Action::NameTransfer {
            label: label("alice"),
            to: at(2),
        },
    );
    assert_eq!(
        again.to_string(),
        format!("alice.ddn belongs to {} already", at(2).display("dev"))
    );
    assert_eq!(
        world.name("alice").unwrap().records[""].content,
        Some(content("alice"))
    );
    let before = world.balance(2);
    world.pass(
        2,
        Action::NameRelease {
            label: label("alice"),
        },
    );
    assert_eq!(world.name("alice"), None);
    assert_eq!(world.balance(2), before.checked_sub(world.genesis.fee).unwrap());
    world.claim(3, register("alice", 3));
}
