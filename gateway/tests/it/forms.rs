//! Forms of content beside web pages: tar streams, CAR streams with duplicates, objects as pages, JSON.

use std::io::Read as _;

use cid::Cid;
use storage::car::Reader;

use crate::client::Answer;
use crate::site::Site;

const HTML: &[(&str, &str)] = &[("Accept", "text/html,*/*;q=0.8")];

/// Names and contents of a tar stream; a symlink's content is its target.
fn unpack(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    assert!(answer.status == 200 && answer.complete, "{}", answer.status);
    let mut archive = tar::Archive::new(answer.body.as_slice());
    let entries = archive.entries().expect("a tar");
    let entry = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.expect("an entry");
        let name = String::from_utf8(entry.path_bytes().to_vec()).expect("a name");
        let mut content = entry
            .link_name_bytes()
            .map(|target| target.to_vec())
            .unwrap_or_default();
        entry.read_to_end(&mut content).expect("the content");
        (name, content)
    };
    entries.map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_as_a_tar() {
    let site = Site::new().await;
    let files = site.cid(&["files"]);
    let answer = site.get("/files?format=tar", &[]).await;
    assert_eq!(answer.header("content-type"), "application/x-tar");
    assert_eq!(answer.header("etag"), format!("W/\"{files}.x-tar\""));
    assert!(
        answer
            .header("content-disposition")
            .contains(&format!("{files}.tar"))
    );
    let found = unpack(&answer);
    let deep = format!("{files}/\u{105}/\u{119}/file-\u{17a}\u{142}.txt");
    assert!(found.contains(&(deep, b"deep".to_vec())), "{found:?}");
    assert!(
        found.contains(&(format!("{files}/sub/"), Vec::new())),
        "{found:?}"
    );

    let whole = unpack(&site.get("/", &[("Accept", "application/x-tar")]).await);
    let big = whole
        .iter()
        .find(|(name, _)| name.ends_with("/big.bin"))
        .expect("the large file");
    assert_eq!(big.1, crate::site::big());
    assert!(whole.contains(&(format!("{}/link", site.root), b"ascii.txt".to_vec())));
    let one = unpack(&site.get("/ascii.txt?format=tar", &[]).await);
    assert_eq!(
        one,
        [(
            site.cid(&["ascii.txt"]).to_string(),
            b"hello application/vnd.ipld.raw\n".to_vec()
        )]
    );
    let head = site
        .ask(
            "HEAD",
            "127.0.0.1",
            &format!("/ipfs/{}?format=tar", site.root),
            &[],
        )
        .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_a_tar_leads_out_of_it() {
    let site = Site::new().await;
    let file = site.cid(&["ascii.txt"]);
    for name in ["..", ".", "", "../b", "a\0"] {
        let folder = folder(&site, &[(name, file)]);
        let answer = site
            .ask("GET", "127.0.0.1", &format!("/ipfs/{folder}?format=tar"), &[])
            .await;
        assert_eq!(answer.status, 422, "{name:?}");
    }
    for (target, status) in [("../out", 422), ("/etc/passwd", 422), ("in/../in", 200)] {
        let link = node(
            &site,
            &[],
            &[&[8, 4, 0x12, target.len() as u8], target.as_bytes()].concat(),
        );
        let folder = folder(&site, &[("link", link)]);
        let answer = site
            .ask("GET", "127.0.0.1", &format!("/ipfs/{folder}?format=tar"), &[])
            .await;
        assert_eq!(answer.status, status, "{target}");
    }
    let link = node(&site, &[], b"\x08\x04\x12\x01x");
    let through = folder(&site, &[("link", link), ("link/file", file)]);
    let answer = site
        .ask("GET", "127.0.0.1", &format!("/ipfs/{through}?format=tar"), &[])
        .await;
    assert_eq!(answer.status, 422);
    // A name that steps up and stays inside is followed.
    let up = folder(&site, &[("sub", folder(&site, &[("../file", file)]))]);
    let found = unpack(
        &site
            .ask("GET", "127.0.0.1", &format!("/ipfs/{up}?format=tar"), &[])
            .await,
    );
    assert_eq!(
        found.last().map(|(name, _)| name.clone()),
        Some(format!("{up}/file"))
    );
}

fn folder(site: &Site, entries: &[(&str, Cid)]) -> Cid {
    node(site, entries, &[8, 1])
}

/// A dag-pb node with these links and this data.
fn node(site: &Site, links: &[(&str, Cid)], data: &[u8]) -> Cid {
    let chunk = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).expect("short")], bytes].concat();
    let mut block: Vec<u8> = links
        .iter()
        .flat_map(|(name, cid)| {
            let link = [
                chunk(0x0a, &cid.to_bytes()),
                chunk(0x12, name.as_bytes()),
                vec![0x18, 1],
            ]
            .concat();
            chunk(0x12, &link)
        })
        .collect();
    block.extend(chunk(0x0a, data));
    keep(site, 0x70, &block)
}

fn keep(site: &Site, codec: u64, block: &[u8]) -> Cid {
    let hash = ledger::cid_of(block);
    let cid = Cid::new_v1(codec, *hash.hash());
    site.store.put(&cid, block).expect("a block");
    cid
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_with_a_block_for_every_link() {
    let site = Site::new().await;
    let root = site.publish(&[("a.txt", b"same"), ("b.txt", b"same"), ("c/d.txt", b"same")]);
    let get = async |query: &str, accept: &str| {
        let target = format!("/ipfs/{root}?{query}");
        site.ask("GET", "127.0.0.1", &target, &[("Accept", accept)]).await
    };
    let count = |answer: &Answer| {
        let reader = Reader::new(answer.body.as_slice()).expect("a CAR");
        reader.fold(0, |count, block| count + usize::from(block.is_ok()))
    };
    for (query, accept, dups, blocks) in [
        ("format=car", "*/*", "dups=n", 3),
        ("format=car", "application/vnd.ipld.car; dups=y", "dups=y", 5),
        (
            "format=car&car-dups=y",
            "application/vnd.ipld.car; dups=n",
            "dups=y",
            5,
        ),
        (
            "dag-scope=entity",
            "application/vnd.ipld.car; order=unk; dups=y",
            "dups=y",
            1,
        ),
    ] {
        let answer = get(query, accept).await;
        let media = answer.header("content-type");
        assert!(
            media.contains("order=dfs") && media.contains(dups),
            "{query} {accept}: {media}"
        );
        assert_eq!(count(&answer), blocks, "{query} {accept}");
    }
    let once = get("format=car", "*/*").await;
    let all = get("format=car&car-dups=y", "*/*").await;
    assert_ne!(once.header("etag"), all.header("etag"));
    let file = site
        .get("/big.bin?format=car&dag-scope=entity&car-dups=y", &[])
        .await;
    assert_eq!(count(&file), 7, "the folder, the file, its five parts");
    let inline = site
        .ask(
            "GET",
            "127.0.0.1",
            "/ipfs/bafkqabtimvwgy3yk?format=car&car-dups=y",
            &[],
        )
        .await;
    assert_eq!(count(&inline), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_pages_for_browsers() {
    let site = Site::new().await;
    let file = site.cid(&["ascii.txt"]);
    let json = format!(r#"{{"a":{{"b":{{"/":"{file}"}}}},"t":"<b>"}}"#);
    let json = keep(&site, 0x0129, json.as_bytes());
    let page = site.ask("GET", "127.0.0.1", &format!("/ipfs/{json}"), HTML).await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    assert!(page.header("etag").starts_with("\"DagIndex-") && page.header("content-disposition").is_empty());
    assert_eq!(
        page.header("cache-control"),
        "public, max-age=604800, stale-while-revalidate=2678400"
    );
    assert_eq!(page.header("vary"), "Accept");
    let text = page.text();
    assert!(
        text.contains(&format!("href=\"/ipfs/{file}\"")) && !text.contains("<b>"),
        "{text}"
    );

    let plain = site.ask("GET", "127.0.0.1", &format!("/ipfs/{json}"), &[]).await;
    assert_eq!(plain.header("content-type"), "application/vnd.ipld.dag-json");
    assert_eq!(plain.header("etag"), format!("\"{json}.dag-json\""));
    for (path, status) in [("/a/b", 200), ("/a", 501), ("/a/c", 404), ("/a/b/c", 404)] {
        let answer = site
            .ask("GET", "127.0.0.1", &format!("/ipfs/{json}{path}"), &[])
            .await;
        assert_eq!(answer.status, status, "{path}");
    }
    let car = site
        .ask("GET", "127.0.0.1", &format!("/ipfs/{json}?format=car"), &[])
        .await;
    let blocks: Vec<Cid> = Reader::new(car.body.as_slice())
        .expect("a CAR")
        .map(|block| block.expect("a block").0)
        .collect();
    assert_eq!(blocks, [json, file]);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_in_a_file_is_json() {
    let site = Site::new().await;
    let root = site.publish(&[("x", br#"{"a": [1, 2]}"#)]);
    for (query, accept) in [
        ("", "*/*"),
        ("", "application/json"),
        ("?format=json", "application/vnd.ipld.raw"),
    ] {
        let target = format!("/ipfs/{root}/x{query}");
        let answer = site.ask("GET", "127.0.0.1", &target, &[("Accept", accept)]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/json"),
            "{query} {accept}"
        );
    }
    let converted = site
        .ask(
            "GET",
            "127.0.0.1",
            &format!("/ipfs/{root}/x?format=dag-json"),
            &[],
        )
        .await;
    assert_eq!(converted.status, 406);
}
