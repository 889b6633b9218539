//! Pins, garbage, verification, and who may have the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest};
use storage::{Error, Profile, Selection, Store, Walk, car, codec};
use tempfile::TempDir;

use crate::support::{Generator, Scratch, assert_clean, write_files};

#[test]
fn a_block_is_verified_when_it_comes_in() {
    let scratch = Scratch::new();
    let cid = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(b"right"));
    assert!(matches!(
        scratch.store.put(&cid, b"wrong"),
        Err(Error::Mismatch(_))
    ));
    assert_eq!(scratch.store.get(&cid).unwrap(), None);
    scratch.store.put(&cid, b"right").unwrap();
    assert_eq!(scratch.store.get(&cid).unwrap().unwrap(), "right");
    let foreign = Cid::new_v1(codec::RAW, Code::Sha2_512.digest(b"foreign"));
    scratch.store.put(&foreign, b"foreign").unwrap();
    assert!(scratch.store.has(&foreign).unwrap());
    assert_clean(&scratch.store);
}

#[test]
fn a_folder_in_use_is_refused_with_one_line() {
    let scratch = Scratch::new();
    let folder = scratch.folder.path().join("blocks");
    let error = Store::open(&folder).err().unwrap();
    assert!(matches!(error, Error::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!("{} is in use by another process", folder.display())
    );
    let clone = scratch.store.clone();
    drop(scratch.store);
    assert!(Store::open(&folder).is_err(), "a clone keeps it open");
    drop(clone);
    Store::open(&folder).unwrap();
}

#[test]
fn a_folder_that_cannot_be_a_store_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"x").unwrap();
    let error = Store::open(&file).err().unwrap().to_string();
    assert!(
        error.starts_with("cannot create the folder ") && error.contains("file"),
        "{error}"
    );
    assert!(!error.contains('\n'));
}

#[test]
fn pins_keep_what_is_below_them_and_gc_takes_the_rest() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    let keep = scratch.import(&[("a/shared", b"shared"), ("kept", b"kept")]);
    let drop = scratch.import(&[("a/shared", b"shared"), ("dropped", b"dropped")]);
    let loose = Cid::new_v1(codec::RAW, Code::Sha2_256.digest(b"loose"));
    store.put(&loose, b"loose").unwrap();
    assert_eq!(store.pins().unwrap().len(), 2);
    store.pin(&keep, "mine").unwrap();
    assert_eq!(
        store
            .pins()
            .unwrap()
            .iter()
            .find(|pin| pin.cid == keep)
            .unwrap()
            .label,
        "mine"
    );
    scratch.import(&[("a/shared", b"shared"), ("kept", b"kept")]);
    assert_eq!(
        store
            .pins()
            .unwrap()
            .iter()
            .find(|pin| pin.cid == keep)
            .unwrap()
            .label,
        "mine",
        "imports keep labels"
    );

    store.unpin(&drop).unwrap();
    let error = store.unpin(&drop).unwrap_err();
    assert_eq!(error.to_string(), format!("{drop} is not pinned"));
    let mut checked = 0;
    let freed = store.gc(&mut |progress| checked = progress.blocks).unwrap();
    assert_eq!(
        (freed.blocks, checked),
        (3, 7),
        "the root, its own file and the loose block"
    );
    assert!(!store.has(&loose).unwrap() && !store.has(&drop).unwrap());
    assert_eq!(Walk::new(store, &[keep]).map(Result::unwrap).count(), 4);
    assert_eq!(store.gc(&mut |_| {}).unwrap().blocks, 0);
    assert_clean(store);
}

#[test]
fn a_pin_needs_everything_below_it() {
    let scratch = Scratch::new();
    let other = Scratch::new();
    let root = other.import(&[("a", b"a"), ("b", b"b")]);
    for block in Walk::new(&other.store, &[root]).take(2) {
        let (cid, bytes) = block.unwrap();
        scratch.store.put(&cid, &bytes).unwrap();
    }
    assert!(matches!(scratch.store.pin(&root, ""), Err(Error::Missing(_))));
    assert!(!scratch.store.is_pinned(&root).unwrap());
    assert!(scratch.store.has(&root).unwrap(), "what was there before stays");
}

#[test]
fn a_car_that_is_not_whole_is_taken_without_a_pin_alone() {
    let (from, there) = (Scratch::new(), Scratch::new());
    let root = from.import(&[("a", b"1"), ("b", b"2")]);
    let (cid, block) = Walk::new(&from.store, &[root]).next().unwrap().unwrap();
    let mut writer = car::Writer::new(Vec::new(), &[root]).unwrap();
    writer.block(&cid, &block).unwrap();
    let part = writer.finish().unwrap();
    let refused = there.store.import_car(&part[..], &mut |_| {});
    assert!(matches!(refused, Err(Error::Missing(_))), "{refused:?}");
    assert_eq!(there.store.stat().unwrap().blocks, 0);
    assert_eq!(there.store.add_car(&part[..], &mut |_| {}).unwrap(), [root]);
    let stat = there.store.stat().unwrap();
    assert_eq!((stat.blocks, stat.pins), (1, 0));
    assert_eq!(there.store.gc(&mut |_| {}).unwrap().blocks, 1);
}

#[test]
fn gc_gives_the_disk_its_space_back() {
    let scratch = Scratch::new();
    let root = scratch.import(&[("large", &Generator::bytes(1, 30 << 20))]);
    let before = scratch.store.stat().unwrap();
    scratch.store.unpin(&root).unwrap();
    assert_eq!(scratch.store.gc(&mut |_| {}).unwrap().bytes, before.bytes);
    let after = scratch.store.stat().unwrap();
    assert_eq!((after.blocks, after.bytes, after.pins), (0, 0, 0));
    assert!(after.disk_bytes < before.disk_bytes / 4, "{before:?} {after:?}");
}

#[test]
fn a_failed_import_leaves_what_was_there() {
    let scratch = Scratch::new();
    let source = TempDir::new().unwrap();
    write_files(source.path(), &[("a", b"a"), ("b", b"b")]);
    let kept = scratch.import(&[("a", b"a")]);
    let before = scratch.store.stat().unwrap();
    let error = scratch
        .store
        .import_tar(&b"garbage"[..], Profile::V1_2025, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, Error::Tar { .. }));
    let gone = source.path().join("b");
    let failed = scratch
        .store
        .import_path(source.path(), Profile::V1_2025, &mut |_| {
            let _ = fs::remove_file(&gone);
        });
    assert!(matches!(failed, Err(Error::Source { .. })));
    let after = scratch.store.stat().unwrap();
    assert_eq!((after.blocks, after.pins), (before.blocks, before.pins));
    assert_eq!(Walk::new(&scratch.store, &[kept]).map(Result::unwrap).count(), 2);
}

#[test]
fn an_import_that_panics_leaves_nothing() {
    let scratch = Scratch::new();
    let source = TempDir::new().unwrap();
    fs::write(source.path().join("large"), Generator::bytes(1, 3 << 20)).unwrap();
    let import = std::panic::AssertUnwindSafe(|| {
        scratch
            .store
            .import_path(source.path(), Profile::V1_2025, &mut |progress| {
                assert!(progress.bytes < 2 << 20, "enough");
            })
    });
    assert!(std::panic::catch_unwind(import).is_err());
    assert_eq!(scratch.store.stat().unwrap().blocks, 0);
    scratch
        .store
        .import_path(source.path(), Profile::V1_2025, &mut |_| {})
        .unwrap();
}

#[test]
fn imports_and_gc_do_not_destroy_each_others_blocks() {
    let scratch = Scratch::new();
    let store = &scratch.store;
    thread::scope(|scope| {
        let importers: Vec<_> = (0..3)
            .map(|seed| scope.spawn(move || import_and_unpin(store, seed)))
            .collect();
        while !importers.iter().all(|importer| importer.is_finished()) {
            store.gc(&mut |_| {}).unwrap();
        }
    });
    assert_clean(store);
    scratch.store.gc(&mut |_| {}).unwrap();
    for pin in scratch.store.pins().unwrap() {
        scratch.store.unpin(&pin.cid).unwrap();
    }
    scratch.store.gc(&mut |_| {}).unwrap();
    assert_eq!(scratch.store.stat().unwrap().blocks, 0);
}

/// Trees that share most of their blocks with those of the other importers; some fail, some go at once.
fn import_and_unpin(store: &Store, seed: u32) {
    let source = TempDir::new().unwrap();
    for at in 0..20 {
        fs::write(source.path().join(format!("{at}")), Generator::bytes(at, 5000)).unwrap();
    }
    for round in 0..25 {
        fs::write(
            source.path().join("own"),
            Generator::bytes((seed + 1) * 1000 + round, 5000),
        )
        .unwrap();
        if round % 5 == 4 {
            let mut stream = Vec::new();
            storage::pack_tar(source.path(), Selection::default(), &mut stream, &mut |_| {}).unwrap();
            stream.truncate(stream.len() - 3000);
            assert!(
                store
                    .import_tar(&stream[..], Profile::V1_2025, &mut |_| {})
                    .is_err()
            );
            continue;
        }
        let root = store
            .import_path(source.path(), Profile::V1_2025, &mut |_| {})
            .unwrap()
            .root;
        assert_eq!(Walk::new(store, &[root]).map(Result::unwrap).count(), 22);
        if round % 2 == 0 {
            store.unpin(&root).unwrap();
        }
    }
}

#[test]
fn rot_on_disk_is_found_and_not_served() {
    let scratch = Scratch::new();
    let contents = Generator::bytes(5, 600_000);
    let root = scratch.import(&[("file", &contents), ("other", b"other")]);
    let Scratch { store, folder } = scratch;
    let path = folder.path().join("blocks");
    drop(store);
    // Everything is still in the log: opening writes it to blob files.
    drop(Store::open(&path).unwrap());
    let flipped = files(&path, "blob")
        .into_iter()
        .filter(|file| flip(file, &contents[1000..1064]))
        .count();
    assert_eq!(flipped, 1);
    let store = Store::open(&path).unwrap();
    let file = storage::resolve(&store, &root, &["file"]).map(|node| node.cid);
    assert!(matches!(file, Err(Error::Corrupt { .. })), "{file:?}");
    let report = store.verify(&mut |_| {}).unwrap();
    assert_eq!((report.bad.len(), report.blocks), (1, 3), "{report:?}");
    assert_eq!(
        report.bad[0].cid,
        Cid::new_v1(codec::RAW, Code::Sha2_256.digest(&contents))
    );
    assert!(!report.is_clean());
}

#[test]
fn a_store_is_the_same_after_it_was_closed() {
    let scratch = Scratch::new();
    let root = scratch.import(&[("a/b", b"b")]);
    scratch.store.pin(&root, "site").unwrap();
    let Scratch { store, folder } = scratch;
    let before = (store.pins().unwrap(), store.stat().unwrap().blocks);
    drop(store);
    let store = Store::open(&folder.path().join("blocks")).unwrap();
    assert_eq!((store.pins().unwrap(), store.stat().unwrap().blocks), before);
    assert_clean(&store);
}

#[test]
fn counters_count() {
    let scratch = Scratch::new();
    let root = scratch.import(&[("a", b"abc")]);
    let metrics = scratch.store.metrics();
    assert_eq!(metrics.blocks_written.get(), 2);
    scratch.store.get(&root).unwrap();
    scratch
        .store
        .get(&Cid::new_v1(codec::RAW, Code::Sha2_256.digest(b"no")))
        .unwrap();
    assert_eq!((metrics.blocks_read.get(), metrics.blocks_missed.get()), (1, 1));
    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("storage_blocks_written_total 2"), "{text}");
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

/// Flips one bit where `pattern` stands in a file.
fn flip(file: &Path, pattern: &[u8]) -> bool {
    let mut bytes = fs::read(file).unwrap();
    let Some(at) = bytes.windows(pattern.len()).position(|window| window == pattern) else {
        return false;
    };
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
    true
}
