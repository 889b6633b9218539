//! The gateway as a browser's proxy: whole URLs, tunnels, and the file that tells the browser about it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{DEADLINE, open, raw};
use crate::site::Site;

/// Everything that comes back until the connection ends.
async fn exchange(site: &Site, text: &str) -> String {
    let mut stream = open(site.address(), text).await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    read.expect("an end in time").expect("a connection");
    String::from_utf8(bytes).expect("text")
}

const LAST: &str = "Connection: close\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn whole_urls() {
    let site = Site::new().await;
    for (target, host, status) in [
        ("http://alice.ddn/ascii.txt", "alice.ddn", 200),
        ("http://alice.ddn/ascii.txt", "elsewhere.example", 200),
        ("http://alice.ddn/nothing", "alice.ddn", 404),
        ("http://elsewhere.example/", "alice.ddn", 200),
    ] {
        let answer = site.ask("GET", host, target, &[]).await;
        assert_eq!(answer.status, status, "{target}");
        let is_site = answer.text().contains("application/vnd.ipld.raw");
        assert_eq!(is_site, target.contains("ascii"), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_leads_to_the_gateway_itself() {
    let site = Site::new().await;
    let port = site.address().port();
    for authority in [
        "alice.ddn:80".to_owned(),
        format!("127.0.0.1:{port}"),
        "localhost:80".into(),
    ] {
        let text = exchange(
            &site,
            &format!(
                "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n\
                 GET /ascii.txt HTTP/1.1\r\nHost: alice.ddn\r\n\r\n\
                 GET http://alice.ddn/docs/ HTTP/1.1\r\nHost: alice.ddn\r\n{LAST}"
            ),
        )
        .await;
        assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{text}");
        let granted = text.split_once("\r\n\r\n").expect("a head").0;
        assert!(
            !granted.to_ascii_lowercase().contains("content-length"),
            "{granted}"
        );
        assert!(
            text.contains("hello application/vnd.ipld.raw") && text.ends_with("docs"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_waited_for() {
    let site = Site::new().await;
    let mut stream = open(
        site.address(),
        "CONNECT alice.ddn:80 HTTP/1.1\r\nHost: alice.ddn:80\r\n\r\n",
    )
    .await;
    let mut head = [0; 19];
    stream
        .read_exact(&mut head)
        .await
        .expect("an answer before anything else is said");
    assert_eq!(&head, b"HTTP/1.1 200 OK\r\nda");
    let get = format!("GET /ascii.txt HTTP/1.1\r\nHost: alice.ddn\r\n{LAST}");
    stream.write_all(get.as_bytes()).await.expect("a request");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an answer");
    assert!(rest.contains("hello application/vnd.ipld.raw"), "{rest}");
    // Nobody waits for the tunnel of a client that left.
    drop(stream);
    site.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_no_proxy_for_others() {
    let site = Site::new().await;
    for authority in [
        "example.org:443",
        "192.0.2.1:80",
        "10.0.0.1:22",
        "alice.ddn.example:80",
    ] {
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{LAST}");
        let answer = raw(site.address(), &request).await;
        assert_eq!(answer.status, 403, "{authority}");
        assert!(
            answer.text().contains("connects to nothing else"),
            "{}",
            answer.text()
        );
    }
    // After a refusal the connection is what it was.
    let text = exchange(
        &site,
        &format!(
            "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n\
             GET /ascii.txt HTTP/1.1\r\nHost: alice.ddn\r\n{LAST}"
        ),
    )
    .await;
    assert!(
        text.contains("403 Forbidden") && text.contains("hello application"),
        "{text}"
    );
    // One is enough.
    let nested = "CONNECT alice.ddn:80 HTTP/1.1\r\nHost: alice.ddn\r\n\r\n".repeat(2);
    let text = exchange(
        &site,
        &format!("{nested}GET / HTTP/1.1\r\nHost: alice.ddn\r\n{LAST}"),
    )
    .await;
    assert!(text.contains("405 Method Not Allowed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_for_browsers() {
    let site = Site::new().await;
    let pac = site
        .ask("GET", "127.0.0.1:8080", "/.well-known/ddn/proxy.pac", &[])
        .await;
    assert_eq!(
        (pac.status, pac.header("content-type")),
        (200, "application/x-ns-proxy-autoconfig")
    );
    assert!(pac.text().contains("\"PROXY 127.0.0.1:8080\""), "{}", pac.text());
    let evil = site
        .ask("GET", "a\";alert(1)//", "/.well-known/ddn/proxy.pac", &[])
        .await;
    assert_eq!(evil.status, 400);
}
