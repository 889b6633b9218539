//! What an edge does about those who do not keep to the protocol.

use std::sync::Arc;
use std::time::Duration;

use cid::Cid;
use ledger::{Amount, Hash, Link, Owed, Signed, Voucher};
use storage::ddp::wire::{Code, OUTSTANDING_MAX, Open, ToServer, WANT_BLOCKS_MAX};

use crate::ddp_server_world::*;
use crate::support::Scratch;

#[tokio::test(flavor = "multi_thread")]
async fn who_never_pays_gets_one_window_however_often_it_comes_back() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 1, 6);
    let client = Client::new(1, &coins).await;
    let mut taken = 0;
    for at in 0..6 {
        let mut session = client.session(&edge, &blocks[0]).await;
        session.want(&blocks).await;
        session.refused(Code::Unpaid, "no voucher came in time").await;
        taken += session.bytes;
        assert_eq!(taken, MIB, "after session {at}");
    }
    assert_eq!(edge.vouched(&client.escrow), Amount::ZERO);
    // From now on it pays ahead, and gets what it paid for.
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks[..2]).await;
    let Heard::Due(due) = session.hear().await else {
        panic!()
    };
    assert_eq!(due, cost(MIB));
    session.pay(due, None).await;
    assert!(matches!(session.hear().await, Heard::Block(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_paying_gets_one_window_and_pays_ahead_from_then_on() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 2, 40);
    let client = Client::new(2, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks[..8]).await;
    session.take_and_pay(8, Owed::ZERO).await;
    session.close(Owed::ZERO).await;
    until("8 MiB paid", || edge.vouched(&client.escrow) == cost(8 * MIB)).await;
    let window = edge.tab(&client.escrow).tab.window;
    let mut taken = 0;
    for _ in 0..3 {
        let mut session = client.session(&edge, &blocks[0]).await;
        session.want(&blocks).await;
        session.refused(Code::Unpaid, "").await;
        taken += session.bytes;
    }
    assert_eq!(taken, window);
    let tab = edge.tab(&client.escrow).tab;
    assert_eq!((tab.forgiven, tab.vouched), (window, cost(8 * MIB)));
    let mut session = client.session(&edge, &blocks[0]).await;
    assert!(session.offer().ahead);
    session.want(&blocks[..1]).await;
    assert_eq!(session.hear().await, Heard::Due(cost(9 * MIB)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_that_the_ledger_would_not_pay_for() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let float = cost(2 * MIB);
    let edge = Edge::start_with(&scratch.store, &coins, |config| {
        config.credit.float = float;
        config.credit.first_window = 16 * MIB;
    })
    .await;
    let blocks = put_blocks(&scratch.store, 3, 8);
    let client = Client::new(3, &coins).await;
    let take = async |expected: u64| {
        let mut session = client.session(&edge, &blocks[0]).await;
        session.want(&blocks).await;
        let refuse = session.take_until_refused().await;
        assert_eq!(session.bytes, expected * MIB);
        refuse
    };
    // The window would let 16 MiB leave, the float no more than 2; paid for or not.
    let refuse = take(2).await;
    assert_eq!(refuse.code, Code::Unpaid);
    let refuse = take(0).await;
    assert_eq!(
        (refuse.code, refuse.missing > cost(15 * MIB)),
        (Code::NoAllotment, true),
        "{refuse:?}"
    );
    assert!(refuse.reason.contains("allot at least"), "{refuse:?}");
    // What expires before a claim can be on the ledger is worth nothing.
    coins.allot(&client.escrow, cost(3 * MIB), 110);
    assert_eq!(take(0).await.code, Code::NoAllotment);
    coins.allot(&client.escrow, cost(3 * MIB), 111);
    assert_eq!(take(3).await.code, Code::Unpaid);
    // A payer that leaves has what is set aside, and no float.
    coins.0.lock().unwrap().get_mut(&client.escrow).unwrap().0.exit = Some(99);
    assert_eq!(take(0).await.code, Code::NoAllotment);
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_that_do_not_count_are_refused_with_the_reason() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 4, 1);
    let client = Client::with_balance(4, &coins, cost(3 * MIB)).await;
    let stranger = Client::new(44, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks).await;
    session.take_and_pay(1, Owed::ZERO).await;
    session.close(Owed::ZERO).await;
    until("the first voucher", || edge.vouched(&client.escrow) == cost(MIB)).await;
    let good = Voucher {
        escrow: client.escrow,
        payee: payee(),
        asset: None,
        cumulative: cost(2 * MIB),
        statement: None,
    };
    let with = |change: &dyn Fn(&mut Voucher)| {
        let mut voucher = good.clone();
        change(&mut voucher);
        Signed::sign(voucher, CHAIN, &client.voucher_key)
    };
    let mut forged = with(&|_| {});
    forged.body.cumulative = cost(3 * MIB);
    let cases: [(Signed<Voucher>, Code, &str); 8] = [
        (
            with(&|voucher| voucher.cumulative = cost(MIB)),
            Code::Voucher,
            "honoured before",
        ),
        (
            with(&|voucher| voucher.cumulative = cost(MIB / 2)),
            Code::Voucher,
            "one that was honoured before promises",
        ),
        (
            with(&|voucher| voucher.payee = key(99).address()),
            Code::Voucher,
            "its payee is",
        ),
        (
            with(&|voucher| voucher.escrow = stranger.escrow),
            Code::Voucher,
            "its escrow is",
        ),
        (
            Signed::sign(good.clone(), CHAIN, &stranger.voucher_key),
            Code::Voucher,
            "its key is",
        ),
        (
            Signed::sign(good.clone(), "other", &client.voucher_key),
            Code::Voucher,
            "signature",
        ),
        (forged, Code::Voucher, "signature"),
        (
            with(&|voucher| voucher.cumulative = cost(4 * MIB)),
            Code::NoAllotment,
            "at most",
        ),
    ];
    for (voucher, code, words) in cases {
        let mut session = client.session(&edge, &blocks[0]).await;
        session.say(&ToServer::Pay { voucher }).await;
        session.refused(code, words).await;
        assert_eq!(edge.vouched(&client.escrow), cost(MIB));
    }
    // Within one session too, and after the good one.
    let mut session = client.session(&edge, &blocks[0]).await;
    session.pay(cost(2 * MIB), None).await;
    session.pay(cost(2 * MIB), None).await;
    session.refused(Code::Voucher, "honoured before").await;
    assert_eq!(edge.vouched(&client.escrow), cost(2 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_ends_the_session_and_nothing_else() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let root = put_blocks(&scratch.store, 5, 1)[0];
    let client = Client::new(5, &coins).await;
    let other = Client::new(55, &coins).await;
    let mut honest = other.session(&edge, &root).await;
    let frame = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let padded = {
        // {"close": {}} with an empty map that is spelled in two bytes.
        [&[0xa1, 0x65][..], b"close", &[0xb8, 0x00]].concat()
    };
    for garbage in [
        frame(b"garbage"),
        frame(b""),
        frame(&[0x9b; 64]),
        frame(&padded),
        vec![0xff; 64],
        (1u32 << 20).to_be_bytes().to_vec(),
    ] {
        let mut session = client.session(&edge, &root).await;
        session.say_bytes(&garbage).await;
        session.refused(Code::Protocol, "frame").await;
        let mut session = client.raw(&edge).await;
        session.say_bytes(&garbage).await;
        session.refused(Code::Protocol, "frame").await;
    }
    let link = Link(root);
    let many = |count: usize| ToServer::Want {
        blocks: vec![link; count],
    };
    let path = |count: usize| ToServer::Path {
        segments: vec!["a".to_owned(); count],
    };
    for (frames, words) in [
        (vec![many(0)], "0 blocks wanted"),
        (vec![many(WANT_BLOCKS_MAX + 1)], "513 blocks wanted"),
        (
            vec![many(WANT_BLOCKS_MAX); OUTSTANDING_MAX / WANT_BLOCKS_MAX + 1],
            "at most 4096 may be",
        ),
        (vec![path(257)], "a path of 257 names"),
        (vec![ToServer::Open(client.greeting(&root))], "open already"),
    ] {
        let mut session = client.session(&edge, &root).await;
        for frame in &frames {
            session.say(frame).await;
        }
        session.refused(Code::Protocol, words).await;
    }
    let mut session = client.raw(&edge).await;
    session.say(&ToServer::Close {}).await;
    session.refused(Code::Protocol, "begins with an open").await;
    honest.want(&[root]).await;
    assert!(matches!(honest.hear().await, Heard::Block(..)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_that_cannot_be_served_is_refused_with_the_reason() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let root = put_blocks(&scratch.store, 6, 1)[0];
    let elsewhere = Scratch::new();
    let absent = put_blocks(&elsewhere.store, 66, 1)[0];
    let client = Client::new(6, &coins).await;
    let with = |change: &dyn Fn(&mut Open)| {
        let mut open = client.greeting(&root);
        change(&mut open);
        open
    };
    for (open, code, words) in [
        (with(&|open| open.version = 2), Code::Version, "version 2"),
        (
            with(&|open| open.chain = "other".to_owned()),
            Code::Chain,
            "chain 'dev'",
        ),
        (
            with(&|open| open.root = Link(absent)),
            Code::Absent,
            "is not here",
        ),
        (
            with(&|open| open.escrow = Some(Hash::of(b"none"))),
            Code::NoEscrow,
            "at height 100",
        ),
    ] {
        let mut session = client.raw(&edge).await;
        session.say(&ToServer::Open(open)).await;
        session.refused(code, words).await;
    }
    // Without an escrow the price is told, and nothing more.
    let mut session = client.raw(&edge).await;
    session.greet(with(&|open| open.escrow = None)).await;
    session.want(&[root]).await;
    session.refused(Code::NoEscrow, "has a price").await;
    assert_eq!(session.bytes, 0);
    let mut session = client.raw(&edge).await;
    session.greet(with(&|open| open.escrow = None)).await;
    session.pay(cost(MIB), None).await;
    session.refused(Code::Protocol, "nothing to pay").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_bounded_for_each_peer_and_end_when_they_are_idle() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start_with(&scratch.store, &coins, |config| {
        config.sessions_per_peer = 2;
        config.idle = Duration::from_secs(2);
    })
    .await;
    let root = put_blocks(&scratch.store, 7, 1)[0];
    let client = Client::new(7, &coins).await;
    let mut first = client.session(&edge, &root).await;
    let mut second = client.raw_over(first.connection.clone()).await;
    second.greet(client.greeting(&root)).await;
    let mut third = client.raw_over(first.connection.clone()).await;
    third.say(&ToServer::Open(client.greeting(&root))).await;
    assert!(third.refused(Code::Busy, "too many sessions").await.retry_ms > 0);
    let other = Client::new(77, &coins).await;
    other.session(&edge, &root).await;
    first.refused(Code::Idle, "long time").await;
    second.refused(Code::Idle, "long time").await;
    until("the seats are free", || edge.delivery.load() == 0).await;
    client.session(&edge, &root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_disappears_and_comes_back_pays_for_what_it_got_and_the_rest_is_forgiven() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 8, 12);
    let client = Client::new(8, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks[..4]).await;
    session.take_and_pay(4, Owed::ZERO).await;
    while edge.vouched(&client.escrow) < cost(4 * MIB) {
        let Heard::Statement(statement) = session.hear().await else {
            panic!()
        };
        session.pay(cost(statement.body.bytes), Some(&statement)).await;
        until("a voucher", || {
            edge.vouched(&client.escrow) == cost(statement.body.bytes)
        })
        .await;
    }
    // Four more blocks leave, two arrive.
    session.want(&blocks[4..8]).await;
    while session.blocks < 6 {
        session.hear().await;
    }
    session.connection.close(0u32.into(), b"gone");
    drop(session);
    until("the session is over", || edge.delivery.load() == 0).await;
    let lost = edge.tab(&client.escrow).tab;
    assert!(lost.due() > cost(MIB), "{lost:?}");
    let before = Owed::ZERO.add(6 * MIB, PRICE);
    let mut session = client.session(&edge, &blocks[0]).await;
    assert_eq!(
        session.offer().vouched.as_ref().unwrap().body.cumulative,
        cost(4 * MIB)
    );
    session.pay(before.amount(), None).await;
    session.want(&blocks[6..]).await;
    session.take_and_pay(6, before).await;
    session.close(before).await;
    until("all is paid", || edge.vouched(&client.escrow) == cost(12 * MIB)).await;
    let tab = edge.tab(&client.escrow).tab;
    assert_eq!(tab.due(), Amount::ZERO);
    assert!(tab.forgiven <= 2 * MIB, "{tab:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_killed_and_comes_back_does_not_wait_for_its_ghost() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start_with(&scratch.store, &coins, |config| {
        config.timeout = Duration::from_secs(60);
    })
    .await;
    let blocks = put_blocks(&scratch.store, 11, 4);
    let client = Client::new(11, &coins).await;
    let mut ghost = client.session(&edge, &blocks[0]).await;
    ghost.want(&blocks[..2]).await;
    ghost.take_and_pay(2, Owed::ZERO).await;
    ghost.want(&blocks[2..]).await;
    // What is on its way is lost, and nobody says so.
    let before = Owed::ZERO.add(2 * MIB, PRICE);
    let mut session = client.session(&edge, &blocks[0]).await;
    let reason = ghost.connection.closed().await.to_string();
    assert!(reason.contains("connected anew"), "{reason}");
    let vouched = session
        .offer()
        .vouched
        .as_ref()
        .map(|voucher| voucher.body.cumulative);
    if vouched < Some(before.amount()) {
        session.pay(before.amount(), None).await;
    }
    session.want(&blocks[2..]).await;
    session.take_and_pay(2, before).await;
    session.close(before).await;
    until("all is paid", || edge.vouched(&client.escrow) == cost(4 * MIB)).await;
    assert_eq!(edge.tab(&client.escrow).tab.due(), Amount::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_an_escrow_without_its_key_gets_no_more_than_a_newcomer() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let blocks = put_blocks(&scratch.store, 9, 8);
    let client = Client::new(9, &coins).await;
    let mut session = client.session(&edge, &blocks[0]).await;
    session.want(&blocks[..4]).await;
    session.take_and_pay(4, Owed::ZERO).await;
    session.close(Owed::ZERO).await;
    until("4 MiB paid", || edge.vouched(&client.escrow) == cost(4 * MIB)).await;
    let stranger = Client::new(99, &coins).await;
    let mut session = stranger.raw(&edge).await;
    session.greet(client.greeting(&blocks[0])).await;
    session.want(&blocks).await;
    session.refused(Code::Unpaid, "").await;
    assert_eq!(session.bytes, MIB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_fails_takes_nothing_with_it() {
    let (scratch, coins) = (Scratch::new(), Arc::new(Coins::default()));
    let edge = Edge::start(&scratch.store, &coins).await;
    let root = put_blocks(&scratch.store, 10, 1)[0];
    let client = Client::new(10, &coins).await;
    let mut honest = client.session(&edge, &root).await;
    let mut cursed = client.raw_over(honest.connection.clone()).await;
    let mut open = client.greeting(&root);
    open.escrow = Some(CURSED);
    cursed.say(&ToServer::Open(open)).await;
    assert_eq!(cursed.hear().await, Heard::Ended);
    honest.want(&[root]).await;
    assert!(matches!(honest.hear().await, Heard::Block(..)));
    let other = Client::new(110, &coins).await;
    served(&edge, &other, &root).await;
    until("the seat is free", || edge.delivery.load() == 1).await;
}

async fn served(edge: &Edge, client: &Client, root: &Cid) {
    let mut session = client.session(edge, root).await;
    session.want(&[*root]).await;
    assert!(matches!(session.hear().await, Heard::Block(..)));
    session.close(Owed::ZERO).await;
}
