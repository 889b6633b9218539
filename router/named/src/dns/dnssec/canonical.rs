//! What a signature covers: an RRset in canonical form and order (RFC 4034, sections 3.1.8.1 and 6).

use hickory_proto::rr::{Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

/// The class of everything here: IN.
const CLASS: u16 = 1;

/// The records of one owner and type, in the order in which they were found.
#[derive(Debug, PartialEq)]
pub struct Set<'a> {
    pub owner: &'a Name,
    pub kind: RecordType,
    pub records: Vec<&'a Record>,
}

/// The RRsets of a section. Letter case tells no owners apart.
pub fn sets(records: &[Record]) -> Vec<Set<'_>> {
    let mut sets: Vec<Set<'_>> = Vec::new();
    for record in records {
        let (owner, kind) = (&record.name, record.record_type());
        match sets
            .iter_mut()
            .find(|set| set.kind == kind && *set.owner == *owner)
        {
            Some(set) => set.records.push(record),
            None => sets.push(Set {
                owner,
                kind,
                records: vec![record],
            }),
        }
    }
    sets
}

/// A name as canonical form has it: in lower case, not compressed.
pub fn name(name: &Name) -> Vec<u8> {
    encoded(|encoder| {
        encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
        name.emit(encoder)
    })
}

/// The set as it is signed. The TTL of a record is that of its set; the same data twice count once (RFC 4034, section
/// 6.3).
pub fn set(set: &Set<'_>, ttl: u32) -> Vec<u8> {
    let mut data: Vec<Vec<u8>> = set.records.iter().map(|record| rdata(record)).collect();
    data.sort_unstable();
    data.dedup();
    let mut head = name(set.owner);
    head.extend(u16::from(set.kind).to_be_bytes());
    head.extend(CLASS.to_be_bytes());
    head.extend(ttl.to_be_bytes());
    let mut bytes = Vec::with_capacity(data.iter().map(|data| head.len() + 2 + data.len()).sum());
    for data in data {
        bytes.extend_from_slice(&head);
        bytes.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn rdata(record: &Record) -> Vec<u8> {
    encoded(|encoder| {
        encoder.set_canonical_form(true);
        record.data.emit(encoder)
    })
}

/// Names and data of records that came from packets or passed their bounds always have a form on the wire.
fn encoded<E>(write: impl FnOnce(&mut BinEncoder<'_>) -> Result<(), E>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = BinEncoder::new(&mut bytes);
    let written = write(&mut encoder);
    debug_assert!(written.is_ok(), "it has a form on the wire");
    bytes
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::{A, CNAME};

    use super::*;

    fn record(owner: &str, data: RData) -> Record {
        Record::from_rdata(Name::from_str(owner).expect("a name"), 60, data)
    }

    #[test]
    fn a_set_is_in_order_in_lower_case_and_has_nothing_twice() {
        let a = |last| RData::A(A::new(192, 0, 2, last));
        let found = [
            record("Alice.DDN.", a(9)),
            record(
                "alice.ddn.",
                RData::CNAME(CNAME(Name::from_str("Bob.DDN.").expect("a name"))),
            ),
            record("alice.ddn.", a(1)),
            record("alice.ddn.", a(9)),
        ];
        let sets = sets(&found);
        assert_eq!(
            sets.iter().map(|set| set.records.len()).collect::<Vec<_>>(),
            [3, 1]
        );
        let head = |kind| [&b"\x05alice\x03ddn\0\0"[..], &[kind, 0, 1, 0, 0, 0, 20]].concat();
        let expected = [
            head(1),
            vec![0, 4, 192, 0, 2, 1],
            head(1),
            vec![0, 4, 192, 0, 2, 9],
        ];
        assert_eq!(set(&sets[0], 20), expected.concat());
        assert_eq!(
            set(&sets[1], 20),
            [&head(5)[..], b"\0\x09\x03bob\x03ddn\0"].concat()
        );
    }
}
