//! Content that others have: fetched when it is asked for, and only then.

use cid::Cid;
use storage::{Attempt, Walk};

use crate::network::{Fate, Second};
use crate::site::{BIG, Site, big};

/// The blocks of what is at `path`, parents first.
fn blocks(site: &Site, path: &[&str]) -> Vec<Cid> {
    Walk::new(&site.store, &[site.cid(path)])
        .map(|block| block.expect("a block").0)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_others_is_served_and_kept() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let paths = [
        "/",
        "/ascii.txt",
        "/files/",
        "/files/%C4%85/%C4%99/file-%C5%BA%C5%82.txt",
        "/LICENSE",
        "/link",
        "/empty.txt",
        "/big.bin",
        "/style.css?format=raw",
    ];
    let mut answers = Vec::new();
    for path in paths {
        let (first, here) = (second.get(path, &[]).await, site.get(path, &[]).await);
        assert_eq!((first.status, first.complete), (200, true), "{path}");
        assert!(first.body == here.body, "{path}");
        for name in ["etag", "content-type", "cache-control", "x-ipfs-roots"] {
            assert_eq!(first.header(name), here.header(name), "{path} {name}");
        }
        answers.push(first.body);
    }
    assert!(second.network.roots().iter().all(|root| *root == site.root));
    second.network.set_all(Fate::Nowhere);
    let asked = second.network.asked().len();
    for (path, body) in paths.iter().zip(answers) {
        assert!(second.get(path, &[]).await.body == body, "{path}");
    }
    assert_eq!(second.network.asked().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_read_below_its_content() {
    let site = Site::new().await;
    site.book.point("alice", "docs", site.cid(&["docs"]));
    let second = Second::new(&site).await;
    let page = second.ask("GET", "docs.alice.ddn", "/", &[]).await;
    assert_eq!((page.status, page.text().as_str()), (200, "docs"));
    assert_eq!(second.network.roots(), [site.cid(&["docs"])]);
    let page = second.ask("GET", "alice.ddn.localhost", "/", &[]).await;
    assert!(page.text().contains("Alice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_not_found() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    second.network.set_all(Fate::Nowhere);
    for (method, path) in [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "?format=car"),
        ("GET", "?format=raw"),
    ] {
        let target = format!("/ipfs/{}{path}", site.root);
        let answer = second.ask(method, "127.0.0.1", &target, &[]).await;
        assert_eq!(answer.status, 404, "{method} {path}");
        let told = format!(
            "404 Not Found: block {} is not on this node, and no other node was found that has it\n",
            site.root
        );
        assert!(method == "HEAD" || answer.text() == told, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_gave_names_who_did_what() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let theirs = [
        "12D3KooWa: sent nothing for 5 s",
        "12D3KooWb: <b>wrong</b>\r\nbytes",
    ];
    second
        .network
        .set_all(Fate::Fails(theirs.map(Attempt::theirs).into()));
    let line = second.get("/ascii.txt", &[]).await;
    assert_eq!((line.status, line.header("cache-control")), (504, "no-store"));
    assert_eq!(line.header("retry-after"), "10");
    assert_eq!(
        line.text(),
        format!(
            "504 Gateway Timeout: block {} is not on this node, and 2 nodes did not give it in time\n  12D3KooWa: sent \
             nothing for 5 s\n  12D3KooWb: <b>wrong</b>  bytes\n",
            site.root
        )
    );
    let page = second.get("/ascii.txt", &[("Accept", "text/html")]).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (504, "text/html; charset=utf-8")
    );
    assert!(page.text().contains("<li>12D3KooWa: sent nothing for 5 s</li>"));
    assert!(page.text().contains("&lt;b&gt;wrong&lt;/b&gt;") && !page.text().contains("<b>"));
    let many = (0..1000).map(|n| Attempt::theirs(format!("{n}").repeat(1000)));
    second.network.set_all(Fate::Fails(many.collect()));
    let many = second.get("/ascii.txt", &[]).await;
    assert_eq!((many.status, many.text().lines().count()), (504, 18));
    assert!(many.body.len() < 6000 && many.text().ends_with("and 984 more\n"));
    // What concerns the node's own coins is for its operator.
    let ours = Attempt::ours("12D3KooWc could not be paid: the wallet has 0 coins");
    second.network.set_all(Fate::Fails(vec![ours]));
    let unpaid = second.get("/ascii.txt", &[]).await;
    assert!(
        unpaid.status == 504 && !unpaid.text().contains("wallet") && unpaid.text().contains("its operator"),
        "{}",
        unpaid.text()
    );
    second.network.set_all(Fate::Comes);
    assert_eq!(
        second.get("/ascii.txt", &[]).await.status,
        200,
        "a failure is not kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_in_the_middle_cuts_the_answer() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let third = blocks(&site, &["big.bin"])[3];
    for fate in [
        Fate::Fails(vec![Attempt::theirs("x: went silent")]),
        Fate::Nowhere,
    ] {
        second.network.set(third, fate);
        for path in ["/big.bin", "/big.bin?format=car"] {
            let cut = second.get(path, &[]).await;
            assert_eq!((cut.status, cut.complete), (200, false), "{path}");
        }
    }
    second.network.set(third, Fate::Comes);
    assert!(second.get("/big.bin", &[]).await.body == big());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_if_cached_asks_nobody() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let cached = [("Cache-Control", "only-if-cached")];
    let target = format!("/ipfs/{}/ascii.txt", site.root);
    for method in ["GET", "HEAD"] {
        let answer = second.ask(method, "127.0.0.1", &target, &cached).await;
        assert_eq!(answer.status, 412, "{method}");
    }
    second.network.keep(site.root, false);
    for path in ["/ascii.txt", "/big.bin", "?format=car"] {
        let answer = second.get(path, &cached).await;
        assert_eq!(answer.status, 412, "{path}");
        assert!(answer.text().contains("is not on this node\n"), "{path}");
    }
    // A file that breaks off in the middle is not fetched either.
    let big = blocks(&site, &["big.bin"]);
    second.network.keep(big[0], false);
    second.network.keep(big[1], false);
    let cut = second.get("/big.bin", &cached).await;
    assert_eq!((cut.status, cut.complete), (200, false));
    let network = &second.network;
    assert!(network.roots().is_empty() && network.asked().is_empty() && network.told().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_the_path_tells_needs_no_content() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let same = async |host: &str, target: &str, fetched: usize| {
        let here = site.ask("GET", host, target, &[]).await;
        assert_eq!(here.status, 200, "{target}");
        let given = [("If-None-Match", here.header("etag"))];
        let there = second.ask("GET", host, target, &given).await;
        assert_eq!((there.status, there.body.len()), (304, 0), "{host}{target}");
        for name in ["etag", "cache-control", "x-ipfs-roots", "vary"] {
            assert_eq!(there.header(name), here.header(name), "{host}{target} {name}");
        }
        assert_eq!(second.network.asked().len(), fetched, "{host}{target}");
    };
    let (root, files) = (site.root, site.cid(&["files"]));
    same("127.0.0.1", &format!("/ipfs/{root}/"), 0).await;
    same("127.0.0.1", &format!("/ipfs/{files}/"), 0).await;
    same("127.0.0.1", &format!("/ipfs/{}", site.cid(&["ascii.txt"])), 0).await;
    same("127.0.0.1", &format!("/ipfs/{root}?format=raw"), 0).await;
    same(
        "127.0.0.1",
        &format!("/ipfs/{root}?format=car&dag-scope=block"),
        0,
    )
    .await;
    same("alice.ddn", "/", 0).await;
    second.network.keep(root, false);
    same("alice.ddn", "/style.css", 0).await;
    same("127.0.0.1", &format!("/ipfs/{root}/docs/"), 0).await;
    same("127.0.0.1", &format!("/ipfs/{root}/docs?format=car"), 0).await;
    // A level deeper, the folder has to be read first.
    same("127.0.0.1", &format!("/ipfs/{root}/files/sub/x.txt"), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_that_content_decides_fetch_it() {
    let site = Site::new().await;
    for (name, value, status) in [
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"x\"", 200),
        ("If-Match", "\"x\"", 412),
    ] {
        let second = Second::new(&site).await;
        let answer = second.get("/ascii.txt", &[(name, value)]).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert!(!second.network.asked().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_fetches_the_path_alone() {
    let site = Site::new().await;
    let second = Second::new(&site).await;
    let file = site.cid(&["big.bin"]);
    let target = format!("/ipfs/{}/big.bin", site.root);
    let head = second.ask("HEAD", "127.0.0.1", &target, &[]).await;
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, BIG.to_string().as_str())
    );
    assert_eq!(second.network.asked(), [site.root, file]);
    // Without a name only the content could tell its type.
    let target = format!("/ipfs/{file}");
    let head = second.ask("HEAD", "127.0.0.1", &target, &[]).await;
    assert_eq!(head.status, 200);
    assert_eq!(second.network.asked().len(), 2);
    assert!(second.network.told().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_fetches_its_blocks_alone() {
    let site = Site::new().await;
    let second = Second::with(&site, |config| config.limits.fills_max = 0).await;
    let file = blocks(&site, &["big.bin"]);
    let target = format!("/ipfs/{}", file[0]);
    let last = second
        .ask("GET", "127.0.0.1", &target, &[("Range", "bytes=-7")])
        .await;
    assert_eq!((last.status, last.body.as_slice()), (206, &big()[BIG - 7..]));
    assert_eq!(second.network.asked(), [file[0], file[5]]);
    assert!(!second.network.told().contains(&file[1]));
    let (from, to) = ((1 << 20) - 1, (2 << 20) + 1);
    let range = format!("bytes={from}-{}", to - 1);
    let middle = second
        .ask("GET", "127.0.0.1", &target, &[("Range", &range)])
        .await;
    assert!(middle.status == 206 && middle.complete && middle.body == big()[from..to]);
    assert_eq!(second.network.asked()[2..], file[1..=3]);
    assert!(
        file[1..=3]
            .iter()
            .all(|leaf| second.network.told().contains(leaf)),
        "told before it is read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn car_streams_are_fetched() {
    let site = Site::new().await;
    let names: Vec<String> = (0..1200).map(|n| format!("{n:0200}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
    let shards = site.publish(&files);
    let second = Second::new(&site).await;
    for target in [
        format!("/ipfs/{}?format=car", site.root),
        format!("/ipfs/{}/big.bin?format=car&entity-bytes=-9:*", site.root),
        format!("/ipfs/{shards}/{}?format=car", names[7]),
        format!("/ipfs/{shards}?format=car&dag-scope=entity"),
        format!("/ipfs/{shards}?format=car"),
    ] {
        let (there, here) = (
            second.ask("GET", "127.0.0.1", &target, &[]).await,
            site.ask("GET", "127.0.0.1", &target, &[]).await,
        );
        assert_eq!((there.status, there.complete), (200, true), "{target}");
        assert!(there.body == here.body, "{target}");
    }
}
