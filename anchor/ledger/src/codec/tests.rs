//! The codec against bytes that are wrong in every way we know.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    list: Vec<Sample>,
}

fn refused(bytes: &[u8], words: &str) {
    let error = decode::<Sample>(bytes).expect_err(words).to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}

#[test]
fn round_trip() {
    let inner = Sample {
        n: 7,
        link: Some(Link(cid_of(b"x"))),
        list: vec![],
    };
    let outer = Sample {
        n: u64::MAX,
        link: None,
        list: vec![inner],
    };
    assert_eq!(decode::<Sample>(&encode(&outer)).unwrap(), outer);
}

#[test]
fn other_encodings_of_the_same_value_are_refused() {
    assert_eq!(
        encode(&Sample {
            n: 1,
            link: None,
            list: vec![]
        }),
        b"\xa1an\x01"
    );
    refused(b"\xa1an\x18\x01", "NonMinimal");
    refused(b"\xa2an\x01an\x01", "");
    refused(b"\xa2an\x01ax\x01", "canonical");
    refused(b"\xa2an\x01dlink\xf6", "canonical");
    refused(b"\xa2an\x01dlist\x80", "canonical");
    refused(b"\xa1an\x01\x00", "behind");
    refused(b"\xbfan\x01\xff", "indefinite");
    refused(b"\xa1an", "middle");
    refused(b"", "middle");
    refused(b"\xa1an\xfb\x3f\xf0\0\0\0\0\0\0", "");
}

#[test]
fn bombs_are_refused_before_they_are_built() {
    let mut deep = vec![0x81; 100_000];
    deep.push(0);
    refused(&deep, "deep");
    refused(b"\xa1an\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "longer");
    refused(b"\xa1an\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "longer");
    refused(b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", "longer");
    let huge = vec![0; MAX_OBJECT_BYTES + 1];
    refused(&huge, "at most");
}

#[test]
fn maps_sort_by_length_first() {
    let map: BTreeMap<&str, u8> = [("aa", 1), ("b", 2)].into();
    assert_eq!(encode(&map), b"\xa2ab\x02baa\x01");
}

#[test]
fn cids_are_v1_dag_cbor_sha256() {
    // The empty map of DAG-CBOR, as other implementations print it.
    assert_eq!(
        cid_of(b"\xa0").to_string(),
        "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    );
}
