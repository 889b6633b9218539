//! Followers that follow: from a delegate, from each other, over restarts, and when nobody is there.

use std::time::Duration;

use ledger::{Action, Bundle};

use crate::net::{Net, sent};
use crate::wire::{Answer, Request};
use crate::world::*;

#[tokio::test(flavor = "multi_thread")]
async fn followers_come_to_the_same_blocks_from_a_delegate_and_from_each_other() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let genesis = genesis("follow", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let draw = next(&one, &secret(20), Action::Faucet {});
    let height = include(&one, draw.clone()).await;

    let net = Net::new();
    net.join("one", &one, &[]);
    let two = start_follower(&genesis, dirs[1].path()).await;
    assert_eq!((two.engine_addr(), two.tip().height), (None, 0));
    assert!(!two.health().is_good());
    assert_eq!(
        two.health().problem().unwrap(),
        "no peer gives the blocks after height 0"
    );
    net.join("two", &two, &["one"]);
    synced(&two).await;
    assert!(two.tip().height >= height);
    assert_eq!(two.transaction(&draw.cid()).unwrap(), Some((draw, height)));

    // Three knows two alone.
    let three = start_follower(&genesis, dirs[2].path()).await;
    net.join("three", &three, &["two"]);
    synced(&three).await;
    let later = one.tip().height + 5;
    for chain in [&two, &three] {
        reach(chain, later).await;
        agree(&one, chain);
        check_history(chain);
        assert!(chain.health().is_good(), "{:?}", chain.health());
        let status = chain.sync_status();
        assert!(status.best >= chain.tip().height && status.refused.is_empty());
    }
    assert_eq!((two.sync_status().peers, three.sync_status().peers), (2, 1));
    let bundle = three
        .prove(&ledger::key::account(&secret(20).address()))
        .unwrap()
        .encode();
    let verified = ledger::verify(&Bundle::decode(&bundle).unwrap(), &genesis).unwrap();
    assert!(verified.value.is_some());

    // Without any delegate, a newcomer gets all of it from followers.
    one.shutdown().await;
    net.leave("one");
    let four = start_follower(&genesis, dirs[3].path()).await;
    net.join("four", &four, &["two", "three"]);
    synced(&four).await;
    assert_eq!(four.tip().height, two.tip().height.max(three.tip().height));
    agree(&four, &two);
    for name in ["two", "three", "four"] {
        assert_eq!((net.faults(name), net.rejected(name)), (vec![], vec![]));
    }
    for chain in [two, three, four] {
        chain.shutdown().await;
        assert_eq!(chain.health().failure, None);
    }
}

/// Gossip is a matter of speed: what it does not tell is found by asking.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_hears_no_gossip_asks() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("asks", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let net = Net::without_gossip();
    net.join("one", &one, &[]);
    let two = start_follower(&genesis, dirs[1].path()).await;
    net.join("two", &two, &["one"]);
    synced(&two).await;
    reach(&two, one.tip().height + 1).await;

    reach(&one, two.tip().height + 3).await;
    let wanted = one.tip().height;
    two.refresh(DEADLINE).await;
    assert!(
        two.tip().height >= wanted,
        "a refresh comes back with the newest block"
    );
    // Nobody to ask: no wait.
    net.leave("one");
    until("the loss to be noticed", || {
        (two.sync_status().peers == 0).then_some(())
    })
    .await;
    let refresh = tokio::time::timeout(DEADLINE / 2, two.refresh(DEADLINE)).await;
    assert!(refresh.is_ok());
    // A delegate waits for nobody.
    one.refresh(DEADLINE).await;
    one.synced().await.unwrap();
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_goes_on_after_a_stop_and_starts_without_peers() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("goes-on", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let mut before = 0;
    for _ in 0..3 {
        let net = Net::new();
        net.serve("one", &one);
        let two = start_follower(&genesis, dirs[1].path()).await;
        assert_eq!(two.tip().height, before);
        net.join("two", &two, &["one"]);
        reach(&two, before + 3).await;
        two.shutdown().await;
        // What was shut down can still be read, and does not go on.
        before = two.tip().height;
        agree(&one, &two);
    }
    one.shutdown().await;

    let two = start_follower(&genesis, dirs[1].path()).await;
    Net::new().join("two", &two, &[]);
    synced(&two).await;
    assert_eq!(two.tip().height, before);
    check_history(&two);
    // It serves what it has, and says that this gets old.
    until("old blocks to be no good", || {
        (!two.health().is_good()).then_some(())
    })
    .await;
    assert!(two.health().behind.unwrap() > two.health().behind_max);
    assert_eq!(two.health().failure, None);
    two.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_is_dropped_lets_go_of_its_folder() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("let-go", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let mut before = 0;
    for round in 0..4 {
        let two = follow_when_free(&genesis, dirs[1].path()).await;
        assert!(two.tip().height >= before, "the tip went back");
        let net = Net::new();
        net.serve("one", &one);
        net.join("two", &two, &["one"]);
        reach(&two, before + round).await;
        before = two.tip().height;
        // The last handle goes, in the middle of what it is at.
        net.leave("two");
    }
    one.shutdown().await;
}

async fn follow_when_free(genesis: &ledger::Genesis, dir: &std::path::Path) -> chain::Chain {
    let free = async {
        loop {
            match try_follow(genesis, dir).await {
                Ok(chain) => return chain,
                Err(chain::Error::InUse { .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, free).await.unwrap()
}

/// A peer that answers no more costs its deadline, then the next one is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_passed_over() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("silence", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    reach(&one, 3).await;
    let net = Net::without_gossip();
    // By its name, the one that shows most and gives nothing is asked first.
    net.serve("a-mute", &one);
    net.tamper("a-mute", |request, answer| match request {
        Request::Blocks { .. } => None,
        _ => sent(&answer),
    });
    net.serve("deaf", &one);
    net.tamper("deaf", |_, _| None);
    net.serve("one", &one);
    let two = start_follower(&genesis, dirs[1].path()).await;
    net.join("two", &two, &["a-mute", "deaf", "one"]);
    synced(&two).await;
    let at_least = one.tip().height;
    reach(&two, at_least).await;
    agree(&one, &two);
    until("both to be counted against", || {
        (net.faults("two").len() >= 2).then_some(())
    })
    .await;
    for (peer, fault) in net.faults("two") {
        let within = if peer == "deaf" { 5 } else { 10 };
        let expected = chain::Fault::Mild(format!("it did not answer within {within} s"));
        assert_eq!(fault, expected, "{peer}");
    }
    assert!(two.sync_status().refused.is_empty());
    one.shutdown().await;
    two.shutdown().await;
}

/// A peer that cannot answer, or whose height is of no use, is not at fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cannot_is_not_blamed() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let genesis = genesis("cannot", &[]);
    let one = start(&genesis, dirs[0].path()).await;
    let net = Net::new();
    net.serve("broken", &one);
    net.tamper("broken", |_, _| {
        sent(&Answer::Failed {
            reason: "its store cannot\nbe read".into(),
        })
    });
    let two = start_follower(&genesis, dirs[1].path()).await;
    net.join("two", &two, &["broken"]);
    let synced = tokio::time::timeout(Duration::from_secs(1), two.synced()).await;
    assert!(synced.is_err(), "it waits for another");
    net.serve("one", &one);
    net.link("two", "one");
    reach(&two, 2).await;
    assert!(net.faults("two").is_empty());
    assert!(two.sync_status().refused.is_empty());
    one.shutdown().await;
    two.shutdown().await;
}
