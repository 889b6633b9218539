//! The same CIDs as an independent importer, for several hundred trees; see `tests/oracle/trees.mjs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;
use storage::{Profile, Store, hash_path, pack_tar};
use tempfile::TempDir;

use crate::support::{Generator, Scratch, assert_clean};

#[test]
fn folders_on_disk_get_the_same_cids() {
    check(|path, profile| hash_path(path, profile, &mut |_| {}).unwrap().root.to_string());
}

#[test]
fn tar_streams_get_the_same_cids() {
    let scratch = Scratch::new();
    check(|path, profile| import_packed(&scratch.store, path, profile));
    assert_clean(&scratch.store);
}

fn import_packed(store: &Store, path: &Path, profile: Profile) -> String {
    let mut stream = Vec::new();
    pack_tar(path, &mut stream, &mut |_| {}).unwrap();
    store
        .import_tar(&stream[..], profile, &mut |_| {})
        .unwrap()
        .root
        .to_string()
}

/// Builds each tree of the fixture and compares `root` of it with the CIDs there.
fn check(root: impl Fn(&Path, Profile) -> String) {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unixfs_trees.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixture).unwrap()).unwrap();
    assert!(cases.len() > 300);
    for case in cases {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("root");
        for entry in case["tree"].as_array().unwrap() {
            write_entry(&path, entry);
        }
        for profile in Profile::ALL {
            let expected = case["cids"][profile.name()].as_str().unwrap();
            assert_eq!(root(&path, profile), expected, "{profile}: {}", case["tree"]);
        }
    }
}

fn write_entry(root: &Path, entry: &Value) {
    let path = match entry[0].as_str().unwrap() {
        "" => root.to_owned(),
        below => root.join(below),
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    match entry[1].as_str().unwrap() {
        "file" => fs::write(
            path,
            Generator::bytes(number(entry, 3), number(entry, 2) as usize),
        )
        .unwrap(),
        "dir" => fs::create_dir_all(path).unwrap(),
        "link" => symlink(entry[2].as_str().unwrap(), path).unwrap(),
        "many" => write_many(
            &path,
            number(entry, 2),
            number(entry, 3) as usize,
            number(entry, 4),
        ),
        kind => panic!("{kind}"),
    }
}

fn write_many(folder: &PathBuf, count: u32, name_bytes: usize, seed: u32) {
    fs::create_dir_all(folder).unwrap();
    let mut generator = Generator(seed);
    for at in 0..count {
        let letters = (8..name_bytes).map(|_| LETTERS[(generator.next() >> 27) as usize] as char);
        let name = format!("{}{at:08x}", letters.collect::<String>());
        fs::write(folder.join(name), Generator::bytes(at, at as usize % 200)).unwrap();
    }
}

fn number(entry: &Value, at: usize) -> u32 {
    entry[at].as_u64().unwrap().try_into().unwrap()
}

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
