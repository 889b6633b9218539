//! RocksDB as this store uses it: column families, options, and errors in our words.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cid::Cid;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
    Direction, ErrorKind, IteratorMode, Options, WriteBatch, WriteOptions,
};

use super::key;
use crate::Error;

/// The column families.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Multihash to bytes of the block.
    Blocks,
    /// Multihash to [`BlockEntry`].
    Index,
    /// CIDv1 of a root to its [`Pin`](super::pins::Pin).
    Pins,
    /// Format, epoch, marks of imports in flight.
    Meta,
    /// Pair of escrow and payee to what that payer had and promised.
    Tabs,
    /// Pair of escrow and payee to what this node had and promised.
    Purses,
    /// Number to receipt, in the order in which they were written.
    Receipts,
    /// Id of a receipt to its number.
    ReceiptIds,
    /// Root of a tree of receipts to its leaves.
    Claims,
    /// Pair of escrow and payee to what this node has counted by itself for that payer.
    Counts,
}

/// What the index knows of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    /// Its length.
    pub bytes: u32,
    /// The epoch in which it was last put.
    pub touched: u64,
    /// The last gc or verification that found it below a pin.
    pub marked: u64,
    /// As what it was found then; see [`Reading`](super::gc::Reading).
    pub readings: u8,
}

/// Hears of each key and its value; an error ends the iteration.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Error> + 'a;
/// Hears of each block.
pub(crate) type VisitEntry<'a> = dyn FnMut(&[u8], BlockEntry) -> Result<(), Error> + 'a;

/// A key and its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// An open database.
pub(crate) struct Database {
    db: database::Database,
}

impl Database {
    pub fn open(folder: &Path) -> Result<Database, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
        let db = database::Database::open(&options(), folder, columns());
        let db = db.map_err(|error| open_error(folder, &error))?;
        let database = Database { db };
        database.check_format()?;
        Ok(database)
    }

    pub fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.db
            .get_cf(self.column(column), key)
            .map_err(|error| self.read_error(&error))
    }

    pub fn get_block(&self, cid: &Cid) -> Result<Option<Vec<u8>>, Error> {
        self.db
            .get_cf(self.column(Column::Blocks), key(cid))
            .map_err(|error| match error.kind() {
                ErrorKind::Corruption => Error::Corrupt {
                    cid: *cid,
                    reason: error.into_string(),
                },
                _ => self.read_error(&error),
            })
    }

    pub fn entry(&self, key: &[u8]) -> Result<Option<BlockEntry>, Error> {
        self.get(Column::Index, key)?
            .map(|value| self.decode_entry(&value))
            .transpose()
    }

    pub fn put_entry(&self, key: &[u8], entry: &BlockEntry) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.put(Column::Index, key, &entry.encode());
        batch.write()
    }

    /// Writes a block and its entry, both or neither.
    pub fn put_block(&self, key: &[u8], bytes: &[u8], touched: u64) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.put_block(key, bytes, touched);
        batch.write()
    }

    pub fn delete_block(&self, key: &[u8]) -> Result<(), Error> {
        let mut batch = self.batch();
        batch.delete(Column::Blocks, key);
        batch.delete(Column::Index, key);
        batch.write()
    }

    /// Several writes that happen together.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            database: self,
            batch: WriteBatch::default(),
        }
    }

    /// Makes everything written so far durable.
    pub fn sync(&self) -> Result<(), Error> {
        self.refuse_if_broken()?;
        self.db.flush_wal(true).map_err(|error| self.write_error(&error))
    }

    /// Calls `visit` for each key that starts with `prefix`, in order, as of now.
    pub fn each(&self, column: Column, prefix: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let start = IteratorMode::From(prefix, Direction::Forward);
        for item in self.db.iterator_cf(self.column(column), start) {
            let (key, value) = item.map_err(|error| self.read_error(&error))?;
            if !key.starts_with(prefix) {
                break;
            }
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// At most `max` keys from `first` on, in order, with their values.
    pub fn range(&self, column: Column, first: &[u8], max: usize) -> Result<Vec<Row>, Error> {
        let from = IteratorMode::From(first, Direction::Forward);
        let rows = self.db.iterator_cf(self.column(column), from).take(max);
        rows.map(|row| row.map_err(|error| self.read_error(&error)))
            .collect()
    }

    /// The last key and its value.
    pub fn last(&self, column: Column) -> Result<Option<Row>, Error> {
        let mut rows = self.db.iterator_cf(self.column(column), IteratorMode::End);
        let row = rows.next().transpose();
        row.map_err(|error| self.read_error(&error))
    }

    /// Calls `visit` for each block, without reading it.
    pub fn each_entry(&self, visit: &mut VisitEntry<'_>) -> Result<(), Error> {
        self.each(Column::Index, b"", &mut |key, value| {
            visit(key, self.decode_entry(value)?)
        })
    }

    /// Rewrites what deletions left, so that the disk gets its space back, the log's as well.
    pub fn compact(&self) -> Result<(), Error> {
        self.refuse_if_broken()?;
        self.db.flush().map_err(|error| self.write_error(&error))?;
        for column in [Column::Blocks, Column::Index] {
            self.db
                .compact_range_cf(self.column(column), None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    /// Bytes of all files in the folder.
    pub fn disk_bytes(&self) -> u64 {
        let files = fs::read_dir(self.db.folder()).into_iter().flatten().flatten();
        files
            .filter_map(|file| file.metadata().ok())
            .map(|metadata| metadata.blocks() * 512)
            .sum()
    }

    fn check_format(&self) -> Result<(), Error> {
        match self.get(Column::Meta, FORMAT_KEY)? {
            Some(format) if format == FORMAT => Ok(()),
            Some(_) => Err(Error::Open {
                folder: self.db.folder().to_owned(),
                reason: "it was written by another version of this program".to_owned(),
            }),
            None => {
                let mut batch = self.batch();
                batch.put(Column::Meta, FORMAT_KEY, FORMAT);
                batch.write_durably()
            }
        }
    }

    fn decode_entry(&self, value: &[u8]) -> Result<BlockEntry, Error> {
        BlockEntry::decode(value).ok_or_else(|| self.malformed("the index holds a malformed entry"))
    }

    /// What this version did not write.
    pub fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Read {
            folder: self.db.folder().to_owned(),
            reason: reason.into(),
        }
    }

    fn column(&self, column: Column) -> &ColumnFamily {
        self.db
            .cf_handle(column.name())
            .expect("every column family is opened with the database")
    }

    fn refuse_if_broken(&self) -> Result<(), Error> {
        match self.db.broken() {
            None => Ok(()),
            Some(error) if is_disk_full(error.as_ref()) => Err(Error::DiskFull {
                folder: self.db.folder().to_owned(),
            }),
            Some(error) => Err(Error::Unusable {
                folder: self.db.folder().to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    fn write_error(&self, error: &rocksdb::Error) -> Error {
        self.db.break_down(error.clone());
        let folder = self.db.folder().to_owned();
        match is_disk_full(error.as_ref()) {
            true => Error::DiskFull { folder },
            false => Error::Write {
                folder,
                reason: error.to_string(),
            },
        }
    }

    fn read_error(&self, error: &rocksdb::Error) -> Error {
        Error::Read {
            folder: self.db.folder().to_owned(),
            reason: error.to_string(),
        }
    }
}

/// Writes that happen together or not at all.
pub(crate) struct Batch<'a> {
    database: &'a Database,
    batch: WriteBatch,
}

impl Batch<'_> {
    pub fn put(&mut self, column: Column, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.database.column(column), key, value);
    }

    /// Adds a block with its entry.
    pub fn put_block(&mut self, key: &[u8], bytes: &[u8], touched: u64) {
        let entry = BlockEntry {
            bytes: bytes.len() as u32,
            touched,
            marked: 0,
            readings: 0,
        };
        self.put(Column::Blocks, key, bytes);
        self.put(Column::Index, key, &entry.encode());
    }

    pub fn delete(&mut self, column: Column, key: &[u8]) {
        self.batch.delete_cf(self.database.column(column), key);
    }

    /// Writes; a crash of the machine may lose it, a crash of the process does not.
    pub fn write(self) -> Result<(), Error> {
        self.write_with(false)
    }

    /// Writes, and returns when it and everything before it is on disk.
    pub fn write_durably(self) -> Result<(), Error> {
        self.write_with(true)
    }

    fn write_with(self, sync: bool) -> Result<(), Error> {
        self.database.refuse_if_broken()?;
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let written = self.database.db.write_opt(self.batch, &options);
        written.map_err(|error| self.database.write_error(&error))
    }
}

impl BlockEntry {
    fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut out = [0; ENTRY_BYTES];
        out[..4].copy_from_slice(&self.bytes.to_be_bytes());
        out[4..12].copy_from_slice(&self.touched.to_be_bytes());
        out[12..20].copy_from_slice(&self.marked.to_be_bytes());
        out[20] = self.readings;
        out
    }

    fn decode(value: &[u8]) -> Option<BlockEntry> {
        let value: &[u8; ENTRY_BYTES] = value.try_into().ok()?;
        Some(BlockEntry {
            bytes: u32::from_be_bytes(value[..4].try_into().ok()?),
            touched: u64::from_be_bytes(value[4..12].try_into().ok()?),
            marked: u64::from_be_bytes(value[12..20].try_into().ok()?),
            readings: value[20],
        })
    }
}

impl Column {
    const ALL: [Column; 10] = [
        Column::Blocks,
        Column::Index,
        Column::Pins,
        Column::Meta,
        Column::Tabs,
        Column::Purses,
        Column::Receipts,
        Column::ReceiptIds,
        Column::Claims,
        Column::Counts,
    ];

    fn name(self) -> &'static str {
        match self {
            Column::Blocks => "blocks",
            Column::Index => "index",
            Column::Pins => "pins",
            Column::Meta => "meta",
            Column::Tabs => "tabs",
            Column::Purses => "purses",
            Column::Receipts => "receipts",
            Column::ReceiptIds => "receipt_ids",
            Column::Claims => "claims",
            Column::Counts => "counts",
        }
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn end is what a power cut leaves; damage before it is rot, and must not silently end the log there.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_bytes_per_sync(1 << 20);
    options.set_wal_bytes_per_sync(1 << 20);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options
}

fn columns() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(CACHE_BYTES);
    let columns = Column::ALL.into_iter();
    columns
        .map(|column| ColumnFamilyDescriptor::new(column.name(), column_options(column, &cache)))
        .collect()
}

fn column_options(column: Column, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    if let Column::Blocks = column {
        options.set_write_buffer_size(64 << 20);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(256 << 20);
        options.set_blob_compression_type(DBCompressionType::None);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_age_cutoff(0.25);
        options.set_blob_gc_force_threshold(0.5);
    }
    options
}

fn open_error(folder: &Path, error: &rocksdb::Error) -> Error {
    let reason = error.to_string();
    let folder = folder.to_owned();
    if reason.contains("lock file") || reason.contains("lock hold by current process") {
        return Error::InUse { folder };
    }
    if is_disk_full(error.as_ref()) {
        Error::DiskFull { folder }
    } else {
        Error::Open { folder, reason }
    }
}

/// RocksDB reports the system's error in words only.
fn is_disk_full(reason: &str) -> bool {
    ["No space left on device", "Disk quota exceeded"]
        .iter()
        .any(|words| reason.contains(words))
}

const FORMAT_KEY: &[u8] = b"format";
const FORMAT: &[u8] = b"1";
const ENTRY_BYTES: usize = 21;
/// Smaller blocks, which are mostly inner nodes, stay where a walk finds them close together.
const BLOB_BYTES_MIN: u64 = 4 << 10;
/// Below the usual limit of 1024 descriptors a process, which sockets need as well.
const OPEN_FILES_MAX: i32 = 256;
/// What a restart replays at most, in bytes.
const WAL_BYTES_MAX: u64 = 256 << 20;
const CACHE_BYTES: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let full = "IO error: No space left on device: While appending to file: /x/000004.log: No space left on device";
        assert!(is_disk_full(full));
        assert!(!is_disk_full(
            "IO error: While appending to file: /x/000004.log: Input/output error"
        ));
    }

    #[test]
    fn index_entries_have_this_form() {
        let entry = BlockEntry {
            bytes: 1,
            touched: 2,
            marked: 3,
            readings: 4,
        };
        let encoded = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 4];
        assert_eq!(entry.encode(), encoded);
        assert_eq!(BlockEntry::decode(&encoded), Some(entry));
        assert_eq!(BlockEntry::decode(&encoded[1..]), None);
    }
}
