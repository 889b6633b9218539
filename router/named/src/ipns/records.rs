//! The newest record of each name, on disk: one file a name, replaced as a whole.
//!
//! Anybody may make names, so their number is bounded. Owners publish again every few hours, since their records expire;
//! so of more names than fit, those of which nothing was heard for the longest are let go.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::record::{RECORD_BYTES_MAX, Record};
use super::{Error, Name};

/// The records of a node. Every call blocks on a disk.
#[derive(Debug)]
pub struct Records {
    dir: PathBuf,
    names_max: usize,
    heard: Mutex<Heard>,
}

impl Records {
    /// The records in the folder `dir`, which is made if it is not there; of at most `names_max` names.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(dir: &Path, names_max: usize) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(failed("make the folder", dir))?;
        let mut found = Vec::new();
        for file in fs::read_dir(dir).map_err(failed("read", dir))? {
            let file = file.map_err(failed("read", dir))?;
            let name = file
                .file_name()
                .to_str()
                .and_then(|text| text.parse::<Name>().ok());
            match name {
                Some(name) => {
                    let written = file.metadata().and_then(|meta| meta.modified());
                    found.push((written.map_err(failed("read", &file.path()))?, name));
                }
                // What was being written when the node stopped.
                None => remove(&file.path())?,
            }
        }
        found.sort();
        let mut heard = Heard::default();
        found.into_iter().for_each(|(_, name)| heard.note(name));
        Ok(Self {
            dir: dir.to_owned(),
            names_max: names_max.max(1),
            heard: Mutex::new(heard),
        })
    }

    /// The record of a name, if it is here and holds at the time `now`.
    ///
    /// # Errors
    /// [`Error::Refused`] if what is here does not hold, [`Error::File`] if it cannot be read.
    pub fn get(&self, name: &Name, now: SystemTime) -> Result<Option<Record>, Error> {
        let Some(bytes) = read(&self.path(name))? else {
            return Ok(None);
        };
        checked(name, &bytes, now).map(Some)
    }

    /// Keeps a record, unless a newer one is here; then the answer is false. When it returns, the record is on disk.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not hold at the time `now`, [`Error::File`] if it cannot be written.
    pub fn put(&self, name: &Name, bytes: &[u8], now: SystemTime) -> Result<bool, Error> {
        let record = checked(name, bytes, now)?;
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path(name);
        // One that has expired meanwhile, or is damaged, stands in nobody's way.
        let here = read(&path)?.and_then(|bytes| Record::read(name, &bytes, now).ok());
        if let Some(here) = here
            && here != record
            && !record.supersedes(&here)
        {
            return Ok(false);
        }
        write(&path, record.bytes())?;
        heard.note(*name);
        while heard.order.len() > self.names_max {
            let Some(oldest) = heard.forget() else { break };
            remove(&self.path(&oldest))?;
        }
        Ok(true)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.dir.join(name.to_string())
    }
}

/// Which names were heard of last.
#[derive(Debug, Default)]
struct Heard {
    count: u64,
    when: HashMap<Name, u64>,
    order: BTreeMap<u64, Name>,
}

impl Heard {
    fn note(&mut self, name: Name) {
        self.count += 1;
        if let Some(before) = self.when.insert(name, self.count) {
            self.order.remove(&before);
        }
        self.order.insert(self.count, name);
    }

    fn forget(&mut self) -> Option<Name> {
        let (_, name) = self.order.pop_first()?;
        self.when.remove(&name);
        Some(name)
    }
}

fn checked(name: &Name, bytes: &[u8], now: SystemTime) -> Result<Record, Error> {
    Record::read(name, bytes, now).map_err(|fault| Error::Refused { name: *name, fault })
}

/// The bytes of a file, cut where no record goes on; none if there is no file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("read", path))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(RECORD_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
    read.map_err(failed("read", path))?;
    Ok(Some(bytes))
}

/// Writes a file so that a crash leaves the old one or the new one.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let mut file = File::create(&new).map_err(failed("write", &new))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write", &new))?;
    fs::rename(&new, path).map_err(failed("write", path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(failed("write", folder))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        operation,
        path,
        source,
    }
}
