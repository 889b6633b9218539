//! CAR streams.

use cid::Cid;
use storage::car::Reader;

use crate::client::Answer;
use crate::site::{Lone, Site};

fn cids(answer: &Answer) -> Vec<Cid> {
    assert!(answer.complete);
    let reader = Reader::new(answer.body.as_slice()).expect("a CAR");
    reader
        .map(|block| block.expect("a block that matches its CID").0)
        .collect()
}

fn all(site: &Site, cid: Cid) -> Vec<Cid> {
    storage::Walk::new(&site.store, &[cid])
        .map(|block| block.expect("a block").0)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes() {
    let site = Site::new().await;
    let big = site.cid(&["big.bin"]);
    let files = site.cid(&["files"]);
    let everything = all(&site, site.root);
    for (path, expected) in [
        ("?format=car", everything.clone()),
        ("?format=car&dag-scope=all", everything),
        ("?format=car&dag-scope=entity", vec![site.root]),
        ("?format=car&dag-scope=block", vec![site.root]),
        ("/files/?format=car&dag-scope=entity", vec![site.root, files]),
        ("/big.bin?format=car&dag-scope=block", vec![site.root, big]),
        (
            "/big.bin?format=car&dag-scope=entity",
            [vec![site.root], all(&site, big)].concat(),
        ),
        ("/ascii.txt?format=car", vec![site.root, site.cid(&["ascii.txt"])]),
        (
            "/link?format=car&dag-scope=entity",
            vec![site.root, site.cid(&["link"])],
        ),
    ] {
        assert_eq!(cids(&site.get(path, &[]).await), expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_of_a_file() {
    let site = Site::new().await;
    let blocks = all(&site, site.cid(&["big.bin"]));
    for (bytes, expected) in [
        ("0:0", vec![blocks[0], blocks[1]]),
        ("0:*", blocks.clone()),
        ("1048576:2097151", vec![blocks[0], blocks[2]]),
        ("-1:*", vec![blocks[0], blocks[5]]),
        (
            "1048575:-3145728",
            vec![blocks[0], blocks[1], blocks[2], blocks[3]],
        ),
    ] {
        let path = format!("/big.bin?format=car&dag-scope=entity&entity-bytes={bytes}");
        assert_eq!(
            cids(&site.get(&path, &[]).await),
            [vec![site.root], expected].concat(),
            "{bytes}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head() {
    let site = Site::new().await;
    let answer = site.get("/docs?format=car", &[]).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        (
            "content-type",
            "application/vnd.ipld.car; version=1; order=dfs; dups=n".to_owned(),
        ),
        ("accept-ranges", "none".into()),
        ("x-content-type-options", "nosniff".into()),
        ("x-ipfs-roots", format!("{},{}", site.root, site.cid(&["docs"]))),
        (
            "content-disposition",
            format!(
                "attachment; filename=\"{0}_docs.car\"; filename*=UTF-8''{0}_docs.car",
                site.root
            ),
        ),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    assert!(answer.header("etag").starts_with("W/\""));
    let other = site.get("/docs?format=car&dag-scope=block", &[]).await;
    assert_ne!(other.header("etag"), answer.header("etag"));
    let head = site
        .ask(
            "HEAD",
            "127.0.0.1",
            &format!("/ipfs/{}?format=car", site.root),
            &[],
        )
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_block_is_told_while_there_is_time() {
    let site = Site::new().await;
    let (root, block) = storage::Walk::new(&site.store, &[site.root])
        .next()
        .expect("a root")
        .expect("a block");
    let lone = Lone::new(&[&(root, block)]).await;
    assert_eq!(lone.get(&format!("/ipfs/{root}?format=car")).await.status, 404);
    let whole = lone
        .get(&format!("/ipfs/{root}?format=car&dag-scope=entity"))
        .await;
    assert_eq!(cids(&whole), vec![root]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_block_cuts_the_stream() {
    let site = Site::new().await;
    let big = site.cid(&["big.bin"]);
    let blocks: Vec<_> = storage::Walk::new(&site.store, &[big])
        .map(|block| block.expect("a block"))
        .collect();
    let lone = Lone::new(&[&blocks[0], &blocks[1], &blocks[2]]).await;
    let cut = lone.get(&format!("/ipfs/{big}?format=car")).await;
    assert_eq!((cut.status, cut.complete), (200, false));
}
