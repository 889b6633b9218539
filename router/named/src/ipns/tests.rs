//! Records of every kind, made here: what holds, what does not and why, which of two is kept.

use std::time::{Duration, SystemTime};

use libp2p::identity::Keypair;
use proptest::prelude::*;
use serde::Serialize;
use tempfile::TempDir;

use super::*;

/// 2026-11-21.
const NOW: Duration = Duration::from_secs(1_795_219_200);
const LATER: &str = "2027-01-01T00:00:00Z";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + NOW
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("a key")
}

fn name(seed: u8) -> Name {
    Name::of(&key(seed).public())
}

/// A record that can be made wrong in any way before it is encoded.
struct Draft {
    key: Keypair,
    value: &'static str,
    sequence: u64,
    eol: &'static str,
    v1: Option<&'static str>,
    v2: bool,
    public_key: Option<Keypair>,
}

impl Draft {
    fn new(sequence: u64) -> Self {
        Self {
            key: key(1),
            value: "/ipfs/bafkqaaa",
            sequence,
            eol: LATER,
            v1: None,
            v2: true,
            public_key: None,
        }
    }

    fn data(&self) -> Vec<u8> {
        let data = Signed {
            ttl: 60_000_000_000,
            value: self.value.as_bytes(),
            sequence: self.sequence,
            validity: self.eol.as_bytes(),
            validity_type: 0,
        };
        serde_ipld_dagcbor::to_vec(&data).expect("DAG-CBOR")
    }

    fn encode(&self) -> Vec<u8> {
        let mut entry = Vec::new();
        if let Some(value) = self.v1 {
            chunk(&mut entry, 1, value.as_bytes());
            chunk(&mut entry, 2, b"whatever");
            chunk(&mut entry, 4, self.eol.as_bytes());
            number(&mut entry, 5, self.sequence);
            number(&mut entry, 6, 60_000_000_000);
        }
        if let Some(key) = &self.public_key {
            chunk(&mut entry, 7, &key.public().encode_protobuf());
        }
        if self.v2 {
            let data = self.data();
            let signed = [b"ipns-signature:", &data[..]].concat();
            chunk(&mut entry, 8, &self.key.sign(&signed).expect("a signature"));
            chunk(&mut entry, 9, &data);
        }
        entry
    }

    fn read(&self) -> Result<Record, Fault> {
        Record::read(&name(1), &self.encode(), now())
    }
}

/// What owners sign, in the order of DAG-CBOR.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Signed<'a> {
    #[serde(rename = "TTL")]
    ttl: u64,
    #[serde(with = "serde_bytes")]
    value: &'a [u8],
    sequence: u64,
    #[serde(with = "serde_bytes")]
    validity: &'a [u8],
    validity_type: u64,
}

fn number(out: &mut Vec<u8>, field: u8, mut value: u64) {
    out.push(field << 3);
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn chunk(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    number(out, field, bytes.len() as u64);
    let key = out.len() - if bytes.len() < 0x80 { 2 } else { 3 };
    out[key] |= 2;
    out.extend(bytes);
}

#[test]
fn names_have_one_form_and_are_read_in_all() {
    let shown = name(1).to_string();
    assert!(shown.starts_with("k51") && shown.len() == 62, "{shown}");
    let peer = key(1).public().to_peer_id();
    let dag_pb = cid::Cid::new_v1(0x70, *peer.as_ref()).to_string();
    for text in [shown, peer.to_base58(), name(1).cid().to_string(), dag_pb] {
        assert_eq!(text.parse(), Ok(name(1)), "{text}");
    }
    let rsa = "QmVujd5Vb7moysJj8itnGufN7MEtPRCNHkKpNuA4onsRa3";
    let rsa = rsa.parse::<Name>().expect("a hash");
    assert!(rsa.to_string().starts_with("k2k4r8"));
    let file = "bafkreicysg23kiwv34eg2d7qweipxwosdo2py4ldv42nbauguluen5v6am";
    for text in [
        "",
        "alice.ddn",
        "k",
        "Qm",
        "1",
        "12D3Koo",
        file,
        &"k51".repeat(50),
    ] {
        assert!(text.parse::<Name>().is_err(), "{text}");
    }
}

#[test]
fn a_record_holds() {
    let record = Draft::new(7).read().expect("a valid record");
    assert_eq!(record.value(), b"/ipfs/bafkqaaa");
    assert_eq!(record.sequence(), 7);
    assert_eq!(record.ttl(now()), Duration::from_secs(60));
    assert_eq!(
        record.ttl(record.eol() - Duration::from_secs(9)),
        Duration::from_secs(9)
    );
    let with_v1 = Draft {
        v1: Some("/ipfs/bafkqaaa"),
        public_key: Some(key(1)),
        ..Draft::new(7)
    };
    assert!(with_v1.read().is_ok());
}

#[test]
fn what_does_not_hold() {
    let draft = || Draft::new(7);
    for (draft, fault) in [
        (
            Draft {
                key: key(2),
                ..draft()
            },
            "not by the name's key",
        ),
        (
            Draft {
                v2: false,
                v1: Some("/ipfs/bafkqaaa"),
                ..draft()
            },
            "no V2 signature",
        ),
        (
            Draft {
                v1: Some("/ipfs/bafkqaaq"),
                ..draft()
            },
            "field value differs",
        ),
        (
            Draft {
                public_key: Some(key(2)),
                ..draft()
            },
            "of another name",
        ),
        (
            Draft {
                eol: "2026-01-01T00:00:00Z",
                ..draft()
            },
            "expired",
        ),
        (
            Draft {
                eol: "tomorrow",
                ..draft()
            },
            "RFC 3339",
        ),
    ] {
        let found = draft.read().expect_err(fault).to_string();
        assert!(found.contains(fault), "{found}");
    }
    let large = Record::read(&name(1), &[0; RECORD_BYTES_MAX + 1], now());
    assert_eq!(large, Err(Fault::TooLarge(RECORD_BYTES_MAX + 1)));
}

#[test]
fn any_flipped_bit_is_seen() {
    let bytes = Draft::new(7).encode();
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(Record::read(&name(1), &flipped, now()).is_err(), "bit {at}");
    }
}

#[test]
fn the_newest_is_kept_and_survives() {
    let folder = TempDir::new().expect("a folder");
    let records = Records::open(folder.path(), 8).expect("records");
    assert!(records.get(&name(1), now()).expect("a look").is_none());
    let (old, new) = (Draft::new(1).encode(), Draft::new(2).encode());
    assert!(records.put(&name(1), &new, now()).expect("kept"));
    assert!(!records.put(&name(1), &old, now()).expect("an older one"));
    assert!(records.put(&name(1), &new, now()).expect("the same again"));
    let longer = Draft {
        eol: "2028-01-01T00:00:00Z",
        ..Draft::new(2)
    };
    assert!(
        records
            .put(&name(1), &longer.encode(), now())
            .expect("for longer")
    );
    assert!(matches!(
        records.put(&name(2), &new, now()),
        Err(Error::Refused { .. })
    ));

    drop(records);
    std::fs::write(folder.path().join("k51.new"), b"half").expect("a file");
    let records = Records::open(folder.path(), 8).expect("records");
    let kept = records.get(&name(1), now()).expect("a look").expect("a record");
    assert_eq!(kept.bytes(), longer.encode());
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    let late = now() + Duration::from_secs(10 * 365 * 86_400);
    assert!(matches!(
        records.get(&name(1), late),
        Err(Error::Refused {
            fault: Fault::Expired,
            ..
        })
    ));
}

#[test]
fn of_too_many_names_the_silent_ones_go() {
    let folder = TempDir::new().expect("a folder");
    let records = Records::open(folder.path(), 3).expect("records");
    let put = |seed: u8| {
        let draft = Draft {
            key: key(seed),
            ..Draft::new(1)
        };
        assert!(records.put(&name(seed), &draft.encode(), now()).expect("kept"));
    };
    [1, 2, 3, 1, 4, 5].into_iter().for_each(put);
    let here: Vec<u8> = (1..=5)
        .filter(|seed| records.get(&name(*seed), now()).expect("a look").is_some())
        .collect();
    assert_eq!(here, [1, 4, 5]);
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes: Vec<u8>, text in ".{0,80}") {
        let _ = Record::read(&name(1), &bytes, now());
        let _ = text.parse::<Name>();
    }
}
