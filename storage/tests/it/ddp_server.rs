//! What an edge does for those who keep to the protocol.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Amount, Hash, Owed, check_path, receipt_path};
use storage::Store;
use storage::ddp::wire::{Code, ToServer};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::ddp_server_world::*;
use crate::support::Scratch;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_is_paid_to_the_unit_and_makes_one_receipt() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 1, 9);
    let client = Client::new(1, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    assert_eq!(
        (session.offer().vouched.clone(), session.offer().ahead),
        (None, false)
    );
    session.want(&blocks).await;
    session.take_and_pay(9, Owed::ZERO).await;
    session.close(Owed::ZERO).await;
    let owed = cost(9 * MIB);
    until("the last voucher", || edge.vouched(&client.escrow) == owed).await;
    until("the receipt", || stated(&edge) == [9 * MIB]).await;
    let row = edge.delivery.receipts(0, 9).unwrap().remove(0);
    row.receipt.check(CHAIN).unwrap();
    let statement = &row.receipt.statement.body;
    assert_eq!(
        (statement.bytes, statement.blocks, statement.height),
        (9 * MIB, 9, 100)
    );
    assert_eq!(row.receipt.voucher.as_ref().unwrap().body.cumulative, owed);
    assert_eq!(edge.delivery.receipt(&row.id).unwrap(), Some(row));
    let tab = edge.tab(&client.escrow).tab;
    assert_eq!(
        (tab.due(), tab.paid_bytes, tab.forgiven),
        (Amount::ZERO, 9 * MIB, 0)
    );
    until("the end of the session", || edge.delivery.load() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_session_goes_on_where_the_last_one_ended() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 2, 4);
    let client = Client::new(2, &coins).await;
    let mut before = Owed::ZERO;
    for pair in blocks.chunks(2) {
        let mut session = client.session(&edge, &pair[0]).await;
        let vouched = session
            .offer()
            .vouched
            .as_ref()
            .map(|voucher| voucher.body.cumulative);
        assert_eq!(vouched.unwrap_or_default(), before.amount());
        session.want(pair).await;
        session.take_and_pay(2, before).await;
        session.close(before).await;
        before = before.add(2 * MIB, PRICE);
        until("the last voucher", || {
            edge.vouched(&client.escrow) == before.amount()
        })
        .await;
    }
    until("two receipts", || stated(&edge) == [2 * MIB, 2 * MIB]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_here_is_absent_and_a_path_brings_what_a_reader_reads() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let root = scratch.import(&[("a/b.txt", b"hello"), ("c.txt", b"you")]);
    let client = Client::new(3, &coins).await;
    let elsewhere = Scratch::new();
    let absent = put_blocks(&elsewhere.store, 3, 1)[0];
    let mut session = client.session(&edge, &root).await;
    session.want(&[absent, root]).await;
    assert_eq!(session.hear().await, Heard::Absent(absent));
    assert!(matches!(session.hear().await, Heard::Block(cid, _) if cid == root));
    let check = async |session: &mut Session, segments: &[&str], blocks: u64| {
        let had = session.blocks;
        let segments = segments.iter().map(|&segment| segment.to_owned()).collect();
        session.say(&ToServer::Path { segments }).await;
        while session.hear().await != Heard::End {}
        assert_eq!(session.blocks - had, blocks);
    };
    check(&mut session, &["a", "b.txt"], 3).await;
    check(&mut session, &[], 1).await;
    check(&mut session, &["nothing"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_nothing_there_is_a_statement_and_a_receipt_all_the_same() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start_with(&scratch.store, &coins, |config| config.price = Amount::ZERO).await;
    let blocks = put_blocks(&scratch.store, 4, 5);
    let client = Client::new(4, &coins).await;
    let mut session = client.raw(&edge).await;
    let mut open = client.greeting(&blocks[0]);
    open.escrow = None;
    session.greet(open).await;
    session.want(&blocks).await;
    while session.blocks < 5 {
        session.hear().await;
    }
    session.say(&ToServer::Close {}).await;
    while session.hear().await != Heard::Ended {}
    let last = session.statements.last().unwrap().clone();
    assert_eq!((last.body.bytes, last.body.escrow), (5 * MIB, None));
    session.send.finish().unwrap();
    until("the receipt", || {
        !edge.delivery.receipts(0, 9).unwrap().is_empty()
    })
    .await;
    let receipts = edge.delivery.receipts(0, 9).unwrap();
    receipts[0].receipt.check(CHAIN).unwrap();
    assert_eq!((receipts.len(), &receipts[0].receipt.statement), (1, &last));
    assert_eq!(
        (receipts[0].receipt.voucher.clone(), edge.delivery.tabs().unwrap()),
        (None, Vec::new())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_of_one_payer_share_its_tab() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start_with(&scratch.store, &coins, |config| {
        config.timeout = Duration::from_secs(9);
    })
    .await;
    let blocks = put_blocks(&scratch.store, 5, 2);
    let client = Client::new(5, &coins).await;
    let mut one = client.session(&edge, &blocks[0]).await;
    let mut two = client.raw_over(one.connection.clone()).await;
    two.greet(client.greeting(&blocks[1])).await;
    one.want(&blocks[..1]).await;
    assert!(matches!(one.hear().await, Heard::Block(..)));
    let Heard::Statement(statement) = one.hear().await else {
        panic!()
    };
    // The window is used up by the first session.
    two.want(&blocks[1..]).await;
    let waits = timeout(Duration::from_millis(300), two.hear()).await;
    assert!(waits.is_err(), "{waits:?}");
    // What is paid there lets go what waits here.
    one.pay(cost(MIB), Some(&statement)).await;
    assert!(matches!(two.hear().await, Heard::Block(..)));
    let Heard::Statement(statement) = two.hear().await else {
        panic!()
    };
    // A voucher that another session has overtaken still acknowledges its statement.
    one.pay(cost(2 * MIB), None).await;
    until("the higher voucher", || {
        edge.vouched(&client.escrow) == cost(2 * MIB)
    })
    .await;
    let late = Amount::from_units(cost(2 * MIB).units() - 1);
    two.pay(late, Some(&statement)).await;
    until("two receipts", || {
        edge.delivery.receipts(0, 9).unwrap().len() == 2
    })
    .await;
    assert_eq!(edge.vouched(&client.escrow), cost(2 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owes_more_than_it_knows_is_told_how_much() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 10, 2);
    let client = Client::new(10, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks).await;
    assert!(matches!(session.hear().await, Heard::Block(..)));
    assert!(matches!(session.hear().await, Heard::Statement(_)));
    assert_eq!(session.hear().await, Heard::Due(cost(MIB)));
    session.pay(cost(MIB), None).await;
    assert!(matches!(session.hear().await, Heard::Block(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_gathered_once_and_proved_by_their_path() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 6, 3);
    let client = Client::new(6, &coins).await;
    assert_eq!(edge.delivery.stage_claim().unwrap(), None);
    let mut before = Owed::ZERO;
    for cid in &blocks[..2] {
        before = deliver(&edge, &client, cid, before).await;
    }
    let batch = edge.delivery.stage_claim().unwrap().unwrap();
    let ids: Vec<Hash> = edge
        .delivery
        .receipts(0, 9)
        .unwrap()
        .iter()
        .map(|row| row.id)
        .collect();
    assert_eq!((&batch.leaves, batch.settled), (&ids, false));
    assert!(check_path(batch.root, 2, 1, ids[1], &receipt_path(&ids, 1)));
    assert_eq!(
        edge.delivery.stage_claim().unwrap(),
        None,
        "nothing is gathered twice"
    );
    assert_eq!(edge.delivery.batches().unwrap(), std::slice::from_ref(&batch));
    // A claim that will never be on the ledger gives its receipts back.
    edge.delivery.drop_claim(&batch.root).unwrap();
    assert_eq!(edge.delivery.batches().unwrap(), []);
    assert_eq!(edge.delivery.stage_claim().unwrap(), Some(batch.clone()));
    edge.delivery.settle_claim(&batch.root).unwrap();
    edge.delivery.drop_claim(&batch.root).unwrap();
    assert_eq!(edge.delivery.batches().unwrap(), []);
    let settled = edge.delivery.batch(&batch.root).unwrap().unwrap();
    assert_eq!((settled.leaves, settled.settled), (ids, true));
    deliver(&edge, &client, &blocks[2], before).await;
    let next = edge.delivery.stage_claim().unwrap().unwrap();
    assert_eq!(next.leaves.len(), 1);
    let rows = edge.delivery.receipts(2, 9).unwrap();
    assert_eq!(
        rows.iter().map(|row| row.claim).collect::<Vec<_>>(),
        [Some(batch.root), Some(next.root)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_a_claim_has_taken_is_left_alone_by_the_session_that_goes_on() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 7, 2);
    let client = Client::new(7, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    for (at, cid) in blocks.iter().enumerate() {
        session.want(&[*cid]).await;
        assert!(matches!(session.hear().await, Heard::Block(..)));
        let Heard::Statement(statement) = session.hear().await else {
            panic!()
        };
        session.pay(cost((at as u64 + 1) * MIB), Some(&statement)).await;
        until("a receipt", || {
            edge.delivery.receipts(0, 9).unwrap().len() == at + 1
        })
        .await;
        let batch = edge.delivery.stage_claim().unwrap().unwrap();
        let row = edge.delivery.receipt(&batch.leaves[0]).unwrap().unwrap();
        assert_eq!((row.seq, row.receipt.statement), (at as u64 + 1, statement));
    }
}

#[test]
fn books_survive_a_kill() {
    let folder = TempDir::new().unwrap();
    let coins = Arc::new(Coins::default());
    let life = |seed: u8, expected: Option<Amount>| {
        let runtime = Runtime::new().unwrap();
        let escrow = runtime.block_on(async {
            let store = Store::open(folder.path()).unwrap();
            let edge = Edge::start(&store, &coins).await;
            let blocks = put_blocks(&store, 8, 3);
            let client = Client::new(8, &coins).await;
            if let Some(expected) = expected {
                assert_eq!(edge.vouched(&client.escrow), expected);
                assert_eq!(edge.delivery.batches().unwrap().len(), usize::from(seed) - 1);
            }
            let before = expected.map_or(Owed::ZERO, |_| Owed::ZERO.add(MIB, PRICE));
            let mut session = client.session(&edge, &blocks[0]).await;
            session.want(&blocks[..1]).await;
            session.take_and_pay(1, before).await;
            let Heard::Statement(statement) = session.hear().await else {
                panic!()
            };
            session
                .pay(before.add(MIB, PRICE).amount(), Some(&statement))
                .await;
            until("a receipt", || {
                edge.delivery.receipts(0, 9).unwrap().len() == usize::from(seed)
            })
            .await;
            edge.delivery.stage_claim().unwrap();
            // The runtime goes, in the middle of the session, and takes everything with it.
            client.escrow
        });
        drop(runtime);
        escrow
    };
    life(1, None);
    life(2, Some(cost(MIB)));
    let store = Store::open(folder.path()).unwrap();
    let runtime = Runtime::new().unwrap();
    let edge = runtime.block_on(Edge::start(&store, &coins));
    assert_eq!(edge.delivery.batches().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_tells_sessions_that_it_stops() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 9, 1);
    let client = Client::new(9, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    let (_, refuse) = tokio::join!(edge.delivery.shutdown(), session.take_until_refused());
    assert_eq!(refuse.code, Code::Unable);
    assert!(refuse.retry_ms > 0);
}

/// The bytes that each receipt speaks of.
fn stated(edge: &Edge) -> Vec<u64> {
    let rows = edge.delivery.receipts(0, 99).unwrap();
    rows.iter().map(|row| row.receipt.statement.body.bytes).collect()
}

/// One block, delivered and paid for in a session of its own.
async fn deliver(edge: &Edge, client: &Client, cid: &cid::Cid, before: Owed) -> Owed {
    let had = edge.delivery.receipts(0, 99).unwrap().len();
    let mut session = client.session(edge, cid).await;
    session.want(&[*cid]).await;
    session.take_and_pay(1, before).await;
    session.close(before).await;
    until("a receipt", || {
        edge.delivery.receipts(0, 99).unwrap().len() == had + 1
    })
    .await;
    before.add(MIB, PRICE)
}
