//! Signed zones on the wire: what is signed, what is denied, and with which code. Whether validators believe it is in
//! [`crate::validators`].

use std::sync::Arc;

use hickory_proto::rr::{RData, Record, RecordType};
use ledger::Records;
use named::dns::{Config, SigningKey, ZoneKey};

use crate::book::{Book, config, serve, site};
use crate::wire::*;

const DO: u16 = 0x8000;
const CO: u16 = 0x4000;
const DS: u16 = 43;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const DNSKEY: u16 = 48;
const CDS: u16 = 59;
const CDNSKEY: u16 = 60;
const NXNAME: u16 = 128;

pub fn key(zone: &str) -> ZoneKey {
    let text = SigningKey::generate().expect("random numbers");
    ZoneKey {
        zone: zone.into(),
        key: SigningKey::parse(text.as_bytes()).expect("what was made"),
    }
}

/// The TLD, an alias zone and one below it, each with a key; and the hosts of a gateway.
pub fn signed() -> Config {
    Config {
        alias_zones: vec!["ddn.example".into(), "sub.ddn.example".into()],
        gateway_hosts: vec!["gw.ddn.example".into()],
        challenge_hosts: vec!["elsewhere.test".into()],
        keys: vec![
            key("ddn"),
            key("mmt"),
            key("DDN.example."),
            key("sub.ddn.example"),
        ],
        edges: vec!["192.0.2.1".parse().expect("an address")],
        ..config()
    }
}

pub fn held() -> Arc<Book> {
    let alias = |target: &str| Records {
        cname: Some(target.into()),
        ..Records::default()
    };
    let book = Book::new();
    book.hold(
        "alice",
        [
            ("", site()),
            ("deep.er", site()),
            ("www", alias("docs.alice.ddn")),
            ("docs", alias("alice.ddn")),
            ("gone", alias("nobody.ddn")),
        ],
    );
    book
}

/// Owner and covered type of each signature.
fn covered(section: &[Record]) -> Vec<(String, u16)> {
    let covered = |record: &Record| match &record.data {
        RData::Unknown { code, rdata } if *code == RecordType::RRSIG => {
            let kind = u16::from_be_bytes([rdata.anything[0], rdata.anything[1]]);
            Some((record.name.to_string().to_lowercase(), kind))
        }
        _ => None,
    };
    section.iter().filter_map(covered).collect()
}

/// Owner and type of each set of records that is not a signature.
fn sets(section: &[Record]) -> Vec<(String, u16)> {
    let mut sets: Vec<_> = section
        .iter()
        .filter(|record| record.record_type() != RecordType::RRSIG)
        .map(|record| {
            let name = record.name.to_string().to_lowercase();
            (name, u16::from(record.record_type()))
        })
        .collect();
    sets.dedup();
    sets
}

/// With DO everything is signed, and without it nothing; what is said is the same but for denials.
#[tokio::test]
async fn everything_is_signed_for_who_asks() {
    let server = serve(signed(), &held()).await;
    for (name, kind, answers, authorities) in [
        ("alice.ddn", A, &[A][..], &[][..]),
        ("aLiCe.DDn", TXT, &[TXT], &[]),
        ("alice.ddn.example", A, &[A], &[]),
        ("alice.ddn", ANY, &[13], &[]),
        ("www.alice.ddn", A, &[CNAME, CNAME, A], &[]),
        ("gone.alice.ddn", A, &[CNAME], &[SOA, NSEC]),
        ("alice.ddn", MX, &[], &[SOA, NSEC]),
        ("er.alice.ddn", A, &[], &[SOA, NSEC]),
        ("nobody.ddn", A, &[], &[SOA, NSEC]),
        ("*.nobody.ddn", A, &[], &[SOA, NSEC]),
        ("ddn", SOA, &[SOA], &[]),
        ("ddn", NS, &[NS], &[]),
        ("ddn", DNSKEY, &[DNSKEY], &[]),
        ("ddn", CDS, &[CDS], &[]),
        ("ddn", CDNSKEY, &[CDNSKEY], &[]),
        ("ddn", DS, &[], &[SOA, NSEC]),
        ("sub.ddn.example", DS, &[DS], &[]),
        ("sub.ddn.example", A, &[A], &[]),
        ("alice.sub.ddn.example", A, &[A], &[]),
        ("gw.ddn.example", A, &[A], &[]),
        ("ipfs.gw.ddn.example", A, &[], &[SOA, NSEC]),
        ("bafy.ipfs.gw.ddn.example", A, &[A], &[]),
        ("alice--ddn.IPNS.gw.ddn.example", A, &[A], &[]),
        ("a.b.ipfs.gw.ddn.example", A, &[], &[SOA, NSEC]),
        ("alice.ddn", NSEC, &[NSEC], &[]),
    ] {
        let reply = ask(name, kind)
            .edns(0, 4096, DO)
            .udp(server.local_addr())
            .await
            .message();
        let found = |section: &[Record]| {
            sets(section)
                .into_iter()
                .map(|(_, kind)| kind)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&reply.answers), answers, "{name} {kind}");
        assert_eq!(found(&reply.authorities), authorities, "{name} {kind}");
        for section in [&reply.answers, &reply.authorities, &reply.additionals] {
            assert_eq!(covered(section), sets(section), "{name} {kind}");
        }
        assert!(!reply.metadata.authentic_data, "AD is for resolvers to say");
        let plain = ask(name, kind).edns(0, 4096, 0).udp(server.local_addr()).await;
        let plain = plain.message();
        assert!(covered(&plain.answers).is_empty() && covered(&plain.authorities).is_empty());
        assert_eq!(found(&plain.answers), answers, "{name} {kind} without DO");
    }
}

/// RFC 9824, sections 3 and 5: the code of a name that does not exist.
#[tokio::test]
async fn a_compact_denial_has_the_code_that_the_asker_understands() {
    let server = serve(signed(), &held()).await;
    for (name, flags, code, flags_back, records) in [
        ("nobody.ddn", None, NXDOMAIN, 0, 1),
        ("nobody.ddn", Some(0), NXDOMAIN, 0, 1),
        ("nobody.ddn", Some(CO), NXDOMAIN, 0, 1),
        ("nobody.ddn", Some(DO), NOERROR, DO, 4),
        ("nobody.ddn", Some(DO | CO), NXDOMAIN, DO | CO, 4),
        ("gone.alice.ddn", Some(DO), NOERROR, DO, 4),
        ("gone.alice.ddn", Some(DO | CO), NXDOMAIN, DO | CO, 4),
        ("gone.alice.ddn", None, NXDOMAIN, 0, 1),
        // It exists, without records: no code would say otherwise.
        ("er.alice.ddn", Some(DO | CO), NOERROR, DO | CO, 4),
        // Not signed: a zone of challenges.
        ("x._acme-challenge.elsewhere.test", Some(DO), NXDOMAIN, DO, 1),
    ] {
        let mut question = ask(name, A);
        if let Some(flags) = flags {
            question = question.edns(0, 1232, flags);
        }
        let reply = question.udp(server.local_addr()).await;
        let what = format!("{name} with {flags:?}");
        assert_eq!((reply.code(), reply.counts()[2]), (code, records), "{what}");
        let edns = reply.message().edns;
        assert_eq!(
            edns.map_or(0, |edns| u16::from(*edns.flags())),
            flags_back,
            "{what}"
        );
    }
    let asked = ask("alice.ddn", NXNAME).edns(0, 1232, DO);
    assert_eq!(asked.udp(server.local_addr()).await.code(), FORMERR);
}

/// The NSEC record at a name has the types that are there, and no others.
#[tokio::test]
async fn denials_name_what_is_there() {
    let server = serve(signed(), &held()).await;
    for (name, present) in [
        ("alice.ddn", &[A, TXT, RRSIG, NSEC][..]),
        ("er.alice.ddn", &[RRSIG, NSEC]),
        ("www.alice.ddn", &[CNAME, RRSIG, NSEC]),
        ("nobody.ddn", &[RRSIG, NSEC, NXNAME]),
        ("x.nobody.ddn", &[RRSIG, NSEC, NXNAME]),
        ("ddn", &[NS, SOA, RRSIG, NSEC, DNSKEY, CDS, CDNSKEY]),
    ] {
        let reply = ask(name, NSEC).tcp(server.local_addr()).await.message();
        let [record] = &reply.answers[..] else {
            panic!("{name}: {:?}", reply.answers)
        };
        let RData::Unknown { rdata, .. } = &record.data else {
            panic!("{name}: {record}")
        };
        let next = [&[1, 0], &labels(name)[..]].concat();
        let types = rdata
            .anything
            .strip_prefix(&next[..])
            .expect("the name right below");
        assert_eq!(listed(types), present, "{name}");
    }
    let reply = ask("alice.ddn", RRSIG).tcp(server.local_addr()).await.message();
    assert_eq!(covered(&reply.answers), [("alice.ddn.".into(), NSEC)]);
}

fn listed(mut bitmap: &[u8]) -> Vec<u16> {
    let mut types = Vec::new();
    while let [window, length, rest @ ..] = bitmap {
        let (bits, after) = rest.split_at(usize::from(*length));
        for (octet, byte) in (0u16..).zip(bits) {
            let set = (0..8).filter(|bit| byte & (0x80 >> bit) != 0);
            types.extend(set.map(|bit| u16::from(*window) << 8 | octet << 3 | bit));
        }
        bitmap = after;
    }
    types
}

/// The same records get the same signature again; records at another height, of the SOA, another.
#[tokio::test]
async fn a_signature_is_made_once() {
    let book = held();
    let server = serve(signed(), &book).await;
    let signature = async |name: &str, kind| {
        let reply = ask(name, kind).edns(0, 4096, DO).udp(server.local_addr()).await;
        let mut found = reply
            .message()
            .answers
            .into_iter()
            .filter_map(|record| match record.data {
                RData::Unknown {
                    code: RecordType::RRSIG,
                    rdata,
                } => Some(rdata.anything),
                _ => None,
            });
        found.next_back().expect("a signature")
    };
    let (site, soa) = (signature("alice.ddn", A).await, signature("ddn", SOA).await);
    assert_eq!(signature("ALICE.ddn", A).await, site);
    assert_eq!(signature("ddn", SOA).await, soa);
    book.at(8);
    assert_eq!(signature("alice.ddn", A).await, site);
    assert_ne!(signature("ddn", SOA).await, soa);
}

/// The anchors that are printed are those that the zones have.
#[tokio::test]
async fn anchors_are_the_keys() {
    let server = serve(signed(), &held()).await;
    let anchors = server.anchors();
    assert_eq!(anchors.len(), 4);
    assert!(anchors.iter().any(|anchor| anchor.zone == "ddn."));
    for anchor in anchors {
        let words: Vec<&str> = anchor.ds.split(' ').collect();
        assert_eq!(words[..3], [&*anchor.zone, "IN", "DS"]);
        assert_eq!((words[4], words[5], words[6].len()), ("13", "2", 64));
        let reply = ask(&anchor.zone, CDS).udp(server.local_addr()).await.message();
        let RData::Unknown { rdata, .. } = &reply.answers[0].data else {
            panic!("no CDS")
        };
        let [high, low, 13, 2, digest @ ..] = &rdata.anything[..] else {
            panic!("{rdata}")
        };
        assert_eq!(words[3], u16::from_be_bytes([*high, *low]).to_string());
        assert_eq!(words[6], hex::encode_upper(digest));
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let made = SigningKey::generate().expect("random numbers");
    assert!(made.lines().all(|line| line.len() <= 64), "{made}");
    for (text, words) in [
        ("", "no PEM file of a private key"),
        (
            &made.replace("PRIVATE KEY", "EC PRIVATE KEY"),
            "no PEM file of a private key",
        ),
        (&made[..80], "no PEM file of a private key"),
        // Ed25519, by `openssl genpkey -algorithm ed25519`.
        (
            "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE \
             KEY-----\n",
            "no ECDSA P-256 key in PKCS#8",
        ),
    ] {
        let error = SigningKey::parse(text.as_bytes()).expect_err("no key of ours");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_zone_without_a_key_beside_signed_ones_is_named() {
    let mut config = signed();
    config.keys.remove(2);
    let mut registry = prometheus_client::registry::Registry::default();
    let served = named::dns::DnsServer::bind(config, held(), &mut registry);
    let error = served.await.expect_err("a zone without a key").to_string();
    assert_eq!(
        error,
        "dns.keys: `ddn.example.` has no key, and other zones have one"
    );
}
