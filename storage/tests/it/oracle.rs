//! The same CIDs as an independent importer, for several hundred trees; see `tests/oracle/trees.mjs`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use storage::{Profile, Selection, hash_path, pack_tar};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::support::{Generator, Scratch, assert_clean};

#[test]
fn trees_get_the_same_cids_from_disk_and_from_a_tar_stream() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/unixfs_trees.json");
    let cases: Vec<Value> = serde_json::from_slice(&fs::read(fixture).unwrap()).unwrap();
    assert!(cases.len() > 300);
    let scratch = Scratch::new();
    for case in cases {
        let tree: Vec<Entry> = case["tree"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(entries)
            .collect();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("root");
        let (on_disk, stream) = if tree.len() < LARGE {
            write_disk(&path, &tree);
            (true, pack(&path))
        } else {
            (false, write_tar(&tree))
        };
        for profile in Profile::ALL {
            let expected = case["cids"][profile.name()].as_str().unwrap();
            let imported = scratch
                .store
                .import_tar(&stream[..], profile, &mut |_| {})
                .unwrap();
            assert_eq!(imported.root.to_string(), expected, "{profile}: {}", case["tree"]);
            if on_disk {
                let hashed = hash_path(&path, profile, &mut |_| {}).unwrap();
                assert_eq!(hashed.root, imported.root, "{profile}: {}", case["tree"]);
            }
        }
    }
    assert_clean(&scratch.store);
}

/// A path below the root, and what is there.
type Entry = (String, Item);

enum Item {
    File(Vec<u8>),
    Folder,
    Symlink(String),
}

/// What one entry of a description stands for.
fn entries(entry: &Value) -> Vec<Entry> {
    let text = |at: usize| entry[at].as_str().unwrap().to_owned();
    let number = |at: usize| u32::try_from(entry[at].as_u64().unwrap()).unwrap();
    let path = text(0);
    match entry[1].as_str().unwrap() {
        "file" => vec![(path, Item::File(Generator::bytes(number(3), number(2) as usize)))],
        "dir" => vec![(path, Item::Folder)],
        "link" => vec![(path, Item::Symlink(text(2)))],
        "many" => many(&path, number(2), number(3) as usize, number(4)),
        kind => panic!("{kind}"),
    }
}

fn many(folder: &str, count: u32, name_bytes: usize, seed: u32) -> Vec<Entry> {
    let mut generator = Generator(seed);
    let files = (0..count).map(|at| {
        let letters = (8..name_bytes).map(|_| LETTERS[(generator.next() >> 27) as usize] as char);
        let name = format!("{}{at:08x}", letters.collect::<String>());
        let path = if folder.is_empty() {
            name
        } else {
            format!("{folder}/{name}")
        };
        (path, Item::File(Generator::bytes(at, at as usize % 200)))
    });
    files.collect()
}

fn write_disk(root: &Path, tree: &[Entry]) {
    for (path, item) in tree {
        let path = if path.is_empty() {
            root.to_owned()
        } else {
            root.join(path)
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match item {
            Item::File(contents) => fs::write(path, contents).unwrap(),
            Item::Folder => fs::create_dir_all(path).unwrap(),
            Item::Symlink(target) => symlink(target, path).unwrap(),
        }
    }
}

fn pack(path: &Path) -> Vec<u8> {
    let mut stream = Vec::new();
    pack_tar(path, Selection::default(), &mut stream, &mut |_| {}).unwrap();
    stream
}

/// For trees with so many files that a disk would be slow.
fn write_tar(tree: &[Entry]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, item) in tree {
        let path = format!("root/{path}");
        let mut header = Header::new_gnu();
        match item {
            Item::File(contents) => {
                header.set_size(contents.len() as u64);
                builder.append_data(&mut header, path, &contents[..]).unwrap();
            }
            Item::Folder => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                builder.append_data(&mut header, path, &[][..]).unwrap();
            }
            Item::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
const LARGE: usize = 1000;
