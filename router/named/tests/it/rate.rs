//! Response-rate limiting and cookies.

use std::net::SocketAddr;
use std::time::Duration;

use named::dns::{Config, RateLimit};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::book::{Book, config, serve, site};
use crate::wire::*;

pub const COOKIE: u16 = 10;

fn limited(per_second: u64, slip: u32) -> Config {
    Config {
        rate: RateLimit {
            per_second,
            slip,
            uncounted: Vec::new(),
        },
        ..config()
    }
}

/// With an OPT record of one option.
pub fn with_option(mut question: Ask, code: u16, data: &[u8]) -> Ask {
    let mut record = opt(0, 1232, 0);
    record.truncate(9);
    record.extend((data.len() as u16 + 4).to_be_bytes());
    record.extend(code.to_be_bytes());
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    question.rest = record;
    question.counts[3] = 1;
    question
}

/// The cookie of a reply.
fn cookie(reply: &Answer) -> Option<Vec<u8>> {
    let edns = reply.message().edns?;
    let option = edns.option(hickory_proto::rr::rdata::opt::EdnsCode::Cookie)?;
    Some(Vec::<u8>::try_from(option).expect("bytes"))
}

/// Sends a question so often at once, and then one that is always answered; returns replies with records, and empty ones.
async fn flood(server: SocketAddr, question: &Ask, times: u16) -> (usize, usize) {
    let socket = client(server).await;
    let (mut whole, mut empty) = (0, 0);
    for id in 0..times {
        socket.send(&question.clone().id(id).bytes()).await.expect("sent");
        // Nothing is lost in between: what is not counted comes in order.
        if id % 32 == 31 || id + 1 == times {
            while let Some(reply) = next(&socket).await {
                match reply.tc() {
                    true => empty += 1,
                    false => whole += 1,
                }
            }
        }
    }
    (whole, empty)
}

/// A reply that is there or comes soon.
async fn next(socket: &UdpSocket) -> Option<Answer> {
    let mut buffer = vec![0; 4096];
    let read = timeout(SOON, socket.recv(&mut buffer))
        .await
        .ok()?
        .expect("received");
    buffer.truncate(read);
    Some(Answer(buffer))
}

/// On one machine a reply takes some ten microseconds.
const SOON: Duration = Duration::from_millis(20);

#[tokio::test]
async fn above_the_rate_every_second_reply_is_empty() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(limited(1, 2), &book).await;
    let (whole, empty) = flood(server.local_addr(), &ask("alice.ddn", TXT), 200).await;
    assert!(
        (1..=3).contains(&whole),
        "one, and one for each second of the test: {whole}"
    );
    assert!((90..=100).contains(&empty), "every second of the others: {empty}");
    // Another sort has not been counted yet.
    assert_eq!(flood(server.local_addr(), &ask("nobody.ddn", A), 1).await, (1, 0));
    // Over TCP nothing is.
    for _ in 0..20 {
        assert_eq!(
            ask("alice.ddn", TXT).tcp(server.local_addr()).await.counts()[1],
            1
        );
    }
}

/// What a burst from one network brings upon it: bytes out for each byte in, without the limit and with that of the
/// settings. Forged questions come without a good cookie; those with one only tell when the others have been answered.
async fn amplification(per_second: u64, question: &Ask, burst: u16) -> f64 {
    let book = Book::new();
    let long = ledger::Records {
        txt: vec!["x".repeat(150); 7],
        ..ledger::Records::default()
    };
    book.hold("alice", [("", long)]);
    let one = Config {
        threads: 1,
        ..limited(per_second, 2)
    };
    let server = serve(one, &book).await;
    let first = with_option(ask("alice.ddn", A), COOKIE, &[7; 8])
        .udp(server.local_addr())
        .await;
    let last = with_option(ask("alice.ddn", A), COOKIE, &cookie(&first).expect("a cookie")).id(0xffff);
    let forger = client(server.local_addr()).await;
    let (mut sent, mut come) = (0, 0);
    for id in 0..burst {
        let packet = question.clone().id(id).bytes();
        sent += packet.len();
        forger.send(&packet).await.expect("sent");
        // The first is composed by another thread, which takes its time.
        if id == 0 {
            come += receive(&forger).await.len();
        }
        if id % 64 == 63 || id + 1 == burst {
            forger.send(&last.bytes()).await.expect("sent");
            loop {
                let reply = receive(&forger).await;
                if reply[..2] == [0xff; 2] {
                    break;
                }
                come += reply.len();
            }
        }
    }
    come as f64 / sent as f64
}

/// The factor that the documentation states (`front::limit`).
#[tokio::test]
async fn a_forged_burst_brings_its_victim_little_more_than_it_costs() {
    let question = ask("alice.ddn", TXT).edns(0, 1232, 0);
    let question_bytes = question.bytes().len() as f64;
    let without = amplification(0, &question, 20_000).await;
    let with = amplification(200, &question, 20_000).await;
    println!("bytes out for a byte in: {without:.1} without the limit, {with:.2} with it");
    assert!(without > 25.0 && without < 1232.0 / question_bytes, "{without}");
    // 200 whole replies at once and 200 in each second of the burst, and then half a question for each.
    assert!(with < without / 10.0, "{with}");
}

#[tokio::test]
async fn an_empty_reply_is_no_longer_than_its_question() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(limited(1, 1), &book).await;
    for question in [ask("alice.ddn", TXT), ask("alice.ddn", TXT).edns(0, 1232, 0)] {
        let socket = client(server.local_addr()).await;
        let mut slipped = None;
        for _ in 0..4 {
            socket.send(&question.bytes()).await.expect("sent");
            slipped = Some(Answer(receive(&socket).await))
                .filter(Answer::tc)
                .or(slipped);
        }
        let slipped = slipped.expect("one above the rate");
        assert_eq!(slipped.0.len(), question.bytes().len());
        assert_eq!((slipped.code(), slipped.counts()[1]), (NOERROR, 0));
        slipped.message();
    }
}

#[tokio::test]
async fn who_shows_our_cookie_is_not_counted() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(limited(1, 0), &book).await;
    let first = with_option(ask("alice.ddn", A), COOKIE, &[7; 8])
        .udp(server.local_addr())
        .await;
    let shown = cookie(&first).expect("a cookie");
    assert_eq!((shown.len(), &shown[..8], shown[8]), (24, &[7; 8][..], 1));
    let good = with_option(ask("alice.ddn", A), COOKIE, &shown);
    assert_eq!(flood(server.local_addr(), &good, 64).await, (64, 0));
    let mut forged = shown.clone();
    forged[23] ^= 1;
    let forged = with_option(ask("alice.ddn", A), COOKIE, &forged);
    let (whole, _) = flood(server.local_addr(), &forged, 64).await;
    assert!(whole <= 2, "{whole}");
    let reply = good.udp(server.local_addr()).await;
    assert_eq!(cookie(&reply), Some(shown), "a young cookie is given back");
}

#[tokio::test]
async fn cookies_of_a_wrong_length_are_malformed() {
    let server = serve(config(), &Book::new()).await;
    for length in [0, 1, 7, 9, 15, 41] {
        let question = with_option(ask("alice.ddn", A), COOKIE, &vec![7; length]);
        for reply in [
            question.udp(server.local_addr()).await,
            question.tcp(server.local_addr()).await,
        ] {
            assert_eq!(reply.code(), FORMERR, "{length}");
        }
    }
}

#[tokio::test]
async fn unusual_questions_get_cookies_too() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(config(), &book).await;
    // A subnet and an option that nobody knows, before the cookie and behind it.
    let mut question = with_option(ask("alice.ddn", A), 8, &[0, 1, 24, 0, 203, 0, 113]);
    question
        .rest
        .extend([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0xfd, 0xe9, 0, 0]);
    question.rest[10] += 16;
    let reply = question.udp(server.local_addr()).await;
    assert_eq!((reply.code(), reply.counts()[1]), (NOERROR, 1));
    assert_eq!(cookie(&reply).expect("a cookie")[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
}
