//! The provider records of others on disk, so that a node that was restarted still answers who has what.
//!
//! A file of entries in the order in which they came; of a provider and a root the last one counts. Each entry has the
//! beginning of its hash, so that what a crash or a disk broke off is seen, and everything before it is good. New entries
//! are appended and not synced: what a power cut takes is announced again within the hour. When most of the file is old,
//! it is replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ledger::Hash;
use libp2p::kad::{ProviderRecord, RecordKey};
use libp2p::{Multiaddr, PeerId};

use super::book;

/// How a file begins.
const HEAD: &[u8] = b"ddn providers 1\n";
/// The longest record: key, provider and four addresses.
const RECORD_BYTES_MAX: usize = 2048;
/// No file is longer: 100,000 records twice, with addresses of the usual length.
const FILE_BYTES_MAX: u64 = 64 << 20;
const CHECK_BYTES: usize = 8;

/// A change of the file.
#[derive(Debug)]
pub enum Change {
    /// More entries.
    Append(Vec<u8>),
    /// Nothing but these.
    Replace(Vec<u8>),
}

/// What a file has.
#[derive(Debug, Default)]
pub struct Remembered {
    /// The records that hold still.
    pub records: Vec<ProviderRecord>,
    /// The entries, those that expired and those that were replaced too.
    pub entries: usize,
    /// Whether the file ends as it was written.
    pub is_whole: bool,
}

/// Two clocks at the same moment: files have the time of day, records that of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    /// The machine's.
    pub now: Instant,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// Adds the entry of a record; one that never expires, or is too long, is not kept.
pub fn push(entries: &mut Vec<u8>, record: &ProviderRecord, clocks: Clocks) {
    let Some(expires) = record.expires else {
        return;
    };
    let left = expires.saturating_duration_since(clocks.now);
    let until_ms = clocks
        .now_ms
        .saturating_add(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    let mut body = until_ms.to_be_bytes().to_vec();
    let provider = record.provider.to_bytes();
    let addresses = record.addresses.iter().take(book::ADDRESSES_MAX);
    let parts = [record.key.as_ref(), &provider].into_iter().map(<[u8]>::to_vec);
    for part in parts.chain(addresses.map(Multiaddr::to_vec)) {
        let Ok(length) = u16::try_from(part.len()) else {
            return;
        };
        body.extend(length.to_be_bytes());
        body.extend(part);
    }
    if body.len() <= RECORD_BYTES_MAX {
        entries.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
        entries.extend(check(&body));
        entries.extend(body);
    }
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&Hash::of(body).0[..CHECK_BYTES]);
    check
}

/// Reads a file up to its end, or to the first entry that is not as it was written. No record holds longer than `life`
/// from now, whatever the clock was when it was written.
pub fn read(mut bytes: &[u8], clocks: Clocks, life: Duration) -> Remembered {
    let mut remembered = Remembered::default();
    let Some(entries) = bytes.strip_prefix(HEAD) else {
        return remembered;
    };
    bytes = entries;
    while let Some((body, rest)) = entry(bytes) {
        bytes = rest;
        remembered.entries += 1;
        remembered.records.extend(record(body, clocks, life));
    }
    remembered.is_whole = bytes.is_empty();
    remembered
}

fn entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (expected, rest) = rest.split_first_chunk::<CHECK_BYTES>()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    (check(body) == *expected).then_some((body, rest))
}

/// The record of an entry; none if it expired, or if it is none that a node keeps.
fn record(body: &[u8], clocks: Clocks, life: Duration) -> Option<ProviderRecord> {
    let (until_ms, mut rest) = body.split_first_chunk::<8>()?;
    let left = u64::from_be_bytes(*until_ms)
        .checked_sub(clocks.now_ms)
        .filter(|left| *left > 0)?;
    let mut parts = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let (part, more) = more.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        parts.push(part);
        rest = more;
    }
    let [key, provider, addresses @ ..] = &parts[..] else {
        return None;
    };
    let mut record = ProviderRecord::new(
        RecordKey::from(key.to_vec()),
        PeerId::from_bytes(provider).ok()?,
        Vec::new(),
    );
    record.expires = Some(clocks.now + Duration::from_millis(left).min(life));
    let read = |bytes: &&[u8]| Multiaddr::try_from(bytes.to_vec()).ok();
    record.addresses = addresses
        .iter()
        .filter_map(read)
        .take(book::ADDRESSES_MAX)
        .collect();
    rest.is_empty().then_some(record)
}

/// The bytes of the file; none if there is no file yet.
pub fn load(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        file => {
            file?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

/// Changes the file. After a failure its end may be broken: the next change is to replace it.
pub fn save(path: &Path, change: &Change) -> io::Result<()> {
    match change {
        Change::Append(entries) => OpenOptions::new().append(true).open(path)?.write_all(entries),
        Change::Replace(entries) => {
            let new = path.with_extension("new");
            let mut file = File::create(&new)?;
            file.write_all(HEAD)?;
            file.write_all(entries)?;
            file.sync_all()?;
            fs::rename(&new, path)
        }
    }
}

#[cfg(test)]
mod tests;
