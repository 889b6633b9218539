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
use std::fs::File;
use std::io::{self, Write};
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

impl Refused {
    /// Whether it is about one step of a height at which this delegate is still: a crash came between the journal and the
    /// engine's log, which lacks what was signed. To end the process would not help, since the log then leads to the same
    /// step again. Signing nothing there does; what is later is free.
    pub(crate) fn is_of_a_step(&self) -> bool {
        match self {
            Refused::Conflict(_) => true,
            Refused::Below { asked, top } => asked.height == top.height,
            Refused::Write(_) => false,
        }
    }
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
        let signed = match read(path)? {
            Some(text) => parse(&text, &header).map_err(|reason| error("use", path, reason))?,
            None => BTreeMap::new(),
        };
        let (file, bytes) = write_anew(path, &header, &signed).map_err(|e| error("write", path, e))?;
        Ok(Journal {
            path: path.to_owned(),
            header,
            file,
            bytes,
            signed,
            failed: None,
        })
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

    /// The greatest height at which something was signed; 0 if nothing was.
    pub(crate) fn top(&self) -> u64 {
        self.signed.last_key_value().map_or(0, |(place, _)| place.height)
    }

    fn append(&mut self, place: Place, hash: Hash) -> io::Result<()> {
        self.signed.insert(place, hash);
        self.signed = self.signed.split_off(&Place {
            round: 0,
            step: Step::Proposal,
            ..place
        });
        if self.bytes > COMPACT_BYTES {
            (self.file, self.bytes) = write_anew(&self.path, &self.header, &self.signed)?;
            return Ok(());
        }
        let line = line(&place, &hash);
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        self.file.sync_data()
    }

    /// Nobody knows what is on the disk now: nothing more is signed.
    fn fail(&mut self, source: &io::Error) -> Refused {
        self.failed = Some(source.to_string());
        Refused::Write(source.to_string())
    }
}

/// Writes what still counts to a new file and puts it in the place of the old one, so that there is never a file
/// without its first line. Returns it, ready for the next line, and its length.
fn write_anew(path: &Path, header: &str, signed: &BTreeMap<Place, Hash>) -> io::Result<(File, u64)> {
    let lines = signed.iter().map(|(place, hash)| line(place, hash));
    let text = header.to_owned() + &lines.collect::<String>();
    let beside = path.with_extension("journal.new");
    let mut file = File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok((file, text.len() as u64))
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|e| error("use", path, e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(error("read", path, e)),
    }
}

/// The signatures of the newest height.
fn parse(text: &str, header: &str) -> Result<BTreeMap<Place, Hash>, String> {
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
    signed.extend(parse_tail(&lines[whole..]));
    if let Some((top, _)) = signed.last_key_value() {
        signed = signed.split_off(&Place {
            height: top.height,
            round: 0,
            step: Step::Proposal,
        });
    }
    Ok(signed)
}

/// A last line that lacks only its end, or has a damaged one, counts: its signature may have left.
fn parse_tail(tail: &str) -> Option<(Place, Hash)> {
    let mut shorter = tail.chars();
    shorter.next_back();
    parse_line(tail).or_else(|| parse_line(shorter.as_str()))
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

    /// Whatever byte of the file changes: it is refused, or nothing of it is forgotten.
    #[test]
    fn no_flipped_byte_makes_it_forget() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer.journal");
        let at = place(3, 0, Step::Prevote);
        open(&dir).allow(at, b"a").unwrap();
        let good = std::fs::read(&path).unwrap();
        for (position, flip) in
            (0..good.len()).flat_map(|position| [1, 0x20, 0x80].map(|flip| (position, flip)))
        {
            let mut bad = good.clone();
            bad[position] ^= flip;
            std::fs::write(&path, &bad).unwrap();
            if let Ok(mut journal) = Journal::open(&path, CHAIN, &key()) {
                assert_eq!(
                    journal.allow(at, b"b"),
                    Err(Refused::Conflict(at)),
                    "byte {position} ^ {flip:#x}"
                );
            }
        }
    }

    #[test]
    fn an_emptied_file_is_not_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("signer.journal");
        drop(open(&dir));
        std::fs::write(&path, "").unwrap();
        let error = Journal::open(&path, CHAIN, &key()).unwrap_err().to_string();
        assert!(error.contains("it begins with \"\""), "{error}");
    }

    #[test]
    fn a_failed_write_is_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = open(&dir);
        // A descriptor that cannot be written, as a full disk is one.
        journal.file = File::open(dir.path().join("signer.journal")).unwrap();
        let at = place(1, 0, Step::Prevote);
        assert!(matches!(journal.allow(at, b"a"), Err(Refused::Write(_))));
        assert!(matches!(journal.allow(at, b"a"), Err(Refused::Write(_))));
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
