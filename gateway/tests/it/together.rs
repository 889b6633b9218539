//! Readers who want the same: one fetch for all of them, and none for what nobody had a moment ago.

use std::time::Duration;

use cid::Cid;
use storage::{Attempt, Walk};
use tokio::task::JoinSet;

use crate::client::{DEADLINE, open, raw, request, until};
use crate::network::{Fate, Second};
use crate::site::{Site, big};

/// The blocks of the file, its root first.
fn blocks(site: &Site, file: Cid) -> Vec<Cid> {
    Walk::new(&site.store, &[file])
        .map(|block| block.expect("a block").0)
        .collect()
}

/// Many readers at the same time; their answers.
fn readers(second: &Second, count: usize, target: &str) -> JoinSet<crate::client::Answer> {
    let asked = request("GET", "127.0.0.1", target, &[]);
    let mut readers = JoinSet::new();
    for _ in 0..count {
        let (address, asked) = (second.address(), asked.clone());
        readers.spawn(async move { raw(address, &asked).await });
    }
    readers
}

#[tokio::test(flavor = "multi_thread")]
async fn one_fetch_for_all() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.fetches_max = 1).await;
    second.network.set(site.root, Fate::Held);
    let readers = readers(&second, 60, &format!("/ipfs/{}/ascii.txt", site.root));
    until("all are there", || {
        second.metric("gateway_requests_in_flight") == 60.0
    })
    .await;
    until("one waits", || second.network.waiting() == 1).await;
    assert_eq!(second.metric("gateway_fetches_in_flight"), 1.0);
    second.network.set(site.root, Fate::Comes);
    for answer in readers.join_all().await {
        assert_eq!((answer.status, answer.text().len()), (200, 31));
    }
    let (root, file) = (site.root, site.cid(&["ascii.txt"]));
    let asked = second.network.asked();
    let times = |cid: Cid| asked.iter().filter(|asked| **asked == cid).count();
    assert_eq!(
        (times(root), times(file)),
        (1, 1),
        "each block was asked for once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_download_is_one_fetch_for_all() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.fetches_max = 1).await;
    let file = blocks(&site, site.cid(&["big.bin"]));
    second.network.set(file[3], Fate::Held);
    let readers = readers(&second, 20, &format!("/ipfs/{}", file[0]));
    until("one waits in the middle", || second.network.waiting() == 1).await;
    second.network.set(file[3], Fate::Comes);
    for answer in readers.join_all().await {
        assert!(answer.status == 200 && answer.complete && answer.body == big());
    }
    let asked = second.network.asked();
    for block in &file {
        assert_eq!(asked.iter().filter(|asked| *asked == block).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leads_may_leave() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    second.network.set(site.root, Fate::Held);
    let target = format!("/ipfs/{}/ascii.txt", site.root);
    let first = open(second.address(), &request("GET", "127.0.0.1", &target, &[])).await;
    until("the first waits", || second.network.waiting() == 1).await;
    let others = readers(&second, 5, &target);
    until("the others are there", || {
        second.metric("gateway_requests_in_flight") == 6.0
    })
    .await;
    drop(first);
    until("the first has left", || {
        second.metric("gateway_requests_in_flight") == 5.0
    })
    .await;
    second.network.set(site.root, Fate::Comes);
    for answer in others.join_all().await {
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_to_all_who_wait() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    second.network.set(site.root, Fate::Held);
    let readers = readers(&second, 30, &format!("/ipfs/{}/ascii.txt", site.root));
    until("all are there", || {
        second.metric("gateway_requests_in_flight") == 30.0
    })
    .await;
    until("one waits", || second.network.waiting() == 1).await;
    second
        .network
        .set(site.root, Fate::Fails(vec![Attempt::theirs("x: went silent")]));
    let asked = second.network.asked().len();
    for answer in readers.join_all().await {
        assert_eq!(answer.status, 504);
        assert!(answer.text().contains("went silent"));
    }
    // Some may have come to the gate when the failure was over.
    assert!(second.network.asked().len() < asked + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_not_asked_for_again_at_once() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| {
        config.limits.absent_ttl = Duration::from_secs(3600);
    })
    .await;
    second.network.set_all(Fate::Nowhere);
    for _ in 0..10 {
        assert_eq!(second.get("/ascii.txt", &[]).await.status, 404);
    }
    assert_eq!(second.network.asked(), [site.root]);
    second.network.keep(site.root, true);
    assert_eq!(
        second.get("/ascii.txt", &[]).await.status,
        200,
        "what is here is served"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn absence_is_asked_for_anew_when_its_time_is_over() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.absent_ttl = Duration::ZERO).await;
    second.network.set_all(Fate::Nowhere);
    for _ in 0..3 {
        assert_eq!(second.get("/ascii.txt", &[]).await.status, 404);
    }
    assert_eq!(second.network.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn absence_is_not_believed_while_others_fail() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| {
        config.limits.absent_ttl = Duration::from_secs(3600);
    })
    .await;
    let other = site.publish(&[("x", b"x")]);
    second.network.set_all(Fate::Nowhere);
    second
        .network
        .set(other, Fate::Fails(vec![Attempt::theirs("x: went silent")]));
    for _ in 0..3 {
        let failed = second
            .ask("GET", "127.0.0.1", &format!("/ipfs/{other}/x"), &[])
            .await;
        assert_eq!(failed.status, 504);
    }
    for _ in 0..3 {
        assert_eq!(second.get("/ascii.txt", &[]).await.status, 404);
    }
    let asked = second.network.asked();
    assert_eq!(asked.iter().filter(|cid| **cid == site.root).count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_read_in_parts_is_filled() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let file = blocks(&site, site.cid(&["big.bin"]));
    let target = format!("/ipfs/{}", file[0]);
    let range = async |from: usize, to: usize| {
        let range = format!("bytes={from}-{}", to - 1);
        let part = second
            .ask("GET", "127.0.0.1", &target, &[("Range", &range)])
            .await;
        assert!(part.status == 206 && part.body == big()[from..to]);
    };
    range(0, 1 << 20).await;
    until("as much again is fetched", || {
        second.network.asked().contains(&file[2])
    })
    .await;
    range(1 << 20, 3 << 20).await;
    until("it goes on", || second.network.asked().contains(&file[4])).await;
    until("it is over", || second.metric("gateway_fetches_in_flight") == 0.0).await;
    second.network.set_all(Fate::Nowhere);
    range(3 << 20, 4 << 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_bytes_fill_nothing() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let file = blocks(&site, site.cid(&["big.bin"]));
    for at in 0..5 {
        let range = format!("bytes={at}-{at}");
        let target = format!("/ipfs/{}", file[0]);
        let part = second
            .ask("GET", "127.0.0.1", &target, &[("Range", &range)])
            .await;
        assert_eq!(part.status, 206);
    }
    tokio::time::timeout(DEADLINE, second.gateway.shutdown())
        .await
        .expect("an end");
    assert_eq!(second.network.asked(), file[..2]);
}
