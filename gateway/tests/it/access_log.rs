//! The access log of a gateway that is asked over real sockets.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::{AccessLog, Style};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;

use crate::client::{open, request, until};
use crate::site::{BIG, Site};

async fn site(style: Style) -> (Site, PathBuf, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("access.log");
    let log = AccessLog {
        path: path.clone(),
        style,
    };
    let site = Site::with(|config| {
        config.access_log = Some(log);
        config.guarding.proxies = vec!["127.0.0.1".parse().expect("a network")];
    });
    (site.await, path, folder)
}

/// The lines of the log, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<String> {
    let read = || fs::read_to_string(path).unwrap_or_default();
    until("the lines are there", || read().lines().count() >= count).await;
    read().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_for_each_request() {
    let (site, path, _folder) = site(Style::Combined).await;
    let client = [
        ("X-Forwarded-For", "203.0.113.9"),
        ("User-Agent", "a \"client\""),
        ("Referer", "http://x/"),
    ];
    site.get("/ascii.txt?a=b", &client).await;
    site.get("/nothing", &client).await;
    let lines = lines(&path, 2).await;
    let root = site.root;
    assert!(lines[0].starts_with("203.0.113.9 - - ["), "{}", lines[0]);
    let end =
        format!("\"GET /ipfs/{root}/ascii.txt?a=b HTTP/1.1\" 200 31 \"http://x/\" \"a \\\"client\\\"\"");
    assert!(lines[0].ends_with(&end), "{}", lines[0]);
    assert!(lines[1].contains(" 404 "), "{}", lines[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_is_told() {
    let (site, path, _folder) = site(Style::Json).await;
    let huge: Vec<u8> = (0..24_u32 << 18)
        .flat_map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let cid = site.publish(&[("x.bin", &huge)]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (method, target, bytes) in [
        ("GET", "/big.bin", BIG),
        ("HEAD", "/big.bin", 0),
        ("GET", "/empty.txt", 0),
    ] {
        let target = format!("/ipfs/{}{target}", site.root);
        site.ask(method, "127.0.0.1", &target, &[("traceparent", parent)])
            .await;
        let line = lines(&path, 1).await.remove(0);
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            (&line["bytes"], &line["whole"]),
            (&bytes.into(), &true.into()),
            "{method} {target} {line}"
        );
        assert_eq!(line["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            (&line["host"], &line["status"]),
            (&"127.0.0.1".into(), &200.into())
        );
        fs::remove_file(&path).expect("the log, rotated");
    }
    let mut stream = open(
        site.address(),
        &request("GET", "127.0.0.1", &format!("/ipfs/{cid}/x.bin"), &[]),
    )
    .await;
    stream.read_exact(&mut [0; 64]).await.expect("a beginning");
    drop(stream);
    let line = lines(&path, 1).await.remove(0);
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["whole"], false, "{line}");
}
