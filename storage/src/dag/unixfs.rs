//! UnixFS: what the data of a dag-pb node says it is.

use bytes::Bytes;
use cid::Cid;

use super::proto::{Fault, Fields, Value, put_bytes, put_number, take_varint};
use crate::Error;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Raw,
    Directory,
    File,
    Metadata,
    Symlink,
    HamtShard,
}

/// The decoded data of a node. Mode and mtime are read over: no profile keeps them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnixFs {
    pub kind: Type,
    pub data: Bytes,
    pub file_bytes: Option<u64>,
    pub block_bytes: Vec<u64>,
    pub hash_type: Option<u64>,
    pub fanout: Option<u64>,
}

impl UnixFs {
    pub fn decode(cid: &Cid, data: &Bytes) -> Result<UnixFs, Error> {
        decode(data).map_err(|fault| Error::malformed(cid, format!("UnixFS: {fault}")))
    }
}

/// An inner node of a file: only sizes, the bytes are below.
pub(crate) fn file_node(block_bytes: impl Iterator<Item = u64> + Clone) -> Vec<u8> {
    let mut out = vec![0x08, FILE];
    put_number(&mut out, 3, block_bytes.clone().sum());
    block_bytes.for_each(|bytes| put_number(&mut out, 4, bytes));
    out
}

/// A leaf of a file that wraps its bytes.
pub(crate) fn file_leaf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 14);
    out.extend([0x08, FILE]);
    if !bytes.is_empty() {
        put_bytes(&mut out, 2, bytes);
    }
    put_number(&mut out, 3, bytes.len() as u64);
    out
}

/// A folder whose links are its entries.
pub(crate) const DIRECTORY_NODE: [u8; 2] = [0x08, DIRECTORY];

/// A symbolic link.
pub(crate) fn symlink_node(target: &[u8]) -> Vec<u8> {
    let mut out = vec![0x08, SYMLINK];
    put_bytes(&mut out, 2, target);
    out
}

/// A shard of a large folder; `bitfield` is big-endian without leading zero bytes.
pub(crate) fn shard_node(bitfield: &[u8], hash_type: u64, fanout: u64) -> Vec<u8> {
    let mut out = vec![0x08, SHARD];
    put_bytes(&mut out, 2, bitfield);
    put_number(&mut out, 5, hash_type);
    put_number(&mut out, 6, fanout);
    out
}

fn decode(data: &Bytes) -> Result<UnixFs, Fault> {
    let mut kind = None;
    let mut node = UnixFs {
        kind: Type::Raw,
        data: Bytes::new(),
        file_bytes: None,
        block_bytes: Vec::new(),
        hash_type: None,
        fanout: None,
    };
    let mut fields = Fields::new(data.clone());
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => kind = Some(decode_type(value.varint()?)?),
            2 => node.data = value.bytes()?,
            3 => node.file_bytes = Some(value.varint()?),
            4 => decode_block_bytes(value, &mut node.block_bytes)?,
            5 => node.hash_type = Some(value.varint()?),
            6 => node.fanout = Some(value.varint()?),
            _ => {}
        }
    }
    node.kind = kind.ok_or("no type")?;
    Ok(node)
}

fn decode_type(value: u64) -> Result<Type, Fault> {
    use Type::*;
    let types = [Raw, Directory, File, Metadata, Symlink, HamtShard];
    usize::try_from(value)
        .ok()
        .and_then(|at| types.get(at).copied())
        .ok_or("unknown type")
}

/// One size, or several packed into a byte string: both spellings are legal protobuf.
fn decode_block_bytes(value: Value, out: &mut Vec<u64>) -> Result<(), Fault> {
    match value {
        Value::Varint(bytes) => out.push(bytes),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() && out.len() <= BLOCKS_MAX {
                out.push(take_varint(&mut packed)?);
            }
        }
        _ => return Err("block sizes have the wrong wire type"),
    }
    if out.len() > BLOCKS_MAX {
        Err("too many block sizes")
    } else {
        Ok(())
    }
}

const FILE: u8 = 2;
const DIRECTORY: u8 = 1;
const SYMLINK: u8 = 4;
const SHARD: u8 = 5;

/// More children than a node of 2 MiB can link to.
const BLOCKS_MAX: usize = crate::BLOCK_BYTES_MAX / 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes.into());
        }

        #[test]
        fn file_nodes_come_back(sizes in prop::collection::vec(0u64..1 << 40, 0..20)) {
            let node = decode(&file_node(sizes.iter().copied()).into()).unwrap();
            prop_assert_eq!(node.kind, Type::File);
            prop_assert_eq!(node.file_bytes, Some(sizes.iter().sum()));
            prop_assert_eq!(node.block_bytes, sizes);
        }

        #[test]
        fn leaves_come_back(bytes: Vec<u8>) {
            let node = decode(&file_leaf(&bytes).into()).unwrap();
            prop_assert_eq!(node.file_bytes, Some(bytes.len() as u64));
            prop_assert_eq!(&node.data[..], &bytes[..]);
        }
    }

    #[test]
    fn packed_block_sizes_are_read_and_bounded() {
        let node = decode(&Bytes::from_static(&[8, 2, 0x22, 3, 1, 0x80, 1])).unwrap();
        assert_eq!(node.block_bytes, [1, 128]);
        let mut many = vec![8, 2];
        put_bytes(&mut many, 4, &vec![1; BLOCKS_MAX + 1]);
        assert_eq!(decode(&many.into()), Err("too many block sizes"));
    }
}
