//! Names that are not ours: put to another server for those who may ask, and refused to all others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use ledger::Records;
use named::dns::{Config, DnsServer, Forward};
use tokio::net::UdpSocket;

use crate::book::{Book, config, serve, site};
use crate::wire::*;

/// One who knows `example.org`.
async fn other() -> DnsServer {
    let book = Book::new();
    let long = Records {
        txt: (b'a'..b'i')
            .map(|c| char::from(c).to_string().repeat(250))
            .collect(),
        ..Records::default()
    };
    book.hold("www", [("", site()), ("long", long)]);
    let knowing = Config {
        alias_zones: vec!["example.org".into()],
        edges: vec!["192.0.2.80".parse().expect("an address")],
        ..config()
    };
    serve(knowing, &book).await
}

fn forward(servers: &[SocketAddr]) -> Forward {
    Forward {
        servers: servers.to_vec(),
        patience: Duration::from_millis(500),
        ..Forward::default()
    }
}

async fn front(forward: Forward) -> DnsServer {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    serve(Config { forward, ..config() }, &book).await
}

#[tokio::test]
async fn who_may_ask_gets_answers_of_others() {
    let other = other().await;
    let server = front(forward(&[other.local_addr()])).await;
    let address = server.local_addr();
    for reply in [
        ask("wWw.Example.ORG", A).edns(0, 1232, 0).udp(address).await,
        ask("wWw.Example.ORG", A).tcp(address).await,
    ] {
        assert_eq!((reply.id(), reply.code(), reply.aa()), (0x1234, NOERROR, false));
        assert!(reply.message().metadata.recursion_available);
        assert_eq!(reply.answers(), ["wWw.Example.ORG. 20 A 192.0.2.80"]);
        assert_eq!(reply.0[12..][..17], labels("wWw.Example.ORG"));
    }
    assert_eq!(ask("no.example.org", A).udp(address).await.code(), NXDOMAIN);
    // Cut over UDP, so it was fetched over TCP; and here it is cut again for who cannot take it.
    assert_eq!(
        ask("long.www.example.org", TXT)
            .tcp(address)
            .await
            .answers()
            .len(),
        8
    );
    assert!(ask("long.www.example.org", TXT).udp(address).await.tc());
    // Ours are ours.
    let own = ask("alice.ddn", A).udp(address).await;
    assert!(own.aa() && !own.message().metadata.recursion_available);
    assert_eq!(ask("nobody.ddn", A).udp(address).await.code(), NXDOMAIN);
}

#[tokio::test]
async fn who_may_ask_gets_answers_of_others_over_https_too() {
    let other = other().await;
    let server = front(forward(&[other.local_addr()])).await;
    let question = ask("www.example.org", A).bytes();
    let responder = server.responder();
    let asked = responder.forward_https(&question, "127.0.0.1".parse().expect("an address"));
    let (reply, keep) = asked.expect("to be forwarded").await.expect("a reply");
    let reply = Answer(reply.bytes);
    assert_eq!((reply.code(), keep), (NOERROR, 20));
    assert_eq!(reply.answers(), ["www.example.org. 20 A 192.0.2.80"]);
    for (question, from) in [
        (question, "198.51.100.7"),
        (ask("alice.ddn", A).bytes(), "127.0.0.1"),
    ] {
        let asked = responder.forward_https(&question, from.parse().expect("an address"));
        assert!(asked.is_none(), "from {from}");
    }
}

#[tokio::test]
async fn everybody_else_is_refused() {
    let other = other().await;
    let strangers = Forward {
        clients: vec!["192.0.2.0/24".parse().expect("a network")],
        ..forward(&[other.local_addr()])
    };
    let to_others = front(strangers).await;
    let to_us = front(forward(&[other.local_addr()])).await;
    let mut iterative = ask("www.example.org", A);
    iterative.flags = 0;
    let mut chaos = ask("version.bind", TXT);
    chaos.class = 3;
    for (what, server, question, code) in [
        ("a stranger", &to_others, ask("www.example.org", A), REFUSED),
        ("no recursion desired", &to_us, iterative, REFUSED),
        ("a transfer", &to_us, ask("example.org", AXFR), REFUSED),
        ("another class", &to_us, chaos, REFUSED),
        ("what no name has", &to_us, ask("www.example.org", 128), FORMERR),
    ] {
        let reply = question.udp(server.local_addr()).await;
        assert_eq!(reply.code(), code, "{what}");
        assert_eq!(
            question.tcp(server.local_addr()).await.code(),
            code,
            "{what} over TCP"
        );
    }
}

/// The first server is gone and the second refuses: the third is asked. Without it nobody knows.
#[tokio::test]
async fn servers_that_fail_are_passed_over() {
    let gone = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let (refusing, other) = (front(Forward::default()).await, other().await);
    let failing = [gone.local_addr().expect("bound"), refusing.local_addr()];
    let server = front(forward(&[failing[0], failing[1], other.local_addr()])).await;
    let reply = ask("www.example.org", A).udp(server.local_addr()).await;
    assert_eq!((reply.code(), reply.counts()[1]), (NOERROR, 1));
    let server = front(forward(&failing)).await;
    let reply = ask("www.example.org", A).udp(server.local_addr()).await;
    assert_eq!((reply.code(), reply.counts()), (SERVFAIL, [1, 0, 0, 0]));
}

/// One that answers each question with forgeries first: `forgeries(right)` and then the right one.
async fn with_forgeries(forgeries: impl Fn(&Message) -> Vec<Message> + Send + 'static) -> SocketAddr {
    let behind = other().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = socket.recv_from(&mut buffer).await {
            let right = udp(behind.local_addr(), &buffer[..length]).await;
            for forged in forgeries(&Message::from_vec(&right).expect("a reply")) {
                let forged = forged.to_vec().expect("a message");
                socket.send_to(&forged, asker).await.expect("sent");
            }
            socket.send_to(&right, asker).await.expect("sent");
        }
    });
    address
}

fn forged(right: &Message, change: impl FnOnce(&mut Message)) -> Message {
    let mut message = right.clone();
    message.answers.truncate(0);
    change(&mut message);
    message
}

#[tokio::test]
async fn forged_answers_are_passed_over() {
    let few = with_forgeries(|right| {
        let lower = right.queries[0].name().to_lowercase();
        vec![
            forged(right, |message| message.metadata.id ^= 1),
            forged(right, |message| {
                message.queries[0].set_name(lower.to_string().to_uppercase().parse().expect("a name"));
            }),
            forged(right, |message| message.queries.clear()),
        ]
    });
    let server = front(forward(&[few.await])).await;
    let reply = ask("www.example.org", A).udp(server.local_addr()).await;
    assert_eq!(reply.answers(), ["www.example.org. 20 A 192.0.2.80"]);
    // Somebody guesses: the answer over UDP is not waited for, and there is none over TCP.
    let many = with_forgeries(|right| vec![forged(right, |message| message.metadata.id ^= 1); 20]);
    let server = front(forward(&[many.await])).await;
    let reply = ask("www.example.org", A).udp(server.local_addr()).await;
    assert_eq!(reply.code(), SERVFAIL);
}

/// Each question leaves with another id, from another port, in another case.
#[tokio::test]
async fn questions_leave_unpredictably() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let server = front(forward(&[silent.local_addr().expect("bound")])).await;
    let socket = client(server.local_addr()).await;
    let mut seen = std::collections::BTreeSet::new();
    let mut buffer = [0; 512];
    for id in 0..8 {
        let question = ask("a-rather-long-name-with-letters.example.org", A).id(id);
        socket.send(&question.bytes()).await.expect("sent");
        let (_, from) = silent.recv_from(&mut buffer).await.expect("forwarded");
        seen.insert(("port", from.port().to_string()));
        seen.insert(("id", u16::from_be_bytes([buffer[0], buffer[1]]).to_string()));
        seen.insert(("case", String::from_utf8_lossy(&buffer[13..44]).into_owned()));
    }
    for what in ["port", "id", "case"] {
        let count = seen.iter().filter(|(kind, _)| *kind == what).count();
        assert!(count >= 7, "{what}: {count} different of 8");
    }
}

#[tokio::test]
async fn questions_on_their_way_are_bounded() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let patient = Forward {
        in_flight: 1,
        patience: DEADLINE,
        ..forward(&[silent.local_addr().expect("bound")])
    };
    let server = Arc::new(front(patient).await);
    let first = client(server.local_addr()).await;
    first
        .send(&ask("one.example.org", A).bytes())
        .await
        .expect("sent");
    silent.recv(&mut [0; 512]).await.expect("forwarded");
    let started = Instant::now();
    let reply = ask("two.example.org", A).udp(server.local_addr()).await;
    assert_eq!(reply.code(), SERVFAIL);
    assert!(started.elapsed() < DEADLINE / 2, "it does not wait for the first");
    // Our own names never wait.
    assert_eq!(ask("alice.ddn", A).udp(server.local_addr()).await.code(), NOERROR);
}
