//! The signer's journal: what this delegate has signed, on the disk before the signature leaves.
//!
//! The engine's WAL protects against signing twice as long as the WAL is there. The journal holds without it: it refuses
//! a second, different signature for a step, and every signature for a step below one that it has seen. It is a text
//! file, one line for each signature, so that an operator can read it:
//!
//! ```text
//! ddn-signer 1 <chain id> <public key>
//! <height> <round> <step> <sha2-256 of the signed bytes> <check>
//! ```
//!
//! A last line that was cut off by a crash belongs to a signature that never left, and is dropped. Any other damage
//! stops the delegate.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ledger::{Hash, PublicKey};

use crate::Error;

/// The file is written anew, without past heights, when it has grown to this.
const COMPACT_BYTES: u64 = 64 << 10;
const MAGIC: &str = "ddn-signer 1";

/// What is signed in a round, in the order in which an honest delegate signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Proposal,
    Prevote,
    Precommit,
}

/// The place of a signature in the life of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) height: u64,
    pub(crate) round: u32,
    pub(crate) step: Step,
}

/// Why a signature was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Another value was signed there.
    #[error("signer.journal has another value signed at {0}")]
    Conflict(Place),
    /// Something later was signed, and nothing is known of this place.
    #[error("signer.journal has signed up to {top}, which is after {asked}")]
    Below { asked: Place, top: Place },
    /// The journal cannot be written.
    #[error("signer.journal cannot be written: {0}")]
    Write(String),
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    header: String,
    file: File,
    bytes: u64,
    signed: BTreeMap<Place, Hash>,
    failed: Option<String>,
}

impl Journal {
    /// Opens the journal of a key on a chain, or begins it.
    pub(crate) fn open(path: &Path, chain: &str, key: &PublicKey) -> Result<Journal, Error> {
        let header = format!("{MAGIC} {chain} {key}\n");
        let text = read(path)?;
        let (signed, good) = parse(&text, &header).map_err(|reason| error("use", path, reason))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file = file.map_err(|e| error("open", path, e))?;
        let mut journal = Journal {
            path: path.to_owned(),
            header,
            file,
            bytes: good as u64,
            signed,
            failed: None,
        };
        journal.rewrite().map_err(|e| error("write", path, e))?;
        Ok(journal)
    }

    /// Notes that `bytes` are about to be signed at `place`. Returns once the disk has it.
    pub(crate) fn allow(&mut self, place: Place, bytes: &[u8]) -> Result<(), Refused> {
        if let Some(reason) = &self.failed {
            return Err(Refused::Write(reason.clone()));
        }
        let hash = Hash::of(bytes);
        match self.signed.get(&place) {
            Some(known) if *known == hash => return Ok(()),
            Some(_) => return Err(Refused::Conflict(place)),
            None => {}
        }
        match self.signed.last_key_value() {
            Some((top, _)) if place < *top => {
                return Err(Refused::Below {
                    asked: place,
                    top: *top,
                });
            }
            _ => {}
        }
        self.append(place, hash).map_err(|e| self.fail(&e))
    }

    /// Whether a precommit of `height` was signed, for a block or for none.
    pub(crate) fn has_precommitted(&self, height: u64) -> bool {
        self.signed
            .keys()
            .any(|place| place.height == height && place.step == Step::Precommit)
    }

    fn append(&mut self, place: Place, hash: Hash) -> std::io::Result<()> {
        self.signed.insert(place, hash);
        self.signed = self.signed.split_off(&Place {
            round: 0,
            step: Step::Proposal,
            ..place
        });
        if self.bytes > COMPACT_BYTES {
            return self.rewrite();
        }
        let line = line(&place, &hash);
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        self.file.sync_data()
    }

    /// Writes what still counts to a new file and puts it in the place of the old one.
    fn rewrite(&mut self) -> std::io::Result<()> {
        let mut text = self.header.clone();
        self.signed
            .iter()
            .for_each(|(place, hash)| text += &line(place, hash));
        let beside = self.path.with_extension("journal.new");
        let mut file = File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        (self.file, self.bytes) = (file, text.len() as u64);
        Ok(())
    }

    /// Nobody knows what is on the disk now: nothing more is signed.
    fn fail(&mut self, source: &std::io::Error) -> Refused {
        self.failed = Some(source.to_string());
        Refused::Write(source.to_string())
    }
}

fn read(path: &Path) -> Result<String, Error> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map_err(|e| error("use", path, e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(error("read", path, e)),
    }
}

/// The signatures of the newest height, and how many bytes of the text are good.
fn parse(text: &str, header: &str) -> Result<(BTreeMap<Place, Hash>, usize), String> {
    if text.is_empty() || (text.len() < header.len() && header.starts_with(text)) {
        return Ok((BTreeMap::new(), 0));
    }
    let lines = text.strip_prefix(header).ok_or_else(|| {
        let first = text.lines().next().unwrap_or_default();
        format!(
            "it begins with {first:?}, expected {:?}: it is of another key or chain",
            header.trim_end()
        )
    })?;
    let whole = lines.rfind('\n').map_or(0, |end| end + 1);
    let mut signed = BTreeMap::new();
    for (number, line) in lines[..whole].lines().enumerate() {
        let (place, hash) = parse_line(line).ok_or_else(|| format!("line {} is damaged", number + 2))?;
        signed.insert(place, hash);
    }
    if let Some((top, _)) = signed.last_key_value() {
        signed = signed.split_off(&Place {
            height: top.height,
            round: 0,
            step: Step::Proposal,
        });
    }
    Ok((signed, header.len() + whole))
}

fn line(place: &Place, hash: &Hash) -> String {
    let content = format!("{} {} {} {hash}", place.height, place.round, place.step);
    format!("{content} {}\n", check(&content))
}

fn parse_line(line: &str) -> Option<(Place, Hash)> {
    let (content, found) = line.rsplit_once(' ')?;
    let mut words = content.split(' ');
    let height = words.next()?.parse().ok()?;
    let round = words.next()?.parse().ok()?;
    let step = words.next()?.parse().ok()?;
    let hash = words.next()?.parse().ok()?;
    (found == check(content) && words.next().is_none()).then_some((Place { height, round, step }, hash))
}

/// Eight hex digits that a damaged line does not have.
fn check(content: &str) -> String {
    Hash::of(content.as_bytes()).to_string()[..8].to_owned()
}

fn error(operation: &'static str, path: &Path, reason: impl fmt::Display) -> Error {
    Error::Journal {
        operation,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Proposal => "proposal",
            Step::Prevote => "prevote",
            Step::Precommit => "precommit",
        })
    }
}

impl FromStr for Step {
    type Err = ();

    fn from_str(text: &str) -> Result<Step, ()> {
        [Step::Proposal, Step::Prevote, Step::Precommit]
            .into_iter()
            .find(|step| step.to_string() == text)
            .ok_or(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {} round {} {}", self.height, self.round, self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHAIN: &str = "test-1";

    fn key() -> PublicKey {
        ledger::SecretKey::from_seed([7; 32]).public()
    }

    fn open(dir: &tempfile::TempDir) -> Journal {
        Journal::open(&dir.path().join("signer.journal"), CHAIN, &key()).unwrap()
    }

    fn place(height: u64, round: u32, step: Step) -> Place {
        Place { height, round, step }
    }

    #[test]
    fn a_second_value_is_refused_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let at = place(5, 1, Step::Prevote);
        open(&dir).allow(at, b"a").unwrap();
        let mut journal = open(&dir);
        assert_eq!(journal.allow(at, b"b"), Err(Refused::Conflict(at)));
        assert_eq!(journal.allow(at, b"a"), Ok(()));
        let below = place(5, 0, Step::Precommit);
        assert_eq!(
            journal.allow(below, b"a"),
            Err(Refused::Below {
                asked: below,
                top: at
            })
        );
        assert_eq!(journal.allow(place(5, 1, Step::Precommit), b"c"), Ok(()));
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_other_damage_stops() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer.journal");
        let (first, second) = (place(1, 0, Step::Proposal), place(1, 0, Step::Prevote));
        let mut journal = open(&dir);
        journal.allow(first, b"a").unwrap();
        journal.allow(second, b"b").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();

        std::fs::write(&path, &text[..text.len() - 3]).unwrap();
        let mut journal = open(&dir);
        assert_eq!(journal.allow(first, b"x"), Err(Refused::Conflict(first)));
        assert_eq!(journal.allow(second, b"x"), Ok(()));

        std::fs::write(&path, text.replace("1 0 proposal", "2 0 proposal")).unwrap();
        let error = Journal::open(&path, CHAIN, &key()).unwrap_err().to_string();
        assert!(error.ends_with("line 2 is damaged"), "{error}");
    }

    #[test]
    fn another_key_or_chain_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer.journal");
        drop(open(&dir));
        let error = Journal::open(&path, "other", &key()).unwrap_err().to_string();
        assert!(error.contains("it is of another key or chain"), "{error}");
    }

    #[test]
    fn the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(&dir);
        for height in 1..2000 {
            journal.allow(place(height, 0, Step::Prevote), b"a").unwrap();
        }
        let bytes = std::fs::metadata(dir.path().join("signer.journal"))
            .unwrap()
            .len();
        assert!(bytes < 2 * COMPACT_BYTES, "{bytes}");
        let top = place(1999, 0, Step::Prevote);
        assert_eq!(open(&dir).allow(top, b"b"), Err(Refused::Conflict(top)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever is asked in whatever order, with restarts: no place is ever signed with two values.
        #[test]
        fn no_place_has_two_values(asked in proptest::collection::vec((1u64..4, 0u32..3, 0u8..3, 0u8..3, any::<bool>()), 1..40)) {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = open(&dir);
            let mut given = BTreeMap::new();
            for (height, round, step, value, restart) in asked {
                if restart {
                    drop(journal);
                    journal = open(&dir);
                }
                let step = [Step::Proposal, Step::Prevote, Step::Precommit][usize::from(step)];
                let at = place(height, round, step);
                if journal.allow(at, &[value]).is_ok() {
                    prop_assert_eq!(*given.entry(at).or_insert(value), value);
                }
            }
        }
    }
}
