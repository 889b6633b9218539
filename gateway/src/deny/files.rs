//! Denylists in files, and the watch over them.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use super::list::Rules;
use super::parse::{Rule, Status, header};

/// Why denylists cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DenyError {
    /// A file or folder cannot be read.
    #[error("gateway.denylists: cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no denylist.
    #[error("gateway.denylists: {} is no denylist that can be used: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The rules that hold now.
#[derive(Debug)]
pub(crate) struct Denylists {
    /// Files, and folders whose `.deny` files count in the order of their names.
    paths: Vec<PathBuf>,
    rules: ArcSwap<Rules>,
    /// What the files looked like when they were read.
    seen: Mutex<Vec<Seen>>,
}

/// What tells a file from its next version.
type Seen = (PathBuf, Option<SystemTime>, u64);

impl Denylists {
    /// Reads all lists.
    ///
    /// # Errors
    /// One of them cannot be read, or is none. A line that cannot be understood is only told of in the log.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Self, DenyError> {
        let seen = look(paths)?;
        Ok(Self {
            paths: paths.to_vec(),
            rules: ArcSwap::from_pointee(read(&seen)?),
            seen: Mutex::new(seen),
        })
    }

    /// The rules that hold now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Whether there is anything to watch.
    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Reads the lists again if a file has changed; whether other rules hold now. Rules that cannot be read leave those
    /// from before.
    pub(crate) fn renew(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match look(&self.paths) {
            Ok(now) if now == *seen => return false,
            now => now,
        };
        match now.and_then(|now| Ok((read(&now)?, now))) {
            Ok((rules, now)) => {
                tracing::info!(rules = rules.count(), "denylists were read again");
                self.rules.store(Arc::new(rules));
                *seen = now;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the denylists from before hold on");
                false
            }
        }
    }
}

/// All files as they are now, in the order in which they count.
fn look(paths: &[PathBuf]) -> Result<Vec<Seen>, DenyError> {
    let mut seen = Vec::new();
    for path in paths {
        let about = fs::metadata(path).map_err(failed(path))?;
        if !about.is_dir() {
            seen.push((path.clone(), about.modified().ok(), about.len()));
            continue;
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed(path))? {
            let file = entry.map_err(failed(path))?.path();
            if file.extension().is_some_and(|ending| ending == "deny") {
                files.push(file);
            }
        }
        files.sort();
        for file in files {
            let about = fs::metadata(&file).map_err(failed(&file))?;
            seen.push((file, about.modified().ok(), about.len()));
        }
    }
    Ok(seen)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> DenyError {
    let path = path.to_owned();
    move |source| DenyError::Read {
        path: path.clone(),
        source,
    }
}

fn read(files: &[Seen]) -> Result<Rules, DenyError> {
    let mut rules = Rules::default();
    for (path, _, _) in files {
        let file = File::open(path).map_err(failed(path))?;
        let mut reading = Reading {
            path,
            rules: &mut rules,
            default: Status::default(),
            line: 0,
            skipped: 0,
        };
        reading.read(BufReader::new(file.take(FILE_BYTES_MAX + 1)))?;
        if reading.skipped > 0 {
            let skipped = reading.skipped;
            tracing::warn!(path = %path.display(), skipped, "lines of a denylist say nothing that is understood");
        }
    }
    Ok(rules)
}

/// One list as it is read.
struct Reading<'a> {
    path: &'a Path,
    rules: &'a mut Rules,
    default: Status,
    line: usize,
    skipped: usize,
}

impl Reading<'_> {
    fn read(&mut self, mut file: impl BufRead) -> Result<(), DenyError> {
        let mut total = 0;
        // What may be the header, until it is known whether there is one.
        let mut head = Some(String::new());
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let limited = file
                .by_ref()
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut bytes);
            total += limited.map_err(failed(self.path))? as u64;
            if bytes.len() as u64 > LINE_BYTES_MAX || total > FILE_BYTES_MAX {
                return Err(
                    self.unusable("it is too large: 2 MiB are the limit for a line, 512 MiB for a file")
                );
            }
            let is_over = bytes.is_empty();
            let line = String::from_utf8_lossy(&bytes);
            match &mut head {
                Some(text) if line.trim_end() == "---" => {
                    self.default = header(text).map_err(|reason| self.unusable(reason))?;
                    self.line += text.lines().count() + 1;
                    head = None;
                }
                Some(text) if !is_over && text.len() + line.len() <= HEADER_BYTES_MAX => text.push_str(&line),
                Some(_) => {
                    let text = head.take().unwrap_or_default();
                    text.lines().for_each(|line| self.rule(line));
                    self.rule(&line);
                }
                None => self.rule(&line),
            }
            if is_over {
                return Ok(());
            }
        }
    }

    fn rule(&mut self, line: &str) {
        self.line += 1;
        match Rule::parse(line) {
            Ok(Some(rule)) => self.rules.add(rule, self.default),
            Ok(None) => {}
            Err(reason) => {
                self.skipped += 1;
                if self.skipped <= TOLD_MAX {
                    let (path, line) = (self.path.display(), self.line);
                    tracing::warn!(%path, line, reason, "a line of a denylist says nothing that is understood");
                }
            }
        }
    }

    fn unusable(&self, reason: &str) -> DenyError {
        DenyError::Unusable {
            path: self.path.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// What the format allows a line to have.
const LINE_BYTES_MAX: u64 = 2 << 20;
/// What the format allows a header to have.
const HEADER_BYTES_MAX: usize = 1 << 20;
/// More than five million hashes, which is several times the longest public list.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Lines that are told of one by one.
const TOLD_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use cid::Cid;

    const A: &str = "Qmah2YDTfrox4watLCr3YgKyBwvjq8FJZEFdWY6WtJ3Xt2";
    const B: &str = "QmUboz9UsQBDeS6Tug1U8jgoFkgYxyYood9NDyVURAY9pK";

    fn status(lists: &Denylists, cid: &str) -> u16 {
        let denied = lists.rules().content(&Cid::try_from(cid).unwrap(), "");
        denied.map_or(200, |denied| denied.status().as_u16())
    }

    #[test]
    fn files_count_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("2.deny"), format!("!/ipfs/{A}")).unwrap();
        let header = "version: 1\nhints:\n  gateway_status: 451\n---\n";
        fs::write(
            folder.path().join("1.deny"),
            format!("{header}nonsense\n/ipfs/{A}\n/ipfs/{B}"),
        )
        .unwrap();
        fs::write(folder.path().join("3.txt"), format!("/ipfs/{A}")).unwrap();
        let lists = Denylists::open(&[folder.path().to_owned()]).unwrap();
        assert_eq!((status(&lists, A), status(&lists, B)), (200, 451));
        assert_eq!(lists.rules().count(), 3);
    }

    #[test]
    fn a_change_is_seen_and_a_fault_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own");
        fs::write(&path, format!("/ipfs/{A}\n")).unwrap();
        let lists = Denylists::open(std::slice::from_ref(&path)).unwrap();
        assert_eq!((status(&lists, A), status(&lists, B)), (410, 200));
        assert!(!lists.renew());
        fs::write(&path, format!("/ipfs/{A}\n/ipfs/{B}\n")).unwrap();
        assert!(lists.renew());
        assert_eq!((status(&lists, A), status(&lists, B)), (410, 410));
        fs::write(&path, "version: 7\n---\n").unwrap();
        assert!(!lists.renew());
        fs::remove_file(&path).unwrap();
        assert!(!lists.renew());
        assert_eq!(status(&lists, B), 410);
    }

    #[test]
    fn what_is_no_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let missing = Denylists::open(std::slice::from_ref(&path))
            .unwrap_err()
            .to_string();
        assert!(
            missing.contains("gateway.denylists") && missing.contains("list"),
            "{missing}"
        );
        fs::write(&path, "x".repeat((2 << 20) + 2)).unwrap();
        let long = Denylists::open(std::slice::from_ref(&path))
            .unwrap_err()
            .to_string();
        assert!(long.contains("too large"), "{long}");
        fs::write(&path, "no yaml\n---\n").unwrap();
        assert!(Denylists::open(&[path]).is_err());
    }

    #[test]
    fn without_a_header_the_first_line_is_a_rule() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, format!("# mine\n/ipfs/{A}")).unwrap();
        assert_eq!(status(&Denylists::open(&[path]).unwrap(), A), 410);
    }
}
