//! Genesis files: that of the data folder, and one that a user names.

use std::path::Path;

use ledger::Genesis;

use super::failure::{Failure, Outcome};

/// The largest genesis file, in bytes: thousands of balances fit.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The genesis of the chain in a data folder.
pub fn of_data(dir: &Path) -> Outcome<Genesis> {
    read(&dir.join("genesis.json"))
}

/// Reads and checks a genesis file.
pub fn read(path: &Path) -> Outcome<Genesis> {
    let bytes = std::fs::metadata(path)
        .map_err(|error| Failure::file("read", path, &error))?
        .len();
    if bytes > FILE_BYTES_MAX {
        return Err(Failure::new(
            "bad_genesis",
            format!("{} has {bytes} bytes: no genesis", path.display()),
        ));
    }
    let text = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    Genesis::parse(&text).map_err(|error| Failure::new("bad_genesis", format!("{}: {error}", path.display())))
}
