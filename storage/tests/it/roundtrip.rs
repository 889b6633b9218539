//! What goes in comes out: trees through a tar stream, a store, a CAR and back to disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use storage::{FileReader, Import, Profile, Selection, Store, car, export, hash_path, pack_tar};
use tempfile::TempDir;

use crate::support::{Generator, Scratch, assert_clean, describe};

/// A tree to be written to disk.
#[derive(Clone, Debug)]
enum Tree {
    File { seed: u32, bytes: usize },
    Symlink(String),
    Folder(BTreeMap<String, Tree>),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back(tree in tree(), v0: bool) {
        let profile = if v0 { Profile::V0_2015 } else { Profile::V1_2025 };
        let (from, there, back) = (Scratch::new(), Scratch::new(), TempDir::new().unwrap());
        let source = back.path().join("source");
        tree.write(&source);

        let mut stream = Vec::new();
        pack_tar(&source, Selection::default(), &mut stream, &mut |_| {}).unwrap();
        let imported = from.store.import_tar(&stream[..], profile, &mut |_| {}).unwrap();
        prop_assert_eq!(imported.files, tree.files());
        let hashed = hash_path(&source, profile, &mut |_| {}).unwrap();
        prop_assert_eq!((hashed.root, hashed.bytes, hashed.files), (imported.root, imported.bytes, imported.files));

        let mut archive = Vec::new();
        car::write(&from.store, &[imported.root], &mut archive, &mut |_| {}).unwrap();
        prop_assert_eq!(there.store.import_car(&archive[..], &mut |_| {}).unwrap(), [imported.root]);
        let out = back.path().join("out");
        let done = export(&there.store, &imported.root, &out, &mut |_| {}).unwrap();
        prop_assert_eq!((done.files, done.bytes), (imported.files, imported.bytes));
        prop_assert_eq!(describe(&source), describe(&out));
        for store in [&from.store, &there.store] {
            assert_clean(store);
            prop_assert_eq!(store.gc(&mut |_| {}).unwrap().blocks, 0);
        }
    }

    #[test]
    fn ranges_are_cut_from_the_whole(bytes in 0usize..3_000_000, from in 0u64..3_100_000, length in 0u64..1_500_000) {
        let scratch = Scratch::new();
        let contents = Generator::bytes(bytes as u32, bytes);
        let path = scratch.folder.path().join("file");
        fs::write(&path, &contents).unwrap();
        for profile in Profile::ALL {
            let root = scratch.store.import_path(&path, profile, &mut |_| {}).unwrap().root;
            let to = from + length;
            let reader = FileReader::new(&scratch.store, &root, from..to).unwrap();
            prop_assert_eq!(reader.size(), bytes as u64);
            let (from, to) = (bytes.min(from as usize), bytes.min(to as usize));
            prop_assert_eq!(reader.range(), from as u64..to as u64);
            let pieces: Vec<_> = reader.map(Result::unwrap).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert_eq!(pieces.concat(), &contents[from..to]);
        }
    }
}

#[test]
fn a_second_import_adds_nothing() {
    let scratch = Scratch::new();
    let source = TempDir::new().unwrap();
    fs::write(source.path().join("large"), Generator::bytes(1, 3 << 20)).unwrap();
    fs::write(source.path().join("small"), b"x").unwrap();
    let import = |store: &Store| {
        store
            .import_path(source.path(), Profile::V1_2025, &mut |_| {})
            .unwrap()
    };
    let first = import(&scratch.store);
    let stat = scratch.store.stat().unwrap();
    assert_eq!(
        (first.files, first.bytes, stat.blocks, stat.pins),
        (2, (3 << 20) + 1, 6, 1)
    );
    assert_eq!(first.new_bytes, stat.bytes);
    assert!(stat.disk_bytes > 0);
    let second = import(&scratch.store);
    assert_eq!((second.root, second.new_bytes), (first.root, 0));
    assert_eq!(scratch.store.stat().unwrap().blocks, stat.blocks);
}

#[test]
fn progress_grows_to_the_whole() {
    let scratch = Scratch::new();
    let source = TempDir::new().unwrap();
    fs::write(source.path().join("a"), Generator::bytes(1, 3 << 20)).unwrap();
    fs::write(source.path().join("b"), b"x").unwrap();
    let mut seen = Vec::new();
    let imported = scratch
        .store
        .import_path(source.path(), Profile::V1_2025, &mut |progress| {
            seen.push(progress);
        })
        .unwrap();
    assert!(seen.is_sorted_by_key(|progress| (progress.files, progress.bytes)));
    let last = seen.last().unwrap();
    assert_eq!((last.files, last.bytes), (imported.files, imported.bytes));
    assert!(seen.len() > 4, "a large file reports while it is read");
}

#[test]
fn hidden_files_are_left_out_but_a_hidden_root_is_not() {
    let folder = TempDir::new().unwrap();
    let visible = folder.path().join("visible");
    let hidden = folder.path().join(".hidden");
    for root in [&visible, &hidden] {
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/a"), b"a").unwrap();
    }
    fs::create_dir_all(hidden.join(".git/objects")).unwrap();
    fs::write(hidden.join("sub/.env"), b"secret").unwrap();
    fs::write(hidden.join(".git/objects/x"), b"x").unwrap();
    let hash = |path: &Path| hash_path(path, Profile::V1_2025, &mut |_| {}).unwrap();
    assert_eq!(hash(&visible), hash(&hidden));
}

impl Tree {
    fn write(&self, path: &Path) {
        match self {
            Tree::File { seed, bytes } => fs::write(path, Generator::bytes(*seed, *bytes)).unwrap(),
            Tree::Symlink(target) => symlink(target, path).unwrap(),
            Tree::Folder(entries) => {
                fs::create_dir(path).unwrap();
                entries
                    .iter()
                    .for_each(|(name, entry)| entry.write(&path.join(name)));
            }
        }
    }

    fn files(&self) -> u64 {
        match self {
            Tree::Folder(entries) => entries.values().map(Tree::files).sum(),
            _ => 1,
        }
    }
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        4 => (any::<u32>(), 0usize..2000).prop_map(|(seed, bytes)| Tree::File { seed, bytes }),
        1 => (any::<u32>(), 200_000usize..1_200_000).prop_map(|(seed, bytes)| Tree::File { seed, bytes }),
        1 => "[a-zA-Z./ ]{1,120}".prop_map(Tree::Symlink),
        1 => Just(Tree::Folder(BTreeMap::new())),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop::collection::btree_map(name(), inner, 0..8).prop_map(Tree::Folder)
    })
}

/// Names that are not hidden.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,3}", "[^./\0][^/\0]{0,40}", "[a-z]{90,200}"]
}

#[test]
fn a_selection_takes_hidden_files_and_what_links_lead_to() {
    let scratch = Scratch::new();
    let folder = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    let site = folder.path().join("site");
    fs::create_dir_all(site.join(".well-known")).unwrap();
    fs::write(site.join(".well-known/key"), "k").unwrap();
    fs::write(site.join("page"), "p").unwrap();
    fs::create_dir(outside.path().join("lib")).unwrap();
    fs::write(outside.path().join("lib/a.js"), "a").unwrap();
    symlink(outside.path().join("lib"), site.join("lib")).unwrap();
    symlink("page", site.join("same")).unwrap();

    let mut stream = Vec::new();
    let packed = pack_tar(&site, Selection::default(), &mut stream, &mut |_| {}).unwrap();
    assert_eq!((packed.hidden, packed.outward), (1, 1));

    let selection = Selection {
        hidden: true,
        follow: true,
    };
    let import = Import {
        profile: Profile::V1_2025,
        selection,
    };
    let mut stream = Vec::new();
    let packed = pack_tar(&site, selection, &mut stream, &mut |_| {}).unwrap();
    assert_eq!((packed.hidden, packed.outward), (0, 0));
    let root = scratch
        .store
        .import_tar(&stream[..], import, &mut |_| {})
        .unwrap()
        .root;
    assert_eq!(root, hash_path(&site, import, &mut |_| {}).unwrap().root);
    let copy = folder.path().join("copy");
    export(&scratch.store, &root, &copy, &mut |_| {}).unwrap();
    for (name, text) in [
        (".well-known/key", "k"),
        ("page", "p"),
        ("same", "p"),
        ("lib/a.js", "a"),
    ] {
        let copied = copy.join(name);
        assert!(!copied.is_symlink(), "{name}");
        assert_eq!(fs::read_to_string(copied).unwrap(), text);
    }

    // A hidden file in a stream is only taken when asked for.
    let plain = scratch
        .store
        .import_tar(&stream[..], Profile::V1_2025, &mut |_| {})
        .unwrap();
    assert_eq!(plain.files, 3);
}

#[test]
fn links_that_cannot_be_followed_are_refused() {
    let follow = Selection {
        hidden: false,
        follow: true,
    };
    let import = Import {
        profile: Profile::V1_2025,
        selection: follow,
    };
    let cases = [
        ("nowhere", "No such file"),
        (".", "leads back into a folder that it is in"),
    ];
    for (target, reason) in cases {
        let site = TempDir::new().unwrap();
        symlink(target, site.path().join("link")).unwrap();
        let error = hash_path(site.path(), import, &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(error.contains("link") && error.contains(reason), "{error}");
    }
}
