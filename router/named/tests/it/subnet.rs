//! Client subnets (RFC 7871): who asks decides which edges are named, and the reply says how much of that counted.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use named::dns::{Client, Near, Nearest, Network, Responder, Reuse, Transport};
use prometheus_client::registry::Registry;

use crate::book::serve;
use crate::dnssec::{held, signed};
use crate::tools::{output, tool};
use crate::wire::*;

/// 203.0.113.0/24 and 2001:db8::/56 have an edge of their own, and everybody else has another.
struct Regions;

impl Nearest for Regions {
    fn edges_for(&self, host: &str, client: Network) -> Near {
        assert!(!host.ends_with('.') && host == host.to_lowercase(), "{host}");
        let address = client.address().to_string();
        let edge: &[u8] = match (&*address, host) {
            (_, "bafy.ipfs.gw.ddn.example") => &[],
            ("203.0.113.0", _) => &[7],
            ("2001:db8::", _) => &[8],
            ("127.0.0.0", _) => &[9],
            _ => &[1, 2],
        };
        Near {
            addresses: edge
                .iter()
                .map(|last| IpAddr::from([198, 51, 100, *last]))
                .collect(),
            scope: if address.starts_with("10.") { 0 } else { 64 },
        }
    }
}

/// The option of a client subnet, as it is on the wire.
fn subnet(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    [&[0, 8][..], &length.to_be_bytes(), data].concat()
}

/// A question with these EDNS options.
fn with_options(name: &str, kind: u16, options: &[u8]) -> Ask {
    let mut question = ask(name, kind).edns(0, 1232, 0);
    let length = question.rest.len();
    question.rest[length - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
    question.rest.extend_from_slice(options);
    question
}

/// The subnet in a reply: address, source and scope.
fn echoed(reply: &Answer) -> Option<(String, u8, u8)> {
    let edns = reply.message().edns?;
    let EdnsOption::Subnet(subnet) = edns.option(EdnsCode::Subnet)? else {
        return None;
    };
    Some((
        subnet.addr().to_string(),
        subnet.source_prefix(),
        subnet.scope_prefix(),
    ))
}

const NEAR: [u8; 7] = [0, 1, 24, 0, 203, 0, 113];

#[tokio::test]
async fn the_scope_is_what_counted() {
    let server = serve(signed(), &held()).await;
    let asked = async |name: &str, kind, data: &[u8]| {
        let reply = with_options(name, kind, &subnet(data))
            .udp(server.local_addr())
            .await;
        let last = |line: &String| line.rsplit('.').next().unwrap_or_default().to_owned();
        let edges: Vec<String> = reply.answers().iter().map(last).collect();
        (edges.join(" "), echoed(&reply).expect("the option comes back"))
    };
    let option = |text: &str, source, scope| (text.to_owned(), source, scope);
    // Nobody knows who is near: the same for all.
    assert_eq!(
        asked("alice.ddn", A, &NEAR).await,
        ("1".into(), option("203.0.113.0", 24, 0))
    );
    server.directory().set_nearest(Arc::new(Regions));
    let v6 = [0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0];
    for (name, kind, data, edges, expected) in [
        ("alice.ddn", A, &NEAR[..], "7", ("203.0.113.0", 24, 24)),
        (
            "alice.ddn",
            A,
            &[0, 1, 32, 0, 203, 0, 113, 9],
            "7",
            ("203.0.113.9", 32, 24),
        ),
        ("alice.ddn", A, &v6, "8", ("2001:db8::", 56, 56)),
        ("www.alice.ddn", A, &NEAR, "ddn. ddn. 7", ("203.0.113.0", 24, 24)),
        // Less is known, so less can count.
        ("alice.ddn", A, &[0, 1, 8, 0, 203], "1 2", ("203.0.0.0", 8, 8)),
        // The same for everybody, says who knows.
        (
            "alice.ddn",
            A,
            &[0, 1, 24, 0, 10, 0, 0],
            "1 2",
            ("10.0.0.0", 24, 0),
        ),
        // Who wants not to be told apart is answered as the resolver is, and that is all there is to it.
        ("alice.ddn", A, &[0, 1, 0, 0], "9", ("0.0.0.0", 0, 0)),
        // Nothing of this depends on who asks.
        ("ddn", SOA, &NEAR, "", ("203.0.113.0", 24, 0)),
        ("nobody.ddn", A, &NEAR, "", ("203.0.113.0", 24, 0)),
    ] {
        let (found, option) = asked(name, kind, data).await;
        if kind == A {
            let found = found.replace("nobody", "");
            assert_eq!(
                found.split_whitespace().last(),
                edges.split_whitespace().last(),
                "{name} {data:?}"
            );
        }
        assert_eq!(
            option,
            (expected.0.to_owned(), expected.1, expected.2),
            "{name} {kind} {data:?}"
        );
    }
    // No edge serves that host.
    assert_eq!(asked("bafy.ipfs.gw.ddn.example", A, &NEAR).await.0, "");
    // Without the option: the resolver's address, and none in the reply.
    let reply = ask("alice.ddn", A)
        .edns(0, 1232, 0)
        .udp(server.local_addr())
        .await;
    assert_eq!(
        (reply.answers(), echoed(&reply)),
        (vec!["alice.ddn. 20 A 198.51.100.9".into()], None)
    );
}

#[tokio::test]
async fn a_broken_option_is_formerr() {
    let server = serve(signed(), &held()).await;
    let twice = [subnet(&NEAR), subnet(&NEAR)].concat();
    for (what, options) in [
        ("a scope in a question", subnet(&[0, 1, 24, 24, 203, 0, 113])),
        ("bits behind the prefix", subnet(&[0, 1, 20, 0, 203, 0, 113])),
        ("too many bytes", subnet(&[0, 1, 16, 0, 203, 0, 113])),
        ("too few bytes", subnet(&[0, 1, 24, 0, 203])),
        ("a family that nobody knows", subnet(&[0, 9, 8, 0, 1])),
        ("nothing", subnet(&[])),
        ("twice", twice),
        ("cut in the middle", subnet(&NEAR)[..6].to_vec()),
    ] {
        let reply = with_options("alice.ddn", A, &options)
            .udp(server.local_addr())
            .await;
        assert_eq!(reply.code(), FORMERR, "{what}");
    }
}

/// What is said of a reply's use for others is what it depends on.
#[test]
fn replies_say_for_whom_else_they_are_right() {
    let responder =
        Responder::new(&signed(), held(), &mut Registry::default()).expect("the zones of the tests");
    let reuse = |question: Ask| {
        let client = Client {
            address: "203.0.113.7".parse().expect("an address"),
            transport: Transport::Udp,
        };
        responder
            .respond(&question.bytes(), client)
            .expect("a reply")
            .reuse
    };
    let plain = |name: &str, kind| reuse(ask(name, kind).edns(0, 1232, 0));
    for (name, kind) in [
        ("alice.ddn", A),
        ("nobody.ddn", A),
        ("ddn", SOA),
        ("alice.ddn", MX),
    ] {
        let Reuse::Everybody(validity) = plain(name, kind) else {
            panic!("{name}")
        };
        assert_eq!((validity.height, validity.until), (7, u64::MAX), "{name}");
        let Reuse::Everybody(validity) = reuse(ask(name, kind).edns(0, 1232, 0x8000)) else {
            panic!("{name} with DO")
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let ahead = validity.until - now.expect("after 1970").as_secs();
        assert!(ahead <= 6 * 3_600, "until the signature is renewed: {ahead} s");
    }
    for (name, kind) in [
        ("example.org", A),
        ("_acme-challenge.ddn.example", TXT),
        ("_acme-challenge.alice.ddn", TXT),
    ] {
        assert_eq!(plain(name, kind), Reuse::Never, "{name}");
    }
    responder.directory().set_nearest(Arc::new(Regions));
    assert!(matches!(plain("alice.ddn", A), Reuse::Network(24, _)));
    assert!(matches!(plain("nobody.ddn", A), Reuse::Everybody(_)));
    // A subnet that is named is part of the question.
    assert!(matches!(
        reuse(with_options("alice.ddn", A, &subnet(&NEAR))),
        Reuse::Everybody(_)
    ));
}

#[tokio::test]
async fn kdig_sees_the_scope() {
    let Some(kdig) = tool("kdig") else { return };
    let server = serve(signed(), &held()).await;
    server.directory().set_nearest(Arc::new(Regions));
    let (ip, port) = (server.local_addr().ip(), server.local_addr().port());
    let line = format!("@{ip} -p {port} +dnssec +subnet=203.0.113.0/24 alice.ddn A");
    let said = output(&kdig, &line.split(' ').map(str::to_owned).collect::<Vec<_>>()).await;
    for words in ["CLIENT-SUBNET: 203.0.113.0/24/24", "198.51.100.7", "RRSIG"] {
        assert!(said.contains(words), "no {words:?} in\n{said}");
    }
}
