//! Objects that are built to do harm: they are refused, and nothing panics, loops or is written elsewhere.

use std::fs;
use std::io::Read;

use cid::Cid;
use proptest::prelude::*;
use storage::{Error, FileReader, Walk, car, codec, contains, export, list, resolve};
use tempfile::TempDir;

use crate::support::{Memory, Scratch, assert_clean, describe, field};

proptest! {
    #[test]
    fn arbitrary_blocks_are_read_or_refused(block: Vec<u8>) {
        read_every_way(&block);
    }

    #[test]
    fn arbitrary_unixfs_is_read_or_refused(data: Vec<u8>, kind in 0u8..8, links in 0usize..4, names: [u8; 3]) {
        let mut memory = Memory::default();
        let leaf = memory.put(codec::RAW, vec![0; 9]);
        let names = names.map(|byte| [byte, byte]);
        let links: Vec<(&[u8], Cid)> = names[..links.min(3)].iter().map(|name| (&name[..], leaf)).collect();
        let data = [&[8, kind][..], &data].concat();
        read_every_way(&crate::support::node(&links, &data));
    }

    #[test]
    fn arbitrary_streams_are_no_car(bytes: Vec<u8>) {
        if let Ok(reader) = car::Reader::new(&bytes[..]) {
            reader.for_each(drop);
        }
    }
}

#[test]
fn a_car_cut_anywhere_is_refused() {
    let (stream, _) = some_car();
    let there = Scratch::new();
    for cut in (0..stream.len())
        .step_by(stream.len() / 50)
        .chain([1, stream.len() - 1])
    {
        let error = there.store.import_car(&stream[..cut], &mut |_| {}).unwrap_err();
        assert!(
            matches!(error, Error::Car(_) | Error::Missing(_)),
            "{cut}: {error}"
        );
        let stat = there.store.stat().unwrap();
        assert_eq!((stat.blocks, stat.pins), (0, 0));
    }
}

#[test]
fn a_car_with_a_flipped_bit_is_refused_or_the_same() {
    let (stream, root) = some_car();
    let there = Scratch::new();
    for at in (0..stream.len()).step_by(stream.len() / 100) {
        let mut bent = stream.clone();
        bent[at] ^= 1 << (at % 8);
        if let Ok(roots) = there.store.import_car(&bent[..], &mut |_| {}) {
            assert_eq!(roots[0].hash(), root.hash());
        }
    }
    assert_clean(&there.store);
}

/// A small CAR and its root.
fn some_car() -> (Vec<u8>, Cid) {
    let scratch = Scratch::new();
    let root = scratch.import(&[("a/b", b"b"), ("c", &[7; 300]), ("d", b"d")]);
    let mut stream = Vec::new();
    car::write(&scratch.store, &[root], &mut stream, &mut |_| {}).unwrap();
    (stream, root)
}

#[test]
fn names_that_lead_elsewhere_are_not_exported() {
    for name in [&b".."[..], b".", b"", b"a/b", b"/etc", b"a\0b", b"\xff\xfe"] {
        let mut memory = Memory::default();
        let file = memory.put(codec::RAW, &b"x"[..]);
        let root = memory.put_node(&[(b"good", file), (name, file)], &[8, 1]);
        refused(&memory, &root, name);
    }
}

#[test]
fn nothing_is_written_through_a_symlink_of_the_tree() {
    let elsewhere = TempDir::new().unwrap();
    let mut memory = Memory::default();
    let target = elsewhere.path().to_str().unwrap().as_bytes();
    let link = memory.put_node(&[], &[&[8, 4][..], &field(2, target)].concat());
    let file = memory.put(codec::RAW, &b"x"[..]);
    let below = memory.put_node(&[(b"file", file)], &[8, 1]);
    let root = memory.put_node(&[(b"a", link), (b"a", below)], &[8, 1]);
    refused(&memory, &root, b"a");
    let root = memory.put_node(&[(b"a", link), (b"a", file)], &[8, 1]);
    refused(&memory, &root, b"a");
    assert_eq!(describe(elsewhere.path()), ["/"]);
}

#[test]
fn an_export_does_not_touch_what_is_there() {
    let scratch = Scratch::new();
    let root = scratch.import(&[("a", b"new")]);
    let out = scratch.folder.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("a"), b"old").unwrap();
    let error = export(&scratch.store, &root, &out, &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot write {}: it exists already", out.display())
    );
    assert_eq!(fs::read(out.join("a")).unwrap(), b"old");
    let nowhere = scratch.folder.path().join("no/where");
    let error = export(&scratch.store, &root, &nowhere, &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot create a folder in "),
        "{error}"
    );
}

#[test]
fn a_missing_block_leaves_no_half_of_an_export() {
    let mut memory = Memory::default();
    let here = memory.put(codec::RAW, &b"x"[..]);
    let gone = memory.put(codec::RAW, &b"y"[..]);
    memory.blocks.remove(&gone);
    let root = memory.put_node(&[(b"a", here), (b"b", gone)], &[8, 1]);
    let error = refused(&memory, &root, b"b");
    assert!(matches!(error, Error::Missing(cid) if cid == gone));
}

#[test]
fn sizes_that_do_not_add_up_are_refused() {
    let mut memory = Memory::default();
    let leaf = memory.put(codec::RAW, vec![0; 100]);
    for data in [
        &[8, 2, 0x18, 100, 0x20, 99][..],       // the parts are shorter than the file
        &[8, 2, 0x18, 99, 0x20, 99],            // the part is longer than stated
        &[8, 2, 0x18, 100],                     // a link without a size
        &[8, 2, 0x18, 100, 0x20, 50, 0x20, 50], // sizes without a link
        &[
            8, 2, 0x20, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x12, 1, 0,
        ],
    ] {
        let root = memory.put_node(&[(b"", leaf)], data);
        let read = FileReader::new(&memory, &root, 0..u64::MAX)
            .unwrap()
            .next()
            .unwrap();
        assert!(matches!(read, Err(Error::Malformed { .. })), "{data:?}");
    }
}

#[test]
fn nesting_without_end_is_refused() {
    let mut memory = Memory::default();
    let mut file = memory.put(codec::RAW, &b"x"[..]);
    let mut folder = memory.put_node(&[], &[8, 1]);
    let mut shard = memory.put_node(&[], &[8, 5, 0x28, 0x22, 0x30, 0x80, 2]);
    for _ in 0..1000 {
        file = memory.put_node(&[(b"", file)], &[8, 2, 0x18, 1, 0x20, 1]);
        folder = memory.put_node(&[(b"d", folder)], &[8, 1]);
        shard = memory.put_node(&[(b"00", shard)], &[8, 5, 0x28, 0x22, 0x30, 0x80, 2]);
    }
    let read: Result<Vec<_>, _> = FileReader::new(&memory, &file, 0..1).unwrap().collect();
    assert!(matches!(read, Err(Error::Malformed { .. })));
    assert!(matches!(
        list(&memory, &shard).last().unwrap(),
        Err(Error::Malformed { .. })
    ));
    assert!(resolve(&memory, &shard, &["x"]).is_err());
    refused(&memory, &folder, b"d");
    // A walk and a search need no stack of their own.
    assert_eq!(Walk::new(&memory, &[folder]).count(), 1001);
    assert_eq!(contains(&memory, &folder, &Default::default()).unwrap(), None);
}

#[test]
fn a_few_shards_cannot_pose_as_a_folder_without_end() {
    const SHARD: [u8; 7] = [8, 5, 0x28, 0x22, 0x30, 0x80, 2];
    let slots: Vec<String> = (0..256).map(|slot| format!("{slot:02X}")).collect();
    let mut memory = Memory::default();
    let file = memory.put(codec::RAW, &b"x"[..]);
    for lowest in [
        memory.put_node(&[], &SHARD),
        memory.put_node(&[(b"00name", file)], &SHARD),
    ] {
        let mut shard = lowest;
        for _ in 0..7 {
            let links: Vec<(&[u8], Cid)> = slots.iter().map(|slot| (slot.as_bytes(), shard)).collect();
            shard = memory.put_node(&links, &SHARD);
        }
        let entries: Vec<_> = list(&memory, &shard).collect();
        assert!(
            matches!(entries[..], [Err(Error::Malformed { .. })]),
            "{}",
            entries.len()
        );
        assert!(matches!(
            contains(&memory, &shard, &Default::default()),
            Err(Error::Malformed { .. })
        ));
    }
    for name in [&b"0"[..], b"zz", b"0gname", b"ffname"] {
        let shard = memory.put_node(&[(name, file)], &SHARD);
        assert!(matches!(
            list(&memory, &shard).next(),
            Some(Err(Error::Malformed { .. }))
        ));
    }
}

#[test]
fn a_cbor_bomb_is_refused() {
    let mut memory = Memory::default();
    let bomb = memory.put(codec::DAG_CBOR, [vec![0x81; 1 << 20], vec![0]].concat());
    assert!(matches!(
        Walk::new(&memory, &[bomb]).next().unwrap(),
        Err(Error::Malformed { .. })
    ));
    let lengthy = memory.put(
        codec::DAG_CBOR,
        vec![0x9b, 0x7f, 255, 255, 255, 255, 255, 255, 255],
    );
    assert!(matches!(
        resolve(&memory, &lengthy, &["0"]),
        Err(Error::Malformed { .. })
    ));
}

#[test]
fn a_car_section_is_not_believed() {
    let huge = [&[0xff, 0xff, 0xff, 0x7f][..], &[0; 64]].concat();
    assert!(matches!(car::Reader::new(&huge[..]), Err(Error::Car(_))));
    let mut stream = Vec::new();
    car::Writer::new(&mut stream, &[]).unwrap().finish().unwrap();
    let error = car::Reader::new(&stream[..]).err().unwrap();
    assert_eq!(error.to_string(), "CAR stream: it names no root");
    let v2 = [0x0a, 0xa1, 0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 2];
    assert!(car::Reader::new(&v2[..]).is_err());
    let endless = std::io::repeat(0x80);
    assert!(matches!(
        car::Reader::new(endless.take(1 << 30)),
        Err(Error::Car(_))
    ));
}

/// Reads a block as each codec in each way; every outcome is fine, as long as there is one.
fn read_every_way(block: &[u8]) {
    for codec in [codec::RAW, codec::DAG_PB, codec::DAG_CBOR, 0x0129] {
        let mut memory = Memory::default();
        let cid = memory.put(codec, block.to_vec());
        let _ = resolve(&memory, &cid, &[]);
        let _ = resolve(&memory, &cid, &["a", "0"]);
        let _ = contains(&memory, &cid, &Default::default());
        list(&memory, &cid).take(1000).for_each(drop);
        Walk::new(&memory, &[cid]).take(1000).for_each(drop);
        if let Ok(reader) = FileReader::new(&memory, &cid, 0..u64::MAX) {
            reader.take(1000).for_each(drop);
        }
    }
}

/// Exports what must not be exported, and sees that nothing is left.
fn refused(memory: &Memory, root: &Cid, what: &[u8]) -> Error {
    let folder = TempDir::new().unwrap();
    let error = export(memory, root, &folder.path().join("out"), &mut |_| {}).unwrap_err();
    assert_eq!(
        describe(folder.path()),
        ["/"],
        "{}: {error}",
        String::from_utf8_lossy(what)
    );
    assert!(!error.to_string().contains("partial"), "{error}");
    error
}
