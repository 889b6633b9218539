//! Answers from memory: the same as composed ones, and never old.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ledger::Records;
use named::dns::{Client, Config, DnsServer, Responder, Transport};
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::book::{Book, EXPIRES, config, serve, site};
use crate::dnssec::{self, signed};
use crate::wire::*;

fn at(address: &str) -> Records {
    Records {
        a: vec![address.parse().expect("an address")],
        ..Records::default()
    }
}

fn alias(target: &str) -> Records {
    Records {
        cname: Some(target.into()),
        ..Records::default()
    }
}

/// The counter's value.
fn counted(registry: &Registry, counter: &str) -> u64 {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(counter));
    line.expect("the counter").trim().parse().expect("a number")
}

async fn addresses(server: SocketAddr, name: &str) -> (u8, Vec<String>) {
    let reply = ask(name, A).udp(server).await;
    let data = |line: String| line.rsplit(' ').next().unwrap_or_default().to_owned();
    (reply.code(), reply.answers().into_iter().map(data).collect())
}

/// A server, the names behind it, and its counters, which are up to date once it was shut down.
async fn counting(book: &Arc<Book>) -> (DnsServer, Registry) {
    let mut registry = Registry::default();
    let server = DnsServer::bind(config(), book.clone(), &mut registry).await;
    (server.expect("a free port"), registry)
}

#[tokio::test]
async fn a_change_is_seen_with_the_next_question() {
    for told in [true, false] {
        let book = Book::new();
        if told {
            book.tell_changes();
        }
        book.hold("alice", [("", at("192.0.2.1")), ("www", alias("bob.ddn"))]);
        book.hold("bob", [("", at("192.0.2.2"))]);
        let server = serve(config(), &book).await;
        let ask = async |name: &str| addresses(server.local_addr(), name).await;
        let found = |address: &str| (NOERROR, vec![address.to_owned()]);
        for _ in 0..3 {
            assert_eq!(ask("alice.ddn").await, found("192.0.2.1"));
            assert_eq!(ask("carol.ddn").await, (NXDOMAIN, Vec::new()));
            assert_eq!(
                ask("www.alice.ddn").await.1.first().map(String::as_str),
                Some("192.0.2.2")
            );
        }
        for last in 10..60 {
            let address = format!("192.0.2.{last}");
            book.hold("alice", [("", at(&address)), ("www", alias("bob.ddn"))]);
            assert_eq!(ask("alice.ddn").await, found(&address), "told: {told}");
        }
        book.hold("carol", [("", at("192.0.2.3"))]);
        assert_eq!(ask("carol.ddn").await, found("192.0.2.3"));
        // The end of a chain of names counts as much as its beginning.
        book.hold("bob", [("", at("192.0.2.9"))]);
        assert_eq!(
            ask("www.alice.ddn").await.1.first().map(String::as_str),
            Some("192.0.2.9")
        );
        book.at(EXPIRES);
        assert_eq!(ask("alice.ddn").await, (NXDOMAIN, Vec::new()), "it has expired");
    }
}

#[tokio::test]
async fn blocks_that_change_other_names_leave_answers_in_memory() {
    let book = Book::new();
    book.tell_changes();
    book.hold("alice", [("", at("192.0.2.1"))]);
    let (server, registry) = counting(&book).await;
    addresses(server.local_addr(), "alice.ddn").await;
    addresses(server.local_addr(), "nobody.ddn").await;
    for height in 0..20 {
        book.hold(&format!("other{height}"), [("", site())]);
        assert_eq!(addresses(server.local_addr(), "alice.ddn").await.0, NOERROR);
        // What says that it is from the newest block is from the newest block.
        let denial = ask("nobody.ddn", A).udp(server.local_addr()).await;
        let serial = format!("serial {} ", 8 + height);
        assert!(
            denial.authorities()[0].contains(&serial),
            "{:?}",
            denial.authorities()
        );
    }
    server.shutdown().await;
    let kept = counted(&registry, "dns_kept_total");
    assert!(kept >= 36, "all but a few that share a cell: {kept}");
}

/// After a block the signed serial is new in every denial, and only the first of them is composed for it.
#[tokio::test]
async fn blocks_leave_signed_denials_in_memory() {
    let book = dnssec::held();
    book.tell_changes();
    let mut registry = Registry::default();
    let server = DnsServer::bind(signed(), book.clone(), &mut registry).await;
    let server = server.expect("a free port");
    let soa = async |name: &str| {
        let question = ask(name, A).edns(0, 1232, 0x8000);
        let reply = question.udp(server.local_addr()).await;
        let of_zone = |line: &String| line.starts_with("ddn. ");
        reply
            .authorities()
            .into_iter()
            .filter(of_zone)
            .collect::<Vec<_>>()
    };
    let mut before = soa("nobody.ddn").await;
    assert_eq!(before.len(), 2, "the SOA and its signature: {before:?}");
    soa("nobody-else.ddn").await;
    for height in 0..20 {
        book.hold(&format!("other{height}"), [("", site())]);
        let now = soa("nobody.ddn").await;
        assert!(
            now.iter().zip(&before).all(|(now, before)| now != before),
            "{now:?}"
        );
        assert_eq!(soa("nobody-else.ddn").await, now);
        before = now;
    }
    server.shutdown().await;
    let kept = counted(&registry, "dns_kept_total");
    assert!(
        kept >= 18,
        "every other one, but for a few that share a cell: {kept}"
    );
}

#[tokio::test]
async fn a_flood_of_names_that_do_not_exist_pushes_nothing_out() {
    let book = Book::new();
    book.hold("alice", [("", at("192.0.2.1"))]);
    let mut registry = Registry::default();
    let small = Config {
        memory_bytes: 256 << 10,
        ..config()
    };
    let server = DnsServer::bind(small, book, &mut registry)
        .await
        .expect("a free port");
    let socket = client(server.local_addr()).await;
    let alice = ask("alice.ddn", A).bytes();
    socket.send(&alice).await.expect("sent");
    receive(&socket).await;
    for n in 0..5_000 {
        let name = format!("made-up-{n}.ddn");
        socket.send(&ask(&name, A).bytes()).await.expect("sent");
        assert_eq!(Answer(receive(&socket).await).code(), NXDOMAIN);
    }
    socket.send(&alice).await.expect("sent");
    assert_eq!(Answer(receive(&socket).await).counts()[1], 1);
    server.shutdown().await;
    assert_eq!(counted(&registry, "dns_kept_total"), 1, "alice is still there");
}

#[tokio::test]
async fn questions_sent_ahead_are_answered_whatever_their_order() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(config(), &book).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.expect("connected");
    // Twice as many as may be composed at once, and all in one piece.
    let mut sent = Vec::new();
    for id in 0..64u16 {
        let name = if id % 2 == 0 {
            "alice.ddn".to_owned()
        } else {
            format!("x{id}.ddn")
        };
        let question = ask(&name, A).id(id).bytes();
        sent.extend((question.len() as u16).to_be_bytes());
        sent.extend(question);
    }
    for _ in 0..3 {
        stream.write_all(&sent).await.expect("written");
        let mut ids = Vec::new();
        for _ in 0..64 {
            let reply = Answer(read(&mut stream).await.expect("a reply"));
            assert_eq!(
                reply.code(),
                if reply.id().is_multiple_of(2) {
                    NOERROR
                } else {
                    NXDOMAIN
                }
            );
            ids.push(reply.id());
        }
        ids.sort_unstable();
        assert_eq!(ids, (0..64).collect::<Vec<_>>());
    }
    // Who has said all may wait for the rest.
    stream.write_all(&sent).await.expect("written");
    stream.shutdown().await.expect("no more is sent");
    let mut come = 0;
    while read(&mut stream).await.is_some() {
        come += 1;
    }
    assert_eq!(come, 64);
}

fn held() -> Arc<Book> {
    let book = Book::new();
    let long = Records {
        txt: (0..8u8)
            .map(|n| char::from(b'a' + n).to_string().repeat(200))
            .collect(),
        ..at("192.0.2.7")
    };
    book.hold("alice", [("", site()), ("x.y", at("192.0.2.1"))]);
    book.hold("long", [("", long)]);
    book
}

/// A usual question: name in any case, type, flags, EDNS.
fn usual() -> impl Strategy<Value = Ask> {
    let names = [
        "alice.ddn",
        "_dnslink.alice.ddn",
        "y.alice.ddn",
        "x.y.alice.ddn",
        "long.ddn",
        "nobody.ddn",
        "ddn",
        "example.org",
        "",
    ];
    let kinds = [A, NS, SOA, MX, TXT, AAAA, ANY, 65, 99];
    let edns = proptest::option::of((any::<u16>(), prop_oneof![Just(0u16), Just(0x8000), Just(0x4000)]));
    let parts = (
        proptest::sample::select(names.to_vec()),
        proptest::sample::select(kinds.to_vec()),
        any::<u32>(),
        any::<u16>(),
        proptest::sample::select(vec![0u16, 0x0100, 0x0110, 0x0020, 0x0130]),
        edns,
    );
    parts.prop_map(|(name, kind, upper, id, flags, edns)| {
        let cased = name.char_indices().map(|(at, c)| match upper >> (at % 32) & 1 {
            0 => c,
            _ => c.to_ascii_uppercase(),
        });
        let mut question = ask(&cased.collect::<String>(), kind).id(id);
        question.flags = flags;
        match edns {
            Some((payload, flags)) => question.edns(0, payload, flags),
            None => question,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over each transport the composed reply, the reply from memory and that of the responder are the same bytes.
    #[test]
    fn memory_says_what_the_responder_says(questions in proptest::collection::vec(usual(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let book = held();
            let responder = Responder::new(&config(), book.clone(), &mut Registry::default()).expect("the zones");
            let server = serve(config(), &book).await;
            for question in questions {
                for (transport, ways) in [(Transport::Udp, 2), (Transport::Tcp, 2)] {
                    let client = Client { address: IpAddr::from([127, 0, 0, 1]), transport };
                    // Names inside of records point to the question where they can: so it is asked in lower case, and put back.
                    let mut lower = question.clone();
                    lower.name.make_ascii_lowercase();
                    let mut expected = responder.respond(&lower.bytes(), client).expect("a reply").bytes;
                    expected[12..12 + question.name.len()].copy_from_slice(&question.name);
                    for _ in 0..ways {
                        let reply = match transport {
                            Transport::Udp => question.udp(server.local_addr()).await,
                            _ => question.tcp(server.local_addr()).await,
                        };
                        assert_eq!(reply.0, expected, "{:02x?}", question.bytes());
                    }
                }
            }
            server.shutdown().await;
        });
    }
}
