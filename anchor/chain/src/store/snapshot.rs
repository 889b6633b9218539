//! A snapshot: the state after one block, and why it is to be believed. A node that begins with it needs none of the
//! blocks before.
//!
//! A file: [`MAGIC`], then frames, each with its length in 4 bytes, big-endian. The first holds the way from the genesis to
//! the block, as a light client goes it; the others hold the entries of the state in the order of their keys. Nothing in it
//! is believed before the Merkle tree that is built of the entries has the root that the certified header names.

use std::io::{Read, Write};
use std::path::Path;

use jmt::storage::{Node, NodeKey};
use ledger::{Checkpoint, Genesis, LightBlock, Trust, ValidatorSet};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::columns::{CERTIFICATES, HEADERS, NODES, Place, SET_CHANGES};
use super::db::Db;
use super::tree::{self, Tree};
use super::{Changes, Store, View, stage_state, stage_tree, write_identity};
use crate::{Error, Tip};

const MAGIC: &[u8] = b"ddn-snapshot 1\n";
/// Entries of about so many bytes go into a frame.
const FRAME_BYTES: usize = 1 << 20;
/// No frame is larger: a frame of entries ends with an entry, the first has some hundred bytes for each change of seats.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// The first frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// Every change of the validators, and then the block of the state.
    way: Vec<LightBlock>,
    /// Frames of entries that follow.
    frames: u64,
}

/// A part of the entries.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    entries: Vec<(ByteBuf, ByteBuf)>,
}

/// Writes the state of `view`, to which `way` leads from the genesis.
///
/// # Errors
/// If the store cannot be read, or `out` be written.
pub(crate) fn write(view: &View, way: Vec<LightBlock>, out: &mut dyn Write) -> Result<(), Error> {
    let mut frames = 0;
    // Twice, since a reader has to know how many there are before the first, and nobody wants to hold them all.
    each_frame(view, |_| {
        frames += 1;
        Ok(())
    })?;
    out.write_all(MAGIC).map_err(|e| written(&e))?;
    put(&Head { way, frames }, out)?;
    each_frame(view, |entries| put(&entries, out))
}

fn each_frame(view: &View, mut take: impl FnMut(Entries) -> Result<(), Error>) -> Result<(), Error> {
    let (mut frame, mut bytes) = (Entries::default(), 0);
    for entry in view.scan(&[])? {
        let (key, value) = entry?;
        bytes += key.len() + value.len();
        frame.entries.push((key.into(), value.into()));
        if bytes >= FRAME_BYTES {
            take(std::mem::take(&mut frame))?;
            bytes = 0;
        }
    }
    match frame.entries.is_empty() {
        true => Ok(()),
        false => take(frame),
    }
}

fn put(frame: &impl Serialize, out: &mut dyn Write) -> Result<(), Error> {
    let bytes = ledger::encode(frame);
    let length = u32::try_from(bytes.len()).map_err(|_| bad("a part of it is too large".into()))?;
    out.write_all(&length.to_be_bytes()).map_err(|e| written(&e))?;
    out.write_all(&bytes).map_err(|e| written(&e))
}

/// Reads a snapshot into a new chain folder. Returns its tip; `progress` is told how many frames of how many are read.
///
/// # Errors
/// If the bytes are no snapshot, or do not follow from the genesis or the checkpoint; if there is something at `dir`, or it
/// cannot be written. Then `dir` is as before.
pub(crate) fn read(
    dir: &Path,
    (genesis, checkpoint): (&Genesis, Option<&Checkpoint>),
    input: &mut impl Read,
    mut progress: impl FnMut(u64, u64),
) -> Result<Tip, Error> {
    if dir.exists() {
        return Err(Error::NotEmpty { dir: dir.to_owned() });
    }
    let failed = |dir: &Path, source| Error::Folder {
        dir: dir.to_owned(),
        source,
    };
    let new = dir.with_extension("new");
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(|e| failed(&new, e))?;
    }
    let tip = fill(&new, (genesis, checkpoint), input, &mut progress).inspect_err(|_| {
        // What is left is removed by the next try otherwise.
        let _ = std::fs::remove_dir_all(&new);
    })?;
    std::fs::rename(&new, dir).map_err(|e| failed(dir, e))?;
    Ok(tip)
}

fn fill(
    dir: &Path,
    (genesis, checkpoint): (&Genesis, Option<&Checkpoint>),
    input: &mut impl Read,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Tip, Error> {
    let mut magic = [0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(|e| ended(&e))?;
    if magic != MAGIC {
        return Err(bad("it does not begin as one".into()));
    }
    let Head { way, frames } = take(input)?;
    let sets = follow(&way, genesis, checkpoint)?;
    let last = way.last().ok_or_else(|| bad("it leads to no block".into()))?;
    let height = last.header.height;
    let first = (height + 1).checked_sub(frames).filter(|_| frames > 0);
    let first = first.ok_or_else(|| bad(format!("{frames} parts at height {height}")))?;

    let db = Db::open(dir)?;
    begin(&db, first)?;
    for (version, done) in (first..=height).zip(1..) {
        let Entries { entries } = take(input)?;
        put_entries(&db, entries, version)?;
        progress(done, frames);
    }
    if input.read(&mut [0]).map_err(|e| ended(&e))? != 0 {
        return Err(bad("something follows its last part".into()));
    }
    let root = Tree(&db).root(height)?;
    if root != last.header.state_root.0 {
        return Err(bad(format!(
            "its entries make the state root {}, the header of height {height} names {}",
            ledger::Hash(root),
            last.header.state_root
        )));
    }
    finish(&db, genesis, &way, &sets)?;
    Ok(Tip::of(&last.header))
}

/// Goes the way from the genesis; returns who votes after each of its blocks.
fn follow(
    way: &[LightBlock],
    genesis: &Genesis,
    checkpoint: Option<&Checkpoint>,
) -> Result<Vec<ValidatorSet>, Error> {
    let not = |e: ledger::Error| bad(e.to_string());
    let mut known = Trust::Genesis(genesis).checkpoint().map_err(not)?.into_owned();
    let mut sets = Vec::new();
    for block in way {
        known = known.follow(block).map_err(not)?;
        sets.push(known.validators.clone());
    }
    // The same history as that of the checkpoint, from where it begins.
    if let Some(trusted) = checkpoint {
        let mut known = trusted.clone();
        for block in way.iter().filter(|block| block.header.height > trusted.height) {
            known = known.follow(block).map_err(not)?;
        }
        if known.height == trusted.height {
            return Err(bad(format!(
                "it is not later than the checkpoint, of height {}",
                trusted.height
            )));
        }
    }
    Ok(sets)
}

/// An empty tree before the first version.
fn begin(db: &Db, first: u64) -> Result<(), Error> {
    let Some(before) = first.checked_sub(1) else {
        return Ok(());
    };
    let mut batch = WriteBatch::default();
    let root = NodeKey::new(before, std::iter::empty().collect());
    batch.put_cf(
        db.table(NODES)?,
        tree::node_key(&root),
        tree::encode_node(&Node::Null),
    );
    db.write_later("an empty state", batch)
}

fn put_entries(db: &Db, entries: Vec<(ByteBuf, ByteBuf)>, version: u64) -> Result<(), Error> {
    let entry = |(key, value): (ByteBuf, ByteBuf)| (key.into_vec(), Some(value.into_vec()));
    let changes: Changes = entries.into_iter().map(entry).collect();
    let (_, update) = Tree(db).update(&changes, version)?;
    let mut batch = WriteBatch::default();
    stage_state(db, &mut batch, &changes, version)?;
    stage_tree(db, &mut batch, &update, version)?;
    db.write_later("a part of a snapshot", batch)
}

/// The headers of the way, who votes after them, and what makes it a folder of this chain: the last write, which waits for the
/// disk, and for all before it.
fn finish(db: &Db, genesis: &Genesis, way: &[LightBlock], sets: &[ValidatorSet]) -> Result<(), Error> {
    let mut batch = WriteBatch::default();
    for (block, next) in way.iter().zip(sets) {
        let (key, header) = (block.header.height.to_be_bytes(), ledger::encode(&block.header));
        let place = Place::Header(block.header.height);
        batch.put_cf(
            db.table(super::INDEX)?,
            ledger::cid_of(&header).hash().digest(),
            place.encode(),
        );
        batch.put_cf(db.table(HEADERS)?, key, header);
        batch.put_cf(db.table(CERTIFICATES)?, key, ledger::encode(&block.certificate));
        if next.hash() != block.header.validators {
            batch.put_cf(db.table(SET_CHANGES)?, key, ledger::encode(next));
        }
    }
    write_identity(db, &mut batch, genesis)?;
    db.write("a snapshot", batch)
}

fn take<T: Serialize + serde::de::DeserializeOwned>(input: &mut impl Read) -> Result<T, Error> {
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(|e| ended(&e))?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(bad(format!(
            "a part of {length} bytes, at most {FRAME_BYTES_MAX}"
        )));
    }
    // Not allocated before it is there.
    let mut bytes = Vec::new();
    input
        .take(length as u64)
        .read_to_end(&mut bytes)
        .map_err(|e| ended(&e))?;
    if bytes.len() < length {
        return Err(bad("it ends in the middle".into()));
    }
    ledger::decode_within(&bytes, FRAME_BYTES_MAX).map_err(|e| bad(e.to_string()))
}

fn bad(reason: String) -> Error {
    Error::Snapshot { reason }
}

fn ended(source: &std::io::Error) -> Error {
    match source.kind() {
        std::io::ErrorKind::UnexpectedEof => bad("it ends in the middle".into()),
        _ => bad(source.to_string()),
    }
}

fn written(source: &std::io::Error) -> Error {
    Error::Snapshot {
        reason: format!("it cannot be written: {source}"),
    }
}

impl Store {
    /// The lowest height whose block is here: 1, or the first after a snapshot.
    pub(crate) fn first_height(&self) -> Result<u64, Error> {
        let tip = self.tip().height;
        let (mut low, mut high) = (1, tip + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.body(middle)?.is_some() {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        Ok(low)
    }
}
