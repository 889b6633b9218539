//! What the suites share: folders that vanish, small DAGs in memory, tar streams by hand.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use storage::{Blocks, Error, Profile, Store, codec};
use tempfile::TempDir;

/// A store in a folder that vanishes with it.
pub struct Scratch {
    pub store: Store,
    pub folder: TempDir,
}

impl Scratch {
    pub fn new() -> Scratch {
        let folder = TempDir::new().unwrap();
        let store = Store::open(&folder.path().join("blocks")).unwrap();
        Scratch { store, folder }
    }

    /// Imports a folder that holds these files.
    pub fn import(&self, files: &[(&str, &[u8])]) -> Cid {
        let source = TempDir::new().unwrap();
        write_files(source.path(), files);
        self.store
            .import_path(source.path(), Profile::V1_2025, &mut |_| {})
            .unwrap()
            .root
    }
}

/// Sees that every block is what it should be, and every pinned tree whole.
pub fn assert_clean(store: &Store) {
    let report = store.verify(&mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// Blocks in memory, which remember what was asked for.
#[derive(Default)]
pub struct Memory {
    pub blocks: HashMap<Cid, Bytes>,
    pub asked: Mutex<Vec<Cid>>,
}

impl Memory {
    pub fn put(&mut self, codec: u64, block: impl Into<Bytes>) -> Cid {
        let block = block.into();
        let cid = Cid::new_v1(codec, Code::Sha2_256.digest(&block));
        self.blocks.insert(cid, block);
        cid
    }

    /// A dag-pb node with these links and this data.
    pub fn put_node(&mut self, links: &[(&[u8], Cid)], data: &[u8]) -> Cid {
        self.put(codec::DAG_PB, node(links, data))
    }

    /// What was asked for since the last call.
    pub fn take_asked(&self) -> Vec<Cid> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Blocks for Memory {
    fn block(&self, cid: &Cid) -> Result<Option<Bytes>, Error> {
        self.asked.lock().unwrap().push(*cid);
        Ok(self.blocks.get(cid).cloned())
    }
}

/// The bytes of a dag-pb node; lengths above 127 are spelled with two bytes.
pub fn node(links: &[(&[u8], Cid)], data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, cid) in links {
        let link = [field(1, &cid.to_bytes()), field(2, name), vec![0x18, 0]].concat();
        out.extend(field(2, &link));
    }
    out.extend(field(1, data));
    out
}

/// A length-delimited protobuf field of up to 16 KiB.
pub fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut out = vec![number << 3 | 2];
    match length {
        0..128 => out.push(length as u8),
        _ => out.extend([length as u8 | 0x80, (length >> 7) as u8]),
    }
    out.extend(value);
    out
}

/// Writes files with their folders; a name that ends in `/` is an empty folder.
pub fn write_files(root: &Path, files: &[(&str, &[u8])]) {
    for (name, contents) in files {
        let path = root.join(name);
        if name.ends_with('/') {
            fs::create_dir_all(&path).unwrap();
            continue;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

/// What is below a path, as text: one line for each file, folder and symlink.
pub fn describe(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    describe_at(root, "", &mut lines);
    lines
}

fn describe_at(path: &Path, below: &str, lines: &mut Vec<String>) {
    let kind = fs::symlink_metadata(path).unwrap().file_type();
    if kind.is_symlink() {
        lines.push(format!("{below} -> {}", fs::read_link(path).unwrap().display()));
    } else if kind.is_file() {
        lines.push(format!(
            "{below} {}",
            hex::encode(Code::Sha2_256.digest(&fs::read(path).unwrap()).digest())
        ));
    } else {
        lines.push(format!("{below}/"));
        let mut names: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            describe_at(
                &path.join(&name),
                &format!("{below}/{}", name.to_str().unwrap()),
                lines,
            );
        }
    }
}

/// Bytes that differ by seed and do not repeat soon; the generator of `oracle/trees.mjs`.
pub struct Generator(pub u32);

impl Generator {
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0
    }

    pub fn bytes(seed: u32, length: usize) -> Vec<u8> {
        let mut generator = Generator(seed);
        (0..length).map(|_| (generator.next() >> 24) as u8).collect()
    }
}
