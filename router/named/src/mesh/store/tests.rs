use std::net::SocketAddr;
use std::time::Duration;

use ledger::SecretKey;

use super::*;

fn key(byte: u8) -> RecordKey {
    RecordKey::from(vec![byte; 34])
}

fn small() -> Records {
    let limits = Limits {
        provided_max: 2,
        provider_records_max: 6,
        provider_records_per_peer_max: 3,
        endpoint_records_max: 2,
        ..Limits::default()
    };
    Records::new(PeerId::random(), limits)
}

fn provider(byte: u8, peer: PeerId) -> ProviderRecord {
    ProviderRecord::new(key(byte), peer, Vec::new())
}

fn endpoint(seed: u8, time_ms: u64) -> Record {
    let secret = SecretKey::from_seed([seed; 32]);
    let body = Endpoint {
        node: secret.public(),
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
        home_relay: None,
        time_ms,
        until_ms: time_ms + 1,
    };
    let record_key = endpoint_key(&secret.public());
    Record::new(record_key, Signed::sign(body, "dev", &secret).encode())
}

#[test]
fn a_flood_of_others_leaves_room_for_our_own() {
    let mut records = small();
    let me = records.me;
    let floods = [PeerId::random(), PeerId::random(), PeerId::random()];
    let taken = |records: &mut Records, peer| {
        (0..10)
            .filter(|n| records.add_provider(provider(*n, peer)).is_ok())
            .count()
    };
    assert_eq!(floods.map(|peer| taken(&mut records, peer)), [3, 3, 0]);
    assert_eq!(taken(&mut records, me), 2);
    assert_eq!((records.provider_records(), records.own_keys()), (6, 2));
    assert_eq!(records.providers(&key(0)).len(), 3);
    assert!(records.is_own(&key(0)) && !records.is_own(&key(5)));
    records.remove_provider(&key(0), &me);
    records.remove_provider(&key(0), &floods[0]);
    assert_eq!(records.providers(&key(0)).len(), 1);
    assert!(records.add_provider(provider(9, floods[0])).is_ok());
}

#[test]
fn a_record_that_is_announced_again_is_renewed() {
    let (mut records, peer, now) = (small(), PeerId::random(), Instant::now());
    for seconds in [1, 60] {
        let mut record = provider(1, peer);
        record.expires = Some(now + Duration::from_secs(seconds));
        records.add_provider(record).expect("room");
    }
    records.sweep(now + Duration::from_secs(30));
    assert_eq!(
        (records.provider_records(), records.providers(&key(1)).len()),
        (1, 1)
    );
    records.sweep(now + Duration::from_secs(60));
    assert_eq!(
        (
            records.provider_records(),
            records.providers.len(),
            records.by_peer.len()
        ),
        (0, 0, 0)
    );
}

#[test]
fn a_key_that_is_no_multihash_is_refused() {
    let long = ProviderRecord::new(vec![0; KEY_BYTES_MAX + 1], PeerId::random(), Vec::new());
    assert!(small().add_provider(long).is_err());
}

#[test]
fn the_newest_endpoint_wins_and_there_are_so_many() {
    let mut records = small();
    for (time_ms, holds) in [(5, 5), (4, 5), (6, 6)] {
        records.put(endpoint(1, time_ms)).expect("taken or ignored");
        let record = records.get(&endpoint(1, 0).key).expect("there").into_owned();
        assert_eq!(record, endpoint(1, holds));
    }
    records.put(endpoint(2, 1)).expect("room for two");
    assert!(records.put(endpoint(3, 1)).is_err());
    assert!(records.put(Record::new(vec![1], b"noise".to_vec())).is_err());
}

#[test]
fn endpoint_keys_name_their_node() {
    let node = SecretKey::from_seed([3; 32]).public();
    assert_eq!(endpoint_node(&endpoint_key(&node)), Some(node));
    for bytes in [
        &b"/ddn/endpoint/"[..],
        b"/ddn/endpoint/short",
        b"/other/",
        &[0; 46],
    ] {
        assert_eq!(endpoint_node(&RecordKey::from(bytes.to_vec())), None);
    }
}

#[test]
fn a_root_has_so_many_providers_and_the_first_stay() {
    let limits = Limits {
        provider_records_per_root_max: 2,
        ..Limits::default()
    };
    let mut records = Records::new(PeerId::random(), limits);
    let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
    for peer in peers {
        assert!(
            records.add_provider(provider(1, peer)).is_ok(),
            "a full list is no error of the sender"
        );
    }
    let kept: Vec<_> = records
        .providers(&key(1))
        .iter()
        .map(|record| record.provider)
        .collect();
    assert_eq!((kept, records.provider_records()), (peers[..2].to_vec(), 2));
}

#[test]
fn the_file_is_replaced_when_most_of_it_is_old() {
    let clocks = Clocks {
        now: Instant::now(),
        now_ms: 1_800_000_000_000,
    };
    let mut records = Records::new(PeerId::random(), Limits::default());
    assert!(records.unsaved(clocks).is_none(), "nothing to write");
    let peer = PeerId::random();
    let again = |records: &mut Records| {
        let mut record = provider(1, peer);
        record.expires = Some(clocks.now + Duration::from_secs(60));
        records.add_provider(record).expect("there is room");
        records.unsaved(clocks)
    };
    assert!(
        matches!(again(&mut records), Some(Change::Replace(_))),
        "there is no file yet"
    );
    let appended = (0..OLD_ENTRIES_MAX).map(|_| again(&mut records));
    let appended: Vec<_> = appended
        .map(|change| matches!(change, Some(Change::Append(_))))
        .collect();
    assert!(appended.iter().all(|is_appended| *is_appended));
    let Some(Change::Append(last)) = again(&mut records) else {
        panic!("one more is old enough only then")
    };
    let Some(Change::Replace(all)) = again(&mut records) else {
        panic!("most of the file is old")
    };
    assert_eq!(all.len(), last.len(), "one record is all that there is");
    records.unwritten();
    assert!(
        matches!(records.unsaved(clocks), Some(Change::Replace(_))),
        "after a failure everything is written"
    );
}

#[test]
fn what_was_written_is_taken_in_again() {
    let clocks = Clocks {
        now: Instant::now(),
        now_ms: 1_800_000_000_000,
    };
    let mut records = small();
    let peer = crate::mesh::identity::keypair([1; 32]).public().to_peer_id();
    for byte in 0..3 {
        let mut record = provider(byte, peer);
        record.expires = Some(clocks.now + Duration::from_secs(60));
        records.add_provider(record).expect("there is room");
    }
    let Some(Change::Replace(entries)) = records.unsaved(clocks) else {
        panic!("a first file")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("providers");
    remembered::save(&path, &Change::Replace(entries)).expect("a file");
    let bytes = remembered::load(&path).expect("the file");
    let mut again = small();
    again.restore(remembered::read(&bytes, clocks, Duration::from_secs(3600)));
    assert_eq!(again.provider_records(), 3);
    assert!(again.unsaved(clocks).is_none(), "it is written already");
}
