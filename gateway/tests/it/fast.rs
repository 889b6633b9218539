//! Answers from memory: the same as those of the usual path, and never older.

use crate::client::{Answer, DEADLINE, Kept, keeping, raw, request, until};
use crate::site::{BIG, Site, big};

/// A site that keeps nothing in memory.
async fn forgetful() -> Site {
    Site::with(|config| config.memory_bytes = 0).await
}

async fn remembered(site: &Site) -> f64 {
    site.metric("gateway_remembered_answers_total")
}

fn same(one: &Answer, other: &Answer, about: &str) {
    assert_eq!(one.status, other.status, "{about}");
    assert_eq!(one.lasting(), other.lasting(), "{about}");
    assert!(
        one.body == other.body && one.complete && other.complete,
        "{about}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn both_paths_say_the_same() {
    let (site, plain) = (Site::new().await, forgetful().await);
    assert_eq!(site.root, plain.root);
    let path = |path: &str| format!("/ipfs/{}{path}", site.root);
    let etag = format!("\"{}\"", site.cid(&["ascii.txt"]));
    let big_etag = format!("\"{}\"", site.cid(&["big.bin"]));
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let rest = format!("bytes={}-", BIG - 10);
    for (target, headers, from_memory) in [
        (path("/ascii.txt"), &[][..], true),
        (
            path("/ascii.txt"),
            &[("Accept", browser), ("Accept-Encoding", "gzip, br")],
            true,
        ),
        (path("/ascii.txt"), &[("Range", "bytes=6-16")], true),
        (
            path("/ascii.txt"),
            &[("Range", "bytes=-3"), ("If-Range", &etag)],
            true,
        ),
        (
            path("/ascii.txt"),
            &[("Range", "bytes=-3"), ("If-Range", "\"other\"")],
            false,
        ),
        (path("/ascii.txt"), &[("Range", "bytes=31-")], false),
        (path("/ascii.txt"), &[("Range", "nonsense")], false),
        (path("/ascii.txt"), &[("If-None-Match", &etag)], true),
        (path("/ascii.txt"), &[("If-None-Match", "\"other\"")], false),
        (path("/ascii.txt"), &[("If-Match", "\"other\"")], false),
        (
            path("/ascii.txt"),
            &[("Cache-Control", "no-cache"), ("Pragma", "no-cache")],
            true,
        ),
        (path("/ascii.txt"), &[("Cache-Control", "only-if-cached")], false),
        (path("/ascii.txt"), &[("X-Strange", "1")], false),
        (path("/ascii.txt?filename=x.json&download=true"), &[], true),
        (path("/ascii.txt?format=raw"), &[], true),
        (
            path("/ascii.txt"),
            &[("Accept", "application/vnd.ipld.raw")],
            true,
        ),
        (path("/a%252C%20b+c=d.txt"), &[], true),
        (path("/empty.txt"), &[], true),
        (path("/latin.html"), &[], true),
        (path("/picture"), &[], true),
        (path("/"), &[("Accept", browser)], true),
        (path("/files/"), &[("Accept", browser)], true),
        (path("/link"), &[], true),
        (path("/big.bin"), &[], true),
        (path("/big.bin"), &[("Range", "bytes=0-")], true),
        (path("/big.bin"), &[("Range", "bytes=1048570-1048585")], true),
        (path("/big.bin"), &[("Range", "bytes=100-3000000")], true),
        (path("/big.bin"), &[("Range", &rest)], true),
        (path("/big.bin"), &[("If-None-Match", &big_etag)], true),
        (path("/ascii.txt?format=car"), &[], false),
        (path("/files"), &[], false),
        (path("/nothing"), &[("Accept", browser)], false),
        ("/".to_owned(), &[], false),
        ("/ipns/alice.ddn/ascii.txt".to_owned(), &[], true),
        ("/ipns/alice.ddn/".to_owned(), &[], true),
        ("/ipns/nobody.ddn/".to_owned(), &[], false),
    ] {
        let about = format!("{target} {headers:?}");
        let usual = raw(
            plain.address(),
            &request("GET", "127.0.0.1:8080", &target, headers),
        )
        .await;
        let asked = keeping("GET", "127.0.0.1:8080", &target, headers);
        let (mut kept, mut line) = (
            Kept::open(site.address()).await,
            Kept::open(plain.address()).await,
        );
        same(&line.ask(&asked).await, &usual, &about);
        // What is whole is seen first, then what is asked of it.
        kept.ask(&keeping("GET", "127.0.0.1:8080", &target, &[])).await;
        same(&kept.ask(&asked).await, &usual, &about);
        let before = remembered(&site).await;
        same(&kept.ask(&asked).await, &usual, &about);
        same(
            &raw(
                site.address(),
                &request("GET", "127.0.0.1:8080", &target, headers),
            )
            .await,
            &usual,
            &about,
        );
        let times = remembered(&site).await - before;
        assert_eq!(times, if from_memory { 2.0 } else { 0.0 }, "{about}");
        let head = keeping("HEAD", "127.0.0.1:8080", &target, headers);
        let by_library = raw(
            plain.address(),
            &request("HEAD", "127.0.0.1:8080", &target, headers),
        )
        .await;
        same(&kept.ask(&head).await, &by_library, &about);
    }
    assert_eq!(remembered(&plain).await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_changes_is_seen_with_the_next_request() {
    let site = Site::new().await;
    let mut kept = Kept::open(site.address()).await;
    let asked = keeping("GET", "alice.ddn", "/", &[]);
    for _ in 0..8 {
        assert!(kept.ask(&asked).await.text().contains("Alice"));
    }
    assert_eq!(remembered(&site).await, 7.0);
    let second = site.publish(&[("index.html", b"second")]);
    site.book.point("alice", "", second);
    assert_eq!(kept.ask(&asked).await.text(), "second");
    assert_eq!(kept.ask(&asked).await.text(), "second");
    // Another name changes: this one is read again, and is the same.
    site.book.point("bob", "", second);
    for _ in 0..2 {
        assert_eq!(kept.ask(&asked).await.text(), "second");
    }
    assert_eq!(remembered(&site).await, 9.0);
    site.book.point("alice", "", site.root);
    assert!(kept.ask(&asked).await.text().contains("Alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_not_served_from_memory() {
    let site = Site::new().await;
    let lost = site.publish(&[("x.txt", b"to be lost")]);
    let target = format!("/ipfs/{lost}/x.txt");
    let mut kept = Kept::open(site.address()).await;
    for _ in 0..8 {
        assert_eq!(
            kept.ask(&keeping("GET", "127.0.0.1", &target, &[])).await.status,
            200
        );
    }
    site.store.unpin(&lost).expect("a pin");
    site.store.gc(&mut |_| {}).expect("a collection");
    assert_eq!(
        kept.ask(&keeping("GET", "127.0.0.1", &target, &[])).await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_again_and_again_has_the_date_of_now() {
    let site = Site::new().await;
    let target = format!("/ipfs/{}/ascii.txt", site.root);
    let asked = keeping("GET", "127.0.0.1", &target, &[]);
    let (mut kept, mut dates) = (Kept::open(site.address()).await, Vec::new());
    let first = kept.ask(&asked).await;
    let changes = async {
        while dates.len() < 3 {
            let answer = kept.ask(&asked).await;
            same(&first, &answer, "again");
            let date = answer.header("date").to_owned();
            if dates.last() != Some(&date) {
                dates.push(date);
            }
        }
    };
    tokio::time::timeout(DEADLINE, changes)
        .await
        .expect("time goes on");
    let time = |date: &str| httpdate::parse_http_date(date).expect("a date");
    assert!(dates.windows(2).all(|two| time(&two[0]) < time(&two[1])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_ask_alike_is_counted_for_each() {
    let site = Site::with(|config| {
        config.guarding.uncounted = Vec::new();
        config.guarding.requests_per_s = 1;
        config.guarding.requests_burst = 20;
    })
    .await;
    let target = format!("/ipfs/{}/ascii.txt", site.root);
    let mut kept = Kept::open(site.address()).await;
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(kept.ask(&keeping("GET", "127.0.0.1", &target, &[])).await.status);
    }
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!((10..=20).contains(&refused), "{statuses:?}");
    assert!(statuses[..20].iter().all(|status| *status == 200), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_a_row_are_answered_in_their_order() {
    let site = Site::new().await;
    let ask = |path: &str| keeping("GET", "127.0.0.1", &format!("/ipfs/{}{path}", site.root), &[]);
    let strange = request("GET", "127.0.0.1", &format!("/ipfs/{}/link", site.root), &[]);
    let mut kept = Kept::open(site.address()).await;
    kept.ask(&ask("/ascii.txt")).await;
    let row = [ask("/ascii.txt"), ask("/style.css"), ask("/ascii.txt"), strange].concat();
    assert!(kept.ask(&row).await.text().starts_with("hello"));
    assert!(kept.answer("GET").await.text().starts_with("h1"));
    assert!(kept.answer("GET").await.text().starts_with("hello"));
    assert_eq!(kept.answer("GET").await.text(), "ascii.txt");
    assert!(kept.is_over().await, "the last one wished it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_in_pieces() {
    let site = Site::new().await;
    let mut kept = Kept::open(site.address()).await;
    let asked = keeping("GET", "127.0.0.1", &format!("/ipfs/{}/ascii.txt", site.root), &[]);
    kept.ask(&asked).await;
    for at in [1, 10, asked.len() - 3, asked.len() - 1] {
        kept.send(&asked[..at]).await;
        assert!(kept.ask_rest(&asked[at..]).await.text().starts_with("hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_from_memory_goes_to_its_end() {
    let site = Site::new().await;
    let target = format!("/ipfs/{}/big.bin", site.root);
    let mut kept = Kept::open(site.address()).await;
    for _ in 0..3 {
        let answer = kept.ask(&keeping("GET", "127.0.0.1", &target, &[])).await;
        assert!(answer.complete && answer.body == big());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_rests_while_memory_answers() {
    let site = Site::new().await;
    let resting = || site.metric("gateway_resting_connections");
    let known = keeping("GET", "127.0.0.1", &format!("/ipfs/{}/ascii.txt", site.root), &[]);
    let other = keeping("GET", "127.0.0.1", &format!("/ipfs/{}/none", site.root), &[]);
    raw(
        site.address(),
        &known.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
    )
    .await;
    let mut line = Kept::open(site.address()).await;
    until("it rests", || resting() == 1.0).await;
    for _ in 0..3 {
        assert_eq!(line.ask(&known).await.status, 200);
        assert_eq!(resting(), 1.0);
    }
    assert_eq!(line.ask(&other).await.status, 404);
    until("it has left", || resting() == 0.0).await;
    // Several requests at once, and one that comes in parts.
    line.send(&format!("{known}{known}")).await;
    for _ in 0..2 {
        assert_eq!(line.answer("GET").await.status, 200);
    }
    until("it is back", || resting() == 1.0).await;
    let (one, rest) = known.split_at(20);
    line.send(one).await;
    until("it has left again", || resting() == 0.0).await;
    assert_eq!(line.ask_rest(rest).await.status, 200);
    until("it is back again", || resting() == 1.0).await;
    drop(line);
    until("it has gone", || site.metric("gateway_connections") == 0.0).await;
    assert_eq!(resting(), 0.0);
}
