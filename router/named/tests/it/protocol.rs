//! The protocol around the answers: codes, EDNS, sizes, letter case, transports.

use ledger::Records;
use tokio::net::TcpStream;

use crate::book::{Book, config, serve, site};
use crate::wire::*;

#[tokio::test]
async fn foreign_questions_are_refused() {
    let server = serve(config(), &Book::new()).await;
    let mut chaos = ask("version.bind", TXT);
    chaos.class = 3;
    let mut any_class = ask("alice.ddn", A);
    any_class.class = 255;
    let mut incremental = ask("ddn", 251);
    incremental.counts[2] = 1;
    incremental.rest = [
        labels("ddn"),
        vec![0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0],
        vec![0; 20],
    ]
    .concat();
    for (what, question) in [
        ("foreign name", ask("example.org", A)),
        ("root", ask("", NS)),
        ("name that ends alike", ask("notddn", A)),
        ("reverse", ask("1.0.0.127.in-addr.arpa", 12)),
        ("chaos", chaos),
        ("any class", any_class),
        ("transfer", ask("ddn", AXFR)),
        ("incremental transfer", incremental),
    ] {
        for reply in [
            question.udp(server.local_addr()).await,
            question.tcp(server.local_addr()).await,
        ] {
            assert_eq!(reply.code(), REFUSED, "{what}");
            assert!(!reply.aa(), "{what}");
            assert_eq!(reply.counts(), [1, 0, 0, 0], "{what}");
        }
    }
}

#[tokio::test]
async fn other_opcodes_are_not_implemented() {
    let server = serve(config(), &Book::new()).await;
    for opcode in 1..16u16 {
        let mut question = ask("alice.ddn", SOA);
        question.flags = opcode << 11;
        let reply = question.udp(server.local_addr()).await;
        assert_eq!((reply.code(), reply.id()), (NOTIMP, 0x1234), "opcode {opcode}");
        assert_eq!(u16::from(reply.0[2] >> 3) & 0xf, opcode);
        assert!(reply.0[2] & 0x80 != 0, "a response");
    }
}

#[tokio::test]
async fn malformed_packets_get_formerr() {
    let server = serve(config(), &Book::new()).await;
    let whole = ask("alice.ddn", A);
    let with = |change: fn(&mut Ask)| {
        let mut question = whole.clone();
        change(&mut question);
        question.bytes()
    };
    let cut = |bytes: usize| whole.bytes()[..bytes].to_vec();
    for (what, packet) in [
        ("header only", cut(12)),
        ("half a name", cut(15)),
        ("half a type", cut(24)),
        ("no question", with(|q| q.counts[0] = 0)),
        ("two questions", with(|q| q.counts[0] = 2)),
        ("65,535 questions", with(|q| q.counts[0] = u16::MAX)),
        ("an answer", with(|q| q.counts[1] = 1)),
        ("missing additional", with(|q| q.counts[3] = 1)),
        ("too many additionals", with(|q| q.counts[3] = u16::MAX)),
        ("bytes behind the end", with(|q| q.rest = vec![0])),
        ("pointer to itself", with(|q| q.name = vec![0xc0, 12])),
        ("pointer forward", with(|q| q.name = vec![0xc0, 200])),
        ("reserved label type", with(|q| q.name = vec![0x80, 0])),
        ("label beyond the end", with(|q| q.name = vec![63, b'a'])),
        (
            "name of 300 bytes",
            with(|q| q.name = labels(&["a".repeat(63).as_str(); 5].join("."))),
        ),
        (
            "two OPT records",
            with(|q| {
                q.counts[3] = 2;
                q.rest = [opt(0, 512, 0), opt(0, 512, 0)].concat();
            }),
        ),
        (
            "OPT in the authority section",
            with(|q| {
                q.counts[2] = 1;
                q.rest = opt(0, 512, 0);
            }),
        ),
        ("OPT as a question", with(|q| q.kind = 41)),
        (
            "cut OPT",
            with(|q| {
                q.counts[3] = 1;
                q.rest = opt(0, 512, 0)[..7].to_vec();
            }),
        ),
    ] {
        let reply = Answer(udp(server.local_addr(), &packet).await);
        assert_eq!((reply.code(), reply.id()), (FORMERR, 0x1234), "{what}");
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("connected");
        let reply = Answer(exchange(&mut stream, &packet).await.expect("a reply over TCP"));
        assert_eq!(reply.code(), FORMERR, "{what} over TCP");
    }
}

/// What has no header or is a reply gets nothing: the next reply on the socket is that of the next question.
#[tokio::test]
async fn no_header_or_a_reply_gets_nothing() {
    let server = serve(config(), &Book::new()).await;
    let mut response = ask("alice.ddn", A).id(1);
    response.flags |= 0x8000;
    let mut broken_response = response.clone();
    broken_response.name = vec![0xc0, 12];
    for packet in [vec![], vec![0; 11], response.bytes(), broken_response.bytes()] {
        let socket = client(server.local_addr()).await;
        socket.send(&packet).await.expect("sent");
        socket
            .send(&ask("alice.ddn", A).id(2).bytes())
            .await
            .expect("sent");
        assert_eq!(Answer(receive(&socket).await).id(), 2);
        let mut stream = TcpStream::connect(server.local_addr()).await.expect("connected");
        assert_eq!(exchange(&mut stream, &packet).await, None, "closed over TCP");
    }
}

#[tokio::test]
async fn edns_is_answered_in_kind() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(config(), &book).await;
    let edns = async |question: Ask| {
        let reply = question.udp(server.local_addr()).await;
        (reply.message().metadata.response_code, reply.message().edns)
    };
    assert_eq!(edns(ask("alice.ddn", A)).await.1, None);
    let (_, Some(ours)) = edns(ask("alice.ddn", A).edns(0, 4096, 0x8000)).await else {
        panic!("no OPT")
    };
    assert_eq!(
        (ours.version(), ours.max_payload(), ours.flags().dnssec_ok),
        (0, 1232, true)
    );
    assert!(ours.options().as_ref().is_empty());
    let (code, Some(ours)) = edns(ask("alice.ddn", A).edns(1, 4096, 0)).await else {
        panic!("no OPT")
    };
    assert_eq!(
        (u16::from(code), ours.version()),
        (16, 0),
        "BADVERS, and the version that we speak"
    );
    let refused = edns(ask("example.org", A).edns(0, 4096, 0)).await;
    assert!(refused.1.is_some());
    // An option that we do not know (RFC 6891, section 6.1.2) and a client subnet.
    let mut question = ask("alice.ddn", A);
    question.counts[3] = 1;
    question.rest = opt(0, 1400, 0);
    question.rest.truncate(9);
    question
        .rest
        .extend([0, 15, 0xfd, 0xe9, 0, 0, 0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]);
    let (code, ours) = edns(question).await;
    assert_eq!((u16::from(code), ours.is_some()), (0, true));
}

fn long() -> Records {
    Records {
        txt: (b'a'..b'i')
            .map(|c| char::from(c).to_string().repeat(250))
            .collect(),
        ..Records::default()
    }
}

#[tokio::test]
async fn what_does_not_fit_udp_comes_over_tcp() {
    let book = Book::new();
    book.hold("long", [("", long())]);
    book.hold(
        "mid",
        [(
            "",
            Records {
                txt: long().txt[..4].to_vec(),
                ..Records::default()
            },
        )],
    );
    let server = serve(config(), &book).await;
    let cut = [
        ("long.ddn", ask("long.ddn", TXT)),
        ("long.ddn, small EDNS", ask("long.ddn", TXT).edns(0, 100, 0)),
        ("long.ddn, huge EDNS", ask("long.ddn", TXT).edns(0, 65_535, 0)),
        ("mid.ddn", ask("mid.ddn", TXT)),
    ];
    for (what, question) in cut {
        let reply = question.udp(server.local_addr()).await;
        assert!(reply.tc() && reply.aa() && reply.0.len() <= 512, "{what}");
        assert_eq!(reply.counts(), [1, 0, 0, question.counts[3]], "{what}");
        assert_eq!(reply.code(), NOERROR, "{what}");
    }
    let whole = ask("long.ddn", TXT).tcp(server.local_addr()).await;
    assert_eq!((whole.answers().len(), whole.tc()), (8, false));
    let fits = ask("mid.ddn", TXT)
        .edns(0, 65_535, 0)
        .udp(server.local_addr())
        .await;
    assert_eq!((fits.answers().len(), fits.tc()), (4, false));
}

#[tokio::test]
async fn letter_case_comes_back_as_it_went() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(config(), &book).await;
    let mixed = "aLiCe.DdN";
    let reply = ask(mixed, A).udp(server.local_addr()).await;
    assert_eq!(reply.0[12..][..11], labels(mixed));
    assert_eq!(reply.answers(), [format!("{mixed}. 20 A 127.0.0.1")]);
    let denial = ask("NoBody.DDn", A).udp(server.local_addr()).await;
    assert!(
        denial.authorities()[0].starts_with("DDn. "),
        "{:?}",
        denial.authorities()
    );
}

#[tokio::test]
async fn a_dot_inside_a_label_is_no_separator() {
    let book = Book::new();
    book.hold("alice", [("", site()), ("a.b", site())]);
    let server = serve(config(), &book).await;
    let mut question = ask("alice.ddn", A);
    question.name = [&[3][..], b"a.b", &labels("alice.ddn")].concat();
    assert_eq!(question.udp(server.local_addr()).await.code(), NXDOMAIN);
    assert_eq!(
        ask("a.b.alice.ddn", A).udp(server.local_addr()).await.code(),
        NOERROR
    );
}

#[tokio::test]
async fn unreadable_state_is_servfail() {
    let book = Book::new();
    let server = serve(config(), &book).await;
    book.break_disk();
    let reply = ask("alice.ddn", A)
        .edns(0, 1232, 0)
        .udp(server.local_addr())
        .await;
    assert_eq!(
        (reply.code(), reply.aa(), reply.counts()),
        (SERVFAIL, false, [1, 0, 0, 1])
    );
}

#[tokio::test]
async fn one_connection_carries_many_questions() {
    let book = Book::new();
    book.hold("alice", [("", site())]);
    let server = serve(config(), &book).await;
    let mut stream = TcpStream::connect(server.local_addr()).await.expect("connected");
    for id in 0..50 {
        let packet = ask("alice.ddn", A).id(id).bytes();
        let reply = Answer(exchange(&mut stream, &packet).await.expect("a reply"));
        assert_eq!((reply.id(), reply.counts()[1]), (id, 1));
    }
}
