//! The tables of the chain store and the layout of their keys.
//!
//! Numbers in keys are big-endian, so that RocksDB's order is the order of heights.

use rocksdb::{BlockBasedOptions, ColumnFamilyDescriptor, Options};

/// Jellyfish Merkle tree nodes: version ‖ nibble path → node.
pub(crate) const NODES: &str = "nodes";
/// State values by version: key hash ‖ version → value or tombstone.
pub(crate) const VALUES: &str = "values";
/// What may be pruned: version since which it is stale ‖ kind ‖ key → nothing.
pub(crate) const STALE: &str = "stale";
/// Newest state by raw key: key → version ‖ value or tombstone.
pub(crate) const STATE: &str = "state";
/// Height → header.
pub(crate) const HEADERS: &str = "headers";
/// Height → body.
pub(crate) const BODIES: &str = "bodies";
/// Height → the certificate that decided it, with every late signature we saw.
pub(crate) const CERTIFICATES: &str = "certificates";
/// Heights whose header names other validators for the next height → the encoded set that it names.
pub(crate) const SET_CHANGES: &str = "set_changes";
/// Digest of a CID → where that object is: a [`Place`].
pub(crate) const INDEX: &str = "index";
/// Height ‖ round ‖ header hash → a signed proposal part that is not decided yet.
pub(crate) const UNDECIDED: &str = "undecided";
/// CID of a transaction that a user handed in → that it waits, or why it was refused.
pub(crate) const SUBMITTED: &str = "submitted";
/// Format, chain id, genesis, tip.
pub(crate) const META: &str = "meta";

/// Every table.
pub(crate) const ALL: [&str; 12] = [
    NODES,
    VALUES,
    STALE,
    STATE,
    HEADERS,
    BODIES,
    CERTIFICATES,
    SET_CHANGES,
    INDEX,
    UNDECIDED,
    SUBMITTED,
    META,
];

const WRITE_BUFFER_BYTES: usize = 8 << 20;
const BLOCK_CACHE_BYTES: usize = 32 << 20;
const BLOOM_BITS_PER_KEY: f64 = 10.0;

/// Options of the database as a whole.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // A torn end is what a power cut leaves; damage before it is rot, and must not silently end the log there.
    options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_keep_log_file_num(2);
    options.set_max_total_wal_size(64 << 20);
    options
}

/// One descriptor for each table; all share a block cache.
pub(crate) fn descriptors() -> Vec<ColumnFamilyDescriptor> {
    let cache = rocksdb::Cache::new_lru_cache(BLOCK_CACHE_BYTES);
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(BLOOM_BITS_PER_KEY, false);
    table.set_block_cache(&cache);
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    options.set_block_based_table_factory(&table);
    ALL.iter()
        .map(|name| ColumnFamilyDescriptor::new(*name, options.clone()))
        .collect()
}

/// Where the object of a CID is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The header of a height.
    Header(u64),
    /// The body of a height.
    Body(u64),
    /// A transaction: height, and its position in the body.
    Tx(u64, u32),
}

impl Place {
    pub(crate) fn encode(self) -> Vec<u8> {
        let (kind, height, position) = match self {
            Place::Header(height) => (b'h', height, 0),
            Place::Body(height) => (b'b', height, 0),
            Place::Tx(height, position) => (b't', height, position),
        };
        let mut out = vec![kind];
        out.extend(height.to_be_bytes());
        out.extend(position.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Place> {
        let height = u64::from_be_bytes(bytes.get(1..9)?.try_into().ok()?);
        let position = u32::from_be_bytes(bytes.get(9..13)?.try_into().ok()?);
        match bytes[0] {
            b'h' => Some(Place::Header(height)),
            b'b' => Some(Place::Body(height)),
            b't' => Some(Place::Tx(height, position)),
            _ => None,
        }
    }
}

/// What a row of [`STALE`] lets us delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    /// A tree node.
    Node,
    /// A superseded value, or a tombstone.
    Value,
    /// A tombstone in [`STATE`], if it is still the newest word on its key.
    Key,
}

impl Stale {
    fn tag(self) -> u8 {
        match self {
            Stale::Node => b'n',
            Stale::Value => b'v',
            Stale::Key => b'k',
        }
    }

    /// The row that says: `key` is not needed to read any version from `since` on.
    pub(crate) fn row(self, since: u64, key: &[u8]) -> Vec<u8> {
        let mut row = since.to_be_bytes().to_vec();
        row.push(self.tag());
        row.extend(key);
        row
    }

    /// Takes a row apart: since, kind, key.
    pub(crate) fn parse(row: &[u8]) -> Option<(u64, Stale, &[u8])> {
        let since = u64::from_be_bytes(row.get(..8)?.try_into().ok()?);
        let kind = match row.get(8)? {
            b'n' => Stale::Node,
            b'v' => Stale::Value,
            b'k' => Stale::Key,
            _ => return None,
        };
        Some((since, kind, &row[9..]))
    }
}

/// Key of a row of [`UNDECIDED`].
pub(crate) fn undecided_key(height: u64, round: u32, header: &[u8; 32]) -> Vec<u8> {
    let mut key = height.to_be_bytes().to_vec();
    key.extend(round.to_be_bytes());
    key.extend(header);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_their_encoding() {
        for place in [Place::Header(1), Place::Body(u64::MAX), Place::Tx(7, 3)] {
            assert_eq!(Place::decode(&place.encode()), Some(place));
        }
        assert_eq!(Place::decode(b"x"), None);
        assert_eq!(Place::decode(b""), None);
    }

    #[test]
    fn stale_rows_sort_by_version() {
        let early = Stale::Node.row(2, b"zzz");
        let late = Stale::Value.row(256, b"a");
        assert!(early < late);
        assert_eq!(Stale::parse(&late), Some((256, Stale::Value, b"a".as_slice())));
    }
}
