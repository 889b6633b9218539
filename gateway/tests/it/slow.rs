//! Others that are slow: what is here does not wait for them, what has come goes out, who has left is read for no more.

use std::time::Duration;

use cid::Cid;
use storage::Walk;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::client::{DEADLINE, open, raw, request, until};
use crate::network::{Fate, Second};
use crate::site::{Site, big};

/// The blocks of the file, its root first.
fn blocks(site: &Site, file: Cid) -> Vec<Cid> {
    Walk::new(&site.store, &[file])
        .map(|block| block.expect("a block").0)
        .collect()
}

/// Asks for `cid` and reads the head and the first MiB.
async fn download(second: &Second, cid: Cid) -> (TcpStream, Vec<u8>) {
    let mut stream = open(
        second.address(),
        &request("GET", "127.0.0.1", &format!("/ipfs/{cid}"), &[]),
    )
    .await;
    let mut begun = vec![0; 1 << 20];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut begun)).await;
    read.expect("in time").expect("the first MiB");
    (stream, begun)
}

/// Reads the rest, and returns the body.
async fn finish((mut stream, mut bytes): (TcpStream, Vec<u8>)) -> Vec<u8> {
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    read.expect("in time").expect("the rest");
    let head = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a head");
    bytes.split_off(head + 4)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_comes_before_the_last_block() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let file = blocks(&site, site.cid(&["big.bin"]));
    second.network.set(file[5], Fate::Held);
    let begun = download(&second, file[0]).await;
    until("the last block is waited for", || second.network.waiting() == 1).await;
    second.network.set(file[5], Fate::Comes);
    assert!(finish(begun).await == big());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_sends_what_has_come() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let file = blocks(&site, site.cid(&["big.bin"]));
    second.network.set(file[3], Fate::Held);
    let target = format!("/ipfs/{}?format=car", file[0]);
    let mut stream = open(second.address(), &request("GET", "127.0.0.1", &target, &[])).await;
    let mut begun = vec![0; 2 << 20];
    let read = tokio::time::timeout(DEADLINE, stream.read_exact(&mut begun)).await;
    read.expect("in time").expect("both blocks that have come");
    second.network.set(file[3], Fate::Comes);
    assert!(finish((stream, begun)).await.len() > big().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_others_do_not_delay_what_is_here() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.fetches_max = 8).await;
    let here = site.cid(&["ascii.txt"]);
    second.network.keep(here, true);
    second.network.set_all(Fate::Held);
    let targets: Vec<String> = (0..9)
        .map(|n| format!("/ipfs/{}/x", site.publish(&[("x", format!("{n}").as_bytes())])))
        .collect();
    let (target, slow) = targets.split_last().expect("nine");
    let slow: Vec<_> = slow
        .iter()
        .map(|target| {
            let (address, asked) = (second.address(), request("GET", "127.0.0.1", target, &[]));
            tokio::spawn(async move { raw(address, &asked).await })
        })
        .collect();
    until("all places are taken", || second.network.waiting() == 8).await;
    assert_eq!(second.metric("gateway_fetches_in_flight"), 8.0);
    for _ in 0..4 {
        let more = second.ask("GET", "127.0.0.1", target, &[]).await;
        assert_eq!((more.status, more.header("retry-after")), (503, "1"));
        assert!(more.text().contains("wait for"), "{}", more.text());
        let local = second
            .ask("GET", "127.0.0.1", &format!("/ipfs/{here}"), &[])
            .await;
        assert_eq!(local.status, 200);
    }
    assert_eq!(second.network.waiting(), 8);
    second.network.set_all(Fate::Comes);
    for answer in slow {
        assert_eq!(answer.await.expect("an answer").status, 200);
    }
    until("the places are free", || {
        second.metric("gateway_fetches_in_flight") == 0.0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_have_begun_wait_for_their_turn() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.fetches_max = 1).await;
    let other: Vec<u8> = big().iter().map(|byte| !byte).collect();
    let folder = site.publish(&[("x.bin", &other)]);
    let other_file = storage::resolve(&site.store, &folder, &["x.bin"])
        .expect("a file")
        .cid;
    let (one, two) = (blocks(&site, site.cid(&["big.bin"])), blocks(&site, other_file));
    second.network.set(one[2], Fate::Held);
    second.network.set(two[2], Fate::Held);
    for cid in &two[..2] {
        second.network.keep(*cid, false);
    }
    let first = download(&second, one[0]).await;
    until("the place is taken", || second.network.waiting() == 1).await;
    let next = download(&second, two[0]).await;
    second.network.set(two[2], Fate::Comes);
    assert!(
        !second.network.asked().contains(&two[2]),
        "it has its turn after the first"
    );
    second.network.set(one[2], Fate::Comes);
    assert!(finish(first).await == big());
    assert!(finish(next).await == other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_stops_the_reading() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    second.network.set(site.root, Fate::Held);
    let target = format!("/ipfs/{}/ascii.txt", site.root);
    let stream = open(second.address(), &request("GET", "127.0.0.1", &target, &[])).await;
    until("the root is waited for", || second.network.waiting() == 1).await;
    drop(stream);
    until("the request ends", || {
        second.metric("gateway_requests_in_flight") == 0.0
    })
    .await;
    second.network.set(site.root, Fate::Comes);
    until("the reading ends", || {
        second.metric("gateway_fetches_in_flight") == 0.0
    })
    .await;
    assert_eq!(second.network.asked(), [site.root]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_stops_the_reading() {
    let site = Site::new().await;
    for form in ["", "?format=car"] {
        let second = Second::new(&site).await;
        let file = blocks(&site, site.cid(&["big.bin"]));
        second.network.set(file[2], Fate::Held);
        let target = format!("/ipfs/{}{form}", file[0]);
        let mut stream = open(second.address(), &request("GET", "127.0.0.1", &target, &[])).await;
        let mut begun = vec![0; 1 << 19];
        stream
            .read_exact(&mut begun)
            .await
            .expect("a part of the first block");
        until("the next is waited for", || second.network.waiting() == 1).await;
        drop(stream);
        until("the request ends", || {
            second.metric("gateway_requests_in_flight") == 0.0
        })
        .await;
        second.network.set(file[2], Fate::Comes);
        until("the reading ends", || {
            second.metric("gateway_fetches_in_flight") == 0.0
        })
        .await;
        assert!(!second.network.asked().contains(&file[3]), "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_others() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| {
        config.limits.drain_timeout = Duration::from_millis(100);
    })
    .await;
    second.network.set(site.root, Fate::Held);
    let target = format!("/ipfs/{}/", site.root);
    let _stream = open(second.address(), &request("GET", "127.0.0.1", &target, &[])).await;
    until("the root is waited for", || second.network.waiting() == 1).await;
    tokio::time::timeout(DEADLINE, second.gateway.shutdown())
        .await
        .expect("an end in time");
}
