//! What the zones say, name by name and type by type.

use std::sync::Arc;

use ledger::Records;
use named::dns::{Config, NameServer};

use crate::book::{Book, EXPIRES, SITE, config, serve, site};
use crate::wire::*;

/// The name server of most tests: it has an address inside the alias zone.
fn two_zones() -> Config {
    Config {
        alias_zones: vec!["DDN.example.".into()],
        name_servers: vec![NameServer {
            host: "ns1.ddn.example".into(),
            addresses: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
        }],
        edges: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        ..config()
    }
}

fn records(change: impl FnOnce(&mut Records)) -> Records {
    let mut records = Records::default();
    change(&mut records);
    records
}

fn cname(target: &str) -> Records {
    records(|r| r.cname = Some(target.into()))
}

fn held() -> Arc<Book> {
    let book = Book::new();
    book.hold(
        "alice",
        [
            ("", site()),
            (
                "docs",
                records(|r| r.txt = vec!["hello".into(), "v=1 a b".into()]),
            ),
            ("deep.er", site()),
            ("www", cname("alice.ddn")),
            ("gone", cname("nobody.ddn")),
            ("out", cname("example.org")),
            ("ring", cname("gnir.alice.ddn")),
            ("gnir", cname("ring.alice.ddn")),
            (
                "own",
                records(|r| (r.content, r.a) = (site().content, vec!["198.51.100.7".parse().unwrap()])),
            ),
            (
                "slow",
                records(|r| (r.a, r.ttl) = (vec!["198.51.100.8".parse().unwrap()], Some(600_000))),
            ),
            (
                "fast",
                records(|r| (r.a, r.ttl) = (vec!["198.51.100.9".parse().unwrap()], Some(1))),
            ),
            ("link", records(|r| r.txt = vec!["dnslink=/ipns/other".into()])),
        ],
    );
    book.hold("bare", []);
    book
}

/// Asks over UDP and TCP; both must give the same code and answers.
async fn check(rows: &[(&str, u16, u8, &[&str])]) {
    let server = serve(two_zones(), &held()).await;
    for (name, kind, code, answers) in rows {
        for reply in [
            ask(name, *kind).edns(0, 4096, 0).udp(server.local_addr()).await,
            ask(name, *kind).tcp(server.local_addr()).await,
        ] {
            assert_eq!(
                (reply.code(), reply.answers()),
                (*code, strings(answers)),
                "{name} type {kind}"
            );
            assert!(reply.aa() && !reply.tc(), "{name} type {kind}");
            let denied = answers.is_empty() || *code == NXDOMAIN;
            assert_eq!(
                reply.counts()[2],
                u16::from(denied),
                "{name} type {kind}: SOA exactly when denied"
            );
        }
    }
    server.shutdown().await;
}

fn strings(lines: &[&str]) -> Vec<String> {
    lines.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn content_gives_addresses_and_dnslink() {
    let link = format!("20 TXT dnslink=/ipfs/{SITE}");
    let at = |name: &str| format!("{name}. {link}");
    check(&[
        ("alice.ddn", A, NOERROR, &["alice.ddn. 20 A 192.0.2.1"]),
        ("alice.ddn", AAAA, NOERROR, &["alice.ddn. 20 AAAA 2001:db8::1"]),
        ("alice.ddn", TXT, NOERROR, &[&at("alice.ddn")]),
        ("_dnslink.alice.ddn", TXT, NOERROR, &[&at("_dnslink.alice.ddn")]),
        (
            "_dnslink.deep.er.alice.ddn",
            TXT,
            NOERROR,
            &[&at("_dnslink.deep.er.alice.ddn")],
        ),
        (
            "alice.ddn.example",
            A,
            NOERROR,
            &["alice.ddn.example. 20 A 192.0.2.1"],
        ),
        (
            "_dnslink.alice.ddn.example",
            TXT,
            NOERROR,
            &[&at("_dnslink.alice.ddn.example")],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_owner_s_records_come_as_they_are() {
    check(&[
        (
            "docs.alice.ddn",
            TXT,
            NOERROR,
            &["docs.alice.ddn. 20 TXT hello", "docs.alice.ddn. 20 TXT v=1 a b"],
        ),
        (
            "link.alice.ddn",
            TXT,
            NOERROR,
            &["link.alice.ddn. 20 TXT dnslink=/ipns/other"],
        ),
        ("own.alice.ddn", A, NOERROR, &["own.alice.ddn. 20 A 198.51.100.7"]),
        ("own.alice.ddn", AAAA, NOERROR, &[]),
        (
            "slow.alice.ddn",
            A,
            NOERROR,
            &["slow.alice.ddn. 86400 A 198.51.100.8"],
        ),
        (
            "fast.alice.ddn",
            A,
            NOERROR,
            &["fast.alice.ddn. 5 A 198.51.100.9"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn names_that_do_not_exist_and_types_that_do_not() {
    check(&[
        ("nobody.ddn", A, NXDOMAIN, &[]),
        ("_dnslink.nobody.ddn", TXT, NXDOMAIN, &[]),
        ("docs.nobody.ddn", A, NXDOMAIN, &[]),
        ("nope.alice.ddn", A, NXDOMAIN, &[]),
        ("x.docs.alice.ddn", A, NXDOMAIN, &[]),
        // No content, so nothing below it either.
        ("_dnslink.docs.alice.ddn", TXT, NXDOMAIN, &[]),
        ("x._dnslink.alice.ddn", TXT, NXDOMAIN, &[]),
        ("_dnslink.ddn", TXT, NXDOMAIN, &[]),
        ("_dnslink.bare.ddn", TXT, NXDOMAIN, &[]),
        // What no label can be.
        ("a_b.ddn", A, NXDOMAIN, &[]),
        ("*.ddn", A, NXDOMAIN, &[]),
        ("*.alice.ddn", A, NXDOMAIN, &[]),
        ("-.ddn", A, NXDOMAIN, &[]),
        // They exist, without records of that type.
        ("alice.ddn", MX, NOERROR, &[]),
        ("bare.ddn", A, NOERROR, &[]),
        ("docs.alice.ddn", A, NOERROR, &[]),
        ("_dnslink.alice.ddn", A, NOERROR, &[]),
        // An empty non-terminal, because of deep.er (RFC 8020).
        ("er.alice.ddn", TXT, NOERROR, &[]),
        ("er.alice.ddn", ANY, NOERROR, &[]),
        ("ddn", A, NOERROR, &[]),
        ("ddn", TXT, NOERROR, &[]),
    ])
    .await;
}

#[tokio::test]
async fn aliases_are_followed_inside_our_zones() {
    let www = "www.alice.ddn. 20 CNAME alice.ddn.";
    check(&[
        ("www.alice.ddn", CNAME, NOERROR, &[www]),
        ("www.alice.ddn", A, NOERROR, &["alice.ddn. 20 A 192.0.2.1", www]),
        ("www.alice.ddn", ANY, NOERROR, &[www]),
        (
            "gone.alice.ddn",
            A,
            NXDOMAIN,
            &["gone.alice.ddn. 20 CNAME nobody.ddn."],
        ),
        (
            "out.alice.ddn",
            A,
            NOERROR,
            &["out.alice.ddn. 20 CNAME example.org."],
        ),
        (
            "ring.alice.ddn",
            A,
            NOERROR,
            &[
                "gnir.alice.ddn. 20 CNAME ring.alice.ddn.",
                "ring.alice.ddn. 20 CNAME gnir.alice.ddn.",
            ],
        ),
        // Who asks in the alias zone is kept in it.
        (
            "www.alice.ddn.example",
            A,
            NOERROR,
            &[
                "alice.ddn.example. 20 A 192.0.2.1",
                "www.alice.ddn.example. 20 CNAME alice.ddn.example.",
            ],
        ),
    ])
    .await;
}

/// NODATA behind an alias: the alias, and the SOA that denies the type at its target (RFC 2308, section 2.2).
#[tokio::test]
async fn an_alias_to_nothing_of_that_type_is_denied_at_its_target() {
    let server = serve(two_zones(), &held()).await;
    let reply = ask("www.alice.ddn", MX).udp(server.local_addr()).await;
    assert_eq!(reply.answers(), ["www.alice.ddn. 20 CNAME alice.ddn."]);
    assert_eq!((reply.code(), reply.counts()[2]), (NOERROR, 1));
}

#[tokio::test]
async fn the_apex_has_soa_and_ns_with_glue() {
    let soa = "ns1.ddn.example. hostmaster.ddn. serial 7 minimum 20";
    let server = serve(two_zones(), &held()).await;
    let ns = ask("ddn", NS).udp(server.local_addr()).await;
    assert_eq!(ns.answers(), ["ddn. 3600 NS ns1.ddn.example."]);
    assert_eq!(
        ns.additionals(),
        [
            "ns1.ddn.example. 3600 A 192.0.2.53",
            "ns1.ddn.example. 3600 AAAA 2001:db8::53"
        ]
    );
    assert_eq!(
        ask("ddn", SOA).udp(server.local_addr()).await.answers(),
        [format!("ddn. 20 SOA {soa}")]
    );
    let alias = ask("ddn.example", SOA).udp(server.local_addr()).await;
    assert!(
        alias.answers()[0].contains("hostmaster.ddn.example."),
        "{:?}",
        alias.answers()
    );
    for (name, kind, answer) in [
        ("ddn.example", A, "ddn.example. 20 A 192.0.2.1"),
        ("ns1.ddn.example", A, "ns1.ddn.example. 3600 A 192.0.2.53"),
        ("ddn.example", NS, "ddn.example. 3600 NS ns1.ddn.example."),
    ] {
        assert_eq!(ask(name, kind).udp(server.local_addr()).await.answers(), [answer]);
    }
}

/// A name server of an operator cannot be taken over by whoever registers its label.
#[tokio::test]
async fn a_name_server_wins_over_a_ledger_name() {
    let book = held();
    book.hold("ns1", [("", site())]);
    let server = serve(two_zones(), &book).await;
    let reply = ask("ns1.ddn.example", A).udp(server.local_addr()).await;
    assert_eq!(reply.answers(), ["ns1.ddn.example. 3600 A 192.0.2.53"]);
    assert_eq!(
        ask("ns1.ddn", A).udp(server.local_addr()).await.answers(),
        ["ns1.ddn. 20 A 192.0.2.1"]
    );
}

#[tokio::test]
async fn a_name_server_below_a_free_label_makes_it_exist() {
    let mut config = two_zones();
    config.name_servers[0].host = "ns.infra.ddn.example".into();
    let server = serve(config, &held()).await;
    assert_eq!(
        ask("infra.ddn.example", A).udp(server.local_addr()).await.code(),
        NOERROR
    );
    assert_eq!(
        ask("other.ddn.example", A).udp(server.local_addr()).await.code(),
        NXDOMAIN
    );
}

#[tokio::test]
async fn the_soa_of_a_denial_has_the_negative_ttl_and_the_height() {
    let book = held();
    let server = serve(
        Config {
            ttl: 33,
            ..two_zones()
        },
        &book,
    )
    .await;
    let denial = ask("nobody.ddn", A).udp(server.local_addr()).await;
    assert_eq!(
        denial.authorities(),
        ["ddn. 33 SOA ns1.ddn.example. hostmaster.ddn. serial 7 minimum 33"]
    );
    book.at((1 << 32) + 9);
    let denial = ask("bare.ddn", A).udp(server.local_addr()).await;
    assert_eq!(denial.code(), NXDOMAIN, "expired by now");
    assert!(
        denial.authorities()[0].contains("serial 9 "),
        "{:?}",
        denial.authorities()
    );
}

#[tokio::test]
async fn a_change_is_seen_by_the_next_question_and_expiry_too() {
    let book = Book::new();
    let server = serve(two_zones(), &book).await;
    let code = async |name: &str| ask(name, TXT).udp(server.local_addr()).await.code();
    assert_eq!(code("late.ddn").await, NXDOMAIN);
    book.hold("late", [("", site())]);
    assert_eq!(code("late.ddn").await, NOERROR);
    book.at(EXPIRES - 1);
    assert_eq!(code("late.ddn").await, NOERROR);
    book.at(EXPIRES);
    assert_eq!(code("late.ddn").await, NXDOMAIN);
}

#[tokio::test]
async fn any_gets_a_small_answer() {
    check(&[("alice.ddn", ANY, NOERROR, &["alice.ddn. 20 HINFO RFC8482 "])]).await;
}
