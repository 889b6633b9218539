//! What owners say of assets, how these are found, and licences, on one node.

use ledger::Amount;

use super::{Live, done, refused, tar_of};
use crate::api::types::{
    AssetLicense, AssetList, AssetTerms, AssetView, Published, Sent, WalletNew, WalletSend, WalletView,
};

fn coins(text: &str) -> Amount {
    Amount::parse_coins(text).expect("coins")
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_found_described_and_licensed() {
    let live = Live::start().await;
    let query = "?name=photo.ddn&tag=photo,harbour,photo&licence=CC-BY-4.0&price=250000000";
    let photo = done(live.publish(query, tar_of(b"photo")).await);
    let plain = done(live.publish("?title=Plain", tar_of(b"plain")).await);
    is_found(&live, &photo, &plain).await;
    is_described(&live, &plain).await;
    is_licensed(&live, &photo).await;
    live.stop().await;
}

async fn show(live: &Live, cid: &str) -> AssetView {
    live.json(live.get(&format!("/v1/assets/{cid}"))).await
}

async fn is_found(live: &Live, photo: &Published, plain: &Published) {
    let view = show(live, &photo.cid).await;
    assert_eq!(view.tags, ["harbour", "photo"]);
    assert_eq!(
        (view.licence.as_deref(), view.price),
        (Some("CC-BY-4.0"), Some(coins("2.5")))
    );
    let cid = cid::Cid::try_from(photo.cid.as_str()).expect("a CID");
    let digest = hex::encode(cid.hash().digest());
    let owner = view.owner;
    for (query, expected) in [
        ("tag=photo".to_owned(), vec![&photo.cid]),
        (format!("tag=harbour&owner={owner}"), vec![&photo.cid]),
        (
            "tag=harbour&owner=default&name=photo.ddn".to_owned(),
            vec![&photo.cid],
        ),
        (format!("hash={digest}"), vec![&photo.cid]),
        (format!("hash={}", plain.cid), vec![&plain.cid]),
        (format!("hash={}&tag=photo", plain.cid), vec![]),
        ("name=photo.ddn".to_owned(), vec![&photo.cid]),
        ("name=nobody.ddn".to_owned(), vec![]),
        ("tag=nothing".to_owned(), vec![]),
    ] {
        let list: AssetList = live.json(live.get(&format!("/v1/assets?{query}"))).await;
        let found: Vec<&String> = list.assets.iter().map(|asset| &asset.cid).collect();
        assert_eq!(found, expected, "{query}");
    }
    let all: AssetList = live.json(live.get("/v1/assets")).await;
    assert_eq!(all.assets.len(), 2);
}

async fn is_described(live: &Live, plain: &Published) {
    let before = show(live, &plain.cid).await;
    let terms = AssetTerms {
        title: Some("Quite plain".into()),
        tags: vec!["z".into(), "a".into(), "z".into()],
        price: Some(coins("1")),
        ..AssetTerms::default()
    };
    let path = format!("/v1/assets/{}/set", plain.cid);
    let _: Sent = live.json(live.post(&path).json(&terms)).await;
    let view = show(live, &plain.cid).await;
    assert_eq!(
        (view.title.as_deref(), view.tags.join(" ")),
        (Some("Quite plain"), "a z".into())
    );
    assert_eq!(
        (view.bytes, view.files, view.profile),
        (before.bytes, before.files, before.profile)
    );
    let bad = AssetTerms {
        licence: Some("x".repeat(65)),
        ..AssetTerms::default()
    };
    let (code, word, _) = refused(live.post(&path).json(&bad)).await;
    assert_eq!((code, word.as_str()), (400, "bad_request"));
}

async fn is_licensed(live: &Live, photo: &Published) {
    let make = live
        .post("/v1/wallet/new")
        .json(&WalletNew { name: "buyer".into() });
    let buyer: WalletView = live.json(make).await;
    let gift = WalletSend {
        to: buyer.address.clone(),
        amount: coins("10"),
        wallet: None,
        wait: None,
    };
    let _: Sent = live.json(live.post("/v1/wallet/send").json(&gift)).await;
    let buy = |price: &str, wallet: &str| {
        live.post(&format!("/v1/assets/{}/license", photo.cid))
            .json(&AssetLicense {
                price: coins(price),
                wallet: Some(wallet.to_owned()),
                wait: None,
            })
    };
    for (price, wallet, words) in [
        ("2", "buyer", "costs 2.5 coins now, not 2"),
        ("2.5", "default", "needs no licence"),
    ] {
        let (code, word, text) = refused(buy(price, wallet)).await;
        assert_eq!((code, word.as_str()), (409, "refused"));
        assert!(text.contains(words), "{text}");
    }
    let _: Sent = live.json(buy("2.5", "buyer")).await;
    let licences = show(live, &photo.cid).await.licences;
    let [held] = &licences[..] else {
        panic!("{licences:?}")
    };
    assert_eq!(
        (held.wallet.as_str(), &held.address, held.price),
        ("buyer", &buyer.address, coins("2.5"))
    );
    assert_eq!(held.licence.as_deref(), Some("CC-BY-4.0"));
    let (_, _, text) = refused(buy("2.5", "buyer")).await;
    assert!(text.contains("holds a licence"), "{text}");
}
