use super::*;

const LIFE: Duration = Duration::from_secs(3600);

fn clocks() -> Clocks {
    Clocks {
        now: Instant::now(),
        now_ms: 1_800_000_000_000,
    }
}

fn later(clocks: Clocks, seconds: u64) -> Clocks {
    Clocks {
        now: clocks.now + Duration::from_secs(seconds),
        now_ms: clocks.now_ms + seconds * 1000,
    }
}

fn sample(byte: u8, clocks: Clocks, seconds: u64) -> ProviderRecord {
    let provider = crate::mesh::identity::keypair([byte; 32]).public().to_peer_id();
    let addresses = vec!["/ip4/192.0.2.1/tcp/4101".parse().expect("an address")];
    let mut record = ProviderRecord::new(RecordKey::from(vec![byte; 34]), provider, addresses);
    record.expires = Some(clocks.now + Duration::from_secs(seconds));
    record
}

fn file(records: &[ProviderRecord], clocks: Clocks) -> Vec<u8> {
    let mut bytes = HEAD.to_vec();
    records.iter().for_each(|record| push(&mut bytes, record, clocks));
    bytes
}

#[test]
fn what_holds_is_read_back() {
    let start = clocks();
    let records = [
        sample(1, start, 100),
        sample(2, start, 200),
        sample(3, start, 300),
    ];
    let bytes = file(&records, start);
    let read = |clocks| read(&bytes, clocks, LIFE);
    assert_eq!(read(start).records, records);
    let after = read(later(start, 150));
    assert_eq!((after.records.len(), after.entries, after.is_whole), (2, 3, true));
    // The same moment by the time of day is the same moment.
    assert_eq!(after.records, records[1..]);
    assert!(read(later(start, 400)).records.is_empty());
    // A clock that was wrong by years does not make a record hold for years.
    let earlier = Clocks {
        now: start.now,
        now_ms: 0,
    };
    assert!(
        read(earlier)
            .records
            .iter()
            .all(|record| record.expires == Some(start.now + LIFE))
    );
}

#[test]
fn a_broken_end_costs_the_end() {
    let start = clocks();
    let records = [sample(1, start, 100), sample(2, start, 100)];
    let (one, both) = (file(&records[..1], start), file(&records, start));
    for length in 0..both.len() {
        let read = read(&both[..length], start, LIFE);
        let expected = usize::from(length >= one.len());
        assert_eq!(read.records, records[..expected], "{length}");
        assert_eq!(
            read.is_whole,
            length == HEAD.len() || length == one.len(),
            "{length}"
        );
    }
    for at in one.len()..both.len() {
        let mut flipped = both.clone();
        flipped[at] ^= 0x40;
        let read = read(&flipped, start, LIFE);
        assert_eq!((&read.records[..], read.is_whole), (&records[..1], false), "{at}");
    }
    assert!(read(b"something else", start, LIFE).records.is_empty());
}

#[test]
fn changes_of_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, start) = (folder.path().join("providers"), clocks());
    assert!(load(&path).expect("no file").is_empty());
    let entries = |byte| file(&[sample(byte, start, 100)], start)[HEAD.len()..].to_vec();
    assert!(
        save(&path, &Change::Append(entries(1))).is_err(),
        "there is nothing to append to"
    );
    save(&path, &Change::Replace(entries(1))).expect("a new file");
    save(&path, &Change::Append(entries(2))).expect("a longer file");
    let read = |bytes: &[u8]| read(bytes, start, LIFE).records.len();
    assert_eq!(read(&load(&path).expect("the file")), 2);
    save(&path, &Change::Replace(entries(3))).expect("another file");
    assert_eq!(read(&load(&path).expect("the file")), 1);
}

/// The format on disk does not change unnoticed.
#[test]
fn fixture() {
    let start = clocks();
    let bytes = file(&[sample(1, start, 60)], start);
    assert_eq!(hex::encode(&bytes), include_str!("fixture.hex").trim_end());
}
