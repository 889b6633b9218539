//! The zone of another chain: what its nodes prove is answered as what the own ledger says, and kept for a moment.

use std::time::{Duration, Instant};

use ledger::Records;

use crate::book::{Book, config, serve};
use crate::dnssec::signed;
use crate::wire::*;

/// How long an answer of another chain is kept.
const KEPT_FOR: Duration = Duration::from_secs(1);

fn at(address: &str) -> Records {
    Records {
        a: vec![address.parse().expect("an address")],
        ..Records::default()
    }
}

#[tokio::test]
async fn names_of_another_chain_are_answered() {
    let book = Book::new();
    book.hold("alice", [("", at("192.0.2.1"))]);
    let server = serve(config(), &book).await;
    let address = server.local_addr();
    for (name, kind, code) in [
        ("alice.mmt", A, SERVFAIL),
        ("mmt", SOA, NOERROR),
        ("alice.ddn", A, NOERROR),
        ("alice.odd", A, REFUSED),
    ] {
        assert_eq!(ask(name, kind).udp(address).await.code(), code, "{name}");
    }
    book.follow_elsewhere(7);
    for (name, kind, code) in [
        ("alice.mmt", A, NOERROR),
        ("ALICE.mmt", A, NOERROR),
        ("alice.mmt", MX, NOERROR),
        ("nobody.mmt", A, NXDOMAIN),
        ("x.alice.mmt", A, NXDOMAIN),
    ] {
        for answer in [
            ask(name, kind).udp(address).await,
            ask(name, kind).tcp(address).await,
        ] {
            assert!(answer.code() == code && answer.aa(), "{name}");
            assert_eq!(answer.counts()[1] == 1, code == NOERROR && kind == A, "{name}");
        }
    }
}

#[tokio::test]
async fn an_answer_of_another_chain_is_kept_for_a_moment() {
    let book = Book::new();
    book.hold("alice", [("", at("192.0.2.1"))]);
    book.follow_elsewhere(7);
    let server = serve(config(), &book).await;
    let question = ask("alice.mmt", A);
    let since = Instant::now();
    for _ in 0..100 {
        assert_eq!(question.udp(server.local_addr()).await.code(), NOERROR);
    }
    // On a machine that stood still it may be more.
    let moments = since.elapsed().as_millis() / KEPT_FOR.as_millis() + 1;
    assert!(u128::from(book.elsewhere_asked()) <= moments);
    book.hold("alice", [("", at("192.0.2.2"))]);
    book.follow_elsewhere(8);
    let seen = async {
        while !question.udp(server.local_addr()).await.answers()[0].ends_with("192.0.2.2") {
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(10 * KEPT_FOR, seen).await;
    seen.expect("a change is seen");
}

#[tokio::test]
async fn the_zone_of_another_chain_is_signed_as_the_own() {
    let book = Book::new();
    book.hold("alice", [("", at("192.0.2.1"))]);
    book.follow_elsewhere(7);
    let server = serve(signed(), &book).await;
    let anchors = server.anchors();
    assert!(anchors.iter().any(|anchor| anchor.zone == "mmt."), "{anchors:?}");
    let answer = ask("alice.mmt", A)
        .edns(0, 1232, 0x8000)
        .udp(server.local_addr())
        .await;
    let lines = answer.answers();
    assert!(
        lines.len() == 2 && lines.iter().any(|line| line.contains("RRSIG")),
        "{lines:?}"
    );
}
