//! A real process that ends while its threads open and close databases.

use std::path::Path;
use std::process::{Command, exit};
use std::sync::mpsc;
use std::thread;

use database::Database;
use rocksdb::{ColumnFamilyDescriptor, Options};

/// Tells the process of a round where it may open its databases.
const ROUND: &str = "DDN_TEST_DATABASES";
const THREADS: usize = 4;
const ROUNDS: usize = 20;

fn open(folder: &Path) -> Database {
    let mut options = Options::default();
    options.create_if_missing(true);
    let columns = vec![ColumnFamilyDescriptor::new("default", Options::default())];
    Database::open(&options, folder, columns).expect("a database")
}

/// Ends while each thread opens and closes its database again and again.
fn end_while_they_are_closed(folder: &Path) -> ! {
    let (ready, all) = mpsc::channel();
    for at in 0..THREADS {
        let (folder, ready) = (folder.join(at.to_string()), ready.clone());
        thread::spawn(move || {
            loop {
                let database = open(&folder);
                database.put(b"key", b"value").expect("written");
                // Nobody hears it once the process ends.
                let _ = ready.send(());
            }
        });
    }
    all.iter().take(3 * THREADS).for_each(drop);
    exit(0)
}

#[test]
fn a_process_ends_well_while_databases_are_closed() {
    if let Some(folder) = std::env::var_os(ROUND) {
        end_while_they_are_closed(Path::new(&folder));
    }
    for round in 0..ROUNDS {
        let folder = tempfile::tempdir().expect("a folder");
        let program = std::env::current_exe().expect("this program");
        let ended = Command::new(program)
            .args([
                "--exact",
                "a_process_ends_well_while_databases_are_closed",
                "--nocapture",
            ])
            .env(ROUND, folder.path())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "round {round}: {}: {said}", ended.status);
        for at in 0..THREADS {
            let database = open(&folder.path().join(at.to_string()));
            assert_eq!(
                database.get(b"key").expect("read").as_deref(),
                Some(&b"value"[..])
            );
        }
    }
}
