//! The bytes of every format that is signed, hashed, stored or sent.
//!
//! Each file under `tests/fixtures` holds the hex of one object. A change of any of them is a change of the protocol:
//! existing chains, bundles and wallets do not survive it. To write the files of a new format: `DDN_BLESS=1 cargo test`.

use std::path::PathBuf;

use ledger::{
    Action, Amount, AssetMeta, Body, Bundle, CreditTerms, Delivery, DeliveryProof, Genesis, Kind, Origin,
    Purse, Receipt, Records, Split, State, Tab, Tx, VoteKind, decode, edge_consent, encode, escrow_id, key,
    receipts_root, verify_delivery, verify_through, vote_bytes,
};

use crate::blocks::{certify, header, set};
use crate::bundles::{bundle, bundle_after_changes, genesis_of_four};
use crate::paying::*;
use crate::world::*;

/// Compares with the file of this name, in lines of 64 bytes.
fn check(name: &str, bytes: &[u8]) {
    let lines: Vec<String> = bytes.chunks(64).map(hex::encode).collect();
    check_text(name, &(lines.join("\n") + "\n"));
}

fn check_text(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name);
    if std::env::var_os("DDN_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let pinned = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, pinned, "{name}: the format has changed");
}

/// One action of each kind, with every field in use somewhere.
fn actions() -> Vec<Action> {
    let records = Records {
        content: Some(content("site")),
        a: vec![[192, 0, 2, 1].into()],
        aaaa: vec!["2001:db8::1".parse().unwrap()],
        cname: None,
        txt: vec!["hello".into()],
        ttl: Some(60),
        ..Records::default()
    };
    let meta = AssetMeta {
        profile: Some("unixfs-v1-2025".into()),
        title: Some("A site".into()),
        bytes: Some(1_000_000),
        files: Some(12),
        ..AssetMeta::default()
    };
    let (to, cid, name) = (at(2), content("site"), label("alice"));
    let register = Action::NameRegister {
        label: name.clone(),
        secret: secret(7),
        records,
    };
    vec![
        Action::Transfer {
            to,
            amount: coins("1.5"),
        },
        Action::Faucet {},
        commit(1, &register),
        register,
        Action::NameSet {
            label: name.clone(),
            under: "docs".into(),
            records: Records {
                cname: Some("example.com".into()),
                ..Records::default()
            },
        },
        Action::NameRenew {
            label: name.clone(),
            periods: 2,
        },
        Action::NameTransfer {
            label: name.clone(),
            to,
        },
        Action::NameRelease { label: name },
        Action::AssetAnchor {
            cid,
            secret: secret(8),
            meta,
            split: Split::default(),
        },
        Action::AssetSet {
            cid,
            meta: for_sale(),
        },
        Action::AssetTransfer { cid, to },
        Action::AssetLicense {
            cid,
            price: coins("2.5"),
        },
        Action::AssetTombstone { cid },
    ]
    .into_iter()
    .chain(payment_actions())
    .chain(delegate_actions())
    .chain(chain_actions())
    .chain([crate::frauds::fraud(crate::frauds::equivocation(1, 7))])
    .collect()
}

fn chain_actions() -> Vec<Action> {
    let block = crate::chains::block("far-1", 7, secret(7), &set(4), &set(5));
    vec![
        crate::chains::register_far("far-1", "far"),
        crate::chains::anchor_of(block),
    ]
}

fn delegate_actions() -> Vec<Action> {
    let (delegate, amount) = (at(2), coins("10"));
    let engine = "/ip4/10.0.0.1/tcp/4103/p2p/12D3KooW".to_owned();
    vec![
        Action::DelegateRegister {
            engine: engine.clone(),
            tip: secret(9),
            stake: amount,
        },
        Action::DelegateUpdate {
            engine: Some(engine),
            tip: Some(secret(9)),
        },
        Action::DelegateResign {},
        Action::DelegateReturn {},
        Action::Vote { delegate, amount },
        Action::Unvote { delegate, amount },
        Action::VoteCollect { delegate },
        Action::Evidence {
            found: Box::new(crate::elections::equivocation(2, 7)),
        },
    ]
}

fn for_sale() -> AssetMeta {
    AssetMeta {
        title: Some("A photo".into()),
        bytes: Some(1_000),
        tags: tags(["2026", "harbour-view", "photo"]),
        licence: Some("CC-BY-4.0".into()),
        price: Some(coins("2.5")),
        ..AssetMeta::default()
    }
}

/// Kinds that came later: they are numbered behind the others, so that what was signed before is as it was.
const LATER: [Kind; 5] = [
    Kind::AssetSet,
    Kind::AssetLicense,
    Kind::ChainRegister,
    Kind::ChainAnchor,
    Kind::Fraud,
];

fn payment_actions() -> Vec<Action> {
    let (escrow, amount) = (secret(4), coins("10"));
    let (node, payout, price, capacity) = (node_key(1), at(2), coins("0.5"), 100);
    vec![
        open_action(1, "10"),
        Action::EscrowTopUp { escrow, amount },
        allot(escrow, 2, "10", 99),
        Action::EscrowExit { escrow },
        Action::EscrowClose { escrow },
        claim_with(vec![voucher(escrow, 1, 1, amount)], secret(5), 12),
        Action::EdgeRegister {
            node,
            payout,
            price,
            capacity,
            traffic_max: 1 << 40,
            consent: edge_consent(CHAIN, &crate::paying::node(1), &at(1)),
            bond: Amount::ZERO,
        },
        Action::EdgeSet {
            node,
            payout,
            price,
            capacity,
            traffic_max: 0,
            bond: Amount::ZERO,
        },
        Action::EdgeLeave { node },
    ]
}

#[test]
fn transactions() {
    let mut actions = actions();
    let kinds: Vec<Kind> = actions.iter().map(Action::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    actions.sort_by_key(|action| LATER.contains(&action.kind()));
    for (nonce, action) in actions.into_iter().enumerate() {
        let name = action.kind().name();
        let tx = sign(1, nonce as u64, coins("0.001"), action);
        check(&format!("tx-{name}.hex"), &tx.encode());
        assert_eq!(Tx::decode(&tx.encode()).unwrap(), tx);
        let json = serde_json::to_string_pretty(&tx).unwrap() + "\n";
        check_text(&format!("tx-{name}.json"), &json);
        assert_eq!(serde_json::from_str::<Tx>(&json).unwrap(), tx);
    }
}

/// Fields that came later and are absent elsewhere, so that what was signed before is as it was.
#[test]
fn transactions_with_later_fields() {
    let escrow = secret(4);
    let origin = Records {
        origin: Some(Origin::parse("https://www.example.com").unwrap()),
        txt: vec!["ddn-origin=token".into()],
        ..Records::default()
    };
    let services = Records {
        mx: vec!["10 mail.example.org".parse().unwrap(), "0 .".parse().unwrap()],
        srv: vec!["10 5 5060 sip.example.org".parse().unwrap()],
        caa: vec!["0 issue letsencrypt.org".parse().unwrap()],
        https: vec!["1 . alpn=h3,h2 port=8443".parse().unwrap()],
        ..Records::default()
    };
    let actions = [
        (
            "name_set-services",
            Action::NameSet {
                label: label("alice"),
                under: "_sip._udp".into(),
                records: services,
            },
        ),
        (
            "name_set-origin",
            Action::NameSet {
                label: label("alice"),
                under: String::new(),
                records: origin,
            },
        ),
        (
            "asset_anchor-split",
            anchor_split("site", 8, &[(None, 1_000), (Some(3), 250)]),
        ),
        ("asset_anchor-tags", anchor_as("site", 8, for_sale())),
        (
            "claim-split",
            claim_of(vec![voucher_for("site", escrow, 1, 2, coins("10"))]),
        ),
        ("escrow_allot-metered", allot_metered(escrow, 2, "10", 99)),
        ("claim-metered", claim_counted(escrow, coins("10"))),
        ("edge_register-bond", crate::frauds::register_bonded(1, 1, "5")),
        ("edge_set-bond", crate::frauds::set_bonded(1, "5")),
        (
            "fraud-over_price",
            crate::frauds::fraud(crate::frauds::over_price("0.6", 7)),
        ),
        (
            "fraud-withdrawn",
            crate::frauds::fraud(ledger::FraudProof::Withdrawn {
                statement: statement(&quote("0"), 1, None),
            }),
        ),
    ];
    for (name, action) in actions {
        let tx = sign(1, 0, coins("0.001"), action);
        check(&format!("tx-{name}.hex"), &tx.encode());
        assert_eq!(Tx::decode(&tx.encode()).unwrap(), tx);
        let json = serde_json::to_string_pretty(&tx).unwrap() + "\n";
        check_text(&format!("tx-{name}.json"), &json);
        assert_eq!(serde_json::from_str::<Tx>(&json).unwrap(), tx);
    }
}

#[test]
fn header_body_and_certificate() {
    let (genesis, set) = (genesis(), set(4));
    let first = header(&genesis, None, &Body::default(), &set);
    let last_certificate = Some(certify(&first, &set, 3));
    let body = Body {
        txs: vec![sign(1, 0, genesis.fee, Action::Faucet {})],
        last_certificate,
    };
    let second = header(&genesis, Some(&first), &body, &set);
    check("body-empty.hex", &encode(&Body::default()));
    check("header.hex", &encode(&second));
    check("body.hex", &encode(&body));
    check(
        "certificate.hex",
        &encode(body.last_certificate.as_ref().unwrap()),
    );
    check("validators.hex", &encode(&set));
    assert_eq!(decode::<Body>(&encode(&body)).unwrap(), body);
    assert_eq!(decode::<ledger::Header>(&encode(&second)).unwrap(), second);
    let ids = format!(
        "header id {}\nheader cid {}\nvalidators {}\n",
        second.id(),
        second.cid(),
        set.hash()
    );
    check_text("ids.txt", &ids);
}

#[test]
fn commitments() {
    let line = |action: &Action| {
        Some(format!(
            "{} {}\n",
            action.kind(),
            action.commitment(CHAIN, &at(1))?
        ))
    };
    check_text(
        "commitments.txt",
        &actions().iter().filter_map(line).collect::<String>(),
    );
}

#[test]
fn votes() {
    check(
        "vote-precommit.hex",
        &vote_bytes(VoteKind::Precommit, CHAIN, 7, 1, Some(secret(9))),
    );
    check(
        "vote-prevote-nil.hex",
        &vote_bytes(VoteKind::Prevote, CHAIN, 7, 1, None),
    );
}

#[test]
fn genesis_files() {
    let dev = Genesis::dev("dev", TIME_MS, who(1).public());
    let engine = |n: u8| format!("/ip4/10.0.0.{n}/tcp/4103/p2p/12D3KooW{n}");
    let delegate = |n| ledger::GenesisDelegate {
        key: who(n).public(),
        engine: engine(n),
        tip: (n == 2).then(|| secret(2)),
    };
    let balances = vec![ledger::Balance {
        address: at(1),
        amount: coins("100000000"),
    }];
    let ddn = Genesis::ddn("ddn-1", TIME_MS, vec![delegate(1), delegate(2)], balances).unwrap();
    let mut strict = dev.clone();
    strict.delivery = Delivery {
        bond_min: coins("5"),
        bounty: 2_000,
        withdrawn_grace: Some(60),
        claim_burnt: 300,
        claim_seats: 200,
    };
    for (name, genesis) in [("dev", dev), ("ddn", ddn), ("delivery", strict)] {
        check(&format!("genesis-{name}.hex"), &encode(&genesis));
        check_text(
            &format!("genesis-{name}.json"),
            std::str::from_utf8(&genesis.to_json()).unwrap(),
        );
        check_text(&format!("genesis-{name}.cid"), &format!("{}\n", genesis.cid()));
    }
}

#[test]
fn bundles() {
    let cases = [
        ("bundle-present.hex", bundle(key::name(&label("alice")))),
        ("bundle-absent.hex", bundle(key::name(&label("carol")))),
        (
            "bundle-set-changes.hex",
            bundle_after_changes(key::name(&label("alice"))),
        ),
        (
            "bundle-foreign.hex",
            crate::chains::through(key::name(&label("bob")), 5),
        ),
    ];
    for (name, bundle) in cases {
        check(name, &bundle.encode());
        assert_eq!(Bundle::decode(&bundle.encode()).unwrap(), bundle);
        verify_through(&bundle, &genesis_of_four()).unwrap();
    }
}

#[test]
fn checkpoints() {
    let checkpoint = crate::light::checkpoint(1);
    check("checkpoint.hex", &checkpoint.encode());
    check_text(
        "checkpoint.json",
        std::str::from_utf8(&checkpoint.to_json()).unwrap(),
    );
    check_text("checkpoint.cid", &format!("{}\n", checkpoint.cid()));
}

/// What the two sides of a delivery sign, and what is made of it.
#[test]
fn payment() {
    let escrow = secret(4);
    let paid = receipt(escrow, 3);
    let free = Receipt {
        quote: quote("0"),
        statement: statement(&quote("0"), 1, None),
        voucher: None,
    };
    let ahead = voucher(escrow, 1, 2, coins("1"));
    check("quote.hex", &paid.quote.encode());
    check("statement.hex", &paid.statement.encode());
    check("voucher.hex", &paid.voucher.as_ref().unwrap().encode());
    check("voucher-ahead.hex", &ahead.encode());
    let split = voucher_for("site", escrow, 1, 2, coins("1"));
    check("voucher-split.hex", &split.encode());
    let account = hex::encode(split.body.account().as_bytes());
    check_text("split-account.txt", &format!("{account}\n"));
    check("session.hex", &encode(&session(&paid.quote)));
    check("receipt.hex", &paid.encode());
    check("receipt-free.hex", &free.encode());
    check("delivery.hex", &crate::delivery::proof(2).encode());
    let proof = DeliveryProof::decode(&crate::delivery::proof(2).encode()).unwrap();
    verify_delivery(&proof, &genesis_of_four()).unwrap();
    let ids = [paid.id(), free.id()];
    let lines = [
        ("quote", paid.quote.hash()),
        ("statement", paid.statement.hash()),
        ("voucher", ahead.hash()),
        ("session", session(&paid.quote).id()),
        ("receipt", paid.id()),
        ("receipts root", receipts_root(&ids)),
        ("escrow", escrow_id(CHAIN, &at(1), 7)),
    ];
    let line = |(name, hash): (&str, ledger::Hash)| format!("{name} {hash}\n");
    check_text("payment-ids.txt", &lines.map(line).concat());
}

/// The entry of a payee that counts by itself, after it has claimed some.
#[test]
fn meter() {
    let mut world = World::new();
    let id = open(&mut world, 1, "10");
    world.pass(1, allot_metered(id, 2, "4", 50));
    world.pass(2, claim_counted(id, coins("1")));
    check_entries("meter.txt", &world, &[key::meter(&id, &at(2))]);
}

/// A name that was registered while its premium fell.
#[test]
fn premium() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.skip_to(3 + PERIOD + GRACE);
    world.claim(2, register("alice", 2));
    check_entries("premium.txt", &world, &[key::name(&label("alice"))]);
}

/// An asset with all that its owner may say, the index that it is found by, and a licence.
#[test]
fn asset() {
    let mut world = World::new();
    world.claim(1, anchor_as("site", 1, for_sale()));
    world.pass(2, actions().remove(11));
    let cid = content("site").0;
    let [first, last] = ["2026", "photo"].map(|tag| key::tag(&tag.parse().unwrap(), &cid));
    let keys = [key::asset(&cid), first, last, key::licence(&cid, &at(2))];
    check_entries("asset.txt", &world, &keys);
}

/// What the ledger keeps of edges that have something at stake, of one that has left, and of one that was convicted; and what
/// a claim says of which a part went to all.
#[test]
fn bonds() {
    let mut genesis = genesis();
    genesis.delivery.claim_burnt = 300;
    let mut world = World::of(genesis);
    world.block((1..5).map(|n| (n, Action::Faucet {})).collect());
    for n in 1..4 {
        world.pass(1, crate::frauds::register_bonded(1, n, "5"));
    }
    world.pass(1, Action::EdgeLeave { node: node_key(2) });
    world.pass(2, crate::frauds::fraud(crate::frauds::equivocation(3, 4)));
    let id = open(&mut world, 1, "10");
    world.pass(2, claim_with(vec![voucher(id, 1, 2, coins("4"))], secret(5), 1));
    let left = world.state.bond(&node_key(2)).unwrap().unwrap();
    let keys = [
        key::edge(&node_key(1)),
        key::bond(&node_key(2)),
        key::unbonded(left.until),
        key::conviction(&node_key(3)),
        key::claim(&at(2), &secret(5)),
    ];
    check_entries("bonds.txt", &world, &keys);
}

/// What the ledger keeps of another chain.
#[test]
fn chains() {
    let mut world = World::new();
    for action in chain_actions() {
        world.pass(1, action);
    }
    let keys = [
        key::chain("far-1"),
        key::tld(&label("far")),
        key::anchored("far-1", 7),
    ];
    check_entries("chains.txt", &world, &keys);
}

/// Keys and values of the state, one entry a line.
fn check_entries(name: &str, world: &World, keys: &[Vec<u8>]) {
    let line = |key: &Vec<u8>| format!("{} {}\n", hex::encode(key), hex::encode(&world.state.0[key]));
    check_text(name, &keys.iter().map(line).collect::<String>());
}

/// What the two sides keep in their books.
#[test]
fn books() {
    let terms = CreditTerms::default();
    let mut tab = Tab::new(&terms);
    tab.deliver(900_000, coins("0.5"));
    tab.honour(coins("0.25"), coins("10"), &terms).unwrap();
    tab.fault(&terms);
    tab.deliver(1000, coins("0.5"));
    check("tab.hex", &encode(&tab));
    assert_eq!(decode::<Tab>(&encode(&tab)).unwrap(), tab);
    let mut purse = Purse::default();
    purse.receive(900_000, coins("0.5"));
    purse.voucher(secret(4), at(2), None, None, coins("0.5")).unwrap();
    check("purse.hex", &encode(&purse));
    assert_eq!(decode::<Purse>(&encode(&purse)).unwrap(), purse);
}

/// Keys and values of the state, one entry a line: what the state root depends on.
#[test]
fn state() {
    let mut world = World::new();
    world.claim(1, register("alice", 1));
    world.claim(2, anchor("site", 1));
    world.pass(
        2,
        Action::AssetTransfer {
            cid: content("site"),
            to: at(3),
        },
    );
    world.pass(3, Action::AssetTombstone { cid: content("site") });
    world.pass(1, commit(1, &register("bob", 1)));
    let id = open(&mut world, 1, "10");
    world.pass(1, allot(id, 2, "4", 50));
    world.pass(2, claim_with(vec![voucher(id, 1, 2, coins("1"))], secret(5), 12));
    world.pass(1, Action::EscrowExit { escrow: id });
    world.pass(1, payment_actions().remove(6));
    let line = |(key, value): (&Vec<u8>, &Vec<u8>)| format!("{} {}\n", hex::encode(key), hex::encode(value));
    check_text("state.txt", &world.state.0.iter().map(line).collect::<String>());
    check_text(
        "state-root.txt",
        &format!("{}\n", crate::tree::Tree::of(&world.state).root),
    );
}
