//! A process that is killed while it imports, or whose disk is full: what it acknowledged is there, nothing else is.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use cid::Cid;
use storage::{Error, Profile, Store, Walk};
use tempfile::TempDir;

use crate::support::{Generator, assert_clean, write_files};

#[test]
fn kill_at_any_point_leaves_what_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged: Vec<Cid> = Vec::new();
    let mut random = Generator(2026);
    for _ in 0..25 {
        let lines = random.next() >> 8;
        acknowledged.extend(import_and_kill(folder.path(), lines % 150));
        let store = Store::open(&folder.path().join("blocks")).unwrap();
        for root in &acknowledged {
            assert!(store.is_pinned(root).unwrap(), "{root} was acknowledged");
        }
        assert_clean(&store);
        assert_eq!(
            store.gc(&mut |_| {}).unwrap().blocks,
            0,
            "opening sweeps what the import left"
        );
    }
    assert!(acknowledged.len() > 10);
}

#[test]
fn a_write_that_fails_stops_the_store_until_it_is_opened_again() {
    let folder = TempDir::new().unwrap();
    // No file may grow beyond 4 MiB, and the signal that would say so is ignored.
    let said = fill_the_disk_in(folder.path(), r#"trap '' XFSZ; ulimit -f 8192; exec "$@""#).unwrap();
    let expected = format!("the block store in {}/blocks", folder.path().display());
    assert!(
        said.contains(&expected) && said.contains("File too large"),
        "{said}"
    );
}

#[test]
fn a_full_disk_is_named() {
    let folder = TempDir::new().unwrap();
    let script = format!(
        "mount -t tmpfs -o size=12m none {} && exec \"$@\"",
        folder.path().display()
    );
    let inside = format!("unshare -rm sh -c '{script}' sh \"$@\"");
    // Where the kernel lets nobody mount, the test above has to do.
    let Some(said) = fill_the_disk_in(folder.path(), &inside) else {
        return;
    };
    let folder = folder.path().join("blocks");
    let expected = format!(
        "no space left for the block store in {}: free some space and restart",
        folder.display()
    );
    assert!(said.contains(&expected), "{said}");
}

/// Runs [`fill_the_disk`] as the last words of a shell script. Returns what it said, if it came to run.
fn fill_the_disk_in(folder: &Path, script: &str) -> Option<String> {
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh"])
        .arg(std::env::current_exe().unwrap());
    let output = child(&mut command, "crash::fill_the_disk", folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    if !said.contains("running 1 test") {
        eprintln!("not run: {errors}");
        return None;
    }
    assert!(output.status.success(), "{errors}");
    Some(said.into_owned())
}

/// Runs within a child process that has little room.
#[test]
fn fill_the_disk() {
    let Some(folder) = child_folder() else { return };
    let blocks = folder.join("blocks");
    let store = Store::open(&blocks).unwrap();
    write_files(&folder, &[("small/a", b"a")]);
    let small = store
        .import_path(&folder.join("small"), Profile::V1_2025, &mut |_| {})
        .unwrap()
        .root;
    let large = folder.join("large");
    write_files(
        &large,
        &[
            ("a", &Generator::bytes(1, 3 << 20)),
            ("b", &Generator::bytes(2, 3 << 20)),
        ],
    );
    let import = || {
        store
            .import_path(&large, Profile::V1_2025, &mut |_| {})
            .unwrap_err()
    };
    for _ in 0..2 {
        let error = import();
        println!("{error}");
        assert!(error.is_fatal(), "{error}");
    }
    assert!(matches!(
        import(),
        Error::Unusable { .. } | Error::DiskFull { .. }
    ));
    let read = |store: &Store| Walk::new(store, &[small]).map(Result::unwrap).count();
    assert_eq!(read(&store), 2, "reading goes on");

    drop(store);
    fs::remove_dir_all(&large).unwrap();
    let store = Store::open(&blocks).unwrap();
    assert_clean(&store);
    let stat = store.stat().unwrap();
    assert_eq!((read(&store), stat.blocks, stat.pins), (2, 2, 1));
    assert_eq!(store.gc(&mut |_| {}).unwrap().blocks, 0);
}

/// Runs within a child process that is killed.
#[test]
fn import_until_killed() {
    let Some(folder) = child_folder() else { return };
    let store = Store::open(&folder.join("blocks")).unwrap();
    let say = |line: &str| {
        // Not `println!`, which the test harness keeps to itself.
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
    };
    let offset = store.stat().unwrap().blocks as u32;
    for round in 0.. {
        let source = TempDir::new_in(&folder).unwrap();
        for at in 0..20 {
            let bytes = if at == 7 { 1_500_000 } else { 3000 };
            let contents = Generator::bytes(offset + round * 100 + at, bytes);
            write_files(source.path(), &[(&format!("{}/{at}", at % 3), &contents)]);
        }
        let imported = store
            .import_path(source.path(), Profile::V1_2025, &mut |_| say("progress"))
            .unwrap();
        say(&format!("pinned {}", imported.root));
        if round % 3 == 2 {
            store.gc(&mut |_| say("collecting")).unwrap();
        }
    }
}

/// Starts an importing child, kills it after so many lines of its output, and returns what it acknowledged.
fn import_and_kill(folder: &Path, lines: u32) -> Vec<Cid> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = child(&mut command, "crash::import_until_killed", folder)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<String> = output.by_ref().take(lines as usize).map(Result::unwrap).collect();
    if lines > 0 {
        assert!(matches!(
            Store::open(&folder.join("blocks")),
            Err(Error::InUse { .. })
        ));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    said.extend(output.map_while(Result::ok));
    let pinned = said.iter().filter_map(|line| line.strip_prefix("pinned "));
    // The last line may be cut.
    pinned.filter_map(|cid| cid.parse().ok()).collect()
}

fn child<'a>(command: &'a mut Command, test: &str, folder: &Path) -> &'a mut Command {
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
}

fn child_folder() -> Option<std::path::PathBuf> {
    std::env::var_os(FOLDER).map(Into::into)
}

/// Tells a child process of this test binary where to work.
const FOLDER: &str = "STORAGE_TEST_CHILD_FOLDER";
