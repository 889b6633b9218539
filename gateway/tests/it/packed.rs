//! Compressed answers, and what conditions and ranges make of them.

use std::io::Read;

use crate::client::Answer;
use crate::network::Second;
use crate::site::Site;

fn text() -> Vec<u8> {
    (0..200_000)
        .flat_map(|line| format!("line {line} of a long text\n").into_bytes())
        .collect()
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    match answer.header("content-encoding") {
        "br" => brotli::Decompressor::new(&answer.body[..], 4096).read_to_end(&mut bytes),
        "gzip" => flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut bytes),
        _ => answer.body.as_slice().read_to_end(&mut bytes),
    }
    .expect("packed bytes");
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_any_length_is_packed() {
    let site = Site::new().await;
    let (short, long) = (text()[..9000].to_vec(), text());
    let root = site.publish(&[("short.txt", &short), ("long.txt", &long)]);
    for (accept, coding) in [
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("identity", ""),
        ("br;q=0", ""),
    ] {
        for (name, text) in [("short.txt", &short), ("long.txt", &long)] {
            let target = format!("/ipfs/{root}/{name}");
            let answer = site
                .ask("GET", "127.0.0.1", &target, &[("Accept-Encoding", accept)])
                .await;
            let what = format!("{accept} {name}");
            assert_eq!(
                (answer.status, answer.header("content-encoding")),
                (200, coding),
                "{what}"
            );
            assert_eq!(answer.header("vary"), "Accept-Encoding", "{what}");
            assert!(answer.complete && unpacked(&answer) == **text, "{what}");
            assert!(coding.is_empty() || answer.body.len() < text.len() / 3, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packed_text_of_others_is_whole() {
    let site = Site::new().await;
    let root = site.publish(&[("long.txt", &text())]);
    let second = Second::new(&site).await;
    let target = format!("/ipfs/{root}/long.txt");
    let answer = second
        .ask("GET", "127.0.0.1", &target, &[("Accept-Encoding", "br")])
        .await;
    assert!(answer.complete && unpacked(&answer) == text());
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_ranges() {
    let site = Site::new().await;
    let root = site.publish(&[("x.txt", &text()[..9000])]);
    let target = format!("/ipfs/{root}/x.txt");
    let ask = async |headers: &[(&str, &str)]| site.ask("GET", "127.0.0.1", &target, headers).await;
    let (plain, packed) = (ask(&[]).await, ask(&[("Accept-Encoding", "br")]).await);
    let (plain, tag) = (plain.header("etag"), packed.header("etag"));
    assert!(tag.ends_with("--br\"") && plain != tag, "{plain} {tag}");
    for (known, status, told) in [(tag, 304, tag), (plain, 304, plain), ("\"x--br\"", 200, tag)] {
        let answer = ask(&[("Accept-Encoding", "br"), ("If-None-Match", known)]).await;
        assert_eq!((answer.status, answer.header("etag")), (status, told), "{known}");
    }
    assert_eq!(ask(&[("If-Match", tag)]).await.status, 200);
    let part = ask(&[("Accept-Encoding", "br"), ("Range", "bytes=0-8191")]).await;
    assert_eq!(
        (part.status, part.header("content-encoding"), part.body.len()),
        (206, "", 8192)
    );
    let other = ask(&[
        ("Accept-Encoding", "br"),
        ("Range", "bytes=0-8191"),
        ("If-Range", tag),
    ])
    .await;
    assert_eq!(
        (other.status, other.header("content-encoding")),
        (200, "br"),
        "the ranges are of other bytes"
    );
    let head = site
        .ask("HEAD", "127.0.0.1", &target, &[("Accept-Encoding", "br")])
        .await;
    assert_eq!(
        (head.header("content-encoding"), head.header("etag")),
        ("br", tag)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_and_streams_are_never_packed() {
    let site = Site::new().await;
    let root = site.publish(&[("x.txt", &text()[..9000])]);
    for query in ["?format=raw", "?format=car"] {
        let target = format!("/ipfs/{root}/x.txt{query}");
        let answer = site
            .ask("GET", "127.0.0.1", &target, &[("Accept-Encoding", "br, gzip")])
            .await;
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, ""),
            "{query}"
        );
    }
}
