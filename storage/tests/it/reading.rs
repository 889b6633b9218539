//! Reading asks for no more than it needs, and goes on once what was missing is there.

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, Mutex};

use cid::Cid;
use storage::{
    Blocks, Entry, Error, FileReader, Kind, Profile, Store, Walk, codec, contains, export, list, list_after,
    resolve,
};
use tempfile::TempDir;

use crate::support::{Generator, Memory, Scratch, write_files};

#[test]
fn paths_lead_to_objects_with_one_root_a_segment() {
    let scratch = Scratch::new();
    let root = scratch.import(&[
        ("docs/guide/index.html", b"<p>"),
        ("docs/empty/", b""),
        ("a", b"a"),
    ]);
    let node = resolve(&scratch.store, &root, &["docs", "guide", "index.html"]).unwrap();
    assert_eq!(node.roots.len(), 4);
    assert_eq!((node.roots[0], node.roots[3]), (root, node.cid));
    assert_eq!(node.kind, Kind::Raw { size: 3 });
    assert_eq!(
        resolve(&scratch.store, &root, &["docs", "empty"]).unwrap().kind,
        Kind::Directory
    );
    assert_eq!(resolve(&scratch.store, &root, &[]).unwrap().roots, [root]);
    for path in [
        &["nothing"][..],
        &["docs", "nothing"],
        &["a", "below"],
        &["docs", "empty", "x"],
        &["docs", ""],
    ] {
        match resolve(&scratch.store, &root, path).unwrap_err() {
            Error::NoLink { segment, .. } => assert_eq!(segment, *path.last().unwrap()),
            error => panic!("{error}"),
        }
    }
}

#[test]
fn paths_cross_dag_cbor_and_report_what_is_left() {
    let mut memory = Memory::default();
    let file = memory.put(codec::RAW, &b"file"[..]);
    let dir = memory.put_node(&[(b"f", file)], &[8, 1]);
    let inner = cbor_map(&[("dir", dir)]);
    let inner = memory.put(codec::DAG_CBOR, inner);
    let outer = memory.put(codec::DAG_CBOR, cbor_map(&[("next", inner)]));
    let node = resolve(&memory, &outer, &["next", "dir", "f"]).unwrap();
    assert_eq!(
        (node.cid, node.kind, node.roots),
        (file, Kind::Raw { size: 4 }, vec![outer, inner, dir, file])
    );
    assert_eq!(resolve(&memory, &outer, &["next"]).unwrap().kind, Kind::DagCbor);
    assert!(matches!(
        resolve(&memory, &outer, &["nothing"]),
        Err(Error::NoLink { .. })
    ));

    let list = memory.put(
        codec::DAG_CBOR,
        [&[0x82, 0xa1, 0x61, b'k', 0x18, 42][..], &cbor_link(&file)].concat(),
    );
    let node = resolve(&memory, &list, &["0", "k"]).unwrap();
    assert_eq!(
        (node.cid, node.rest),
        (list, vec!["0".to_owned(), "k".to_owned()])
    );
    assert_eq!(resolve(&memory, &list, &["1"]).unwrap().cid, file);
    assert!(matches!(
        resolve(&memory, &list, &["2"]),
        Err(Error::NoLink { .. })
    ));
    assert_eq!(
        Walk::new(&memory, &[outer])
            .map(|block| block.unwrap().0)
            .collect::<Vec<_>>(),
        [outer, inner, dir, file]
    );
}

#[test]
fn a_large_folder_is_read_one_shard_a_level() {
    let (memory, root) = large_folder();
    for name in ["name-0", "name-4711", "name-5999"] {
        memory.take_asked();
        let node = resolve(&memory, &root, &[name]).unwrap();
        assert_eq!(
            node.kind,
            Kind::Raw {
                size: name.len() as u64
            }
        );
        assert!(
            memory.take_asked().len() <= 4,
            "root shard, two shards below at most, the file"
        );
    }
    assert!(matches!(
        resolve(&memory, &root, &["name-6000"]),
        Err(Error::NoLink { .. })
    ));
    let entries: Vec<Entry> = list(&memory, &root).map(Result::unwrap).collect();
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!((entries.len(), names.len()), (6000, 6000));
    assert!(names.contains("name-4711"));
}

#[test]
fn a_listing_goes_on_after_a_name() {
    let (memory, root) = large_folder();
    let all: Vec<Entry> = list(&memory, &root).map(Result::unwrap).collect();
    for at in [0, 2999, 5998, 5999] {
        memory.take_asked();
        let rest: Vec<Entry> = list_after(&memory, &root, &all[at].name)
            .map(Result::unwrap)
            .collect();
        assert!(rest == all[at + 1..], "after entry {at}");
        assert!(
            at < 5998 || memory.take_asked().len() <= 3,
            "what comes before is not read"
        );
    }
    let scratch = Scratch::new();
    let root = scratch.import(&[("a", b"a"), ("b", b"b"), ("d", b"d")]);
    let after = |name| -> Vec<String> {
        let entries = list_after(&scratch.store, &root, name);
        entries.map(|entry| entry.unwrap().name).collect()
    };
    assert_eq!(after("a"), ["b", "d"]);
    assert_eq!(after("c"), ["d"], "of a name that is not there");
    assert!(after("d").is_empty());
}

#[test]
fn a_listing_goes_on_after_a_missing_block() {
    let (memory, root) = large_folder();
    let late = Late {
        inner: &memory,
        refused: Default::default(),
    };
    let (mut entries, mut missed) = (0, 0);
    for entry in list(&late, &root) {
        match entry {
            Ok(_) => entries += 1,
            Err(Error::Missing(_)) => missed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(entries, 6000);
    assert!(missed > 1);
}

#[test]
fn one_reader_goes_on_after_a_missing_block() {
    let scratch = Scratch::new();
    let contents = Generator::bytes(9, 3 << 20);
    let path = scratch.folder.path().join("file");
    fs::write(&path, &contents).unwrap();
    let root = scratch
        .store
        .import_path(&path, Profile::V1_2025, &mut |_| {})
        .unwrap()
        .root;
    let late = Late {
        inner: &scratch.store,
        refused: Default::default(),
    };
    let mut read = Vec::new();
    let mut missed = 0;
    let reader = loop {
        match FileReader::new(&late, &root, 0..u64::MAX) {
            Ok(reader) => break reader,
            Err(Error::Missing(_)) => missed += 1,
            Err(error) => panic!("{error}"),
        }
    };
    for piece in reader {
        match piece {
            Ok(piece) => read.extend_from_slice(&piece),
            Err(Error::Missing(_)) => missed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((read, missed), (contents, 4));
}

#[test]
fn a_range_touches_only_its_blocks() {
    let mut memory = Memory::default();
    let chunks: Vec<Cid> = (0..4u8).map(|at| memory.put(codec::RAW, vec![at; 100])).collect();
    let links: Vec<(&[u8], Cid)> = chunks.iter().map(|cid| (&b""[..], *cid)).collect();
    let root = memory.put_node(
        &links,
        &[8, 2, 0x18, 0x90, 3, 0x20, 100, 0x20, 100, 0x20, 100, 0x20, 100],
    );
    let reader = FileReader::new(&memory, &root, 150..250).unwrap();
    assert_eq!(
        reader.map(Result::unwrap).collect::<Vec<_>>().concat(),
        [[1; 50], [2; 50]].concat()
    );
    assert_eq!(memory.take_asked(), [root, root, chunks[1], chunks[2]]);
    memory.blocks.remove(&chunks[0]);
    assert_eq!(
        FileReader::new(&memory, &root, 100..400).unwrap().count(),
        3,
        "a block before the range may be missing"
    );
    assert_eq!(FileReader::new(&memory, &root, 400..500).unwrap().count(), 0);
    assert!(matches!(
        FileReader::new(&memory, &memory.put_only(), 0..1),
        Err(Error::Missing(_))
    ));
}

#[test]
fn readers_tell_what_they_will_read_next() {
    let scratch = Scratch::new();
    let path = scratch.folder.path().join("file");
    fs::write(&path, Generator::bytes(1, 20 << 20)).unwrap();
    let imported = scratch.store.import_path(&path, Profile::V0_2015, &mut |_| {});
    let file = imported.unwrap().root;
    let dir = scratch.import(&[("a/b", b"b"), ("c", b"c"), ("d", b"d")]);
    let memory = Arc::new(Told::new(&scratch.store));

    // Owned, so that it can go to another thread.
    let reader: Box<dyn Iterator<Item = _> + Send> =
        Box::new(FileReader::new(Arc::clone(&memory), &file, 0..u64::MAX).unwrap());
    assert_eq!(reader.map(Result::unwrap).count(), 80);
    memory.check(
        &Walk::new(&scratch.store, &[file])
            .map(|block| block.unwrap().0)
            .collect::<Vec<_>>(),
        64,
    );

    let reader = FileReader::new(&memory, &file, (5 << 20) + 1..(6 << 20) - 1).unwrap();
    assert_eq!(reader.map(Result::unwrap).count(), 4);
    assert_eq!(
        memory
            .told
            .lock()
            .unwrap()
            .drain(..)
            .collect::<HashSet<_>>()
            .len(),
        5,
        "the root and a range"
    );

    let blocks: Vec<Cid> = Walk::new(&memory, &[dir]).map(|block| block.unwrap().0).collect();
    memory.check(&blocks, 64);
    export(&memory, &dir, &scratch.folder.path().join("out"), &mut |_| {}).unwrap();
    memory.check(&blocks[1..], 64);
    resolve(&memory, &dir, &["a", "b"]).unwrap();
    assert_eq!(*memory.paths.lock().unwrap(), [(dir, "a/b".to_owned())]);
}

/// A store that remembers what it was told.
struct Told {
    store: Store,
    told: Mutex<Vec<Cid>>,
    /// The longest that was told at once.
    most: Mutex<usize>,
    paths: Mutex<Vec<(Cid, String)>>,
}

impl Blocks for Told {
    fn block(&self, cid: &Cid) -> Result<Option<bytes::Bytes>, Error> {
        self.store.block(cid)
    }

    fn soon(&self, cids: &mut dyn Iterator<Item = &Cid>) {
        let mut told = self.told.lock().unwrap();
        let before = told.len();
        told.extend(cids);
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(told.len() - before);
    }

    fn path(&self, root: &Cid, segments: &[&str]) {
        self.paths.lock().unwrap().push((*root, segments.join("/")));
    }
}

impl Told {
    fn new(store: &Store) -> Told {
        Told {
            store: store.clone(),
            told: Mutex::default(),
            most: Mutex::default(),
            paths: Mutex::default(),
        }
    }

    /// All of these were told and no others, and never more than so many at once.
    fn check(&self, blocks: &[Cid], most: usize) {
        let mut seen = HashSet::new();
        let told: Vec<Cid> = self
            .told
            .lock()
            .unwrap()
            .drain(..)
            .filter(|cid| seen.insert(*cid))
            .collect();
        assert_eq!(
            told.iter().collect::<HashSet<_>>(),
            blocks.iter().collect::<HashSet<_>>()
        );
        assert!(*self.most.lock().unwrap() <= most);
    }
}

#[test]
fn a_file_is_found_inside_a_tree() {
    let scratch = Scratch::new();
    let large = Generator::bytes(3, 2 << 20);
    let root = scratch.import(&[("a/b/c", b"deep"), ("a/large", &large), ("z", b"z")]);
    let at = |path: &[&str]| resolve(&scratch.store, &root, path).unwrap().cid;
    for path in [&["a", "b", "c"][..], &["a", "b"], &["a", "large"], &["z"], &[]] {
        let wanted = HashSet::from([at(path)]);
        assert_eq!(
            contains(&scratch.store, &root, &wanted).unwrap(),
            Some(path.join("/"))
        );
    }
    let chunk = Walk::new(&scratch.store, &[at(&["a", "large"])])
        .last()
        .unwrap()
        .unwrap()
        .0;
    assert_eq!(
        contains(&scratch.store, &root, &HashSet::from([chunk])).unwrap(),
        None
    );
}

#[test]
fn inline_blocks_need_no_store() {
    let scratch = Scratch::new();
    let hello: Cid = "bafkqabtimvwgy3yk".parse().unwrap();
    assert_eq!(
        resolve(&scratch.store, &hello, &[]).unwrap().kind,
        Kind::Raw { size: 6 }
    );
    assert_eq!(
        FileReader::new(&scratch.store, &hello, 0..u64::MAX)
            .unwrap()
            .next()
            .unwrap()
            .unwrap(),
        "hello\n"
    );
    scratch.store.put(&hello, b"hello\n").unwrap();
    assert!(scratch.store.has(&hello).unwrap());
    assert_eq!(scratch.store.stat().unwrap().blocks, 0);
}

#[test]
fn both_versions_and_every_codec_of_a_cid_share_the_block() {
    let scratch = Scratch::new();
    let path = scratch.folder.path().join("file");
    write_files(scratch.folder.path(), &[("file", b"x")]);
    let v0 = scratch
        .store
        .import_path(&path, Profile::V0_2015, &mut |_| {})
        .unwrap()
        .root;
    let v1 = v0.into_v1().unwrap();
    assert_eq!(scratch.store.get(&v0).unwrap(), scratch.store.get(&v1).unwrap());
    assert!(scratch.store.is_pinned(&v1).unwrap());
    let raw = Cid::new_v1(codec::RAW, *v0.hash());
    assert_eq!(
        resolve(&scratch.store, &raw, &[]).unwrap().kind,
        Kind::Raw { size: 9 }
    );
}

/// A folder of 6,000 files that hold their own names.
fn large_folder() -> (Memory, Cid) {
    let scratch = Scratch::new();
    let source = TempDir::new().unwrap();
    for at in 0..6000 {
        let name = format!("name-{at}");
        fs::write(source.path().join(&name), &name).unwrap();
    }
    let root = scratch
        .store
        .import_path(source.path(), Profile::V1_2025, &mut |_| {})
        .unwrap()
        .root;
    let blocks = Walk::new(&scratch.store, &[root]).map(Result::unwrap).collect();
    (
        Memory {
            blocks,
            ..Memory::default()
        },
        root,
    )
}

/// Refuses each block once.
struct Late<'a> {
    inner: &'a dyn Blocks,
    refused: std::cell::RefCell<HashSet<Cid>>,
}

impl Blocks for Late<'_> {
    fn block(&self, cid: &Cid) -> Result<Option<bytes::Bytes>, Error> {
        if self.refused.borrow_mut().insert(*cid) {
            Ok(None)
        } else {
            self.inner.block(cid)
        }
    }
}

impl Memory {
    /// The CID of a block that is not here.
    fn put_only(&self) -> Cid {
        Memory::default().put(codec::RAW, &b"elsewhere"[..])
    }
}

fn cbor_map(entries: &[(&str, Cid)]) -> Vec<u8> {
    let mut out = vec![0xa0 | entries.len() as u8];
    for (key, cid) in entries {
        out.push(0x60 | key.len() as u8);
        out.extend(key.bytes());
        out.extend(cbor_link(cid));
    }
    out
}

fn cbor_link(cid: &Cid) -> Vec<u8> {
    let bytes = cid.to_bytes();
    [&[0xd8, 42, 0x58, bytes.len() as u8 + 1, 0][..], &bytes].concat()
}

#[test]
fn a_walk_may_visit_a_block_for_every_link() {
    let mut memory = Memory::default();
    let mut cid = memory.put(codec::RAW, &b"leaf"[..]);
    for _ in 0..6 {
        cid = memory.put_node(&[(b"a", cid), (b"b", cid)], &[8, 1]);
    }
    assert_eq!(Walk::new(&memory, &[cid]).count(), 7);
    assert_eq!(Walk::repeated(&memory, &[cid]).count(), 127);
    // Endless in practice: whoever asks takes as much as it wants.
    for _ in 0..1000 {
        cid = memory.put_node(&[(b"a", cid), (b"b", cid)], &[8, 1]);
    }
    let some = Walk::repeated(&memory, &[cid]).take(5000).filter(Result::is_ok);
    assert_eq!(some.count(), 5000);
}
