//! What denylists name is not served, by whatever way it is asked for.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::client::DEADLINE;
use crate::site::Site;

/// A site, and the file of its denylist.
async fn site() -> (Site, PathBuf, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let list = folder.path().join("own.deny");
    fs::write(&list, "").expect("a list");
    let path = list.clone();
    (
        Site::with(|config| {
            config.denylists = vec![path];
            config.provider.hosts = vec!["blocks.example".into()];
        })
        .await,
        list,
        folder,
    )
}

async fn status(site: &Site, target: &str) -> u16 {
    site.ask("GET", "127.0.0.1", target, &[]).await.status
}

/// Writes the list, and waits until it holds.
async fn deny(site: &Site, list: &PathBuf, rules: &str, probe: &str, expected: u16) {
    fs::write(list, rules).expect("a list");
    let held = async {
        while status(site, probe).await != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, held).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_denied_by_every_way() {
    let (site, list, _folder) = site().await;
    let file = site.cid(&["style.css"]);
    let direct = format!("/ipfs/{file}");
    assert_eq!(status(&site, &direct).await, 200);
    deny(
        &site,
        &list,
        &format!("/ipfs/{file} gateway_status:451\n"),
        &direct,
        451,
    )
    .await;
    for target in [
        format!("/ipfs/{file}?format=raw"),
        format!("/ipfs/{file}?format=car"),
        format!("/ipfs/{}/style.css", site.root),
        format!("/ipfs/{}/style.css?format=raw", site.root),
        "/ipns/alice.ddn/style.css".to_owned(),
    ] {
        assert_eq!(status(&site, &target).await, 451, "{target}");
    }
    assert_eq!(
        status(&site, &format!("/ipfs/{}/ascii.txt", site.root)).await,
        200
    );
    // Other nodes are told in their own way.
    for form in ["raw", "car"] {
        let target = format!("{direct}?format={form}");
        let told = site.ask("GET", "blocks.example", &target, &[]).await;
        assert_eq!((told.status, told.body.len()), (451, 0), "{form}");
    }
    let car = site.get("?format=car", &[]).await;
    assert!(
        car.status == 451 || !car.complete,
        "a stream does not contain it: {}",
        car.status
    );
    let head = site.ask("HEAD", "127.0.0.1", &direct, &[]).await;
    assert_eq!(head.status, 451);
    let told = site.ask("GET", "127.0.0.1", &direct, &[]).await;
    assert!(
        told.text().contains("operator") && told.header("cache-control") == "no-store",
        "{}",
        told.text()
    );
    deny(&site, &list, "", &direct, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_names() {
    let (site, list, _folder) = site().await;
    let root = site.root;
    let rules = format!(
        "/ipfs/{root}/files*\n!/ipfs/{root}/files/sub/x.txt\n/ipns/bob.ddn\n/ipns/alice.ddn/style.css\n"
    );
    site.book.point("bob", "", site.root);
    deny(&site, &list, &rules, "/ipns/bob.ddn/", 410).await;
    for (target, expected) in [
        (format!("/ipfs/{root}/files/"), 410),
        (format!("/ipfs/{root}/files/sub/"), 410),
        (format!("/ipfs/{root}/files/sub/x.txt"), 200),
        (format!("/ipfs/{root}/ascii.txt"), 200),
        ("/ipns/alice.ddn/files/".into(), 410),
        ("/ipns/alice.ddn/style.css".into(), 410),
        (format!("/ipfs/{root}/style.css"), 200),
        ("/ipns/alice.ddn/ascii.txt".into(), 200),
        ("/ipns/bob.ddn/ascii.txt".into(), 410),
    ] {
        assert_eq!(status(&site, &target).await, expected, "{target}");
    }
    let by_host = site.ask("GET", "bob.ddn", "/", &[]).await;
    assert_eq!(by_host.status, 410);
}

/// Lists that do not say what they deny, by each hash that they may be written in.
#[tokio::test(flavor = "multi_thread")]
async fn hashed_rules() {
    let (site, list, _folder) = site().await;
    let file = site.cid(&["style.css"]);
    let direct = format!("/ipfs/{file}");
    let base58 = |bytes: &[u8]| cid::multibase::Base::Base58Btc.encode(bytes);
    let denied = base58(&file.hash().to_bytes());
    let sha256 = ledger::Hash::of(denied.as_bytes());
    let blake3 = blake3::hash(denied.as_bytes());
    for rule in [
        format!("//{}\n", base58(&[&[0x12, 0x20], &sha256.0[..]].concat())),
        format!(
            "//{}\n",
            base58(&[&[0x1e, 0x20], &blake3.as_bytes()[..]].concat())
        ),
    ] {
        deny(&site, &list, &rule, &direct, 410).await;
        assert_eq!(
            status(&site, &format!("/ipfs/{}/style.css", site.root)).await,
            410
        );
        assert_eq!(
            status(&site, &format!("/ipfs/{}/ascii.txt", site.root)).await,
            200
        );
        deny(&site, &list, "", &direct, 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_ends_the_start_and_nothing_else() {
    let (site, list, _folder) = site().await;
    let file = format!("/ipfs/{}", site.cid(&["style.css"]));
    deny(&site, &list, &format!("{file}\n"), &file, 410).await;
    fs::remove_file(&list).expect("the list");
    assert_eq!(status(&site, &file).await, 410);
    let missing = gateway::Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        denylists: vec![list],
        ..gateway::Config::default()
    };
    let store = std::sync::Arc::new(site.store.clone());
    let backend = crate::site::backend(store, site.book.clone());
    let error = gateway::Gateway::bind(missing, backend, &mut Default::default()).await;
    let text = error.expect_err("there is no list").to_string();
    assert!(
        text.contains("gateway.denylists") && text.contains("own.deny"),
        "{text}"
    );
}
