//! Domains that lead to content, asked of a real server: our own, in the part of the public DNS.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ledger::{Label, NameEntry, Records};
use named::dap::{Names, NamesError, Tlds};
use named::dns::DnsServer;
use named::dnslink::{self, DnsLinks, Error, Link};
use prometheus_client::registry::Registry;
use tokio::net::UdpSocket;

use crate::book::{Book, SITE, config, site};
use crate::wire::DEADLINE;

/// The names of a book below `example`.
struct Public(Arc<Book>);

impl Names for Public {
    fn tlds(&self) -> &Tlds {
        static TLDS: LazyLock<Tlds> = LazyLock::new(|| Tlds::of("example"));
        &TLDS
    }

    fn height(&self) -> u64 {
        self.0.height()
    }

    fn entry(&self, label: &Label) -> Result<Option<NameEntry>, NamesError> {
        self.0.entry(label)
    }
}

/// The public DNS.
struct World {
    book: Arc<Book>,
    server: DnsServer,
    registry: Registry,
}

impl World {
    async fn new() -> Self {
        let (book, mut registry) = (Book::new(), Registry::default());
        let server = DnsServer::bind(config(), Arc::new(Public(book.clone())), &mut registry).await;
        Self {
            book,
            server: server.expect("a free port"),
            registry,
        }
    }

    fn links(&self) -> DnsLinks {
        asking(self.server.local_addr(), |_| {})
    }

    /// Questions answered so far.
    fn answered(&self) -> u64 {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("metrics");
        let replies = text.lines().filter(|line| line.starts_with("dns_replies_total{"));
        replies
            .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

fn asking(server: SocketAddr, set: impl FnOnce(&mut dnslink::Config)) -> DnsLinks {
    let mut config = dnslink::Config {
        servers: vec![server],
        alias_zones: vec!["ddn.example".into()],
        ..dnslink::Config::default()
    };
    set(&mut config);
    DnsLinks::new(&config, &Tlds::of("ddn")).expect("name servers")
}

fn text(text: &str) -> Records {
    Records {
        txt: vec!["v=spf1 -all".into(), text.into()],
        ..Records::default()
    }
}

fn alias(name: &str) -> Records {
    Records {
        cname: Some(name.into()),
        ..Records::default()
    }
}

async fn path(links: &DnsLinks, domain: &str) -> Option<String> {
    let found = tokio::time::timeout(DEADLINE, links.find(domain)).await;
    found
        .expect("an answer in time")
        .unwrap_or_else(|error| panic!("{domain}: {error}"))
        .map(|link| link.path)
}

#[tokio::test(flavor = "multi_thread")]
async fn where_domains_lead() {
    let world = World::new().await;
    world.book.hold("linked", [("", site())]);
    world
        .book
        .hold("said", [("", text("dnslink=/ipns/b.example.org/a b"))]);
    world.book.hold("named", [("", alias("docs.alice.ddn"))]);
    world.book.hold("zoned", [("", alias("alice.ddn.example"))]);
    world.book.hold(
        "far",
        [("", alias("zoned.example")), ("away", alias("elsewhere.example"))],
    );
    world.book.hold("round", [("", alias("about.example"))]);
    world.book.hold("about", [("", alias("round.example"))]);
    world.book.hold("plain", [("", text("dnslink=nonsense"))]);
    world.book.hold(
        "both",
        [
            ("", text("dnslink=/ipfs/own")),
            ("_dnslink", text("dnslink=/ipfs/marked")),
        ],
    );
    let links = world.links();
    let content = format!("/ipfs/{SITE}");
    for (domain, expected) in [
        ("linked.example", Some(content.as_str())),
        ("LINKED.example.", Some(&content)),
        ("said.example", Some("/ipns/b.example.org/a b")),
        ("named.example", Some("/ipns/docs.alice.ddn")),
        ("zoned.example", Some("/ipns/alice.ddn")),
        ("far.example", Some("/ipns/alice.ddn")),
        ("both.example", Some("/ipfs/marked")),
        ("away.far.example", None),
        ("plain.example", None),
        ("nobody.example", None),
    ] {
        assert_eq!(path(&links, domain).await.as_deref(), expected, "{domain}");
    }
    // The resolver gives up on a circle by itself; that it ends is what counts.
    drop(links.find("round.example").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_or_private_asks_nobody() {
    let world = World::new().await;
    let links = world.links();
    for (domain, expected) in [
        ("alice.ddn", Some("/ipns/alice.ddn")),
        ("Docs.alice.ddn.example", Some("/ipns/docs.alice.ddn")),
        ("localhost", None),
        ("printer.local", None),
        ("10.0.0.1", None),
        ("a b.example", None),
        ("", None),
    ] {
        assert_eq!(path(&links, domain).await.as_deref(), expected, "{domain}");
    }
    let ours = links.find("alice.ddn").await;
    assert_eq!(
        ours.map(|link| link.map(|link| link.ttl)),
        Ok(Some(Duration::ZERO))
    );
    assert_eq!(world.answered(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_kept_for_its_time() {
    let world = World::new().await;
    let long = Records {
        ttl: Some(600),
        ..text("dnslink=/ipfs/first")
    };
    world.book.hold("kept", [("", long)]);
    let links = world.links();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let links = links.clone();
            tokio::spawn(async move { links.find("kept.example").await })
        })
        .collect();
    for reader in readers {
        let link: Option<Link> = reader.await.expect("no panic").expect("an answer");
        let link = link.expect("a link");
        assert_eq!(link.path, "/ipfs/first");
        // Shorter than the record's own time: that there is no better place holds for the zone's 20 seconds.
        assert!(
            link.ttl <= Duration::from_secs(20) && link.ttl > Duration::from_secs(10),
            "{:?}",
            link.ttl
        );
    }
    let asked = world.answered();
    assert!(asked <= 4, "20 readers made {asked} questions");
    world.book.hold("kept", [("", text("dnslink=/ipfs/second"))]);
    assert_eq!(path(&links, "kept.example").await.as_deref(), Some("/ipfs/first"));
    assert_eq!(path(&links, "nobody.example").await, None);
    let asked = world.answered();
    assert_eq!(path(&links, "nobody.example").await, None);
    assert_eq!(world.answered(), asked, "absence is kept too");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_silent() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let links = asking(silent.local_addr().expect("an address"), |config| {
        config.timeout = Duration::from_millis(100);
        config.lookups_max = 1;
    });
    let first = links.find("first.example").await.expect_err("no answer");
    assert!(
        matches!(&first, Error::Unanswered { domain, .. } if domain == "first.example"),
        "{first}"
    );
    assert!(
        first
            .to_string()
            .starts_with("looking up first.example in the DNS: "),
        "{first}"
    );
    assert_eq!(
        links.find("first.example").await,
        Err(first),
        "a failure is remembered for a moment"
    );

    let (second, third) = tokio::join!(links.find("second.example"), links.find("third.example"));
    let busy = |found: &Result<Option<Link>, Error>| matches!(found, Err(Error::Busy { .. }));
    assert!(busy(&second) != busy(&third), "{second:?} {third:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_may_wait() {
    let world = World::new().await;
    world.book.hold("linked", [("", site())]);
    let links = world.links();
    let found = tokio::task::spawn_blocking(move || links.find_blocking("linked.example")).await;
    let link = found.expect("no panic").expect("an answer").expect("a link");
    assert_eq!(link.path, format!("/ipfs/{SITE}"));
}
