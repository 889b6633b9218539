//! Escrows, edges and claims of one node.

use ledger::Amount;

use super::{Live, refused};
use crate::api::types::{
    CheckVerdict, Claimed, Diagnosis, EarnStatus, EdgeList, EdgeTerms, EscrowSent, EscrowStep, PayAllot,
    PayExit, PayOpen, PayStatus, PayTopUp, PeerList, ReceiptList, Sent, WalletSend,
};

fn coins(coins: u64) -> Amount {
    Amount::from_coins(coins).expect("a small number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_knows_what_it_pays_and_earns() {
    let live = Live::start().await;
    pays(&live).await;
    is_an_edge(&live).await;
    earns_nothing_yet(&live).await;
    is_well(&live).await;
    live.stop().await;
}

async fn pays(live: &Live) {
    let status = || async { live.json::<PayStatus>(live.get("/v1/pay")).await };
    assert!(status().await.escrows.is_empty());
    let order = PayOpen {
        amount: coins(5),
        wallet: None,
        wait: None,
    };
    let opened: EscrowSent = live.json(live.post("/v1/pay/open").json(&order)).await;
    assert!(
        opened.step == EscrowStep::Open && opened.height.is_some(),
        "{opened:?}"
    );
    let order = PayTopUp {
        amount: coins(1),
        wallet: None,
        wait: None,
    };
    let path = format!("/v1/pay/{}/top-up", opened.escrow);
    let added: EscrowSent = live.json(live.post(&path).json(&order)).await;
    assert_eq!((added.step, &added.escrow), (EscrowStep::TopUp, &opened.escrow));
    let allot = |amount| {
        live.post("/v1/pay/default/allot").json(&PayAllot {
            payee: "default".to_owned(),
            amount,
            blocks: Some(100),
            metered: false,
            wait: None,
        })
    };
    let set_aside: EscrowSent = live.json(allot(coins(2))).await;
    assert_eq!(
        (set_aside.step, &set_aside.escrow),
        (EscrowStep::Allot, &opened.escrow)
    );
    let (code, word, text) = refused(allot(coins(7))).await;
    assert_eq!((code, word.as_str()), (409, "refused"), "{text}");
    let escrows = status().await.escrows;
    let [escrow] = &escrows[..] else {
        panic!("{escrows:?}");
    };
    assert_eq!(
        (escrow.balance, escrow.reserved, escrow.signed_unclaimed),
        (coins(6), coins(2), Amount::ZERO)
    );
    assert!(escrow.usable && escrow.closes_at.is_none(), "{escrow:?}");
    assert_eq!(
        (escrow.payees.len(), escrow.payees[0].expires),
        (1, set_aside.expires)
    );
    let exit = || live.post("/v1/pay/default/exit").json(&PayExit { wait: None });
    let left: EscrowSent = live.json(exit()).await;
    // What is set aside holds it longer than the delay of the chain.
    assert_eq!((left.step, left.closes_at), (EscrowStep::Exit, set_aside.expires));
    let (code, word, text) = refused(exit()).await;
    assert_eq!((code, word.as_str()), (409, "refused"));
    let from = format!(
        "can be closed from height {} on",
        left.closes_at.unwrap_or_default()
    );
    assert!(text.contains(&from), "{text}");
}

async fn is_an_edge(live: &Live) {
    let terms = EdgeTerms {
        price: Some(Amount::from_units(77)),
        traffic_max: Some(1 << 40),
        ..EdgeTerms::default()
    };
    let register = || live.post("/v1/edges/register").json(&terms);
    let _: Sent = live.json(register()).await;
    let list: EdgeList = live.json(live.get("/v1/edges")).await;
    let entry = list.edges[0].entry.clone().expect("an entry");
    assert!(list.edges[0].here && list.edges[0].offer.is_some());
    assert_eq!((entry.price.units(), entry.traffic_max), (77, 1 << 40));
    assert_eq!(entry.owner, entry.payout);
    assert_eq!(refused(register()).await.1, "refused");
    let terms = EdgeTerms {
        capacity: Some(9),
        ..EdgeTerms::default()
    };
    let _: Sent = live.json(live.post("/v1/edges/here/set").json(&terms)).await;
    let list: EdgeList = live.json(live.get("/v1/edges?owner=default")).await;
    let changed = list.edges[0].entry.clone().expect("an entry");
    assert_eq!((changed.price, changed.capacity), (entry.price, 9));
    let path = format!("/v1/edges/{}/leave", list.edges[0].node);
    let left: Sent = live.json(live.post(&path).json(&serde_json::json!({}))).await;
    assert!(left.height.is_some());
    let list: EdgeList = live.json(live.get("/v1/edges?owner=default")).await;
    assert!(list.edges.is_empty());
}

async fn earns_nothing_yet(live: &Live) {
    let status: EarnStatus = live.json(live.get("/v1/earn")).await;
    assert!(status.total.earned.is_zero() && status.escrows.is_empty() && status.claims_open == 0);
    let claimed: Claimed = live
        .json(live.post("/v1/earn/claim").json(&serde_json::json!({})))
        .await;
    assert!(claimed.transactions == 0 && claimed.claims.is_empty() && claimed.height > 0);
    let list: ReceiptList = live.json(live.get("/v1/earn/receipts")).await;
    assert!(list.receipts.is_empty() && list.next.is_none());
    let nobody = format!("/v1/earn/receipts/{}/proof", "00".repeat(32));
    assert_eq!(refused(live.get(&nobody)).await.0, 404);
}

async fn is_well(live: &Live) {
    let peers: PeerList = live.json(live.get("/v1/peers")).await;
    assert!(
        peers.peers.is_empty() && peers.addresses[0].contains("/p2p/"),
        "{peers:?}"
    );
    let diagnosis: Diagnosis = live.json(live.get("/v1/doctor")).await;
    let names: Vec<&str> = diagnosis.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "peers", "sync", "clock", "disk", "edge", "escrow", "earnings", "pins", "readers", "standing",
            "outside"
        ]
    );
    let failed = diagnosis
        .checks
        .iter()
        .find(|check| check.verdict == CheckVerdict::Fail);
    assert_eq!(failed, None);
    let order = WalletSend {
        to: "nobody".to_owned(),
        amount: coins(1),
        wallet: None,
        wait: None,
    };
    let (_, _, text) = refused(live.post("/v1/wallet/send").json(&order)).await;
    assert_eq!(
        text,
        "`nobody` is neither a wallet of this node (see `ddn wallet list`) nor an address"
    );
}
