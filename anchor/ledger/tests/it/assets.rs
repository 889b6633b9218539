//! Assets: who owns which content, and since when.

use ledger::{Action, Asset, AssetMeta, Licence, Link, Refusal, Split, State, Tag, key};

use crate::world::*;

fn give(text: &str, to: u8) -> Action {
    Action::AssetTransfer {
        cid: content(text),
        to: at(to),
    }
}

#[test]
fn an_asset_is_anchored_given_and_withdrawn() {
    let mut world = World::new();
    world.claim(1, anchor("site", 1));
    world.pass(1, give("site", 2));
    let asset = world.asset("site").unwrap();
    assert_eq!(
        (asset.owner, asset.anchored, asset.committed, asset.tombstone),
        (at(2), 3, 2, None)
    );
    let history: Vec<_> = asset
        .history
        .iter()
        .map(|entry| (entry.height, entry.owner))
        .collect();
    assert_eq!(history, [(3, at(1)), (4, at(2))]);
    let tombstone = || Action::AssetTombstone { cid: content("site") };
    let words = format!(
        "{} belongs to {}, not to {}",
        content("site"),
        at(2).display("dev"),
        at(1).display("dev")
    );
    assert_eq!(world.refused(1, tombstone()).to_string(), words);
    world.pass(2, tombstone());
    let height = world.height;
    assert_eq!(world.asset("site").unwrap().tombstone, Some(height));
    for action in [tombstone(), give("site", 1)] {
        let words = format!(
            "asset {} was withdrawn by its owner at height {height}",
            content("site")
        );
        assert_eq!(world.refused(2, action).to_string(), words);
    }
}

#[test]
fn content_is_anchored_once() {
    let mut world = World::new();
    world.claim(1, anchor("site", 1));
    for by in [1, 2] {
        world.pass(by, commit(by, &anchor("site", 2)));
        let owner = at(1).display("dev");
        let words = format!(
            "asset {} is anchored already: it belongs to {owner}, since height 3",
            content("site")
        );
        assert_eq!(world.refused(by, anchor("site", 2)).to_string(), words);
    }
    let unknown = world.refused(1, give("other", 2)).to_string();
    assert_eq!(unknown, format!("asset {} is not anchored", content("other")));
}

#[test]
fn both_versions_of_a_cid_are_one_asset() {
    let v0: Link = serde_json::from_str("\"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG\"").unwrap();
    let v1 = Link(v0.0.into_v1().unwrap());
    let anchor = |cid| Action::AssetAnchor {
        cid,
        secret: secret(1),
        meta: AssetMeta::default(),
        split: Split::default(),
    };
    let mut world = World::new();
    assert_eq!(
        anchor(v0).commitment(CHAIN, &at(1)),
        anchor(v1).commitment(CHAIN, &at(1))
    );
    world.claim(1, anchor(v0));
    world.pass(2, commit(2, &anchor(v1)));
    assert!(matches!(world.refused(2, anchor(v1)), Refusal::AssetTaken { .. }));
}

#[test]
fn descriptions_are_bounded() {
    let mut world = World::new();
    let mut check = |meta: AssetMeta, words: &str| {
        let reveal = Action::AssetAnchor {
            cid: content("x"),
            secret: secret(1),
            meta,
            split: Split::default(),
        };
        let hash = reveal.commitment(CHAIN, &at(1)).unwrap();
        let _ = world.block(vec![(1, Action::Commit { hash })]);
        assert_eq!(world.refused(1, reveal).to_string(), words);
    };
    let title = |title: &str| AssetMeta {
        title: Some(title.into()),
        ..AssetMeta::default()
    };
    check(
        title(&"x".repeat(129)),
        "records: asset title: 129 bytes, at most 128 are allowed",
    );
    check(
        title("a\nb"),
        "records: asset title: control characters are not allowed",
    );
    let profile = AssetMeta {
        profile: Some("x".repeat(33)),
        ..AssetMeta::default()
    };
    check(
        profile,
        "records: asset profile: 33 bytes, at most 32 are allowed",
    );
}

fn tagged<const N: usize>(words: [&str; N]) -> AssetMeta {
    AssetMeta {
        bytes: Some(7),
        tags: tags(words),
        ..AssetMeta::default()
    }
}

fn priced(price: &str) -> AssetMeta {
    AssetMeta {
        licence: Some("CC-BY-4.0".into()),
        price: Some(coins(price)),
        ..tagged(["photo"])
    }
}

fn set(text: &str, meta: AssetMeta) -> Action {
    Action::AssetSet {
        cid: content(text),
        meta,
    }
}

fn license(text: &str, price: &str) -> Action {
    Action::AssetLicense {
        cid: content(text),
        price: coins(price),
    }
}

/// The assets that the index has under a tag.
fn found(world: &World, tag: &str) -> Vec<Link> {
    let prefix = key::tagged(&tag.parse().unwrap());
    let below = world.state.0.keys().filter_map(|key| key.strip_prefix(&*prefix));
    below.map(|cid| Link(cid.try_into().unwrap())).collect()
}

#[test]
fn tags_are_short_words() {
    let long = "x".repeat(32);
    for good in ["a", "0", "-", "harbour-view", &long] {
        assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
    }
    let too_long = "x".repeat(33);
    for bad in ["", "A", "a b", "a/b", "ä", "a_b", &too_long] {
        assert_eq!(
            bad.parse::<Tag>().unwrap_err().to_string(),
            format!("records: asset tag '{bad}': write 1 to 32 characters of a-z, 0-9 and '-'")
        );
        assert!(serde_json::from_value::<Tag>(bad.into()).is_err());
    }
}

#[test]
fn what_an_owner_says_is_bounded() {
    let mut world = World::new();
    world.claim(1, anchor_as("site", 1, tagged([])));
    let mut check = |meta: AssetMeta, words: &str| {
        assert_eq!(world.refused(1, set("site", meta)).to_string(), words);
    };
    let many = (0..17).map(|n| format!("t{n:02}").parse().unwrap()).collect();
    let licence = |text: &str| AssetMeta {
        licence: Some(text.into()),
        ..tagged([])
    };
    check(
        AssetMeta {
            tags: many,
            ..tagged([])
        },
        "records: asset tags: 17, at most 16 are allowed",
    );
    let order = "records: asset tags: list each once, in the order of their bytes";
    check(tagged(["b", "a"]), order);
    check(tagged(["a", "a"]), order);
    check(licence(""), "records: asset licence: it is empty, leave it out");
    check(
        licence(&"x".repeat(65)),
        "records: asset licence: 65 bytes, at most 64 are allowed",
    );
    check(
        licence("MIT\u{1b}"),
        "records: asset licence: control characters are not allowed",
    );
    world.pass(1, set("site", licence(&"x".repeat(64))));
}

#[test]
fn an_owner_changes_what_it_says_but_not_how_the_content_came_about() {
    let mut world = World::new();
    let first = AssetMeta {
        profile: Some("unixfs-v1-2025".into()),
        files: Some(2),
        ..tagged(["a"])
    };
    world.claim(1, anchor_as("site", 1, first.clone()));
    let next = AssetMeta {
        title: Some("A site".into()),
        tags: tags(["b"]),
        licence: Some("MIT".into()),
        price: Some(coins("1")),
        ..first.clone()
    };
    world.pass(1, set("site", next.clone()));
    let asset = world.asset("site").unwrap();
    assert_eq!((&asset.meta, asset.anchored), (&next, 3));
    let cid = content("site");
    for (field, meta) in [
        (
            "profile",
            AssetMeta {
                profile: None,
                ..first.clone()
            },
        ),
        (
            "bytes",
            AssetMeta {
                bytes: Some(8),
                ..first.clone()
            },
        ),
        (
            "files",
            AssetMeta {
                files: Some(3),
                ..first.clone()
            },
        ),
    ] {
        assert_eq!(
            world.refused(1, set("site", meta)).to_string(),
            format!(
                "the {field} of asset {cid} cannot change: leave it as it was when the content was anchored"
            )
        );
    }
    assert!(matches!(
        world.refused(2, set("site", first.clone())),
        Refusal::NotOwner { .. }
    ));
    assert!(matches!(
        world.refused(1, set("other", first.clone())),
        Refusal::AssetUnknown { .. }
    ));
    world.pass(1, Action::AssetTombstone { cid });
    assert!(matches!(
        world.refused(1, set("site", first)),
        Refusal::AssetWithdrawn { .. }
    ));
}

#[test]
fn assets_are_found_by_their_tags_until_they_are_withdrawn() {
    let mut world = World::new();
    world.claim(1, anchor_as("one", 1, tagged(["a", "b"])));
    world.claim(2, anchor_as("two", 1, tagged(["b", "b-c"])));
    let (one, two) = (content("one"), content("two"));
    let mut both = vec![one, two];
    both.sort_by_key(|link| link.0.to_bytes());
    assert_eq!(found(&world, "a"), [one]);
    assert_eq!(found(&world, "b"), both);
    world.pass(1, set("one", tagged(["b", "c"])));
    assert_eq!(
        ["a", "b", "b-c", "c"].map(|tag| found(&world, tag)),
        [vec![], both, vec![two], vec![one]]
    );
    world.pass(1, give("one", 3));
    assert_eq!(found(&world, "c"), [one]);
    world.pass(3, Action::AssetTombstone { cid: one });
    assert_eq!(["b", "c"].map(|tag| found(&world, tag)), [vec![two], vec![]]);
}

#[test]
fn an_older_commit_brings_its_own_tags() {
    for withdrawn in [false, true] {
        let mut world = World::new();
        let cid = content("site");
        let older = anchor_as("site", 1, tagged(["b", "c"]));
        world.pass(1, commit(1, &older));
        world.claim(2, anchor_as("site", 2, tagged(["a", "b"])));
        if withdrawn {
            world.pass(2, Action::AssetTombstone { cid });
        }
        world.pass(1, older);
        assert_eq!(
            ["a", "b", "c"].map(|tag| found(&world, tag)),
            [vec![], vec![cid], vec![cid]]
        );
    }
}

#[test]
fn a_licence_is_paid_to_whoever_owns_the_asset_and_is_written_down() {
    let mut world = World::new();
    world.claim(1, anchor_as("site", 1, priced("2.5")));
    world.pass(1, give("site", 3));
    let before = [1, 2, 3].map(|who| world.balance(who));
    world.pass(2, license("site", "2.5"));
    assert_eq!(world.balance(1), before[0]);
    assert_eq!(world.balance(2), before[1].checked_sub(coins("2.501")).unwrap());
    assert_eq!(world.balance(3), before[2].checked_add(coins("2.5")).unwrap());
    let (cid, height) = (content("site").0, world.height);
    let held = world.state.licence(&cid, &at(2)).unwrap();
    let expected = Licence {
        height,
        price: coins("2.5"),
        licence: Some("CC-BY-4.0".into()),
    };
    assert_eq!(held, Some(expected.clone()));
    let again = format!(
        "{} holds a licence of asset {} already, since height {height}",
        at(2).display("dev"),
        content("site")
    );
    assert_eq!(world.refused(2, license("site", "2.5")).to_string(), again);
    // It stays when nothing is sold any more, and when the asset is withdrawn.
    world.pass(3, set("site", tagged([])));
    world.pass(3, Action::AssetTombstone { cid: content("site") });
    assert_eq!(world.state.licence(&cid, &at(2)).unwrap(), Some(expected));
}

#[test]
fn a_licence_may_be_free() {
    let mut world = World::new();
    world.claim(1, anchor_as("site", 1, priced("0")));
    let before = world.balance(1);
    world.pass(2, license("site", "0"));
    assert_eq!(world.balance(1), before);
    assert!(world.state.licence(&content("site").0, &at(2)).unwrap().is_some());
}

#[test]
fn what_refuses_a_licence() {
    let mut world = World::new();
    world.claim(1, anchor_as("site", 1, tagged([])));
    let cid = content("site");
    let check = |world: &mut World, by: u8, action: Action, words: String| {
        assert_eq!(world.refused(by, action).to_string(), words);
    };
    let none = format!("no licence of asset {cid} is sold: its owner asks no price");
    check(&mut world, 2, license("site", "0"), none);
    world.pass(1, set("site", priced("2")));
    for offered in ["1.9", "3"] {
        let words = format!(
            "a licence of asset {cid} costs 2 coins now, not {offered}: ask again, and pay exactly that"
        );
        check(&mut world, 2, license("site", offered), words);
    }
    let owner = at(1).display("dev");
    let own = format!("asset {cid} belongs to {owner}, who needs no licence");
    check(&mut world, 1, license("site", "2"), own);
    let unknown = format!("asset {} is not anchored", content("other"));
    check(&mut world, 2, license("other", "2"), unknown);
    world.pass(1, set("site", priced("5000")));
    let account = at(2).display("dev");
    let poor = format!("not enough coins: it costs 5000.001 with the fee, account {account} holds 999.999");
    check(&mut world, 2, license("site", "5000"), poor);
    world.pass(1, Action::AssetTombstone { cid });
    let height = world.height;
    let gone = format!("asset {cid} was withdrawn by its owner at height {height}");
    check(&mut world, 2, license("site", "5000"), gone);
}

#[test]
fn a_long_history_keeps_its_first_owner_and_the_latest() {
    let mut world = World::new();
    world.claim(1, anchor("site", 1));
    for round in 0..70 {
        let (from, to) = if round % 2 == 0 { (1, 2) } else { (2, 1) };
        world.pass(from, give("site", to));
    }
    let asset = world.asset("site").unwrap();
    assert_eq!(asset.history.len(), Asset::MAX_HISTORY);
    assert_eq!(asset.dropped, 7);
    assert_eq!((asset.history[0].height, asset.history[0].owner), (3, at(1)));
    assert_eq!(asset.history.last().unwrap().height, world.height);
}
