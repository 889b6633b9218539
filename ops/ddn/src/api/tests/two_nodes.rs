//! Content goes from one node to another, and is paid, claimed and proved.

use std::time::{Duration, Instant};

use ledger::{Amount, DeliveryProof, Genesis};

use super::{Live, done, refused, tar_of};
use crate::api::types::{
    Claimed, EarnStatus, EdgeList, ErrorBody, NodeRole, NodeStatus, PayStatus, PeerList, PinView,
    ReceiptList, Resolved,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// More than a window, and not a whole number of MiB.
const SITE_BYTES: usize = (5 << 20) + 12_345;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_fetches_and_pays() {
    let one = Live::start().await;
    let content: Vec<u8> = (0..SITE_BYTES as u32)
        .map(|n| (n % 251 + n / 7919) as u8)
        .collect();
    let published = done(one.publish("?name=site.ddn", tar_of(&content)).await);
    let two = Live::joining(&one).await;
    knows_its_place(&one, &two).await;
    let car = two.get("/v1/content/site.ddn").send().await.expect("an answer");
    assert_eq!(
        car.status().as_u16(),
        200,
        "{}",
        car.text().await.unwrap_or_default()
    );
    let car = car.bytes().await.expect("whole");
    assert!(car.len() > SITE_BYTES);
    let bytes = paid(&one).await;
    claimed(&one, &two, bytes).await;
    let pinned: PinView = two
        .json(two.post(&format!("/v1/repo/pins/{}", published.cid)))
        .await;
    assert_eq!(pinned.cid, published.cid);
    let found: Resolved = two.json(two.get("/v1/resolve/site.ddn")).await;
    let status: NodeStatus = two.json(two.get("/v1/status")).await;
    assert_eq!(found.edge, Some(status.node.gateway), "{:?}", found.why);
    let half = half_fetched(&one, &two).await;
    one.stop().await;
    alone(&two).await;
    breaks_off(&two, &half).await;
    two.stop().await;
}

async fn knows_its_place(one: &Live, two: &Live) {
    let status: NodeStatus = two.json(two.get("/v1/status")).await;
    assert_eq!(
        (status.role, status.peers, status.node.engine),
        (NodeRole::Follower, 1, None)
    );
    assert!(status.best >= status.height && status.height > 0);
    let first: NodeStatus = one.json(one.get("/v1/status")).await;
    assert_eq!(first.role, NodeRole::Delegate);
    let peers: PeerList = two.json(two.get("/v1/peers")).await;
    assert_eq!(peers.peers[0].node, first.node.node_id);
    until("the first is heard of as an edge", || async {
        let edges: EdgeList = two.json(two.get("/v1/edges")).await;
        edges
            .edges
            .iter()
            .any(|edge| edge.node == first.node.node_id && edge.offer.is_some())
    })
    .await;
    // What is known of edges is shown some times a second.
    until("the first is where it is delivered", || async {
        let found: Resolved = two.json(two.get("/v1/resolve/site.ddn")).await;
        found.edge.as_ref() == Some(&first.node.delivery)
    })
    .await;
}

/// Waits until all that was delivered is paid, and says how many bytes that were.
async fn paid(one: &Live) -> u64 {
    until("all is paid", || async {
        let status: EarnStatus = one.json(one.get("/v1/earn")).await;
        status.total.owed.is_zero() && status.total.bytes > SITE_BYTES as u64
    })
    .await;
    let status: EarnStatus = one.json(one.get("/v1/earn")).await;
    let (bytes, price) = (status.total.bytes, status.price.units());
    assert_eq!(status.total.earned.units(), (bytes * price).div_ceil(1 << 20));
    assert_eq!(
        (status.total.unclaimed, status.total.claimed),
        (status.total.earned, Amount::ZERO)
    );
    bytes
}

async fn claimed(one: &Live, two: &Live, bytes: u64) {
    let earned: EarnStatus = one.json(one.get("/v1/earn")).await;
    let claim = || one.post("/v1/earn/claim").json(&serde_json::json!({}));
    // Whoever asks meanwhile claims nothing twice.
    let (one_of, other): (Claimed, Claimed) = tokio::join!(one.json(claim()), one.json(claim()));
    assert_eq!(
        one_of.transactions + other.transactions,
        1,
        "{one_of:?} {other:?}"
    );
    assert_eq!(one_of.amount.max(other.amount), earned.total.earned);
    assert_eq!(one_of.amount.min(other.amount), Amount::ZERO);
    let after: EarnStatus = one.json(one.get("/v1/earn")).await;
    assert_eq!(
        (after.total.claimed, after.total.unclaimed),
        (earned.total.earned, Amount::ZERO)
    );
    until("the payer sees the claim", || async {
        let paid: PayStatus = two.json(two.get("/v1/pay")).await;
        paid.escrows[0].payees[0].claimed == earned.total.earned
    })
    .await;
    let list: ReceiptList = one.json(one.get("/v1/earn/receipts")).await;
    assert_eq!(
        list.receipts.iter().map(|receipt| receipt.bytes).sum::<u64>(),
        bytes
    );
    let genesis = std::fs::read(one.home.path().join("genesis.json")).expect("a genesis");
    let genesis = Genesis::parse(&genesis).expect("a genesis");
    for receipt in &list.receipts {
        let path = format!("/v1/earn/receipts/{}/proof", receipt.id);
        let proof = one
            .get(&path)
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("bytes");
        let proof = DeliveryProof::decode(&proof).expect("a proof");
        let verified = ledger::verify_delivery(&proof, &genesis).expect("proven");
        assert_eq!(verified.receipt.id().to_string(), receipt.id);
        assert_eq!(Some(verified.claim.root.to_string()), receipt.claim);
    }
}

/// Content of which the second node has one file of two.
async fn half_fetched(one: &Live, two: &Live) -> String {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["here", "there"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(name.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, format!("half/{name}"), name.as_bytes())
            .expect("an entry");
    }
    let published = done(one.publish("", tar.into_inner().expect("a stream")).await);
    let path = format!("/v1/content/{}/here", published.cid);
    let car = two.get(&path).send().await.expect("an answer");
    assert!(car.status().is_success() && car.bytes().await.is_ok());
    published.cid
}

/// A CAR that cannot be finished says why at its end, and is no whole one.
async fn breaks_off(two: &Live, half: &str) {
    let car = two
        .get(&format!("/v1/content/{half}"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(car.status().as_u16(), 200);
    let car = car.bytes().await.expect("a body that ends in order");
    let blocks: Vec<_> = storage::car::Reader::new(&car[..]).expect("a CAR").collect();
    let [.., Ok((_, words)), Err(_)] = &blocks[..] else {
        panic!("{blocks:?}");
    };
    let words: ErrorBody = serde_json::from_slice(words).expect("words");
    assert!(
        matches!(words.error.code.as_str(), "unavailable" | "missing_block"),
        "{words:?}"
    );
}

/// What is here is served, what is not is said to be nowhere.
async fn alone(two: &Live) {
    let car = two.get("/v1/content/site.ddn").send().await.expect("an answer");
    assert!(car.bytes().await.is_ok_and(|car| car.len() > SITE_BYTES));
    let nowhere = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    let (code, word, text) = refused(two.get(&format!("/v1/content/{nowhere}"))).await;
    assert!(
        matches!(
            (code, word.as_str()),
            (404, "missing_block") | (504, "unavailable")
        ),
        "{text}"
    );
    let (code, word, text) = refused(two.post(&format!("/v1/repo/pins/{nowhere}"))).await;
    assert!(
        matches!(
            (code, word.as_str()),
            (404, "missing_block") | (504, "unavailable")
        ),
        "{text}"
    );
}

/// Waits for a condition.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::task::yield_now().await;
    }
}
