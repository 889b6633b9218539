//! The data folder: who holds it, where things are in it, and how files are written so that a crash leaves the old or
//! the new one, never half of one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::error::Error;

/// The data folder, held by this process until it is dropped.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    // The lock goes with the open file, so also when the process is killed.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there (0700) and takes it for this process.
    ///
    /// # Errors
    /// [`Error::InUse`] while another process has it.
    pub fn take(dir: &Path) -> Result<Self, Error> {
        make(dir)?;
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        options
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600);
        let lock = options.open(&path).map_err(Error::file("open", &path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(dir, &lock)),
            Err(error) => return Err(Error::file("lock", &path)(error.into())),
        }
        sign(&lock).map_err(Error::file("write", &path))?;
        let folder = Self {
            dir: dir.to_owned(),
            _lock: lock,
        };
        // A node that crashed leaves this behind; nobody runs here until we say so.
        remove(&folder.node_file())?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The genesis of the folder's chain.
    pub fn genesis(&self) -> PathBuf {
        self.dir.join("genesis.json")
    }

    /// Where the node listens, while it is ready.
    pub fn node_file(&self) -> PathBuf {
        self.dir.join("node.json")
    }

    /// The token of the admin API.
    pub fn admin_token(&self) -> PathBuf {
        self.dir.join("admin.token")
    }

    /// The key that is the node's identity.
    pub fn node_key(&self) -> PathBuf {
        self.dir.join("keys/node.key")
    }

    /// The key that votes on blocks.
    pub fn delegate_key(&self) -> PathBuf {
        self.dir.join("keys/delegate.key")
    }

    /// The keys that the zones of the DNS server are signed with, one file each.
    pub fn zone_keys(&self) -> PathBuf {
        self.dir.join("keys/dns")
    }

    /// The account keys, one file each.
    pub fn wallets(&self) -> PathBuf {
        self.dir.join("wallet")
    }

    /// Publishes under way, one file each.
    pub fn jobs(&self) -> PathBuf {
        self.dir.join("publish")
    }

    /// The mesh's peers, for the next start.
    pub fn peers(&self) -> PathBuf {
        self.dir.join("peers.txt")
    }

    /// Who provides what, as the mesh knows it.
    pub fn providers(&self) -> PathBuf {
        self.dir.join("providers")
    }

    /// How far readers were, for the next start.
    pub fn readers(&self) -> PathBuf {
        self.dir.join("readers")
    }

    /// The escrow from which the node pays.
    pub fn escrow(&self) -> PathBuf {
        self.dir.join("escrow.json")
    }

    /// The IPNS records, one file each.
    pub fn ipns(&self) -> PathBuf {
        self.dir.join("ipns")
    }

    /// The account with the certificate authority, and what it gave.
    pub fn acme(&self) -> PathBuf {
        self.dir.join("acme")
    }

    /// The block store.
    pub fn blocks(&self) -> PathBuf {
        self.dir.join("blocks")
    }
}

/// Writes our process id, for whoever finds the folder taken.
fn sign(mut lock: &File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn in_use(dir: &Path, mut file: &File) -> Error {
    let mut pid = String::new();
    // The process writes its id right after it took the lock; in between there is none to be read.
    let read = file.read_to_string(&mut pid);
    let pid = pid.trim();
    let pid = if read.is_err() || pid.is_empty() {
        "unknown"
    } else {
        pid
    };
    Error::InUse {
        dir: dir.to_owned(),
        pid: pid.to_owned(),
    }
}

/// Makes a folder, and those above it, for its owner only.
///
/// # Errors
/// If it cannot be made.
pub fn make(dir: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(Error::file("make the folder", dir))
}

/// Writes a file (0600) in one step, durably: afterwards the old content or the new one is there, whatever happens.
///
/// # Errors
/// If it cannot be written; then the old content is there.
pub fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make(dir)?;
    let write = || -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(Error::file("write", path))
}

/// Writes a new file as [`write()`] does; false if there is one already, which stays as it is.
///
/// # Errors
/// If it cannot be written.
pub fn write_new(path: &Path, content: &[u8]) -> Result<bool, Error> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make(dir)?;
    let write = || -> io::Result<bool> {
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(error.error),
        }
        File::open(dir)?.sync_all()?;
        Ok(true)
    };
    write().map_err(Error::file("write", path))
}

/// The content of a small file, `None` if there is none.
///
/// # Errors
/// If it is there but cannot be read, or is larger than `bytes_max`.
pub fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::file("read", path)(error)),
    };
    let mut content = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut content)
        .map_err(Error::file("read", path))?;
    if content.len() as u64 > bytes_max {
        return Err(Error::content(
            path,
            format!("is larger than {bytes_max} bytes, so it is not what it should be"),
        ));
    }
    Ok(Some(content))
}

/// Removes a file durably, if it is there.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::file("remove", path)(error)),
    }
    let dir = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Error::file("sync", dir))
}

/// The files of a folder whose names end with `.EXTENSION`, by name; none if there is no such folder. Half-written
/// files have other names.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("read", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::file("read", dir))?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn the_folder_is_for_one_process_and_its_owner() {
        let home = tempfile::tempdir().expect("a folder");
        let dir = home.path().join("a/b");
        let folder = Folder::take(&dir).expect("free");
        assert_eq!((mode(&dir), mode(&dir.join("lock"))), (0o700, 0o600));
        let error = Folder::take(&dir).expect_err("taken").to_string();
        let expected = format!(
            "the data folder {} is in use by the node with process id {}: stop it, or choose another --data",
            dir.display(),
            std::process::id()
        );
        assert_eq!(error, expected);
        drop(folder);
        Folder::take(&dir).expect("free again");
    }

    #[test]
    fn files_are_replaced_whole_and_private() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("keys/a.key");
        write(&path, b"one").expect("written");
        assert!(!write_new(&path, b"two").expect("seen"));
        write(&path, b"three").expect("written");
        assert_eq!(
            read(&path, 5).expect("read").as_deref(),
            Some(b"three".as_slice())
        );
        assert!(read(&path, 4).is_err());
        assert_eq!(
            (
                mode(&path),
                files(&home.path().join("keys"), "key").expect("listed").len()
            ),
            (0o600, 1)
        );
        remove(&path).expect("removed");
        remove(&path).expect("nothing to remove");
        assert_eq!(read(&path, 5).expect("read"), None);
    }

    #[test]
    fn a_crashed_node_is_not_taken_for_a_running_one() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("node.json"), "{}").expect("a file");
        let folder = Folder::take(home.path()).expect("free");
        assert!(!folder.node_file().exists());
    }
}
