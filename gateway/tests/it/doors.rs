//! The doors: delegated routing, DNS over HTTPS, nearest, receipts; and that no site stands in their place.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cid::Cid;
use gateway::{Backend, Config, Gateway, Neighbour, Served};
use ledger::{SecretKey, Signed};
use named::dns::{DnsServer, Forward, Responder};
use prometheus_client::registry::Registry;
use storage::Store;
use tempfile::TempDir;

use crate::client::{Answer, until, upload};
use crate::node::CHAIN;
use crate::site::{Book, Site, backend};

/// A site whose gateway has a listener for other nodes.
async fn providing() -> Site {
    Site::with(|config| config.provider.listen = "127.0.0.1:0".parse().ok()).await
}

async fn get(site: &Site, target: &str, headers: &[(&str, &str)]) -> Answer {
    site.ask("GET", "127.0.0.1", target, headers).await
}

fn json(answer: &Answer) -> serde_json::Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("JSON: {}", answer.text()))
}

fn other(seed: u8, provider: Option<&str>) -> Neighbour {
    Neighbour {
        node: SecretKey::from_seed([seed; 32]).public(),
        gateway: Some("https://edge.example".parse().expect("a server")),
        provider: provider
            .map(|web| web.parse().expect("a server"))
            .into_iter()
            .collect(),
    }
}

#[tokio::test]
async fn what_is_here_is_provided_by_this_node_alone() {
    let site = providing().await;
    let port = site.gateway.provider_addr().expect("a listener").port();
    let answer = get(
        &site,
        &format!("/routing/v1/providers/{}", site.cid(&["LICENSE"])),
        &[],
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    let record = &json(&answer)["Providers"][0];
    assert_eq!(record["Schema"], "peer");
    assert_eq!(record["ID"], named::mesh::peer_id(&site.node.id()));
    assert_eq!(
        record["Addrs"],
        serde_json::json!([format!("/ip4/127.0.0.1/tcp/{port}/http")])
    );
    assert_eq!(
        record["Protocols"],
        serde_json::json!(["transport-ipfs-gateway-http"])
    );
    assert_eq!(site.node.searches.load(Ordering::SeqCst), 0);
    for (name, value) in [
        ("vary", "Accept"),
        ("access-control-allow-origin", "*"),
        (
            "cache-control",
            "public, max-age=300, stale-while-revalidate=172800, stale-if-error=172800",
        ),
    ] {
        assert_eq!(answer.header(name), value);
    }
    assert!(answer.header("last-modified").ends_with("GMT"));
}

#[tokio::test]
async fn one_record_a_line_for_who_asks_so() {
    let site = providing().await;
    let target = format!(
        "/routing/v1/providers/{}?filter-protocols=transport-bitswap,transport-ipfs-gateway-http,unknown",
        site.root
    );
    let lines = get(&site, &target, &[("Accept", "application/x-ndjson")]).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.text().lines().count(), 1);
    assert_eq!(json(&lines)["Schema"], "peer");
    let nobody = get(
        &site,
        &format!("{target}&filter-addrs=quic-v1"),
        &[("Accept", "application/x-ndjson")],
    )
    .await;
    assert_eq!((nobody.status, nobody.body.len()), (200, 0));
    assert!(nobody.header("cache-control").contains("max-age=15"));
}

#[tokio::test]
async fn what_others_have_is_asked_of_the_network() {
    let site = providing().await;
    let elsewhere = ledger::cid_of(b"elsewhere");
    let target = format!("/routing/v1/providers/{elsewhere}");
    assert_eq!(
        json(&get(&site, &target, &[]).await),
        serde_json::json!({ "Providers": [] })
    );
    // Nobody could give it over HTTP, so nobody was asked.
    assert_eq!(site.node.searches.load(Ordering::SeqCst), 0);
    let (with, without) = (other(1, Some("https://blocks.example")), other(2, None));
    for neighbour in [&with, &without] {
        let provided = (elsewhere, neighbour.node);
        site.node.provided.write().expect("no panic").push(provided);
        site.node
            .others
            .write()
            .expect("no panic")
            .push(neighbour.clone());
    }
    let found = json(&get(&site, &target, &[]).await);
    assert_eq!(
        found["Providers"][0]["Addrs"][0],
        "/dns/blocks.example/tcp/443/tls/http"
    );
    assert_eq!(found["Providers"].as_array().map(Vec::len), Some(1));
    assert_eq!(site.node.searches.load(Ordering::SeqCst), 1);
    let id = named::mesh::peer_id(&with.node);
    let peers = json(&get(&site, &format!("/routing/v1/peers/{id}"), &[]).await);
    assert_eq!(
        (&peers["Peers"][0]["ID"], peers["Peers"].as_array().map(Vec::len)),
        (&id.into(), Some(1))
    );
}

#[tokio::test]
async fn routing_refuses_as_it_is_written() {
    let site = providing().await;
    for (method, path, status) in [
        ("GET", "/routing/v1/providers/nonsense", 422),
        ("GET", "/routing/v1/peers/nonsense", 422),
        ("GET", "/routing/v1/other", 400),
        ("GET", "/routing/v1/dht/closest/peers/x", 501),
        ("POST", "/routing/v1/providers/bafkqaaa", 501),
        ("OPTIONS", "/routing/v1/providers/bafkqaaa", 204),
        ("HEAD", "/routing/v1/providers/bafkqaaa", 200),
    ] {
        let answer = site.ask(method, "localhost", path, &[]).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }
}

/// A question for the address of `alice.ddn`, id 0.
const QUESTION: &[u8] = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x05alice\x03ddn\0\0\x01\0\x01";

#[tokio::test]
async fn dns_over_https_answers_as_the_server_does() {
    let site = Site::new().await;
    let media = ("Content-Type", "application/dns-message");
    let posted = upload(site.address(), "POST", "/dns-query", &[media], QUESTION).await;
    let target = "/dns-query?dns=AAABAAABAAAAAAAABWFsaWNlA2RkbgAAAQAB";
    let gotten = get(&site, target, &[("Accept", "application/dns-message")]).await;
    for answer in [&posted, &gotten] {
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, "application/dns-message")
        );
        assert_eq!(answer.header("cache-control"), "max-age=20");
        // No error, one answer, which ends with 127.0.0.1.
        assert_eq!((answer.body[3] & 15, answer.body[7]), (0, 1));
        assert!(answer.body.ends_with(&[127, 0, 0, 1]));
    }
    assert_eq!(posted.body, gotten.body);
    for (method, target, headers, body, status) in [
        ("GET", "/dns-query", &[][..], &b""[..], 400),
        ("GET", "/dns-query?dns=AAAA", &[], b"", 400),
        (
            "POST",
            "/dns-query",
            &[("Content-Type", "text/plain")],
            QUESTION,
            415,
        ),
        ("POST", "/dns-query", &[], QUESTION, 415),
        ("POST", "/dns-query", &[media], b"x", 400),
        ("PUT", "/dns-query", &[media], QUESTION, 405),
    ] {
        let answer = upload(site.address(), method, target, headers, body).await;
        assert_eq!(answer.status, status, "{method} {target} {headers:?}");
    }
}

/// A browser that asks here for all names gets those of others too, if its operator wants that.
#[tokio::test]
async fn dns_over_https_forwards_for_who_may_ask() {
    let folder = TempDir::new().expect("a temporary folder");
    let store = Arc::new(Store::open(folder.path()).expect("a store"));
    let names = Arc::new(Book::default());
    names.point("www", "", Cid::default());
    let knowing = named::dns::Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        alias_zones: vec!["example.org".to_owned()],
        edges: vec!["192.0.2.80".parse().expect("an address")],
        ..named::dns::Config::default()
    };
    let other = DnsServer::bind(knowing, names.clone(), &mut Registry::default()).await;
    let forwarding = named::dns::Config {
        forward: Forward {
            servers: vec![other.as_ref().expect("a name server").local_addr()],
            ..Forward::default()
        },
        ..named::dns::Config::default()
    };
    let dns = Responder::new(&forwarding, names.clone(), &mut Registry::default()).expect("zones");
    let backend = Backend {
        dns: Arc::new(dns),
        ..backend(store, names)
    };
    let config = Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        ..Config::default()
    };
    let gateway = Gateway::bind(config, backend, &mut Registry::default()).await;
    let gateway = gateway.expect("a free port");
    let media = ("Content-Type", "application/dns-message");
    let question = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01";
    let answer = upload(gateway.local_addr(), "POST", "/dns-query", &[media], question).await;
    assert_eq!(
        (answer.status, answer.header("cache-control")),
        (200, "private, max-age=20")
    );
    assert_eq!((answer.body[3] & 15, answer.body[7]), (0, 1));
    assert!(answer.body.ends_with(&[192, 0, 2, 80]));
}

#[tokio::test]
async fn the_nearest_edge_is_named_and_followed() {
    let site = Site::new().await;
    let own = site.address();
    let target = format!(
        "/.well-known/ddn/nearest?ip=127.0.0.9&url=ipfs://{}/style.css",
        site.root
    );
    let answer = json(&get(&site, &target, &[]).await);
    assert_eq!(answer["ip"], "127.0.0.9");
    assert_eq!(answer["content"], site.root.to_string());
    assert_eq!(
        answer["url"],
        format!("http://{own}/ipfs/{}/style.css", site.root)
    );
    assert_eq!(answer["edges"][0]["chosen"], true);
    let followed = get(&site, &format!("{target}&redirect=true"), &[]).await;
    assert_eq!(
        (followed.status, followed.header("location")),
        (307, answer["url"].as_str().unwrap_or_default())
    );
    // A reader elsewhere is sent to nobody's own machine.
    site.node.others.write().expect("no panic").push(other(1, None));
    let far = "/.well-known/ddn/nearest?ip=198.51.100.7&redirect=true&url=";
    let url = format!("http://alice.ddn.localhost:{}/docs/", own.port());
    let far = get(&site, &format!("{far}{url}"), &[]).await;
    assert_eq!(
        (far.status, far.header("location")),
        (307, "https://edge.example/ipns/alice.ddn/docs/")
    );
    for (query, status) in [
        ("", 400),
        ("url=nonsense", 400),
        ("url=file:///etc/passwd", 400),
        ("url=/ipfs/nonsense", 400),
        ("url=/ipns/nobody.ddn", 404),
        ("url=/ipns/alice.ddn&ip=nonsense", 400),
        ("url=/.well-known/ddn/nearest", 404),
        ("url=/", 400),
    ] {
        let answer = get(&site, &format!("/.well-known/ddn/nearest?{query}"), &[]).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn a_receipt_says_what_was_sent() {
    let site = Site::new().await;
    let prefer = ("Prefer", "receipt");
    let answer = get(&site, "/ipns/alice.ddn/style.css", &[prefer]).await;
    assert_eq!(
        (
            answer.header("preference-applied"),
            answer.header("cache-control")
        ),
        ("receipt", "no-store")
    );
    let links: Vec<&str> = answer
        .headers()
        .iter()
        .filter(|(name, _)| name == "link")
        .map(|(_, link)| link.as_str())
        .collect();
    assert!(
        links[0].starts_with("</.well-known/ddn/proof/alice.ddn>; rel=\"urn:ddn:proof\""),
        "{links:?}"
    );
    let path = links[1]
        .trim_start_matches('<')
        .split('>')
        .next()
        .expect("a target");
    let receipt = get(&site, path, &[]).await;
    assert_eq!(
        (receipt.status, receipt.header("content-type")),
        (200, "application/cbor")
    );
    let signed = Signed::<Served>::decode(&receipt.body, Served::BYTES_MAX).expect("a receipt");
    assert!(signed.verify(CHAIN) && signed.key == site.node.id());
    let served = signed.body;
    assert_eq!((served.bytes, served.complete, served.height), (18, true, 7));
    assert_eq!(
        (served.path.as_str(), served.content.0),
        ("/ipns/alice.ddn/style.css", site.cid(&["style.css"]))
    );
    // Who does not ask gets none, and neither does who gets no content.
    assert_eq!(
        get(&site, "/ipns/alice.ddn/style.css", &[])
            .await
            .header("preference-applied"),
        ""
    );
    assert_eq!(
        get(&site, "/ipns/alice.ddn/nothing", &[prefer])
            .await
            .header("preference-applied"),
        ""
    );
}

#[tokio::test]
async fn a_receipt_of_a_long_answer_counts_all_of_it() {
    let site = Site::new().await;
    let answer = site.get("/big.bin", &[("Prefer", "receipt")]).await;
    let link = answer.header("link").to_owned();
    let path = link.trim_start_matches('<').split('>').next().expect("a target");
    let receipt = get(&site, path, &[]).await;
    let signed = Signed::<Served>::decode(&receipt.body, Served::BYTES_MAX).expect("a receipt");
    assert_eq!(
        (signed.body.bytes, signed.body.complete),
        (crate::site::BIG as u64, true)
    );
}

#[tokio::test]
async fn receipts_are_known_by_their_ids() {
    let site = Site::new().await;
    let of_delivery = format!("/.well-known/ddn/receipt/{}", "05".repeat(32));
    assert_eq!(get(&site, &of_delivery, &[]).await.text(), "a receipt");
    for (id, status) in [("06".repeat(32), 404), ("x".into(), 400), (String::new(), 400)] {
        let answer = get(&site, &format!("/.well-known/ddn/receipt/{id}"), &[]).await;
        assert_eq!(answer.status, status, "{id}");
    }
}

#[tokio::test]
async fn no_site_stands_in_the_place_of_a_door() {
    let site = Site::new().await;
    let root = site.publish(&[
        ("dns-query", b"its own"),
        ("routing/v1/providers/bafkqaaa", b"its own"),
    ]);
    site.book.point("alice", "", root);
    let hosts = [
        "alice.ddn".to_owned(),
        "alice.ddn.localhost".to_owned(),
        format!("{root}.ipfs.localhost"),
    ];
    for host in &hosts {
        let nearest = site
            .ask("GET", host, "/.well-known/ddn/nearest?url=/ipns/alice.ddn", &[])
            .await;
        assert_eq!(json(&nearest)["content"], root.to_string(), "{host}");
        let nothing = site.ask("GET", host, "/.well-known/ddn/other", &[]).await;
        assert_eq!(nothing.status, 404, "{host}");
        for path in ["/dns-query", "/routing/v1/providers/bafkqaaa"] {
            assert_eq!(
                site.ask("GET", host, path, &[]).await.text(),
                "its own",
                "{host}{path}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_told_at_once() {
    let site = Site::new().await;
    let changes = async |query: &str| get(&site, &format!("/.well-known/ddn/changes{query}"), &[]).await;
    let now = json(&changes("").await);
    assert_eq!(
        (&now["tld"], &now["names"]),
        (&"ddn".into(), &serde_json::Value::Null)
    );
    let height = now["height"].as_u64().expect("a height");
    // Nothing changes in no time.
    let none = json(&changes(&format!("?since={height}&wait=0")).await);
    assert_eq!(
        none,
        serde_json::json!({ "tld": "ddn", "height": height, "names": [] })
    );
    let (told, ()) = tokio::join!(changes_of(&site, height), async {
        until("somebody waits", || {
            site.metric("gateway_requests_in_flight") == 1.0
        })
        .await;
        site.book.point("alice", "", site.root);
    });
    assert_eq!(
        told,
        serde_json::json!({ "tld": "ddn", "height": height + 1, "names": ["alice.ddn"] })
    );
    // Of what is not known any more, or not yet, anything may have changed.
    for since in [0, height + 100] {
        let told = json(&changes(&format!("?since={since}&wait=0")).await);
        assert_eq!(
            (&told["height"], &told["names"]),
            (&(height + 1).into(), &serde_json::Value::Null)
        );
    }
    for query in ["?since=x", "?since=1&wait=-1"] {
        assert_eq!(changes(query).await.status, 400, "{query}");
    }
    // Who waits does not keep a gateway from ending.
    let (_, ()) = tokio::join!(changes_of(&site, height + 1), async {
        until("somebody waits", || {
            site.metric("gateway_requests_in_flight") == 1.0
        })
        .await;
        site.gateway.shutdown().await;
    });
}

async fn changes_of(site: &Site, since: u64) -> serde_json::Value {
    json(&get(site, &format!("/.well-known/ddn/changes?since={since}"), &[]).await)
}
