//! Tar streams from elsewhere: every usual form is taken, every hostile one refused with one clear line.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use storage::{Error, Profile, Selection, hash_path, pack_tar};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use crate::support::{Scratch, assert_clean, write_files};

#[test]
fn every_order_and_form_of_the_same_tree_has_one_root() {
    let source = TempDir::new().unwrap();
    write_files(
        source.path(),
        &[("a/x", b"1"), ("a/b/y", b"2"), ("c/", b""), ("z", b"3")],
    );
    let expected = hash_path(source.path(), Profile::V1_2025, &mut |_| {})
        .unwrap()
        .root;
    for entries in [
        &["./", "./a/", "./a/b/", "./a/b/y=2", "./a/x=1", "./c/", "./z=3"][..],
        &["site/", "site/a/x=1", "site/a/b/y=2", "site/c/", "site/z=3"],
        // Without entries for folders that have something in them.
        &["site/a/x=1", "site/z=3", "site/c/", "site/a/b/y=2"],
        // Folders first, then their contents: each is opened again.
        &[
            "./",
            "./a/",
            "./a/b/",
            "./c/",
            "./z=3",
            "./a/x=1",
            "./c/",
            "./a/b/y=2",
            "./a/",
        ],
        &[
            "./a/b/y=2",
            "./z=3",
            "./a/x=1",
            "./c/",
            "./.hidden=4",
            "./a/.b/c=5",
        ],
        &[".hidden/a/x=1", ".hidden/a/b/y=2", ".hidden/c/", ".hidden/z=3"],
    ] {
        let scratch = Scratch::new();
        let imported = scratch
            .store
            .import_tar(&stream(entries)[..], Profile::V1_2025, &mut |_| {})
            .unwrap();
        assert_eq!(
            (imported.root, imported.files, imported.bytes),
            (expected, 3, 3),
            "{entries:?}"
        );
    }
}

#[test]
fn hostile_entries_are_refused_with_a_line() {
    for (entries, expected) in [
        (
            &["./../x=1"][..],
            r#"tar stream: "./../x": is not a plain path below the top entry"#,
        ),
        (
            &["../x=1"],
            r#"tar stream: "../x": is not a plain path below the top entry"#,
        ),
        (
            &["a/../../x=1"],
            r#"tar stream: "a/../../x": is not a plain path below the top entry"#,
        ),
        (
            &["/etc/passwd=1"],
            r#"tar stream: "/etc/passwd": is not a plain path below the top entry"#,
        ),
        (
            &["a//b=1"],
            r#"tar stream: "a//b": is not a plain path below the top entry"#,
        ),
        (
            &["./a/./b=1"],
            r#"tar stream: "./a/./b": is not a plain path below the top entry"#,
        ),
        (
            &["a/x=1", "b/x=1"],
            r#"tar stream: "b/x": there must be one top entry, and "a" came first"#,
        ),
        (&["./a=1", "./a=2"], r#""a": is there twice"#),
        (
            &["./a=1", "./b=1", "./a/b=2"],
            r#""a": is both a file and a folder"#,
        ),
        (&["./a/b=1", "./c=1", "./a=2"], r#""a": is there twice"#),
        (&["a=1", "a/b=1"], r#""b": is below a file"#),
        (&["a=1", "a=1"], r#"".": is there twice"#),
        (
            &["./", "./l>", "./x=1"],
            r#""l": the target of a symlink must have 1 to 4096 bytes"#,
        ),
        (
            &["./h^./x"],
            r#"tar stream: "./h": is a hard link; pack with --hard-dereference"#,
        ),
        (
            &["./null!"],
            r#"tar stream: "./null": is neither a file, a folder nor a symlink"#,
        ),
        (&[], r#"tar stream: "": it holds no entry to import"#),
    ] {
        refused(&stream(entries), expected);
    }
    let deep = format!("./{}x=1", "d/".repeat(300));
    assert!(refuse(&stream(&[&deep])).ends_with("is deeper than 256 folders"));
    let long = format!("./{}=1", "n".repeat(300));
    assert!(refuse(&stream(&[&long])).ends_with("has a name of more than 255 bytes"));
}

#[test]
fn a_stream_cut_short_is_refused_wherever_it_is_cut() {
    let whole = stream(&["./", "./a=1", "./b/c=2"]);
    let end = whole.len() - 1024;
    for cut in (0..=end).step_by(256) {
        let error = refuse(&whole[..cut]);
        assert!(error.ends_with("the stream is cut short"), "{cut}: {error}");
    }
    let scratch = Scratch::new();
    scratch
        .store
        .import_tar(&whole[..end + 512], Profile::V1_2025, &mut |_| {})
        .unwrap();
}

#[test]
fn extension_headers_are_bounded() {
    let mut huge = Header::new_gnu();
    huge.set_entry_type(EntryType::GNULongName);
    huge.set_size(1 << 40);
    huge.set_cksum();
    refused(
        huge.as_bytes(),
        r#"tar stream: "": an extension header is too large"#,
    );
    let mut empty = Header::new_gnu();
    empty.set_entry_type(EntryType::XGlobalHeader);
    empty.set_size(0);
    empty.set_cksum();
    refused(
        &empty.as_bytes().repeat(100),
        r#"tar stream: "": too many extension headers in a row"#,
    );
    let mut damaged = stream(&["./a=1"]);
    damaged[0] ^= 1;
    assert!(refuse(&damaged).ends_with("the header is damaged"));
}

#[test]
fn pax_headers_are_understood() {
    let name = format!("./{}/日本語", "p".repeat(200));
    let mut builder = Builder::new(Vec::new());
    builder
        .append_pax_extensions([("path", name.as_bytes()), ("mtime", b"1.5")])
        .unwrap();
    append(&mut builder, EntryType::Regular, "short", "", b"1");
    let source = TempDir::new().unwrap();
    write_files(source.path(), &[(&name, b"1")]);
    let expected = hash_path(source.path(), Profile::V1_2025, &mut |_| {})
        .unwrap()
        .root;
    let scratch = Scratch::new();
    let stream = builder.into_inner().unwrap();
    let imported = scratch
        .store
        .import_tar(&stream[..], Profile::V1_2025, &mut |_| {})
        .unwrap();
    assert_eq!(imported.root, expected);
}

#[test]
fn what_cannot_be_published_is_named() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for result in [
        pack_tar(folder.path(), Selection::default(), Vec::new(), &mut |_| {}),
        hash_path(folder.path(), Profile::V1_2025, &mut |_| {}).map(|_| storage::Packed::default()),
    ] {
        let expected = format!(
            "cannot publish {}: it is neither a file, a folder nor a symlink",
            socket.display()
        );
        assert_eq!(result.unwrap_err().to_string(), expected);
    }
    let nothing = folder.path().join("nothing");
    let error = pack_tar(&nothing, Selection::default(), Vec::new(), &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot publish {}: No such file or directory (os error 2)",
            nothing.display()
        )
    );
    let latin = TempDir::new().unwrap();
    let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xe9");
    fs::write(latin.path().join(name), b"x").unwrap();
    let error = pack_tar(latin.path(), Selection::default(), Vec::new(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().ends_with("its name is not UTF-8"), "{error}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    for change in [
        |path: &Path| fs::write(path, vec![0; 10]).unwrap(),
        |path: &Path| {
            fs::write(path, vec![0; 3 << 20]).unwrap();
        },
    ] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![0; 2 << 20]).unwrap();
        let mut changed = false;
        let error = pack_tar(folder.path(), Selection::default(), Vec::new(), &mut |_| {
            if !std::mem::replace(&mut changed, true) {
                change(&path);
            }
        });
        let expected = format!("cannot publish {}: it changed while it was read", path.display());
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_vanishing_file_is_named_and_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    write_files(folder.path(), &[("a", b"a"), ("b", b"b")]);
    let scratch = Scratch::new();
    let gone = folder.path().join("b");
    let error = scratch
        .store
        .import_path(folder.path(), Profile::V1_2025, &mut |_| {
            let _ = fs::remove_file(&gone);
        });
    let expected = format!(
        "cannot publish {}: No such file or directory (os error 2)",
        gone.display()
    );
    assert_eq!(error.unwrap_err().to_string(), expected);
    let stat = scratch.store.stat().unwrap();
    assert_eq!((stat.blocks, stat.pins), (0, 0));
}

#[test]
fn packing_depends_on_names_and_contents_alone() {
    let pack = |root: &str| {
        let folder = TempDir::new().unwrap();
        let root = folder.path().join(root);
        write_files(&root, &[("b", b"b"), ("a/c", b"c")]);
        symlink("b", root.join("l")).unwrap();
        let mut stream = Vec::new();
        pack_tar(&root, Selection::default(), &mut stream, &mut |_| {}).unwrap();
        stream
    };
    let stream = pack("one");
    assert_eq!(stream, pack("two"));
    let entries = tar::Archive::new(&stream[..])
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            String::from_utf8(entry.path_bytes().into_owned()).unwrap()
        })
        .collect::<Vec<_>>();
    assert_eq!(entries, ["./", "./a/", "./a/c", "./b", "./l"]);
}

#[test]
fn arbitrary_and_bent_streams_are_refused_or_imported() {
    let whole = stream(&["./", "./a=1", "./l>a", "./b/c=2"]);
    let bent = (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(at, to)| {
        let mut bent = whole.clone();
        let at = at.index(bent.len());
        bent[at] = to;
        bent
    });
    let scratch = Scratch::new();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 150,
        ..ProptestConfig::default()
    });
    let tried = runner.run(&prop_oneof![1 => any::<Vec<u8>>(), 4 => bent], |stream| {
        let before = scratch.store.stat().unwrap();
        let imported = scratch
            .store
            .import_tar(&stream[..], Profile::V1_2025, &mut |_| {});
        let after = scratch.store.stat().unwrap();
        prop_assert!(imported.is_ok() || (after.blocks, after.pins) == (before.blocks, before.pins));
        Ok(())
    });
    tried.unwrap();
    assert_clean(&scratch.store);
}

/// A stream of entries: `name/` is a folder, `name=contents` a file, `name>target` a symlink, `name^target` a hard
/// link, `name!` a device. Names are written as they are.
fn stream(entries: &[&str]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        if let Some((name, contents)) = entry.split_once('=') {
            append(&mut builder, EntryType::Regular, name, "", contents.as_bytes());
        } else if let Some((name, target)) = entry.split_once('>') {
            append(&mut builder, EntryType::Symlink, name, target, b"");
        } else if let Some((name, target)) = entry.split_once('^') {
            append(&mut builder, EntryType::Link, name, target, b"");
        } else if let Some(name) = entry.strip_suffix('!') {
            append(&mut builder, EntryType::Char, name, "", b"");
        } else {
            append(&mut builder, EntryType::Directory, entry, "", b"");
        }
    }
    builder.into_inner().unwrap()
}

fn append(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str, contents: &[u8]) {
    if name.len() > 100 {
        let mut long = Header::new_gnu();
        long.set_entry_type(EntryType::GNULongName);
        long.set_size(name.len() as u64 + 1);
        long.set_cksum();
        builder
            .append(&long, &[name.as_bytes(), &[0]].concat()[..])
            .unwrap();
    }
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(contents.len() as u64);
    let length = name.len().min(100);
    header.as_old_mut().name[..length].copy_from_slice(&name.as_bytes()[..length]);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    builder.append(&header, contents).unwrap();
}

fn refused(stream: &[u8], expected: &str) {
    assert_eq!(refuse(stream), expected);
}

/// Imports what must not be imported, and sees that nothing is left.
fn refuse(stream: &[u8]) -> String {
    let scratch = Scratch::new();
    let error: Error = scratch
        .store
        .import_tar(stream, Profile::V1_2025, &mut |_| {})
        .unwrap_err();
    let stat = scratch.store.stat().unwrap();
    assert_eq!((stat.blocks, stat.pins), (0, 0), "{error}");
    assert!(!error.is_fatal());
    error.to_string()
}
