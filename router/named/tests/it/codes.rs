//! Which code a question gets, over each way that it can come, with and without DNSSEC.

use hickory_proto::rr::rdata::opt::EdnsOption;

use crate::book::{Book, serve};
use crate::dnssec::{held, signed};
use crate::rate::{COOKIE, with_option};
use crate::wire::*;

const DO: u16 = 0x8000;
const BADVERS: u16 = 16;

fn class(mut question: Ask, class: u16) -> Ask {
    question.class = class;
    question
}

fn flags(mut question: Ask, flags: u16) -> Ask {
    question.flags = flags;
    question
}

/// Name, question, and the whole code: RFC 1035 (4.1.1), RFC 2308, RFC 6891 (6.1.3), RFC 8020, RFC 9619, RFC 9824 (3.5).
fn table() -> Vec<(&'static str, Ask, u16)> {
    let at = |name, kind| ask(name, kind);
    vec![
        ("there", at("alice.ddn", A), NOERROR.into()),
        ("no such type", at("alice.ddn", MX), NOERROR.into()),
        (
            "a type that nobody knows",
            at("alice.ddn", 65_280),
            NOERROR.into(),
        ),
        ("only names below", at("er.alice.ddn", A), NOERROR.into()),
        ("not there", at("nobody.ddn", A), NXDOMAIN.into()),
        ("below what is not there", at("x.nobody.ddn", A), NXDOMAIN.into()),
        ("below what is there", at("x.alice.ddn", A), NXDOMAIN.into()),
        ("no label of the ledger", at("a$b.ddn", A), NXDOMAIN.into()),
        ("a star is a label", at("*.alice.ddn", A), NXDOMAIN.into()),
        ("an alias to nothing", at("gone.alice.ddn", A), NXDOMAIN.into()),
        ("any", at("alice.ddn", ANY), NOERROR.into()),
        ("somebody else's", at("example.org", A), REFUSED.into()),
        ("above us", at("example", SOA), REFUSED.into()),
        ("the root", at("", NS), REFUSED.into()),
        ("a transfer", at("ddn", AXFR), REFUSED.into()),
        ("a part of a transfer", at("ddn", 251), REFUSED.into()),
        ("chaos", class(at("version.bind", TXT), 3), REFUSED.into()),
        ("hesiod", class(at("alice.ddn", A), 4), REFUSED.into()),
        ("no class", class(at("alice.ddn", A), 254), REFUSED.into()),
        ("type 0", at("alice.ddn", 0), FORMERR.into()),
        ("type OPT", at("alice.ddn", 41), FORMERR.into()),
        ("type TSIG", at("alice.ddn", 250), FORMERR.into()),
        ("type NXNAME", at("alice.ddn", 128), FORMERR.into()),
        ("a status", flags(at("alice.ddn", A), 2 << 11), NOTIMP.into()),
        ("a notification", flags(at("ddn", SOA), 4 << 11), NOTIMP.into()),
        ("an update", flags(at("ddn", SOA), 5 << 11), NOTIMP.into()),
        ("EDNS 1", at("alice.ddn", A).edns(1, 1232, 0), BADVERS),
        (
            "EDNS 255 with DO",
            at("nobody.ddn", A).edns(255, 1232, DO),
            BADVERS,
        ),
        (
            "EDNS 1 about others",
            at("example.org", A).edns(1, 1232, 0),
            BADVERS,
        ),
        // Who wants proofs is told by them (RFC 9824, section 3.3).
        (
            "not there, with DO",
            at("nobody.ddn", A).edns(0, 1232, DO),
            NOERROR.into(),
        ),
        (
            "somebody else's, with DO",
            at("example.org", A).edns(0, 1232, DO),
            REFUSED.into(),
        ),
        // CD and AD of a question change nothing.
        ("CD", flags(at("nobody.ddn", A), 0x0110), NXDOMAIN.into()),
        ("AD", flags(at("alice.ddn", A), 0x0120), NOERROR.into()),
    ]
}

#[tokio::test]
async fn each_question_has_its_code() {
    let server = serve(signed(), &held()).await;
    for (what, question, code) in table() {
        for reply in [
            question.udp(server.local_addr()).await,
            question.tcp(server.local_addr()).await,
        ] {
            let message = reply.message();
            assert_eq!(u16::from(message.metadata.response_code), code, "{what}");
            assert_eq!(reply.id(), question.id, "{what}");
            let (asked, answered) = (question.flags, u16::from_be_bytes([reply.0[2], reply.0[3]]));
            // RD and CD come back, AD and RA are not set, and the bit between them is zero.
            assert_eq!(answered & 0x7910, asked & 0x7910, "{what}: {answered:04x}");
            assert_eq!(answered & 0x00e0, 0, "{what}: {answered:04x}");
            let is_ours = matches!(code, 0 | 3);
            assert_eq!(reply.aa(), is_ours, "{what}");
        }
    }
}

/// The options of a reply, as code and data; nothing if it has no OPT record.
fn options(reply: &Answer) -> Option<Vec<(u16, Vec<u8>)>> {
    let edns = reply.message().edns?;
    let options = edns.options().options.iter();
    let bytes = |option: &EdnsOption| Vec::<u8>::try_from(option).expect("bytes");
    Some(
        options
            .map(|(code, option)| (u16::from(*code), bytes(option)))
            .collect(),
    )
}

/// Types of which there are no records get FORMERR, and who speaks EDNS is told why: 30, Invalid Query Type (RFC 9824,
/// section 3.5; RFC 8914). Nobody else is.
#[tokio::test]
async fn who_asks_for_a_type_of_the_protocol_is_told() {
    const EXTENDED_ERROR: u16 = 15;
    let server = serve(signed(), &held()).await;
    let invalid = || vec![(EXTENDED_ERROR, vec![0, 30])];
    for (name, kind, code, told) in [
        ("alice.ddn", 128, FORMERR, invalid()),
        ("nobody.ddn", 128, FORMERR, invalid()),
        ("example.org", 128, FORMERR, invalid()),
        ("alice.ddn", 0, FORMERR, invalid()),
        ("alice.ddn", 41, FORMERR, invalid()),
        ("alice.ddn", 250, FORMERR, invalid()),
        ("alice.ddn", MX, NOERROR, vec![]),
        ("nobody.ddn", A, NXDOMAIN, vec![]),
        ("alice.ddn", AXFR, REFUSED, vec![]),
        ("example.org", A, REFUSED, vec![]),
    ] {
        let (plain, edns) = (ask(name, kind), ask(name, kind).edns(0, 1232, 0));
        // The second time it may come from memory.
        for _ in 0..2 {
            for reply in [
                edns.udp(server.local_addr()).await,
                edns.tcp(server.local_addr()).await,
            ] {
                assert_eq!(
                    (reply.code(), options(&reply)),
                    (code, Some(told.clone())),
                    "{name} {kind}"
                );
            }
        }
        let reply = plain.udp(server.local_addr()).await;
        assert_eq!((reply.code(), options(&reply)), (code, None), "{name} {kind}");
        let cookie = with_option(plain, COOKIE, &[7; 8]);
        let mut codes: Vec<u16> = options(&cookie.udp(server.local_addr()).await)
            .into_iter()
            .flatten()
            .map(|(code, _)| code)
            .collect();
        codes.sort_unstable();
        let told = told.iter().map(|(code, _)| *code);
        assert_eq!(
            codes,
            [COOKIE].into_iter().chain(told).collect::<Vec<_>>(),
            "{name} {kind}"
        );
    }
}

/// The state cannot be read: SERVFAIL, and nobody takes it for an absence.
#[tokio::test]
async fn what_cannot_be_known_is_servfail() {
    let book = Book::new();
    let server = serve(signed(), &book).await;
    book.break_disk();
    for (name, kind, code) in [
        ("alice.ddn", A, SERVFAIL),
        ("nobody.ddn", A, SERVFAIL),
        ("x.y.ddn.example", TXT, SERVFAIL),
        // These need no state of names.
        ("ddn", SOA, NOERROR),
        ("gw.ddn.example", A, NOERROR),
        ("example.org", A, REFUSED),
    ] {
        for flags in [0, DO] {
            let reply = ask(name, kind)
                .edns(0, 1232, flags)
                .udp(server.local_addr())
                .await;
            assert_eq!(reply.code(), code, "{name}");
            assert!(code != SERVFAIL || reply.counts() == [1, 0, 0, 1], "{name}");
        }
    }
}
