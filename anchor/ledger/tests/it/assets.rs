//! Assets: who owns which content, and since when.

use ledger::{Action, Asset, AssetMeta, Link, Refusal, Split};

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
